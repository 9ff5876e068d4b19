//! Times in certificates (RFC 5280, 4.1.2.5).

use crate::{
    Timestamp,
    der::{Element, tag},
    filter::timestamp,
};

/// The moment, and its text as RFC 3339 writes it. `None` for what RFC 5280 does not allow, and before 1970.
pub(super) fn read(element: Element<'_>) -> Option<(Timestamp, String)> {
    let text = core::str::from_utf8(element.content).ok()?;
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (century, rest) = match (element.tag, digits.len()) {
        // Two digits of the year: the century turns at 50.
        (tag::UTC_TIME, 12) if digits < "50" => ("20", digits),
        (tag::UTC_TIME, 12) => ("19", digits),
        (tag::GENERALIZED_TIME, 14) => digits.split_at(2),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2).unwrap_or_default();
    let written = format!(
        "{century}{}-{}-{}T{}:{}:{}Z",
        part(0),
        part(2),
        part(4),
        part(6),
        part(8),
        part(10)
    );
    timestamp::parse(&written).map(|moment| (moment, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: u8, text: &str, expected: Option<&str>) {
        let element = Element {
            tag,
            content: text.as_bytes(),
            whole: &[],
        };
        assert_eq!(read(element).map(|(_, text)| text).as_deref(), expected, "{text}");
    }

    #[test]
    fn both_forms_are_read_as_certificates_have_them() {
        check(tag::UTC_TIME, "250403143109Z", Some("2025-04-03T14:31:09Z"));
        check(tag::UTC_TIME, "490101000000Z", Some("2049-01-01T00:00:00Z"));
        check(tag::UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59Z"));
        check(
            tag::GENERALIZED_TIME,
            "99991231235959Z",
            Some("9999-12-31T23:59:59Z"),
        );
        check(tag::UTC_TIME, "500101000000Z", None);
        check(tag::UTC_TIME, "2504031431Z", None);
        check(tag::UTC_TIME, "250403143109+0100", None);
        check(tag::UTC_TIME, "250230143109Z", None);
        check(tag::UTC_TIME, "25040314310ÄZ", None);
        check(tag::GENERALIZED_TIME, "20250403143109.5Z", None);
        check(tag::GENERALIZED_TIME, "20250403143109", None);
        check(tag::INTEGER, "250403143109Z", None);
    }
}
