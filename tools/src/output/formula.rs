//! Cells that a spreadsheet would run as a formula, made harmless and back.
//!
//! An apostrophe in front makes a spreadsheet show the cell as text. So that the way back is exact, a cell that already
//! looks like a neutralised one gets one apostrophe more. Numbers such as `-23.55` and `+49 89 1234`, and dashes that
//! stand for nothing, run nothing and stay as they are.

use std::borrow::Cow;

/// Characters that start a formula, ASCII and full-width, and the blanks that programs skip before one.
const STARTERS: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Is it a sign with digits in groups, perhaps with an exponent, or dashes only? A manifest's reader lets the same
/// cells pass: whatever is registered comes back from a results file as it was.
fn is_harmless(cell: &str) -> bool {
    let Some(rest) = cell.strip_prefix(['+', '-']) else {
        return false;
    };
    if rest.bytes().all(|c| c == b'-') {
        return true;
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && mantissa.bytes().any(|c| c.is_ascii_digit())
        && mantissa
            .bytes()
            .all(|c| c.is_ascii_digit() || matches!(c, b'.' | b',' | b' '))
        && !exponent.is_empty()
        && exponent.bytes().all(|c| c.is_ascii_digit())
}

/// Blanks in front hide nothing: some programs drop them when they open a file, as a manifest's reader does.
fn needs_apostrophe(cell: &str) -> bool {
    cell.trim_start_matches(['\'', ' ']).starts_with(STARTERS) && !is_harmless(cell.trim_start_matches(' '))
}

/// The cell as it may stand in a CSV file.
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    if needs_apostrophe(cell) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The same for a cell of the user's own file: one that has its apostrophe already is left alone, so that a file that
/// goes round several times stays as it is.
pub fn neutralise_own(cell: &str) -> Cow<'_, str> {
    if cell.trim_start_matches(' ').starts_with(STARTERS) {
        neutralise(cell)
    } else {
        Cow::Borrowed(cell)
    }
}

/// The cell that [`neutralise`] was given.
pub fn restore(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if needs_apostrophe(rest) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        for (cell, safe) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(1)", "'@SUM(1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("＝1", "'＝1"),
            ("＠x", "'＠x"),
            ("\n=1", "'\n=1"),
            (" =1", "' =1"),
            ("  -1+1", "'  -1+1"),
            ("'=1", "''=1"),
            ("-.", "'-."),
            ("+e5", "'+e5"),
            ("-1e", "'-1e"),
            ("+49 89-1", "'+49 89-1"),
            ("-inf", "'-inf"),
        ] {
            assert_eq!(neutralise(cell), safe);
        }
    }

    #[test]
    fn data_stays_as_it_is() {
        for cell in [
            "",
            "GW2-7000001",
            "-23.5505",
            " -23.5",
            "+49",
            "+49 89 1234",
            "-1,5",
            "-",
            "---",
            "2.00E+06",
            "-1e-3",
            "'quoted'",
            "a=b",
            "00:1B:C5:00:70:01",
        ] {
            assert_eq!(neutralise(cell), cell);
        }
    }

    #[test]
    fn the_way_back_is_exact() {
        let alphabet = ['\'', '=', '-', '1', ' ', '\t', '＋', '.'];
        let mut cells = vec![String::new()];
        for _ in 0..5 {
            let longer: Vec<_> = cells
                .iter()
                .flat_map(|cell| alphabet.map(|c| format!("{cell}{c}")))
                .collect();
            cells.extend(longer);
            cells.sort_unstable();
            cells.dedup();
        }
        assert!(cells.len() > 30_000);
        for cell in &cells {
            let safe = neutralise(cell);
            let own = neutralise_own(cell);
            assert_eq!(neutralise_own(&own), own);
            let starts = |cell: &str| cell.trim_start_matches(' ').starts_with(STARTERS);
            let runs = |cell: &str| starts(cell) && !is_harmless(cell.trim_start_matches(' '));
            assert!(!runs(&own), "{own:?}");
            assert_eq!(restore(&safe), cell, "{safe:?}");
            assert!(!runs(&safe), "{safe:?}");
        }
    }
}
