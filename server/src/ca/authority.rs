//! The certificate authority as the service uses it: opened keys that issue by profile.

use super::{
    CaError, Issuance, Passphrase,
    clock::{ClockGuard, STEP_BACK},
    files::{self, Stored},
    key::{PrivateKey, PublicKey},
    lint::{self, Proof, Sampling, Signer},
    lint_bytes, lint_defect, profile,
    profile::Template,
    profiles::{Life, NO_EXPIRY},
    sealed,
};
use crate::random;
use muster_domain::{
    Timestamp,
    activation::CodeKey,
    certificate::{AuthorityId, CertificateProfile, CertificateSerial, SpkiDigest},
    names::OperatorName,
};
use muster_proto::envelope::{self, Envelope};
use rcgen::{CertificateParams, Issuer, KeyIdMethod};
use rustls::{pki_types::CertificateDer, sign};
use std::{path::Path, sync::Arc};
use zeroize::Zeroizing;

pub(super) const ROOT_CA: &str = "root CA";
pub(super) const DEVICE_CA: &str = "device CA";
pub(super) const OPERATOR_CA: &str = "operator CA";
pub(super) const SERVER_CA: &str = "server CA";
pub(super) const CONFIG_SIGNER: &str = "config signer";

/// Common name of a certificate of the authority. `mark` tells authorities of one organisation apart, for people and for
/// software that looks up by name.
pub(super) fn authority_name(what: &str, mark: &str) -> String {
    format!("Muster {what} {mark}")
}

/// An authority that issues leaves of one purpose.
#[derive(Debug)]
pub(super) struct Issuing {
    /// What rcgen takes of an issuer: its name and the identifier of its key.
    params: CertificateParams,
    pub(super) key: PrivateKey,
    pub(super) certificate: Stored,
    pub(super) what: &'static str,
    sampling: Sampling,
}

/// The opened certificate authority.
#[derive(Debug)]
pub struct Ca {
    root: Stored,
    devices: Issuing,
    operators: Issuing,
    servers: Issuing,
    config: (PrivateKey, Stored),
    code_key: CodeKey,
    guard: ClockGuard,
    issuance: Issuance,
}

/// A fresh operator's key and certificate.
pub struct OperatorCredential {
    /// As certified.
    pub name: OperatorName,
    /// The private key, PKCS#8 in PEM, not encrypted: for a file of mode 0600.
    pub key_pem: Zeroizing<String>,
    /// The name of the key, as the registry records it.
    pub key: SpkiDigest,
    /// DER; the operator's own certificate first.
    pub chain: Vec<Vec<u8>>,
}

/// A certificate and key of the server, for TLS.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Arc<dyn sign::SigningKey>,
    /// From then on a new one should replace it: two thirds of its life.
    pub renew_from: Timestamp,
}

/// One certificate of the authority itself, for status and warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// What it is, such as `device CA`.
    pub what: &'static str,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Issuing {
    /// `key` is the key of `certificate`.
    pub(super) fn new(certificate: Stored, key: PrivateKey, what: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name =
            profile::distinguished_name(&certificate.organisation, &certificate.common_name);
        params.key_identifier_method = KeyIdMethod::PreSpecified(certificate.key.identifier());
        Self {
            params,
            key,
            certificate,
            what,
            sampling: Sampling::default(),
        }
    }

    /// Its name for ever.
    pub(super) fn id(&self) -> AuthorityId {
        self.certificate.key.authority_id()
    }

    pub(super) fn signer(&self) -> Signer<'_> {
        Signer {
            name: &self.certificate.name,
            key: &self.certificate.key,
        }
    }

    /// What rcgen signs with.
    pub(super) fn issuer<K: rcgen::SigningKey>(&self, key: K) -> Issuer<'_, K> {
        Issuer::from_params(&self.params, key)
    }

    /// Builds, checks, signs, and checks again.
    pub(super) fn issue(
        &self,
        template: &Template,
        key: &PublicKey,
        proof: Proof,
    ) -> Result<Vec<u8>, CaError> {
        lint::check_order(template)?;
        let signer = self.signer();
        let expected = lint_bytes::to_be_signed(template, key, signer);
        let params = template.params(key)?;
        lint::signed(
            &self.key,
            &expected,
            self.sampling.is_due(proof).then_some(signer.key),
            |bound| Ok(params.signed_by(key, &self.issuer(bound))?.der().to_vec()),
            |other| lint_defect::of(other, template, key, signer),
        )
    }

    /// Start and end of a leaf made at `now`, in whole seconds: back-dated for slow clocks, and inside the issuer's, unless
    /// it has no well-defined end.
    pub(super) fn validity(&self, now: Timestamp, life: Life) -> (Timestamp, Timestamp) {
        let start = now.minus(STEP_BACK).seconds().max(self.certificate.not_before);
        let end = match life {
            Life::For(life) => now.plus(life).seconds().min(self.certificate.not_after),
            Life::Endless => NO_EXPIRY.seconds(),
        };
        (Timestamp::from_seconds(start), Timestamp::from_seconds(end))
    }
}

/// A serial for an instant: 16 bytes, positive, unique by 80 random bits.
pub(super) fn serial(now: Timestamp) -> Result<CertificateSerial, CaError> {
    Ok(CertificateSerial::new(now, random::number()?))
}

impl Ca {
    /// Opens the authority in `directory`, which [`init`](super::init()) made, and checks that its parts belong together.
    ///
    /// # Errors
    ///
    /// [`CaError::Missing`], [`CaError::Passphrase`] when the passphrase is wrong, [`CaError::Damaged`] or
    /// [`CaError::File`].
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, CaError> {
        let directory = directory.join(files::AUTHORITY);
        if !directory.exists() {
            return Err(CaError::Missing(directory));
        }
        // 1. What is public: cheap to check, and a foreign part is named before any key is derived.
        let root = Stored::read(directory.join(files::ROOT))?;
        let signed = |name: &str, what: &str| -> Result<Stored, CaError> {
            let certificate = Stored::read(directory.join(name))?;
            let path = &certificate.path;
            if !certificate.is_signed_by(&root) {
                return Err(CaError::damaged(path, "is not signed by the root"));
            }
            // Two files that changed places would change what each port lets in.
            if !certificate.common_name.starts_with(&authority_name(what, "")) {
                return Err(CaError::damaged(path, "is another certificate of this authority"));
            }
            Ok(certificate)
        };
        let devices = signed(files::DEVICES, DEVICE_CA)?;
        let operators = signed(files::OPERATORS, OPERATOR_CA)?;
        let servers = signed(files::SERVERS, SERVER_CA)?;
        let config = signed(files::CONFIG, CONFIG_SIGNER)?;
        // 2. What is sealed.
        let unseal = |name: &str| -> Result<_, CaError> {
            let path = directory.join(name);
            let document = sealed::open(&files::read(&path)?, passphrase, &path)?;
            Ok((document, path))
        };
        let key_of = |certificate: &Stored, name: &str| -> Result<PrivateKey, CaError> {
            let (document, path) = unseal(name)?;
            let key = PrivateKey::from_pkcs8(document.as_bytes())
                .map_err(|_| CaError::damaged(path, "is not a P-256 key"))?;
            if certificate.key != *key.public() {
                return Err(CaError::damaged(
                    &certificate.path,
                    "is not the certificate of its key",
                ));
            }
            Ok(key)
        };
        let issuing = |certificate: Stored, name, what| -> Result<Issuing, CaError> {
            let key = key_of(&certificate, name)?;
            Ok(Issuing::new(certificate, key, what))
        };
        let (codes, codes_path) = unseal(files::CODES_KEY)?;
        // Nothing was issued before the authority was.
        let guard = ClockGuard::new(Timestamp::from_seconds(devices.not_before));
        Ok(Self {
            devices: issuing(devices, files::DEVICES_KEY, DEVICE_CA)?,
            operators: issuing(operators, files::OPERATORS_KEY, OPERATOR_CA)?,
            servers: issuing(servers, files::SERVERS_KEY, SERVER_CA)?,
            config: (key_of(&config, files::CONFIG_KEY)?, config),
            code_key: sealed::code_key(&codes, &codes_path)?,
            root,
            guard,
            issuance: Issuance::built_in().map_err(CaError::Profiles)?,
        })
    }

    /// The same authority, issuing by these settings.
    #[must_use]
    pub fn issuing(mut self, issuance: Issuance) -> Self {
        self.issuance = issuance;
        self
    }

    /// Who issues certificates of this profile.
    pub(super) const fn issuer_of(&self, profile: CertificateProfile) -> &Issuing {
        match profile {
            CertificateProfile::Device | CertificateProfile::Gateway => &self.devices,
            CertificateProfile::Operator | CertificateProfile::Line | CertificateProfile::Integrator => {
                &self.operators
            }
            CertificateProfile::Server => &self.servers,
        }
    }

    /// An issuing authority by its name.
    pub(super) fn authority(&self, id: AuthorityId) -> Result<&Issuing, CaError> {
        [&self.devices, &self.operators, &self.servers]
            .into_iter()
            .find(|issuing| issuing.id() == id)
            .ok_or(CaError::Foreign(id))
    }

    /// How certificates are issued.
    pub(super) const fn issuance(&self) -> &Issuance {
        &self.issuance
    }

    /// Do the settings say where revocation lists are? Without that there are none.
    pub const fn names_lists(&self) -> bool {
        self.issuance.crl_url().is_some()
    }

    /// The name of the authority that issues certificates of this profile.
    pub fn issuer(&self, profile: CertificateProfile) -> AuthorityId {
        self.issuer_of(profile).id()
    }

    /// The names of all issuing authorities: each has revocation lists of its own.
    pub fn issuers(&self) -> Vec<AuthorityId> {
        [&self.devices, &self.operators, &self.servers]
            .map(Issuing::id)
            .to_vec()
    }

    /// The certificate of an issuing authority, DER: what certificates name as their issuer's.
    ///
    /// # Errors
    ///
    /// [`CaError::Foreign`] when it is none of ours.
    pub fn issuer_certificate(&self, id: AuthorityId) -> Result<Vec<u8>, CaError> {
        Ok(self.authority(id)?.certificate.bytes.clone())
    }

    /// A serial for a certificate to be issued at `now`.
    ///
    /// # Errors
    ///
    /// [`CaError::ClockBehind`] when the clock went back more than five minutes behind what was issued before.
    pub fn fresh_serial(&self, now: Timestamp) -> Result<CertificateSerial, CaError> {
        self.guard.pass(now)?;
        serial(now)
    }

    /// Tells the authority that a certificate was issued at `at`, before this start: the clock may not be behind it.
    pub fn issued_until(&self, at: Timestamp) {
        self.guard.advance(at);
    }

    /// Signs an encoded desired state.
    ///
    /// # Errors
    ///
    /// [`CaError::Key`] when the provider fails.
    pub fn seal_desired(&self, payload: Vec<u8>) -> Result<Envelope, CaError> {
        let (key, certificate) = &self.config;
        let signature = key
            .sign(&envelope::signing_input(&payload))
            .map_err(CaError::Key)?;
        Ok(Envelope::new(certificate.bytes.clone(), payload, signature))
    }

    /// What a device sends behind its own certificate, DER.
    pub fn device_chain(&self) -> Vec<Vec<u8>> {
        vec![self.devices.certificate.bytes.clone()]
    }

    /// What an operator sends behind their own certificate, DER.
    pub fn operator_chain(&self) -> Vec<Vec<u8>> {
        vec![self.operators.certificate.bytes.clone()]
    }

    /// What devices and operators pin, DER.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        vec![self.root.bytes.clone()]
    }

    /// The key of the hashes of activation codes.
    pub const fn code_key(&self) -> &CodeKey {
        &self.code_key
    }

    /// The authority's own certificates and when they end: an operator must renew them with the root key in time.
    pub fn authorities(&self) -> Vec<Authority> {
        [
            (ROOT_CA, &self.root),
            (DEVICE_CA, &self.devices.certificate),
            (OPERATOR_CA, &self.operators.certificate),
            (SERVER_CA, &self.servers.certificate),
            (CONFIG_SIGNER, &self.config.1),
        ]
        .map(|(what, certificate)| Authority {
            what,
            not_after: Timestamp::from_seconds(certificate.not_after),
        })
        .to_vec()
    }
}

impl std::fmt::Debug for OperatorCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorCredential")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
