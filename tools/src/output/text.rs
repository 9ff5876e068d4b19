//! Text from outside, made fit for a terminal.

use std::borrow::Cow;

/// Shows control characters (other than line feeds) as escapes: a serial, a label or a device's report must not move
/// the cursor or recolour the screen of whoever reads it.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let unsafe_here = |c: char| (c.is_control() && c != '\n') || is_direction(c);
    if !text.contains(unsafe_here) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| {
        if unsafe_here(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    });
    Cow::Owned(shown.collect())
}

/// The same for one line.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(clean(text).replace('\n', "\\n"))
    } else {
        clean(text)
    }
}

/// Overrides of the writing direction make text read as what it is not.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        for (text, shown) in [
            ("São Paulo", "São Paulo"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\rb\tc", "a\\rb\\tc"),
            ("a\nb", "a\\nb"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(clean("a\nb"), "a\nb");
    }
}
