use super::*;
use crate::Code;

/// The parameter of a document, or its mistakes.
fn parameter(json: &str) -> Result<Parameter, Vec<String>> {
    let source: ParameterSource = serde_json::from_str(json).unwrap();
    let mut problems = Problems::new(Code::ProfileInvalid);
    let parameter = source.check("p", &mut problems);
    let again: ParameterSource = serde_json::from_str(&serde_json::to_string(&source).unwrap()).unwrap();
    assert_eq!(again, source);
    let found = problems.none_or(parameter);
    found.map_err(|found| {
        found
            .into_iter()
            .map(|refusal| format!("{} {}", refusal.field, refusal.message))
            .collect()
    })
}

#[test]
fn values_are_held_to_every_rule() {
    let check = |json: &str, values: &[(&str, Option<&str>)]| {
        let parameter = parameter(json).unwrap();
        for (text, expected) in values {
            let found = parameter.read(text).err().map(|why| why.to_string());
            assert_eq!(found.as_deref(), *expected, "{json} {text:?}");
        }
    };
    check(
        r#"{"type": "integer", "minimum": 1, "maximum": "65535"}"#,
        &[
            ("1", None),
            ("65535", None),
            ("0", Some("is below the minimum, 1")),
            ("65536", Some("is above the maximum, 65535")),
            ("x", Some("is not a whole number of 64 bits")),
        ],
    );
    // Whole numbers are compared as such, also where a double would round.
    check(
        r#"{"type": "integer", "maximum": 9007199254740992}"#,
        &[("9007199254740993", Some("is above the maximum, 9007199254740992"))],
    );
    check(
        r#"{"type": "number", "minimum": -0.5, "enum": [1, 2.5]}"#,
        &[("1.0", None), ("2.50", None), ("3", Some("is none of 1, 2.5"))],
    );
    check(
        r#"{"type": "string", "minLength": 2, "max_length": 3, "pattern": "[a-zä]+"}"#,
        &[
            ("äää", None),
            ("ä", Some("is shorter than 2 characters")),
            ("ääää", Some("is longer than 3 characters")),
            ("a1", Some("does not match [a-zä]+")),
        ],
    );
    check(
        r#"{"type": "string", "enum": ["eu", "us"]}"#,
        &[("eu", None), ("EU", Some("is none of eu, us"))],
    );
    check(
        r#"{"type": "boolean", "enum": [true]}"#,
        &[("TRUE", None), ("false", Some("is none of true"))],
    );
}

#[test]
fn a_parameter_cannot_contradict_itself() {
    let check = |json: &str, expected: &[&str]| assert_eq!(parameter(json).unwrap_err(), expected, "{json}");
    check(
        r#"{"type": "integer", "minimum": 5, "maximum": 4, "pattern": "x", "min_length": 1}"#,
        &[
            "p.min_length is for strings, and the type is integer",
            "p.pattern is for strings, and the type is integer",
            "p.maximum is below the minimum",
        ],
    );
    check(
        r#"{"type": "string", "minimum": "a", "min_length": 2, "max_length": 1, "pattern": "["}"#,
        &[
            "p.minimum is for numbers, and the type is string",
            "p.pattern is not a regular expression: regex parse error:\n    ^(?:[)$\n        ^\nerror: unclosed character class",
            "p.max_length is below the min_length",
        ],
    );
    check(
        r#"{"type": "integer", "maximum": 9, "enum": [1, 10, "x"], "default": 2}"#,
        &[
            "p.enum[1] is above the maximum, 9",
            "p.enum[2] is not a whole number of 64 bits",
            "p.default is none of 1, 10, x",
        ],
    );
    check(
        r#"{"type": "number", "minimum": "soon"}"#,
        &["p.minimum is not a decimal number"],
    );
    check(
        r#"{"type": "string", "min_length": 1, "default": ""}"#,
        &["p.default is shorter than 1 characters"],
    );
}

#[test]
fn a_rule_is_one_line() {
    let check = |json: &str, expected: &str| assert_eq!(parameter(json).unwrap().rule(), expected);
    check(r#"{"type": "boolean"}"#, "boolean");
    check(
        r#"{"type": "integer", "minimum": 1, "maximum": 9}"#,
        "integer, at least 1, at most 9",
    );
    check(
        r#"{"type": "string", "enum": ["a", "b"], "max_length": 3, "pattern": "[ab]"}"#,
        "string, one of a, b, at most 3 characters, matching [ab]",
    );
}
