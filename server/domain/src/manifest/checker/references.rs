//! Cells that name what is in the catalog: models and sites.

use super::super::{
    Intake,
    cells::{Found, Misfit, Value},
    damage::{self, Damage},
    intake::Plan,
    lookalike,
};
use super::{Checker, Findings};
use crate::{Code, desired::Place, names::SiteCode};

impl Checker {
    pub(super) fn model<'i>(
        &self,
        intake: &'i Intake,
        cell: &Found<'_>,
        findings: &mut Findings,
    ) -> Option<&'i Plan> {
        match (cell, &self.default_model) {
            (Found::Bad, _) => None,
            (Found::Value(value), _) => {
                let found = intake.plan(&value.text);
                let names = || intake.models();
                findings.take(found.ok_or_else(|| unknown(value, "model", Code::ModelUnknown, names)))
            }
            (Found::Nothing, Some(name)) => intake.plan(name.as_str()),
            (Found::Nothing, None) => {
                findings.refuse(Misfit::new(Code::ModelMissing, "model", "the row names no model"));
                None
            }
        }
    }
}

pub(super) fn site<'i>(
    intake: &'i Intake,
    cell: &Found<'_>,
    findings: &mut Findings,
) -> Option<(&'i SiteCode, &'i Place)> {
    let value = cell.value()?;
    let found = intake.place(&value.text);
    let names = || intake.sites();
    findings.take(found.ok_or_else(|| unknown(value, "site", Code::SiteUnknown, names)))
}

/// Why nothing has the name in a cell: because a spreadsheet changed it, because a character only looks right, or
/// because it is written otherwise, where one can tell.
fn unknown<'n, N: Iterator<Item = &'n str>>(
    value: &Value<'_>,
    noun: &str,
    code: Code,
    names: impl Fn() -> N,
) -> Misfit {
    let text = value.text.as_ref();
    let misfit = |code, why: String| Misfit::new(code, noun, why).of(value);
    let damage = Damage::of_kind(value.kind).filter(|damage| *damage != Damage::Number);
    if let Some(damage) = damage.or_else(|| Damage::of_text(text)) {
        return misfit(Code::CellDamaged, format!("{text:?} {damage}"));
    }
    if let Some(padded) = damage::with_zeros(text, |padded| names().any(|name| name == padded)) {
        let why = format!("there is no {noun} {text:?}, but {padded:?}: leading zeros were lost");
        return misfit(Code::CellDamaged, why);
    }
    if let Some(why) = lookalike::explain(text) {
        return misfit(code, format!("there is no {noun} {text:?}: it {why}"));
    }
    let alike = names().find(|name| name.eq_ignore_ascii_case(text));
    let hint = alike
        .map(|name| format!("; there is {name:?}"))
        .unwrap_or_default();
    misfit(code, format!("there is no {noun} {text:?}{hint}"))
}
