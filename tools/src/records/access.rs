//! Operators.

use super::{hex, state};
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operator {
    /// `operators/{name}`
    pub name: String,
    /// `ADMIN`, `OPERATOR`, `APPROVER`, `VIEWER` or `INTEGRATOR`.
    pub role: String,
    /// False once disabled.
    pub enabled: bool,
    /// SHA-256 of the SubjectPublicKeyInfo of its certificate.
    pub key: String,
}

impl From<v1::Operator> for Operator {
    fn from(wire: v1::Operator) -> Self {
        Self {
            name: wire.name,
            role: state(wire.role, v1::operator::Role::as_str_name, "ROLE_"),
            enabled: wire.enabled,
            key: hex(&wire.key),
        }
    }
}

impl Record for Operator {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("role", "ROLE", Look::Plain),
        Column::shown("enabled", "ENABLED", Look::Plain),
        Column::extra("key", Look::Plain),
    ];
}
