//! A catalog with the models and sites of the fixtures, and a short way through a manifest.

use muster_domain::{
    Code, Refusal, Timestamp,
    catalog::{Catalog, ModelSource, ProfileSource, Revision, SiteSource},
    manifest::{
        CheckedMapping, Checker, Intake, Mapping, Problem, ReadOptions, Reader, Record, Rendered, ValidRow,
    },
    names::ModelName,
};
use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

pub(crate) const GATEWAYS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/gateways.csv");
pub(crate) const MESSY: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/gateways-messy.csv");
pub(crate) const SENSORS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/sensors.ndjson");
pub(crate) const SITES: &str = include_str!("../../../../tests/fixtures/manifests/sites.csv");

/// Name, serial pattern, block: the rules that the fixtures were made by.
const MODELS: [(&str, &str, &str); 3] = [
    ("GW-200", "GW2-[0-9]{7}", "00:1B:C5"),
    ("CAM-IR", "[0-9]{10}|[0-9]{12}", "70:B3:D5"),
    ("TS-10", "TS[0-9]-[0-9]{5}", "00:04:A3"),
];

fn model(name: &str, pattern: &str, oui: &str) -> ModelSource {
    ModelSource {
        name: name.into(),
        serial_pattern: pattern.into(),
        ouis: vec![oui.into()],
        ..ModelSource::default()
    }
}

/// The models and sites of the fixtures; no profile.
pub(crate) fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, pattern, oui) in MODELS {
        let model = model(name, pattern, oui).check().unwrap();
        catalog.models.insert(model.name.clone(), Arc::new(model));
    }
    for line in SITES.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let source = SiteSource {
            code: cells[0].into(),
            name: cells[1].into(),
            country: cells[2].into(),
            latitude: cells[3].parse().ok(),
            longitude: cells[4].parse().ok(),
            time_zone: cells[5].into(),
            ..SiteSource::default()
        };
        let site = source.check().unwrap();
        catalog.sites.insert(site.code.clone(), Arc::new(site));
    }
    catalog
}

/// Adds a revision of a profile and gives it to a model.
pub(crate) fn add_profile(catalog: &mut Catalog, source: &ProfileSource, model_name: &str) {
    let profile = source.check().unwrap();
    let revisions = catalog.profiles.entry(profile.name.clone()).or_default();
    revisions.push(Arc::new(Revision {
        number: u32::try_from(revisions.len()).unwrap() + 1,
        author: "ada".parse().unwrap(),
        created: Timestamp::from_seconds(1),
        message: String::new(),
        content: profile.clone(),
    }));
    let model = Arc::make_mut(catalog.models.get_mut(model_name).unwrap());
    model.profile = Some(profile.name);
}

/// A profile that uses a parameter without default, one with, and everything about the device and its site.
pub(crate) fn gateway_profile() -> ProfileSource {
    serde_json::from_value(serde_json::json!({
        "name": "gateway",
        "parameters": {
            "extension": {"type": "integer"},
            "interval": {"type": "number", "default": "2.5"},
        },
        "files": {
            "network.toml": "serial = {{ device.serial | tojson }}\nmac = \"{{ device.mac | default('none') }}\"\nsite = \"{{ site.code }}\"\n",
            "phone.toml": "extension = {{ extension }}\ninterval = {{ interval }}\n{% if device.position is defined %}\nplace = {{ device.position | tojson }}\n{% endif %}\n",
        },
    }))
    .unwrap()
}

/// Everything that a manifest comes to: valid rows and refusals, in order.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) rows: Vec<ValidRow>,
    pub(crate) refusals: Vec<Refusal>,
    /// The refusals with their columns, values and rules, and what is odd about rows.
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// What keeps valid rows from making new devices.
    pub(crate) lacking: Vec<Refusal>,
    pub(crate) columns: Vec<(String, String)>,
}

impl Checked {
    /// The refusals as (row, field, code).
    pub(crate) fn faults(&self) -> Vec<(u32, &str, Code)> {
        self.refusals.iter().chain(&self.lacking).map(place).collect()
    }
}

fn place(refusal: &Refusal) -> (u32, &str, Code) {
    let rest = refusal.field.strip_prefix("rows[").unwrap();
    let (row, field) = rest.split_once(']').unwrap();
    (row.parse().unwrap(), field.trim_start_matches('.'), refusal.code)
}

pub(crate) fn options(file_name: &str) -> ReadOptions {
    ReadOptions {
        file_name: file_name.into(),
        ..ReadOptions::default()
    }
}

/// A stream that goes forward only: text is never sought in.
#[derive(Debug)]
pub(crate) struct Forward<R>(pub(crate) R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R> Seek for Forward<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Reads and checks a whole manifest.
pub(crate) fn check(
    catalog: Catalog,
    file_name: &str,
    input: impl Read,
    default_model: Option<&str>,
) -> Checked {
    check_by(catalog, file_name, Forward(input), default_model, None).unwrap()
}

/// The same, for files that are not read from their beginning.
pub(crate) fn check_sheet(
    catalog: Catalog,
    file_name: &str,
    input: impl Read + Seek,
    default_model: Option<&str>,
) -> Checked {
    check_by(catalog, file_name, input, default_model, None).unwrap()
}

/// Reads and checks a whole manifest by a mapping; by the usual names of columns without one.
pub(crate) fn check_by(
    catalog: Catalog,
    file_name: &str,
    input: impl Read + Seek,
    default_model: Option<&str>,
    by: Option<&CheckedMapping>,
) -> Result<Checked, Vec<Refusal>> {
    let intake = Arc::new(Intake::new(Arc::new(catalog)));
    let mut reader = Reader::new(input, &options(file_name)).unwrap();
    let default_model: Option<ModelName> = default_model.map(|name| name.parse().unwrap());
    let has_model = default_model.is_some();
    let mapping = match by {
        Some(by) => Mapping::resolve(by, reader.columns(), reader.format(), has_model)?,
        None => Mapping::of(&reader, has_model)?,
    };
    let mut checker = Checker::new(intake, mapping, default_model, [7; 16]).unwrap();
    let mut checked = Checked {
        columns: checker.columns(),
        ..Checked::default()
    };
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        let found = checker.check(&record);
        checked.warnings.extend(found.warnings);
        match found.outcome {
            Ok(row) => {
                if let Rendered::Lacking(problems) = &row.target {
                    let problems = problems.iter().map(|problem| problem.clone().in_row(row.row.row));
                    checked.lacking.extend(problems.map(|problem| problem.refusal));
                }
                checked.rows.push(row);
            }
            Err(found) => {
                let refusals = found.iter().map(|problem| problem.refusal.clone());
                checked.refusals.extend(refusals);
                checked.problems.extend(found);
            }
        }
    }
    Ok(checked)
}
