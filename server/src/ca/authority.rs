//! The certificate authority as the service uses it: opened keys that issue by profile.

use super::{
    CaError, CertificationRequest, Passphrase, ServerNames,
    clock::{ClockGuard, STEP_BACK},
    files::{self, Stored},
    key::{PrivateKey, PublicKey},
    lint, profile,
    profile::{Alternative, Kind, Purpose, Template},
    sealed,
};
use crate::random;
use muster_domain::{
    Timestamp,
    activation::CodeKey,
    certificate::{AuthorityId, CertificateSerial, SpkiDigest},
    claim::ClaimPermit,
    device::Device,
    names::OperatorName,
};
use muster_proto::envelope::{self, Envelope};
use p256::pkcs8::LineEnding;
use rcgen::{CertificateParams, Issuer, KeyIdMethod};
use rustls::{pki_types::CertificateDer, sign};
use std::{path::Path, sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// Life of a certificate of a device or an operator.
const LEAF_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Life of a certificate of the server. It is made afresh at each start.
const SERVER_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Common name of server certificates; their real names are the alternative ones.
const SERVER_NAME: &str = "Muster server";

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
    issuer: Issuer<'static, PrivateKey>,
    certificate: Stored,
    what: &'static str,
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
            issuer: Issuer::new(params, key),
            certificate,
            what,
        }
    }

    /// Builds, signs and checks a certificate.
    pub(super) fn issue(&self, template: &Template, key: &PublicKey) -> Result<Vec<u8>, CaError> {
        let built = template.params(key)?.signed_by(key, &self.issuer)?;
        let signer = lint::Signer {
            name: &self.certificate.name,
            key: &self.certificate.key,
        };
        lint::check(built.der(), template, key, signer)?;
        Ok(built.der().to_vec())
    }

    /// Start and end of a leaf made at `now`, in whole seconds: back-dated for slow clocks, and inside the issuer's.
    fn validity(&self, now: Timestamp, life: Duration) -> (Timestamp, Timestamp) {
        let start = now.minus(STEP_BACK).seconds().max(self.certificate.not_before);
        let end = now.plus(life).seconds().min(self.certificate.not_after);
        (Timestamp::from_seconds(start), Timestamp::from_seconds(end))
    }

    fn leaf(
        &self,
        common_name: String,
        purpose: Purpose,
        names: Alternative,
        life: Life,
    ) -> Result<Template, CaError> {
        let Life {
            serial,
            not_before,
            not_after,
        } = life;
        if not_before >= not_after || not_after.seconds() > self.certificate.not_after {
            return Err(CaError::Expired(self.what));
        }
        let organisation = self.certificate.organisation.clone();
        let kind = Kind::Leaf(purpose, names);
        Ok(Template {
            kind,
            serial,
            not_before,
            not_after,
            organisation,
            common_name,
        })
    }
}

/// What is recorded of a certificate before it is signed.
struct Life {
    serial: CertificateSerial,
    not_before: Timestamp,
    not_after: Timestamp,
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
        })
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

    /// Start and end of a device certificate issued at `now`: back-dated five minutes for slow clocks, one year long,
    /// inside the life of its issuer. Whole seconds.
    pub fn validity(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        self.devices.validity(now, LEAF_LIFE)
    }

    /// The authority that signs certificates of devices now.
    pub fn device_issuer(&self) -> AuthorityId {
        self.devices.certificate.key.authority_id()
    }

    /// The authority that signs certificates of operators now.
    pub fn operator_issuer(&self) -> AuthorityId {
        self.operators.certificate.key.authority_id()
    }

    /// Issues what the permit allows: the names are the registry's, serial and validity those of the recorded intent.
    ///
    /// # Errors
    ///
    /// [`CaError::Permit`] when device or key are not those of the permit; otherwise a fault.
    pub fn issue_device(
        &self,
        permit: ClaimPermit,
        device: &Device,
        request: &CertificationRequest,
    ) -> Result<Vec<u8>, CaError> {
        let intent = *permit.intent();
        if permit.device() != device.id || intent.spki != request.digest() {
            return Err(CaError::Permit);
        }
        let life = Life {
            serial: intent.certificate,
            not_before: intent.not_before,
            not_after: intent.not_after,
        };
        let names = Alternative::Hardware(device.serial.to_string());
        let template = self
            .devices
            .leaf(device.id.to_string(), Purpose::Client, names, life)?;
        self.devices.issue(&template, request.key())
    }

    /// Certifies an operator's key.
    ///
    /// # Errors
    ///
    /// A fault; [`CaError::Expired`] when the operator CA has ended.
    pub fn issue_operator(
        &self,
        name: &OperatorName,
        request: &CertificationRequest,
        now: Timestamp,
        serial: CertificateSerial,
    ) -> Result<Vec<u8>, CaError> {
        self.certify_operator(name, request.key(), now, serial)
    }

    /// Makes a key for an operator and certifies it: for the first one, who has nobody to ask.
    ///
    /// # Errors
    ///
    /// As [`Self::fresh_serial`] and [`Self::issue_operator`].
    pub fn new_operator(&self, name: &OperatorName, now: Timestamp) -> Result<OperatorCredential, CaError> {
        let (key, document) = PrivateKey::generate()?;
        let certificate = self.certify_operator(name, key.public(), now, self.fresh_serial(now)?)?;
        let key_pem = document
            .to_pem("PRIVATE KEY", LineEnding::LF)
            .map_err(|error| CaError::Seal(error.into()))?;
        let mut chain = vec![certificate];
        chain.extend(self.operator_chain());
        Ok(OperatorCredential {
            name: name.clone(),
            key_pem,
            key: key.public().digest(),
            chain,
        })
    }

    fn certify_operator(
        &self,
        name: &OperatorName,
        key: &PublicKey,
        now: Timestamp,
        serial: CertificateSerial,
    ) -> Result<Vec<u8>, CaError> {
        let (not_before, not_after) = self.operators.validity(now, LEAF_LIFE);
        let life = Life {
            serial,
            not_before,
            not_after,
        };
        let template = self
            .operators
            .leaf(name.to_string(), Purpose::Client, Alternative::Nothing, life)?;
        self.operators.issue(&template, key)
    }

    /// Makes a server certificate with a key of its own, which never touches the disk.
    ///
    /// # Errors
    ///
    /// As [`Self::fresh_serial`]; [`CaError::Expired`] when the server CA has ended.
    pub fn server_certificate(
        &self,
        names: &ServerNames,
        now: Timestamp,
    ) -> Result<ServerCertificate, CaError> {
        let (key, _) = PrivateKey::generate()?;
        let (not_before, not_after) = self.servers.validity(now, SERVER_LIFE);
        let life = Life {
            serial: self.fresh_serial(now)?,
            not_before,
            not_after,
        };
        let names = Alternative::Server(names.as_slice().to_vec());
        let template = self
            .servers
            .leaf(SERVER_NAME.to_owned(), Purpose::Server, names, life)?;
        let certificate = self.servers.issue(&template, key.public())?;
        let chain = [certificate, self.servers.certificate.bytes.clone()]
            .map(CertificateDer::from)
            .to_vec();
        let left = not_after.seconds().saturating_sub(now.seconds());
        let renew_from = now.plus(Duration::from_secs(left / 3 * 2));
        Ok(ServerCertificate {
            chain,
            key: key.for_tls(),
            renew_from,
        })
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
