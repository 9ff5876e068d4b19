//! The refusals that exist, known without a server.

use crate::output::{Column, Look, Record};
use muster_domain::{Code, refusal::Kind};
use serde::Serialize;

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownRefusal {
    /// The stable number.
    pub code: u16,
    /// The stable name.
    pub reason: &'static str,
    /// What the caller can do about refusals of this kind.
    pub kind: &'static str,
    /// What to do.
    pub help: &'static str,
}

impl From<Code> for KnownRefusal {
    fn from(code: Code) -> Self {
        let kind = match code.kind() {
            Kind::Invalid => "mend the request",
            Kind::Unauthenticated => "show a certificate",
            Kind::Denied => "not allowed",
            Kind::Missing => "not there",
            Kind::Exists => "there already",
            Kind::Precondition => "not in this state",
            Kind::Conflict => "read again and repeat",
            Kind::Exhausted | Kind::Unavailable => "wait and repeat",
        };
        Self {
            code: code.number(),
            reason: code.reason(),
            kind,
            help: code.help(),
        }
    }
}

impl Record for KnownRefusal {
    const COLUMNS: &'static [Column] = &[
        Column::shown("code", "CODE", Look::Number),
        Column::shown("reason", "REASON", Look::Plain),
        Column::shown("kind", "KIND", Look::Plain),
        Column::shown("help", "HELP", Look::Plain),
    ];
}
