//! Certificates as only a thief or a broken authority would make them: a good one taken apart, changed, and signed again.

use muster_domain::der::{self, Reader, element, sequence, tag};
use rcgen::{KeyPair, PublicKeyData as _, SignatureAlgorithm, SigningKey as _};

/// Object identifiers, as DER content.
pub(super) mod oid {
    pub(crate) const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 14];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub(crate) const NAMES: &[u8] = &[0x55, 0x1d, 17];
    pub(crate) const BASIC: &[u8] = &[0x55, 0x1d, 19];
    pub(crate) const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 35];
    pub(crate) const PURPOSE: &[u8] = &[0x55, 0x1d, 37];
    pub(crate) const UNKNOWN: &[u8] = &[0x2a, 3, 4, 5];
}

/// A key that signs.
#[derive(Debug)]
pub(super) struct Key(KeyPair);

impl Key {
    pub(super) fn new() -> Self {
        Self(KeyPair::generate().unwrap())
    }

    pub(super) fn of_kind(kind: &'static SignatureAlgorithm) -> Self {
        Self(KeyPair::generate_for(kind).unwrap())
    }

    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        KeyPair::from_pem(pem).ok().map(Self)
    }

    /// Its public point.
    pub(super) fn point(&self) -> &[u8] {
        self.0.der_bytes()
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).unwrap()
    }
}

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) kind: Vec<u8>,
    pub(super) critical: bool,
    pub(super) value: Vec<u8>,
}

impl Extension {
    pub(super) fn new(kind: &[u8], critical: bool, value: &[u8]) -> Self {
        Self {
            kind: kind.to_vec(),
            critical,
            value: value.to_vec(),
        }
    }

    fn build(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical {
            &[tag::BOOLEAN, 1, 0xff]
        } else {
            &[]
        };
        let value = element(tag::OCTET_STRING, &[&self.value]);
        sequence(&[&der::oid(&self.kind), critical, &value])
    }
}

/// A certificate taken apart; each field a whole element, or empty when it is not there.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) version: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) algorithm: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) validity: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    /// Unique identifiers of issuer and subject.
    pub(super) unique: Vec<u8>,
    pub(super) extensions: Vec<Extension>,
    /// The algorithm beside the signature.
    pub(super) outer: Vec<u8>,
}

/// An identifier of an algorithm without parameters.
pub(super) fn algorithm(kind: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(kind)])
}

/// Two instants, each as UTCTime or GeneralizedTime by its length.
pub(super) fn validity(start: &str, end: &str) -> Vec<u8> {
    let time = |text: &str| {
        let kind = if text.len() > 13 {
            tag::GENERALIZED_TIME
        } else {
            tag::UTC_TIME
        };
        element(kind, &[text.as_bytes()])
    };
    sequence(&[&time(start), &time(end)])
}

/// A name of one organisation and one common name.
pub(super) fn name(common_name: &str) -> Vec<u8> {
    let part = |kind: u8, text: &str| {
        let value = element(tag::UTF8_STRING, &[text.as_bytes()]);
        element(tag::SET, &[&sequence(&[&der::oid(&[0x55, 4, kind]), &value])])
    };
    sequence(&[&part(10, "Example GmbH"), &part(3, common_name)])
}

impl Draft {
    pub(super) fn of(certificate: &[u8]) -> Self {
        let mut parts = Reader::new(Reader::new(certificate).expect(tag::SEQUENCE).unwrap().content);
        let mut inner = Reader::new(parts.expect(tag::SEQUENCE).unwrap().content);
        let outer = parts.expect(tag::SEQUENCE).unwrap().whole.to_vec();
        let [version, serial, algorithm, issuer, validity, subject, spki] =
            [(); 7].map(|()| inner.next().unwrap().whole.to_vec());
        let mut list = Reader::new(inner.expect(tag::CONTEXT_3).unwrap().content);
        let mut all = Reader::new(list.expect(tag::SEQUENCE).unwrap().content);
        let mut extensions = Vec::new();
        while !all.is_empty() {
            let mut one = Reader::new(all.expect(tag::SEQUENCE).unwrap().content);
            let kind = one.expect(tag::OID).unwrap().content.to_vec();
            let mut value = one.next().unwrap();
            let critical = value.tag == tag::BOOLEAN;
            if critical {
                value = one.next().unwrap();
            }
            extensions.push(Extension::new(&kind, critical, value.content));
        }
        Self {
            version,
            serial,
            algorithm,
            issuer,
            validity,
            subject,
            spki,
            unique: Vec::new(),
            extensions,
            outer,
        }
    }

    /// The extension of this kind.
    pub(super) fn extension(&mut self, kind: &[u8]) -> &mut Extension {
        self.extensions.iter_mut().find(|one| one.kind == kind).unwrap()
    }

    pub(super) fn without(&mut self, kind: &[u8]) {
        self.extensions.retain(|one| one.kind != kind);
    }

    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        let extensions: Vec<_> = self.extensions.iter().map(Extension::build).collect();
        let extensions = sequence(&extensions.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let list = match self.extensions.is_empty() {
            true => Vec::new(),
            false => element(tag::CONTEXT_3, &[&extensions]),
        };
        sequence(&[
            &self.version,
            &self.serial,
            &self.algorithm,
            &self.issuer,
            &self.validity,
            &self.subject,
            &self.spki,
            &self.unique,
            &list,
        ])
    }

    /// Signed by this key, whoever the issuer is.
    pub(super) fn signed(&self, key: &Key) -> Vec<u8> {
        self.with_signature(&key.sign(&self.to_be_signed()))
    }

    pub(super) fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        let bits = element(tag::BIT_STRING, &[&[0], signature]);
        sequence(&[&self.to_be_signed(), &self.outer, &bits])
    }
}
