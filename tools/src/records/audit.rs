//! Audit entries, checked against their hashes.

use super::{hex, time};
use crate::{
    failure::Failure,
    output::{Column, Look, Record},
};
use muster_domain::audit::leaf_hash;
use muster_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An audit entry whose hash was right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Contiguous from 0.
    pub index: u64,
    /// When.
    pub time: Option<String>,
    /// Who, such as `operators/alice`.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Further facts.
    pub detail: Value,
    /// RFC 9162 leaf hash.
    pub leaf_hash: String,
    /// The exact text that was hashed.
    pub leaf: String,
}

/// What a leaf says; fields of a newer server are of no concern here.
#[derive(Deserialize)]
struct Leaf {
    index: u64,
    at_millis: u64,
    actor: Value,
    action: String,
    subject: String,
    detail: Value,
}

/// Who, such as `operators/alice`.
pub(crate) fn actor(value: &Value) -> String {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match value {
        Value::String(system) => system.clone(),
        Value::Object(map) => match map.iter().next() {
            Some((kind, Value::Object(known))) => {
                format!("{kind}s/{}", known.get("name").map(name).unwrap_or_default())
            }
            Some((kind, value)) => format!("{kind}s/{}", name(value)),
            None => String::new(),
        },
        _ => String::new(),
    }
}

impl AuditEntry {
    /// Checks an entry: its hash is that of its leaf, and the leaf has the place that the server says.
    pub fn verified(wire: v1::AuditEntry) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Fault(anyhow::anyhow!("audit entry {}: {what}", wire.index));
        if leaf_hash(&wire.leaf)[..] != wire.leaf_hash[..] {
            return Err(wrong("the hash is not that of the entry; the log was altered"));
        }
        let leaf: Leaf =
            serde_json::from_str(&wire.leaf).map_err(|_| wrong("is not an entry this client can read"))?;
        if leaf.index != wire.index {
            return Err(wrong(
                "the entry was hashed for another place; the log was altered",
            ));
        }
        let at = prost_types::Timestamp {
            seconds: i64::try_from(leaf.at_millis / 1000).unwrap_or(i64::MAX),
            nanos: i32::try_from(leaf.at_millis % 1000 * 1_000_000).unwrap_or(0),
        };
        Ok(Self {
            index: wire.index,
            time: time(Some(&at)),
            actor: actor(&leaf.actor),
            action: leaf.action,
            subject: leaf.subject,
            detail: leaf.detail,
            leaf_hash: hex(&wire.leaf_hash),
            leaf: wire.leaf,
        })
    }
}

impl Record for AuditEntry {
    const COLUMNS: &'static [Column] = &[
        Column::shown("index", "INDEX", Look::Number),
        Column::shown("time", "TIME", Look::Time),
        Column::shown("actor", "ACTOR", Look::Plain),
        Column::shown("action", "ACTION", Look::Plain),
        Column::shown("subject", "SUBJECT", Look::Plain),
        Column::shown("detail", "DETAIL", Look::Plain),
        Column::extra("leaf_hash", Look::Plain),
        Column::extra("leaf", Look::Plain),
    ];
}

#[cfg(test)]
mod tests;
