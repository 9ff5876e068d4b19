//! A strict reader of what is to be signed for a leaf: every element is read, each is held against the template, and nothing
//! may be left over. It shares no code with what writes them but the reader of elements, and allocates nothing, so that
//! every one of very many certificates can be read before it is signed.

use super::{
    der::{NotDer, Reader, tag},
    key::PublicKey,
    lint::{Defect, Signer},
    oid,
    profile::{Alternative, Kind, Purpose, Template},
};
use muster_domain::Timestamp;
use sha2::{Digest as _, Sha256};

const VERSION_3: &[u8] = &[tag::CONTEXT_0, 3, tag::INTEGER, 1, 2];
/// ecdsa-with-SHA256, whole.
const ALGORITHM: &[u8] = &[
    tag::SEQUENCE,
    10,
    tag::OID,
    8,
    0x2a,
    0x86,
    0x48,
    0xce,
    0x3d,
    4,
    3,
    2,
];
/// KeyUsage of digitalSignature alone; BasicConstraints of no authority.
const SIGN: &[u8] = &[tag::BIT_STRING, 2, 7, 0x80];
const NO_AUTHORITY: &[u8] = &[tag::SEQUENCE, 0];
const URI: u8 = 0x86;
const KEY_IDENTIFIER: u8 = 0x80;

/// Is this what is to be signed for this template of a client, and nothing else?
///
/// # Errors
///
/// The first [`Defect`]; [`Defect::Form`] for templates of other kinds, which are never made in bulk.
pub(super) fn check(
    to_be_signed: &[u8],
    template: &Template,
    key: &PublicKey,
    signer: Signer<'_>,
) -> Result<(), Defect> {
    let Kind::Leaf(Purpose::Client, names) = &template.kind else {
        return Err(Defect::Form);
    };
    let mut outer = Reader::new(to_be_signed);
    let mut fields = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let subject = [
        (oid::ORGANISATION, Some(template.organisation.as_str())),
        (oid::UNIT, template.unit.as_deref()),
        (oid::COMMON_NAME, Some(template.common_name.as_str())),
    ];
    let version = fields.expect(tag::CONTEXT_0)?.whole == VERSION_3;
    let serial = fields.expect(tag::INTEGER)?.content == template.serial.to_bytes();
    let algorithm = fields.expect(tag::SEQUENCE)?.whole == ALGORITHM;
    let issuer = fields.expect(tag::SEQUENCE)?.whole == signer.name;
    let life = is_life(fields.expect(tag::SEQUENCE)?.content, template) == Ok(true);
    let subject = is_name(fields.expect(tag::SEQUENCE)?.content, subject) == Ok(true);
    let spki = fields.expect(tag::SEQUENCE)?.whole == key.spki();
    let list = fields.expect(tag::CONTEXT_3)?.content;
    fields.end()?;
    let extensions = are_extensions(list, template, names, key, signer) == Ok(true);
    for (holds, defect) in [
        (version, Defect::Version),
        (serial, Defect::Serial),
        (algorithm, Defect::Algorithm),
        (issuer, Defect::Issuer),
        (life, Defect::Validity),
        (subject, Defect::Subject),
        (spki, Defect::Key),
        (extensions, Defect::Extensions),
    ] {
        if !holds {
            return Err(defect);
        }
    }
    Ok(())
}

impl From<NotDer> for Defect {
    fn from(NotDer: NotDer) -> Self {
        Self::Form
    }
}

/// The content of an element that is the only one in these bytes.
fn only(bytes: &[u8], tag: u8) -> Result<&[u8], NotDer> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(tag)?;
    reader.end()?;
    Ok(element.content)
}

fn is_name<const N: usize>(content: &[u8], parts: [(&[u8], Option<&str>); N]) -> Result<bool, NotDer> {
    let mut sets = Reader::new(content);
    for (kind, text) in parts {
        let Some(text) = text else { continue };
        let mut part = Reader::new(only(sets.expect(tag::SET)?.content, tag::SEQUENCE)?);
        let found = (
            part.expect(tag::OID)?.content,
            part.expect(tag::UTF8_STRING)?.content,
        );
        part.end()?;
        if found != (kind, text.as_bytes()) {
            return Ok(false);
        }
    }
    Ok(sets.is_empty())
}

fn is_life(content: &[u8], template: &Template) -> Result<bool, NotDer> {
    let mut times = Reader::new(content);
    let both = [times.next()?, times.next()?];
    times.end()?;
    let [start, end] = both.map(|time| seconds(time.tag, time.content));
    let written = |at: Timestamp| Some(at.seconds());
    Ok(start == written(template.not_before) && end == written(template.not_after))
}

/// The instant of a Time, where it has the form of its year (RFC 5280, 4.1.2.5).
fn seconds(kind: u8, digits: &[u8]) -> Option<u64> {
    let (digits, &last) = digits.split_last().map(|(last, digits)| (digits, last))?;
    let is_plain = last == b'Z' && digits.iter().all(u8::is_ascii_digit);
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
    let (year, rest) = match (kind, digits.len()) {
        _ if !is_plain => return None,
        (tag::UTC_TIME, 12) => (2000 + number(&digits[..2]), &digits[2..]),
        (tag::GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    if (year < 2050) != (kind == tag::UTC_TIME) {
        return None;
    }
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&rest[at..at + 2]));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let fits = day >= 1 && day <= *months.get(before)? && hour < 24 && minute < 60 && second < 60;
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let days = days + months[..before].iter().sum::<u64>() + day - 1;
    fits.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Each extension of the template once, and no other.
fn are_extensions(
    list: &[u8],
    template: &Template,
    names: &Alternative,
    key: &PublicKey,
    signer: Signer<'_>,
) -> Result<bool, NotDer> {
    let is_hardware = matches!(names, Alternative::Hardware(_));
    let mut open = required(template.locations.is_some(), is_hardware);
    let mut all = Reader::new(only(list, tag::SEQUENCE)?);
    while !all.is_empty() {
        let mut fields = Reader::new(all.expect(tag::SEQUENCE)?.content);
        let kind = fields.expect(tag::OID)?.content;
        let mut value = fields.next()?;
        let is_critical = value.tag == tag::BOOLEAN;
        if is_critical {
            if value.content != [0xff] {
                return Ok(false);
            }
            value = fields.next()?;
        }
        fields.end()?;
        let place = open.iter().position(|open| *open == Some(kind));
        let (Some(place), tag::OCTET_STRING) = (place, value.tag) else {
            return Ok(false);
        };
        open[place] = None;
        let must_be_critical = kind == oid::KEY_USAGE || kind == oid::BASIC_CONSTRAINTS;
        if is_critical != must_be_critical || !is_value(kind, value.content, template, names, key, signer)? {
            return Ok(false);
        }
    }
    Ok(open.iter().all(Option::is_none))
}

/// The kinds that must be there, to be struck out.
fn required(is_located: bool, is_hardware: bool) -> [Option<&'static [u8]>; 8] {
    [
        Some(oid::AUTHORITY_KEY_IDENTIFIER),
        Some(oid::SUBJECT_KEY_IDENTIFIER),
        Some(oid::KEY_USAGE),
        Some(oid::EXTENDED_KEY_USAGE),
        Some(oid::BASIC_CONSTRAINTS),
        is_hardware.then_some(oid::SUBJECT_ALT_NAME),
        is_located.then_some(oid::CRL_DISTRIBUTION_POINTS),
        is_located.then_some(oid::AUTHORITY_INFORMATION),
    ]
}

fn is_value(
    kind: &[u8],
    value: &[u8],
    template: &Template,
    names: &Alternative,
    key: &PublicKey,
    signer: Signer<'_>,
) -> Result<bool, NotDer> {
    // RFC 7093, 2, method 1.
    let identifier = |key: &PublicKey| Sha256::digest(key.point());
    Ok(match kind {
        oid::KEY_USAGE => value == SIGN,
        oid::BASIC_CONSTRAINTS => value == NO_AUTHORITY,
        oid::EXTENDED_KEY_USAGE => only(only(value, tag::SEQUENCE)?, tag::OID)? == oid::CLIENT_AUTH,
        oid::SUBJECT_KEY_IDENTIFIER => only(value, tag::OCTET_STRING)? == &identifier(key)[..20],
        oid::AUTHORITY_KEY_IDENTIFIER => {
            only(only(value, tag::SEQUENCE)?, KEY_IDENTIFIER)? == &identifier(signer.key)[..20]
        }
        oid::SUBJECT_ALT_NAME => match names {
            Alternative::Hardware(serial) => is_hardware_name(value, serial)?,
            Alternative::Nothing | Alternative::Server(_) => false,
        },
        oid::CRL_DISTRIBUTION_POINTS => {
            let point = only(only(value, tag::SEQUENCE)?, tag::SEQUENCE)?;
            let url = only(only(only(point, tag::CONTEXT_0)?, tag::CONTEXT_0)?, URI)?;
            is_at(url, template.locations.as_ref().map(|at| at.list.as_str()))
        }
        oid::AUTHORITY_INFORMATION => {
            let mut access = Reader::new(only(only(value, tag::SEQUENCE)?, tag::SEQUENCE)?);
            let method = access.expect(tag::OID)?.content;
            let url = access.expect(URI)?.content;
            access.end()?;
            method == oid::CA_ISSUERS && is_at(url, template.locations.as_ref().map(|at| at.issuer.as_str()))
        }
        _ => false,
    })
}

fn is_at(url: &[u8], expected: Option<&str>) -> bool {
    expected.is_some_and(|expected| expected.as_bytes() == url)
}

fn is_hardware_name(value: &[u8], serial: &str) -> Result<bool, NotDer> {
    let mut other = Reader::new(only(only(value, tag::SEQUENCE)?, tag::CONTEXT_0)?);
    let kind = other.expect(tag::OID)?.content;
    let inner = other.expect(tag::CONTEXT_0)?.content;
    other.end()?;
    let mut module = Reader::new(only(inner, tag::SEQUENCE)?);
    let hardware = module.expect(tag::OID)?.content;
    let number = module.expect(tag::OCTET_STRING)?.content;
    module.end()?;
    Ok(kind == oid::HARDWARE_MODULE_NAME && hardware == oid::HARDWARE_TYPE && number == serial.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::lint_bytes::Writer;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn instants_are_read_as_they_are_written(at in 946_684_800_u64..=253_402_300_799) {
            let mut w = Writer::default();
            w.time(Timestamp::from_seconds(at));
            let bytes = w.finish();
            let read = Reader::new(&bytes).next().unwrap();
            prop_assert_eq!(seconds(read.tag, read.content), Some(at));
        }
    }
}
