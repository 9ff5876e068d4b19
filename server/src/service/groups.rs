//! Devices in static groups.

use super::{OrFault as _, Service, actor};
use crate::{
    fault::Failure,
    store::{DeviceName, GroupOutcome, GroupUpdate},
};
use muster_domain::{access::Permit, device::Membership, names::GroupName};

impl Service {
    /// Adds devices to a static group or removes them; what became of each is in the order asked. Connected ones that must be
    /// something else by that hear of it.
    ///
    /// # Errors
    /// [`Code::NotFound`](muster_domain::Code::NotFound) and [`Code::GroupRuled`](muster_domain::Code::GroupRuled) of the
    /// group; or a fault.
    pub async fn update_group(
        &self,
        permit: &Permit,
        group: GroupName,
        membership: Membership,
        devices: Vec<DeviceName>,
    ) -> Result<Vec<GroupOutcome>, Failure> {
        let update = GroupUpdate {
            group,
            membership,
            devices,
            actor: actor(permit)?,
            now: self.clock.now(),
        };
        let outcomes = self.store.update_group(update).await;
        let outcomes = outcomes.or_fault("change the members of a group")??;
        let changed = outcomes
            .iter()
            .filter_map(|outcome| outcome.clone().ok().flatten());
        self.tell_outdated(changed.collect()).await?;
        Ok(outcomes)
    }
}
