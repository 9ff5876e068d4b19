//! Record -> valid row, or every reason why not.
//!
//! One validator for the dry run and for the import. Whatever can be known without a look into the registry is
//! checked here, and all that is wrong with a row is said at once.

use super::{
    CellKind, DeviceRow, Fault, Field, Intake, Mapping, Record, ValidRow, cell,
    intake::{Plan, in_row},
    seen::Seen,
};
use crate::{
    Code, Refusal,
    catalog::Facts,
    desired::{Place, Target},
    mac::{Mac, MacError},
    names::{ModelName, Serial, SiteCode},
};
use core::fmt;
use semver::Version;
use std::{collections::BTreeMap, sync::Arc};

/// Checks the rows of one file, in order: it remembers serials and addresses.
#[derive(Debug)]
pub struct Checker {
    intake: Arc<Intake>,
    mapping: Mapping,
    default_model: Option<ModelName>,
    serials: Seen,
    macs: Seen,
    /// NDJSON: the columns of the current object's cells.
    places: Vec<usize>,
    /// The JSON text of the current row's content.
    scratch: Vec<u8>,
}

/// A cell of a scalar field, without the blanks around it.
#[derive(Debug, Clone, Copy, Default)]
enum Found<'r> {
    #[default]
    Nothing,
    /// It was refused already.
    Bad,
    Text(&'r str),
    /// A number of JSON, as text.
    Number(&'r str),
}

/// The cells of a row, by field.
#[derive(Debug, Default)]
struct Cells<'r> {
    serial: Found<'r>,
    mac: Found<'r>,
    model: Found<'r>,
    hardware: Found<'r>,
    firmware: Found<'r>,
    site: Found<'r>,
    position: Found<'r>,
    labels: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
}

impl<'r> Found<'r> {
    /// The text, if there is one and it is sound so far.
    const fn text(self) -> Option<&'r str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Nothing | Self::Bad => None,
        }
    }

    fn owned(self) -> Option<String> {
        self.text().map(str::to_owned)
    }
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
            places: Vec::new(),
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
        let cells = self.cells(record, &mut problems);
        let plan = self.model(&intake, cells.model, &mut problems);
        let serial = self.serial(cells.serial, plan, &mut problems);
        let mac = self.mac(cells.mac, plan, &mut problems);
        let firmware = cells
            .firmware
            .text()
            .and_then(|text| firmware(text, &mut problems));
        let place = cells
            .site
            .text()
            .and_then(|code| site(&intake, code, &mut problems));
        let (Some(serial), Some(plan), true) = (serial, plan, problems.found.is_empty()) else {
            return Err(problems.found);
        };
        let row = DeviceRow {
            row: record.row(),
            serial,
            mac,
            model: plan.name().clone(),
            hardware: cells.hardware.owned(),
            firmware,
            site: place.map(|(code, _)| code.clone()),
            position: cells.position.owned(),
            labels: cells.labels,
            variables: cells.variables,
        };
        match self.target(&row, plan, place.map(|(_, place)| place)) {
            Ok(target) => Ok(ValidRow { row, target }),
            Err(found) => Err(found
                .into_iter()
                .map(|refusal| in_row(row.row, refusal))
                .collect()),
        }
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
            Some(Fault::Cell { column, why }) => {
                let field = self.mapping.at(*column).filter(|field| **field != Field::Ignored);
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

    /// Sorts the cells by field, and refuses those that no field can hold.
    fn cells<'r>(&mut self, record: &'r Record, problems: &mut Problems) -> Cells<'r> {
        let named = record.is_named();
        if named {
            self.mapping.places(record, &mut self.places);
        }
        let plain = cell::is_plain(record.text());
        let mut cells = Cells::default();
        for (place, text) in record.cells().enumerate() {
            let column = if named {
                self.places.get(place).copied().unwrap_or(place)
            } else {
                place
            };
            let Some(field) = self.mapping.at(column) else {
                break;
            };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let problem = if plain && !cell::is_formula(text) {
                None
            } else {
                cell::problem(text)
            };
            let found = match problem {
                Some(_) if *field == Field::Ignored => continue,
                Some(problem) => {
                    problems
                        .found
                        .push(in_row(problems.row, problem.at(field.to_string())));
                    Found::Bad
                }
                None if record.kind(place) == CellKind::Number => Found::Number(text),
                None => Found::Text(text),
            };
            if !cells.put(field, found) {
                problems.add(
                    &field.to_string(),
                    Code::HeaderAmbiguous,
                    "two keys of the object mean this field",
                );
            }
        }
        cells
    }

    fn model<'i>(&self, intake: &'i Intake, cell: Found<'_>, problems: &mut Problems) -> Option<&'i Plan> {
        let name = match (cell, &self.default_model) {
            (Found::Bad, _) => return None,
            (Found::Text(name) | Found::Number(name), _) => name,
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

    fn serial(&mut self, cell: Found<'_>, plan: Option<&Plan>, problems: &mut Problems) -> Option<Serial> {
        let text = match cell {
            Found::Bad => return None,
            Found::Nothing => {
                problems.add("serial", Code::SerialMissing, "the row has no serial");
                return None;
            }
            Found::Number(number) => {
                let why = format!("{number} is a number, which has lost its leading zeros; write it as text");
                problems.add("serial", Code::SerialDamaged, why);
                return None;
            }
            Found::Text(text) if cell::is_damaged(text) => {
                problems.add(
                    "serial",
                    Code::SerialDamaged,
                    format!("{text:?} is what a spreadsheet makes of a long number"),
                );
                return None;
            }
            Found::Text(text) => text,
        };
        let serial: Serial = problems.take("serial", Code::SerialMalformed, text.parse())?;
        if let Some(rule) = plan
            .and_then(|plan| plan.model().serial_rule.as_ref())
            .filter(|rule| !rule.allows(&serial))
        {
            problems.add(
                "serial",
                Code::SerialRule,
                format!("{serial} does not match {}", rule.pattern()),
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

    fn mac(&mut self, cell: Found<'_>, plan: Option<&Plan>, problems: &mut Problems) -> Option<Mac> {
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
                format!("{} is not a block of {}", mac.oui(), plan.name()),
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

    fn target(
        &mut self,
        row: &DeviceRow,
        plan: &Plan,
        place: Option<&Place>,
    ) -> Result<Target, Vec<Refusal>> {
        let recipe = plan.recipe().map_err(|refusal| vec![refusal.at("model")])?;
        recipe.target(&facts(row), place, 1, &mut self.scratch)
    }
}

impl<'r> Cells<'r> {
    /// Keeps a cell; `false` when its field has one already.
    fn put(&mut self, field: &Field, found: Found<'r>) -> bool {
        let slot = match field {
            Field::Serial => &mut self.serial,
            Field::Mac => &mut self.mac,
            Field::Model => &mut self.model,
            Field::Hardware => &mut self.hardware,
            Field::Firmware => &mut self.firmware,
            Field::Site => &mut self.site,
            Field::Position => &mut self.position,
            Field::Label(key) => {
                return found
                    .owned()
                    .is_none_or(|text| self.labels.insert(key.clone(), text).is_none());
            }
            Field::Variable(name) => {
                return found
                    .owned()
                    .is_none_or(|text| self.variables.insert(name.clone(), text).is_none());
            }
            Field::Ignored => return true,
        };
        let is_free = matches!(slot, Found::Nothing);
        *slot = found;
        is_free
    }
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

fn site<'i>(intake: &'i Intake, code: &str, problems: &mut Problems) -> Option<(&'i SiteCode, &'i Place)> {
    let found = intake.place(code);
    if found.is_none() {
        problems.add("site", Code::SiteUnknown, format!("there is no site {code:?}"));
    }
    found
}
