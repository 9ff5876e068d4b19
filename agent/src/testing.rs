//! A registry's keys and certificates, made anew for each test, and desired state signed with them.
//!
//! Shared with `tests/it`, which has no other way to it.

use muster_proto::{
    envelope::{CONFIG_SIGNING_EKU, Envelope, sealed_signing_input, signing_input},
    payload::{self, Desired, Digest, File, Location, Sealed},
    topic::Encoding,
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SigningKey as _, date_time_ymd,
};

pub(crate) const DEVICE: &str = "01jnb3zv8k6c2q4x7d9ftg5hwm";
pub(crate) const OTHER_DEVICE: &str = "01jnb3zv8k6c2q4x7d9ftg5hwn";

/// A certificate and its key.
pub(crate) struct Signer {
    pub(crate) certificate: Certificate,
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
}

impl Signer {
    pub(crate) fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority(name);
        Self {
            certificate: params.self_signed(&key).unwrap(),
            params,
            key,
        }
    }

    /// A certificate below this one.
    pub(crate) fn issue(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        Self {
            certificate,
            params,
            key,
        }
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }
}

/// From 2020 to 2060: tests may run whenever, and turn the clock as they like.
pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2060, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

pub(crate) fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

pub(crate) fn config_signing() -> CertificateParams {
    let mut params = params("configuration signing");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(CONFIG_SIGNING_EKU.to_vec())];
    params
}

pub(crate) fn client(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Root, issuing authority, configuration signer.
pub(crate) struct Pki {
    pub(crate) root: Signer,
    pub(crate) issuing: Signer,
    pub(crate) config: Signer,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let root = Signer::root("test root");
        Self {
            issuing: root.issue(authority("test issuing")),
            config: root.issue(config_signing()),
            root,
        }
    }

    pub(crate) fn seal(&self, desired: &Desired) -> Vec<u8> {
        seal(&self.config, desired)
    }
}

/// An envelope, signed by whoever.
pub(crate) fn seal(signer: &Signer, desired: &Desired) -> Vec<u8> {
    seal_bytes(signer, payload::encode(desired, Encoding::Postcard).unwrap())
}

/// The same around whatever bytes.
pub(crate) fn seal_bytes(signer: &Signer, payload: Vec<u8>) -> Vec<u8> {
    let signature = signer.key.sign(&signing_input(&payload)).unwrap();
    let envelope = Envelope::new(signer.der(), payload, signature);
    payload::encode(&envelope, Encoding::Postcard).unwrap()
}

/// Sealed secrets in an envelope, signed by whoever.
pub(crate) fn seal_secrets(signer: &Signer, sealed: &Sealed) -> Vec<u8> {
    let payload = payload::encode(sealed, Encoding::Postcard).unwrap();
    let signature = signer.key.sign(&sealed_signing_input(&payload)).unwrap();
    let envelope = Envelope::new(signer.der(), payload, signature);
    payload::encode(&envelope, Encoding::Postcard).unwrap()
}

/// Desired state with two files and a place, signed "now" in 2026-12.
pub(crate) fn desired(device: &str, generation: u64) -> Desired {
    Desired {
        device_id: device.into(),
        generation,
        issued_at: 1_796_000_000,
        digest: Digest([u8::try_from(generation % 251).unwrap(); 32]),
        profile: Some(format!("gateway@{generation}")),
        files: vec![
            File {
                key: "network.toml".into(),
                content: format!("generation = {generation}\n"),
            },
            File {
                key: "modem.conf".into(),
                content: format!("apn=m2m.example;{generation}\n"),
            },
        ],
        location: Some(Location {
            site: "ZRH-1".into(),
            name: format!("Depot {generation}"),
            country: "CH".into(),
            coordinates: None,
            time_zone: "Europe/Zurich".into(),
            utc_offset_seconds: 3600,
            position: None,
        }),
        firmware: None,
    }
}
