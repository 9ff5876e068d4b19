//! Names in certificates, as text (RFC 4514).

use crate::der::{Element, NotDer, Reader, tag};
use core::fmt;

/// Most attributes of a name. Real ones have six or so.
const ATTRIBUTE_LIMIT: usize = 32;
/// serialNumber (X.520, 6.2.9): where IEEE 802.1AR has the serial of a device.
pub(in crate::manifest) const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
/// commonName.
pub(in crate::manifest) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// Types with a short name (RFC 4514, 3; RFC 4519).
const SHORT: [(&[u8], &str); 9] = [
    (COMMON_NAME, "CN"),
    (SERIAL_NUMBER, "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// A distinguished name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::manifest) struct Name {
    /// Types as DER content, values as text; in the order of the certificate.
    attributes: Vec<(Vec<u8>, String)>,
}

impl Name {
    /// From the content of a Name. Attributes of one set are taken one by one.
    pub(super) fn read(content: &[u8]) -> Result<Self, NotDer> {
        let mut attributes = Vec::new();
        let mut sets = Reader::new(content);
        while !sets.is_empty() {
            let mut set = Reader::new(sets.expect(tag::SET)?.content);
            while !set.is_empty() {
                let mut attribute = Reader::new(set.expect(tag::SEQUENCE)?.content);
                let kind = attribute.expect(tag::OID)?.content.to_vec();
                let value = text(attribute.next()?)?;
                attribute.end()?;
                if attributes.len() == ATTRIBUTE_LIMIT {
                    return Err(NotDer);
                }
                attributes.push((kind, value));
            }
        }
        Ok(Self { attributes })
    }

    /// The value of the last attribute of this type: the most specific one, where there are several.
    pub(in crate::manifest) fn value(&self, kind: &[u8]) -> Option<&str> {
        let mut found = self.attributes.iter().rev().filter(|(known, _)| known == kind);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A value of any string type.
fn text(element: Element<'_>) -> Result<String, NotDer> {
    let bytes = element.content;
    match element.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
            String::from_utf8(bytes.to_vec()).map_err(|_| NotDer)
        }
        // T.61, which everybody took for Latin-1.
        tag::TELETEX_STRING => Ok(bytes.iter().copied().map(char::from).collect()),
        tag::BMP_STRING => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| rest.is_empty()).ok_or(NotDer)
        }
        tag::UNIVERSAL_STRING => {
            let (units, rest) = bytes.as_chunks::<4>();
            let text: Option<String> = units
                .iter()
                .map(|unit| char::from_u32(u32::from_be_bytes(*unit)))
                .collect();
            text.filter(|_| rest.is_empty()).ok_or(NotDer)
        }
        _ => Err(NotDer),
    }
}

/// RFC 4514 writes names from the last attribute to the first.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, value)) in self.attributes.iter().rev().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match SHORT.iter().find(|(known, _)| known == kind) {
                Some((_, short)) => write!(f, "{short}=")?,
                None => write_oid(kind, f)?,
            }
            write_value(value, f)?;
        }
        Ok(())
    }
}

/// Characters that RFC 4514, 2.4 has behind a backslash; controls as hexadecimal pairs.
fn write_value(value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        let at_edge = (c == ' ' && (place == 0 || place == last)) || (c == '#' && place == 0);
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(f, "\\{byte:02x}")?;
            }
        } else if at_edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            write!(f, "\\{c}")?;
        } else {
            write!(f, "{c}")?;
        }
    }
    Ok(())
}

/// An identifier in dots, and `=`. Arcs over 63 bits, which nobody has, come out wrong rather than not at all.
fn write_oid(content: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut arc = 0u64;
    let mut is_first = true;
    for byte in content {
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let root = (arc / 40).min(2);
            write!(f, "{root}.{}", arc - root * 40)?;
        } else {
            write!(f, ".{arc}")?;
        }
        (arc, is_first) = (0, false);
    }
    f.write_str("=")
}

#[cfg(test)]
mod tests;
