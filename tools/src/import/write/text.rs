//! Text within XML.

/// What stands for a character that XML cannot hold.
const REPLACEMENT: char = '\u{FFFD}';

/// May the character stand in XML 1.0 (section 2.2, `Char`)?
pub(super) const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Appends a text so that it is read as it was: markup escaped, and a return, which a reader would make a line feed of.
pub(super) fn push(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c if is_char(c) => out.push(c),
            _ => out.push(REPLACEMENT),
        }
    }
}
