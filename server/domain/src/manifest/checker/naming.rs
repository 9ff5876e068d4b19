//! Naming rules of the organisation, held against the final values of a row.

use super::super::{
    cells::{Cells, Found, Misfit},
    intake::Plan,
};
use super::Findings;
use crate::{
    Code,
    catalog::{NamingRule, RuledField},
};

/// Values that break a rule are refused. Those that a rule demands and the row lacks come back: a registered device may
/// have them.
pub(super) fn follow(cells: &Cells<'_>, plan: &Plan, findings: &mut Findings) -> Vec<Misfit> {
    let mut lacking = Vec::new();
    for rule in plan.rules() {
        let value = value(cells, &rule.field);
        // What was refused already is not missing, too.
        if value.is_none() && findings.has(&rule.field.to_string()) {
            continue;
        }
        let Err(refusal) = rule.check(value) else { continue };
        let misfit = Misfit {
            refusal,
            column: None,
            value: value.unwrap_or_default().to_owned(),
            rule: name(rule),
        };
        if misfit.refusal.code == Code::ValueMissing {
            lacking.push(misfit);
        } else {
            findings.refuse(misfit);
        }
    }
    lacking
}

/// How a rule is named to people.
pub(in super::super) fn name(rule: &NamingRule) -> String {
    match &rule.pattern {
        Some(pattern) => format!("namingRules/{}: {}", rule.name, pattern.as_str()),
        None => format!("namingRules/{}", rule.name),
    }
}

fn value<'c>(cells: &'c Cells<'_>, field: &RuledField) -> Option<&'c str> {
    match field {
        RuledField::Serial => Found::text(&cells.serial),
        RuledField::Hardware => cells.hardware.text(),
        RuledField::Site => cells.site.text(),
        RuledField::Position => cells.position.text(),
        RuledField::Label(key) => cells.labels.get(key).map(String::as_str),
        RuledField::Variable(name) => cells.variables.get(name).map(String::as_str),
    }
}
