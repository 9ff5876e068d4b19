//! What is proposed for a file, and which mapping is found for it.

use crate::support::{
    Forward, GATEWAYS, MESSY, SENSORS, add_profile, catalog, check_by, gateway_profile, options,
};
use muster_domain::{
    Timestamp,
    catalog::{Catalog, Revision},
    manifest::{
        CheckedMapping, Format, Mapping, MappingSource, Reader, Record, SAMPLE_LIMIT, Survey, suggested_name,
    },
    names::ModelName,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Cursor, sync::Arc};

fn with_profile() -> Catalog {
    let mut catalog = catalog();
    add_profile(&mut catalog, &gateway_profile(), "GW-200");
    catalog
}

fn name(model: &str) -> ModelName {
    model.parse().unwrap()
}

/// Runs something on the survey of a file.
fn survey<T>(file_name: &str, text: &[u8], run: impl FnOnce(&Survey<'_>, Format) -> T) -> T {
    let mut reader = Reader::new(Forward(text), &options(file_name)).unwrap();
    let mut sample = Vec::new();
    let mut record = Record::default();
    while sample.len() < SAMPLE_LIMIT && reader.read(&mut record).unwrap() {
        sample.push(record.clone());
    }
    run(&Survey::new(reader.columns(), &sample), reader.format())
}

fn propose(file_name: &str, text: &[u8], catalog: &Catalog, model: Option<&str>) -> MappingSource {
    let model = model.map(name);
    survey(file_name, text, |survey, _| {
        survey.propose(catalog, model.as_ref())
    })
}

/// Column to field, by the columns' names.
fn fields(source: &MappingSource) -> BTreeMap<&str, &str> {
    let entries = source.fields.iter();
    entries
        .flat_map(|entry| {
            entry
                .columns
                .iter()
                .map(|column| (column.as_str(), entry.field.as_str()))
        })
        .collect()
}

#[test]
fn names_of_many_languages_are_known() {
    let check = |columns: &str, expected: &[(&str, &str)]| {
        let source = propose(
            "a.csv",
            format!("{columns}\n").as_bytes(),
            &catalog(),
            Some("GW-200"),
        );
        assert_eq!(fields(&source), expected.iter().copied().collect(), "{columns}");
    };
    check(
        "Seriennummer;MAC-Adresse;Hardwarestand;Softwarestand;Standort;Einbauort",
        &[
            ("Seriennummer", "serial"),
            ("MAC-Adresse", "mac"),
            ("Hardwarestand", "hardware"),
            ("Softwarestand", "firmware"),
            ("Standort", "site"),
            ("Einbauort", "position"),
        ],
    );
    check(
        "N° de série;Adresse MAC;Version du micrologiciel;Emplacement",
        &[
            ("N° de série", "serial"),
            ("Adresse MAC", "mac"),
            ("Version du micrologiciel", "firmware"),
            ("Emplacement", "site"),
        ],
    );
    check(
        "Número de serie;Dirección MAC;Versión de firmware;Ubicación;Posición",
        &[
            ("Número de serie", "serial"),
            ("Dirección MAC", "mac"),
            ("Versión de firmware", "firmware"),
            ("Ubicación", "site"),
            ("Posición", "position"),
        ],
    );
    check(
        "N.º de Série;Endereço MAC;Versão de Firmware;Localização;Posição",
        &[
            ("N.º de Série", "serial"),
            ("Endereço MAC", "mac"),
            ("Versão de Firmware", "firmware"),
            ("Localização", "site"),
            ("Posição", "position"),
        ],
    );
    // An accent as a character of its own.
    check("Nu\u{301}mero de serie", &[("Nu\u{301}mero de serie", "serial")]);
    check("序列号;备注", &[("序列号", "kept"), ("备注", "kept")]);
}

#[test]
fn values_tell_what_names_do_not() {
    let check = |text: &str, model: Option<&str>, expected: &[(&str, &str)]| {
        let source = propose("a.csv", text.as_bytes(), &with_profile(), model);
        assert_eq!(fields(&source), expected.iter().copied().collect(), "{text}");
    };
    check(
        "A;B;C;D;E;F\nGW2-7000001;00:1B:C5:00:00:01;GW-200;MUC-01;v2.4.0;-----BEGIN CERTIFICATE-----\nGW2-7000002;;GW-200;AUS-02;2.3.1;\n",
        None,
        &[
            ("A", "serial"),
            ("B", "mac"),
            ("C", "model"),
            ("D", "site"),
            ("E", "firmware"),
            ("F", "credential"),
        ],
    );
    // Two columns may be it: none is chosen.
    check(
        "serial;B;C\nGW2-7000001;00:1B:C5:00:00:01;00:1B:C5:00:00:02\n",
        Some("GW-200"),
        &[("serial", "serial"), ("B", "kept"), ("C", "kept")],
    );
    // One value is not like the others.
    check(
        "serial;B\nx;00:1B:C5:00:00:01\ny;none\n",
        Some("GW-200"),
        &[("serial", "serial"), ("B", "kept")],
    );
    // Twelve digits are no address.
    check(
        "serial;B\nx;123456789012\n",
        Some("GW-200"),
        &[("serial", "serial"), ("B", "kept")],
    );
    // Serials differ from row to row.
    check("A\nGW2-7000001\nGW2-7000001\n", Some("GW-200"), &[("A", "kept")]);
    // A parameter of a profile is a variable, whatever its values look like.
    check(
        "serial;Extension;Phone;labels.env;vars.x\ns;2.4.0;1;a;b\n",
        Some("GW-200"),
        &[
            ("serial", "serial"),
            ("Extension", "variables.extension"),
            ("Phone", "kept"),
            ("labels.env", "labels.env"),
            ("vars.x", "variables.x"),
        ],
    );
    // Where the model is given, `type` is one only if it names one.
    check(
        "serial;type\ns;indoor\n",
        Some("GW-200"),
        &[("serial", "serial"), ("type", "kept")],
    );
    check(
        "serial;type\ns;GW-200\n",
        Some("GW-200"),
        &[("serial", "serial"), ("type", "model")],
    );
    check(
        "serial;type\ns;indoor\n",
        None,
        &[("serial", "serial"), ("type", "model")],
    );
}

#[test]
fn of_names_that_mean_the_same_the_values_choose() {
    let check = |text: &str, expected: &[(&str, &str)], sound| {
        let source = propose("a.csv", text.as_bytes(), &catalog(), Some("GW-200"));
        assert_eq!(fields(&source), expected.iter().copied().collect(), "{text}");
        let columns: Vec<_> = text
            .lines()
            .next()
            .unwrap()
            .split(';')
            .map(str::to_owned)
            .collect();
        let resolved = Mapping::resolve(&source.check().unwrap(), &columns, Format::Csv, true);
        assert_eq!(resolved.is_ok(), sound, "{text}");
    };
    check(
        "Serial;S/N\nGW2-7000001;17\nGW2-7000002;18\n",
        &[("Serial", "serial"), ("S/N", "kept")],
        true,
    );
    // Nothing settles it: the file is refused, never guessed at.
    check(
        "Serial;S/N\n1;17\n2;18\n",
        &[("Serial", "serial"), ("S/N", "serial")],
        false,
    );
}

#[test]
fn proposals_read_the_files_of_a_factory() {
    for (file, text, expected) in [
        ("gateways.csv", GATEWAYS, 1000),
        ("gateways-messy.csv", MESSY, 285),
        ("sensors.ndjson", SENSORS, 400),
    ] {
        let source = propose(file, text, &with_profile(), None);
        let by = source.check().unwrap();
        let checked = check_by(with_profile(), file, Forward(text), None, Some(&by)).unwrap();
        assert!(checked.rows.len() >= expected, "{file}: {}", checked.rows.len());
        assert!(
            checked.columns.iter().all(|(_, field)| field != "kept"),
            "{file}: {:?}",
            checked.columns
        );
    }
}

#[test]
fn what_is_kept_is_as_the_factory_wrote_it() {
    let text = "serial;Remarks;remarks;\nGW2-7000001;\"= two\nlines\";x;y\n";
    let source = propose("a.csv", text.as_bytes(), &catalog(), Some("GW-200"));
    let checked = check_by(
        catalog(),
        "a.csv",
        Cursor::new(&text),
        Some("GW-200"),
        Some(&source.check().unwrap()),
    );
    let checked = checked.unwrap();
    assert_eq!(checked.faults(), []);
    let kept: Vec<_> = checked.rows[0]
        .row
        .kept
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(kept, [("Remarks", "= two\nlines"), ("remarks", "x")]);
}

#[test]
fn a_proposal_is_kept_under_the_name_of_its_model() {
    let catalog = catalog();
    let check = |text: &str, model: Option<&str>, expected: Option<&str>| {
        let model = model.map(name);
        let found = survey("a.csv", text.as_bytes(), |survey, _| {
            let source = survey.propose(&catalog, model.as_ref());
            assert_eq!(source.name, expected.unwrap_or("proposed"));
            suggested_name(model.as_ref(), &survey.models(&catalog))
        });
        assert_eq!(found.as_ref().map(|name| name.as_str()), expected, "{text}");
    };
    check("serial\n1\n", Some("TS-10"), Some("TS-10"));
    check(
        "serial;model\n1;GW-200\n2;GW-200\n3;nonsense\n",
        None,
        Some("GW-200"),
    );
    check("serial;model\n1;GW-200\n2;TS-10\n", None, None);
    check("serial;model\n1;nonsense\n", None, None);
}

/// A catalog with these mappings, each newer than the one before.
fn keeping(mappings: &[&Value]) -> Catalog {
    let mut catalog = with_profile();
    for (seconds, value) in (1_u64..).zip(mappings.iter().copied()) {
        let source: MappingSource = serde_json::from_value(value.clone()).unwrap();
        let content: CheckedMapping = source.check().unwrap();
        let revisions = catalog.mappings.entry(content.name().clone()).or_default();
        revisions.push(Arc::new(Revision {
            number: u32::try_from(revisions.len()).unwrap() + 1,
            author: "ada".parse().unwrap(),
            created: Timestamp::from_seconds(seconds),
            message: String::new(),
            content,
        }));
    }
    catalog
}

#[test]
fn a_mapping_is_found_for_files_like_those_it_was_made_for() {
    let mapping = |name: &str, models: &[&str], columns: &[(&str, &str)]| {
        let fields: Vec<_> = columns
            .iter()
            .map(|(field, column)| json!({"field": field, "columns": [column]}))
            .collect();
        json!({"name": name, "models": models, "fields": fields})
    };
    let ids = [("serial", "ID")];
    let check = |mappings: &[&Value], text: &str, model: Option<&str>, expected: Option<(&str, u32)>| {
        let catalog = keeping(mappings);
        let model = model.map(name);
        let found = survey("a.csv", text.as_bytes(), |survey, _| {
            survey.find(&catalog, model.as_ref())
        });
        let found = found.map(|revision| (revision.content.name().as_str(), revision.number));
        assert_eq!(found, expected, "{text}");
    };
    let gateways = mapping("gw", &["GW-200"], &ids);
    check(&[&gateways], "ID\n1\n", Some("GW-200"), Some(("gw", 1)));
    check(&[&gateways], "ID\n1\n", Some("TS-10"), None);
    check(&[&gateways], "ID\n1\n", None, None);
    check(&[&gateways], "serial\n1\n", Some("GW-200"), None);
    // Whatever else the file has is kept, but for columns that we would understand.
    check(&[&gateways], "ID;Remarks\n1;2\n", Some("GW-200"), Some(("gw", 1)));
    check(&[&gateways], "ID;MAC\n1;2\n", Some("GW-200"), None);
    check(&[&gateways], "ID;Extension\n1;2\n", Some("GW-200"), None);
    check(&[&gateways], "ID;labels.x\n1;2\n", Some("GW-200"), None);
    // The model comes from the file.
    let both = mapping("both", &["GW-200"], &[("serial", "ID"), ("model", "Kind")]);
    check(&[&both], "ID;Kind\n1;GW-200\n", None, Some(("both", 1)));
    check(&[&both], "ID;Kind\n1;TS-10\n", None, None);
    check(&[&both], "ID\n1\n", None, None);
    // The one that names most, then the newest; for any model, too.
    let more = mapping("more", &[], &[("serial", "ID"), ("kept", "Remarks")]);
    check(
        &[&more, &gateways],
        "ID;Remarks\n1;2\n",
        Some("GW-200"),
        Some(("more", 1)),
    );
    check(&[&more, &gateways], "ID\n1\n", Some("GW-200"), Some(("gw", 1)));
    check(&[&gateways, &more], "ID\n1\n", Some("GW-200"), Some(("more", 1)));
    // Only the newest revision counts.
    let other = mapping("gw", &["GW-200"], &[("serial", "Nr")]);
    check(&[&gateways, &other], "ID\n1\n", Some("GW-200"), None);
    check(&[&gateways, &other], "Nr\n1\n", Some("GW-200"), Some(("gw", 2)));
    check(&[], "serial\n1\n", Some("GW-200"), None);
}

#[test]
fn what_was_proposed_is_found_again() {
    let text = "S/N;Extension;Remarks;Typ\nGW2-7000001;1;x;GW-200\n";
    let proposed = propose("a.csv", text.as_bytes(), &with_profile(), None);
    let catalog = keeping(&[&serde_json::to_value(&proposed).unwrap()]);
    let found = survey("a.csv", text.as_bytes(), |survey, _| survey.find(&catalog, None)).unwrap();
    assert_eq!(found.content.source(), &proposed);
}

proptest! {
    /// Whatever a header says, what is proposed for it is sound.
    #[test]
    fn every_proposal_is_a_sound_mapping(
        header in prop::collection::vec("(labels\\.|var:|SN|Mac |model)?\\PC{0,12}", 1..12),
        values in prop::collection::vec("\\PC{0,12}", 1..12),
    ) {
        let object: serde_json::Map<_, _> =
            header.into_iter().zip(values.into_iter().map(Value::from)).collect();
        let text = Value::from(object).to_string();
        let source = propose("a.ndjson", text.as_bytes(), &with_profile(), Some("GW-200"));
        prop_assert!(source.clone().check().is_ok(), "{source:?}");
    }
}
