//! Devices that match a change only since it was planned join its last stage.

use super::{
    book::{self, Book, place, standing_key},
    plan::gives_way,
    reserve::take,
    zoned,
};
use crate::store::{
    Joining, StoreError,
    embedded::{Store, devices, record::Record as _, txn::Txn},
};
use muster_domain::{
    Timestamp,
    audit::{Action, Actor, Event},
    change::{ChangeRecord, Standing, Target, TargetState, Zone},
    device::Device,
    ids::{ChangeId, DeviceId},
    names::SiteCode,
};
use redb::ReadableTable as _;

impl Store {
    /// Adds those of these devices to a change for whom there is room, and that it does not know: neither as targets nor as left out.
    /// What moved on since it was looked at, or is held by a change that does not give way, does not join. Says how many did.
    pub async fn join_change(
        &self,
        id: ChangeId,
        devices: Vec<Joining>,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.write_rows(devices.len(), move |txn| join(txn, id, &devices, now))
            .await
    }
}

fn join(txn: &mut Txn<'_>, id: ChangeId, devices: &[Joining], now: Timestamp) -> Result<u32, StoreError> {
    let mut book = Book::default();
    let before = book.record(txn.tables(), id)?.late;
    for joining in devices {
        if book.record(txn.tables(), id)?.room_for_late() == 0 {
            break;
        }
        joined(txn, &mut book, id, joining, now)?;
    }
    let joined = book.record(txn.tables(), id)?.late.saturating_sub(before);
    if joined > 0 {
        book.close(txn)?;
    }
    Ok(joined)
}

fn joined(
    txn: &mut Txn<'_>,
    book: &mut Book,
    id: ChangeId,
    joining: &Joining,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(device) = devices::find(txn, joining.device)? else {
        return Ok(());
    };
    let record = book.record(txn.tables(), id)?;
    if device.revision != joining.revision || knows(txn, record, device.id)? {
        return Ok(());
    }
    let (facets, priority) = (record.change.action.facets(), record.change.priority);
    let others = book::others(&txn.tables().holders, device.id, facets, id)?;
    for (other, ..) in &others {
        if !gives_way(book.record(txn.tables(), *other)?, priority) {
            return Ok(());
        }
    }
    let record = book.record(txn.tables(), id)?;
    let Some(target) = target(txn, record, joining, &device) else {
        return Ok(());
    };
    if let Some(tally) = record.tallies.get_mut(usize::from(target.stage)) {
        tally.add(Standing::Waiting);
    }
    record.late = record.late.saturating_add(1);
    zoned::add(txn, record, std::slice::from_ref(&target))?;
    let bytes = target.encode()?;
    txn.write().targets.insert(place(id, &target), bytes.as_slice())?;
    let (name, stage) = (record.change.name(), u32::from(target.stage) + 1);
    take(txn, book, id, &target, now)?;
    let event = Event::new(now, Actor::System, Action::ChangeJoined, device.name());
    txn.audit(&event.with("change", name).with("stage", stage))?;
    Ok(())
}

/// Whether a change has the device as a target, or left it out when it was planned.
fn knows(txn: &Txn<'_>, record: &ChangeRecord, device: DeviceId) -> Result<bool, StoreError> {
    let (tables, id) = (txn.tables(), record.change.id.as_u128());
    for (stage, tally) in (0..).zip(&record.tallies) {
        for standing in Standing::ALL.into_iter().filter(|one| tally.count(*one) > 0) {
            let place = (id, stage, standing_key(standing), device.as_u128());
            if tables.targets.get(place)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(tables.excluded.get((id, device.as_u128()))?.is_some())
}

fn target(txn: &Txn<'_>, record: &mut ChangeRecord, joining: &Joining, device: &Device) -> Option<Target> {
    let last = record.tallies.len().saturating_sub(1);
    Some(Target {
        device: device.id,
        stage: u16::try_from(last).unwrap_or(u16::MAX),
        site: device.site.clone(),
        zone: zone(txn, record, device.site.as_ref())?,
        becomes: joining.planned.becomes,
        former: joining.planned.former.clone(),
        repairs: 0,
        late: true,
        state: TargetState::Waiting { reached: None },
    })
}

/// The place of the zone of a site among the zones of a change, which may be a new one; none where there is no room for it.
fn zone(txn: &Txn<'_>, record: &mut ChangeRecord, site: Option<&SiteCode>) -> Option<u16> {
    if !record.is_zoned {
        return Some(0);
    }
    let zone = Zone::of(&txn.catalog, site, record.change.priority);
    let known = record.zones.iter().position(|known| *known == zone);
    let place = u16::try_from(known.unwrap_or(record.zones.len())).ok()?;
    if known.is_none() {
        record.zones.push(zone);
    }
    Some(place)
}
