//! Which devices are in static groups.

use super::{Store, devices, index, txn::Txn};
use crate::store::{DeviceName, GroupOutcome, GroupUpdate, StoreError};
use muster_domain::{
    Code, Refusal,
    audit::{Action, Event},
    device::{Device, Membership},
    names::GroupName,
};

impl Store {
    /// Adds devices to a static group or removes them, in one step; what becomes of each is in the order asked. The outer
    /// refusal is of the group.
    pub async fn update_group(
        &self,
        update: GroupUpdate,
    ) -> Result<Result<Vec<GroupOutcome>, Refusal>, StoreError> {
        let rows = update.devices.len();
        self.write_rows(rows, move |txn| run(txn, &update)).await
    }
}

fn run(txn: &mut Txn<'_>, update: &GroupUpdate) -> Result<Result<Vec<GroupOutcome>, Refusal>, StoreError> {
    if let Err(refusal) = is_static(txn, &update.group) {
        return Ok(Err(refusal));
    }
    let outcomes = update.devices.iter().map(|name| step(txn, update, name));
    outcomes.collect::<Result<_, _>>().map(Ok)
}

fn is_static(txn: &Txn<'_>, group: &GroupName) -> Result<(), Refusal> {
    match txn.catalog.groups.get(group) {
        None => Err(Refusal::new(Code::NotFound, format!("there is no groups/{group}")).at("group")),
        Some(known) if known.rule.is_some() => {
            let why = format!("groups/{group} has a filter");
            Err(Refusal::new(Code::GroupRuled, why).at("group"))
        }
        Some(_) => Ok(()),
    }
}

fn find(txn: &Txn<'_>, name: &DeviceName) -> Result<Option<Device>, StoreError> {
    let tables = txn.tables();
    match name {
        DeviceName::Id(id) => devices::find(txn, *id),
        DeviceName::Serial(serial) => devices::by_serial(&tables.serials, &tables.devices, serial),
    }
}

fn step(txn: &mut Txn<'_>, update: &GroupUpdate, name: &DeviceName) -> Result<GroupOutcome, StoreError> {
    let Some(before) = find(txn, name)? else {
        return Ok(Err(name.missing()));
    };
    let after = match update.membership.of(&before, &update.group, update.now) {
        Ok(Some(after)) => after,
        other => return Ok(other),
    };
    if let Err(refusal) = devices::is_staying(txn, &before)? {
        return Ok(Err(refusal));
    }
    index::replace(txn, &before, &after)?;
    let action = match update.membership {
        Membership::Joined => Action::GroupJoined,
        Membership::Left => Action::GroupLeft,
    };
    let event = Event::new(update.now, update.actor.clone(), action, after.name());
    txn.audit(&event.with("group", &update.group))?;
    Ok(Ok(Some(after)))
}
