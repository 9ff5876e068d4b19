//! Devices that match a running change only now: found among all devices once, and from then on among those that change.

use super::{
    super::{OrFault as _, Service},
    perform::Broken,
    plan::{PAGE, SCANNED, filter},
};
use crate::{
    fault::Failure,
    store::{Changed, DeviceQuery, Store, Watcher},
};
use muster_domain::{
    catalog::Catalog,
    change::{Change, ChangeRecord},
    device::{Device, DeviceField},
    filter::{CheckedFilter, evaluate},
    ids::{ChangeId, DeviceId},
};
use std::{collections::BTreeMap, sync::Arc};

/// Who looks out for late ones. All of it is in memory, and bounded: after a restart, or when more changed than is remembered, all
/// devices are looked at once more.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// There while any change takes late ones.
    watcher: Option<Watcher>,
    /// The look at all devices, of each of these changes.
    looks: BTreeMap<ChangeId, Look>,
    /// Whose groups the filters were read with.
    catalog: Option<Arc<Catalog>>,
}

/// How far a look at all devices is.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// Behind this device; `None`: at the beginning.
    Behind(Option<DeviceId>),
    /// Through.
    Over,
}

/// A change that takes late ones.
struct Open {
    change: Arc<Change>,
    filter: Option<CheckedFilter<DeviceField>>,
}

impl Lookout {
    /// Devices that changed since the last time. Where it is not known which, looks at all of them begin anew.
    fn changed(&mut self, store: &Store, catalog: &Arc<Catalog>) -> Vec<DeviceId> {
        let known = self.catalog.replace(Arc::clone(catalog));
        // A group can have other members without any device being another.
        let is_same = |known: &Arc<Catalog>| Arc::ptr_eq(known, catalog) || known.groups == catalog.groups;
        if !known.as_ref().is_some_and(is_same) {
            self.looks.clear();
        }
        let Some(watcher) = &self.watcher else {
            self.watcher = Some(store.look_out());
            self.looks.clear();
            return Vec::new();
        };
        match watcher.take() {
            Changed::Devices(ids) => ids,
            Changed::TooMany => {
                self.looks.clear();
                Vec::new()
            }
        }
    }

    /// Whom a change lacks because of a fault is found by another look at all.
    fn fail(&mut self, change: ChangeId, failure: Failure, broken: &mut Broken) {
        self.looks.remove(&change);
        broken.insert(change, failure);
    }
}

impl Open {
    /// None where nobody may join, or where a group of its filters is no more.
    fn of(record: &ChangeRecord, catalog: &Catalog) -> Option<Self> {
        let (change, canary) = (&record.change, record.change.strategy.canary.as_deref());
        filter(canary.unwrap_or_default(), catalog).ok()?;
        let filter = filter(&change.filter, catalog).ok()?;
        (record.room_for_late() > 0).then(|| Self {
            change: Arc::new(change.clone()),
            filter,
        })
    }
}

impl Service {
    /// Lets devices join that match only now: those that changed, and of each change one more part of all. Whether there are more
    /// parts to look at. A change with a fault is among the broken ones then, and looks at all devices anew when it is none any more.
    ///
    /// # Errors
    /// Faults that are of no one change.
    pub(super) async fn let_late_join(
        &self,
        lookout: &mut Lookout,
        open: &[ChangeRecord],
        broken: &mut Broken,
    ) -> Result<bool, Failure> {
        let catalog = self.store.catalog();
        let open: Vec<_> = open
            .iter()
            .filter(|record| !broken.contains_key(&record.change.id))
            .filter_map(|record| Open::of(record, &catalog))
            .collect();
        if open.is_empty() {
            *lookout = Lookout::default();
            return Ok(false);
        }
        let changed = lookout.changed(&self.store, &catalog);
        lookout
            .looks
            .retain(|id, _| open.iter().any(|open| open.change.id == *id));
        for part in changed.chunks(PAGE) {
            let found = self.store.devices_of(part.to_vec()).await;
            let found = found
                .or_fault("load devices")
                .inspect_err(|_| lookout.looks.clear())?;
            let found: Vec<_> = found.into_iter().filter_map(|(_, device)| device).collect();
            let fit = open.iter().filter(|open| !broken.contains_key(&open.change.id));
            for open in fit.collect::<Vec<_>>() {
                let matches = |device: &&Device| {
                    open.filter
                        .as_ref()
                        .is_none_or(|filter| evaluate(filter, *device))
                };
                let matching = found.iter().filter(matches).cloned().collect();
                if let Err(failure) = self.join(&open.change, &catalog, matching).await {
                    lookout.fail(open.change.id, failure, broken);
                }
            }
        }
        let mut is_more = false;
        for open in open {
            let id = open.change.id;
            if broken.contains_key(&id) {
                continue;
            }
            let Look::Behind(after) = *lookout.looks.entry(id).or_insert(Look::Behind(None)) else {
                continue;
            };
            match self.look_on(open, &catalog, after).await {
                Ok(look) => {
                    is_more |= matches!(look, Look::Behind(_));
                    lookout.looks.insert(id, look);
                }
                Err(failure) => lookout.fail(id, failure, broken),
            }
        }
        Ok(is_more)
    }

    /// Looks at one more part of all devices.
    async fn look_on(
        &self,
        open: Open,
        catalog: &Arc<Catalog>,
        after: Option<DeviceId>,
    ) -> Result<Look, Failure> {
        let query = DeviceQuery {
            filter: open.filter,
            after,
            limit: PAGE,
            scan_limit: SCANNED,
        };
        let (devices, next) = self.page(&query).await?;
        self.join(&open.change, catalog, devices).await?;
        Ok(next.map_or(Look::Over, |next| Look::Behind(Some(next))))
    }

    /// Judges devices as a plan does, and lets those join that would be targets.
    async fn join(
        &self,
        change: &Arc<Change>,
        catalog: &Arc<Catalog>,
        devices: Vec<Device>,
    ) -> Result<(), Failure> {
        if devices.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let judged = self.judge(change, catalog, devices, now).await?;
        let joining: Vec<_> = judged
            .into_iter()
            .filter_map(super::survey::Judged::joining)
            .collect();
        if !joining.is_empty() {
            let joined = self.store.join_change(change.id, joining, now).await;
            joined.or_fault("let devices join a change")?;
        }
        Ok(())
    }
}
