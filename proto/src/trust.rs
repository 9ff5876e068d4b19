//! How trust moves on: from the roots that a device was made with to those of today, each step signed by a root that was
//! trusted before it (the way of TUF's root metadata, version 1.0.34, 5.3).
//!
//! The keys of roots are the only ones that can move trust, and none of them is on a server: whoever takes a server over can
//! withhold a step, and not make one.

use crate::payload::{Binary, Digest, TrustBundle, TrustVersion};
use sha2::Digest as _;

/// Most roots of one version.
pub const ROOTS_LIMIT: usize = 8;
/// Most versions of one bundle.
pub const VERSIONS_LIMIT: usize = 64;
/// Put in front of what is signed, so that a signature means nothing in another place.
const CONTEXT: &[u8] = b"muster trust v1\0";

/// Why a bundle is not believed. Nothing of it counts then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// More than [`VERSIONS_LIMIT`] versions, or roots of one version than [`ROOTS_LIMIT`].
    #[error("the bundle is too large")]
    Large,
    /// Not in ascending order.
    #[error("version {0} is not in its place")]
    Order(u64),
    /// It would leave nothing to trust.
    #[error("version {0} has no roots")]
    Empty(u64),
    /// It names a root that is not there.
    #[error("version {0} names a root that did not come along")]
    Missing(u64),
    /// A trusted root is said to have signed it, and has not.
    #[error("the signature of version {0} is wrong")]
    Signature(u64),
}

/// What to trust from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Its version.
    pub version: u64,
    /// The roots, DER: these and no others.
    pub roots: Vec<Vec<u8>>,
}

/// What a root's key signs: the version, eight bytes, the most significant first, and behind it the digests of the roots.
pub fn signing_input(version: u64, roots: &[Digest]) -> Vec<u8> {
    let mut input = [CONTEXT, &version.to_be_bytes()].concat();
    for root in roots {
        input.extend(root.0);
    }
    input
}

/// The name of a certificate in a bundle: SHA-256 of its DER.
pub fn digest(certificate: &[u8]) -> Digest {
    Digest(sha2::Sha256::digest(certificate).into())
}

/// Follows a bundle as far as it leads from the roots (DER) trusted at version `held`; `None` when that is nowhere. A version
/// that is signed by none of them is passed over: it is meant for devices that were made earlier. `is_signed` gets a root (DER),
/// a message and a signature (DER); it must check ECDSA on P-256 with SHA-256 by the key of the root.
///
/// # Errors
/// [`TrustError`]: something in the bundle cannot come from an honest registry.
pub fn advance(
    bundle: &TrustBundle,
    held: u64,
    trusted: &[Vec<u8>],
    is_signed: impl Fn(&[u8], &[u8], &[u8]) -> bool,
) -> Result<Option<Advance>, TrustError> {
    let TrustBundle {
        certificates,
        versions,
    } = bundle;
    if versions.len() > VERSIONS_LIMIT || certificates.len() > VERSIONS_LIMIT * ROOTS_LIMIT {
        return Err(TrustError::Large);
    }
    let come: Vec<(Digest, &[u8])> = certificates
        .iter()
        .map(|Binary(der)| (digest(der), der.as_slice()))
        .collect();
    let mut now = Advance {
        version: held,
        roots: trusted.to_vec(),
    };
    let mut before = 0;
    for TrustVersion {
        version,
        roots,
        signer,
        signature,
    } in versions
    {
        let version = *version;
        if version <= before {
            return Err(TrustError::Order(version));
        }
        before = version;
        if roots.is_empty() {
            return Err(TrustError::Empty(version));
        }
        if roots.len() > ROOTS_LIMIT {
            return Err(TrustError::Large);
        }
        let known: Vec<(Digest, &[u8])> = now
            .roots
            .iter()
            .map(|der| (digest(der), der.as_slice()))
            .collect();
        let signer = known.iter().find(|(name, _)| name == signer);
        let Some((_, signer)) = signer.filter(|_| version > now.version) else {
            continue;
        };
        if !is_signed(signer, &signing_input(version, roots), &signature.0) {
            return Err(TrustError::Signature(version));
        }
        let find = |wanted: &Digest| {
            let mut all = known.iter().chain(&come);
            all.find(|(name, _)| name == wanted).map(|(_, der)| der.to_vec())
        };
        let roots: Option<Vec<_>> = roots.iter().map(find).collect();
        now = Advance {
            version,
            roots: roots.ok_or(TrustError::Missing(version))?,
        };
    }
    Ok((now.version != held).then_some(now))
}
