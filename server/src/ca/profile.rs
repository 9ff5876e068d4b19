//! What each kind of certificate looks like. A template is filled from the registry; rcgen builds from it, and the lint
//! holds the certificate against it, before and after it is signed.

use super::{CaError, crl_url::CrlUrl, der, key::PublicKey, oid};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CertificateSerial},
};
use muster_proto::envelope::{CHECKPOINT_SIGNING_EKU, CONFIG_SIGNING_EKU};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CrlDistributionPoint, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose,
    NameConstraints, SanType,
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

/// What the leaves of an issuing authority can never be called (RFC 5280, 4.2.1.10): beside the extended key usage of the
/// authority, a second reason why its key makes nobody a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excluded {
    /// Devices: no DNS name. Addresses are left to the usage of the authority: strongSwan's EST client (5.9.8) cannot read a
    /// constraint of addresses, and takes an authority that has one for none.
    Hosts,
    /// Operators: no address. OpenSSL holds a common name with a dot in it, such as `carol.r`, for a DNS name, and would
    /// refuse it where those are excluded.
    Addresses,
    /// Servers are called by both.
    Nothing,
}

/// Where those who verify find what they need beside the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locations {
    /// The revocation list that the certificate would stand on.
    pub(super) list: String,
    /// The certificate of its issuer.
    pub(super) issuer: String,
}

/// Which kind of certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Signs itself.
    Root,
    /// A root's key, certified by the root before it (RFC 4210, 4.4): whoever pinned that one comes to believe this one.
    Link,
    /// Signs leaves of one purpose, and no further authority.
    Issuing(Purpose, Excluded),
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
    /// OU, where the profile has one.
    pub(super) unit: Option<String>,
    pub(super) common_name: String,
    pub(super) locations: Option<Locations>,
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

/// `[6]`, uniformResourceIdentifier of GeneralName.
const URI: u8 = 0x86;

/// AuthorityInfoAccess with nothing but the issuer's certificate, DER.
pub(super) fn authority_information(url: &str) -> Vec<u8> {
    let location = der::element(URI, &[url.as_bytes()]);
    der::sequence(&[&der::sequence(&[&der::oid(oid::CA_ISSUERS), &location])])
}

impl Locations {
    /// For a certificate of this authority with this serial.
    pub(super) fn at(url: &CrlUrl, issuer: AuthorityId, serial: CertificateSerial) -> Self {
        Self {
            list: url.list(issuer, serial.shard()),
            issuer: url.authority(issuer),
        }
    }
}

impl Excluded {
    fn constraints(self) -> Option<NameConstraints> {
        let excluded_subtrees = match self {
            Self::Nothing => return None,
            Self::Addresses => [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])]
                .map(GeneralSubtree::IpAddress)
                .to_vec(),
            Self::Hosts => vec![GeneralSubtree::DnsName(String::new())],
        };
        Some(NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees,
        })
    }
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

/// An instant that a certificate can name, from 1970 on, in whole seconds.
pub(super) fn since_epoch(at: Timestamp) -> Result<Duration, CaError> {
    match at.seconds() {
        seconds @ 0..=LAST_SECOND => Ok(Duration::from_secs(seconds)),
        _ => Err(CaError::Clock(at)),
    }
}

impl Template {
    /// The order for rcgen, for this key. Names, serial, validity and key identifier are all given: none of its defaults
    /// gets into a certificate.
    pub(super) fn params(&self, key: &PublicKey) -> Result<CertificateParams, CaError> {
        let mut params = CertificateParams::default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch(self.not_before)?;
        params.not_after = epoch + since_epoch(self.not_after)?;
        params.serial_number = Some(self.serial.to_bytes().to_vec().into());
        params.distinguished_name = self.subject();
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
            Kind::Issuing(purpose, excluded) => {
                params.name_constraints = excluded.constraints();
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                params.extended_key_usages = vec![usage(*purpose)];
            }
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
        if let Some(Locations { list, issuer }) = &self.locations {
            params.crl_distribution_points = vec![CrlDistributionPoint {
                uris: vec![list.clone()],
            }];
            params.custom_extensions.push(CustomExtension::from_oid_content(
                oid::AUTHORITY_INFORMATION_ARCS,
                authority_information(issuer),
            ));
        }
        Ok(params)
    }

    /// O, then OU where there is one, then CN.
    fn subject(&self) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, self.organisation.as_str());
        if let Some(unit) = &self.unit {
            name.push(DnType::OrganizationalUnitName, unit.as_str());
        }
        name.push(DnType::CommonName, self.common_name.as_str());
        name
    }
}
