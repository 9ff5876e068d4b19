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
    /// Not a certificate in DER, or one with other fields than ours, or something behind it.
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
    /// An extension is missing, added, repeated, or has another value or criticality.
    Extensions,
    /// The issuer's key did not sign it.
    Signature,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not one certificate of ours in DER",
            Self::Version => "its version is not 3",
            Self::Serial => "its serial is not the recorded one",
            Self::Algorithm => "its signature algorithm is not ECDSA with SHA-256",
            Self::Issuer => "its issuer is not ours",
            Self::Validity => "its validity is not the recorded one",
            Self::Subject => "its subject is not the recorded one",
            Self::Key => "its key is not the one that was asked for",
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

fn extension(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    // FALSE is the default, and defaults are not written (X.690, 11.5).
    let critical: &[u8] = if critical { &[tag::BOOLEAN, 1, 0xff] } else { &[] };
    der::sequence(&[
        &der::oid(kind),
        critical,
        &der::element(tag::OCTET_STRING, &[value]),
    ])
}

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

fn extended_key_usage(purpose: Purpose) -> Vec<u8> {
    let purpose = match purpose {
        Purpose::Client => oid::CLIENT_AUTH,
        Purpose::Server => oid::SERVER_AUTH,
        Purpose::ConfigSigning => oid::CONFIG_SIGNING,
        Purpose::CheckpointSigning => oid::CHECKPOINT_SIGNING,
    };
    extension(
        oid::EXTENDED_KEY_USAGE,
        false,
        &der::sequence(&[&der::oid(purpose)]),
    )
}

/// All extensions of a certificate made from this template, each whole; sorted.
fn extensions(template: &Template, key: &PublicKey, signer: Signer<'_>) -> Vec<Vec<u8>> {
    // Named bits (RFC 5280, 4.2.1.3): keyCertSign and cRLSign are 5 and 6, digitalSignature is 0.
    const SIGN_CERTIFICATES: &[u8] = &[tag::BIT_STRING, 2, 1, 0b0000_0110];
    const SIGN: &[u8] = &[tag::BIT_STRING, 2, 7, 0b1000_0000];
    const TRUE: &[u8] = &[tag::BOOLEAN, 1, 0xff];
    const ZERO: &[u8] = &[tag::INTEGER, 1, 0];
    let constraints = |fields: &[&[u8]]| extension(oid::BASIC_CONSTRAINTS, true, &der::sequence(fields));
    let usage = |bits: &[u8]| extension(oid::KEY_USAGE, true, bits);
    let key_identifier = der::element(tag::OCTET_STRING, &[&key.identifier()]);
    let key_identifier = extension(oid::SUBJECT_KEY_IDENTIFIER, false, &key_identifier);
    // AuthorityKeyIdentifier with nothing but [0] keyIdentifier.
    let authority = der::sequence(&[&der::element(0x80, &[&signer.key.identifier()])]);
    let authority = extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &authority);
    let mut all = vec![key_identifier];
    match &template.kind {
        Kind::Root => all.extend([constraints(&[TRUE]), usage(SIGN_CERTIFICATES)]),
        Kind::Link => all.extend([authority, constraints(&[TRUE]), usage(SIGN_CERTIFICATES)]),
        Kind::Issuing(purpose) => {
            let constraints = constraints(&[TRUE, ZERO]);
            all.extend([
                authority,
                constraints,
                usage(SIGN_CERTIFICATES),
                extended_key_usage(*purpose),
            ]);
        }
        Kind::Leaf(purpose, alternative) => {
            all.extend([
                authority,
                constraints(&[]),
                usage(SIGN),
                extended_key_usage(*purpose),
            ]);
            let names = match alternative {
                Alternative::Nothing => None,
                Alternative::Hardware(serial) => Some(hardware_module_name(serial)),
                Alternative::Server(names) => Some(server_names(names)),
            };
            all.extend(names.map(|names| extension(oid::SUBJECT_ALT_NAME, false, &names)));
        }
    }
    all.sort_unstable();
    all
}

/// The elements of a certificate, of which the parser below overlooks odd tags and defaults that are written out.
struct Frame<'a> {
    /// The algorithm outside of what is signed.
    algorithm: &'a [u8],
    /// Each extension, whole; sorted.
    extensions: Vec<&'a [u8]>,
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, NotDer> {
        // Version, serial, algorithm, issuer, validity, subject, key. No unique identifiers (RFC 5280, 4.1.2.8).
        const FIELDS: [u8; 7] = [
            tag::CONTEXT_0,
            tag::INTEGER,
            tag::SEQUENCE,
            tag::SEQUENCE,
            tag::SEQUENCE,
            tag::SEQUENCE,
            tag::SEQUENCE,
        ];
        let mut outer = Reader::new(bytes);
        let mut parts = Reader::new(outer.expect(tag::SEQUENCE)?.content);
        outer.end()?;
        let mut inner = Reader::new(parts.expect(tag::SEQUENCE)?.content);
        let algorithm = parts.expect(tag::SEQUENCE)?.whole;
        parts.expect(tag::BIT_STRING)?;
        parts.end()?;
        for field in FIELDS {
            inner.expect(field)?;
        }
        let mut list = Reader::new(inner.expect(tag::CONTEXT_3)?.content);
        inner.end()?;
        let mut all = Reader::new(list.expect(tag::SEQUENCE)?.content);
        list.end()?;
        let mut extensions = Vec::new();
        while !all.is_empty() {
            extensions.push(all.expect(tag::SEQUENCE)?.whole);
        }
        extensions.sort_unstable();
        Ok(Self {
            algorithm,
            extensions,
        })
    }
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
    let frame = Frame::read(bytes).map_err(|NotDer| Defect::Form)?;
    let Ok((&[], certificate)) = X509Certificate::from_der(bytes) else {
        return Err(Defect::Form);
    };
    let inner = &certificate.tbs_certificate;
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
            frame.algorithm == der::sequence(&[&der::oid(oid::ECDSA_WITH_SHA256)]),
            Defect::Algorithm,
        ),
        (inner.issuer().as_raw() == signer.name, Defect::Issuer),
        (is_valid_then, Defect::Validity),
        (is_subject, Defect::Subject),
        (inner.public_key().raw == key.spki(), Defect::Key),
        (
            frame.extensions == extensions(template, key, signer),
            Defect::Extensions,
        ),
        (signed, Defect::Signature),
    ] {
        if !holds {
            return Err(defect);
        }
    }
    Ok(())
}
