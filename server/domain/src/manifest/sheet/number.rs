//! Numbers of spreadsheets as text.

/// Digits that a spreadsheet keeps of a number (IEEE 754 binary64 holds 15 for sure).
const DIGITS: usize = 15;
/// Exponents of ten within which all digits are written, as the formula bar of Excel does.
const PLAIN: core::ops::RangeInclusive<i32> = -9..=20;

/// The number as the spreadsheet's user knows it: 15 digits at most, no `.0`, no exponent while it can be read
/// without.
pub(super) fn show(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{number:.*e}", DIGITS - 1);
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if PLAIN.contains(&exponent) {
        return format!("{sign}{}", plain(digits, exponent));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{exponent:+03}")
}

/// The digits with the point behind as many of them as the exponent says.
fn plain(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-1 - exponent).unwrap_or_default();
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    match digits.split_at_checked(whole + 1) {
        Some((whole, "")) => whole.to_owned(),
        Some((whole, part)) => format!("{whole}.{part}"),
        None => format!("{digits}{}", "0".repeat(whole + 1 - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn numbers_look_as_in_a_spreadsheet() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (12.0, "12"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.3"),
            (7_000_000_050.0, "7000000050"),
            (1.2e12, "1200000000000"),
            (700_000_000_050.0, "700000000050"),
            (123_456_789_012_345_678.0, "123456789012346000"),
            (1e20, "100000000000000000000"),
            (1e21, "1E+21"),
            (1.25e-12, "1.25E-12"),
            (0.00001, "0.00001"),
            (48.137, "48.137"),
            (f64::MAX, "1.79769313486232E+308"),
            (f64::MIN_POSITIVE / 2.0, "1.1125369292536E-308"),
        ] {
            assert_eq!(show(number), expected, "{number:e}");
        }
    }
}
