use super::*;

fn source(filter: &str) -> GroupSource {
    GroupSource {
        name: "canary".into(),
        description: "First to get anything".into(),
        rank: 10,
        filter: filter.into(),
    }
}

#[test]
fn a_group_is_what_was_written() {
    for filter in ["", "site = \"MUC-01\" AND labels.ring = early"] {
        let group = source(filter).check().unwrap();
        assert_eq!(group.rule.is_some(), !filter.is_empty());
        assert_eq!(GroupSource::from(&group), source(filter));
    }
}

#[test]
fn a_group_goes_by_what_lasts() {
    let check = |filter: &str, expected: Option<&str>| {
        let problems = source(filter).check().err();
        let found = problems.map(|problems| (problems[0].field.clone(), problems[0].message.clone()));
        match (found, expected) {
            (None, None) => {}
            (Some((field, message)), Some(expected)) => {
                assert_eq!(field, "filter", "{filter}");
                assert!(message.contains(expected), "{message}");
            }
            (found, _) => panic!("{filter}: {found:?}"),
        }
    };
    for field in lasting_schema().names() {
        let value = match field {
            "factory_firmware" => "1.2.3",
            "create_time" => "2026-01-31T08:00:00Z",
            "mac" => "00:1B:C5*",
            _ => "x",
        };
        let operator = if matches!(field, "labels" | "variables") {
            ":"
        } else {
            " = "
        };
        check(&format!("{field}{operator}{value:?}"), None);
    }
    let lasting: Vec<_> = lasting_schema().names().collect();
    for field in schema().names().filter(|name| !lasting.contains(name)) {
        let text = format!("site = a AND {field} = x");
        check(
            &text,
            Some(&format!("{field} at byte 13 is nothing that a group can go by")),
        );
    }
    check(
        "sitte = a",
        Some("unknown field \"sitte\" at byte 0; did you mean site?"),
    );
    check("site =", Some("at byte 6"));
}

#[test]
fn every_mistake_is_at_its_field() {
    let bad = GroupSource {
        name: "not a name".into(),
        description: "x".repeat(1025),
        filter: "online = true".into(),
        ..GroupSource::default()
    };
    let fields: Vec<_> = bad
        .check()
        .unwrap_err()
        .into_iter()
        .map(|refusal| refusal.field)
        .collect();
    assert_eq!(fields, ["name", "description", "filter"]);
}
