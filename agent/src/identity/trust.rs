//! The trusted roots, and the three kinds of certificate that are judged by them.
//!
//! A device begins with the roots that it pinned. A bundle that one of them signed leads on to others, durably and never back;
//! other pins are a person's word and begin anew.

use super::{DeviceId, DeviceKey, Identity, der::Validity};
use crate::{
    clock::{Believed, Clock},
    disk::{Disk, Place},
    record::{self, StateError},
};
use muster_proto::{
    envelope::CONFIG_SIGNING_EKU_DER,
    payload::{Binary, ClaimAccepted, Digest, TrustBundle},
    trust::{self, Advance},
};
use rustls::pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject as _,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// What certificates of a registry are signed with. Its keys are P-256; an operator's root may be P-384.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];
/// Most certificates of a chain.
const CHAIN_LIMIT: usize = 8;

/// Why a certificate, or a root, is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file of roots has none.
    #[error("no certificate in the file of roots")]
    NoRoot,
    /// The file of roots has something else.
    #[error("a root is not a certificate")]
    Root,
    /// The registry sent no device id.
    #[error("the registry sent something else than a device id")]
    DeviceId,
    /// Not a certificate.
    #[error("not a certificate")]
    Certificate,
    /// The chain is empty or overlong.
    #[error("a chain of {0} certificates")]
    Chain(usize),
    /// Issued for another key.
    #[error("certificate is for another key than this device's")]
    OtherKey,
    /// A bundle is wrong.
    #[error(transparent)]
    Bundle(#[from] trust::TrustError),
    /// Chain, validity or usage is wrong; the text is webpki's word for it.
    #[error("certificate does not verify: {0}")]
    Unverified(String),
}

/// The roots that the device trusts.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    /// 0: those that it pinned.
    version: u64,
    /// Names the pinned roots.
    pins: Digest,
    clock: Clock,
}

/// Where a bundle has led.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// From which pins.
    pins: Digest,
    version: u64,
    /// DER.
    roots: Vec<Binary>,
}

fn place() -> Place {
    Place::fixed("trust")
}

fn anchors(roots: &[CertificateDer<'_>]) -> Result<Vec<TrustAnchor<'static>>, TrustError> {
    let anchor = |root| anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned());
    let anchors = roots.iter().map(anchor).collect::<Result<_, _>>();
    anchors.map_err(|_| TrustError::Root)
}

/// Did the key of `root` sign?
fn is_signed(root: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let root = CertificateDer::from(root);
    EndEntityCert::try_from(&root).is_ok_and(|root| {
        root.verify_signature(webpki::ring::ECDSA_P256_SHA256, message, signature)
            .is_ok()
    })
}

impl Trust {
    /// From PEM (RFC 7468).
    pub(crate) fn from_pem(pem: &[u8], clock: Clock) -> Result<Self, TrustError> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TrustError::Root)?;
        if roots.is_empty() {
            return Err(TrustError::NoRoot);
        }
        let pins = roots.iter().fold(Sha256::new(), |pins, root| {
            pins.chain_update(Sha256::digest(root))
        });
        Ok(Self {
            anchors: anchors(&roots)?,
            roots,
            version: 0,
            pins: Digest(pins.finalize().into()),
            clock,
        })
    }

    /// As far as bundles have led from these pins.
    pub(crate) fn remembered(self, disk: &dyn Disk) -> Result<Self, StateError> {
        match record::load::<Record>(disk, &place())? {
            Some(Record { pins, version, roots }) if pins == self.pins => {
                let roots = roots.into_iter().map(|Binary(der)| der).collect();
                let advanced = self.with(Advance { version, roots });
                advanced.map_err(|_| StateError::damaged(&place()))
            }
            // Other pins: a person's word, and the last.
            Some(_) | None => Ok(self),
        }
    }

    /// Where a bundle leads from here; `None` when that is nowhere.
    pub(crate) fn advance(&self, bundle: &TrustBundle) -> Result<Option<Self>, TrustError> {
        let trusted: Vec<_> = self.roots.iter().map(|root| root.to_vec()).collect();
        let advance = trust::advance(bundle, self.version, &trusted, is_signed)?;
        advance.map(|advance| self.clone().with(advance)).transpose()
    }

    fn with(self, advance: Advance) -> Result<Self, TrustError> {
        let roots: Vec<_> = advance.roots.into_iter().map(CertificateDer::from).collect();
        Ok(Self {
            anchors: anchors(&roots)?,
            roots,
            version: advance.version,
            ..self
        })
    }

    /// Durable on return.
    pub(crate) fn save(&self, disk: &dyn Disk) -> Result<(), StateError> {
        let record = Record {
            pins: self.pins,
            version: self.version,
            roots: self.roots.iter().map(|root| Binary(root.to_vec())).collect(),
        };
        record::save(disk, &place(), &record)
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Checks what a claim earned: an id, and a chain to a pinned root for this very key.
    pub(crate) fn identity(&self, accepted: ClaimAccepted, key: &DeviceKey) -> Result<Identity, TrustError> {
        let device = DeviceId::parse(&accepted.device_id).ok_or(TrustError::DeviceId)?;
        let chain = accepted.chain;
        if chain.is_empty() || chain.len() > CHAIN_LIMIT {
            return Err(TrustError::Chain(chain.len()));
        }
        let certificates: Vec<_> = chain
            .iter()
            .map(|der| CertificateDer::from(der.0.as_slice()))
            .collect();
        let [leaf, intermediates @ ..] = certificates.as_slice() else {
            return Err(TrustError::Chain(0));
        };
        let spki = self.verify(leaf, intermediates, KeyUsage::client_auth(), self.clock.now())?;
        if spki != key.spki() {
            return Err(TrustError::OtherKey);
        }
        let not_before = Validity::of(leaf).ok_or(TrustError::Certificate)?.not_before;
        Ok(Identity::new(device, chain, not_before))
    }

    /// Checks the certificate of an envelope at a moment; gives back its SubjectPublicKeyInfo and its validity.
    pub(crate) fn signer(
        &self,
        certificate: &[u8],
        now: Believed,
    ) -> Result<(Vec<u8>, Validity), TrustError> {
        let validity = Validity::of(certificate).ok_or(TrustError::Certificate)?;
        let certificate = CertificateDer::from(certificate);
        let usage = KeyUsage::required(CONFIG_SIGNING_EKU_DER);
        let spki = self.verify(&certificate, &[], usage, now)?;
        Ok((spki, validity))
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: Believed,
    ) -> Result<Vec<u8>, TrustError> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|_| TrustError::Certificate)?;
        let at = moment(now, leaf, intermediates);
        parsed
            .verify_for_usage(ALGORITHMS, &self.anchors, intermediates, at, usage, None, None)
            .map_err(|error| TrustError::Unverified(error.to_string()))?;
        Ok(parsed.subject_public_key_info().to_vec())
    }
}

/// The moment to judge a chain with.
pub(super) fn moment(
    now: Believed,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> UnixTime {
    let begins = core::iter::once(leaf)
        .chain(intermediates)
        .filter_map(|certificate| Validity::of(certificate))
        .map(|validity| validity.not_before);
    UnixTime::since_unix_epoch(Duration::from_secs(now.for_certificates(begins)))
}

#[cfg(test)]
mod tests;
