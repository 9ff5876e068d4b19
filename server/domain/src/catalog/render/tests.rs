use super::*;
use crate::catalog::{ParameterSource, ParameterType, ProfileSource, SiteSource};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A profile of one file with a parameter of each type.
fn profile(template: &str) -> Option<Profile> {
    let parameters = [
        ("text", ParameterType::String, "a b"),
        ("count", ParameterType::Integer, "-7"),
        ("share", ParameterType::Number, "1.0"),
        ("is_on", ParameterType::Boolean, "TRUE"),
    ];
    let parameter = |(name, kind, default): (&str, ParameterType, &str)| {
        (name.to_owned(), ParameterSource::of(kind, Some(default.into())))
    };
    ProfileSource {
        name: "p".into(),
        parameters: parameters.map(parameter).into_iter().collect(),
        files: [("f".to_owned(), template.to_owned())].into(),
        ..ProfileSource::default()
    }
    .check()
    .ok()
}

type Rendered = Result<BTreeMap<String, String>, Vec<Refusal>>;

/// What the engine makes of it, and what this module does.
fn both(template: &str, facts: &Facts<'_>) -> Option<[Rendered; 2]> {
    let profile = profile(template)?;
    let mut renderer = Renderer::compile(&profile).ok()?;
    let ours = renderer.render(facts);
    for template in &mut renderer.files {
        template.plain = None;
    }
    Some([renderer.render(facts), ours])
}

const PIECES: [&str; 37] = [
    "{{ device.serial }}",
    "{{device.mac}}",
    "{{ device.model|lower }}",
    "{{ device.hardware | upper }}",
    "{{ device.firmware }}",
    "{{ device.position | lower }}",
    "{{ device.labels.rack }}",
    "{{ device.labels.no }}",
    "{{ site.code }}",
    "{{ site.name | upper }}",
    "{{ site.country }}",
    "{{ site.time_zone }}",
    "{{ site.latitude }}",
    "{{ text }}",
    "{{ text | lower }}",
    "{{ count }}",
    "{{ share }}",
    "{{ is_on }}",
    "{{- text -}}",
    "{{ text | tojson }}",
    "{{ count|tojson }}",
    "{{ share | tojson }}",
    "{{ is_on | tojson }}",
    "{{ device.position | tojson }}",
    "{% if is_on %}on{% endif %}\n",
    "{# note #}",
    "{{ 'a' }}",
    "{{ text.x }}",
    "}}",
    "{",
    " \t",
    "\r\n",
    "\n",
    "x = ",
    "{{ device.labels['rack'] }}",
    "{{\n text }}",
    "ÄÖ",
];

proptest! {
    #[test]
    fn plain_templates_say_what_the_engine_says(
        pieces in vec(select(&PIECES[..]), 0..8),
        mac: bool, hardware in option::of("[A-Za-z0-9İß ]{0,6}"), position in option::of("\\PC{0,8}"),
        label in option::of("\\PC{0,8}"), value in "[a-zA-Z0-9 {}%\"'<&\\\\\u{0}-\u{1f}\u{7f}]{0,8}", has_site: bool,
    ) {
        let source = SiteSource { code: "MUC-01".into(), name: "München".into(), ..SiteSource::default() };
        let site = source.check().unwrap();
        let (serial, model) = ("Gw2-7".parse().unwrap(), "GW-200".parse().unwrap());
        let labels = label.map(|label| ("rack".to_owned(), label)).into_iter().collect();
        let variables = [("text".to_owned(), value)].into();
        let facts = Facts {
            serial: &serial,
            mac: mac.then(|| "00:1b:c5:00:00:01".parse().unwrap()),
            model: &model,
            hardware: hardware.as_deref(),
            firmware: None,
            site: has_site.then_some(&site),
            position: position.as_deref(),
            labels: &labels,
            variables: &variables,
            groups: &BTreeSet::new(),
            birth: None,
            underlay: None,
        };
        // Pieces side by side may make a template that is none.
        if let Some([engine, ours]) = both(&pieces.concat(), &facts) {
            prop_assert_eq!(ours, engine, "{:?}", pieces);
        }
    }
}

#[test]
fn every_two_pieces_say_what_the_engine_says() {
    let (serial, model) = ("Gw2-7".parse().unwrap(), "GW-200".parse().unwrap());
    let labels = [("rack".to_owned(), "R 7".to_owned())].into();
    let facts = Facts {
        serial: &serial,
        mac: None,
        model: &model,
        hardware: Some("b0"),
        firmware: None,
        site: None,
        position: None,
        labels: &labels,
        variables: &BTreeMap::new(),
        groups: &BTreeSet::new(),
        birth: None,
        underlay: None,
    };
    let mut rendered = 0;
    for pair in PIECES
        .iter()
        .flat_map(|first| PIECES.map(|second| [*first, second]))
    {
        let Some([engine, ours]) = both(&pair.concat(), &facts) else {
            continue;
        };
        rendered += u32::from(engine.is_ok());
        assert_eq!(ours, engine, "{pair:?}");
    }
    assert!(rendered > 400, "only {rendered} pairs were rendered");
}

proptest! {
    /// What is not read would have been read: the proof never says more than the readers.
    #[test]
    fn a_proof_says_what_the_readers_say(
        ending in select(&["toml", "json", "yaml", "ini"][..]),
        lines in vec(select(&PROVED[..]), 0..4), position in "\\PC{0,6}", value in "[a-z \"'\\\\\u{7f}\n#,\\]}]{0,5}",
        count in select(&["7", "-7", "0"][..]),
    ) {
        let key = format!("f.{ending}");
        let parameter = |kind, default: &str| ParameterSource::of(kind, Some(default.into()));
        let joined = if ending == "json" { format!("[{}]", lines.join(",")) } else { lines.join("\n") };
        let source = ProfileSource {
            name: "p".into(),
            parameters: [
                ("text".to_owned(), parameter(ParameterType::String, "a")),
                ("count".to_owned(), parameter(ParameterType::Integer, "1")),
            ].into(),
            files: [(key.clone(), joined)].into(),
            ..ProfileSource::default()
        };
        let Ok(profile) = source.restore() else { return Ok(()) };
        let (serial, model) = ("Gw2-7".parse().unwrap(), "GW-200".parse().unwrap());
        let facts = Facts {
            serial: &serial,
            mac: None,
            model: &model,
            hardware: None,
            firmware: None,
            site: None,
            position: Some(&position),
            labels: &BTreeMap::new(),
            variables: &[("text".to_owned(), value), ("count".to_owned(), count.to_owned())].into(),
            groups: &BTreeSet::new(),
            birth: None,
            underlay: None,
        };
        let renderer = profile.renderer().unwrap();
        let text = renderer.render_again(&facts).unwrap().remove(&key).unwrap();
        let found = renderer.render(&facts);
        prop_assert_eq!(found.is_ok(), Syntax::of(&key).check(&text).is_ok(), "{}", text);
    }
}

/// Lines of files, some of which hold for any value, and some for few.
const PROVED: [&str; 18] = [
    "a = \"{{ device.position }}\"",
    "b = '{{ text }}'",
    "c = {{ text | tojson }}",
    "d = {{ count }}",
    "e = -{{ count }}",
    "f = +{{ count }}",
    "{{ text }} = 1",
    "g = \"\\\\{{ text }}\"",
    "h = \"\"\"{{ text | upper }}\"\"\"",
    "i = [{{ count }}, \"{{ text }}\"] # {{ text }}",
    "j = '{{ device.position | tojson }}'",
    "k = {{ text }}",
    "{\"a\": \"{{ device.position | lower }}\"}",
    "\"{{ text }}\"",
    "{{ text | tojson }}",
    "{{ count }}",
    "{\"{{ text }}\": 1}",
    "\"\\u00{{ count }}\"",
];

#[test]
fn usual_files_need_no_reading() {
    let is_proved = |key: &str, template: &str| {
        let mut source = ProfileSource {
            name: "p".into(),
            files: [(key.to_owned(), template.to_owned())].into(),
            ..ProfileSource::default()
        };
        let count = ParameterSource::of(ParameterType::Integer, None);
        source.parameters.insert("count".to_owned(), count);
        let profile = source.check().unwrap();
        let plain = &profile.renderer().unwrap().files[0].plain;
        plain.as_ref().is_some_and(Plain::is_proved)
    };
    assert!(is_proved(
        "a.toml",
        "host = \"{{ device.serial | lower }}\"\n[site]\nname = {{ site.name | tojson }}\ncount = {{ count }}\n"
    ));
    assert!(is_proved(
        "a.json",
        "{\"host\": \"{{ device.serial }}\", \"count\": {{ count }}}"
    ));
    for (key, template) in [
        ("a.toml", "{{ device.serial }} = 1"),
        ("a.toml", "a = 1{{ count }}"),
        ("a.toml", "a = 1 # {{ device.position }}"),
        ("a.json", "{\"{{ device.serial }}\": 1}"),
        ("a.toml", "{{ device.serial }} = 'mq0q'"),
        ("a.yaml", "a: {{ device.serial }}"),
    ] {
        assert!(!is_proved(key, template), "{key} {template}");
    }
}

#[test]
fn usual_templates_need_no_engine() {
    let is_plain = |template: &str| {
        let profile = profile(template).unwrap();
        Renderer::compile(&profile).unwrap().files[0].plain.is_some()
    };
    assert!(is_plain(
        "hostname = \"{{ device.serial | lower }}\"\ncount = {{ count }}\n"
    ));
    assert!(is_plain("name = {{ text | tojson }}\n"));
    for other in [
        "{{ text | tojson(indent=2) }}",
        "{% if is_on %}{% endif %}",
        "{{- text }}",
        "{{ site.latitude }}",
    ] {
        assert!(!is_plain(other), "{other}");
    }
}
