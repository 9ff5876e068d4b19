//! Cells that a spreadsheet would run as a formula, made harmless and back.
//!
//! An apostrophe in front makes a spreadsheet show the cell as text. So that the way back is exact, a cell that already
//! looks like a neutralised one gets one apostrophe more. Plain numbers such as `-23.55` run nothing and
//! stay numbers.

use std::borrow::Cow;

/// Characters that start a formula, ASCII and full-width, and the blanks that programs skip before one.
const STARTERS: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Is it only sign, digits, point and exponent?
fn is_number(cell: &str) -> bool {
    let finite = cell.parse::<f64>().is_ok_and(f64::is_finite);
    finite
        && cell
            .bytes()
            .all(|c| c.is_ascii_digit() || matches!(c, b'+' | b'-' | b'.' | b'e' | b'E'))
}

fn needs_apostrophe(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(STARTERS) && !is_number(cell)
}

/// The cell as it may stand in a CSV file.
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    if needs_apostrophe(cell) {
        Cow::Owned(format!("'{cell}"))
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
            ("'=1", "''=1"),
            ("-", "'-"),
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
            "+49",
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
        let alphabet = ['\'', '=', '-', '1', 'a', '\t', '＋', '.'];
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
            assert_eq!(restore(&safe), cell, "{safe:?}");
            assert!(!safe.starts_with(STARTERS) || is_number(&safe), "{safe:?}");
        }
    }
}
