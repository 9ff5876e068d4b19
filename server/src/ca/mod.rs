//! The certificate authority.
//!
//! Issuing authorities (devices, operators, servers) under a root whose key lies elsewhere, a key that signs desired state, one
//! that signs checkpoints of the audit log, and the key of the hashes of activation codes. Of each kind under the root there may
//! be several generations: the newest works, all are trusted, and a `ceremony` makes and ends them. Of a certificate
//! request only the key is taken ([`CertificationRequest`]); all else comes from the registry, by a profile ([`Issuance`]), and
//! no key signs before a second encoder has come to the same bytes.
//!
//! Keys lie on disk sealed with a passphrase ([`Passphrase`]). In memory they are inside the cryptographic provider,
//! which wipes them when they are dropped; a process that can read our memory can read them.

mod authority;
mod ceremony;
mod changes;
mod clock;
mod crl;
mod crl_lint;
mod crl_url;
mod csr;
mod error;
mod files;
mod generations;
mod handover;
mod hierarchy;
mod init;
mod issue;
mod key;
mod kind;
mod leaf;
mod lint;
mod lint_bytes;
mod lint_defect;
mod lint_read;
mod names;
mod offline;
mod oid;
mod passphrase;
mod pkcs7;
mod profile;
mod profiles;
mod sealed;
mod secret_key;
#[cfg(test)]
mod tests;
mod to_device;
mod trust;
mod weak;

// The reader of what strangers send is one for requests and for manifests.
use muster_domain::der;

pub use authority::{Ca, OperatorCredential, ServerCertificate};
pub(crate) use ceremony::is_root_of;
pub use ceremony::{
    AuthorityState, Installed, Listed, ListedCertificate, Removed, draft_trust, install, list, list_trust,
    remove, request, root_key_within, utc, warnings,
};
pub use crl::{ListOrder, Revoked};
pub use csr::{CertificationRequest, KeptRequest, REQUEST_LIMIT};
pub use error::CaError;
pub use files::certificate_pem;
#[cfg(test)]
pub(crate) use files::power;
pub(crate) use files::{make_directory, remove_directory, rename, sync_directory};
pub use handover::{DeviceKey, HandoverFormat, Recipient};
pub use init::{InitOptions, Initialised, init};
pub use kind::AuthorityKind;
pub use leaf::{certificate_serial, certificate_validity, issuer, operator_record, spki_digest};
pub use lint::Defect;
pub use names::ServerNames;
pub use offline::Offline;
pub(crate) use offline::{Place, parent};
pub use passphrase::Passphrase;
pub use pkcs7::{certs_only, wanted_attributes};
pub use profiles::{Issuance, ProfileChanges};
pub use to_device::{Destination, OpenSecret, seal_to_device};
pub use trust::ListedTrust;
