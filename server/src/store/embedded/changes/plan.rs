//! The plan of a change, written in parts. A plan that was not finished is none: the next attempt begins by voiding what is there.

use super::{
    PART,
    book::{self, facet_key, place},
    create::find,
    zoned,
};
use crate::store::{
    PlanPart, PlanTotals, StoreError,
    embedded::{
        Store, counts,
        index::insert_sorted,
        record::{Record as _, load},
        tables::{CHANGES, HOLDERS},
        txn::Txn,
    },
};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    change::{ChangeRecord, ChangeState, ChangeStep, Facet, Priority},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable as _;
use std::collections::BTreeMap;

impl Store {
    /// Begins another plan; the one on record, if there is one, is void from then on. Its [`ChangeRecord::attempt`] names the
    /// plan in the calls that follow.
    pub async fn begin_plan(
        &self,
        id: ChangeId,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
        self.write(move |txn| begin(txn, id, expected_revision, now))
            .await
    }

    /// Removes what former plans left, as much as fits into a transaction; false when nothing is left.
    pub async fn void_plan(&self, id: ChangeId, attempt: u32) -> Result<Result<bool, Refusal>, StoreError> {
        self.write_rows(PART, move |txn| void(txn, id, attempt)).await
    }

    /// Writes a part of a plan.
    pub async fn write_plan(
        &self,
        id: ChangeId,
        attempt: u32,
        part: PlanPart,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let rows = part.targets.len() + part.excluded.len();
        self.write_rows(rows, move |txn| write(txn, id, attempt, &part))
            .await
    }

    /// All of a plan is written: it is the plan of the change.
    pub async fn finish_plan(
        &self,
        id: ChangeId,
        attempt: u32,
        totals: PlanTotals,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
        self.write(move |txn| finish(txn, id, attempt, &totals, &actor, now))
            .await
    }

    /// For each of these devices, in the order of their ids, the change that holds one of these facets and does not give way. A look into
    /// the cache, for threads that may wait.
    pub fn holders(
        &self,
        devices: &[DeviceId],
        facets: &[Facet],
        priority: Priority,
    ) -> Result<Vec<Option<ChangeId>>, StoreError> {
        let txn = self.read()?;
        let (holders, changes) = (txn.open_table(HOLDERS)?, txn.open_table(CHANGES)?);
        let mut stays = BTreeMap::new();
        let mut found = Vec::with_capacity(devices.len());
        for device in devices {
            let mut holder = None;
            for facet in facets {
                let held = holders.get((device.as_u128(), facet_key(*facet)))?;
                let Some(held) = held.map(|held| held.value().0) else {
                    continue;
                };
                let known = match stays.get(&held) {
                    Some(known) => *known,
                    None => {
                        let record = load::<ChangeRecord>(&changes, held)?;
                        let known = record.is_some_and(|record| !gives_way(&record, priority));
                        stays.insert(held, known);
                        known
                    }
                };
                holder = holder.or_else(|| known.then_some(ChangeId::from_u128(held)));
            }
            found.push(holder);
        }
        Ok(found)
    }
}

/// Whether a change leaves its devices to one of this priority.
pub(super) fn gives_way(holder: &ChangeRecord, priority: Priority) -> bool {
    !holder.change.state.holds_targets() || holder.change.priority < priority
}

fn begin(
    txn: &mut Txn<'_>,
    id: ChangeId,
    expected_revision: Option<u64>,
    now: Timestamp,
) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
    let record = match find(txn, id)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = super::step::expect(&record, expected_revision) {
        return Ok(Err(refusal));
    }
    if let Some(list) = record.change.list.filter(|list| !list.is_whole()) {
        let why = format!(
            "{} of the {} rows of its list are there",
            list.rows, list.announced
        );
        return Ok(Err(Refusal::new(Code::ChangeState, why)));
    }
    let change = match record.change.step(ChangeStep::PlanBegun, now) {
        Ok(change) => change,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let waits_for_sites = change.priority == Priority::Normal && txn.catalog.has_maintenance_windows();
    let record = ChangeRecord {
        attempt: record.attempt.wrapping_add(1),
        is_zoned: waits_for_sites || !change.strategy.windows.is_empty(),
        ..ChangeRecord::new(change)
    };
    book::put(txn, &record)?;
    Ok(Ok(record))
}

/// The change, as long as this is the attempt at its plan.
pub(super) fn attempted(
    txn: &Txn<'_>,
    id: ChangeId,
    attempt: u32,
) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
    Ok(find(txn, id)?.and_then(|record| {
        if record.attempt == attempt && record.change.state == ChangeState::Draft {
            return Ok(record);
        }
        let why = "another plan of it was begun, or it was ended";
        Err(Refusal::new(Code::ChangeState, why))
    }))
}

fn void(txn: &mut Txn<'_>, id: ChangeId, attempt: u32) -> Result<Result<bool, Refusal>, StoreError> {
    if let Err(refusal) = attempted(txn, id, attempt)? {
        return Ok(Err(refusal));
    }
    let id = id.as_u128();
    let tables = txn.tables();
    let mut targets = Vec::new();
    let all = (id, 0, 0, 0)..=(id, u16::MAX, u8::MAX, u128::MAX);
    for entry in tables.targets.range(all)?.take(PART) {
        targets.push(entry?.0.value());
    }
    let mut excluded = Vec::new();
    for entry in tables.excluded.range((id, 0)..=(id, u128::MAX))?.take(PART) {
        excluded.push(entry?.0.value());
    }
    let mut zoned = Vec::new();
    let all = (id, 0, 0, 0)..=(id, u16::MAX, u16::MAX, u128::MAX);
    for entry in tables.zoned.range(all)?.take(PART) {
        zoned.push(entry?.0.value());
    }
    if targets.is_empty() && excluded.is_empty() && zoned.is_empty() {
        return Ok(Ok(false));
    }
    let tables = txn.write();
    for key in targets {
        tables.targets.remove(key)?;
    }
    for key in excluded {
        tables.excluded.remove(key)?;
    }
    for key in zoned {
        tables.zoned.remove(key)?;
    }
    Ok(Ok(true))
}

fn write(
    txn: &mut Txn<'_>,
    id: ChangeId,
    attempt: u32,
    part: &PlanPart,
) -> Result<Result<(), Refusal>, StoreError> {
    let record = match attempted(txn, id, attempt)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    zoned::add(txn, &record, &part.targets)?;
    let mut targets = Vec::with_capacity(part.targets.len());
    for target in &part.targets {
        targets.push((place(id, target), target.encode()?));
    }
    let targets: Vec<_> = targets
        .iter()
        .map(|(key, bytes)| (*key, bytes.as_slice()))
        .collect();
    let mut excluded = Vec::with_capacity(part.excluded.len());
    for (device, why) in &part.excluded {
        excluded.push(((id.as_u128(), device.as_u128()), why.encode()?));
    }
    let excluded: Vec<_> = excluded
        .iter()
        .map(|(key, bytes)| (*key, bytes.as_slice()))
        .collect();
    let tables = txn.write();
    insert_sorted("targets", &mut tables.targets, &targets)?;
    insert_sorted("excluded", &mut tables.excluded, &excluded)?;
    Ok(Ok(()))
}

fn finish(
    txn: &mut Txn<'_>,
    id: ChangeId,
    attempt: u32,
    totals: &PlanTotals,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
    let record = match attempted(txn, id, attempt)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut record = ChangeRecord {
        tallies: totals.tallies.clone(),
        excluded: totals.excluded.clone(),
        zones: totals.zones.clone(),
        ..record
    };
    let reach = record.reach(counts::in_service(txn)?);
    let demands = txn.rules.rules.demands(&record.change, reach);
    let step = ChangeStep::Plan(totals.plan, demands);
    record.change = match record.change.clone().step(step, now) {
        Ok(change) => change,
        Err(refusal) => return Ok(Err(refusal)),
    };
    record.change.list = totals.list;
    book::put(txn, &record)?;
    let event = Event::new(now, actor.clone(), Action::ChangePlanned, record.change.name());
    txn.audit(
        &event
            .with("plan", totals.plan)
            .with("targets", record.total().total())
            .with("excluded", record.left_out())
            .with("approvals_needed", record.change.needs()),
    )?;
    Ok(Ok(record))
}
