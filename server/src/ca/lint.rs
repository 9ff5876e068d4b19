//! The last look at a certificate before it leaves: another parser reads it, and every field is held against the
//! template. What the template does not name must not be there.
//!
//! The expected bytes are put together here, not taken from the code that ordered the certificate, so that a mistake
//! there, or in rcgen, does not agree with itself.

use super::{
    der::{self, NotDer, Reader, tag},
    key::PublicKey,
    oid,
    profile::{Alternative, Kind, Purpose, Template, hardware_module_name},
};
use rustls::pki_types::ServerName;
use std::{fmt, net::IpAddr};
use x509_parser::{
    certificate::X509Certificate,
    prelude::FromDer as _,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, X509Version},
};

/// Years from 2050 on are written as GeneralizedTime (RFC 5280, 4.1.2.5): the first such second.
const GENERALIZED_FROM: i64 = 2_524_608_000;

/// The field of a finished certificate that differs from its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Not a certificate in DER, or something behind it.
    Form,
    /// Not version 3.
    Version,
    /// Not the 16 bytes that were recorded.
    Serial,
    /// Not ECDSA with SHA-256, inside and outside.
    Algorithm,
    /// Not the subject of the issuing certificate.
    Issuer,
    /// Not the recorded start and end, or in the wrong form.
    Validity,
    /// Not the names of the registry.
    Subject,
    /// Not the key that proved itself.
    Key,
    /// A unique identifier, which RFC 5280 forbids.
    UniqueIdentifier,
    /// An extension is missing, added, repeated, or has another value or criticality.
    Extensions,
    /// The issuer's key did not sign it.
    Signature,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not one certificate in DER",
            Self::Version => "its version is not 3",
            Self::Serial => "its serial is not the recorded one",
            Self::Algorithm => "its signature algorithm is not ECDSA with SHA-256",
            Self::Issuer => "its issuer is not ours",
            Self::Validity => "its validity is not the recorded one",
            Self::Subject => "its subject is not the recorded one",
            Self::Key => "its key is not the one that was asked for",
            Self::UniqueIdentifier => "it has a unique identifier",
            Self::Extensions => "its extensions are not those of its profile",
            Self::Signature => "its signature is wrong",
        })
    }
}

impl std::error::Error for Defect {}

/// Who should have signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    /// Subject of the issuing certificate, DER.
    pub(super) name: &'a [u8],
    pub(super) key: &'a PublicKey,
}

/// OID content, criticality, value.
type Extension = (&'static [u8], bool, Vec<u8>);

/// A subject of ours, DER.
pub(super) fn name(organisation: &str, common_name: &str) -> Vec<u8> {
    let part = |kind, text: &str| {
        let value = der::element(tag::UTF8_STRING, &[text.as_bytes()]);
        der::element(tag::SET, &[&der::sequence(&[&der::oid(kind), &value])])
    };
    der::sequence(&[
        &part(oid::ORGANISATION, organisation),
        &part(oid::COMMON_NAME, common_name),
    ])
}

fn server_names(names: &[ServerName<'_>]) -> Vec<u8> {
    const DNS_NAME: u8 = 0x82;
    const IP_ADDRESS: u8 = 0x87;
    let names: Vec<_> = names
        .iter()
        .map(|name| match name {
            ServerName::IpAddress(address) => match IpAddr::from(*address) {
                IpAddr::V4(address) => der::element(IP_ADDRESS, &[&address.octets()]),
                IpAddr::V6(address) => der::element(IP_ADDRESS, &[&address.octets()]),
            },
            name => der::element(DNS_NAME, &[name.to_str().as_bytes()]),
        })
        .collect();
    der::element(
        tag::SEQUENCE,
        &names.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    )
}

fn extended_key_usage(purpose: Purpose) -> Extension {
    let purpose = match purpose {
        Purpose::Client => oid::CLIENT_AUTH,
        Purpose::Server => oid::SERVER_AUTH,
        Purpose::ConfigSigning => oid::CONFIG_SIGNING,
    };
    (
        oid::EXTENDED_KEY_USAGE,
        false,
        der::sequence(&[&der::oid(purpose)]),
    )
}

/// All extensions of a certificate made from this template, sorted by OID.
fn extensions(template: &Template, key: &PublicKey, signer: Signer<'_>) -> Vec<Extension> {
    // Named bits (RFC 5280, 4.2.1.3): keyCertSign and cRLSign are 5 and 6, digitalSignature is 0.
    const SIGN_CERTIFICATES: &[u8] = &[tag::BIT_STRING, 2, 1, 0b0000_0110];
    const SIGN: &[u8] = &[tag::BIT_STRING, 2, 7, 0b1000_0000];
    const TRUE: &[u8] = &[tag::BOOLEAN, 1, 0xff];
    const ZERO: &[u8] = &[tag::INTEGER, 1, 0];
    let key_identifier = der::element(tag::OCTET_STRING, &[&key.identifier()]);
    // AuthorityKeyIdentifier with nothing but [0] keyIdentifier.
    let authority = der::sequence(&[&der::element(0x80, &[&signer.key.identifier()])]);
    let authority = (oid::AUTHORITY_KEY_IDENTIFIER, false, authority);
    let mut all = vec![(oid::SUBJECT_KEY_IDENTIFIER, false, key_identifier)];
    match &template.kind {
        Kind::Root => {
            all.push((oid::BASIC_CONSTRAINTS, true, der::sequence(&[TRUE])));
            all.push((oid::KEY_USAGE, true, SIGN_CERTIFICATES.to_vec()));
        }
        Kind::Issuing(purpose) => {
            all.push((oid::BASIC_CONSTRAINTS, true, der::sequence(&[TRUE, ZERO])));
            all.push((oid::KEY_USAGE, true, SIGN_CERTIFICATES.to_vec()));
            all.push(extended_key_usage(*purpose));
            all.push(authority);
        }
        Kind::Leaf(purpose, alternative) => {
            all.push((oid::BASIC_CONSTRAINTS, true, der::sequence(&[])));
            all.push((oid::KEY_USAGE, true, SIGN.to_vec()));
            all.push(extended_key_usage(*purpose));
            all.push(authority);
            match alternative {
                Alternative::Nothing => {}
                Alternative::Hardware(serial) => {
                    all.push((oid::SUBJECT_ALT_NAME, false, hardware_module_name(serial)));
                }
                Alternative::Server(names) => all.push((oid::SUBJECT_ALT_NAME, false, server_names(names))),
            }
        }
    }
    all.sort_unstable();
    all
}

/// The outer signature algorithm of a certificate. The parser below overlooks odd tags there and in the frame around it,
/// and the signature does not cover them.
fn outer_algorithm(bytes: &[u8]) -> Result<&[u8], NotDer> {
    let mut outer = Reader::new(bytes);
    let mut parts = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    parts.expect(tag::SEQUENCE)?;
    let algorithm = parts.expect(tag::SEQUENCE)?.whole;
    parts.expect(tag::BIT_STRING)?;
    parts.end()?;
    Ok(algorithm)
}

fn is_ecdsa_sha256(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm.as_bytes() == oid::ECDSA_WITH_SHA256 && algorithm.parameters.is_none()
}

fn is_at(time: ASN1Time, seconds: u64) -> bool {
    i64::try_from(seconds).is_ok_and(|seconds| {
        time.timestamp() == seconds && time.is_generalizedtime() == (seconds >= GENERALIZED_FROM)
    })
}

/// Is this the certificate that the template, the key and the signer make, and nothing else?
pub(super) fn check(
    bytes: &[u8],
    template: &Template,
    key: &PublicKey,
    signer: Signer<'_>,
) -> Result<(), Defect> {
    if !der::well_formed(bytes) {
        return Err(Defect::Form);
    }
    let algorithm = outer_algorithm(bytes).map_err(|NotDer| Defect::Form)?;
    let Ok((&[], certificate)) = X509Certificate::from_der(bytes) else {
        return Err(Defect::Form);
    };
    let inner = &certificate.tbs_certificate;
    let mut found: Vec<(&[u8], bool, &[u8])> = inner
        .extensions()
        .iter()
        .map(|extension| (extension.oid.as_bytes(), extension.critical, extension.value))
        .collect();
    found.sort_unstable();
    let expected = extensions(template, key, signer);
    let same_extensions = found.iter().copied().eq(expected
        .iter()
        .map(|(kind, critical, value)| (*kind, *critical, &value[..])));
    let signature = &certificate.signature_value;
    let signed = signature.unused_bits == 0 && signer.key.has_signed(inner.as_ref(), &signature.data);
    let is_subject = inner.subject().as_raw() == name(&template.organisation, &template.common_name);
    let [start, end] = [template.not_before.seconds(), template.not_after.seconds()];
    let is_valid_then =
        is_at(inner.validity.not_before, start) && is_at(inner.validity.not_after, end) && start < end;
    for (holds, defect) in [
        (inner.version() == X509Version::V3, Defect::Version),
        (
            inner.raw_serial() == template.serial.to_bytes() && inner.raw_serial()[0] != 0,
            Defect::Serial,
        ),
        (is_ecdsa_sha256(&inner.signature), Defect::Algorithm),
        (
            algorithm == der::sequence(&[&der::oid(oid::ECDSA_WITH_SHA256)]),
            Defect::Algorithm,
        ),
        (inner.issuer().as_raw() == signer.name, Defect::Issuer),
        (is_valid_then, Defect::Validity),
        (is_subject, Defect::Subject),
        (inner.public_key().raw == key.spki(), Defect::Key),
        (
            inner.issuer_uid.is_none() && inner.subject_uid.is_none(),
            Defect::UniqueIdentifier,
        ),
        (same_extensions, Defect::Extensions),
        (signed, Defect::Signature),
    ] {
        if !holds {
            return Err(defect);
        }
    }
    Ok(())
}
