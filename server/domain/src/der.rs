//! DER, read strictly and written plainly (X.690).
//!
//! Certificate requests, and the keys and certificates of manifests, come from strangers, so they are read by hand:
//! definite lengths in their shortest form, low tag numbers, nothing after the end. A reader this small can be checked
//! by eye.

/// The tags that certificates and requests are made of.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// PrintableString.
    pub const PRINTABLE_STRING: u8 = 0x13;
    /// TeletexString.
    pub const TELETEX_STRING: u8 = 0x14;
    /// IA5String.
    pub const IA5_STRING: u8 = 0x16;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// UniversalString.
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    /// BMPString.
    pub const BMP_STRING: u8 = 0x1e;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;
    /// `[0]`, constructed.
    pub const CONTEXT_0: u8 = 0xa0;
    /// `[3]`, constructed.
    pub const CONTEXT_3: u8 = 0xa3;
}

/// Bit of a tag: the content is made of elements.
const CONSTRUCTED: u8 = 0x20;
/// Bits of a tag: its class; zero is universal.
const CLASS: u8 = 0xc0;
/// Low bits of a tag: all set announces a tag number in more bytes, which nothing of ours has.
const NUMBER: u8 = 0x1f;
/// Deepest nesting read. A name in an extension in a request is eight deep.
const DEPTH_LIMIT: usize = 16;

/// The bytes are not DER, or not what was expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDer;

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Class, form and number.
    pub tag: u8,
    /// What is inside.
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over some bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next element, whatever it is.
    ///
    /// # Errors
    /// [`NotDer`] when there is none.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would let callers pass over what is not DER"
    )]
    pub fn next(&mut self) -> Result<Element<'a>, NotDer> {
        let all = self.rest;
        let (&tag, rest) = all.split_first().ok_or(NotDer)?;
        let (&first, rest) = rest.split_first().ok_or(NotDer)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest
                    .split_first()
                    .filter(|(length, _)| **length > 0x7f)
                    .ok_or(NotDer)?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk().ok_or(NotDer)?;
                let length = u16::from_be_bytes(*length);
                if length <= 0xff {
                    return Err(NotDer);
                }
                (usize::from(length), rest)
            }
            // Indefinite (BER), reserved, or longer than anything we take.
            _ => return Err(NotDer),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(NotDer)?;
        if tag & NUMBER == NUMBER {
            return Err(NotDer);
        }
        self.rest = rest;
        Ok(Element {
            tag,
            content,
            whole: &all[..all.len() - rest.len()],
        })
    }

    /// The next element, which must have this tag.
    ///
    /// # Errors
    /// [`NotDer`] when it has not.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        self.next().and_then(|element| {
            if element.tag == tag {
                Ok(element)
            } else {
                Err(NotDer)
            }
        })
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`NotDer`] when something is.
    pub fn end(&self) -> Result<(), NotDer> {
        if self.is_empty() { Ok(()) } else { Err(NotDer) }
    }

    /// Is nothing left?
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Are these elements, and all inside them, in DER?
pub fn well_formed(bytes: &[u8]) -> bool {
    elements_well_formed(bytes, DEPTH_LIMIT).is_ok()
}

fn elements_well_formed(bytes: &[u8], depth: usize) -> Result<(), NotDer> {
    let depth = depth.checked_sub(1).ok_or(NotDer)?;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let element = reader.next()?;
        let constructed = element.tag & CONSTRUCTED != 0;
        if element.tag & CLASS == 0 {
            universal_well_formed(element, constructed)?;
        }
        if constructed {
            elements_well_formed(element.content, depth)?;
        }
    }
    Ok(())
}

/// The rules for single types (X.690, 8, 10 and 11) that let one value have one encoding only.
fn universal_well_formed(element: Element<'_>, constructed: bool) -> Result<(), NotDer> {
    let content = element.content;
    let is_aggregate = matches!(element.tag | CONSTRUCTED, tag::SEQUENCE | tag::SET);
    let fine = is_aggregate == constructed
        && match element.tag {
            tag::BOOLEAN => matches!(content, [0 | 0xff]),
            tag::INTEGER => match content {
                [] => false,
                [0, second, ..] => *second >= 0x80,
                [0xff, second, ..] => *second < 0x80,
                _ => true,
            },
            tag::BIT_STRING => match content {
                [] => false,
                [unused] => *unused == 0,
                [unused, .., last] => *unused < 8 && last.trailing_zeros() >= u32::from(*unused),
            },
            tag::NULL => content.is_empty(),
            // The end-of-contents mark of BER.
            0 => false,
            // No part starts with a padding 0x80, and the last part ends.
            tag::OID => {
                content.last().is_some_and(|last| *last < 0x80)
                    && content.first() != Some(&0x80)
                    && content.windows(2).all(|pair| pair[0] >= 0x80 || pair[1] != 0x80)
            }
            _ => true,
        };
    if fine { Ok(()) } else { Err(NotDer) }
}

/// An element around some content of at most 65 535 bytes, which all of ours is.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(length <= 0xffff, "longer than the two length bytes written here");
    let [.., high, low] = length.to_be_bytes();
    let mut out = vec![tag];
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(parts.iter().flat_map(|part| part.iter()));
    out
}

/// A SEQUENCE of elements.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(tag::SEQUENCE, parts)
}

/// An OBJECT IDENTIFIER from its content.
pub fn oid(content: &[u8]) -> Vec<u8> {
    element(tag::OID, &[content])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_der_is_not_read() {
        let check = |bytes: &[u8], expected| assert_eq!(well_formed(bytes), expected, "{bytes:02x?}");
        check(&[], true);
        check(&[0x30, 0], true);
        check(&[0x02, 1, 0], true);
        check(&[0x02], false);
        check(&[0x02, 2, 0], false);
        // Indefinite length, long forms that are too long, five length bytes.
        check(&[0x30, 0x80, 0, 0], false);
        check(&[0x02, 0x81, 1, 0], false);
        check(&[0x04, 0x82, 0, 1, 0], false);
        check(&[0x04, 0x84, 0, 0, 0, 1, 0], false);
        check(&[0, 0], false);
        // High tag numbers; a primitive SEQUENCE; a constructed string.
        check(&[0x1f, 0x20, 0], false);
        check(&[0x10, 0], false);
        check(&[0x24, 3, 0x04, 1, 7], false);
        // Padded integers, odd booleans, bits in unused places, padded or cut object identifiers.
        check(&[0x02, 2, 0, 1], false);
        check(&[0x02, 2, 0xff, 0x80], false);
        check(&[0x02, 2, 0, 0x80], true);
        check(&[0x02, 0], false);
        check(&[0x01, 1, 1], false);
        check(&[0x03, 2, 7, 0x80], true);
        check(&[0x03, 2, 7, 0x81], false);
        check(&[0x03, 1, 1], false);
        check(&[0x05, 1, 0], false);
        check(&[0x06, 2, 0x80, 1], false);
        check(&[0x06, 3, 0x2a, 0x80, 1], false);
        check(&[0x06, 2, 0x2a, 0x81], false);
        check(&[0x06, 0], false);
    }

    #[test]
    fn nesting_has_a_bottom() {
        let nested = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| sequence(&[&inner]));
        assert!(well_formed(&nested(DEPTH_LIMIT - 1)));
        assert!(!well_formed(&nested(DEPTH_LIMIT)));
        assert!(!well_formed(&nested(2000)));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(content in proptest::collection::vec(any::<u8>(), 0..600)) {
            let written = element(tag::OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&written);
            let read = reader.expect(tag::OCTET_STRING);
            prop_assert_eq!(read.map(|element| (element.content, element.whole)), Ok((&content[..], &written[..])));
            prop_assert!(reader.end().is_ok() && well_formed(&written));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _: bool = well_formed(&bytes);
        }
    }
}
