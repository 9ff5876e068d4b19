//! Applying models, sites, profiles, firmware policies and naming rules.

use super::{OrFault as _, Service, operator};
use crate::{fault::Failure, mqtt::bus::Down, store::DeviceQuery};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    catalog::{Applied, Resource},
    device::schema,
    filter::Filter,
    names::SiteCode,
};

/// Most resources of one call.
pub(crate) const APPLY_LIMIT: usize = 1000;

impl Service {
    /// Creates or replaces resources, all or none. The inner error lists every mistake.
    pub async fn apply(
        &self,
        permit: &Permit,
        resources: Vec<(Resource, String)>,
        validate_only: bool,
    ) -> Result<Result<Vec<Applied>, Vec<Refusal>>, Failure> {
        let mut problems = Vec::new();
        for (place, (resource, _)) in resources.iter().enumerate() {
            if let Resource::Site(site) = resource
                && !site.time_zone.is_empty()
                && jiff::tz::TimeZone::get(&site.time_zone).is_err()
            {
                let why = format!("{:?} is not a time zone of the IANA database", site.time_zone);
                problems
                    .push(Refusal::new(Code::SiteInvalid, why).at(format!("resources[{place}].time_zone")));
            }
        }
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let author = operator(permit)?.name.clone();
        let sites: Vec<Option<SiteCode>> = resources.iter().map(|(resource, _)| site(resource)).collect();
        let (resources, messages) = resources.into_iter().unzip();
        let applied = self
            .store
            .apply_catalog(resources, author, messages, self.clock.now(), validate_only);
        let applied = applied.await.or_fault("apply resources")?;
        if let Ok(applied) = &applied
            && !validate_only
        {
            let edited = sites
                .into_iter()
                .zip(applied)
                .filter_map(|(site, applied)| match applied {
                    Applied::Updated(_) => site,
                    Applied::Created(_) | Applied::Unchanged(_) => None,
                });
            tokio::spawn(tell_devices_of(self.clone(), edited.collect()));
        }
        Ok(applied)
    }
}

fn site(resource: &Resource) -> Option<SiteCode> {
    match resource {
        Resource::Site(site) => Some(site.code.clone()),
        Resource::Model(_)
        | Resource::Profile(_)
        | Resource::FirmwarePolicy(..)
        | Resource::Mapping(_)
        | Resource::NamingRule(_) => None,
    }
}

/// Devices looked at in one step.
const STEP: usize = 1000;

/// Tells the connected devices of edited sites to fetch their new location; the others learn it when they connect.
async fn tell_devices_of(service: Service, sites: Vec<SiteCode>) {
    for site in sites {
        let filter = Filter::parse(&format!("site = \"{site}\"")).and_then(|filter| filter.check(schema()));
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => {
                tracing::error!(%site, %error, "devices of a site cannot be found");
                continue;
            }
        };
        let mut after = None;
        loop {
            let query = DeviceQuery {
                filter: Some(filter.clone()),
                after,
                limit: STEP,
                scan_limit: STEP,
            };
            let page = match service.store.list_devices(query).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%site, %error, "devices of a site cannot be listed");
                    break;
                }
            };
            for device in page
                .devices
                .iter()
                .filter(|device| service.bus.is_connected(device.id))
            {
                service.tell(Down::DesiredChanged(device.id));
            }
            match page.next {
                Some(next) if !service.stopping.is_cancelled() => after = Some(next),
                Some(_) | None => break,
            }
        }
    }
}
