//! The profile, rendered with the values of a row: a wrong value is found now, not on the device.

use super::super::{DeviceRow, cells::Misfit, intake::Plan};
use super::Findings;
use crate::{
    Refusal,
    catalog::Facts,
    desired::{Place, Target},
};
use std::collections::BTreeMap;

/// What the device must be if the row creates it; or what the row should have for that and has not, which a registered
/// device may have: `lacking`, and what the profile misses. `None` when something is wrong.
pub(super) fn target(
    row: &DeviceRow,
    (plan, place): (&Plan, Option<&Place>),
    mut lacking: Vec<Misfit>,
    findings: &mut Findings,
    scratch: &mut Vec<u8>,
) -> Option<Result<Target, Vec<Misfit>>> {
    let recipe = plan.recipe().map_err(|refusal| misfit(refusal.at("model"), ""));
    let recipe = findings.take(recipe)?;
    let refusals = match recipe.target(&facts(row), place, 1, scratch) {
        Ok(target) if lacking.is_empty() => return Some(Ok(target)),
        Ok(_) => Vec::new(),
        Err(refusals) => refusals,
    };
    for refusal in refusals {
        // A value that the row has and that is wrong stays wrong; a registered device may have what it lacks.
        let variable = refusal.field.strip_prefix("variables.");
        match variable.and_then(|name| row.variables.get(name)) {
            Some(value) => findings.refuse(misfit(refusal, value)),
            None => lacking.push(misfit(refusal, "")),
        }
    }
    findings.is_sound().then_some(Err(lacking))
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
