//! The check of a signing certificate, as a device makes it: a chain to the pinned root, validity, and the usage.

use crate::fixture::pem;
use muster_proto::envelope::CONFIG_SIGNING_EKU_DER;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring::ECDSA_P256_SHA256};

/// For [`muster_proto::envelope::Envelope::open`], at a time in seconds since 1970.
pub(crate) fn by_root(certificate: &[u8], at: u64) -> Result<Vec<u8>, String> {
    let root = CertificateDer::from(pem("root.pem"));
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let certificate = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let usage = KeyUsage::required(CONFIG_SIGNING_EKU_DER);
    leaf.verify_for_usage(&[ECDSA_P256_SHA256], &anchors, &[], at, usage, None, None)
        .map_err(|error| error.to_string())?;
    Ok(leaf.subject_public_key_info().to_vec())
}
