//! Trust: which roots a device is to believe, from version to version.

use super::{Binary, Digest};
use serde::{Deserialize, Serialize};

/// Up on `.../trusted`, on each connection and after each step: how far the device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// The version that it trusts by; 0 for the roots that it was made with.
    pub version: u64,
}

/// Down on `.../trust`: the versions that the device does not have, the oldest first. What each is worth is for
/// [`crate::trust::advance`] to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    /// Every root that a version names, DER.
    pub certificates: Vec<Binary>,
    /// Ascending.
    pub versions: Vec<TrustVersion>,
}

/// A set of roots that one of the set before it vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustVersion {
    /// From 1.
    pub version: u64,
    /// SHA-256 of each root, DER. These and no others.
    pub roots: Vec<Digest>,
    /// SHA-256 of the root whose key signed.
    pub signer: Digest,
    /// ECDSA-Sig-Value (RFC 3279, 2.2.3), DER, over [`crate::trust::signing_input`].
    pub signature: Binary,
}
