//! Issuing certificates of each profile, and looking again at those that were issued.

use super::{
    Ca, CaError, CertificationRequest, OperatorCredential, ServerCertificate, ServerNames,
    crl_url::CrlUrl,
    key::{PrivateKey, PublicKey},
    lint::{self, Defect, Proof},
    profile::{Alternative, Kind, Locations, Template},
    profiles::NO_EXPIRY,
};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CertificateHolder, CertificateProfile, CertificateRecord, CertificateSerial},
    claim::ClaimPermit,
    device::Device,
    names::{OperatorName, Serial},
};
use p256::pkcs8::LineEnding;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::FromDer as _,
};

/// Common name of server certificates; their real names are the alternative ones.
const SERVER_NAME: &str = "Muster server";

/// What is recorded of a certificate before it is signed.
#[derive(Debug, Clone, Copy)]
struct Intended {
    profile: CertificateProfile,
    serial: CertificateSerial,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Ca {
    /// Start and end of a certificate issued at `now`: back-dated five minutes for slow clocks, as long as its profile says,
    /// inside the life of its issuer. Whole seconds.
    pub fn validity(&self, profile: CertificateProfile, now: Timestamp) -> (Timestamp, Timestamp) {
        self.issuer_of(profile)
            .validity(now, self.issuance().profile(profile).life)
    }

    /// From when on the holder of a certificate with this validity should ask for the next, before any jitter; `None`
    /// when it need not: it has no end, or people renew it.
    pub fn renew_from(
        &self,
        profile: CertificateProfile,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Option<Timestamp> {
        self.issuance().profile(profile).renew_from(not_before, not_after)
    }

    /// Issues what the permit allows: the names are the registry's; profile, serial and validity those of the recorded
    /// intent. The signature is verified.
    ///
    /// # Errors
    ///
    /// [`CaError::Permit`] when device, key, profile or issuer are not those of the permit; otherwise a fault.
    pub fn issue_device(
        &self,
        permit: ClaimPermit,
        device: &Device,
        request: &CertificationRequest,
    ) -> Result<Vec<u8>, CaError> {
        self.certify_device(permit, device, request, Proof::Always)
    }

    /// The same for one of very many: signatures are verified by sampling. The check of the registry verifies them all.
    ///
    /// # Errors
    ///
    /// As [`Self::issue_device`].
    pub fn issue_device_in_bulk(
        &self,
        permit: ClaimPermit,
        device: &Device,
        request: &CertificationRequest,
    ) -> Result<Vec<u8>, CaError> {
        self.certify_device(permit, device, request, Proof::Sampled)
    }

    fn certify_device(
        &self,
        permit: ClaimPermit,
        device: &Device,
        request: &CertificationRequest,
        proof: Proof,
    ) -> Result<Vec<u8>, CaError> {
        let intent = *permit.intent();
        let is_device = matches!(
            intent.profile,
            CertificateProfile::Device | CertificateProfile::Gateway
        );
        if permit.device() != device.id || intent.spki != request.digest() || !is_device {
            return Err(CaError::Permit);
        }
        let issuer = self.issuer_of(intent.profile);
        // Intents of programs before there was a choice have no issuer.
        if intent.issuer.is_some_and(|id| id != issuer.id()) {
            return Err(CaError::Permit);
        }
        let intended = Intended {
            profile: intent.profile,
            serial: intent.certificate,
            not_before: intent.not_before,
            not_after: intent.not_after,
        };
        let names = Alternative::Hardware(device.serial.to_string());
        let template = self.template(intended, device.id.to_string(), names)?;
        issuer.issue(&template, request.key(), proof)
    }

    /// Certifies the key of a person or machine that operates the registry, by one of the operators' profiles.
    ///
    /// # Errors
    ///
    /// [`CaError::Permit`] when the profile is none of theirs; [`CaError::Expired`] when the operator CA has ended;
    /// otherwise a fault.
    pub fn issue_operator(
        &self,
        profile: CertificateProfile,
        name: &OperatorName,
        request: &CertificationRequest,
        now: Timestamp,
        serial: CertificateSerial,
    ) -> Result<Vec<u8>, CaError> {
        self.certify_operator(profile, name, request.key(), now, serial)
    }

    /// Makes a key for an operator and certifies it: for the first one, who has nobody to ask.
    ///
    /// # Errors
    ///
    /// As [`Self::fresh_serial`] and [`Self::issue_operator`].
    pub fn new_operator(&self, name: &OperatorName, now: Timestamp) -> Result<OperatorCredential, CaError> {
        let (key, document) = PrivateKey::generate()?;
        let certificate = self.certify_operator(
            CertificateProfile::Operator,
            name,
            key.public(),
            now,
            self.fresh_serial(now)?,
        )?;
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
        profile: CertificateProfile,
        name: &OperatorName,
        key: &PublicKey,
        now: Timestamp,
        serial: CertificateSerial,
    ) -> Result<Vec<u8>, CaError> {
        let is_operator = matches!(
            profile,
            CertificateProfile::Operator | CertificateProfile::Line | CertificateProfile::Integrator
        );
        if !is_operator {
            return Err(CaError::Permit);
        }
        let (not_before, not_after) = self.validity(profile, now);
        let intended = Intended {
            profile,
            serial,
            not_before,
            not_after,
        };
        let template = self.template(intended, name.to_string(), Alternative::Nothing)?;
        self.issuer_of(profile).issue(&template, key, Proof::Always)
    }

    /// What a certificate of ours looks like.
    fn template(
        &self,
        intended: Intended,
        common_name: String,
        names: Alternative,
    ) -> Result<Template, CaError> {
        let Intended {
            profile,
            serial,
            not_before,
            not_after,
        } = intended;
        let (issuer, form) = (self.issuer_of(profile), self.issuance().profile(profile));
        // An intent without an end stays one when the settings change.
        let is_inside = not_after.seconds() <= issuer.certificate.not_after
            || (not_after == NO_EXPIRY && matches!(names, Alternative::Hardware(_)));
        if not_before >= not_after || !is_inside {
            return Err(CaError::Expired(issuer.what));
        }
        let id = issuer.id();
        Ok(Template {
            kind: Kind::Leaf(form.purpose, names),
            serial,
            not_before,
            not_after,
            organisation: issuer.certificate.organisation.clone(),
            unit: form.unit.clone(),
            common_name,
            locations: self
                .issuance()
                .crl_url()
                .map(|url| Locations::at(url, id, serial)),
        })
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
        let profile = CertificateProfile::Server;
        let issuer = self.issuer_of(profile);
        let (key, _) = PrivateKey::generate()?;
        let (not_before, not_after) = self.validity(profile, now);
        let intended = Intended {
            profile,
            serial: self.fresh_serial(now)?,
            not_before,
            not_after,
        };
        let names = Alternative::Server(names.as_slice().to_vec());
        let template = self.template(intended, SERVER_NAME.to_owned(), names)?;
        let certificate = issuer.issue(&template, key.public(), Proof::Always)?;
        let chain = [certificate, issuer.certificate.bytes.clone()]
            .map(CertificateDer::from)
            .to_vec();
        Ok(ServerCertificate {
            chain,
            key: key.for_tls(),
            renew_from: self.renew_from(profile, now, not_after).unwrap_or(not_after),
        })
    }

    /// Is `record.der` what was recorded, as its profile has it, whole and rightly signed? `serial` is that of the device
    /// whose it is. Where its revocation list is, it may say as it likes: settings change.
    ///
    /// # Errors
    ///
    /// The first [`Defect`].
    pub fn inspect(&self, record: &CertificateRecord, serial: Option<&Serial>) -> Result<(), Defect> {
        let id = record.issuer.unwrap_or_else(|| self.issuer(record.profile));
        let issuer = self.authority(id).map_err(|_| Defect::Issuer)?;
        let (common_name, names) = match (&record.holder, serial) {
            (CertificateHolder::Device(device), Some(serial)) => {
                (device.to_string(), Alternative::Hardware(serial.to_string()))
            }
            (CertificateHolder::Operator(name), None) => (name.to_string(), Alternative::Nothing),
            (CertificateHolder::Device(_), None) | (CertificateHolder::Operator(_), Some(_)) => {
                return Err(Defect::Subject);
            }
        };
        let Ok((&[], written)) = X509Certificate::from_der(&record.der) else {
            return Err(Defect::Form);
        };
        let key = PublicKey::from_spki(written.public_key().raw).map_err(|_| Defect::Key)?;
        if key.digest() != record.spki {
            return Err(Defect::Key);
        }
        let form = self.issuance().profile(record.profile);
        let template = Template {
            kind: Kind::Leaf(form.purpose, names),
            serial: record.serial,
            not_before: record.not_before,
            not_after: record.not_after,
            organisation: issuer.certificate.organisation.clone(),
            unit: form.unit.clone(),
            common_name,
            locations: crl_url_of(&written, id, record.serial)
                .map(|url| Locations::at(&url, id, record.serial)),
        };
        lint::check(&record.der, &template, &key, issuer.signer())
    }
}

/// Where a certificate says that the lists of its issuer are, if it names the one that it would stand on.
fn crl_url_of(
    certificate: &X509Certificate<'_>,
    issuer: AuthorityId,
    serial: CertificateSerial,
) -> Option<CrlUrl> {
    let list = certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        let Some(DistributionPointName::FullName(names)) = &points.points.first()?.distribution_point else {
            return None;
        };
        match names.first()? {
            GeneralName::URI(url) => Some(*url),
            _ => None,
        }
    })?;
    CrlUrl::parse(list.strip_suffix(&CrlUrl::place(issuer, serial.shard()))?).ok()
}
