//! Dates of spreadsheets: numbers of days that a format makes look like a date (ECMA-376 part 1, 18.17.4 and 18.8.30).

use crate::time::civil;

/// From where a workbook counts days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Epoch {
    /// Day 1 is 1900-01-01, and day 60 is 1900-02-29, which never was: a mistake kept for compatibility.
    #[default]
    Of1900,
    /// Day 0 is 1904-01-01.
    Of1904,
}

/// 9999-12-31, the last day of both.
const DAYS: f64 = 2_958_466.0;
const MILLISECONDS: i64 = 86_400_000;

impl Epoch {
    /// The moment as ISO 8601: a date, a time of day where there are no whole days, or both. `None`: no date.
    pub(super) fn iso(self, number: f64) -> Option<String> {
        if !(0.0..DAYS).contains(&number) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "less than 3 million days in milliseconds"
        )]
        let moment = (number * 86_400_000.0).round() as i64;
        let (day, rest) = (moment.div_euclid(MILLISECONDS), moment.rem_euclid(MILLISECONDS));
        let time = time(rest);
        if number < 1.0 && day == 0 {
            return Some(time);
        }
        let date = self.date(day);
        Some(if rest == 0 { date } else { format!("{date}T{time}") })
    }

    fn date(self, day: i64) -> String {
        let (year, month, day) = match (self, day) {
            (Self::Of1900, 60) => (1900, 2, 29),
            (Self::Of1900, ..60) => civil(day - 25_568),
            (Self::Of1900, _) => civil(day - 25_569),
            (Self::Of1904, _) => civil(day - 24_107),
        };
        format!("{year:04}-{month:02}-{day:02}")
    }
}

fn time(milliseconds: i64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let part = if rest == 0 {
        String::new()
    } else {
        format!(".{rest:03}")
    };
    format!("{hours:02}:{minutes:02}:{seconds:02}{part}")
}

/// A time of day written as a duration, as OpenDocument does: `PT09H05M00S` is `09:05:00`.
pub(super) fn duration(text: &str) -> Option<String> {
    let (hours, rest) = text.strip_prefix("PT")?.split_once('H')?;
    let (minutes, rest) = rest.split_once('M')?;
    let (seconds, rest) = rest.split_once('S')?;
    let (whole, part) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = [hours, minutes, whole];
    if !rest.is_empty()
        || parts.iter().any(|text| text.is_empty())
        || !parts.iter().all(|text| is_number(text))
        || !is_number(part)
    {
        return None;
    }
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{hours:0>2}:{minutes:0>2}:{whole:0>2}{point}{part}"))
}

/// Is the number format that every spreadsheet has under this number one of dates or times? Those that depend on the
/// country (27 to 36, 50 to 58) are dates in all of them.
pub(super) const fn is_built_in(number: u32) -> bool {
    matches!(number, 14..=22 | 27..=36 | 45..=47 | 50..=58)
}

/// Does this format show a date or a time? It does when its first section has a day, month, year, hour or second that
/// is not quoted, escaped or within brackets, other than those of elapsed time.
pub(super) fn is_format(code: &str) -> bool {
    let mut rest = code.chars();
    while let Some(c) = rest.next() {
        match c {
            ';' => return false,
            '"' => {
                rest.find(|&c| c == '"');
            }
            '\\' | '_' | '*' => {
                rest.next();
            }
            '[' => {
                let inside: String = rest.by_ref().take_while(|&c| c != ']').collect();
                let is_elapsed =
                    |unit| !inside.is_empty() && inside.chars().all(|c| c.eq_ignore_ascii_case(&unit));
                if ['h', 'm', 's'].into_iter().any(is_elapsed) {
                    return true;
                }
            }
            'd' | 'm' | 'y' | 'h' | 's' | 'D' | 'M' | 'Y' | 'H' | 'S' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
