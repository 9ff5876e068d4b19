//! The profile, rendered with the values of a row: a wrong value is found now, not on the device.

use super::super::{DeviceRow, cells::Misfit, intake::Plan};
use super::Findings;
use crate::{
    Refusal,
    catalog::Facts,
    desired::{Place, Recipe, Target},
    names::GroupName,
};
use std::collections::{BTreeMap, BTreeSet};

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
        let rule = rule(recipe, variable);
        match variable.and_then(|name| row.variables.get(name)) {
            Some(value) => findings.refuse(misfit(refusal, value).by(rule)),
            None => lacking.push(misfit(refusal, "").by(rule)),
        }
    }
    findings.is_sound().then_some(Err(lacking))
}

/// Finds the values that their parameters do not allow in a row that is refused anyway, so that all is said at once.
pub(super) fn read_variables(plan: &Plan, variables: &BTreeMap<String, String>, findings: &mut Findings) {
    let Ok(recipe) = plan.recipe() else { return };
    for refusal in recipe.wrong_values(variables) {
        let name = refusal.field.strip_prefix("variables.");
        let value = name.and_then(|name| variables.get(name)).cloned();
        let rule = rule(recipe, name);
        findings.refuse(misfit(refusal, &value.unwrap_or_default()).by(rule));
    }
}

/// What the value of a variable must be, where a parameter asks for it.
fn rule(recipe: &Recipe, variable: Option<&str>) -> String {
    variable.and_then(|name| recipe.rule(name)).unwrap_or_default()
}

fn misfit(refusal: Refusal, value: &str) -> Misfit {
    Misfit {
        refusal,
        column: None,
        value: value.to_owned(),
        rule: String::new(),
    }
}

/// A row adds its device to none.
static NO_GROUPS: BTreeSet<GroupName> = BTreeSet::new();

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
        groups: &NO_GROUPS,
        birth: None,
        underlay: None,
    }
}
