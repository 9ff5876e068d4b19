//! What parses, and its canonical form.

use crate::filter::{Filter, MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, Problem};

fn check(source: &str, canonical: &str) {
    let filter = Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(filter.to_string(), canonical, "{source}");
    assert_eq!(Filter::parse(canonical), Ok(filter), "{canonical}");
}

#[test]
fn an_empty_filter_is_the_default() {
    check("", "");
    check(" \t\n", "");
    assert_eq!(Filter::parse(""), Ok(Filter::default()));
}

#[test]
fn comparisons() {
    check("a=1", "a = 1");
    check("a != 1", "a != 1");
    check("a<1", "a < 1");
    check("a <=1", "a <= 1");
    check("a> 1", "a > 1");
    check("a\n>=\n1", "a >= 1");
    check("a : 1", "a:1");
    check("a:*", "a:*");
}

#[test]
fn or_binds_tighter_than_and() {
    check("a=1 AND b=2 OR c=3", "a = 1 AND (b = 2 OR c = 3)");
    check("a=1 OR b=2 AND c=3", "(a = 1 OR b = 2) AND c = 3");
    check("a=1 OR (b=2 AND c=3)", "a = 1 OR (b = 2 AND c = 3)");
    check("a=1 b=2 OR c=3 d=4", "a = 1 AND (b = 2 OR c = 3) AND d = 4");
}

#[test]
fn side_by_side_is_and() {
    check("a=1 b=2 AND c=3", "a = 1 AND b = 2 AND c = 3");
    check("(a=1)(b=2)", "a = 1 AND b = 2");
    check("a=1 -b=2", "a = 1 AND NOT b = 2");
    check("a='x'b=2", "a = x AND b = 2");
}

#[test]
fn negation_binds_tightest() {
    check("-a=1 OR b=2", "NOT a = 1 OR b = 2");
    check("NOT (a=1 OR b=2)", "NOT (a = 1 OR b = 2)");
    check("NOT(a=1 b=2)", "NOT (a = 1 AND b = 2)");
    check("-(-(a=1))", "NOT (NOT a = 1)");
    check("- a = -1", "NOT a = -1");
}

#[test]
fn needless_parentheses_vanish() {
    check("((a=1))", "a = 1");
    check("(a=1 AND (b=2 AND c=3))", "a = 1 AND b = 2 AND c = 3");
    check("(a=1 OR (b=2)) OR c=3", "a = 1 OR b = 2 OR c = 3");
}

#[test]
fn words() {
    check("a = GW-200", "a = GW-200");
    check("a = 1.4.2-rc.1+5", "a = 1.4.2-rc.1+5");
    check("a = ANDROID", "a = ANDROID");
    check("größe = 3", r#""größe" = 3"#);
    check(
        "a > 2026-01-31T08:00:00+01:00",
        r#"a > "2026-01-31T08:00:00+01:00""#,
    );
    check("mac = 02:00:5e:10:00:01", r#"mac = "02:00:5e:10:00:01""#);
    check("a = x@y#z", r#"a = "x@y#z""#);
}

#[test]
fn strings() {
    check(r#"a = "two words""#, r#"a = "two words""#);
    check("a = 'two words'", r#"a = "two words""#);
    check(r#"a = "plain""#, "a = plain");
    check(r#"a = """#, r#"a = """#);
    check(r#"a = 'say "hi"'"#, r#"a = "say \"hi\"""#);
    check(r"a = 'it\'s \\ \*'", r#"a = "it's \\ \*""#);
    check(r#"a = "AND""#, r#"a = "AND""#);
    check(r#"a = "ö“""#, r#"a = "ö“""#);
}

#[test]
fn wildcards() {
    check("a = GW2-*", "a = GW2-*");
    check(r#"a = "GW2-*""#, "a = GW2-*");
    check("a = *-7", "a = *-7");
    check("a = *x*", "a = *x*");
    check("a = **", "a = *");
    check("a = **x**", "a = *x*");
    check(r#"a = "two words*""#, r#"a = "two words*""#);
    check(r#"a = "\*""#, r#"a = "\*""#);
    check(r#"a = "*\**""#, r#"a = "*\**""#);
}

#[test]
fn paths() {
    check("labels.env = prod", "labels.env = prod");
    check(r#"labels."x.y" = 1"#, r#"labels."x.y" = 1"#);
    check("labels.'a b'.c : *", r#"labels."a b".c:*"#);
    check("labels.AND = 1", r#"labels."AND" = 1"#);
    check(r#""OR" = 1"#, r#""OR" = 1"#);
    check(r#"labels."-x" = 1"#, r#"labels."-x" = 1"#);
    check(r#"labels."\*" = 1"#, r#"labels."\*" = 1"#);
    check("labels:x.y", "labels:x.y");
}

fn refused(source: &str) -> Problem {
    match Filter::parse(source) {
        Ok(filter) => panic!("{source} was read as {filter}"),
        Err(error) => error.problem().clone(),
    }
}

#[test]
fn the_depth_is_bounded() {
    let nested = |levels| format!("{}a=1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(refused(&nested(MAX_DEPTH + 1)), Problem::TooDeep);
    assert_eq!(refused(&"(".repeat(MAX_LENGTH)), Problem::TooDeep);
    assert_eq!(refused(&"-(".repeat(MAX_LENGTH / 2)), Problem::TooDeep);
}

/// OR within AND needs no parentheses as written, but has them in the canonical form.
#[test]
fn the_depth_of_the_canonical_form_is_bounded() {
    let nested = |levels: usize| {
        let inner = "x=1 AND y=1 OR (";
        format!("{}a=1{}", inner.repeat(levels), ")".repeat(levels))
    };
    // Each level but the innermost, which is a single comparison, makes two pairs.
    assert!(Filter::parse(&nested(MAX_DEPTH / 2)).is_ok());
    assert_eq!(refused(&nested(MAX_DEPTH / 2 + 2)), Problem::TooDeep);
}

#[test]
fn the_number_of_comparisons_is_bounded() {
    assert!(Filter::parse(&"a=1 ".repeat(MAX_COMPARISONS)).is_ok());
    let error = Filter::parse(&"a=1 ".repeat(MAX_COMPARISONS + 1)).unwrap_err();
    assert_eq!(*error.problem(), Problem::TooManyComparisons);
    assert_eq!(error.offset(), MAX_COMPARISONS * 4);
}

#[test]
fn the_length_is_bounded_as_written_and_in_canonical_form() {
    let padded = |length: usize| format!("a={:x<1$}", "", length - 4);
    assert!(Filter::parse(&padded(MAX_LENGTH)).is_ok());
    assert_eq!(refused(&" ".repeat(MAX_LENGTH + 1)), Problem::TooLong);
    // Each of these quotes becomes two characters.
    assert_eq!(
        refused(&format!("a='{}'", "\"".repeat(MAX_LENGTH / 2))),
        Problem::TooLong
    );
}
