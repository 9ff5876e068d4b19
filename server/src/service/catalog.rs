//! Applying models, sites, groups, profiles, firmware policies and naming rules.

use super::{OrFault as _, Service, operator, outdated::Edited};
use crate::fault::Failure;
use muster_domain::{
    Code, Refusal,
    access::Permit,
    catalog::{Applied, Resource},
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
        let before = self.store.catalog();
        let named: Vec<_> = resources.iter().map(|(resource, _)| resource.clone()).collect();
        let (resources, messages) = resources.into_iter().unzip();
        let applied = self
            .store
            .apply_catalog(resources, author, messages, self.clock.now(), validate_only);
        let applied = applied.await.or_fault("apply resources")?;
        if let Ok(applied) = &applied
            && !validate_only
        {
            let edits = named.iter().zip(applied);
            let edits: Vec<_> = edits
                .filter_map(|(resource, applied)| Edited::of(resource, *applied))
                .collect();
            if !edits.is_empty() {
                // Watchers whose filters name a group look at what it is now.
                self.store.wake_watchers();
                tokio::spawn(self.clone().tell_of_edits(edits, before));
            }
        }
        Ok(applied)
    }
}
