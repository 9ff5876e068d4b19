//! What tests do to a store behind its back.

use super::{
    Store,
    index::{state_key, verification_key},
    record::Record as _,
    tables,
};
use crate::store::StoreError;
use muster_domain::{
    device::{Device, Presence},
    ids::DeviceId,
};
use std::sync::{Mutex, mpsc::Receiver};

impl Store {
    /// Everything on record, as text.
    pub(in crate::store) fn dump(&self) -> Result<Vec<String>, StoreError> {
        tables::dump(&self.read()?)
    }

    /// A command that panics after it wrote.
    pub(in crate::store) async fn panic(&self) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.write().by_state.insert((9, 9), ())?;
            panic!("a test panics");
        })
        .await
    }

    /// Keeps the writer until told to go on; what is queued meanwhile becomes one group.
    pub(in crate::store) async fn hold(&self, until: Receiver<()>) -> Result<(), StoreError> {
        let until = Mutex::new(until);
        // So heavy that nothing joins it.
        self.write_rows(usize::MAX, move |_| {
            until.lock().unwrap().recv().unwrap();
            Ok(())
        })
        .await
    }

    /// Cuts the record of a device short.
    pub(in crate::store) async fn damage(&self, id: DeviceId) {
        let damaged = self.write(move |txn| {
            let tables = txn.write();
            tables.devices.insert(id.as_u128(), [0, 1, 2].as_slice())?;
            Ok(())
        });
        damaged.await.unwrap();
    }

    /// Removes what a table says of a device that has claimed.
    pub(in crate::store) async fn unhinge(&self, table: &'static str, device: &Device) {
        let device = device.clone();
        let unhinged = self.write(move |txn| {
            let id = device.id.as_u128();
            let tables = txn.write();
            match table {
                "serials" => drop(tables.serials.remove(device.serial.as_str())?),
                "macs" => drop(tables.macs.remove(device.mac.unwrap().key())?),
                "by_model" => drop(tables.by_model.remove((device.model.as_str(), id))?),
                "by_site" => drop(
                    tables
                        .by_site
                        .remove((device.site.as_ref().unwrap().as_str(), id))?,
                ),
                "by_state" => {
                    // One too many, of a state that it does not have.
                    tables.by_state.insert(
                        (state_key(muster_domain::device::LifecycleState::Retired), id),
                        (),
                    )?;
                }
                "by_verification" => {
                    let key = verification_key(device.verification.state());
                    tables.by_verification.remove((key, id))?;
                }
                "by_batch" => drop(tables.by_batch.remove((device.origin.batch.as_u128(), id))?),
                "keys" => drop(tables.keys.pop_first()?),
                "counts" => drop(tables.counts.pop_first()?),
                "parts" => drop(tables.parts.pop_first()?),
                "seeds" => drop(tables.seeds.pop_first()?),
                "open_batches" => drop(tables.open_batches.pop_first()?),
                // Of no batch.
                "part_keys" => drop(tables.part_keys.insert((id, 0, 0), [1].as_slice())?),
                "former" => drop(tables.former.insert((id, 0, 0), (0, [1].as_slice()))?),
                // Of no device.
                "presence" => {
                    let presence = Presence::online(device.created, [192, 0, 2, 1].into());
                    tables.presence.insert(u128::MAX, presence.encode()?.as_slice())?;
                }
                "audit" => drop(tables.audit.remove(2)?),
                other => panic!("{other}"),
            }
            Ok(())
        });
        unhinged.await.unwrap();
    }
}
