//! The devices of a change as somebody listed them, row by row.
//!
//! Rows are kept in the order of the file and nothing is kept in the order of devices: what a list comes to is worked out when the
//! change is planned, in memory, so that a million rows in any order are a million entries at the end of one table.

use super::{
    book::{self, standing_key},
    create::find,
    plan::attempted,
};
use crate::store::{
    ListedRow, ListedTarget, StoreError,
    embedded::{
        Store,
        index::insert_sorted,
        record::{Record as _, load},
        tables::{DEVICES, LISTED, SERIALS, View},
        txn::Txn,
    },
};
use muster_domain::{
    Code, Refusal,
    change::{ChangeRecord, ChangeState, Exclusion, Listed, Standing, Target},
    device::Device,
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;
use std::ops::Bound::{Excluded, Included, Unbounded};

impl Store {
    /// Adds rows, in ascending order, to the list of a change that has no plan. Rows up to the last one that is there came before
    /// and stay as they are. The change then, and of these rows those that name no device.
    pub async fn add_listed(
        &self,
        id: ChangeId,
        rows: Vec<(u32, String)>,
    ) -> Result<Result<(ChangeRecord, Vec<u32>), Refusal>, StoreError> {
        self.write_rows(rows.len(), move |txn| add(txn, id, &rows)).await
    }

    /// Rows behind `after`.
    pub async fn listed(
        &self,
        id: ChangeId,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<(u32, Listed)>, StoreError> {
        self.blocking(move |txn| page(&txn.open_table(LISTED)?, id, after, limit))
            .await
    }

    /// Of these texts, the devices that they name now.
    pub async fn look_up(&self, texts: Vec<String>) -> Result<Vec<Option<DeviceId>>, StoreError> {
        self.blocking(move |txn| {
            let (serials, devices) = (txn.open_table(SERIALS)?, txn.open_table(DEVICES)?);
            texts.iter().map(|text| named(&serials, &devices, text)).collect()
        })
        .await
    }

    /// Writes rows that turned out to be something else, for a plan that is being made.
    pub async fn settle_listed(
        &self,
        id: ChangeId,
        attempt: u32,
        rows: Vec<(u32, Listed)>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        self.write_rows(rows.len(), move |txn| {
            if let Err(refusal) = attempted(txn, id, attempt)? {
                return Ok(Err(refusal));
            }
            for (row, listed) in &rows {
                let bytes = listed.encode()?;
                txn.write()
                    .listed
                    .insert((id.as_u128(), *row), bytes.as_slice())?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Rows behind `after`, each with what became of its device.
    pub async fn list_rows(
        &self,
        id: ChangeId,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, StoreError> {
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            let record = load::<ChangeRecord>(&view.changes, id.as_u128())?;
            let record = record.ok_or_else(|| StoreError::missing("changes", id))?;
            let rows = page(&view.listed, id, after, limit)?.into_iter();
            rows.map(|(row, listed)| told(&view, &record, row, listed))
                .collect()
        })
        .await
    }
}

fn page(
    table: &impl ReadableTable<(u128, u32), &'static [u8]>,
    id: ChangeId,
    after: Option<u32>,
    limit: usize,
) -> Result<Vec<(u32, Listed)>, StoreError> {
    let place = |row| (id.as_u128(), row);
    let from = after.map_or_else(|| Included(place(0)), |row| Excluded(place(row)));
    let rows = table.range((from, Included(place(u32::MAX))))?.take(limit);
    rows.map(|entry| {
        let (key, value) = entry?;
        Ok((key.value().1, Listed::from_guard(value)?))
    })
    .collect()
}

/// The device that a text names: a serial, or else the id of a device, or its name.
fn named(
    serials: &impl ReadableTable<&'static str, u128>,
    devices: &impl ReadableTable<u128, &'static [u8]>,
    text: &str,
) -> Result<Option<DeviceId>, StoreError> {
    if let Some(id) = serials.get(text)? {
        return Ok(Some(DeviceId::from_u128(id.value())));
    }
    let Ok(id) = text.strip_prefix("devices/").unwrap_or(text).parse::<DeviceId>() else {
        return Ok(None);
    };
    Ok(devices.get(id.as_u128())?.map(|_| id))
}

fn add(
    txn: &mut Txn<'_>,
    id: ChangeId,
    rows: &[(u32, String)],
) -> Result<Result<(ChangeRecord, Vec<u32>), Refusal>, StoreError> {
    let mut record = match find(txn, id)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(mut list) = record.change.list else {
        let why = "it was made without a list";
        return Ok(Err(Refusal::new(Code::ChangeState, why)));
    };
    let last = {
        let all = (Unbounded, Included((id.as_u128(), u32::MAX)));
        let last = txn
            .tables()
            .listed
            .range::<(u128, u32)>(all)?
            .next_back()
            .transpose()?;
        last.map(|(key, _)| key.value())
            .filter(|(change, _)| *change == id.as_u128())
            .map(|(_, row)| row)
    };
    let (mut unknown, mut added) = (Vec::new(), Vec::new());
    for (row, text) in rows {
        let known = match last {
            Some(last) if *row <= last => txn.tables().listed.get((id.as_u128(), *row))?,
            Some(_) | None => None,
        };
        let listed = match known {
            Some(known) => Listed::from_guard(known)?,
            None => {
                let found = named(&txn.tables().serials, &txn.tables().devices, text)?;
                let listed = found.map_or_else(|| Listed::Unknown(text.clone()), Listed::Device);
                added.push(((id.as_u128(), *row), listed.encode()?));
                listed
            }
        };
        if listed.device().is_none() {
            unknown.push(*row);
        }
    }
    if added.is_empty() {
        return Ok(Ok((record, unknown)));
    }
    if let Err(refusal) = takes(&record, last, &added) {
        return Ok(Err(refusal));
    }
    list.rows = list
        .rows
        .saturating_add(u32::try_from(added.len()).unwrap_or(u32::MAX));
    record.change.list = Some(list);
    let added: Vec<_> = added
        .iter()
        .map(|(key, bytes)| (*key, bytes.as_slice()))
        .collect();
    insert_sorted("listed", &mut txn.write().listed, &added)?;
    book::put(txn, &record)?;
    Ok(Ok((record, unknown)))
}

/// Whether a list takes these rows.
fn takes(record: &ChangeRecord, last: Option<u32>, added: &[((u128, u32), Vec<u8>)]) -> Result<(), Refusal> {
    let list = record.change.list.unwrap_or_default();
    let room = usize::try_from(list.announced.saturating_sub(list.rows)).unwrap_or(usize::MAX);
    if record.change.state != ChangeState::Draft {
        let why = "it is planned; its list takes no more rows";
        return Err(Refusal::new(Code::ChangeState, why));
    }
    let first = added.first().map(|((_, row), _)| *row);
    if first.is_some_and(|first| last.is_some_and(|last| first <= last)) {
        let why = format!(
            "row {} comes behind rows that are there",
            first.unwrap_or_default()
        );
        return Err(Refusal::new(Code::ChangeInvalid, why).at("rows"));
    }
    if added.len() > room {
        let why = format!("are more than the {} that were announced", list.announced);
        return Err(Refusal::new(Code::ChangeInvalid, why).at("rows"));
    }
    Ok(())
}

fn told(view: &View, record: &ChangeRecord, row: u32, listed: Listed) -> Result<ListedRow, StoreError> {
    let (mut serial, mut found) = (None, None);
    if let Some(device) = listed.device() {
        let known = load::<Device>(&view.devices, device.as_u128())?;
        serial = known.map(|device| device.serial);
        found = target_of(view, record, device)?;
    }
    Ok(ListedRow {
        row,
        listed,
        found,
        serial,
    })
}

/// What a plan made of a device. Targets stand by stage and standing, of which only those are looked into that count somebody.
fn target_of(
    view: &View,
    record: &ChangeRecord,
    device: DeviceId,
) -> Result<Option<ListedTarget>, StoreError> {
    let id = record.change.id.as_u128();
    for (stage, tally) in (0..).zip(&record.tallies) {
        for standing in Standing::ALL.into_iter().filter(|one| tally.count(*one) > 0) {
            let place = (id, stage, standing_key(standing), device.as_u128());
            if let Some(found) = view.targets.get(place)? {
                return Ok(Some(ListedTarget::Target(Target::from_guard(found)?)));
            }
        }
    }
    let excluded = view.excluded.get((id, device.as_u128()))?;
    let excluded = excluded.map(Exclusion::from_guard).transpose()?;
    Ok(excluded.map(|why| ListedTarget::Excluded(device, why)))
}
