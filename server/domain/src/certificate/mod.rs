//! What the registry knows of a certificate: its serial, its key, its life.

mod expiry;
mod filter;
mod key;
mod record;
mod revocation;
mod serial;

pub use expiry::Expiry;
pub use filter::{CertificateAt, CertificateField, CertificateStanding, schema};
pub use key::{NoDigest, SpkiDigest};
pub use record::{CertificateHolder, CertificateProfile, CertificateRecord, CertificateState};
pub use revocation::RevocationReason;
pub use serial::{CRL_SHARDS, CertificateSerial};

use core::fmt;
use serde::{Deserialize, Serialize};

/// The subject key identifier of an issuing authority (RFC 5280, 4.2.1.2): names it for ever.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuthorityId(pub [u8; 20]);

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityId({self})")
    }
}
