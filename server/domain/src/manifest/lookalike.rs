//! Characters that look like others: a serial with a Cyrillic А is another serial, and nobody sees why.

/// What stands where an identifier has only letters, digits and signs of ASCII, and what it looks like.
pub(super) fn explain(text: &str) -> Option<String> {
    let (foreign, twin) = text.chars().find_map(|c| Some((c, twin(c)?)))?;
    let number = u32::from(foreign);
    Some(match twin {
        ' ' => format!("holds the blank U+{number:04X}, which is not the plain one"),
        twin => format!(
            "holds {foreign:?} (U+{number:04X}, {}), which looks like {twin:?} and is not it",
            script(foreign)
        ),
    })
}

/// The character of ASCII that a foreign one looks like.
fn twin(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    // Full-width forms are ASCII, moved.
    if let '\u{FF01}'..='\u{FF5E}' = c {
        return char::from_u32(u32::from(c) - 0xFEE0);
    }
    let found = TWINS.iter().find(|(foreign, _)| foreign.contains(c));
    let (foreign, ascii) = found?;
    let place = foreign.chars().position(|known| known == c)?;
    // One twin for all, or one for each.
    ascii.chars().nth(place).or_else(|| ascii.chars().next())
}

/// Foreign characters and their twins in the same order, from the confusables of Unicode (UTS 39) that a keyboard or
/// a word processor makes.
const TWINS: [(&str, &str); 9] = [
    // Cyrillic.
    (
        "АВЕЅІЈКМНОРСТХУавеѕіјкмнорстхуԁԛԝҺһӀ",
        "ABESIJKMHOPCTXYabesijkmhopctxydqwHhI",
    ),
    // Greek.
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχ", "ABEZHIKMNOPTYXaikvoptux"),
    // Latin letters that are others.
    ("ıſƖɑɡ", "ilIag"),
    // Roman numerals.
    ("ⅠⅤⅩⅬⅭⅮⅯⅰⅴⅹⅼⅽⅾⅿ", "IVXLCDMivxlcdm"),
    // Digits of other scripts, and raised ones.
    ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
    ("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"),
    // Signs.
    ("‐‑‒–—―−﹣", "-"),
    ("∕⁄․⁺∶", "//.+:"),
    ("\u{A0}\u{2002}\u{2003}\u{2007}\u{2009}\u{202F}\u{3000}", " "),
];

/// Where it comes from, for people.
const fn script(c: char) -> &'static str {
    match c {
        '\u{0370}'..='\u{03FF}' => "Greek",
        '\u{0400}'..='\u{052F}' => "Cyrillic",
        '\u{0660}'..='\u{0669}' => "Arabic",
        '\u{FF01}'..='\u{FF5E}' => "full-width",
        _ => "another sign",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_is_named() {
        let check = |text: &str, expected: Option<&str>| {
            let found = explain(text);
            match expected {
                None => assert_eq!(found, None, "{text}"),
                Some(words) => assert!(
                    found.as_ref().is_some_and(|why| why.contains(words)),
                    "{text}: {found:?}"
                ),
            }
        };
        check("GW2-7000001", None);
        check("Büro", None);
        check("", None);
        check("\u{410}B", Some("U+0410, Cyrillic), which looks like 'A'"));
        check("GW2-7\u{39F}", Some("U+039F, Greek), which looks like 'O'"));
        check("ＧW2", Some("full-width), which looks like 'G'"));
        check("GW2\u{2013}7", Some("looks like '-'"));
        check("GW2\u{2014}7", Some("looks like '-'"));
        check("GW\u{A0}2", Some("the blank U+00A0"));
        check("\u{661}", Some("Arabic), which looks like '1'"));
        check("\u{2044}", Some("looks like '/'"));
        check("\u{2024}", Some("looks like '.'"));
        check("\u{2070}", Some("looks like '0'"));
    }

    /// Each foreign character has its own twin, unless all have the same.
    #[test]
    fn the_table_is_in_order() {
        for (foreign, ascii) in TWINS {
            let (many, few) = (foreign.chars().count(), ascii.chars().count());
            assert!(few == many || few == 1, "{foreign} {ascii}: {many} {few}");
            assert!(foreign.chars().all(|c| !c.is_ascii()) && ascii.is_ascii());
        }
    }
}
