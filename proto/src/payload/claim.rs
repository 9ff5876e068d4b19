//! Claims: how a device earns its identity.

use super::Binary;
use serde::{Deserialize, Serialize};

/// Up on `muster/v1/claim`. Serial and activation code are the user name and password of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// PKCS#10 (RFC 2986), DER, at most 4 KiB. Only its key is used.
    pub csr: Binary,
}

/// Down on `muster/v1/claim/result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClaimResult {
    /// The identity.
    Accepted(ClaimAccepted),
    /// No, and why.
    Refused(ClaimRefused),
}

/// What a device needs from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimAccepted {
    /// Its id: the client id and the first part of its topics.
    pub device_id: String,
    /// DER; its own certificate first.
    pub chain: Vec<Binary>,
    /// Root certificates, DER. A device that pinned a root keeps its own.
    pub roots: Vec<Binary>,
}

/// A numbered "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRefused {
    /// The stable number.
    pub code: u16,
    /// The stable name.
    pub reason: String,
    /// Why, in this case.
    pub message: String,
    /// What to do.
    pub help: String,
    /// When it is worth trying again; `None`: not without a person's help.
    pub retry_after_seconds: Option<u32>,
}
