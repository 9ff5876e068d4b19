//! Record -> valid row, or every reason why not.
//!
//! One validator for the dry run and for the import. Whatever can be known without a look into the registry is
//! checked here, and all that is wrong with a row is said at once.

use super::{
    CellKind, DeviceRow, Fault, Field, Intake, Mapping, Problem, Record, Rendered, ValidRow, cell,
    cells::{Found, Gatherer, Value},
    intake::{Plan, in_row},
    seen::Seen,
};
use crate::{
    Code, Refusal,
    catalog::Facts,
    desired::Place,
    mac::{Mac, MacError},
    names::{ModelName, Serial, SiteCode},
};
use core::fmt;
use semver::Version;
use std::sync::Arc;

/// Checks the rows of one file, in order: it remembers serials and addresses.
#[derive(Debug)]
pub struct Checker {
    intake: Arc<Intake>,
    mapping: Mapping,
    default_model: Option<ModelName>,
    serials: Seen,
    macs: Seen,
    gatherer: Gatherer,
    /// The JSON text of the current row's content.
    scratch: Vec<u8>,
}

/// The refusals of one row.
struct Problems {
    row: u32,
    found: Vec<Refusal>,
}

impl Problems {
    fn add(&mut self, field: &str, code: Code, why: impl Into<String>) {
        self.found
            .push(in_row(self.row, Refusal::new(code, why).at(field)));
    }

    fn take<T, E: fmt::Display>(&mut self, field: &str, code: Code, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.add(field, code, why.to_string())).ok()
    }
}

impl Checker {
    /// For a file whose columns mean what `mapping` says. `default_model` is for rows that name none. `seed` must be
    /// random: with a known one, somebody could make a file that is slow to check.
    ///
    /// # Errors
    /// [`Code::ModelUnknown`] at `header.default_model`.
    pub fn new(
        intake: Arc<Intake>,
        mapping: Mapping,
        default_model: Option<ModelName>,
        seed: [u8; 16],
    ) -> Result<Self, Refusal> {
        if let Some(name) = default_model
            .as_ref()
            .filter(|name| intake.plan(name.as_str()).is_none())
        {
            return Err(
                Refusal::new(Code::ModelUnknown, format!("there is no model {name}"))
                    .at("header.default_model"),
            );
        }
        let (serials, macs) = (Seen::new(seed, 0), Seen::new(seed, 1));
        Ok(Self {
            intake,
            mapping,
            default_model,
            serials,
            macs,
            gatherer: Gatherer::default(),
            scratch: Vec::new(),
        })
    }

    /// The columns as the user calls them, with the fields they fill.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.mapping.columns()
    }

    /// Checks one record.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its field, such as `rows[17].mac`.
    pub fn check(&mut self, record: &Record) -> Result<ValidRow, Vec<Refusal>> {
        let intake = Arc::clone(&self.intake);
        let mut problems = Problems {
            row: record.row(),
            found: Vec::new(),
        };
        if let Some(refusal) = self.broken(record) {
            return Err(vec![in_row(record.row(), refusal)]);
        }
        let (cells, misfits) = self.gatherer.gather(&mut self.mapping, record);
        for misfit in misfits {
            problems.found.push(in_row(problems.row, misfit.refusal));
        }
        let plan = self.model(&intake, &cells.model, &mut problems);
        let serial = self.serial(&cells.serial, plan, &mut problems);
        let mac = self.mac(&cells.mac, plan, &mut problems);
        let firmware = cells
            .firmware
            .text()
            .and_then(|text| firmware(text, &mut problems));
        let place = cells
            .site
            .text()
            .and_then(|code| site(&intake, code, &mut problems));
        let etag = cells.etag.text().and_then(|text| etag(text, &mut problems));
        let retry_row = cells
            .retry_row
            .text()
            .and_then(|text| retry_row(text, &mut problems));
        let (Some(serial), Some(plan), true) = (serial, plan, problems.found.is_empty()) else {
            return Err(problems.found);
        };
        let row = DeviceRow {
            row: record.row(),
            retry_row,
            serial,
            mac,
            model: plan.name().clone(),
            hardware: cells.hardware.owned(),
            firmware,
            site: place.map(|(code, _)| code.clone()),
            position: cells.position.owned(),
            labels: cells.labels,
            variables: cells.variables,
            credential: cells.credential.owned(),
            etag,
            kept: cells.kept,
        };
        let target = self.target(&row, plan, place.map(|(_, place)| place))?;
        Ok(ValidRow { row, target })
    }

    /// Why a record cannot even be looked at cell by cell.
    fn broken(&self, record: &Record) -> Option<Refusal> {
        let code = |code, why: &str| Some(Refusal::new(code, why));
        match record.fault() {
            Some(Fault::TooLong) => code(Code::CellMalformed, "the row is longer than 65536 bytes"),
            Some(Fault::OpenQuote) => code(
                Code::CellMalformed,
                "a quote is opened and not closed within 4096 bytes",
            ),
            Some(Fault::TooWide) => code(Code::RowWidth, "the row has more than 256 cells"),
            Some(Fault::Json(why)) => code(
                Code::CellMalformed,
                &format!("the line is no object of plain values: {why}"),
            ),
            Some(Fault::Xml(why)) => code(
                Code::CellMalformed,
                &format!("the element is no list of plain values: {why}"),
            ),
            Some(Fault::Signature(why)) => code(Code::EntrySignature, why),
            Some(Fault::Entry { code: number, why }) => code(*number, why),
            Some(Fault::Cell { column, why }) => {
                let field = self
                    .mapping
                    .field(*column)
                    .filter(|field| **field != Field::Ignored);
                let refusal = Refusal::new(Code::CellMalformed, *why);
                Some(match field {
                    Some(field) => refusal.at(field.to_string()),
                    None => refusal,
                })
            }
            None => self.too_wide(record),
        }
    }

    fn too_wide(&self, record: &Record) -> Option<Refusal> {
        let width = self.mapping.width();
        let extra = !record.is_named() && record.cells().skip(width).any(|cell| !cell.trim().is_empty());
        extra.then(|| {
            let why = format!("the row has {} cells and the header {width}", record.len());
            Refusal::new(Code::RowWidth, why)
        })
    }

    fn model<'i>(&self, intake: &'i Intake, cell: &Found<'_>, problems: &mut Problems) -> Option<&'i Plan> {
        let name = match (cell, &self.default_model) {
            (Found::Bad, _) => return None,
            (Found::Value(value), _) => value.text.as_ref(),
            (Found::Nothing, Some(name)) => name.as_str(),
            (Found::Nothing, None) => {
                problems.add("model", Code::ModelMissing, "the row names no model");
                return None;
            }
        };
        let plan = intake.plan(name);
        if plan.is_none() {
            problems.add("model", Code::ModelUnknown, format!("there is no model {name:?}"));
        }
        plan
    }

    fn serial(&mut self, cell: &Found<'_>, plan: Option<&Plan>, problems: &mut Problems) -> Option<Serial> {
        let text = match cell {
            Found::Bad => return None,
            Found::Nothing => {
                problems.add("serial", Code::SerialMissing, "the row has no serial");
                return None;
            }
            Found::Value(Value {
                text: number,
                kind: CellKind::Number,
                ..
            }) => {
                let why = format!("{number} is a number, which has lost its leading zeros; write it as text");
                problems.add("serial", Code::SerialDamaged, why);
                return None;
            }
            Found::Value(Value { text, .. }) if cell::is_damaged(text) => {
                problems.add(
                    "serial",
                    Code::SerialDamaged,
                    format!("{text:?} is what a spreadsheet makes of a long number"),
                );
                return None;
            }
            Found::Value(Value { text, .. }) => text,
        };
        let serial: Serial = problems.take("serial", Code::SerialMalformed, text.parse())?;
        if let Some(rule) = plan
            .and_then(|plan| plan.model().serial_pattern.as_ref())
            .filter(|rule| !rule.matches(serial.as_str()))
        {
            problems.add(
                "serial",
                Code::SerialRule,
                format!("{serial} does not match {}", rule.as_str()),
            );
        }
        if let Some(first) = self.serials.note(serial.as_str().as_bytes(), problems.row) {
            problems.add(
                "serial",
                Code::SerialRepeated,
                format!("{serial} stands in row {first} already"),
            );
        }
        Some(serial)
    }

    fn mac(&mut self, cell: &Found<'_>, plan: Option<&Plan>, problems: &mut Problems) -> Option<Mac> {
        let mac: Mac = match cell.text()?.parse() {
            Ok(mac) => mac,
            Err(why) => {
                let code = match why {
                    MacError::Multicast => Code::MacMulticast,
                    MacError::Character(_) | MacError::Length(_) | MacError::Separators => Code::MacMalformed,
                };
                problems.add("mac", code, why.to_string());
                return None;
            }
        };
        if let Some(plan) = plan.filter(|plan| !plan.model().allows_mac(&mac)) {
            problems.add(
                "mac",
                Code::MacVendor,
                format!(
                    "{mac} is in none of the blocks of {}: {}",
                    plan.name(),
                    plan.model().blocks()
                ),
            );
        }
        if let Some(first) = self.macs.note(&mac.key().to_le_bytes(), problems.row) {
            problems.add(
                "mac",
                Code::MacRepeated,
                format!("{mac} stands in row {first} already"),
            );
        }
        Some(mac)
    }

    /// What the device must be if the row creates it.
    fn target(
        &mut self,
        row: &DeviceRow,
        plan: &Plan,
        place: Option<&Place>,
    ) -> Result<Rendered, Vec<Refusal>> {
        let recipe = plan
            .recipe()
            .map_err(|refusal| vec![in_row(row.row, refusal.at("model"))])?;
        let refusals = match recipe.target(&facts(row), place, 1, &mut self.scratch) {
            Ok(target) => return Ok(Rendered::Whole(target)),
            Err(refusals) => refusals,
        };
        let (lacking, wrong): (Vec<_>, Vec<_>) =
            refusals.into_iter().partition(|refusal| may_be_had(row, refusal));
        if wrong.is_empty() {
            Ok(Rendered::Lacking(
                lacking.into_iter().map(Problem::from).collect(),
            ))
        } else {
            Err(wrong
                .into_iter()
                .map(|refusal| in_row(row.row, refusal))
                .collect())
        }
    }
}

/// Can a registered device have what this row lacks? A value that the row has and that is wrong stays wrong.
fn may_be_had(row: &DeviceRow, refusal: &Refusal) -> bool {
    let variable = refusal.field.strip_prefix("variables.");
    !variable.is_some_and(|name| row.variables.contains_key(name))
}

/// What templates may know of a device that a row creates.
pub(super) fn facts(row: &DeviceRow) -> Facts<'_> {
    Facts {
        serial: &row.serial,
        mac: row.mac,
        model: &row.model,
        hardware: row.hardware.as_deref(),
        firmware: row.firmware.as_ref(),
        site: None,
        position: row.position.as_deref(),
        labels: &row.labels,
        variables: &row.variables,
    }
}

/// A semantic version; a `v` in front is a habit of writing, not part of it.
fn firmware(text: &str, problems: &mut Problems) -> Option<Version> {
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let parsed =
        Version::parse(bare).map_err(|why| format!("{text:?} is not a version of three numbers: {why}"));
    problems.take("firmware", Code::VersionMalformed, parsed)
}

/// The revision behind an etag.
fn etag(text: &str, problems: &mut Problems) -> Option<u64> {
    let number = text.strip_prefix('r').and_then(|number| number.parse().ok());
    if number.is_none() {
        problems.add(
            "etag",
            Code::CellMalformed,
            format!("{text:?} is no etag of a device"),
        );
    }
    number
}

fn retry_row(text: &str, problems: &mut Problems) -> Option<u32> {
    let number = text.parse().ok();
    if number.is_none() {
        let why = format!("{text:?} is no number of a row; leave the column as it came");
        problems.add("retry_row", Code::CellMalformed, why);
    }
    number
}

fn site<'i>(intake: &'i Intake, code: &str, problems: &mut Problems) -> Option<(&'i SiteCode, &'i Place)> {
    let found = intake.place(code);
    if found.is_none() {
        problems.add("site", Code::SiteUnknown, format!("there is no site {code:?}"));
    }
    found
}
