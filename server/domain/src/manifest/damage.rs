//! What spreadsheets make of identifiers: numbers, dates, times, errors.

use super::CellKind;
use core::fmt;

/// Most leading zeros that we look for where digits seem to have lost some.
const ZEROS: usize = 8;

/// What happened to a cell that should be text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// The cell is a number: leading zeros, and digits behind the fifteenth, are gone.
    Number,
    /// `1.2E+12`.
    Scientific,
    /// `123.0`.
    Decimal,
    /// A date, as a cell of that kind or as text.
    Date,
    /// A time of day, such as `12:34:56`.
    Time,
    /// True or false.
    Boolean,
    /// `#N/A` and the like.
    Error,
}

impl Damage {
    /// What the cell itself tells.
    pub(super) const fn of_kind(kind: CellKind) -> Option<Self> {
        match kind {
            CellKind::Text | CellKind::Formula => None,
            CellKind::Number => Some(Self::Number),
            CellKind::Date => Some(Self::Date),
            CellKind::Boolean => Some(Self::Boolean),
            CellKind::Error => Some(Self::Error),
        }
    }

    /// What the text of an identifier tells. Some makers have serials that look so: their models have a pattern.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        // None of what follows begins with anything else; most identifiers do.
        if !text.starts_with(|c: char| c.is_ascii_digit() || is_month_start(c)) {
            return None;
        }
        if is_scientific(text) {
            Some(Self::Scientific)
        } else if is_decimal(text) {
            Some(Self::Decimal)
        } else if is_time(text) {
            Some(Self::Time)
        } else if is_date(text) {
            Some(Self::Date)
        } else {
            None
        }
    }

    /// Did the value become a number, rather than something else?
    pub(super) const fn is_number(self) -> bool {
        match self {
            Self::Number | Self::Scientific | Self::Decimal => true,
            Self::Date | Self::Time | Self::Boolean | Self::Error => false,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "is a number, which has lost its leading zeros; write it as text",
            Self::Scientific => "is what a spreadsheet makes of a long number",
            Self::Decimal => "is what a spreadsheet makes of a number",
            Self::Date => "is a date, made by a spreadsheet",
            Self::Time => "is a time, made by a spreadsheet",
            Self::Boolean => "is true or false, made by a spreadsheet",
            Self::Error => "is an error of a spreadsheet",
        })
    }
}

/// Errors as Excel and LibreOffice write them, in English and where their names differ in German, French and Spanish.
const ERRORS: [&str; 22] = [
    "#BEZUG!",
    "#BLOCKED!",
    "#BUSY!",
    "#CALC!",
    "#CONNECT!",
    "#DIV/0!",
    "#FIELD!",
    "#GETTING_DATA",
    "#N/A",
    "#N/D",
    "#NAME?",
    "#NOM?",
    "#NULL!",
    "#NUM!",
    "#NV",
    "#REF!",
    "#SPILL!",
    "#UNKNOWN!",
    "#VALEUR!",
    "#VALUE!",
    "#WERT!",
    "#ZAHL!",
];

/// Is this text an error of a spreadsheet, or the fence of a column that was too narrow to show its value?
pub(super) fn is_error(text: &str) -> bool {
    if let Some(number) = text.strip_prefix("Err:") {
        return number.len() == 3 && is_digits(number);
    }
    let is_fence = || text.len() >= 3 && text.bytes().all(|byte| byte == b'#');
    text.starts_with('#') && (ERRORS.contains(&text) || is_fence())
}

/// Can this text be an error at all? A first look, for every cell.
pub(super) fn may_be_error(text: &str) -> bool {
    text.starts_with(['#', 'E'])
}

/// The text with leading zeros with which it is known; `None` where none make it so.
pub(super) fn with_zeros(text: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    if !is_digits(text) {
        return None;
    }
    (1..=ZEROS)
        .map(|zeros| "0".repeat(zeros) + text)
        .find(|padded| is_known(padded))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_scientific(text: &str) -> bool {
    let decimal = |text: &str| match text.split_once(['.', ',']) {
        Some((whole, part)) => is_digits(whole) && is_digits(part),
        None => is_digits(text),
    };
    text.split_once(['E', 'e']).is_some_and(|(mantissa, exponent)| {
        let signed = exponent.strip_prefix(['+', '-']);
        decimal(mantissa) && signed.is_some_and(is_digits)
    })
}

fn is_decimal(text: &str) -> bool {
    let parts = text.split_once(['.', ',']);
    parts.is_some_and(|(whole, part)| {
        is_digits(whole) && is_digits(part) && part.bytes().all(|byte| byte == b'0')
    })
}

/// `9:05`, `12:34:56`, with parts of a second or half a day behind it.
fn is_time(text: &str) -> bool {
    let text = text.trim_end_matches(" AM").trim_end_matches(" PM");
    let text = text
        .split_once('.')
        .filter(|(_, part)| is_digits(part))
        .map_or(text, |(time, _)| time);
    let mut parts = text.split(':');
    let below = |part: Option<&str>, limit: u8| {
        part.is_some_and(|part| {
            matches!(part.len(), 1 | 2) && is_digits(part) && part.parse::<u8>().is_ok_and(|n| n < limit)
        })
    };
    let (hour, minute, second) = (parts.next(), parts.next(), parts.next());
    below(hour, 24) && below(minute, 60) && (second.is_none() || below(second, 60)) && parts.next().is_none()
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

const fn is_month_start(c: char) -> bool {
    matches!(
        c.to_ascii_lowercase(),
        'j' | 'f' | 'm' | 'a' | 's' | 'o' | 'n' | 'd'
    )
}

/// A day, perhaps with a time behind it: `2024-05-01`, `1.5.2024`, `5/1/24`, `01-May-24`, `May-24`.
fn is_date(text: &str) -> bool {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    if !time.is_empty() && !is_time(time) {
        return false;
    }
    let Some(separator) = date.chars().find(|c| matches!(c, '-' | '.' | '/')) else {
        return false;
    };
    let mut parts = date.split(separator);
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    match parts {
        (Some(year), Some(month), Some(day), None) if year.len() == 4 => {
            is_year(year) && is_month(month) && is_day(day)
        }
        (Some(day), Some(month), Some(year), None) => {
            let european = is_day(day) && (is_month(month) || is_named(month));
            let american = is_month(day) && is_day(month);
            (european || american) && is_year(year)
        }
        (Some(day), Some(month), None, None) if is_named(month) => is_day(day),
        (Some(month), Some(year), None, None) if is_named(month) => is_year(year),
        _ => false,
    }
}

fn is_named(month: &str) -> bool {
    MONTHS.iter().any(|name| name.eq_ignore_ascii_case(month))
}

fn is_within(text: &str, limit: u8) -> bool {
    matches!(text.len(), 1 | 2) && is_digits(text) && text.parse().is_ok_and(|n: u8| (1..=limit).contains(&n))
}

fn is_month(text: &str) -> bool {
    is_within(text, 12)
}

fn is_day(text: &str) -> bool {
    is_within(text, 31)
}

/// Two digits, or four of our age.
fn is_year(text: &str) -> bool {
    is_digits(text)
        && (text.len() == 2 || text.len() == 4 && (text.starts_with("19") || text.starts_with("20")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damage_is_told_from_odd_identifiers() {
        let check = |text: &str, expected| assert_eq!(Damage::of_text(text), expected, "{text}");
        for text in ["2.00E+06", "1.2e+12", "1,2E+12", "5E-07"] {
            check(text, Some(Damage::Scientific));
        }
        for text in ["123.0", "123,00", "1234567890123.0"] {
            check(text, Some(Damage::Decimal));
        }
        for text in ["12:34:56", "9:05", "00:00:00", "12:34:56.7", "1:02:03 PM"] {
            check(text, Some(Damage::Time));
        }
        for text in [
            "2024-05-01",
            "1.5.2024",
            "31/12/99",
            "12/31/1999",
            "01-May-24",
            "May-24",
            "1-May",
            "2024-05-01 00:00:00",
            "2024-05-01T12:00",
            "sep-07",
        ] {
            check(text, Some(Damage::Date));
        }
        for text in [
            "",
            "12E34",
            "1E5",
            "123",
            "1.5",
            "123.",
            ".0",
            "A1.0",
            "E+5",
            "1.2.0",
            "00E+",
            "12:34:56:78:90:12",
            "25:00:00",
            "12:60",
            "GW2-7000001",
            "2.4.0",
            "192.168.0.1",
            "2024-0501",
            "1999-13-01",
            "12-34-56-78-90-AB",
            "3024-05-01",
            "D-24",
            "DEC-1-2-3",
            "MAY",
            "May-ABC",
            "32-May",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn errors_are_told_from_text() {
        for text in ["#N/A", "#REF!", "#DIV/0!", "#NV", "Err:502", "########"] {
            assert!(is_error(text) && may_be_error(text), "{text}");
        }
        for text in [
            "", "#", "##", "#7", "#N/A!", "Err:", "Err:50a", "Err:5022", "N/A", "Error", "#tag",
        ] {
            assert!(!is_error(text), "{text}");
        }
        assert!(ERRORS.is_sorted());
    }

    #[test]
    fn lost_zeros_are_found() {
        let check = |text: &str, expected: Option<&str>| {
            let found = with_zeros(text, |padded| padded == "0001234567");
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("1234567", Some("0001234567"));
        check("01234567", Some("0001234567"));
        check("234567", None);
        check("A234567", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            Damage::of_text(&text);
            is_error(&text);
            with_zeros(&text, |_| false);
        }
    }
}
