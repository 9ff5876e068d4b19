//! The certificate authority as the service uses it: opened keys that issue by profile.

use super::{
    AuthorityKind, CaError, CertificationRequest, Passphrase, ServerNames,
    clock::{ClockGuard, STEP_BACK},
    files::{self, Stored},
    generations::{Generations, Held},
    hierarchy::{Generation, Hierarchy},
    key::{PrivateKey, PublicKey},
    leaf, lint, profile,
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

/// An authority that issues leaves of one purpose.
#[derive(Debug)]
pub(super) struct Issuing {
    issuer: Issuer<'static, PrivateKey>,
    certificate: Stored,
    /// Itself, and links to older roots: what stands between a leaf and whatever root its reader pinned. DER.
    chain: Vec<Vec<u8>>,
    what: &'static str,
}

/// A key that signs something else than certificates.
#[derive(Debug)]
pub(super) struct Signing {
    key: PrivateKey,
    certificate: Stored,
}

/// The opened certificate authority.
#[derive(Debug)]
pub struct Ca {
    /// The oldest first.
    roots: Vec<Stored>,
    devices: Generations<Issuing>,
    operators: Generations<Issuing>,
    servers: Generations<Issuing>,
    config: Generations<Signing>,
    /// Programs before this key made none.
    checkpoint: Option<Generations<Signing>>,
    code_key: CodeKey,
    guard: ClockGuard,
}

impl Held for Issuing {
    fn certificate(&self) -> &Stored {
        &self.certificate
    }
}

impl Held for Signing {
    fn certificate(&self) -> &Stored {
        &self.certificate
    }
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

impl Issuing {
    /// `key` is the key of `certificate`.
    pub(super) fn new(certificate: Stored, key: PrivateKey, what: &'static str) -> Self {
        let chain = vec![certificate.bytes.clone()];
        Self::with_chain(certificate, key, chain, what)
    }

    fn with_chain(certificate: Stored, key: PrivateKey, chain: Vec<Vec<u8>>, what: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name =
            profile::distinguished_name(&certificate.organisation, &certificate.common_name);
        params.key_identifier_method = KeyIdMethod::PreSpecified(certificate.key.identifier());
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            chain,
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
        // 1. What is public: cheap to check, and a foreign part is named before any key is derived.
        let hierarchy = Hierarchy::read(directory)?;
        // 2. What is sealed.
        let issuing = |kind: AuthorityKind| {
            let open = |one: &Generation| {
                let key = key_of(one, passphrase)?;
                let (certificate, chain) = (one.certificate.clone(), one.chain.clone());
                Ok(Issuing::with_chain(certificate, key, chain, kind.what()))
            };
            Generations::open(&hierarchy, kind, open)?.ok_or_else(|| missing(&hierarchy, kind))
        };
        let signing = |kind: AuthorityKind| {
            let open = |one: &Generation| {
                let (key, certificate) = (key_of(one, passphrase)?, one.certificate.clone());
                Ok(Signing { key, certificate })
            };
            Generations::open(&hierarchy, kind, open)
        };
        let codes = hierarchy.directory.join(files::CODES_KEY);
        let code_key = sealed::code_key(&sealed::open(&files::read(&codes)?, passphrase, &codes)?, &codes)?;
        // Nothing was issued before the authority was.
        let newest = hierarchy.of(AuthorityKind::Devices).first();
        let since = newest.map_or(0, |newest| newest.certificate.not_before);
        Ok(Self {
            devices: issuing(AuthorityKind::Devices)?,
            operators: issuing(AuthorityKind::Operators)?,
            servers: issuing(AuthorityKind::Servers)?,
            config: signing(AuthorityKind::Config)?
                .ok_or_else(|| missing(&hierarchy, AuthorityKind::Config))?,
            checkpoint: signing(AuthorityKind::Checkpoint)?,
            code_key,
            guard: ClockGuard::new(Timestamp::from_seconds(since)),
            roots: hierarchy
                .roots
                .iter()
                .map(|root| root.certificate.clone())
                .collect(),
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
        self.devices.working(now).validity(now, LEAF_LIFE)
    }

    /// The authority that signs a device certificate issued at `now`.
    pub fn device_issuer(&self, now: Timestamp) -> AuthorityId {
        self.devices.working(now).certificate.id()
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
        // The one that was meant before signing. Where that is gone, whoever works instead.
        let meant = intent.issuer.and_then(|issuer| self.devices.by_id(issuer));
        let issuer = meant.unwrap_or_else(|| self.devices.working(intent.not_before.plus(STEP_BACK)));
        let template = issuer.leaf(device.id.to_string(), Purpose::Client, names, life)?;
        issuer.issue(&template, request.key())
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
        let chain = self.with_chain(certificate);
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
        let operators = self.operators.working(now);
        let (not_before, not_after) = operators.validity(now, LEAF_LIFE);
        let life = Life {
            serial,
            not_before,
            not_after,
        };
        let template = operators.leaf(name.to_string(), Purpose::Client, Alternative::Nothing, life)?;
        operators.issue(&template, key)
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
        let servers = self.servers.working(now);
        let (not_before, not_after) = servers.validity(now, SERVER_LIFE);
        let life = Life {
            serial: self.fresh_serial(now)?,
            not_before,
            not_after,
        };
        let names = Alternative::Server(names.as_slice().to_vec());
        let template = servers.leaf(SERVER_NAME.to_owned(), Purpose::Server, names, life)?;
        let certificate = servers.issue(&template, key.public())?;
        let chain = std::iter::once(certificate).chain(servers.chain.iter().cloned());
        let chain = chain.map(CertificateDer::from).collect();
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
    pub fn seal_desired(&self, payload: Vec<u8>, now: Timestamp) -> Result<Envelope, CaError> {
        let signer = self.config.working(now);
        let signature = signer.sign(&envelope::signing_input(&payload))?;
        Ok(Envelope::new(
            signer.certificate.bytes.clone(),
            payload,
            signature,
        ))
    }

    /// Signs a checkpoint of the audit log: the signature (ECDSA-Sig-Value over SHA-256), and the certificate of its key, DER.
    ///
    /// # Errors
    ///
    /// [`CaError::Kind`] when an older program made the authority, without this key; [`CaError::Key`].
    pub fn sign_checkpoint(&self, bytes: &[u8], now: Timestamp) -> Result<(Vec<u8>, Vec<u8>), CaError> {
        let signers = self.checkpoint.as_ref();
        let signer = signers
            .ok_or(CaError::Kind(AuthorityKind::Checkpoint))?
            .working(now);
        Ok((signer.sign(bytes)?, signer.certificate.bytes.clone()))
    }

    /// A certificate of ours, and what its holder sends behind it: the authority that signed it, and links to older roots.
    /// Nothing is added to one of somebody else, or of an authority that is gone.
    pub fn with_chain(&self, certificate: Vec<u8>) -> Vec<Vec<u8>> {
        let issuer = leaf::issuer(&certificate);
        let issuer = issuer.and_then(|id| self.devices.by_id(id).or_else(|| self.operators.by_id(id)));
        let above = issuer.map_or(&[][..], |issuer| &issuer.chain);
        std::iter::once(certificate)
            .chain(above.iter().cloned())
            .collect()
    }

    /// The authorities whose device certificates are let in, DER.
    pub fn device_anchors(&self) -> Vec<Vec<u8>> {
        anchors(&self.devices)
    }

    /// The authorities whose operator certificates are let in, DER.
    pub fn operator_anchors(&self) -> Vec<Vec<u8>> {
        anchors(&self.operators)
    }

    /// What devices and operators pin, DER; the oldest first.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        self.roots.iter().map(|root| root.bytes.clone()).collect()
    }

    /// The key of the hashes of activation codes.
    pub const fn code_key(&self) -> &CodeKey {
        &self.code_key
    }
}

impl Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        self.key.sign(message).map_err(CaError::Key)
    }
}

fn anchors(authorities: &Generations<Issuing>) -> Vec<Vec<u8>> {
    let all = authorities.all();
    all.map(|one| one.certificate.bytes.clone()).collect()
}

fn missing(hierarchy: &Hierarchy, kind: AuthorityKind) -> CaError {
    CaError::Missing(hierarchy.directory.join(kind.as_str()))
}

/// Opens the key of a generation, and holds it against the certificate.
pub(super) fn key_of(generation: &Generation, passphrase: &Passphrase) -> Result<PrivateKey, CaError> {
    let path = &generation.key;
    let key = sealed::private_key(path, passphrase)?;
    if generation.certificate.key != *key.public() {
        return Err(CaError::damaged(
            &generation.certificate.path,
            "is not the certificate of its key",
        ));
    }
    Ok(key)
}

impl std::fmt::Debug for OperatorCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorCredential")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
