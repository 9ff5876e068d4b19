//! What becomes of the rows of a part, set against one state of the registry.

use super::{batches::UNDOING, certificates, index, keys, record::load};
use crate::store::{ImportPart, PartRow, StoreError};
use muster_domain::{
    Code, Refusal,
    batch::RowDigest,
    certificate::SpkiDigest,
    device::Device,
    ids::DeviceId,
    manifest::{Holders, Problem, RowClaim, RowOutcome},
};
use redb::ReadableTable;
use std::collections::BTreeSet;

/// The outcome of a row, with the device as it was where there is one.
pub(super) type Decided = (RowOutcome, Option<Device>);

/// The tables that decisions are made by.
pub(super) struct Registry<'v, S, M, K, B, D, O> {
    pub(super) serials: &'v S,
    pub(super) macs: &'v M,
    pub(super) keys: &'v K,
    pub(super) blocked_keys: &'v B,
    pub(super) devices: &'v D,
    pub(super) open: &'v O,
}

impl<S, M, K, B, D, O> Registry<'_, S, M, K, B, D, O>
where
    S: ReadableTable<&'static str, u128>,
    M: ReadableTable<u128, u128>,
    K: ReadableTable<&'static [u8; 32], u128>,
    B: ReadableTable<&'static [u8; 32], u128>,
    D: ReadableTable<u128, &'static [u8]>,
    O: ReadableTable<u128, u8>,
{
    /// Decides about every row against one state of the registry.
    pub(super) fn decide(&self, part: &ImportPart) -> Result<Vec<Decided>, StoreError> {
        let by_serial = holders(
            &part.rows,
            |row| Some(row.row.row.serial.as_str()),
            |keys| index::find_sorted(self.serials, keys),
        )?;
        let by_mac = holders(
            &part.rows,
            |row| Some(row.row.row.mac?.key()),
            |keys| index::find_sorted(self.macs, keys),
        )?;
        let by_key = holders(
            &part.rows,
            |row| Some(wanted(row)?.0),
            |keys| index::find_sorted(self.keys, &keys.iter().collect::<Vec<_>>()),
        )?;
        let repeated = repeated_rows(&part.rows);
        let mut decided = Vec::with_capacity(part.rows.len());
        let held = by_serial.into_iter().zip(by_mac).zip(by_key);
        for (place, (row, ((serial, mac), key))) in part.rows.iter().zip(held).enumerate() {
            let held = Held {
                serial,
                mac,
                key,
                repeated: repeated.contains(&place),
            };
            let (outcome, holder) = self.row(part, row, held)?;
            decided.push((located(part, row, outcome), holder));
        }
        Ok(decided)
    }

    fn row(&self, part: &ImportPart, row: &PartRow, held: Held) -> Result<Decided, StoreError> {
        let number = row.row.row.row;
        let (serial, mac) = match (held.serial, held.mac) {
            (Holder::EarlierRow(earlier), _) => {
                return Ok((same(Code::SerialRepeated, number, "serial", earlier), None));
            }
            (_, Holder::EarlierRow(earlier)) => {
                return Ok((same(Code::MacRepeated, number, "mac", earlier), None));
            }
            (serial, mac) => (serial.device(), mac.device()),
        };
        if held.repeated {
            let why = format!(
                "row {} of the batch stands twice in this file",
                row.fresh.origin.row
            );
            let problem = Problem::new(Refusal::new(Code::RequestInvalid, why)).in_row(number);
            return Ok((RowOutcome::Refused(vec![problem]), None));
        }
        let holder = match serial {
            Some(id) => Some(
                load::<Device>(self.devices, id)?
                    .ok_or_else(|| StoreError::missing("devices", DeviceId::from_u128(id)))?,
            ),
            None => None,
        };
        if let Some(device) = &holder
            && let Err(refusal) = self.is_staying(device)?
        {
            let problem = Problem::new(refusal.at("serial")).in_row(number);
            return Ok((RowOutcome::Refused(vec![problem]), holder));
        }
        let holders = Holders {
            serial: holder.as_ref(),
            mac: mac.map(DeviceId::from_u128),
        };
        let outcome = part.intake.decide(&row.row, holders, &row.fresh, &part.limits);
        let outcome = match gained(&outcome, holder.as_ref()) {
            Some(key) => self.with_key(row, outcome, key, held.key)?,
            None => outcome,
        };
        Ok((as_planned(row, outcome, holder.as_ref()), holder))
    }

    /// No device gets a key that another one has, or that somebody else may have.
    fn with_key(
        &self,
        row: &PartRow,
        outcome: RowOutcome,
        key: SpkiDigest,
        holder: Holder,
    ) -> Result<RowOutcome, StoreError> {
        let number = row.row.row.row;
        let field = match row.fresh.credential.key() {
            Some(_) => "credential",
            None => RowClaim::KEY,
        };
        let refusal = match holder {
            Holder::EarlierRow(earlier) => {
                return Ok(same(Code::CredentialRepeated, number, field, earlier));
            }
            Holder::Device(id) => {
                let why = format!("devices/{} holds this key", DeviceId::from_u128(id));
                Refusal::new(Code::CredentialRepeated, why)
            }
            Holder::Nobody => match certificates::is_open(self.blocked_keys, key)? {
                Ok(()) => return Ok(outcome),
                Err(refusal) => refusal,
            },
        };
        let problem = Problem::new(refusal.at(field)).in_row(number);
        Ok(RowOutcome::Refused(vec![problem]))
    }

    /// A device whose batch is being taken back is not changed on its way out.
    fn is_staying(&self, device: &Device) -> Result<Result<(), Refusal>, StoreError> {
        let batch = device.origin.batch;
        let kind = self.open.get(batch.as_u128())?.map(|kind| kind.value());
        Ok(if kind == Some(UNDOING) {
            let why = format!("{} is going: batches/{batch} is being taken back", device.name());
            Err(Refusal::new(Code::RowFrozen, why))
        } else {
            Ok(())
        })
    }
}

/// Problems that only the registry shows, at the column and value that the user knows.
fn located(part: &ImportPart, row: &PartRow, outcome: RowOutcome) -> RowOutcome {
    match outcome {
        RowOutcome::Refused(problems) => {
            let shown = |problem: Problem| problem.find_column(&part.columns).find_value(&row.row.row);
            RowOutcome::Refused(problems.into_iter().map(shown).collect())
        }
        RowOutcome::Created(_) | RowOutcome::Updated { .. } | RowOutcome::Unchanged(_) => outcome,
    }
}

/// Who holds already what a row has.
struct Held {
    serial: Holder,
    mac: Holder,
    key: Holder,
    /// An earlier row of this part has the same number.
    repeated: bool,
}

/// Who has the key of a row.
#[derive(Clone, Copy)]
enum Holder {
    Nobody,
    Device(u128),
    /// An earlier row of this part, by its number. The manifest's own check names these first; here they would break
    /// uniqueness.
    EarlierRow(u32),
}

impl Holder {
    const fn device(self) -> Option<u128> {
        match self {
            Self::Device(id) => Some(id),
            Self::Nobody | Self::EarlierRow(_) => None,
        }
    }
}

fn same(code: Code, row: u32, field: &str, earlier: u32) -> RowOutcome {
    let refusal = Refusal::new(code, format!("row {earlier} has the same"));
    RowOutcome::Refused(vec![refusal.at(format!("rows[{row}].{field}")).into()])
}

/// The key that a row names for its device: what it brings, or what the code is bound to.
fn wanted(row: &PartRow) -> Option<SpkiDigest> {
    let own = row.fresh.credential.key();
    own.or_else(|| row.row.row.claim.as_ref()?.key)
}

/// The key that a device gets by its row; one that exists keeps what it has.
fn gained(outcome: &RowOutcome, before: Option<&Device>) -> Option<SpkiDigest> {
    match (outcome, before) {
        (RowOutcome::Created(device), _) => device.lifecycle.key(),
        (RowOutcome::Updated { device, .. }, Some(before)) => keys::gained(before, device),
        (RowOutcome::Updated { .. }, None) => None,
        (RowOutcome::Unchanged(_) | RowOutcome::Refused(_), _) => None,
    }
}

/// What a row does, for a plan.
pub(super) fn digest(row: &PartRow, outcome: &RowOutcome, before: Option<&Device>) -> RowDigest {
    let number = row.fresh.origin.row;
    match (outcome, before) {
        (RowOutcome::Created(device), _) => RowDigest::created(number, device),
        (RowOutcome::Updated { device, changes }, Some(before)) => {
            RowDigest::updated(number, before, device, changes)
        }
        (RowOutcome::Unchanged(_), Some(device)) => RowDigest::unchanged(number, device),
        (RowOutcome::Refused(problems), _) => RowDigest::refused(number, problems),
        // Only a device that exists is updated or unchanged.
        (RowOutcome::Updated { .. } | RowOutcome::Unchanged(_), None) => RowDigest::refused(number, &[]),
    }
}

/// The outcome, unless something else was planned for the row. A refusal says more than that it was not planned.
fn as_planned(row: &PartRow, outcome: RowOutcome, before: Option<&Device>) -> RowOutcome {
    let moved = row
        .expected
        .is_some_and(|expected| digest(row, &outcome, before) != expected);
    if !moved || matches!(outcome, RowOutcome::Refused(_)) {
        return outcome;
    }
    let why = format!("{} changed since the plan was made", row.row.row.serial);
    let refusal = Refusal::new(Code::RowMoved, why);
    RowOutcome::Refused(vec![Problem::new(refusal).in_row(row.row.row.row)])
}

/// Places of rows whose number an earlier one has: two devices of one row would have the same code. Files number their rows
/// upwards, so only mended rows, which name the row they were, are looked at singly.
fn repeated_rows(rows: &[PartRow]) -> BTreeSet<usize> {
    let numbers = || rows.iter().map(|row| row.fresh.origin.row);
    if numbers().is_sorted_by(|a, b| a < b) {
        return BTreeSet::new();
    }
    let mut seen = BTreeSet::new();
    let places = numbers().enumerate().filter(|(_, number)| !seen.insert(*number));
    places.map(|(place, _)| place).collect()
}

/// Looks up one key of every row, in the order of the keys.
fn holders<'r, K: Ord + Copy>(
    rows: &'r [PartRow],
    key: impl Fn(&'r PartRow) -> Option<K>,
    find: impl FnOnce(&[K]) -> Result<Vec<Option<u128>>, StoreError>,
) -> Result<Vec<Holder>, StoreError> {
    let mut sorted: Vec<(K, usize)> = rows
        .iter()
        .enumerate()
        .filter_map(|(place, row)| Some((key(row)?, place)))
        .collect();
    sorted.sort_unstable();
    let keys: Vec<K> = sorted.iter().map(|(key, _)| *key).collect();
    let found = find(&keys)?;
    let mut holders = vec![Holder::Nobody; rows.len()];
    let mut first: Option<(K, usize)> = None;
    for ((key, place), id) in sorted.into_iter().zip(found) {
        holders[place] = match (first, id) {
            (Some((known, earlier)), _) if known == key => Holder::EarlierRow(rows[earlier].row.row.row),
            (_, Some(id)) => Holder::Device(id),
            (_, None) => Holder::Nobody,
        };
        if first.is_none_or(|(known, _)| known != key) {
            first = Some((key, place));
        }
    }
    Ok(holders)
}
