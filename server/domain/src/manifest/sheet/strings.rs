//! The texts that the cells of an XLSX workbook share.

use super::line::add;
use crate::manifest::{
    ReadError,
    carried::too_large,
    markup::{Markup, Token},
};
use std::io::BufRead;

/// Most bytes of the table: the texts and four bytes each. A million rows of three texts of their own take 60 MB.
const TABLE_LIMIT: usize = 192 << 20;

/// All texts, one behind the other: a million of them cost no million allocations.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Strings {
    /// Reads `sharedStrings.xml`: runs of rich text are joined, and how to pronounce them is left away.
    pub(super) fn read(source: impl BufRead) -> Result<Self, ReadError> {
        let mut markup = Markup::new(source);
        let mut strings = Self::default();
        let (mut item, mut is_text) = (String::new(), false);
        loop {
            match markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "rPh" => markup.skip()?,
                    "t" => is_text = true,
                    _ => {}
                },
                Token::Text(text) if is_text => add(&mut item, &text),
                Token::Text(_) => {}
                Token::Close(tag) => match tag.name() {
                    "t" => is_text = false,
                    "si" => {
                        strings.push(&unescape(&item))?;
                        item.clear();
                    }
                    _ => {}
                },
                Token::End => return Ok(strings),
            }
        }
    }

    /// Adds a text, as the next number.
    pub(super) fn push(&mut self, text: &str) -> Result<(), ReadError> {
        let size = self.text.len() + text.len() + (self.ends.len() + 1) * size_of::<u32>();
        let end = u32::try_from(self.text.len() + text.len());
        match end {
            Ok(end) if size <= TABLE_LIMIT => {
                self.text.push_str(text);
                self.ends.push(end);
                Ok(())
            }
            Ok(_) | Err(_) => {
                let why = format!("has more than {TABLE_LIMIT} bytes of different texts; save it as CSV");
                Err(too_large(why).into())
            }
        }
    }

    /// The text of this number.
    pub(super) fn at(&self, place: usize) -> Option<&str> {
        let offset = |end: &u32| usize::try_from(*end).ok();
        let end = self.ends.get(place).and_then(offset)?;
        let before = place.checked_sub(1).and_then(|before| self.ends.get(before));
        self.text.get(before.and_then(offset).unwrap_or_default()..end)
    }

    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Turns `_x000D_` into the character it stands for (ECMA-376 part 1, 22.9.2.19): XML cannot hold all that cells can.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("_x") {
        let (before, escape) = rest.split_at(place);
        plain.push_str(before);
        match escaped(escape) {
            Some((c, length)) => {
                plain.push(c);
                rest = escape.get(length..).unwrap_or_default();
            }
            None => {
                plain.push_str("_x");
                rest = escape.get("_x".len()..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character of an escape at the start of the text, and the length of the escape.
fn escaped(text: &str) -> Option<(char, usize)> {
    const LENGTH: usize = "_x0000_".len();
    let unit = |text: &str| {
        let digits = text.get(..LENGTH)?.strip_prefix("_x")?.strip_suffix('_')?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    };
    let first = unit(text)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, LENGTH));
    }
    let second = unit(text.get(LENGTH..)?)?;
    let both = char::decode_utf16([first, second]).next()?.ok()?;
    Some((both, 2 * LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a_x000D_b", "a\rb"),
            ("_x005F_x000D_", "_x000D_"),
            ("_xD83D__xDE00_", "😀"),
            ("_xD83D_", "_xD83D_"),
            ("_x+00D_", "_x+00D_"),
            ("_x00", "_x00"),
            ("_x00é0_", "_x00é0_"),
            ("_x_x0041_", "_xA"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn runs_are_joined_and_phonetics_left_away() {
        let xml = "<sst count='9'><si><t>a</t></si><si/><si><r><rPr><b/></rPr><t>b </t></r><r><t>&amp;c</t></r>\
            <rPh sb='0'><t>ビー</t></rPh><phoneticPr/></si></sst>";
        let strings = Strings::read(xml.as_bytes()).unwrap();
        let all: Vec<_> = (0..5).map(|place| strings.at(place)).collect();
        assert_eq!(all, [Some("a"), Some(""), Some("b &c"), None, None]);
    }
}
