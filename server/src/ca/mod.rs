//! The certificate authority.
//!
//! Three issuing authorities (devices, operators, servers) under one root whose key lies elsewhere, a key that signs
//! desired state, and the key of the hashes of activation codes. Of a certificate request only the key is taken
//! ([`CertificationRequest`]); all else comes from the registry, by a profile ([`Issuance`]), and no key signs before a
//! second encoder has come to the same bytes.
//!
//! Keys lie on disk sealed with a passphrase ([`Passphrase`]). In memory they are inside the cryptographic provider,
//! which wipes them when they are dropped; a process that can read our memory can read them.

mod authority;
mod clock;
mod crl;
mod crl_lint;
mod crl_url;
mod csr;
mod error;
mod files;
mod handover;
mod init;
mod issue;
mod key;
mod leaf;
mod lint;
mod lint_bytes;
mod lint_defect;
mod names;
mod oid;
mod passphrase;
mod pkcs7;
mod profile;
mod profiles;
mod sealed;
#[cfg(test)]
mod tests;
mod weak;

// The reader of what strangers send is one for requests and for manifests.
use muster_domain::der;

pub use authority::{Authority, Ca, OperatorCredential, ServerCertificate};
pub use crl::{ListOrder, Revoked};
pub use csr::{CertificationRequest, KeptRequest, REQUEST_LIMIT};
pub use error::CaError;
pub use files::certificate_pem;
pub use handover::{DeviceKey, HandoverFormat, Recipient};
pub use init::{InitOptions, Initialised, init};
pub use leaf::{certificate_serial, certificate_validity, operator_record, spki_digest};
pub use lint::Defect;
pub use names::ServerNames;
pub use passphrase::Passphrase;
pub use pkcs7::{certs_only, wanted_attributes};
pub use profiles::{Issuance, ProfileChanges};
