//! The certificate authority as the service uses it: opened keys that issue by profile.

use super::{
    AuthorityKind, CaError, Issuance, Passphrase,
    clock::{ClockGuard, STEP_BACK},
    files::{self, Stored},
    generations::{Generations, Held},
    hierarchy::{Generation, Hierarchy},
    key::{PrivateKey, PublicKey},
    leaf,
    lint::{self, Proof, Sampling, Signer},
    lint_bytes, lint_defect, lint_read, profile,
    profile::Template,
    profiles::{Life, NO_EXPIRY},
    sealed,
    secret_key::SecretKey,
    trust::History,
};
use crate::random;
use muster_domain::{
    Timestamp,
    activation::CodeKey,
    certificate::{AuthorityId, CertificateProfile, CertificateSerial, SpkiDigest},
    names::OperatorName,
};
use muster_proto::{
    envelope::{self, Envelope},
    payload::TrustBundle,
};
use rcgen::{CertificateParams, Issuer, KeyIdMethod};
use rustls::{pki_types::CertificateDer, sign};
use std::{path::Path, sync::Arc};
use zeroize::Zeroizing;

/// An authority that issues leaves of one purpose.
#[derive(Debug)]
pub(super) struct Issuing {
    /// What rcgen takes of an issuer: its name and the identifier of its key.
    params: CertificateParams,
    pub(super) key: PrivateKey,
    pub(super) certificate: Stored,
    /// Itself, and links to older roots: what stands between a leaf and whatever root its reader pinned. DER.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) what: &'static str,
    sampling: Sampling,
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
    pub(super) roots: Vec<Stored>,
    trust: History,
    pub(super) devices: Generations<Issuing>,
    pub(super) operators: Generations<Issuing>,
    pub(super) servers: Generations<Issuing>,
    pub(super) config: Generations<Signing>,
    /// Programs before this key made none.
    pub(super) checkpoint: Option<Generations<Signing>>,
    code_key: CodeKey,
    pub(super) secret_key: SecretKey,
    /// One for all that follow each other in a process.
    guard: Arc<ClockGuard>,
    issuance: Issuance,
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
            params,
            key,
            certificate,
            chain,
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
        if !self.sampling.is_due(proof) {
            lint_read::check(&expected, template, key, signer)?;
            return lint::signed_in_bulk(&self.key, &expected);
        }
        let params = template.params(key)?;
        lint::signed(
            &self.key,
            &expected,
            Some(signer.key),
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
        let code_key = sealed::code_key(&files::read(&codes)?, passphrase, &codes)?;
        let secret_key = SecretKey::open_or_make(&hierarchy.directory, passphrase)?;
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
            secret_key,
            guard: Arc::new(ClockGuard::new(Timestamp::from_seconds(since))),
            roots: hierarchy
                .roots
                .iter()
                .map(|root| root.certificate.clone())
                .collect(),
            trust: hierarchy.trust,
            issuance: Issuance::built_in().map_err(CaError::Profiles)?,
        })
    }

    /// The same authority, issuing by these settings.
    #[must_use]
    pub fn issuing(mut self, issuance: Issuance) -> Self {
        self.issuance = issuance;
        self
    }

    /// The same authority, opened again while `former` was at work: what that one issued, this one issued.
    #[must_use]
    pub fn following(mut self, former: &Self) -> Self {
        self.guard = Arc::clone(&former.guard);
        self
    }

    /// Who issues certificates of this profile, in all generations.
    const fn issuers_of(&self, profile: CertificateProfile) -> &Generations<Issuing> {
        match profile {
            CertificateProfile::Device | CertificateProfile::Gateway => &self.devices,
            CertificateProfile::Operator | CertificateProfile::Line | CertificateProfile::Integrator => {
                &self.operators
            }
            CertificateProfile::Server => &self.servers,
        }
    }

    /// Who issues certificates of this profile at `now`.
    pub(super) fn issuer_of(&self, profile: CertificateProfile, now: Timestamp) -> &Issuing {
        self.issuers_of(profile).working(now)
    }

    /// Who was meant to sign a certificate of this profile, or at least can.
    ///
    /// # Errors
    ///
    /// [`CaError::Permit`] when it is one of ours that issues no such certificates.
    pub(super) fn meant(
        &self,
        profile: CertificateProfile,
        issuer: Option<AuthorityId>,
        not_before: Timestamp,
    ) -> Result<&Issuing, CaError> {
        let issuers = self.issuers_of(profile);
        if let Some(id) = issuer {
            if let Some(meant) = issuers.by_id(id) {
                return Ok(meant);
            }
            if self.authority(id).is_ok() {
                return Err(CaError::Permit);
            }
        }
        // Intents of older programs name nobody, and an authority that was removed signs no more.
        Ok(issuers.working(not_before.plus(STEP_BACK)))
    }

    /// An issuing authority by its name.
    pub(super) fn authority(&self, id: AuthorityId) -> Result<&Issuing, CaError> {
        self.all_issuers()
            .find(|issuing| issuing.id() == id)
            .ok_or(CaError::Foreign(id))
    }

    fn all_issuers(&self) -> impl Iterator<Item = &Issuing> {
        let kinds = [&self.devices, &self.operators, &self.servers];
        kinds.into_iter().flat_map(Generations::all)
    }

    /// How certificates are issued.
    pub(super) const fn issuance(&self) -> &Issuance {
        &self.issuance
    }

    /// Do the settings say where revocation lists are? Without that there are none.
    pub const fn names_lists(&self) -> bool {
        self.issuance.crl_url().is_some()
    }

    /// The name of the authority that issues certificates of this profile at `now`.
    pub fn issuer(&self, profile: CertificateProfile, now: Timestamp) -> AuthorityId {
        self.issuer_of(profile, now).id()
    }

    /// The names of all issuing authorities: each has revocation lists of its own.
    pub fn issuers(&self) -> Vec<AuthorityId> {
        self.all_issuers().map(Issuing::id).collect()
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
    pub fn seal_desired(&self, payload: Vec<u8>, now: Timestamp) -> Result<Envelope, CaError> {
        self.envelope(payload, envelope::signing_input, now)
    }

    /// Signs encoded sealed secrets.
    ///
    /// # Errors
    ///
    /// [`CaError::Key`] when the provider fails.
    pub fn sign_sealed(&self, payload: Vec<u8>, now: Timestamp) -> Result<Envelope, CaError> {
        self.envelope(payload, envelope::sealed_signing_input, now)
    }

    fn envelope(
        &self,
        payload: Vec<u8>,
        signing_input: fn(&[u8]) -> Vec<u8>,
        now: Timestamp,
    ) -> Result<Envelope, CaError> {
        let signer = self.config.working(now);
        let signature = signer.sign(&signing_input(&payload))?;
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

    /// The trusted authority of devices that a certificate names as its issuer, if it names one.
    pub fn device_issuer_of(&self, certificate: &[u8]) -> Option<AuthorityId> {
        leaf::issuer(certificate).filter(|id| self.trusts_devices_of(*id))
    }

    /// Does a certificate name one of the trusted authorities of operators as its issuer?
    pub fn has_operator_issuer_of(&self, certificate: &[u8]) -> bool {
        leaf::issuer(certificate).is_some_and(|id| self.operators.by_id(id).is_some())
    }

    /// Are certificates of devices let in that this authority signed?
    pub fn trusts_devices_of(&self, authority: AuthorityId) -> bool {
        self.devices.by_id(authority).is_some()
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

    /// The newest version of what devices are to trust; 0 as long as that is what they were made with.
    pub fn trust_version(&self) -> u64 {
        self.trust.next() - 1
    }

    /// How a device comes from version `held` of what it trusts to the newest.
    pub fn trust_above(&self, held: u64) -> TrustBundle {
        self.trust.above(held)
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
