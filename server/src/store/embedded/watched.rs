//! Devices as watchers look at them: some by their ids, or those that changed since a moment.

use super::{Store, listing::page_where, record::load, tables::View};
use crate::store::{DevicePage, DeviceQuery, StoreError, Watcher};
use muster_domain::{Timestamp, device::Device, ids::DeviceId};

/// Did anything of it change at `since` or later, as far as it says when? That its roots changed is not dated; the hello behind
/// it is.
fn is_newer(device: &Device, since: Timestamp) -> bool {
    let reported = device.reported.as_ref().map(|reported| reported.at);
    let present = device.presence.map(|presence| presence.since);
    device.updated >= since || reported >= Some(since) || present >= Some(since)
}

impl Store {
    /// Watches devices from now on; `None` when as many watch as may.
    pub fn watch_devices(&self) -> Option<Watcher> {
        self.live().watches.watch()
    }

    /// Hears of devices that change from now on, for the server itself.
    pub fn look_out(&self) -> Watcher {
        self.live().watches.look_out()
    }

    /// Makes watchers look whether they may still watch.
    pub fn wake_watchers(&self) {
        self.live().watches.wake();
    }

    /// Each of these devices as it is now, if it is.
    pub async fn devices_of(
        &self,
        ids: Vec<DeviceId>,
    ) -> Result<Vec<(DeviceId, Option<Device>)>, StoreError> {
        let store = self.clone();
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            let find = |id: DeviceId| {
                let mut device = load::<Device>(&view.devices, id.as_u128())?;
                if let Some(device) = &mut device {
                    device.presence = store.shared.presences.of(&view.presence, id)?;
                }
                Ok((id, device))
            };
            ids.into_iter().map(find).collect()
        })
        .await
    }

    /// One page of devices of which anything changed at `since` or later, in the order of their ids. It looks at all of them.
    pub async fn devices_since(
        &self,
        since: Timestamp,
        query: DeviceQuery,
    ) -> Result<DevicePage, StoreError> {
        let (store, counts) = (self.clone(), self.counts());
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            page_where(&view, &counts, &store.shared.presences, &query, |device| {
                is_newer(device, since)
            })
        })
        .await
    }
}
