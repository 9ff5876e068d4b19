//! Record -> valid row, or every reason why not.
//!
//! One validator for the dry run and for the import. Whatever can be known without a look into the registry is
//! checked here, and all that is wrong with a row is said at once.

mod claim;
mod credential;
mod findings;
mod finish;
mod identity;
mod naming;
mod references;
mod shape;
mod target;
mod values;

pub use finish::{Finisher, Looked};
pub(super) use naming::name as rule_name;

use super::{
    DeviceRow, Intake, Mapping, Problem, Record, RowCredential, ValidRow,
    cells::{Cells, Gatherer, Misfit},
    seen::Seen,
};
use crate::{Code, Refusal, batch::CredentialKind, names::ModelName};
use findings::Findings;
use finish::finish;
use std::sync::Arc;

/// Checks the rows of one file, in order: it remembers serials and addresses.
#[derive(Debug)]
pub struct Checker {
    intake: Arc<Intake>,
    mapping: Mapping,
    /// The same for other threads, as of when they asked for it.
    shared: Option<Arc<Mapping>>,
    default_model: Option<ModelName>,
    serials: Seen,
    macs: Seen,
    keys: Seen,
    expects: CredentialKind,
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
    /// What it brings for the identity of its device, where that is expected and well-formed; of refused rows too, so that
    /// whoever verifies it can say all that is wrong.
    pub credential: Option<RowCredential>,
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
            shared: None,
            default_model,
            serials,
            macs,
            keys,
            expects: CredentialKind::Code,
            gatherer: Gatherer::default(),
            scratch: Vec::new(),
        })
    }

    /// The same, for rows that bring this for the identity of their devices.
    ///
    /// # Errors
    /// [`Code::MappingUnusable`] at `header.credential` when a column holds credentials and nobody asked for them: a
    /// factory that sends keys does not want codes.
    pub fn expecting(self, kind: CredentialKind) -> Result<Self, Refusal> {
        let wanted = match kind {
            CredentialKind::Code | CredentialKind::Key => false,
            CredentialKind::Csr | CredentialKind::Pinned => true,
        };
        let columns = self.mapping.columns();
        match columns.iter().find(|(_, field)| field == "credential") {
            Some((column, _)) if !wanted => {
                let why = format!(
                    "the column {column:?} holds credentials; say what to do with them (csr: sign requests; pinned: \
                     let devices in with the keys they have), or choose a mapping that does not use it"
                );
                Err(Refusal::new(Code::MappingUnusable, why).at("header.credential"))
            }
            Some(_) | None => Ok(Self {
                expects: kind,
                ..self
            }),
        }
    }

    /// The columns as the user calls them, with the fields they fill.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.mapping.columns()
    }

    /// The column that fills a field, as the user calls it; empty where none does.
    pub fn column_of(&self, field: &str) -> String {
        let columns = self.mapping.columns();
        let found = columns.into_iter().find(|(_, filled)| filled == field);
        found.map(|(column, _)| column).unwrap_or_default()
    }

    /// Checks one record.
    pub fn check(&mut self, record: &Record) -> RowCheck {
        let looked = self.look(record);
        finish(&self.intake, &self.mapping, looked, &mut self.scratch)
    }

    /// The half of a check that must be done in the order of the file; a [`Finisher`] does the rest.
    pub fn look(&mut self, record: &Record) -> Looked {
        let mut findings = Findings::default();
        let mut credential = None;
        let sound = match self.broken(record) {
            Some(misfit) => {
                findings.refuse(misfit);
                None
            }
            None => self.row(record, &mut findings, &mut credential),
        };
        Looked {
            row: record.row(),
            sound,
            findings,
            credential,
        }
    }

    /// The row and what it lacks, if nothing is wrong with it so far.
    fn row(
        &mut self,
        record: &Record,
        findings: &mut Findings,
        brought: &mut Option<RowCredential>,
    ) -> Option<(DeviceRow, Vec<Misfit>)> {
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
        let mut missing = Vec::new();
        *brought = self.credential(record.row(), &cells.credential, findings, &mut missing);
        let claim = self.claim(record.row(), &cells, findings);
        let retry_row = values::retry_row(&cells.retry_row, findings);
        // 3. What the model asks of the row as a whole.
        let plan = plan?;
        let mut lacking = naming::follow(&cells, plan, findings);
        lacking.append(&mut missing);
        let (Some(serial), true) = (serial, findings.is_sound()) else {
            target::read_variables(plan, &cells.variables, findings);
            return None;
        };
        let Cells {
            hardware,
            position,
            labels,
            variables,
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
            etag,
            claim,
            kept,
        };
        Some((row, lacking))
    }
}
