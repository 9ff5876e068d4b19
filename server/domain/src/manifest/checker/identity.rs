//! Serials and hardware addresses: what a device is known by.

use super::super::{
    cells::{Found, Misfit, Value},
    damage::{self, Damage},
    intake::Plan,
    lookalike,
};
use super::{Checker, Findings};
use crate::{
    Code,
    mac::{Mac, MacError},
    names::Serial,
};

/// Digits of an address that lost its leading zeros: few enough are left to see that it did, and most are there.
const DIGITS_LEFT: usize = 8;

/// What keeps a cell from being a serial, before anything is known of its model's rules.
fn damaged_serial(value: &Value<'_>, damage: Damage) -> Misfit {
    let code = if damage.is_number() {
        Code::SerialDamaged
    } else {
        Code::CellDamaged
    };
    Misfit::new(code, "serial", format!("{:?} {damage}", value.text)).of(value)
}

impl Checker {
    /// The serial, noted as one of the file; what is wrong with it is found.
    pub(super) fn serial(
        &mut self,
        row: u32,
        cell: &Found<'_>,
        plan: Option<&Plan>,
        findings: &mut Findings,
    ) -> Option<Serial> {
        let value = match cell {
            Found::Bad => return None,
            Found::Nothing => {
                findings.refuse(Misfit::new(
                    Code::SerialMissing,
                    "serial",
                    "the row has no serial",
                ));
                return None;
            }
            Found::Value(value) => value,
        };
        let serial = findings.take(read_serial(value, plan))?;
        if let Some(plan) = plan
            && let Err(misfit) = ruled(&serial, value, plan)
        {
            findings.refuse(misfit);
        }
        if let Some(first) = self.serials.note(serial.as_str().as_bytes(), row) {
            let why = format!("{serial} stands in row {first} already");
            findings.refuse(Misfit::new(Code::SerialRepeated, "serial", why).of(value));
        }
        Some(serial)
    }

    /// The address, noted as one of the file.
    pub(super) fn mac(
        &mut self,
        row: u32,
        cell: &Found<'_>,
        plan: Option<&Plan>,
        findings: &mut Findings,
    ) -> Option<Mac> {
        let value = cell.value()?;
        let mac = findings.take(read_mac(value))?;
        if let Some(plan) = plan {
            in_blocks(mac, value, plan, findings);
        }
        if let Some(first) = self.macs.note(&mac.key().to_le_bytes(), row) {
            let why = format!("{mac} stands in row {first} already");
            findings.refuse(Misfit::new(Code::MacRepeated, "mac", why).of(value));
        }
        Some(mac)
    }
}

fn read_serial(value: &Value<'_>, plan: Option<&Plan>) -> Result<Serial, Misfit> {
    let text = value.text.as_ref();
    if let Some(damage) = Damage::of_kind(value.kind) {
        return Err(damaged_serial(value, damage));
    }
    // A model whose serials look like dates says so with its pattern.
    let is_usual = || {
        let pattern = plan.and_then(|plan| plan.model().serial_pattern.as_ref());
        pattern.is_some_and(|pattern| pattern.matches(text))
    };
    if let Some(damage) = Damage::of_text(text).filter(|_| !is_usual()) {
        return Err(damaged_serial(value, damage));
    }
    text.parse().map_err(|why| {
        let why = lookalike::explain(text).unwrap_or_else(|| format!("{why}"));
        Misfit::new(Code::SerialMalformed, "serial", why).of(value)
    })
}

/// The rules of the model.
fn ruled(serial: &Serial, value: &Value<'_>, plan: &Plan) -> Result<(), Misfit> {
    let model = plan.model();
    if let Some(pattern) = model
        .serial_pattern
        .as_ref()
        .filter(|pattern| !pattern.matches(serial.as_str()))
    {
        let rule = pattern.as_str();
        let misfit = match damage::with_zeros(serial.as_str(), |padded| pattern.matches(padded)) {
            Some(padded) => {
                let why = format!("{serial} has lost its leading zeros: {padded} would match {rule}");
                Misfit::new(Code::SerialDamaged, "serial", why)
            }
            None => Misfit::new(
                Code::SerialRule,
                "serial",
                format!("{serial} does not match {rule}"),
            ),
        };
        return Err(misfit.of(value).by(rule));
    }
    if let Some(system) = model.check_digit {
        system.check(serial).map_err(|why| {
            Misfit::new(Code::SerialCheckDigit, "serial", format!("{serial} {why}"))
                .of(value)
                .by(system.as_str())
        })?;
    }
    Ok(())
}

fn read_mac(value: &Value<'_>) -> Result<Mac, Misfit> {
    let text = value.text.as_ref();
    let misfit = |code, why: String| Misfit::new(code, "mac", why).of(value);
    if let Some(damage) = Damage::of_kind(value.kind) {
        return Err(misfit(Code::MacDamaged, format!("{text:?} {damage}")));
    }
    text.parse().map_err(|why| match why {
        MacError::Multicast => misfit(Code::MacMulticast, format!("{text} {why}")),
        MacError::Character(_) | MacError::Length(_) | MacError::Separators => {
            if let Some(damage) = Damage::of_text(text) {
                return misfit(Code::MacDamaged, format!("{text:?} {damage}"));
            }
            let whole = damage::with_zeros(text, |padded| padded.parse::<Mac>().is_ok());
            if let Some(whole) = whole.filter(|_| text.len() >= DIGITS_LEFT) {
                let why = format!("{text} has lost its leading zeros, if it was {whole}");
                return misfit(Code::MacDamaged, why);
            }
            let why = lookalike::explain(text).unwrap_or_else(|| why.to_string());
            misfit(Code::MacMalformed, why)
        }
    })
}

fn in_blocks(mac: Mac, value: &Value<'_>, plan: &Plan, findings: &mut Findings) {
    let model = plan.model();
    if !model.allows_mac(&mac) {
        let blocks = model.blocks();
        let why = format!("{mac} is in none of the blocks of {}: {blocks}", plan.name());
        findings.refuse(Misfit::new(Code::MacVendor, "mac", why).of(value).by(blocks));
    } else if mac.is_local() && !model.allow_local_addresses && model.ouis.is_empty() {
        // A model that names blocks of such addresses allows them.
        let why = format!("{mac} is locally administered, so another device may have it too");
        findings.warn(Misfit::new(Code::MacLocal, "mac", why).of(value));
    }
}
