//! Certificate requests, put together byte by byte: starting from a good one, a test changes one thing.

use super::super::{
    der::{element, oid, sequence, tag},
    key::PrivateKey,
    oid,
};

/// The parts of a request, each a whole element.
pub(super) struct Draft {
    pub(super) version: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    pub(super) algorithm: Vec<u8>,
    /// Instead of the true one: content of the BIT STRING.
    pub(super) signature: Option<Vec<u8>>,
    /// Who signs.
    pub(super) key: PrivateKey,
}

pub(super) fn name(parts: &[(&[u8], &str)]) -> Vec<u8> {
    let parts: Vec<_> = parts
        .iter()
        .map(|(kind, text)| {
            let value = element(tag::UTF8_STRING, &[text.as_bytes()]);
            element(tag::SET, &[&sequence(&[&oid(kind), &value])])
        })
        .collect();
    sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A SET OF attributes, sorted as DER wants it.
pub(super) fn attributes(mut all: Vec<Vec<u8>>) -> Vec<u8> {
    all.sort();
    element(tag::CONTEXT_0, &all.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

pub(super) fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&oid(kind), &element(tag::SET, &[value])])
}

pub(super) fn challenge(text: &str) -> Vec<u8> {
    attribute(
        oid::CHALLENGE_PASSWORD,
        &element(tag::UTF8_STRING, &[text.as_bytes()]),
    )
}

/// A request for one extension.
pub(super) fn extension_request(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[tag::BOOLEAN, 1, 0xff] } else { &[] };
    let value = element(tag::OCTET_STRING, &[value]);
    let extension = sequence(&[&oid(kind), critical, &value]);
    attribute(oid::EXTENSION_REQUEST, &sequence(&[&extension]))
}

impl Draft {
    /// A good request with a fresh key.
    pub(super) fn good() -> Self {
        Self::of(PrivateKey::generate().unwrap().0)
    }

    /// A good request with this key.
    pub(super) fn of(key: PrivateKey) -> Self {
        Self {
            version: vec![tag::INTEGER, 1, 0],
            subject: name(&[]),
            spki: key.public().spki(),
            attributes: attributes(Vec::new()),
            algorithm: sequence(&[&oid(oid::ECDSA_WITH_SHA256)]),
            signature: None,
            key,
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same request with this point as its key; what signs it is left as it is.
    pub(super) fn point(self, point: &[u8]) -> Self {
        self.with(|draft| {
            let algorithm = &draft.spki[2..23].to_vec();
            draft.spki = sequence(&[algorithm, &element(tag::BIT_STRING, &[&[0], point])]);
        })
    }

    pub(super) fn info(&self) -> Vec<u8> {
        sequence(&[&self.version, &self.subject, &self.spki, &self.attributes])
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let info = self.info();
        let signature = match &self.signature {
            Some(signature) => signature.clone(),
            None => [&[0], &self.key.sign(&info).unwrap()[..]].concat(),
        };
        sequence(&[&info, &self.algorithm, &element(tag::BIT_STRING, &[&signature])])
    }
}
