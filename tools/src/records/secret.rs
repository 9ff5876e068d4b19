//! Secrets as they are printed.

use super::time;
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;

/// A revision of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// `secrets/{name}`
    pub name: String,
    /// From 1.
    pub revision: u32,
    /// `operators/{name}`
    pub author: String,
    /// When.
    pub create_time: Option<String>,
    /// Why.
    pub message: String,
    /// Its value is erased.
    pub retired: bool,
}

impl From<v1::Secret> for Secret {
    fn from(wire: v1::Secret) -> Self {
        let create_time = time(wire.create_time.as_ref());
        let v1::Secret {
            name,
            revision,
            author,
            message,
            retired,
            ..
        } = wire;
        Self {
            name,
            revision,
            author,
            create_time,
            message,
            retired,
        }
    }
}

impl Record for Secret {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("revision", "REVISION", Look::Number),
        Column::shown("create_time", "CREATED", Look::Time),
        Column::shown("author", "AUTHOR", Look::Name),
        Column::shown("retired", "RETIRED", Look::Plain),
        Column::shown("message", "MESSAGE", Look::Plain),
    ];
}
