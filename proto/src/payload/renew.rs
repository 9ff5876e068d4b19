//! Renewals: how a device comes to its next certificate.

use super::{Binary, ClaimRefused};
use serde::{Deserialize, Serialize};

/// Up on `.../renew`, on a connection with a certificate of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// PKCS#10 (RFC 2986), DER, at most 4 KiB, of a new key. Only its key is used.
    pub csr: Binary,
}

/// Down on `.../cert`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CertificateUpdate {
    /// The next certificate. The one in hand is good until the device connects with this one.
    Issued(CertificateIssued),
    /// No, and why.
    Refused(ClaimRefused),
    /// The registry wants the certificate renewed now, however much of its life is left.
    Due,
}

/// The next certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateIssued {
    /// DER; the device's own certificate first.
    pub chain: Vec<Binary>,
}
