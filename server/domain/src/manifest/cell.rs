//! What can be wrong with the text of any cell.

use super::damage::{self, Damage};
use crate::{Code, Refusal};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// Does the text begin like a formula of a spreadsheet? Signed numbers and mere dashes do not: coordinates and
/// `-` for "none" are plain values. Full-width signs count, because spreadsheets of East Asia take them for the others.
pub(super) fn is_formula(text: &str) -> bool {
    match text.as_bytes() {
        [b'=' | b'@', ..] => true,
        // The first byte of every full-width sign.
        [0xEF, ..] => text.starts_with(['＝', '＋', '－', '＠']),
        [b'+' | b'-', rest @ ..] => !is_number(rest) && !rest.iter().all(|&byte| byte == b'-'),
        _ => false,
    }
}

/// Digits in groups, perhaps with an exponent: nothing that a spreadsheet could calculate with.
fn is_number(text: &[u8]) -> bool {
    let (mantissa, exponent) = match text.iter().position(|&byte| byte == b'e' || byte == b'E') {
        Some(place) => (&text[..place], &text[place + 1..]),
        None => (text, &b"0"[..]),
    };
    let exponent = exponent
        .strip_prefix(b"-")
        .or_else(|| exponent.strip_prefix(b"+"))
        .unwrap_or(exponent);
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    mantissa
        .first()
        .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.')
        && mantissa.iter().any(u8::is_ascii_digit)
        && mantissa
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b' '))
        && digits(exponent)
}

/// Characters that no cell may hold: controls, and those that turn the direction of text or are invisible.
fn is_foreign(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Printable ASCII needs no closer look.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// In the composed form (NFC): one file writes ü as one character and the next as two, and means the same.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Does printable text need a closer look? Most does not.
pub(super) fn is_suspect(text: &str) -> bool {
    is_formula(text) || damage::may_be_error(text)
}

/// What is wrong with a trimmed cell, whatever it means.
pub(super) fn problem(text: &str) -> Option<Refusal> {
    if let Some(c) = text.chars().find(|&c| is_foreign(c)) {
        let why = format!("holds the control character U+{:04X}", u32::from(c));
        return Some(Refusal::new(Code::CellMalformed, why));
    }
    if damage::is_error(text) {
        return Some(Refusal::new(Code::CellDamaged, Damage::Error.to_string()));
    }
    is_formula(text).then(|| Refusal::new(Code::FormulaCell, "starts like a formula"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_told_from_signed_numbers() {
        for text in [
            "=1",
            "=",
            "@SUM(A1)",
            "+A1",
            "-A1",
            "+1+2",
            "-2-3",
            "+cmd|' /C calc'!A0",
            "-1(2)",
            "+e5",
            "-.",
            "+inf",
            "＝1",
            "＋A1",
            "－1",
            "＠SUM",
        ] {
            assert!(is_formula(text), "{text}");
        }
        for text in [
            "",
            "1",
            "-1",
            "+1.5",
            "-97.7431",
            "-1,5",
            "-1e-5",
            "+49 89 1234",
            "-",
            "--",
            "a=b",
            "-.5",
        ] {
            assert!(!is_formula(text), "{text}");
        }
    }

    #[test]
    fn letters_with_marks_are_one_character() {
        let check = |text: &str, expected: &str| assert_eq!(composed(text), expected);
        check("Bu\u{308}ro", "B\u{fc}ro");
        check("B\u{fc}ro", "B\u{fc}ro");
        check("A\u{327}\u{30A}", "\u{c5}\u{327}");
        check("Hall 1", "Hall 1");
    }

    #[test]
    fn invisible_characters_are_named() {
        let check =
            |text: &str, expected| assert_eq!(problem(text).map(|found| found.message), expected, "{text:?}");
        check("Büro 3. Stock", None);
        check("a\u{7}b", Some("holds the control character U+0007".to_owned()));
        check(
            "a\u{202E}b",
            Some("holds the control character U+202E".to_owned()),
        );
        check("a\nb", Some("holds the control character U+000A".to_owned()));
        check("#REF!", Some("is an error of a spreadsheet".to_owned()));
    }
}
