use super::*;
use muster_domain::manifest::{Format, ReadOptions, Reader, Record};
use muster_proto::v1::profile::{Parameter, parameter::Type};
use std::io::Cursor;

pub(super) fn sources() -> Sources {
    let parameter = |kind: Type, default: Option<&str>| Parameter {
        r#type: kind.into(),
        default: default.map(str::to_owned),
        ..Default::default()
    };
    let parameters = [
        ("extension", parameter(Type::String, None)),
        ("interval", parameter(Type::Integer, Some("30"))),
        ("verbose", parameter(Type::Boolean, Some("false"))),
        ("gain", parameter(Type::Number, None)),
    ];
    Sources {
        model: v1::Model {
            name: "models/GW-200".into(),
            serial_pattern: "GW2-[0-9]{7}".into(),
            check_digit: "luhn".into(),
            ouis: vec!["00:1B:C5".into()],
            profile: "profiles/gateway".into(),
            ..v1::Model::default()
        },
        profile: Some(v1::Profile {
            name: "profiles/gateway".into(),
            parameters: parameters.map(|(name, one)| (name.to_owned(), one)).into(),
            ..v1::Profile::default()
        }),
        models: vec!["CAM-IR".into(), "GW-200".into()],
        sites: (0..100).map(|number| format!("MUC-{number:02}")).collect(),
        rules: vec![
            v1::NamingRule {
                name: "namingRules/rack".into(),
                field: "labels.rack".into(),
                pattern: "R[0-9]{2}".into(),
                required: true,
                ..v1::NamingRule::default()
            },
            v1::NamingRule {
                name: "namingRules/other".into(),
                field: "labels.other".into(),
                models: vec!["CAM-IR".into()],
                ..v1::NamingRule::default()
            },
        ],
        labels: vec!["line".into()],
    }
}

const NAMES: [&str; 16] = [
    "serial",
    "mac",
    "model",
    "hardware",
    "firmware",
    "site",
    "position",
    "claim_not_before",
    "claim_not_after",
    "spki_sha256",
    "labels.line",
    "labels.rack",
    "variables.extension",
    "variables.gain",
    "variables.interval",
    "variables.verbose",
];

#[test]
fn columns_are_what_the_model_needs() {
    let template = Template::of(&sources());
    let names: Vec<_> = template
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, NAMES);
    let check = |name: &str, need: &str, rule: &str| {
        let column = template
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap();
        assert_eq!(
            (column.need().as_str(), column.rule.as_str()),
            (need, rule),
            "{name}"
        );
    };
    check("serial", "required", "matches GW2-[0-9]{7}; check digits by luhn");
    check("mac", "optional", "within 00:1B:C5");
    check("labels.rack", "required", "matches R[0-9]{2}");
    check("labels.line", "optional", "");
    check("variables.interval", "empty means 30", "a whole number");
    check("variables.gain", "required", "a number, with a point");
}

/// The columns and the rows that the importer finds.
fn read(name: &str, bytes: Vec<u8>) -> (Format, u32, Vec<(String, String)>, u32) {
    let options = ReadOptions {
        file_name: name.to_owned(),
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(Cursor::new(bytes), &options).unwrap();
    let names = reader.columns().to_vec();
    let mut rows = 0;
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        rows += 1;
    }
    let fields = names.iter().map(|name| (name.clone(), field_of(name)));
    (reader.format(), reader.header_row(), fields.collect(), rows)
}

/// What the importer takes a column of this name for.
fn field_of(name: &str) -> String {
    let text = format!("serial,model,{name}\nx,x,x\n");
    let text = match name {
        "serial" => "serial,model\nx,x\n".to_owned(),
        "model" => "model,serial\nx,x\n".to_owned(),
        _ => text,
    };
    let reader = Reader::new(Cursor::new(text.into_bytes()), &ReadOptions::default()).unwrap();
    let mapping = muster_domain::manifest::Mapping::of(&reader, false).unwrap();
    mapping
        .columns()
        .into_iter()
        .find(|(column, _)| column == name)
        .unwrap()
        .1
}

#[test]
fn what_it_makes_the_importer_takes_and_the_example_is_no_row() {
    let template = Template::of(&sources());
    let expected = NAMES.map(|name| (name.to_owned(), name.to_owned()));
    for (name, kind, read_as) in [
        ("m.csv", TemplateFormat::Csv, Format::Csv),
        ("m.xlsx", TemplateFormat::Xlsx, Format::Xlsx),
    ] {
        let bytes = template.write(kind).unwrap();
        let (format, header, columns, rows) = read(name, bytes);
        assert_eq!((format, header, rows), (read_as, HEADER_ROW, 0), "{name}");
        assert_eq!(columns, expected, "{name}");
    }
    // Filled in with its own example, it has one row.
    let mut filled = template.write(TemplateFormat::Csv).unwrap();
    let examples: Vec<_> = template
        .columns
        .iter()
        .map(|column| column.example.clone())
        .collect();
    filled.extend_from_slice(format!("{}\n", examples.join(",")).as_bytes());
    assert_eq!(read("m.csv", filled).3, 1);
}

#[test]
fn the_same_template_is_the_same_file() {
    let template = Template::of(&sources());
    for format in [TemplateFormat::Csv, TemplateFormat::Xlsx] {
        assert!(template.write(format).unwrap() == template.write(format).unwrap());
    }
}

#[test]
fn a_model_without_rules_has_a_template() {
    let sources = Sources {
        model: v1::Model {
            name: "models/X".into(),
            ..v1::Model::default()
        },
        ..Sources::default()
    };
    let template = Template::of(&sources);
    assert_eq!(template.columns.len(), 10);
    for format in [TemplateFormat::Csv, TemplateFormat::Xlsx] {
        assert!(!template.write(format).unwrap().is_empty());
    }
}

#[test]
fn the_format_is_in_the_name() {
    let of = |name: &str| TemplateFormat::of(Path::new(name)).ok();
    assert_eq!(of("a/m.XLSX"), Some(TemplateFormat::Xlsx));
    assert_eq!(of("m.csv"), Some(TemplateFormat::Csv));
    assert_eq!(of("m.ods"), None);
    assert_eq!(of("m"), None);
}
