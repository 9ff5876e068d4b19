//! What a certificate (RFC 5280, 4.1) says of its key and its holder. Nobody vouches for it here.

use super::{KeyKind, moment, name::Name};
use crate::{
    Timestamp,
    der::{Element, NotDer, Reader, tag},
};

/// Extensions that are read, as DER content of their identifiers.
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
/// keyCertSign, in the first byte of the usages.
const SIGNS_CERTIFICATES: u8 = 0x04;

/// A certificate, read.
#[derive(Debug, Clone)]
pub(in crate::manifest) struct Certificate<'c> {
    /// Whose.
    pub(in crate::manifest) subject: Name,
    /// End of validity.
    pub(in crate::manifest) not_after: Timestamp,
    /// The same, as RFC 3339 writes it.
    pub(in crate::manifest) not_after_text: String,
    /// SubjectPublicKeyInfo.
    pub(in crate::manifest) spki: &'c [u8],
    /// Kind of the key.
    pub(in crate::manifest) key: KeyKind,
    /// The subject key identifier, where it has one.
    pub(in crate::manifest) key_id: Option<&'c [u8]>,
    /// Does it say that its holder issues certificates?
    pub(in crate::manifest) is_authority: bool,
}

/// The fields of TBSCertificate that matter, not looked into.
struct Fields<'c> {
    subject: &'c [u8],
    not_after: Element<'c>,
    spki: &'c [u8],
    extensions: Extensions<'c>,
}

#[derive(Default)]
struct Extensions<'c> {
    key_id: Option<&'c [u8]>,
    is_issuer: bool,
    signs_certificates: bool,
}

impl<'c> Certificate<'c> {
    /// Reads DER with nothing behind it.
    ///
    /// # Errors
    /// Why it cannot be used, for people.
    pub(in crate::manifest) fn read(der: &'c [u8]) -> Result<Self, String> {
        let malformed = |NotDer| "is not a certificate in DER".to_owned();
        let fields = fields(der).map_err(malformed)?;
        let subject = Name::read(fields.subject).map_err(|NotDer| "has a subject that cannot be read")?;
        let (not_after, not_after_text) =
            moment::read(fields.not_after).ok_or("has an end of validity that cannot be read")?;
        Ok(Self {
            subject,
            not_after,
            not_after_text,
            spki: fields.spki,
            key: KeyKind::of(fields.spki)?,
            key_id: fields.extensions.key_id,
            is_authority: fields.extensions.is_issuer && fields.extensions.signs_certificates,
        })
    }
}

fn fields(der: &[u8]) -> Result<Fields<'_>, NotDer> {
    let mut outer = Reader::new(der);
    let mut certificate = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let mut fields = Reader::new(certificate.expect(tag::SEQUENCE)?.content);
    certificate.expect(tag::SEQUENCE)?;
    certificate.expect(tag::BIT_STRING)?;
    certificate.end()?;
    // The version is left out in version 1; then the serial comes first.
    let first = fields.next()?;
    match first.tag {
        tag::CONTEXT_0 => fields.expect(tag::INTEGER)?,
        tag::INTEGER => first,
        _ => return Err(NotDer),
    };
    // Algorithm, issuer.
    fields.expect(tag::SEQUENCE)?;
    fields.expect(tag::SEQUENCE)?;
    let mut validity = Reader::new(fields.expect(tag::SEQUENCE)?.content);
    validity.next()?;
    let not_after = validity.next()?;
    validity.end()?;
    let subject = fields.expect(tag::SEQUENCE)?.content;
    let spki = fields.expect(tag::SEQUENCE)?.whole;
    let mut extensions = Extensions::default();
    while !fields.is_empty() {
        let field = fields.next()?;
        // The others are the unique identifiers of version 2.
        if field.tag == tag::CONTEXT_3 {
            extensions = self::extensions(field.content)?;
        }
    }
    Ok(Fields {
        subject,
        not_after,
        spki,
        extensions,
    })
}

fn extensions(content: &[u8]) -> Result<Extensions<'_>, NotDer> {
    let mut found = Extensions::default();
    let mut outer = Reader::new(content);
    let mut list = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    while !list.is_empty() {
        let mut extension = Reader::new(list.expect(tag::SEQUENCE)?.content);
        let kind = extension.expect(tag::OID)?.content;
        let mut value = extension.next()?;
        if value.tag == tag::BOOLEAN {
            value = extension.next()?;
        }
        if value.tag != tag::OCTET_STRING {
            return Err(NotDer);
        }
        let mut value = Reader::new(value.content);
        match kind {
            SUBJECT_KEY_IDENTIFIER => found.key_id = Some(value.expect(tag::OCTET_STRING)?.content),
            KEY_USAGE => {
                // The first byte counts the bits that are not used.
                let usages = value.expect(tag::BIT_STRING)?.content.get(1);
                found.signs_certificates = usages.is_some_and(|usages| usages & SIGNS_CERTIFICATES != 0);
            }
            BASIC_CONSTRAINTS => {
                let mut constraints = Reader::new(value.expect(tag::SEQUENCE)?.content);
                let is_true = |element: Element<'_>| element.tag == tag::BOOLEAN && element.content == [0xff];
                found.is_issuer = constraints.next().is_ok_and(is_true);
            }
            _ => {}
        }
    }
    Ok(found)
}
