//! Record -> valid row, or every reason why not.
//!
//! One validator for the dry run and for the import. Whatever can be known without a look into the registry is
//! checked here, and all that is wrong with a row is said at once.

mod credentials;
mod findings;
mod identity;
mod naming;
mod references;
mod shape;
mod target;
mod values;

pub use credentials::CredentialNeed;
pub(super) use naming::name as rule_name;

use super::{
    DeviceRow, Intake, Mapping, Problem, Record, ValidRow,
    cells::{Cells, Gatherer},
    seen::Seen,
};
use crate::{Code, Refusal, names::ModelName};
use findings::Findings;
use std::sync::Arc;

/// Checks the rows of one file, in order: it remembers serials and addresses.
#[derive(Debug)]
pub struct Checker {
    intake: Arc<Intake>,
    mapping: Mapping,
    default_model: Option<ModelName>,
    serials: Seen,
    macs: Seen,
    keys: Seen,
    need: CredentialNeed,
    gatherer: Gatherer,
    /// The JSON text of the current row's content.
    scratch: Vec<u8>,
}

/// What is known of a row that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCheck {
    /// The row, or everything that is wrong with it, each at its field such as `rows[17].mac`.
    pub outcome: Result<ValidRow, Vec<Problem>>,
    /// What is odd about it, and no reason to refuse it.
    pub warnings: Vec<Problem>,
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
        let [serials, macs, keys] = [0, 1, 2].map(|kind| Seen::new(seed, kind));
        Ok(Self {
            intake,
            mapping,
            default_model,
            serials,
            macs,
            keys,
            need: CredentialNeed::Nothing,
            gatherer: Gatherer::default(),
            scratch: Vec::new(),
        })
    }

    /// The columns as the user calls them, with the fields they fill.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.mapping.columns()
    }

    /// Checks one record.
    pub fn check(&mut self, record: &Record) -> RowCheck {
        let mut findings = Findings::default();
        let row = match self.broken(record) {
            Some(misfit) => {
                findings.refuse(misfit);
                None
            }
            None => self.row(record, &mut findings),
        };
        let (problems, warnings) = findings.shown(record.row(), &self.mapping);
        RowCheck {
            outcome: row.ok_or(problems),
            warnings,
        }
    }

    /// The row, if nothing is wrong with it.
    fn row(&mut self, record: &Record, findings: &mut Findings) -> Option<ValidRow> {
        let intake = Arc::clone(&self.intake);
        // 1. What each cell is, and what no field can hold.
        let (cells, misfits) = self.gatherer.gather(&mut self.mapping, record);
        *findings = Findings::new(misfits);
        // 2. Every field by itself, so that one mistake does not hide another.
        let plan = self.model(&intake, &cells.model, findings);
        let serial = self.serial(record.row(), &cells.serial, plan, findings);
        let mac = self.mac(record.row(), &cells.mac, plan, findings);
        values::hardware(&cells.hardware, findings);
        let firmware = values::firmware(&cells.firmware, findings);
        let place = references::site(&intake, &cells.site, findings);
        let etag = values::etag(&cells.etag, findings);
        let retry_row = values::retry_row(&cells.retry_row, findings);
        let credential = self.credential(record.row(), &cells.credential, findings);
        // 3. What the model asks of the row as a whole.
        let plan = plan?;
        let mut lacking = naming::follow(&cells, plan, findings);
        lacking.extend(credential);
        let (Some(serial), true) = (serial, findings.is_sound()) else {
            target::read_variables(plan, &cells.variables, findings);
            return None;
        };
        let Cells {
            hardware,
            position,
            labels,
            variables,
            credential,
            kept,
            ..
        } = cells;
        let row = DeviceRow {
            row: record.row(),
            retry_row,
            serial,
            mac,
            model: plan.name().clone(),
            hardware: hardware.owned(),
            firmware,
            site: place.map(|(code, _)| code.clone()),
            position: position.owned(),
            labels,
            variables,
            credential: credential.owned(),
            etag,
            kept,
        };
        let target = self.target(&row, plan, place.map(|(_, place)| place), lacking, findings)?;
        Some(ValidRow { row, target })
    }
}
