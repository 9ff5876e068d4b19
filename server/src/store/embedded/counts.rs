//! Counts of devices, kept by what changes them.

use super::txn::Txn;
use crate::store::{Counts, StoreError};
use muster_domain::{
    device::{Device, LifecycleState, VerificationState},
    names::{GroupName, ModelName, SiteCode},
};
use redb::{ReadableTable, Table};
use std::collections::BTreeMap;

/// What is counted. The numbers stand in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Count {
    Devices,
    State(LifecycleState),
    Verification(VerificationState),
    Model(ModelName),
    Site(SiteCode),
    Group(GroupName),
}

impl Count {
    fn key(&self) -> (u8, &str) {
        match self {
            Self::Devices => (0, ""),
            Self::State(state) => (1, state.as_str()),
            Self::Verification(state) => (2, state.as_str()),
            Self::Model(model) => (3, model.as_str()),
            Self::Site(site) => (4, site.as_str()),
            Self::Group(group) => (5, group.as_str()),
        }
    }

    fn from_key((kind, name): (u8, &str)) -> Result<Self, StoreError> {
        let unknown = || StoreError::damaged("counts", format!("nothing is counted as {kind} {name:?}"));
        match kind {
            0 if name.is_empty() => Some(Self::Devices),
            1 => LifecycleState::ALL
                .into_iter()
                .find(|state| state.as_str() == name)
                .map(Self::State),
            2 => VerificationState::ALL
                .into_iter()
                .find(|state| state.as_str() == name)
                .map(Self::Verification),
            3 => name.parse().ok().map(Self::Model),
            4 => name.parse().ok().map(Self::Site),
            5 => name.parse().ok().map(Self::Group),
            _ => None,
        }
        .ok_or_else(unknown)
    }

    /// All that one device counts for.
    pub(super) fn of(device: &Device) -> impl Iterator<Item = Self> {
        let always = [
            Self::Devices,
            Self::State(device.lifecycle.state()),
            Self::Verification(device.verification.state()),
            Self::Model(device.model.clone()),
        ];
        let groups = device.groups.iter().cloned().map(Self::Group);
        let site = device.site.clone().map(Self::Site);
        always.into_iter().chain(site).chain(groups)
    }
}

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Deltas(BTreeMap<Count, i64>);

impl Deltas {
    pub(super) fn add(&mut self, count: Count, by: i64) {
        *self.0.entry(count).or_default() += by;
    }

    /// A device changed from one to the other.
    pub(super) fn replace(&mut self, before: &Device, after: &Device) {
        // Of many devices most change in nothing that is counted, or in one thing.
        let mut moved = |old: Count, new: Count| {
            self.add(old, -1);
            self.add(new, 1);
        };
        let [was, is] = [before, after].map(|device| device.lifecycle.state());
        if was != is {
            moved(Count::State(was), Count::State(is));
        }
        let [was, is] = [before, after].map(|device| device.verification.state());
        if was != is {
            moved(Count::Verification(was), Count::Verification(is));
        }
        if before.model != after.model {
            moved(
                Count::Model(before.model.clone()),
                Count::Model(after.model.clone()),
            );
        }
        if before.site != after.site {
            let [was, is] = [before, after].map(|device| device.site.clone().map(Count::Site));
            was.into_iter().for_each(|count| self.add(count, -1));
            is.into_iter().for_each(|count| self.add(count, 1));
        }
        for group in before.groups.difference(&after.groups) {
            self.add(Count::Group(group.clone()), -1);
        }
        for group in after.groups.difference(&before.groups) {
            self.add(Count::Group(group.clone()), 1);
        }
        self.0.retain(|_, by| *by != 0);
    }

    fn of(&self, count: &Count) -> i64 {
        self.0.get(count).copied().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn write(&self, table: &mut Table<'_, (u8, &'static str), u64>) -> Result<(), StoreError> {
        for (count, &by) in self.0.iter().filter(|(_, by)| **by != 0) {
            let before = table.get(count.key())?.map_or(0, |count| count.value());
            let after = before.checked_add_signed(by);
            match after.ok_or_else(|| StoreError::damaged("counts", format!("{count:?} falls below zero")))? {
                0 => drop(table.remove(count.key())?),
                after => drop(table.insert(count.key(), after)?),
            }
        }
        Ok(())
    }

    pub(super) fn apply(&self, counts: &mut Counts) {
        for (count, &by) in &self.0 {
            match count {
                Count::Devices => counts.devices = counts.devices.saturating_add_signed(by),
                Count::State(state) => change(&mut counts.states, state, by),
                Count::Verification(state) => change(&mut counts.verifications, state, by),
                Count::Model(model) => change(&mut counts.models, model, by),
                Count::Site(site) => change(&mut counts.sites, site, by),
                Count::Group(group) => change(&mut counts.groups, group, by),
            }
        }
    }
}

fn change<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, key: &K, by: i64) {
    let after = counts.get(key).copied().unwrap_or(0).saturating_add_signed(by);
    if after == 0 {
        counts.remove(key);
    } else {
        counts.insert(key.clone(), after);
    }
}

/// Devices that are not retired, as of this transaction.
pub(super) fn in_service(txn: &Txn<'_>) -> Result<u64, StoreError> {
    let now = |count: Count| -> Result<u64, StoreError> {
        let known = txn.tables().counts.get(count.key())?;
        let known = known.map_or(0, |known| known.value());
        Ok(known.saturating_add_signed(txn.counts.of(&count)))
    };
    let retired = now(Count::State(LifecycleState::Retired))?;
    Ok(now(Count::Devices)?.saturating_sub(retired))
}

/// The counts on record.
pub(super) fn load(table: &impl ReadableTable<(u8, &'static str), u64>) -> Result<Counts, StoreError> {
    let mut deltas = Deltas::default();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let by = i64::try_from(value.value()).map_err(|why| StoreError::damaged("counts", why))?;
        deltas.add(Count::from_key(key.value())?, by);
    }
    let mut counts = Counts::default();
    deltas.apply(&mut counts);
    Ok(counts)
}
