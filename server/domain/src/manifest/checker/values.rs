//! Other fields with a form of their own: versions, hardware revisions, etags, numbers of rows.

use super::super::{
    CellKind,
    cells::{Found, Misfit, Value},
    damage::Damage,
    lookalike,
};
use super::Findings;
use crate::Code;
use semver::Version;

/// A semantic version; a `v` in front is a habit of writing, not part of it.
pub(super) fn firmware(cell: &Found<'_>, findings: &mut Findings) -> Option<Version> {
    let value = cell.value()?;
    undated("firmware", value, findings)?;
    let text = value.text.as_ref();
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    findings.take(Version::parse(bare).map_err(|why| {
        let why = lookalike::explain(text).unwrap_or_else(|| why.to_string());
        let why = format!("{text:?} is not a version of three numbers: {why}");
        Misfit::new(Code::VersionMalformed, "firmware", why)
            .of(value)
            .by("semantic version")
    }))
}

/// A hardware revision can be a number, but never a date.
pub(super) fn hardware(cell: &Found<'_>, findings: &mut Findings) {
    if let Some(value) = cell.value() {
        undated("hardware", value, findings);
    }
}

fn undated(field: &str, value: &Value<'_>, findings: &mut Findings) -> Option<()> {
    let damage = match value.kind {
        CellKind::Date | CellKind::Boolean => Damage::of_kind(value.kind),
        CellKind::Text | CellKind::Number | CellKind::Error | CellKind::Formula => None,
    };
    findings.take(damage.map_or(Ok(()), |damage| {
        let why = format!("{:?} {damage}", value.text);
        Err(Misfit::new(Code::CellDamaged, field, why).of(value))
    }))
}

/// The revision behind an etag.
pub(super) fn etag(cell: &Found<'_>, findings: &mut Findings) -> Option<u64> {
    let value = cell.value()?;
    let number = value
        .text
        .strip_prefix('r')
        .and_then(|number| number.parse().ok());
    findings.take(number.ok_or_else(|| {
        let why = format!("{:?} is no etag of a device", value.text);
        Misfit::new(Code::CellMalformed, "etag", why).of(value)
    }))
}

/// The number that a refused row had in the first file of its batch.
pub(super) fn retry_row(cell: &Found<'_>, findings: &mut Findings) -> Option<u32> {
    let value = cell.value()?;
    findings.take(value.text.parse().map_err(|_| {
        let why = format!(
            "{:?} is no number of a row; leave the column as it came",
            value.text
        );
        Misfit::new(Code::CellMalformed, "retry_row", why).of(value)
    }))
}
