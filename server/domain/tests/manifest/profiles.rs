//! Profiles: what is accepted, and what they render.

use muster_domain::{
    Code,
    catalog::{
        Facts, OUTPUT_LIMIT, PARAMETER_LIMIT, ParameterSource, ParameterType, ProfileSource, Site,
        SiteSource, TEMPLATE_LIMIT,
    },
};
use std::collections::{BTreeMap, BTreeSet};

fn source(parameters: &[(&str, ParameterType, Option<&str>)], files: &[(&str, &str)]) -> ProfileSource {
    let parameter = |&(key, kind, default): &(&str, ParameterType, Option<&str>)| {
        (
            key.to_owned(),
            ParameterSource::of(kind, default.map(str::to_owned)),
        )
    };
    ProfileSource {
        name: "gateway".into(),
        message: String::new(),
        parameters: parameters.iter().map(parameter).collect(),
        files: files
            .iter()
            .map(|&(key, template)| (key.to_owned(), template.to_owned()))
            .collect(),
        ..ProfileSource::default()
    }
}

fn fields(source: &ProfileSource) -> Vec<String> {
    let found = source.check().map_or_else(|found| found, |_| Vec::new());
    assert!(found.iter().all(|refusal| refusal.code == Code::ProfileInvalid));
    found.into_iter().map(|refusal| refusal.field).collect()
}

#[test]
fn a_sound_profile_comes_back_as_it_was_written() {
    let written = source(
        &[
            ("port", ParameterType::Integer, Some("8080")),
            ("name", ParameterType::String, None),
        ],
        &[(
            "network.toml",
            "port = {{ port }}\nname = {{ name }}\n{{ device.labels.env }}{{ site.code }}",
        )],
    );
    let profile = written.check().unwrap();
    assert_eq!(ProfileSource::from(&profile), written);
    let stored = serde_json::to_string(&written).unwrap();
    let restored = serde_json::from_str::<ProfileSource>(&stored).unwrap().restore();
    assert_eq!(restored, Ok(profile));
}

#[test]
fn every_mistake_is_named_at_once() {
    let wrong = ProfileSource {
        name: "a b".into(),
        message: "x".repeat(1025),
        ..source(
            &[
                ("Port", ParameterType::String, None),
                ("rate", ParameterType::Number, Some("fast")),
            ],
            &[("../etc/passwd", ""), ("network.toml", "{{ rate")],
        )
    };
    // Templates are compiled only when the rest of a profile is known.
    assert_eq!(
        fields(&wrong),
        [
            "name",
            "message",
            "parameters.Port",
            "parameters.rate.default",
            "files.../etc/passwd"
        ]
    );
    let wrong = ProfileSource {
        name: "gateway".into(),
        ..wrong
    };
    assert_eq!(fields(&wrong).last().unwrap(), "files.network.toml");
}

#[test]
fn keys_are_plain() {
    let check = |files: &[&str], sound: bool| {
        for key in files {
            assert_eq!(fields(&source(&[], &[(key, "x = 1")])).is_empty(), sound, "{key}");
        }
    };
    check(&["network.toml", "a", "0-9_x.y", &"x".repeat(63)], true);
    check(
        &[
            "",
            ".profile",
            "a..b",
            "..",
            "a/b",
            "A",
            "ü",
            "a b",
            "a\0",
            &"x".repeat(64),
        ],
        false,
    );
    let check = |keys: &[&str], sound: bool| {
        for key in keys {
            assert_eq!(
                fields(&source(&[(key, ParameterType::String, None)], &[])).is_empty(),
                sound,
                "{key}"
            );
        }
    };
    check(&["port", "a1_b", "x"], true);
    check(
        &[
            "", "1a", "_a", "a-b", "a.b", "Port", "device", "site", "range", "not",
        ],
        false,
    );
}

#[test]
fn defaults_have_their_type() {
    let check = |kind, default: &str, sound: bool| {
        let found = fields(&source(&[("x", kind, Some(default))], &[]));
        assert_eq!(found.is_empty(), sound, "{kind:?} {default:?}");
    };
    use ParameterType::{Boolean, Integer, Number, String};
    check(String, "", true);
    check(Integer, "-9223372036854775808", true);
    check(Integer, "9223372036854775808", false);
    check(Integer, "1.0", false);
    check(Integer, "", false);
    check(Number, "2.5e3", true);
    check(Number, "inf", false);
    check(Number, "NaN", false);
    check(Boolean, "TRUE", true);
    check(Boolean, "yes", false);
}

#[test]
fn templates_use_only_what_there_is() {
    let check = |template: &str, words: Option<&str>| {
        let found = source(&[("port", ParameterType::Integer, None)], &[("f", template)]).check();
        match (found, words) {
            (Ok(_), None) => {}
            (Err(found), Some(words)) => {
                assert!(found[0].message.contains(words), "{template}: {}", found[0])
            }
            (found, _) => panic!("{template}: {found:?}"),
        }
    };
    check(
        "{{ port }} {{ device.serial | lower }} {{ site.latitude }} {{ device.labels['a b'] }}",
        None,
    );
    check(
        "{% for n in range(3) %}{% set m = n * port %}{{ m }}{% endfor %}",
        None,
    );
    check("{{ prot }}", Some("uses prot"));
    check("{{ device.id }}", Some("device.id"));
    check("{{ device.variables.port }}", Some("device.variables"));
    check("{{ site.zone }}", Some("site.zone"));
    check("{{ debug() }}", Some("uses debug"));
    check("{{ namespace() }}", Some("uses namespace"));
    check("{{ device.labels.env | nope }}", Some("nope"));
    check("{% if port is nope %}{% endif %}", Some("nope"));
    check("{{ port | nope }}", Some("nope"));
    check("a\n{{ port ", Some("line 2"));
    check("{% include 'x' %}", Some("line 1"));
}

#[test]
fn limits_hold_at_their_boundary() {
    assert!(fields(&source(&[], &[("f", &"x".repeat(TEMPLATE_LIMIT))])).is_empty());
    assert_eq!(
        fields(&source(&[], &[("f", &"x".repeat(TEMPLATE_LIMIT + 1))])),
        ["files.f"]
    );
    let many = |count: usize| (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>();
    let parameters = |keys: &[String]| {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| (key.as_str(), ParameterType::String, None))
            .collect();
        fields(&source(&keys, &[]))
    };
    assert!(parameters(&many(PARAMETER_LIMIT)).is_empty());
    assert_eq!(parameters(&many(PARAMETER_LIMIT + 1)), ["parameters"]);
    let files = |keys: &[String]| {
        fields(&source(
            &[],
            &keys.iter().map(|key| (key.as_str(), "x")).collect::<Vec<_>>(),
        ))
    };
    assert!(files(&many(16)).is_empty());
    assert_eq!(files(&many(17)), ["files"]);
}

fn site() -> Site {
    let source = SiteSource {
        code: "MUC-01".into(),
        latitude: Some(48.5),
        longitude: Some(-11.0),
        ..SiteSource::default()
    };
    source.check().unwrap()
}

/// Renders one template for a device with a few variables, without address, hardware and firmware.
fn render(
    parameters: &[(&str, ParameterType, Option<&str>)],
    template: &str,
) -> Result<String, (Code, String)> {
    let profile = source(parameters, &[("f", template)]).check().unwrap();
    let texts = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let site = site();
    let facts = Facts {
        serial: &"GW2-1".parse().unwrap(),
        mac: None,
        model: &"GW-200".parse().unwrap(),
        hardware: None,
        firmware: None,
        site: Some(&site),
        position: Some("Hall \"1\""),
        labels: &texts(&[("env", "lab")]),
        variables: &texts(&[("port", "8080"), ("on", "False"), ("rate", "2"), ("empty", "")]),
        groups: &BTreeSet::new(),
        birth: None,
        underlay: None,
    };
    let rendered = profile.renderer().unwrap().render(&facts);
    rendered
        .map(|mut files| files.remove("f").unwrap())
        .map_err(|mut found| {
            let first = found.remove(0);
            (first.code, first.field)
        })
}

#[test]
fn values_are_typed_and_missing_ones_are_named() {
    use ParameterType::{Boolean, Integer, Number, String};
    let check = |parameters: &[(&str, ParameterType, Option<&str>)],
                 template: &str,
                 expected: Result<&str, (Code, &str)>| {
        let found = render(parameters, template);
        let expected = expected
            .map(str::to_owned)
            .map_err(|(code, field)| (code, field.to_owned()));
        assert_eq!(found, expected, "{template}");
    };
    check(&[("port", Integer, None)], "{{ port + 1 }}", Ok("8081"));
    check(&[("port", String, None)], "{{ port ~ 1 }}", Ok("80801"));
    check(&[("rate", Number, None)], "{{ rate / 4 }}", Ok("0.5"));
    check(
        &[("on", Boolean, None)],
        "{% if on %}on{% else %}off{% endif %}",
        Ok("off"),
    );
    check(
        &[("port", Boolean, None)],
        "",
        Err((Code::VariableInvalid, "variables.port")),
    );
    check(
        &[("absent", String, None)],
        "",
        Err((Code::VariableInvalid, "variables.absent")),
    );
    check(
        &[("empty", String, None)],
        "",
        Err((Code::VariableInvalid, "variables.empty")),
    );
    check(&[("empty", Integer, Some("3"))], "{{ empty }}", Ok("3"));
    check(
        &[],
        "{{ device.labels.env }} {{ site.latitude }} {{ site.longitude }}",
        Ok("lab 48.5 -11.0"),
    );
    check(&[], "{{ device.position | tojson }}", Ok("\"Hall \\\"1\\\"\""));
    check(&[], "{{ device.position }}", Ok("Hall \"1\""));
    check(&[], "{{ device.mac | default('none') }}", Ok("none"));
    check(&[], "{% if device.mac is defined %}x{% endif %}y", Ok("y"));
    // What is not there is compared with nothing; `muster profile lint` finds that beforehand.
    for comparison in ["device.mac == 'x'", "'x' != device.mac", "device.mac in ['x']"] {
        let template = format!("{{% if {comparison} %}}a{{% else %}}b{{% endif %}}");
        check(&[], &template, Err((Code::RenderFailed, "files.f")));
    }
    check(&[], "{% if site %}x{% endif %}", Ok("x"));
    check(&[], "{{ device.mac }}", Err((Code::RenderFailed, "files.f")));
    check(
        &[],
        "{{ device.labels.none }}",
        Err((Code::RenderFailed, "files.f")),
    );
    check(&[], "{{ site.name }}", Err((Code::RenderFailed, "files.f")));
    check(&[], "a\n  {% if true %}\nb\n  {% endif %}\nc\n", Ok("a\nb\nc\n"));
}

#[test]
fn a_template_cannot_eat_time_or_memory() {
    let check = |template: &str| {
        let found = render(&[("port", ParameterType::Integer, None)], template);
        assert_eq!(
            found,
            Err((Code::RenderFailed, "files.f".to_owned())),
            "{template}"
        );
    };
    check("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    check("{{ 'x' * 1000000000 }}");
    check("{{ '%1000000000d' | format(port) }}");
    check("{{ 'x' | indent(1000000000) }}");
    check(&format!("{{{{ 'x' * {} }}}}", OUTPUT_LIMIT + 1));
    assert_eq!(
        render(&[], &format!("{{{{ 'x' * {OUTPUT_LIMIT} }}}}"))
            .unwrap()
            .len(),
        OUTPUT_LIMIT
    );
}

/// Renders one file of a profile without parameters, for a device with a quote in its position.
fn rendered(key: &str, template: &str) -> Result<String, String> {
    let profile = source(&[], &[(key, template)]).restore().unwrap();
    let (labels, variables) = (BTreeMap::new(), BTreeMap::new());
    let facts = Facts {
        serial: &"GW2-1".parse().unwrap(),
        mac: None,
        model: &"GW-200".parse().unwrap(),
        hardware: None,
        firmware: None,
        site: None,
        position: Some("Hall \"1\""),
        labels: &labels,
        variables: &variables,
        groups: &BTreeSet::new(),
        birth: None,
        underlay: None,
    };
    let renderer = profile.renderer().unwrap();
    // Whatever it is, a device whose desired state is on record gets it again.
    assert!(renderer.render_again(&facts).is_ok());
    let rendered = renderer.render(&facts);
    rendered
        .map(|mut files| files.remove(key).unwrap())
        .map_err(|found| {
            assert!(found.iter().all(|refusal| refusal.code == Code::RenderFailed));
            found
                .iter()
                .map(|refusal| format!("{}: {}", refusal.field, refusal.message))
                .collect()
        })
}

#[test]
fn a_rendered_file_is_what_its_key_says() {
    let good = |key: &str, template: &str| assert!(rendered(key, template).is_ok(), "{key} {template}");
    let bad = |key: &str, template: &str, expected: &str| {
        let why = rendered(key, template).unwrap_err();
        assert!(why.starts_with(expected), "{why}");
    };
    for key in ["a.json", "a.yaml", "a.yml"] {
        good(key, "{\"at\": {{ device.position | tojson }}}");
    }
    good("a.toml", "at = {{ device.position | tojson }}\n");
    good("a.ini", "[place]\nat = {{ device.position }}\n");
    good("a.conf", "at = \"{{ device.position }}\"\n");
    bad(
        "a.json",
        "{\n\"at\": \"{{ device.position }}\"}",
        "files.a.json: is not JSON: line 2: ",
    );
    bad(
        "a.yaml",
        "b: 1\nat: \"{{ device.position }}\"\n",
        "files.a.yaml: is not YAML: line 2: ",
    );
    bad(
        "a.toml",
        "b = 1\nat = \"{{ device.position }}\"\n",
        "files.a.toml: is not TOML: line 2: ",
    );
    bad(
        "a.ini",
        "[b\n{{ device.position }}\n",
        "files.a.ini: is not INI: line 1: ",
    );
}

#[test]
fn a_file_that_can_never_be_read_is_not_accepted_but_stays_where_it_was() {
    let written = source(&[], &[("a.json", "{"), ("b.toml", "x = 1\n"), ("c.txt", "{")]);
    assert_eq!(fields(&written), ["files.a.json"]);
    assert!(written.restore().is_ok());
    // What varies may be right for some device.
    assert!(fields(&source(&[], &[("a.json", "{{ device.position }}")])).is_empty());
}
