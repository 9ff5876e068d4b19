use super::*;
use crate::catalog::{GroupSource, ModelSource, ParameterSource, ParameterType, ProfileSource, SiteSource};
use std::collections::BTreeSet;

/// EU with DE in it and MUC-01 in that; groups of each kind, of which `high` is above `low`, `late` and `also`.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let model = ModelSource {
        name: "GW-200".into(),
        ..ModelSource::default()
    };
    let model = model.check().unwrap();
    catalog.models.insert(model.name.clone(), Arc::new(model));
    for (code, parent) in [("EU", ""), ("DE", "EU"), ("MUC-01", "DE"), ("BER-02", "DE")] {
        let site = SiteSource {
            code: code.into(),
            parent: parent.into(),
            ..SiteSource::default()
        };
        let site = site.check().unwrap();
        catalog.sites.insert(site.code.clone(), Arc::new(site));
    }
    for (name, rank, filter) in [
        ("high", 10, ""),
        ("low", -1, "labels.ring = early"),
        ("also", -1, ""),
        ("late", -1, "create_time > 2026-01-01T00:00:00Z"),
    ] {
        let group = GroupSource {
            name: name.into(),
            rank,
            filter: filter.into(),
            ..GroupSource::default()
        };
        let group = group.check().unwrap();
        catalog.groups.insert(group.name.clone(), Arc::new(group));
    }
    catalog
}

fn values(json: &str) -> ValuesSource {
    serde_json::from_str(json).unwrap()
}

/// A profile of one parameter with a default and one without, both of which these values give.
fn source(values: ValuesSource) -> ProfileSource {
    let parameter = |default: Option<&str>| ParameterSource {
        max_length: Some(20),
        ..ParameterSource::of(ParameterType::String, default.map(str::to_owned))
    };
    ProfileSource {
        name: "gateway".into(),
        parameters: [
            ("ntp".to_owned(), parameter(Some("default"))),
            ("apn".to_owned(), parameter(None)),
        ]
        .into(),
        files: [("a.txt".to_owned(), "{{ ntp }} {{ apn }}".to_owned())].into(),
        values,
        ..ProfileSource::default()
    }
}

/// What a device with these labels, groups and variables gets of a parameter, and of which layer.
fn found(
    profile: &Profile,
    parameter: &str,
    own: &[&str],
    ring: Option<&str>,
    at: Option<&str>,
) -> Option<(String, String)> {
    let catalog = catalog();
    let code = at.map(|code| code.parse().unwrap());
    let site = code.as_ref().map(|code| Arc::clone(&catalog.sites[code]));
    let way: Vec<_> = code
        .iter()
        .flat_map(|code| catalog.way_up(code))
        .map(|site| site.code.clone())
        .collect();
    let (groups, variables): (Vec<&str>, Vec<&str>) =
        own.iter().copied().partition(|text| !text.contains('='));
    let variables = variables.iter().map(|text| text.split_once('=').unwrap());
    let facts = Facts {
        serial: &"GW2-1".parse().unwrap(),
        mac: None,
        model: &"GW-200".parse().unwrap(),
        hardware: None,
        firmware: None,
        site: site.as_deref(),
        position: None,
        labels: &ring
            .iter()
            .map(|ring| ("ring".to_owned(), (*ring).to_owned()))
            .collect(),
        variables: &variables
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect(),
        groups: &groups
            .iter()
            .map(|name| name.parse().unwrap())
            .collect::<BTreeSet<_>>(),
        birth: None,
        underlay: None,
    };
    let stack = Stack::new(&catalog, profile);
    let underlay = stack.as_ref().map(|stack| stack.underlay(&facts, &way));
    let facts = Facts {
        underlay: underlay.as_deref(),
        ..facts
    };
    let explained = profile.explain(&facts);
    let one = explained
        .iter()
        .find(|sourced| sourced.parameter == parameter)
        .unwrap();
    // What is explained is what is rendered.
    if let Ok(files) = profile.renderer().unwrap().render(&facts) {
        let texts: Vec<_> = ["ntp", "apn"]
            .map(|key| {
                let sourced = explained.iter().find(|sourced| sourced.parameter == key).unwrap();
                sourced.value.clone().unwrap().0
            })
            .to_vec();
        assert_eq!(files["a.txt"], texts.join(" "));
    }
    one.value.clone().map(|(text, origin)| (text, origin.to_string()))
}

/// Every layer, the lowest first: its JSON with a value for `ntp`, and how it is called.
const LAYERS: [(&str, &str, &str); 8] = [
    (
        "organisation",
        r#""organisation": {"ntp": "organisation"}"#,
        "organisation",
    ),
    ("models", r#""GW-200": {"ntp": "models/GW-200"}"#, "models/GW-200"),
    ("sites", r#""EU": {"ntp": "sites/EU"}"#, "sites/EU"),
    ("sites", r#""DE": {"ntp": "sites/DE"}"#, "sites/DE"),
    ("sites", r#""MUC-01": {"ntp": "sites/MUC-01"}"#, "sites/MUC-01"),
    ("groups", r#""also": {"ntp": "groups/also"}"#, "groups/also"),
    ("groups", r#""low": {"ntp": "groups/low"}"#, "groups/low"),
    ("groups", r#""high": {"ntp": "groups/high"}"#, "groups/high"),
];

fn with(layers: &[(&str, &str, &str)]) -> Profile {
    let of = |kind: &str| {
        let some = layers.iter().filter(|layer| layer.0 == kind);
        some.map(|layer| layer.1).collect::<Vec<_>>().join(",")
    };
    let organisation = of("organisation");
    let named = ["models", "sites", "groups"].map(|kind| format!("\"{kind}\": {{{}}}", of(kind)));
    let parts: Vec<_> = [organisation]
        .into_iter()
        .filter(|text| !text.is_empty())
        .chain(named)
        .collect();
    source(values(&format!("{{{}}}", parts.join(","))))
        .check()
        .unwrap()
}

#[test]
fn of_every_two_layers_the_higher_wins() {
    let groups = ["high", "also"];
    for (place, lower) in LAYERS.iter().enumerate() {
        let alone = found(&with(&[*lower]), "ntp", &groups, Some("early"), Some("MUC-01"));
        assert_eq!(alone, Some((lower.2.to_owned(), lower.2.to_owned())));
        for higher in &LAYERS[place + 1..] {
            let profile = with(&[*lower, *higher]);
            let won = found(&profile, "ntp", &groups, Some("early"), Some("MUC-01"));
            assert_eq!(
                won,
                Some((higher.2.to_owned(), higher.2.to_owned())),
                "{lower:?} {higher:?}"
            );
        }
        let own = found(
            &with(&[*lower]),
            "ntp",
            &["high", "also", "ntp=own"],
            Some("early"),
            Some("MUC-01"),
        );
        assert_eq!(own, Some(("own".to_owned(), "device".to_owned())));
        // An empty variable is none.
        let none = found(
            &with(&[*lower]),
            "ntp",
            &["high", "also", "ntp="],
            Some("early"),
            Some("MUC-01"),
        );
        assert_eq!(none, alone);
    }
    assert_eq!(
        found(&with(&[]), "ntp", &[], None, None),
        Some(("default".into(), "default".into()))
    );
    assert_eq!(found(&with(&[]), "apn", &[], None, None), None);
}

#[test]
fn a_layer_is_for_those_who_stand_in_it() {
    let all = with(&LAYERS);
    let check = |groups: &[&str], ring: Option<&str>, site: Option<&str>, expected: &str| {
        assert_eq!(found(&all, "ntp", groups, ring, site).unwrap().1, expected);
    };
    check(&[], None, None, "models/GW-200");
    check(&[], None, Some("EU"), "sites/EU");
    check(&[], None, Some("BER-02"), "sites/DE");
    check(&[], None, Some("MUC-01"), "sites/MUC-01");
    check(&["also"], Some("late"), Some("MUC-01"), "groups/also");
    check(&[], Some("early"), Some("MUC-01"), "groups/low");
    // Of equal ranks the last by name; the name on the record counts for static groups alone.
    check(&["also", "low"], Some("early"), None, "groups/low");
    check(&["low"], None, None, "models/GW-200");
    check(&["high"], Some("early"), None, "groups/high");
}

#[test]
fn values_are_checked_where_they_stand() {
    let text = r#"{"organisation": {"ntp": "0123456789012345678901", "npt": "x"}, "models": {"not a name": {}},
        "sites": {"MUC-01": {"apn": true, "colour": 1}}, "groups": {"high": {"ntp": ""}}}"#;
    let problems = source(values(text)).check().unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.field.as_str(), problem.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("values.organisation.npt", "is no parameter; did you mean ntp?"),
            ("values.organisation.ntp", "is longer than 20 characters"),
            ("values.models.not a name", "contains a blank"),
            ("values.sites.MUC-01.colour", "is no parameter"),
        ]
    );
    let groups = (0..=VALUED_GROUPS_LIMIT).map(|place| (format!("g{place}"), LayerSource::default()));
    let many = ValuesSource {
        groups: groups.collect(),
        ..ValuesSource::default()
    };
    assert_eq!(source(many).check().unwrap_err()[0].field, "values.groups");
    let layer = LayerSource([("ntp".to_owned(), "x".to_owned())].into());
    let sites = (0..=VALUE_LIMIT).map(|place| (format!("s{place}"), layer.clone()));
    let many = ValuesSource {
        sites: sites.collect(),
        ..ValuesSource::default()
    };
    assert_eq!(source(many).check().unwrap_err()[0].field, "values");
}

#[test]
fn values_are_for_what_there_is() {
    let text = r#"{"models": {"GW-20O": {}, "GW-200": {}}, "sites": {"MUC-1": {}, "EU": {}}, "groups": {"canary": {}}}"#;
    let profile = source(values(text)).check().unwrap();
    let refused = catalog().values_fit(&profile).unwrap_err();
    let found: Vec<_> = refused
        .iter()
        .map(|problem| (problem.field.as_str(), problem.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                "values.models.GW-20O",
                "there is no models/GW-20O; did you mean GW-200?"
            ),
            (
                "values.sites.MUC-1",
                "there is no sites/MUC-1; did you mean MUC-01?"
            ),
            ("values.groups.canary", "there is no groups/canary"),
        ]
    );
}

#[test]
fn layers_are_written_as_they_were_and_not_at_all_without_values() {
    let layered = with(&LAYERS);
    assert_eq!(ProfileSource::from(&layered).check(), Ok(layered));
    let text = serde_json::to_string(&source(ValuesSource::default())).unwrap();
    assert!(!text.contains("values"), "{text}");
}

#[test]
fn only_groups_by_birth_ask_it() {
    let asks = |groups: &str| {
        let profile = source(values(&format!(r#"{{"groups": {groups}}}"#)))
            .check()
            .unwrap();
        Stack::new(&catalog(), &profile).is_some_and(|stack| stack.asks_birth())
    };
    assert!(asks(r#"{"late": {"ntp": "x"}}"#));
    assert!(!asks(r#"{"low": {"ntp": "x"}, "high": {"ntp": "x"}}"#));
    assert!(!asks("{}"));
}
