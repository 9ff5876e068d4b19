//! Do changes, their targets and what they hold of devices tell one story?

use super::{
    changes::{due, facet_key, standing_key},
    check::Check,
    record::{Record as _, load},
    requests::Asked,
};
use crate::store::StoreError;
use muster_domain::{
    change::{ChangeRecord, ChangeState, Exclusion, Reserved, Standing, Tally, Target},
    ids::{ChangeId, DeviceId},
};
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use std::collections::BTreeMap;

/// What all changes make other tables hold.
#[derive(Default)]
struct Sums {
    open: u64,
    dues: u64,
    targets: u64,
    excluded: u64,
    listed: u64,
    zoned: u64,
    seeds: u64,
    codes: u64,
}

impl Check<'_> {
    /// Counts follow from targets, targets that are due are found, and of two changes that hold their targets none has one in
    /// common (I8).
    pub(super) fn changes(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        let mut sums = Sums::default();
        for entry in view.changes.iter()? {
            let (key, value) = entry?;
            let record = ChangeRecord::from_guard(value)?;
            let id = record.change.id;
            self.expect(id.as_u128() == key.value(), || {
                format!("change {id} stands under another id")
            });
            let open = view.open_changes.get(key.value())?.is_some();
            self.expect(open == record.is_open(), || format!("change {id}: open: {open}"));
            sums.open += u64::from(open);
            if record.change.state == ChangeState::Draft {
                // A plan that is being voided loses targets and their zones in parts, each in an order of its own.
                let all = (id.as_u128(), 0, 0, 0)..=(id.as_u128(), u16::MAX, u16::MAX, u128::MAX);
                sums.zoned += view.zoned.range(all)?.count() as u64;
            }
            self.targets(&record, &mut sums)?;
            self.excluded(&record, &mut sums)?;
            self.codes(&record, &mut sums)?;
            let list = record.change.list.unwrap_or_default();
            sums.listed += u64::from(list.rows);
            let rows = view.listed.range((id.as_u128(), 0)..=(id.as_u128(), u32::MAX))?;
            let rows = rows.count();
            self.expect(u32::try_from(rows) == Ok(list.rows), || {
                format!("change {id}: its list has {rows} rows, not {}", list.rows)
            });
        }
        for (name, found, expected) in [
            ("open changes", view.open_changes.len()?, sums.open),
            ("due targets", view.dues.len()?, sums.dues),
            ("targets", view.targets.len()?, sums.targets),
            ("excluded devices", view.excluded.len()?, sums.excluded),
            ("listed rows", view.listed.len()?, sums.listed),
            ("waiting targets by zone", view.zoned.len()?, sums.zoned),
            ("seeds of codes", view.code_seeds.len()?, sums.seeds),
            ("codes", view.codes.len()?, sums.codes),
        ] {
            self.expect(found == expected, || {
                format!("{name} has {found} entries, not {expected}")
            });
        }
        self.holders()?;
        for entry in view.change_requests.iter()? {
            let (key, value) = entry?;
            let request = Asked::<ChangeId>::from_guard(value)?;
            let known = view.changes.get(request.made.as_u128())?.is_some();
            self.expect(known, || format!("request {:?} is of no change", key.value()));
        }
        Ok(())
    }

    fn targets(&mut self, record: &ChangeRecord, sums: &mut Sums) -> Result<(), StoreError> {
        let (view, id) = (self.view, record.change.id);
        let mut tallies = vec![Tally::default(); record.tallies.len()];
        let (mut repairs, mut late) = (0, 0);
        let all = (id.as_u128(), 0, 0, 0)..=(id.as_u128(), u16::MAX, u8::MAX, u128::MAX);
        for entry in view.targets.range(all)? {
            let (key, value) = entry?;
            let ((_, stage, standing, device), target) = (key.value(), Target::from_guard(value)?);
            sums.targets += 1;
            repairs += u32::from(target.repairs);
            late += u32::from(target.late);
            let placed = (
                target.stage,
                standing_key(target.state.standing()),
                target.device.as_u128(),
            );
            self.expect(placed == (stage, standing, device), || {
                format!("change {id}: {target:?} stands in another place")
            });
            if let Some(tally) = tallies.get_mut(usize::from(stage)) {
                tally.add(target.state.standing());
            }
            let is_waiting = target.state.standing() == Standing::Waiting;
            if record.is_zoned && is_waiting && record.change.state != ChangeState::Draft {
                sums.zoned += 1;
                let found = view
                    .zoned
                    .get((id.as_u128(), stage, target.zone, device))?
                    .is_some();
                self.expect(found, || {
                    format!("change {id}: {} is not found by its zone", target.device)
                });
            }
            if let Some(at) = due(record, &target) {
                sums.dues += 1;
                let found = view.dues.get((at.millis(), id.as_u128(), device))?;
                let found = found.map(|found| found.value());
                self.expect(found == Some((stage, standing)), || {
                    format!("change {id}: {} is due as {found:?}", target.device)
                });
            }
            self.held(record, &target)?;
        }
        // What a plan that was not finished left is not counted.
        let is_planned = record.change.state != ChangeState::Draft && !record.tallies.is_empty();
        self.expect(!is_planned || tallies == record.tallies, || {
            format!(
                "change {id}: counts {:?}, its targets {tallies:?}",
                record.tallies
            )
        });
        self.expect(!is_planned || (repairs, late) == (record.repairs, record.late), || {
            let (known, joined) = (record.repairs, record.late);
            format!("change {id}: counts {known} repairs and {joined} late ones, its targets {repairs} and {late}")
        });
        Ok(())
    }

    /// A target of a change that holds its targets is held by it, unless it is left out or its device is gone.
    fn held(&mut self, record: &ChangeRecord, target: &Target) -> Result<(), StoreError> {
        let (view, change) = (self.view, &record.change);
        let taken = record.reserved == Reserved::All && change.state.holds_targets();
        if !taken || target.state.standing() == Standing::Skipped {
            return Ok(());
        }
        let under_way = [Standing::Sent, Standing::Proved, Standing::Reverting];
        let under_way = under_way.contains(&target.state.standing());
        let device = target.device.as_u128();
        for facet in change.action.facets() {
            let held = view.holders.get((device, facet_key(*facet)))?;
            let held = held.map(|held| held.value().0);
            let fits = match held {
                Some(holder) if holder == change.id.as_u128() => true,
                // A change that was over may go on without those that others took meanwhile; it meets them when their turn comes.
                Some(_) | None => !under_way || view.devices.get(device)?.is_none(),
            };
            self.expect(fits, || {
                format!(
                    "change {}: {facet} of {} is held by {held:?}",
                    change.id, target.device
                )
            });
        }
        Ok(())
    }

    /// Codes come from changes that give some out, are numbered without a gap, and can be shown as long as more may come.
    fn codes(&mut self, record: &ChangeRecord, sums: &mut Sums) -> Result<(), StoreError> {
        let (view, change) = (self.view, &record.change);
        let id = change.id.as_u128();
        let has_seed = view.code_seeds.get(id)?.is_some();
        let mut count = 0;
        for entry in view.codes.range((id, 0)..=(id, u32::MAX))? {
            let number = entry?.0.value().1;
            self.expect(number == count, || {
                format!("change {}: code {number} stands behind {count} others", change.id)
            });
            count += 1;
        }
        sums.seeds += u64::from(has_seed);
        sums.codes += u64::from(count);
        self.expect(change.action.gives_codes() || (!has_seed && count == 0), || {
            format!("change {}: {} gave out {count} codes", change.id, change.action)
        });
        let done = record.total().count(Standing::Done);
        self.expect(!change.action.gives_codes() || done <= count, || {
            format!("change {}: {done} targets are done with {count} codes", change.id)
        });
        self.expect(count == 0 || has_seed || change.codes_expire().is_some(), || {
            format!("change {}: its codes cannot be shown before its end", change.id)
        });
        Ok(())
    }

    fn excluded(&mut self, record: &ChangeRecord, sums: &mut Sums) -> Result<(), StoreError> {
        let id = record.change.id.as_u128();
        let mut counts = BTreeMap::<_, u32>::new();
        for entry in self.view.excluded.range((id, 0)..=(id, u128::MAX))? {
            *counts.entry(Exclusion::from_guard(entry?.1)?.kind()).or_default() += 1;
            sums.excluded += 1;
        }
        let is_planned = record.change.state != ChangeState::Draft && !record.tallies.is_empty();
        self.expect(!is_planned || counts == record.excluded, || {
            format!(
                "change {}: leaves out {counts:?}, not {:?}",
                record.change.id, record.excluded
            )
        });
        Ok(())
    }

    fn holders(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        for entry in view.holders.iter()? {
            let (key, value) = entry?;
            let ((device, facet), (change, stage, standing)) = (key.value(), value.value());
            let record = load::<ChangeRecord>(&view.changes, change)?;
            let about = record.is_some_and(|record| {
                let mut facets = record.change.action.facets().iter();
                facets.any(|one| facet_key(*one) == facet)
            });
            let there = view.targets.get((change, stage, standing, device))?.is_some();
            self.expect(about && there, || {
                let (device, change) = (DeviceId::from_u128(device), ChangeId::from_u128(change));
                format!("{device}: change {change} holds facet {facet} of it without a target")
            });
        }
        Ok(())
    }
}
