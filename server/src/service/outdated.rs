//! Devices that must become something else because the catalog, or their place in it, is another: connected ones are told, the
//! others learn it when they connect.

use super::{OrFault as _, Service, blocking};
use crate::{fault::Fault, mqtt::bus::Down, store::DeviceQuery};
use muster_domain::{
    catalog::{Applied, Catalog, Resource},
    desired::Digests,
    device::{Device, DeviceField, check_filter},
    filter::{CheckedFilter, Filter},
    names::{GroupName, SiteCode},
};
use std::sync::Arc;

/// Devices looked at in one step.
const STEP: usize = 1000;

/// What of an applied resource reaches devices without a change: places and memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edited {
    Site(SiteCode),
    Group(GroupName),
}

impl Edited {
    /// Of a resource that was applied; `None` where devices need not hear of it.
    pub(super) fn of(resource: &Resource, applied: Applied) -> Option<Self> {
        match (resource, applied) {
            (Resource::Site(site), Applied::Updated(_)) => Some(Self::Site(site.code.clone())),
            (Resource::Group(group), Applied::Updated(_)) => Some(Self::Group(group.name.clone())),
            (
                Resource::Site(_)
                | Resource::Group(_)
                | Resource::Model(_)
                | Resource::Profile(_)
                | Resource::FirmwarePolicy(..)
                | Resource::Mapping(_)
                | Resource::NamingRule(_),
                _,
            ) => None,
        }
    }

    /// Filters for the devices whom it may concern: those of the site and below it, who were members and who are.
    fn filters(&self, before: &Catalog, after: &Catalog) -> Vec<CheckedFilter<DeviceField>> {
        let texts: Vec<_> = match self {
            Self::Site(code) => {
                let below = after.sites.keys().filter(|site| after.is_within(site, code));
                below.map(|site| (format!("site = \"{site}\""), after)).collect()
            }
            // No value of a profile asks who its members are.
            Self::Group(name) if !is_valued(after, name) => Vec::new(),
            Self::Group(name) => [before, after]
                .map(|catalog| (format!("group = \"{name}\""), catalog))
                .into(),
        };
        let filters = texts.into_iter().filter_map(|(text, catalog)| {
            let filter = Filter::parse(&text).and_then(|filter| check_filter(&filter, catalog));
            filter
                .inspect_err(|error| tracing::error!(%error, text, "devices of an edit cannot be found"))
                .ok()
        });
        filters.collect()
    }
}

/// Has some revision of a profile values for this group?
fn is_valued(catalog: &Catalog, group: &GroupName) -> bool {
    let mut revisions = catalog.profiles.values().flatten();
    revisions.any(|revision| revision.content.values.names_group(group))
}

/// Of these devices, those that are not to be what they were told.
fn outdated(catalog: &Catalog, devices: Vec<Device>) -> Vec<Device> {
    let mut digests = Digests::new(catalog);
    let mut devices = devices;
    // What does not render is told as well: the fault is logged where it is served.
    devices.retain(|device| digests.of(device).ok() != Some(device.target.digest));
    devices
}

impl Service {
    /// Tells connected devices that must become something else to fetch it.
    pub(super) async fn tell_outdated(&self, mut devices: Vec<Device>) -> Result<(), Fault> {
        devices.retain(|device| self.bus.is_connected(device.id));
        if devices.is_empty() {
            return Ok(());
        }
        let catalog = self.store.catalog();
        let outdated = blocking("compare desired states", move || outdated(&catalog, devices)).await?;
        for device in outdated {
            self.tell(Down::DesiredChanged(device.id));
        }
        Ok(())
    }

    /// Tells the devices that edits of the catalog concern; `before` is the catalog as it was.
    pub(super) async fn tell_of_edits(self, edits: Vec<Edited>, before: Arc<Catalog>) {
        let after = self.store.catalog();
        let filters = edits.iter().flat_map(|edit| edit.filters(&before, &after));
        for filter in filters {
            // The fault is in the log.
            if self.tell_matching(filter).await.is_err() {
                break;
            }
        }
    }

    async fn tell_matching(&self, filter: CheckedFilter<DeviceField>) -> Result<(), Fault> {
        let mut query = DeviceQuery {
            filter: Some(filter),
            after: None,
            limit: STEP,
            scan_limit: STEP,
        };
        loop {
            let page = self.store.list_devices(query.clone()).await;
            let page = page.or_fault("list devices of an edit")?;
            self.tell_outdated(page.devices).await?;
            match page.next {
                Some(next) if !self.stopping.is_cancelled() => query.after = Some(next),
                Some(_) | None => return Ok(()),
            }
        }
    }
}
