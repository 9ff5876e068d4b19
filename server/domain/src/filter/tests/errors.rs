//! What a user is told who gets it wrong.

use super::SCHEMA;
use crate::filter::{Filter, FilterError, MAX_LENGTH};

fn refuse(source: &str) -> FilterError {
    match Filter::parse(source).and_then(|filter| filter.check(&SCHEMA)) {
        Ok(checked) => panic!("{source} was accepted: {checked:?}"),
        Err(error) => error,
    }
}

/// `marked` is the part of `source` that the carets point at.
fn check(source: &str, marked: &str, message: &str) {
    let error = refuse(source);
    let end = error.offset() + error.length();
    assert_eq!(&source[error.offset()..end], marked, "{source}");
    assert_eq!(error.to_string(), message, "{source}");
}

#[test]
fn the_grammar_says_what_it_expected() {
    check(
        "state =",
        "",
        "expected a value, found the end of the filter at byte 7",
    );
    check(
        "state = ACTIVE AND",
        "",
        "expected a field name or `(`, found the end of the filter at byte 18",
    );
    check(
        "(port = 1",
        "",
        "expected AND, OR or `)`, found the end of the filter at byte 9",
    );
    check(
        "port = 1)",
        ")",
        "expected AND, OR or the end of the filter, found \")\" at byte 8",
    );
    check("()", ")", "expected a field name or `(`, found \")\" at byte 1");
    check(
        "OR port = 1",
        "OR",
        "expected a field name or `(`, found \"OR\" at byte 0",
    );
    check(
        "labels. = 1",
        "=",
        "expected a name after `.`, found \"=\" at byte 8",
    );
    check(
        "--port = 1",
        "-",
        "expected a field name or `(`, found \"-\" at byte 1",
    );
    check(
        "NOT NOT port = 1",
        "NOT",
        "expected a field name or `(`, found \"NOT\" at byte 4",
    );
}

#[test]
fn habits_from_other_languages_get_a_hint() {
    check(
        "port = 1 and port = 2",
        "and",
        "expected a comparison, found \"and\" at byte 9; write AND",
    );
    check(
        "port == 1",
        "=",
        "expected a value, found \"=\" at byte 6; equality is a single =",
    );
    check(
        "port = 1 && port = 2",
        "&",
        "unexpected character '&' at byte 9; write AND",
    );
    check(
        "port = 1 || port = 2",
        "|",
        "unexpected character '|' at byte 9; write OR",
    );
    check(
        "!enabled = true",
        "!",
        "unexpected character '!' at byte 0; write NOT or !=",
    );
    check(
        "serial = “GW2”",
        "“",
        "unexpected character '“' at byte 9; use straight quotes",
    );
    check(
        "prod",
        "",
        "expected one of = != < <= > >= :, found the end of the filter at byte 4; \
         a comparison is FIELD = VALUE",
    );
    check(
        "lower(serial) = x",
        "(",
        "expected one of = != < <= > >= :, found \"(\" at byte 5; there are no functions",
    );
    check(
        "state = (ACTIVE OR CLAIMED)",
        "(",
        "expected a value, found \"(\" at byte 8; write (FIELD = ONE OR FIELD = OTHER)",
    );
    check(
        "serial = OR",
        "OR",
        "expected a value, found \"OR\" at byte 9; put a keyword in quotes",
    );
    check(
        "labels:env:prod",
        ":",
        "expected AND, OR or the end of the filter, found \":\" at byte 10; \
         a value that contains an operator is written in quotes",
    );
}

#[test]
fn strings_end_and_wildcards_stand_at_the_ends() {
    check(
        "serial = 'GW2",
        "'GW2",
        "string without a closing quote at byte 9; close it with '",
    );
    check(
        r#"serial = "a\nb""#,
        r"\n",
        r#"unknown escape at byte 11; there are \\, \", \' and \*"#,
    );
    check("serial = 'a\nb'", "\n", "unexpected character '\\n' at byte 11");
    let hint = "a wildcard stands at the start or the end; for the character itself write \"\\*\"";
    check(
        "serial = G*2",
        "*",
        &format!("`*` in the middle of a value at byte 10; {hint}"),
    );
    check(
        r#"serial = "G*\2""#,
        r"\2",
        r#"unknown escape at byte 12; there are \\, \", \' and \*"#,
    );
    check(
        "ser* = x",
        "ser*",
        "`*` does not apply here at byte 0; a field is written out in full",
    );
}

#[test]
fn unknown_fields_are_named_with_the_nearest() {
    check(
        "serail = x",
        "serail",
        "unknown field \"serail\" at byte 0; did you mean serial?",
    );
    check(
        "lables.env = x",
        "lables.env",
        "unknown field \"lables.env\" at byte 0; did you mean labels?",
    );
    check(
        "certificate.expiry > x",
        "certificate.expiry",
        "unknown field \"certificate.expiry\" at byte 0; did you mean certificate.expires?",
    );
    check(
        "port = 1 AND colour = red",
        "colour",
        "unknown field \"colour\" at byte 13; there are serial, state, enabled, port, seen, \
         firmware, labels, certificate.expires",
    );
    check(
        "state.code = 1",
        "state.code",
        "no field \"state.code\" at byte 0; state is a listed name",
    );
    check(
        "labels.a.b = 1",
        "labels.a.b",
        "no field \"labels.a.b\" at byte 0; a key that contains dots is written in quotes",
    );
}

#[test]
fn values_fit_their_field() {
    check(
        "state = active",
        "active",
        "\"active\" is not a listed name at byte 8; did you mean ACTIVE? \
         there are REGISTERED, CLAIMED, ACTIVE",
    );
    check(
        "state:BROKEN",
        "BROKEN",
        "\"BROKEN\" is not a listed name at byte 6; there are REGISTERED, CLAIMED, ACTIVE",
    );
    check("enabled = yes", "yes", "\"yes\" is not true or false at byte 10");
    check(
        "port = 9223372036854775808",
        "9223372036854775808",
        "\"9223372036854775808\" is not a whole number at byte 7; \
         it lies between -9223372036854775808 and 9223372036854775807",
    );
    check(
        "seen > 2026-01-31",
        "2026-01-31",
        "\"2026-01-31\" is not a time at byte 7; \
         write RFC 3339, from 1970 on, as in 2026-01-31T08:00:00Z",
    );
    check(
        "firmware < 1.4",
        "1.4",
        "\"1.4\" is not a version at byte 11; a version has three numbers, as in 1.4.2",
    );
}

#[test]
fn operators_fit_their_field() {
    check(
        "state > ACTIVE",
        ">",
        "`>` does not apply to a listed name at byte 6; it has no order, only = and !=",
    );
    check(
        "enabled <= true",
        "<=",
        "`<=` does not apply to true or false at byte 8; it has no order, only = and !=",
    );
    check(
        "labels = env",
        "labels",
        "labels needs a key at byte 0; write labels.KEY = VALUE",
    );
    check(
        "labels:e*",
        "e*",
        "`*` does not apply here at byte 7; a key is written out in full",
    );
    let hint = "wildcards are for equality of text; FIELD:* asks whether there is a value";
    for source in ["serial > G*", "state = A*", "port = *", "seen:2026*"] {
        let error = refuse(source);
        assert_eq!(error.hint(), Some(hint), "{source}");
    }
}

#[test]
fn carets_stand_under_the_problem() {
    let check = |source: &str, expected: &str| {
        assert_eq!(refuse(source).caret(source), expected, "{source}");
    };
    check("serail = x", "serail = x\n^^^^^^");
    check("port =", "port =\n      ^");
    check(
        "serial = 'ö'\tAND\u{a0}prot = 1",
        "serial = 'ö' AND\u{a0}prot = 1\n                 ^^^^",
    );
}

#[test]
fn carets_stay_on_the_line_of_a_long_filter() {
    let source = format!("serial = '{}' AND prot = 1", "x".repeat(300));
    let caret = refuse(&source).caret(&source);
    let (line, marks) = caret.split_once('\n').unwrap();
    assert!(line.len() <= 80, "{line}");
    assert_eq!(&line[marks.find('^').unwrap()..marks.len()], "prot");

    let too_long = "x".repeat(MAX_LENGTH + 1);
    let caret = refuse(&too_long).caret(&too_long);
    assert!(caret.lines().all(|line| line.len() <= 80), "{caret}");
}

#[test]
fn a_message_repeats_little_and_escapes_it() {
    let error = refuse(&format!("{} = 1", "x".repeat(1000)));
    assert!(error.problem().to_string().len() < 80, "{error}");
    let error = refuse("\"x\u{202e}y\" = 1");
    assert!(error.to_string().contains(r"x\u{202e}y"), "{error}");
}
