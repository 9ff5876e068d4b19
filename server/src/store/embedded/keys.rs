//! The keys that devices have, or must come with: each is one device's alone (A7).

use super::{certificates, index, txn::Txn};
use crate::store::StoreError;
use muster_domain::{Code, Refusal, certificate::SpkiDigest, device::Device, ids::DeviceId};
use redb::ReadableTable as _;

/// May this device have this key? Not where another one has it, nor where it is blocked.
pub(super) fn may_have(
    txn: &Txn<'_>,
    device: DeviceId,
    key: SpkiDigest,
) -> Result<Result<(), Refusal>, StoreError> {
    let tables = txn.tables();
    let holder = tables.keys.get(&key.0)?.map(|holder| holder.value());
    if holder.is_some_and(|holder| holder != device.as_u128()) {
        return Ok(Err(Refusal::new(Code::KeyInUse, "another device holds this key")));
    }
    certificates::is_open(&tables.blocked_keys, key)
}

/// The key that `after` has and `before` had not.
pub(super) fn gained(before: &Device, after: &Device) -> Option<SpkiDigest> {
    let key = after.lifecycle.key();
    key.filter(|key| before.lifecycle.keys().all(|had| had != *key))
}

/// Keys that the device had and has no more are free for others.
pub(super) fn free(txn: &mut Txn<'_>, before: &Device, after: &Device) -> Result<(), StoreError> {
    let kept: Vec<_> = after.lifecycle.keys().collect();
    for key in before.lifecycle.keys().filter(|key| !kept.contains(key)) {
        txn.write().keys.remove(&key.0)?;
    }
    Ok(())
}

/// The same, and notes whose the key is that it has instead. [`may_have`] was asked.
pub(super) fn replace(txn: &mut Txn<'_>, before: &Device, after: &Device) -> Result<(), StoreError> {
    free(txn, before, after)?;
    match gained(before, after) {
        Some(key) => {
            let keys = &mut txn.write().keys;
            index::insert_new("keys", keys, &key.0, after.id.as_u128())
        }
        None => Ok(()),
    }
}
