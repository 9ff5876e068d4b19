//! What each kind of certificate looks like. A template is filled from the registry; rcgen builds from it, and the lint
//! holds the finished certificate against it.

use super::{CaError, der, key::PublicKey, oid};
use muster_domain::{Timestamp, certificate::CertificateSerial};
use muster_proto::envelope::{CHECKPOINT_SIGNING_EKU, CONFIG_SIGNING_EKU};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyUsagePurpose, SanType,
};
use rustls::pki_types::ServerName;
use std::{net::IpAddr, time::Duration};

/// 9999-12-31T23:59:59Z, the last instant a certificate can name (RFC 5280, 4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// What a key is certified for: one extended key usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// TLS client: devices and operators.
    Client,
    /// TLS server.
    Server,
    /// Signing desired state; a usage of our own.
    ConfigSigning,
    /// Signing checkpoints of the audit log; a usage of our own.
    CheckpointSigning,
}

/// Other names of the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Alternative {
    /// Operators and those who sign something else than certificates have none.
    Nothing,
    /// A device: hardwareModuleName (RFC 4108, 5) with its serial.
    Hardware(String),
    /// A server: what clients call it.
    Server(Vec<ServerName<'static>>),
}

/// Which kind of certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Signs itself.
    Root,
    /// A root's key, certified by the root before it (RFC 4210, 4.4): whoever pinned that one comes to believe this one.
    Link,
    /// Signs leaves of one purpose, and no further authority.
    Issuing(Purpose),
    /// The end of a chain.
    Leaf(Purpose, Alternative),
}

/// Everything a certificate says, but for its key and issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) kind: Kind,
    pub(super) serial: CertificateSerial,
    /// Whole seconds count.
    pub(super) not_before: Timestamp,
    /// Whole seconds count.
    pub(super) not_after: Timestamp,
    pub(super) organisation: String,
    pub(super) common_name: String,
}

/// HardwareModuleName in a GeneralNames, DER.
pub(super) fn hardware_module_name(serial: &str) -> Vec<u8> {
    let name = der::sequence(&[
        &der::oid(oid::HARDWARE_TYPE),
        &der::element(der::tag::OCTET_STRING, &[serial.as_bytes()]),
    ]);
    let value = der::element(der::tag::CONTEXT_0, &[&name]);
    // [0] OtherName, implicitly tagged.
    let other_name = der::element(
        der::tag::CONTEXT_0,
        &[&der::oid(oid::HARDWARE_MODULE_NAME), &value],
    );
    der::sequence(&[&other_name])
}

/// A subject of ours: O, then CN.
pub(super) fn distinguished_name(organisation: &str, common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    name.push(DnType::CommonName, common_name);
    name
}

fn usage(purpose: Purpose) -> ExtendedKeyUsagePurpose {
    match purpose {
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::ConfigSigning => ExtendedKeyUsagePurpose::Other(CONFIG_SIGNING_EKU.to_vec()),
        Purpose::CheckpointSigning => ExtendedKeyUsagePurpose::Other(CHECKPOINT_SIGNING_EKU.to_vec()),
    }
}

fn server_name(name: &ServerName<'_>) -> Result<SanType, rcgen::Error> {
    match name {
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(IpAddr::from(*address))),
        name => Ok(SanType::DnsName(name.to_str().into_owned().try_into()?)),
    }
}

impl Template {
    /// The order for rcgen, for this key. Names, serial, validity and key identifier are all given: none of its defaults
    /// gets into a certificate.
    pub(super) fn params(&self, key: &PublicKey) -> Result<CertificateParams, CaError> {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let date = |at: Timestamp| match at.seconds() {
            seconds @ 0..=LAST_SECOND => Ok(epoch + Duration::from_secs(seconds)),
            _ => Err(CaError::Clock(at)),
        };
        let mut params = CertificateParams::default();
        params.not_before = date(self.not_before)?;
        params.not_after = date(self.not_after)?;
        params.serial_number = Some(self.serial.to_bytes().to_vec().into());
        params.distinguished_name = distinguished_name(&self.organisation, &self.common_name);
        params.key_identifier_method = KeyIdMethod::PreSpecified(key.identifier());
        params.use_authority_key_identifier_extension = true;
        match &self.kind {
            Kind::Root => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                // Its own key is the only authority there is (RFC 5280, 4.2.1.1).
                params.use_authority_key_identifier_extension = false;
            }
            Kind::Link => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            }
            Kind::Issuing(purpose) => {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                params.extended_key_usages = vec![usage(*purpose)];
            }
            // No CRL distribution point: there is no CRL to point to, and the gate asks the registry.
            Kind::Leaf(purpose, alternative) => {
                params.is_ca = IsCa::ExplicitNoCa;
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params.extended_key_usages = vec![usage(*purpose)];
                match alternative {
                    Alternative::Nothing => {}
                    // rcgen writes other names as strings only.
                    Alternative::Hardware(serial) => {
                        params.custom_extensions.push(CustomExtension::from_oid_content(
                            oid::SUBJECT_ALT_NAME_ARCS,
                            hardware_module_name(serial),
                        ))
                    }
                    Alternative::Server(names) => {
                        params.subject_alt_names = names.iter().map(server_name).collect::<Result<_, _>>()?;
                    }
                }
            }
        }
        Ok(params)
    }
}
