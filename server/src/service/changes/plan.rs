//! The plan of a change: every device that matches is looked at once, and what is kept of it are some fifty bytes.
//!
//! The order: void what an earlier plan left, look at all devices (those that are left out are written down at once), deal the
//! targets out to stages, write them down, and only then say that this is the plan.

use super::{
    super::{OrFault as _, Service, actor, blocking},
    deal::{Dealt, deal},
    list::Settled,
    survey::{Judged, Survey, judged},
};
use crate::{
    fault::{Failure, Fault},
    store::{DeviceQuery, PlanPart, StoreError},
};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::Permit,
    catalog::Catalog,
    change::{Change, ChangeRecord, Exclusion, Target},
    device::{Device, DeviceField, check_filter},
    filter::{CheckedFilter, Filter},
    ids::{ChangeId, DeviceId},
};
use std::sync::Arc;

/// Devices of one look.
pub(super) const PAGE: usize = 8192;
/// Devices looked at for them.
pub(super) const SCANNED: usize = 32_768;
/// Targets of one transaction.
const PART: usize = 32_768;

impl Service {
    /// Lists every target of a change, with its stage and what becomes of it; a plan that it had is void. Long for a large fleet;
    /// when it is cut, the change has no plan.
    ///
    /// # Errors
    /// Refusals of the step; or a fault.
    pub async fn plan_change(
        &self,
        permit: &Permit,
        id: ChangeId,
        expected_revision: Option<u64>,
    ) -> Result<ChangeRecord, Failure> {
        let actor = actor(permit)?;
        let _turn = self.turns.planning.lock().await;
        let now = self.clock.now();
        let begun = self.store.begin_plan(id, expected_revision, now).await;
        let record = begun.or_fault("begin a plan")??;
        let (is_zoned, attempt) = (record.is_zoned, record.attempt);
        let change = Arc::new(record.change);
        while self
            .store
            .void_plan(id, attempt)
            .await
            .or_fault("void a plan")??
        {}
        let (survey, list) = match change.list {
            None => (self.survey(&change, attempt, now).await?, None),
            Some(list) => {
                let Settled { devices, mut list } = self.settle(id, attempt, list).await?;
                let (survey, gone) = self.survey_listed(&change, attempt, devices, now).await?;
                list.unknown += gone;
                (survey, Some(list))
            }
        };
        let catalog = self.store.catalog();
        let dealt = blocking("deal out targets", move || {
            deal(&change, is_zoned.then_some(&*catalog), survey, list)
        });
        let dealt = dealt.await??;
        self.write_targets(id, attempt, &dealt).await?;
        let finished = self
            .store
            .finish_plan(id, attempt, dealt.totals, actor, self.clock.now())
            .await;
        Ok(finished.or_fault("finish a plan")??)
    }

    /// Looks at every device that matches: while two threads judge those of one page, the next one is read.
    async fn survey(&self, change: &Arc<Change>, attempt: u32, now: Timestamp) -> Result<Survey, Failure> {
        let mut survey = Survey::new();
        let catalog = self.store.catalog();
        let mut query = DeviceQuery {
            filter: filter(&change.filter, &catalog)?,
            after: None,
            limit: PAGE,
            scan_limit: SCANNED,
        };
        let mut page = self.page(&query).await?;
        loop {
            if self.stopping.is_cancelled() {
                return Err(super::super::stopping().into());
            }
            query.after = page.1;
            let next = async {
                match query.after {
                    Some(_) => self.page(&query).await.map(Some),
                    None => Ok(None),
                }
            };
            let (judged, next) = tokio::try_join!(self.judge(change, &catalog, page.0, now), next)?;
            let excluded = survey.note(judged);
            self.write_excluded(change.id, attempt, excluded).await?;
            match next {
                Some(next) => page = next,
                None => return Ok(survey),
            }
        }
    }

    pub(super) async fn page(&self, query: &DeviceQuery) -> Result<(Vec<Device>, Option<DeviceId>), Failure> {
        let page = self.store.list_devices(query.clone()).await;
        let page = page.or_fault("list devices")?;
        Ok((page.devices, page.next))
    }

    pub(super) async fn judge(
        &self,
        change: &Arc<Change>,
        catalog: &Arc<Catalog>,
        mut devices: Vec<Device>,
        now: Timestamp,
    ) -> Result<Vec<Judged>, Failure> {
        let canary = filter(change.strategy.canary.as_deref().unwrap_or_default(), catalog)?;
        let rest = devices.split_off(devices.len() / 2);
        let half = |part: Vec<Device>| {
            let (store, change, catalog) = (self.store.clone(), Arc::clone(change), Arc::clone(catalog));
            let canary = canary.clone();
            let doing = "judge devices of a change";
            async move {
                let judged = blocking(doing, move || {
                    let ids: Vec<_> = part.iter().map(|device| device.id).collect();
                    let holders = store.holders(&ids, change.action.facets(), change.priority)?;
                    Ok::<_, StoreError>(judged(&change, &catalog, canary.as_ref(), part, &holders, now))
                });
                judged.await?.or_fault(doing)
            }
        };
        let (mut judged, more): (Vec<Judged>, Vec<Judged>) =
            tokio::try_join!(half(devices), half(rest)).map_err(|fault: Fault| Failure::from(fault))?;
        judged.extend(more);
        Ok(judged)
    }

    async fn write_targets(&self, id: ChangeId, attempt: u32, dealt: &Dealt) -> Result<(), Failure> {
        let mut targets = Vec::with_capacity(PART);
        for stage in 0..u16::try_from(dealt.totals.tallies.len()).unwrap_or(u16::MAX) {
            for target in dealt.targets(stage) {
                targets.push(target);
                if targets.len() == PART {
                    self.write_part(id, attempt, std::mem::take(&mut targets)).await?;
                }
            }
        }
        self.write_part(id, attempt, targets).await
    }

    pub(super) async fn write_excluded(
        &self,
        id: ChangeId,
        attempt: u32,
        excluded: Vec<(DeviceId, Exclusion)>,
    ) -> Result<(), Failure> {
        if excluded.is_empty() {
            return Ok(());
        }
        let part = PlanPart {
            targets: Vec::new(),
            excluded,
        };
        let written = self.store.write_plan(id, attempt, part).await;
        Ok(written.or_fault("write a plan")??)
    }

    async fn write_part(&self, id: ChangeId, attempt: u32, targets: Vec<Target>) -> Result<(), Failure> {
        let part = PlanPart {
            targets,
            excluded: Vec::new(),
        };
        let written = self.store.write_plan(id, attempt, part).await;
        Ok(written.or_fault("write a plan")??)
    }
}

/// The filter of a change, which was read when the change was made; its groups are those of now.
pub(super) fn filter(text: &str, catalog: &Catalog) -> Result<Option<CheckedFilter<DeviceField>>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = Filter::parse(text).and_then(|filter| check_filter(&filter, catalog));
    read.map(Some)
        .map_err(|why| Refusal::new(Code::FilterInvalid, why.to_string()).at("filter"))
}
