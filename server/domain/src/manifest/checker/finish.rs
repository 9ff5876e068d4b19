//! The half of a check that needs no other row: what the profile makes of the values.
//!
//! It costs several times the half before it, so whoever has threads gives them this, row by row in any order.

use super::super::{DeviceRow, Intake, Mapping, Rendered, ValidRow, cells::Misfit};
use super::{Checker, Findings, RowCheck, target::target};
use crate::manifest::RowCredential;
use std::sync::Arc;

/// A record that was looked at, and not checked to its end.
#[derive(Debug)]
pub struct Looked {
    /// As the file counts.
    pub(super) row: u32,
    /// What the row says and what it lacks, unless something is wrong with it already.
    pub(super) sound: Option<(DeviceRow, Vec<Misfit>)>,
    pub(super) findings: Findings,
    pub(super) credential: Option<RowCredential>,
}

impl Looked {
    /// Does it bring something for the identity of its device?
    pub const fn has_credential(&self) -> bool {
        self.credential.is_some()
    }
}

/// Finishes rows that a [`Checker`] looked at. Cheap to clone, and every thread may have one.
#[derive(Debug, Clone)]
pub struct Finisher {
    intake: Arc<Intake>,
    mapping: Arc<Mapping>,
}

impl Checker {
    /// For rows that were looked at so far.
    pub fn finisher(&mut self) -> Finisher {
        // Objects can add columns, and nothing else about a mapping ever changes.
        let known = self.shared.take();
        let mapping = known
            .filter(|known| known.width() == self.mapping.width())
            .unwrap_or_else(|| Arc::new(self.mapping.clone()));
        self.shared = Some(Arc::clone(&mapping));
        Finisher {
            intake: Arc::clone(&self.intake),
            mapping,
        }
    }
}

impl Finisher {
    /// What is known of the row. `scratch` saves an allocation a row.
    pub fn finish(&self, looked: Looked, scratch: &mut Vec<u8>) -> RowCheck {
        finish(&self.intake, &self.mapping, looked, scratch)
    }
}

pub(super) fn finish(intake: &Intake, mapping: &Mapping, looked: Looked, scratch: &mut Vec<u8>) -> RowCheck {
    let Looked {
        row: number,
        sound,
        mut findings,
        credential,
    } = looked;
    let valid = sound.and_then(|(row, lacking)| {
        // Whoever looked found the model of the row, and its site.
        let plan = intake.plan(row.model.as_str())?;
        let code = row.site.as_ref();
        let place = code.and_then(|code| intake.place(code.as_str()));
        let place = place.map(|(_, place)| place);
        let target = match target(&row, (plan, place), lacking, &mut findings, scratch)? {
            Ok(target) => Rendered::Whole(target),
            Err(lacking) => {
                let lacking = lacking.into_iter().map(|misfit| misfit.shown(mapping));
                Rendered::Lacking(lacking.collect())
            }
        };
        Some(ValidRow { row, target })
    });
    let (problems, warnings) = findings.shown(number, mapping);
    RowCheck {
        outcome: valid.ok_or(problems),
        warnings,
        credential,
    }
}
