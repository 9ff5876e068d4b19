//! Targets of a change, listed; and the changes that a device is a target of.

use super::book::{self, standing_key};
use crate::store::{
    ListedTarget, StoreError, TargetCursor, TargetPage, TargetQuery,
    embedded::{
        Store,
        record::{Record as _, load},
        tables::{CHANGES, HOLDERS, TARGETS, View},
    },
};
use muster_domain::{
    change::{ChangeRecord, Exclusion, Facet, Standing, Target},
    device::Device,
    ids::DeviceId,
};
use std::ops::Bound::{Excluded, Included};

/// Behind all stages: devices that are left out.
const LEFT_OUT: (u16, u8) = (u16::MAX, u8::MAX);

impl Store {
    /// One page of the devices that a change found.
    pub async fn list_targets(&self, query: TargetQuery) -> Result<TargetPage, StoreError> {
        self.blocking(move |txn| page(&View::open(txn)?, &query)).await
    }

    /// The changes that were last about a device, each with its target there.
    pub async fn changes_of(&self, device: DeviceId) -> Result<Vec<(ChangeRecord, Target)>, StoreError> {
        let txn = self.read()?;
        let (holders, targets) = (txn.open_table(HOLDERS)?, txn.open_table(TARGETS)?);
        let changes = txn.open_table(CHANGES)?;
        let mut found = Vec::new();
        for facet in Facet::ALL {
            let Some((id, stage, standing)) = book::holder(&holders, device, facet)? else {
                continue;
            };
            if found
                .iter()
                .any(|(known, _): &(ChangeRecord, Target)| known.change.id == id)
            {
                continue;
            }
            let record = load::<ChangeRecord>(&changes, id.as_u128())?;
            let record = record.ok_or_else(|| StoreError::missing("changes", id))?;
            let place = (id.as_u128(), stage, standing, device.as_u128());
            found.push((record, book::target(&targets, place)?));
        }
        Ok(found)
    }
}

fn page(view: &View, query: &TargetQuery) -> Result<TargetPage, StoreError> {
    let mut page = TargetPage {
        targets: Vec::new(),
        next: None,
    };
    let stages = load::<ChangeRecord>(&view.changes, query.change.as_u128())?;
    let stages = stages.map_or(0, |record| record.tallies.len());
    for stage in 0..u16::try_from(stages).unwrap_or(u16::MAX) {
        let wanted = query.stage.is_none_or(|only| only == stage);
        for standing in Standing::ALL.iter().filter(|_| wanted) {
            if query.standings.contains(standing) && !targets(view, query, stage, *standing, &mut page)? {
                return Ok(page);
            }
        }
    }
    if query.excluded {
        left_out(view, query, &mut page)?;
    }
    Ok(page)
}

/// Where a range begins that the last page may have ended in; none when the page ended behind it.
fn start(query: &TargetQuery, (stage, standing): (u16, u8)) -> Option<std::ops::Bound<u128>> {
    match query.after {
        Some((at, in_standing, device)) => match (at, in_standing).cmp(&(stage, standing)) {
            std::cmp::Ordering::Less => Some(Included(0)),
            std::cmp::Ordering::Equal => Some(Excluded(device)),
            std::cmp::Ordering::Greater => None,
        },
        None => Some(Included(0)),
    }
}

/// Adds an entry, unless the page is full: then it ends behind the one before.
fn push(
    view: &View,
    query: &TargetQuery,
    page: &mut TargetPage,
    entry: ListedTarget,
    last: &mut Option<TargetCursor>,
    cursor: TargetCursor,
) -> Result<bool, StoreError> {
    if page.targets.len() == query.limit.max(1) {
        page.next = *last;
        return Ok(false);
    }
    let device = load::<Device>(&view.devices, cursor.2)?;
    page.targets.push((entry, device.map(|device| device.serial)));
    *last = Some(cursor);
    Ok(true)
}

fn targets(
    view: &View,
    query: &TargetQuery,
    stage: u16,
    standing: Standing,
    page: &mut TargetPage,
) -> Result<bool, StoreError> {
    let key = standing_key(standing);
    let Some(from) = start(query, (stage, key)) else {
        return Ok(true);
    };
    let place = |device: u128| (query.change.as_u128(), stage, key, device);
    let mut last = before(page);
    for entry in view
        .targets
        .range((from.map(place), Included(place(u128::MAX))))?
    {
        let (at, value) = entry?;
        let cursor = (stage, key, at.value().3);
        let target = ListedTarget::Target(Target::from_guard(value)?);
        if !push(view, query, page, target, &mut last, cursor)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The place of the last entry of a page.
fn before(page: &TargetPage) -> Option<TargetCursor> {
    page.targets.last().map(|(entry, _)| match entry {
        ListedTarget::Target(target) => {
            let standing = standing_key(target.state.standing());
            (target.stage, standing, target.device.as_u128())
        }
        ListedTarget::Excluded(device, _) => (LEFT_OUT.0, LEFT_OUT.1, device.as_u128()),
    })
}

fn left_out(view: &View, query: &TargetQuery, page: &mut TargetPage) -> Result<(), StoreError> {
    let Some(from) = start(query, LEFT_OUT) else {
        return Ok(());
    };
    let place = |device: u128| (query.change.as_u128(), device);
    let mut last = before(page);
    for entry in view
        .excluded
        .range((from.map(place), Included(place(u128::MAX))))?
    {
        let (at, value) = entry?;
        let device = at.value().1;
        let cursor = (LEFT_OUT.0, LEFT_OUT.1, device);
        let entry = ListedTarget::Excluded(DeviceId::from_u128(device), Exclusion::from_guard(value)?);
        if !push(view, query, page, entry, &mut last, cursor)? {
            break;
        }
    }
    Ok(())
}
