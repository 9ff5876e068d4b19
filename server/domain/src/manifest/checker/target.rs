//! The profile, rendered with the values of a row: a wrong value is found now, not on the device.

use super::super::{DeviceRow, Rendered, cells::Misfit, intake::Plan};
use super::{Checker, Findings};
use crate::{Refusal, catalog::Facts, desired::Place};
use std::collections::BTreeMap;

impl Checker {
    /// What the device must be if the row creates it. `lacking` is what the row should have and has not.
    pub(super) fn target(
        &mut self,
        row: &DeviceRow,
        plan: &Plan,
        place: Option<&Place>,
        lacking: Vec<Misfit>,
        findings: &mut Findings,
    ) -> Option<Rendered> {
        let recipe = plan.recipe().map_err(|refusal| misfit(refusal.at("model"), ""));
        let recipe = findings.take(recipe)?;
        let refusals = match recipe.target(&facts(row), place, 1, &mut self.scratch) {
            Ok(target) if lacking.is_empty() => return Some(Rendered::Whole(target)),
            Ok(_) => Vec::new(),
            Err(refusals) => refusals,
        };
        let mut lacking = lacking;
        for refusal in refusals {
            // A value that the row has and that is wrong stays wrong; a registered device may have what it lacks.
            let variable = refusal.field.strip_prefix("variables.");
            match variable.and_then(|name| row.variables.get(name)) {
                Some(value) => findings.refuse(misfit(refusal, value)),
                None => lacking.push(misfit(refusal, "")),
            }
        }
        if !findings.is_sound() {
            return None;
        }
        let lacking = lacking.into_iter().map(|misfit| misfit.shown(&self.mapping));
        Some(Rendered::Lacking(lacking.collect()))
    }
}

/// Finds the values of the wrong type in a row that is refused anyway, so that all is said at once.
pub(super) fn read_variables(plan: &Plan, variables: &BTreeMap<String, String>, findings: &mut Findings) {
    let Ok(recipe) = plan.recipe() else { return };
    for refusal in recipe.wrong_values(variables) {
        let name = refusal.field.strip_prefix("variables.");
        let value = name.and_then(|name| variables.get(name)).cloned();
        findings.refuse(misfit(refusal, &value.unwrap_or_default()));
    }
}

fn misfit(refusal: Refusal, value: &str) -> Misfit {
    Misfit {
        refusal,
        column: None,
        value: value.to_owned(),
        rule: String::new(),
    }
}

/// What templates may know of a device that a row creates.
fn facts(row: &DeviceRow) -> Facts<'_> {
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
