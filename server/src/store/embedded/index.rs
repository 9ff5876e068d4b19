//! Devices and every index of them, changed together.

use super::{changes, counts::Count, record::Record as _, tables::Tables, txn::Txn};
use crate::store::StoreError;
use muster_domain::{
    device::{Device, LifecycleState, VerificationState},
    names::SiteCode,
};
use redb::{CursorError, Key, ReadableTable, Table, Value};
use std::{borrow::Borrow, ops::Bound};

/// The number of a standing in the file.
pub(super) const fn state_key(state: LifecycleState) -> u8 {
    match state {
        LifecycleState::Registered => 0,
        LifecycleState::Claimed => 1,
        LifecycleState::Active => 2,
        LifecycleState::Suspended => 3,
        LifecycleState::Retired => 4,
    }
}

/// The number of a verdict in the file.
pub(super) const fn verification_key(state: VerificationState) -> u8 {
    match state {
        VerificationState::Pending => 0,
        VerificationState::Verified => 1,
        VerificationState::Failed => 2,
        VerificationState::Drifted => 3,
        VerificationState::Stale => 4,
    }
}

/// Writes a device that changed, and the index entries and counts that its change moves. Its serial and
/// its origin never change.
pub(super) fn replace(txn: &mut Txn<'_>, before: &Device, after: &Device) -> Result<(), StoreError> {
    replace_all(txn, &[(before, after, &after.encode()?)])
}

/// A device as it was, as it is, and the record of that.
pub(super) type Replaced<'d> = (&'d Device, &'d Device, &'d [u8]);

/// The same for many devices, in the order of their ids: each table is written in the order of its keys.
pub(super) fn replace_all(txn: &mut Txn<'_>, changes: &[Replaced<'_>]) -> Result<(), StoreError> {
    for (before, after, _) in changes {
        txn.counts.replace(before, after);
        txn.mark(after.id.as_u128());
    }
    let tables = txn.write();
    for (_, after, record) in changes {
        tables.devices.insert(after.id.as_u128(), *record)?;
    }
    replace_macs(tables, changes)?;
    replace_groups(tables, changes)?;
    let (old, new) = moved(changes, |device| Some(device.model.as_str()));
    move_group("by_model", &mut tables.by_model, old, new)?;
    let (old, new) = moved(changes, |device| device.site.as_ref().map(SiteCode::as_str));
    move_group("by_site", &mut tables.by_site, old, new)?;
    let (old, new) = moved(changes, |device| Some(state_key(device.lifecycle.state())));
    move_group("by_state", &mut tables.by_state, old, new)?;
    let (old, new) = moved(changes, |device| {
        Some(verification_key(device.verification.state()))
    });
    move_group("by_verification", &mut tables.by_verification, old, new)
}

fn replace_macs(tables: &mut Tables<'_>, changes: &[Replaced<'_>]) -> Result<(), StoreError> {
    let moved = || {
        changes
            .iter()
            .filter(|(before, after, _)| before.mac != after.mac)
    };
    for mac in moved().filter_map(|(before, ..)| before.mac) {
        tables.macs.remove(mac.key())?;
    }
    for (_, after, _) in moved() {
        if let Some(mac) = after.mac {
            insert_new("macs", &mut tables.macs, mac.key(), after.id.as_u128())?;
        }
    }
    Ok(())
}

fn replace_groups(tables: &mut Tables<'_>, changes: &[Replaced<'_>]) -> Result<(), StoreError> {
    for (before, after, _) in changes {
        let id = after.id.as_u128();
        for group in before.groups.difference(&after.groups) {
            tables.by_group.remove((group.as_str(), id))?;
        }
        for group in after.groups.difference(&before.groups) {
            tables.by_group.insert((group.as_str(), id), ())?;
        }
    }
    Ok(())
}

/// Entries of an index: a value, and the device that has it.
type Entries<T> = Vec<(T, u128)>;

/// The entries of an index that go, and those that come, of the devices whose value is another now.
fn moved<'d, T: PartialEq>(
    changes: &[Replaced<'d>],
    value: impl Fn(&'d Device) -> Option<T>,
) -> (Entries<T>, Entries<T>) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (before, after, _) in changes {
        let (was, is) = (value(before), value(after));
        if was != is {
            let id = after.id.as_u128();
            old.extend(was.map(|was| (was, id)));
            new.extend(is.map(|is| (is, id)));
        }
    }
    (old, new)
}

fn move_group<'a, K>(
    name: &'static str,
    table: &mut Table<'_, K, ()>,
    mut old: Vec<K::SelfType<'a>>,
    new: Vec<K::SelfType<'a>>,
) -> Result<(), StoreError>
where
    K: Key + 'static,
    K::SelfType<'a>: Ord,
{
    old.sort_unstable();
    for key in old {
        table.remove(key)?;
    }
    insert_group(name, table, new)
}

/// Deletes a device with every index entry and count of it. Its key and certificate are released before.
pub(super) fn remove(txn: &mut Txn<'_>, device: &Device) -> Result<(), StoreError> {
    let id = device.id.as_u128();
    changes::forget(txn, device.id)?;
    let tables = txn.write();
    tables.devices.remove(id)?;
    tables.presence.remove(id)?;
    tables.serials.remove(device.serial.as_str())?;
    if let Some(mac) = device.mac {
        tables.macs.remove(mac.key())?;
    }
    tables.by_model.remove((device.model.as_str(), id))?;
    if let Some(site) = &device.site {
        tables.by_site.remove((site.as_str(), id))?;
    }
    for group in &device.groups {
        tables.by_group.remove((group.as_str(), id))?;
    }
    let state = state_key(device.lifecycle.state());
    tables.by_state.remove((state, id))?;
    let verification = verification_key(device.verification.state());
    tables.by_verification.remove((verification, id))?;
    tables.by_batch.remove((device.origin.batch.as_u128(), id))?;
    for count in Count::of(device) {
        txn.counts.add(count, -1);
    }
    txn.mark(id);
    Ok(())
}

/// Inserts where nothing may be yet.
pub(super) fn insert_new<'k, 'v, K: Key, V: Value>(
    name: &'static str,
    table: &mut Table<'_, K, V>,
    key: impl Borrow<K::SelfType<'k>>,
    value: impl Borrow<V::SelfType<'v>>,
) -> Result<(), StoreError> {
    let key = key.borrow();
    match table.insert(key, value)? {
        None => Ok(()),
        Some(_) => Err(StoreError::duplicate(name, format!("{key:?}"))),
    }
}

/// Writes new devices, each index in the order of its keys.
pub(super) fn create(txn: &mut Txn<'_>, devices: &[&Device]) -> Result<(), StoreError> {
    count(txn, devices);
    devices.iter().for_each(|device| txn.mark(device.id.as_u128()));
    let tables = txn.write();
    create_records(tables, devices)?;
    create_unique(tables, devices)?;
    create_groups(tables, devices)
}

fn create_records(tables: &mut Tables<'_>, devices: &[&Device]) -> Result<(), StoreError> {
    let mut records = Vec::with_capacity(devices.len());
    for device in devices {
        records.push((device.id.as_u128(), device.encode()?));
    }
    records.sort_unstable_by_key(|(id, _)| *id);
    let records: Vec<_> = records
        .iter()
        .map(|(id, record)| (*id, record.as_slice()))
        .collect();
    insert_sorted("devices", &mut tables.devices, &records)
}

fn create_unique(tables: &mut Tables<'_>, devices: &[&Device]) -> Result<(), StoreError> {
    let mut serials: Vec<_> = devices
        .iter()
        .map(|device| (device.serial.as_str(), device.id.as_u128()))
        .collect();
    serials.sort_unstable();
    insert_sorted("serials", &mut tables.serials, &serials)?;
    let mut macs: Vec<_> = devices
        .iter()
        .filter_map(|device| Some((device.mac?.key(), device.id.as_u128())))
        .collect();
    macs.sort_unstable();
    insert_sorted("macs", &mut tables.macs, &macs)?;
    let keyed: Vec<_> = devices
        .iter()
        .filter_map(|device| Some((device.lifecycle.key()?.0, device.id.as_u128())))
        .collect();
    let mut keys: Vec<_> = keyed.iter().map(|(key, id)| (key, *id)).collect();
    keys.sort_unstable();
    insert_sorted("keys", &mut tables.keys, &keys)
}

fn create_groups(tables: &mut Tables<'_>, devices: &[&Device]) -> Result<(), StoreError> {
    let models = devices
        .iter()
        .map(|device| (device.model.as_str(), device.id.as_u128()));
    insert_group("by_model", &mut tables.by_model, models.collect())?;
    let sites = devices
        .iter()
        .filter_map(|device| Some((device.site.as_ref()?.as_str(), device.id.as_u128())));
    insert_group("by_site", &mut tables.by_site, sites.collect())?;
    let groups = devices.iter().flat_map(|device| {
        let id = device.id.as_u128();
        device.groups.iter().map(move |group| (group.as_str(), id))
    });
    insert_group("by_group", &mut tables.by_group, groups.collect())?;
    let states = devices
        .iter()
        .map(|device| (state_key(device.lifecycle.state()), device.id.as_u128()));
    insert_group("by_state", &mut tables.by_state, states.collect())?;
    let verdicts = devices
        .iter()
        .map(|device| (verification_key(device.verification.state()), device.id.as_u128()));
    insert_group("by_verification", &mut tables.by_verification, verdicts.collect())?;
    let batches = devices
        .iter()
        .map(|device| (device.origin.batch.as_u128(), device.id.as_u128()));
    insert_group("by_batch", &mut tables.by_batch, batches.collect())
}

fn insert_group<'a, K>(
    name: &'static str,
    table: &mut Table<'_, K, ()>,
    mut keys: Vec<K::SelfType<'a>>,
) -> Result<(), StoreError>
where
    K: Key + 'static,
    K::SelfType<'a>: Ord,
{
    keys.sort_unstable();
    let entries: Vec<_> = keys.into_iter().map(|key| (key, ())).collect();
    insert_sorted(name, table, &entries)
}

/// A run through the cursor that is shorter than this was not worth the search for its place ...
const SHORT_RUN: usize = 4;
/// ... so that many keys after it are inserted one by one. Where new keys fall between old ones everywhere, a
/// cursor for each of them costs twice an insert.
const STRETCH: usize = 256;

/// Inserts entries in ascending order of keys that are new. A run of keys between two neighbours in the table goes
/// through redb's cursor, which fills pages without searching for each key.
pub(super) fn insert_sorted<'a, K, V>(
    name: &'static str,
    table: &mut Table<'_, K, V>,
    entries: &[(K::SelfType<'a>, V::SelfType<'a>)],
) -> Result<(), StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
{
    // So few are not worth a cursor either.
    let (few, mut rest) = match entries.len() {
        ..SHORT_RUN => (entries, &[][..]),
        _ => (&[][..], entries),
    };
    for (key, value) in few {
        insert_new(name, table, key, value)?;
    }
    while let Some((first, _)) = rest.first() {
        let placed = insert_run(table, rest)?;
        if placed == 0 {
            return Err(StoreError::duplicate(name, format!("{first:?}")));
        }
        rest = &rest[placed..];
        if placed < SHORT_RUN {
            let (stretch, behind) = rest.split_at(STRETCH.min(rest.len()));
            for (key, value) in stretch {
                insert_new(name, table, key, value)?;
            }
            rest = behind;
        }
    }
    Ok(())
}

/// Removes entries by keys in ascending order; one that is not there is as good as removed. A run of keys that are neighbours in the
/// table is cut out of it as a whole.
pub(super) fn remove_sorted<'a, K, V>(
    table: &mut Table<'_, K, V>,
    keys: &'a [K::SelfType<'a>],
) -> Result<(), StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
{
    let mut rest = keys;
    while !rest.is_empty() {
        let length = match rest.len() {
            ..SHORT_RUN => 0,
            _ => run(table, rest)?,
        };
        match &rest[..length] {
            [first, .., last] if length >= SHORT_RUN => {
                table.retain_in::<K::SelfType<'a>, _>(first..=last, |_, _| false)?;
                rest = &rest[length..];
            }
            _ => {
                let (stretch, behind) = rest.split_at(STRETCH.min(rest.len()));
                for key in stretch {
                    table.remove(key)?;
                }
                rest = behind;
            }
        }
    }
    Ok(())
}

/// How many of these keys follow one another in the table, from the first one on.
fn run<'a, K, V>(table: &Table<'_, K, V>, keys: &'a [K::SelfType<'a>]) -> Result<usize, StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
{
    let Some(first) = keys.first() else { return Ok(0) };
    let mut entries = table.range::<K::SelfType<'a>>(first..)?;
    for (length, key) in keys.iter().enumerate() {
        let Some((found, _)) = entries.next().transpose()? else {
            return Ok(length);
        };
        let order = K::compare(K::as_bytes(&found.value()).as_ref(), K::as_bytes(key).as_ref());
        if order.is_ne() {
            return Ok(length);
        }
    }
    Ok(keys.len())
}

/// Inserts entries up to the next key that the table has already; says how many.
fn insert_run<'a, K, V>(
    table: &mut Table<'_, K, V>,
    entries: &[(K::SelfType<'a>, V::SelfType<'a>)],
) -> Result<usize, StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
{
    let Some((first, _)) = entries.first() else {
        return Ok(0);
    };
    let mut cursor = table.lower_bound_mut(Bound::Included(first))?;
    let mut placed = 0;
    for (key, value) in entries {
        match cursor.insert_before(key, value) {
            Ok(()) => placed += 1,
            Err(CursorError::UnorderedKey) => break,
            Err(error) => return Err(error.into()),
        }
    }
    cursor.close()?;
    Ok(placed)
}

/// Counts new devices: names are cloned once a run of equal ones, not once a device.
fn count(txn: &mut Txn<'_>, devices: &[&Device]) {
    let mut devices = devices.iter();
    let Some(first) = devices.next() else { return };
    let (mut run, mut length) = (*first, 1);
    let alike = |a: &Device, b: &Device| {
        a.model == b.model
            && a.site == b.site
            && a.groups == b.groups
            && a.lifecycle.state() == b.lifecycle.state()
            && a.verification.state() == b.verification.state()
    };
    let mut add = |device: &Device, by: i64| Count::of(device).for_each(|count| txn.counts.add(count, by));
    for device in devices {
        if alike(run, device) {
            length += 1;
        } else {
            add(run, length);
            (run, length) = (*device, 1);
        }
    }
    add(run, length);
}

/// For keys in ascending order, what the table has under each. Between two neighbours of the table nothing is
/// searched: a block of new keys costs one look.
pub(super) fn find_sorted<'a, K>(
    table: &impl ReadableTable<K, u128>,
    keys: &[K::SelfType<'a>],
) -> Result<Vec<Option<u128>>, StoreError>
where
    K: Key + 'static,
{
    use std::cmp::Ordering::{Equal, Greater, Less};
    let mut found = Vec::with_capacity(keys.len());
    // The smallest entry at or behind the last key that was searched.
    let mut ahead = None;
    let mut searched = false;
    for key in keys {
        let bytes = K::as_bytes(key);
        let order = |ahead: &Option<(redb::AccessGuard<'_, K>, redb::AccessGuard<'_, u128>)>| match ahead {
            Some((next, _)) => K::compare(K::as_bytes(&next.value()).as_ref(), bytes.as_ref()),
            None => Greater,
        };
        if !searched || order(&ahead) == Less {
            ahead = table.lower_bound(Bound::Included(key))?.next()?;
            searched = true;
        }
        found.push(match (order(&ahead), &ahead) {
            (Equal, Some((_, id))) => Some(id.value()),
            (Less | Equal | Greater, _) => None,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, proptest};
    use redb::{Database, ReadableTableMetadata as _, TableDefinition, backends::InMemoryBackend};
    use std::collections::BTreeSet;

    const NUMBERS: TableDefinition<'_, u64, ()> = TableDefinition::new("numbers");

    proptest! {
        /// Runs that are there, that are not, single keys among them: what is left is what is left of a set.
        #[test]
        fn whatever_is_removed_is_gone_and_nothing_else(
            known in prop::collection::btree_set(0u64..400, 0..300),
            keys in prop::collection::btree_set(0u64..400, 0..300),
            from in 0u64..400,
            length in 0u64..200,
        ) {
            let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            let write = database.begin_write().unwrap();
            let mut table = write.open_table(NUMBERS).unwrap();
            // A stretch without gaps, which random sets have not.
            let known: BTreeSet<u64> = known.into_iter().chain(from..from + length).collect();
            for number in &known {
                table.insert(number, ()).unwrap();
            }
            let keys: BTreeSet<u64> = keys.into_iter().chain(from + length / 4..from + length / 2).collect();
            remove_sorted(&mut table, &keys.iter().copied().collect::<Vec<_>>()).unwrap();
            let left: Vec<u64> = table.iter().unwrap().map(|entry| entry.unwrap().0.value()).collect();
            assert_eq!(left, known.difference(&keys).copied().collect::<Vec<_>>());
            assert_eq!(table.len().unwrap(), u64::try_from(left.len()).unwrap());
        }
    }
}
