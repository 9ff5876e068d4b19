//! Pins, placeholders, and what pretends to be one.

use super::super::{Catalog, ParameterSource, ParameterType, ProfileSource, Revision};
use super::*;
use crate::{Timestamp, names::ModelName, names::Serial};
use proptest::prelude::*;
use std::sync::Arc;

fn source(files: &[(&str, &str)]) -> ProfileSource {
    ProfileSource {
        name: "gateway".to_owned(),
        parameters: [(
            "note".to_owned(),
            ParameterSource::of(ParameterType::String, None),
        )]
        .into(),
        files: files
            .iter()
            .map(|&(key, template)| (key.to_owned(), template.to_owned()))
            .collect(),
        ..ProfileSource::default()
    }
}

fn profile(files: &[(&str, &str)]) -> Profile {
    source(files).check().unwrap()
}

/// Revisions of a secret: whether each is tame, and held.
fn catalog(secrets: &[(&str, &[(bool, bool)])]) -> Catalog {
    let revision = |(number, &(is_tame, is_held)): (u32, &(bool, bool))| {
        Arc::new(Revision {
            number,
            author: "alice".parse().unwrap(),
            created: Timestamp::from_seconds(1),
            message: String::new(),
            content: Secret { is_tame, is_held },
        })
    };
    let secrets = secrets.iter().map(|(name, revisions)| {
        (
            name.parse().unwrap(),
            (1..).zip(*revisions).map(revision).collect(),
        )
    });
    Catalog {
        secrets: secrets.collect(),
        ..Catalog::default()
    }
}

fn rendered(profile: &Profile, note: &str) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
    let (serial, model): (Serial, ModelName) = ("GW2-1".parse().unwrap(), "GW-200".parse().unwrap());
    let variables = [("note".to_owned(), note.to_owned())].into();
    profile.renderer().unwrap().render(&Facts {
        serial: &serial,
        mac: None,
        model: &model,
        hardware: None,
        firmware: None,
        site: None,
        position: None,
        labels: &BTreeMap::new(),
        variables: &variables,
        groups: &BTreeSet::new(),
        birth: None,
        underlay: None,
    })
}

#[test]
fn the_newest_revision_that_is_held_is_pinned() {
    let profile = profile(&[("wifi.toml", "psk = \"{{ secret('wifi-psk') }}\"\n")]);
    let check = |revisions: &[(bool, bool)], expected: u32| {
        let pinned = catalog(&[("wifi-psk", revisions)]).pinned(&profile).unwrap();
        assert_eq!(pinned.secrets, [("wifi-psk".parse().unwrap(), expected)].into());
        let text = &rendered(&pinned, "x").unwrap()["wifi.toml"];
        assert_eq!(*text, format!("psk = \"⧼secret wifi-psk@{expected}⧽\"\n"));
        pinned
    };
    let first = check(&[(true, true)], 1);
    let second = check(&[(true, true), (true, true)], 2);
    assert_ne!(first, second, "the same text, another secret");
    check(&[(true, true), (true, false)], 1);
    // What is kept comes back with its pins.
    let kept = serde_json::to_string(&ProfileSource::from(&second)).unwrap();
    let restored: ProfileSource = serde_json::from_str(&kept).unwrap();
    assert_eq!(restored.restore().unwrap(), second);
}

#[test]
fn a_secret_must_be_there_and_fit_its_file() {
    let catalog = catalog(&[("wifi-psk", &[(false, true)]), ("gone", &[(true, false)])]);
    let check = |key: &str, template: &str, code: Code, why: &str| {
        let refusals = catalog.pinned(&profile(&[(key, template)])).unwrap_err();
        assert_eq!((refusals[0].code, refusals.len()), (code, 1), "{refusals:?}");
        assert_eq!(refusals[0].field, format!("files.{key}"));
        assert!(refusals[0].message.contains(why), "{refusals:?}");
    };
    check(
        "a.conf",
        "{{ secret(\"wifi-pks\") }}",
        Code::ReferenceMissing,
        "is it wifi-psk?",
    );
    check(
        "a.conf",
        "{{ secret(\"gone\") }}",
        Code::ReferenceMissing,
        "there is no secrets/gone",
    );
    check(
        "a.json",
        "\"{{ secret(\"wifi-psk\") }}\"",
        Code::ProfileInvalid,
        "JSON",
    );
    // Text holds anything.
    let text = profile(&[("a.conf", "{{ secret(\"wifi-psk\") }}")]);
    assert!(catalog.pinned(&text).is_ok());
}

#[test]
fn there_is_one_way_to_name_a_secret() {
    let good = |template: &str, expected: &[&str]| {
        let names: Vec<_> = names(template).into_iter().collect();
        assert_eq!(names, expected, "{template}");
        source(&[("a.conf", template)]).check().unwrap();
    };
    good(
        "{{ secret(\"a\") }}{{secret('b')}}{{ secret( \"a\" ) }}",
        &["a", "b"],
    );
    good("{% if note %}{{ secret('a') }}{% endif %}", &["a"]);
    good(
        "{# {{ secret('a') }} #}{% raw %}{{ secret('a') }}{% endraw %}",
        &[],
    );
    let bad = |template: &str, why: &str| {
        let refusals = source(&[("a.conf", template)]).check().unwrap_err();
        let told = refusals.iter().any(|refusal| refusal.message.contains(why));
        assert!(told, "{template}: {refusals:?}");
    };
    for other in [
        "{{ secret('a') | upper }}",
        "{{ secret(note) }}",
        "{{ 'x' ~ secret('a') }}",
        "{% set x = secret('a') %}",
        "{% if secret('a') == 'b' %}{% endif %}",
        "{{- secret('a') }}",
        "{{ secret }}",
    ] {
        bad(other, "alone in its tag");
    }
    bad("{{ secret('no name') }}", "which contains a blank");
    bad("{{ secret('') }}", "which is empty");
    bad("⧼secret a@1⧽", "stands for secrets only");
    let many: String = (0..=SECRET_LIMIT)
        .map(|n| format!("{{{{ secret('s{n}') }}}}"))
        .collect();
    bad(&many, "name more than 16 secrets");
}

#[test]
fn no_value_of_a_device_becomes_a_secret() {
    let catalog = catalog(&[("a", &[(true, true)])]);
    let with = profile(&[("a.conf", "{{ secret('a') }} {{ note }}\n")]);
    let without = profile(&[("a.conf", "{{ note }}\n")]);
    for profile in [catalog.pinned(&with).unwrap(), without.clone()] {
        for forged in [
            "⧼secret a@1⧽",
            "⧼secret a⧽",
            "⧼",
            "x⧼secret a@1",
            "⧼secret b@1⧽",
            "⧼⧽",
        ] {
            // The first is what the profile itself inserts.
            let refusals = rendered(&profile, forged).unwrap_err();
            assert_eq!(refusals.len(), 1, "{forged}: {refusals:?}");
        }
        assert!(rendered(&profile, "secret a@1⧽ {{ secret('a') }}").is_ok());
    }
}

#[test]
fn what_a_template_does_to_a_placeholder_is_refused() {
    let catalog = catalog(&[("a", &[(true, true)])]);
    for template in [
        "{% set x %}{{ secret('a') }}{% endset %}{{ x | upper }}",
        "{% set x %}{{ secret('a') }}{% endset %}{{ x | replace('a@1', 'b@1') }}",
        "{% set x %}{{ secret('a') }}{% endset %}{{ x[:5] }}",
        "{% for n in range(17) %}{{ secret('a') }}{% endfor %}",
    ] {
        let pinned = catalog.pinned(&profile(&[("a.conf", template)])).unwrap();
        assert!(rendered(&pinned, "x").is_err(), "{template}");
    }
}

#[test]
fn a_secret_stands_in_quotes() {
    let catalog = catalog(&[("a", &[(true, true)])]);
    let check = |key: &str, template: &str, holds: bool| {
        let pinned = catalog.pinned(&profile(&[(key, template)])).unwrap();
        assert_eq!(rendered(&pinned, "x").is_ok(), holds, "{key}: {template}");
    };
    check("a.json", "{\"k\": \"{{ secret('a') }}\"}", true);
    check(
        "a.json",
        "{\"k\": \"x{{ secret('a') }}y{{ secret('a') }}\"}",
        true,
    );
    check("a.json", "{\"k\": {{ secret('a') }}}", false);
    check("a.json", "{\"{{ secret('a') }}\": 1}", false);
    check("a.toml", "k = '{{ secret('a') }}'\n", true);
    check("a.toml", "k = {{ secret('a') }}\n", false);
    check("a.toml", "k = 1 # {{ secret('a') }}\n", false);
    check("a.yaml", "k: \"{{ secret('a') }}\"\n", true);
    check("a.yaml", "k: |\n  {{ secret('a') }}\n", true);
    check("a.yaml", "k: {{ secret('a') }}\n", false);
    check("a.yaml", "- {{ secret('a') }}\n", false);
    check("a.yaml", "[{{ secret('a') }}]\n", false);
    check("a.ini", "[s]\nk = {{ secret('a') }}\n", true);
    check("a.ini", "; {{ secret('a') }}\nk = 1\n", false);
    check("a.conf", "k {{ secret('a') }}\n", true);
}

#[test]
fn values_are_bounded_text() {
    let check = |value: &[u8], expected: Result<bool, &str>| {
        let found = check_value(value);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(refusal), Err(why)) => assert!(refusal.message.contains(why), "{refusal:?}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    };
    check(b"correct horse battery staple", Ok(true));
    check("schl\u{fc}ssel".as_bytes(), Ok(true));
    check(b"it's", Ok(false));
    check(b"two\nlines", Ok(false));
    check(b"", Err("is empty"));
    check(&[b'x'; VALUE_LIMIT], Ok(true));
    check(&[b'x'; VALUE_LIMIT + 1], Err("4096"));
    check(b"\xff\xfe", Err("UTF-8"));
    check(b"a\0b", Err("NUL"));
}

/// Every text in what was read, keys too, without the blanks around it.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.trim().to_owned()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| std::iter::once(key.trim().to_owned()).chain(texts(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

proptest! {
    /// In every file that is accepted, every tame value reads back as it is, and changes nothing else.
    #[test]
    fn tame_values_stand_where_placeholders_are_accepted(
        key in proptest::sample::select(&["a.json", "a.toml", "a.yaml", "a.ini"][..]),
        shape in proptest::sample::select(&["k: \"@\"", "{\"k\": \"@\"}", "k = \"@\"", "k = '@'", "k: '@'", "k: @", "k = @", "[@]", "k: |\n  @", "@: 1", "\"@\" = 1"][..]),
        value in "[ -~üß€]{1,40}",
    ) {
        prop_assume!(check_value(value.as_bytes()) == Ok(true));
        let syntax = Syntax::of(key);
        let held = placeholder("a", Some(1));
        let accepted = shape.replace('@', &held);
        if syntax.check(&accepted).is_ok() && check_quoted(syntax, &accepted).is_ok() {
            let read = |text: &str| syntax.read(text).map(|read| texts(&read));
            let meant = read(&accepted).map(|texts| texts.into_iter().map(|text| text.replace(&held, &value).trim().to_owned()).collect::<Vec<_>>());
            let filled = read(&shape.replace('@', &value));
            prop_assert_eq!(filled.ok(), meant.ok(), "{} {}", key, shape);
        }
    }

    /// No template makes the scanner lose or invent text.
    #[test]
    fn pieces_make_up_the_template(template in "[{}%# a(')\"secretraw\\n-]{0,60}") {
        let whole: String = pieces(&template).into_iter().map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Secret(name) => format!("?{name}?"),
        }).collect();
        if names(&template).is_empty() {
            prop_assert_eq!(whole, template);
        }
    }
}
