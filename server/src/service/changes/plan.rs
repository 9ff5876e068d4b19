//! The plan of a change: every device that matches is looked at once, and what is kept of it are some fifty bytes.
//!
//! The order: void what an earlier plan left, look at all devices (those that are left out are written down at once), deal the
//! targets out to stages, write them down, and only then say that this is the plan.

use super::{
    super::{OrFault as _, Service, actor, blocking},
    list::Settled,
};
use crate::{
    fault::{Failure, Fault},
    store::{DeviceQuery, Joining, PlanPart, PlanTotals, StoreError},
};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::Permit,
    catalog::Catalog,
    change::{
        Candidate, Change, ChangePlanHasher, ChangeRecord, DeviceList, Exclusion, ExclusionKind, Former,
        Planned, Planner, Standing, Tally, Target, TargetDigest, TargetState, spread,
    },
    desired::{Digests, PartDigest},
    device::{Device, DeviceField, check_filter},
    filter::{CheckedFilter, Filter, evaluate},
    ids::{ChangeId, DeviceId},
    names::{ModelName, SiteCode},
};
use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

/// Devices of one look.
pub(super) const PAGE: usize = 8192;
/// Devices looked at for them.
pub(super) const SCANNED: usize = 32_768;
/// Targets of one transaction.
const PART: usize = 32_768;

/// What a device is that was judged.
pub(super) struct Judged {
    device: DeviceId,
    revision: u64,
    site: Option<SiteCode>,
    model: ModelName,
    is_canary: bool,
    judged: Result<Planned, Exclusion>,
}

/// What is kept of a target until all are found.
struct Entry {
    device: DeviceId,
    kind: u32,
    former: u32,
    digest: TargetDigest,
    becomes: Option<PartDigest>,
    can_prove: bool,
    is_canary: bool,
}

/// Equal values, each kept once.
struct Interned<T> {
    places: HashMap<T, u32>,
    values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn new() -> Self {
        Self {
            places: HashMap::new(),
            values: Vec::new(),
        }
    }

    fn place(&mut self, value: T) -> u32 {
        if let Some(known) = self.places.get(&value) {
            return *known;
        }
        let place = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.places.insert(value, place);
        place
    }

    fn value(&self, place: u32) -> Option<&T> {
        self.values.get(usize::try_from(place).ok()?)
    }
}

/// All devices that match, in the order of their ids.
pub(super) struct Survey {
    entries: Vec<Entry>,
    kinds: Interned<(Option<SiteCode>, ModelName)>,
    formers: Interned<Former>,
    excluded: Vec<(DeviceId, ExclusionKind)>,
}

/// The survey, dealt out.
struct Dealt {
    survey: Survey,
    stages: Vec<u16>,
    /// Of each kind.
    zones: Vec<u16>,
    totals: PlanTotals,
}

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
        let (change, attempt) = (Arc::new(record.change), record.attempt);
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
        let dealt = blocking("deal out targets", move || deal(&change, &catalog, survey, list));
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

fn judged(
    change: &Change,
    catalog: &Catalog,
    canary: Option<&CheckedFilter<DeviceField>>,
    devices: Vec<Device>,
    holders: &[Option<ChangeId>],
    now: Timestamp,
) -> Vec<Judged> {
    let mut planner = Planner::new(change, Digests::new(catalog), now);
    let devices = devices.into_iter().zip(holders);
    devices
        .map(|(device, holder)| {
            let judged = planner.judge(&device, *holder);
            Judged {
                is_canary: canary.is_some_and(|canary| evaluate(canary, &device)),
                device: device.id,
                revision: device.revision,
                site: device.site,
                model: device.model,
                judged,
            }
        })
        .collect()
}

impl Judged {
    /// As one that comes late, if it would be a target.
    pub(super) fn joining(self) -> Option<Joining> {
        Some(Joining {
            device: self.device,
            revision: self.revision,
            planned: self.judged.ok()?,
        })
    }
}

impl Survey {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            kinds: Interned::new(),
            formers: Interned::new(),
            excluded: Vec::new(),
        }
    }

    /// Notes devices that are left out, and gives them on.
    pub(super) fn leave_out(
        &mut self,
        excluded: impl Iterator<Item = (DeviceId, Exclusion)>,
    ) -> Vec<(DeviceId, Exclusion)> {
        let excluded: Vec<_> = excluded.collect();
        let kinds = excluded.iter().map(|(device, why)| (*device, why.kind()));
        self.excluded.extend(kinds);
        excluded
    }

    /// Brings what is left out back into the order of ids.
    pub(super) fn sort(&mut self) {
        self.excluded.sort_unstable_by_key(|(device, _)| *device);
    }

    /// Keeps what has to be kept; gives those back that are left out, with the reasons.
    pub(super) fn note(&mut self, judged: Vec<Judged>) -> Vec<(DeviceId, Exclusion)> {
        let mut excluded = Vec::new();
        for one in judged {
            let Judged {
                device, site, model, ..
            } = one;
            match one.judged {
                Ok(planned) => self.entries.push(Entry {
                    device,
                    kind: self.kinds.place((site, model)),
                    digest: planned.digest(),
                    becomes: planned.becomes,
                    can_prove: planned.can_prove,
                    is_canary: one.is_canary,
                    former: self.formers.place(planned.former),
                }),
                Err(why) => {
                    self.excluded.push((device, why.kind()));
                    excluded.push((device, why));
                }
            }
        }
        excluded
    }
}

/// Gives every target its stage, and the plan its name.
fn deal(
    change: &Change,
    catalog: &Catalog,
    survey: Survey,
    list: Option<DeviceList>,
) -> Result<Dealt, Refusal> {
    let stages = &change.strategy.stages;
    let placed = placed(change, &survey.entries)?;
    let mut tallies = vec![Tally::default(); stages.len()];
    for stage in &placed {
        if let Some(tally) = tallies.get_mut(usize::from(*stage)) {
            tally.add(Standing::Waiting);
        }
    }
    let mut counts = BTreeMap::<_, u32>::new();
    for (_, kind) in &survey.excluded {
        *counts.entry(*kind).or_default() += 1;
    }
    let (zones, names) = zones(change, catalog, &survey.kinds.values);
    let totals = PlanTotals {
        plan: name(change, &survey, &placed),
        tallies,
        excluded: counts,
        zones: names,
        list,
    };
    Ok(Dealt {
        survey,
        stages: placed,
        zones,
        totals,
    })
}

/// The stage of each target: canaries first, where there are any, then the others as a picture of all of them. Who can prove nothing
/// shows nothing in a pilot, and comes last.
fn placed(change: &Change, entries: &[Entry]) -> Result<Vec<u16>, Refusal> {
    let (stages, has_canary) = (&change.strategy.stages, change.strategy.canary.is_some());
    let first = usize::from(has_canary);
    let spread_out = stages.get(first..).unwrap_or_default();
    let able = entries.iter().filter(|entry| entry.can_prove && !entry.is_canary);
    let able: Vec<_> = able
        .map(|entry| Candidate {
            device: entry.device,
            kind: entry.kind,
        })
        .collect();
    if has_canary && !entries.iter().any(|entry| entry.can_prove && entry.is_canary) {
        let why = "matches no target that could prove the change: nothing would come before all others";
        return Err(Refusal::new(Code::ChangeInvalid, why).at("strategy.canary"));
    }
    let last = u16::try_from(stages.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let mut spread = spread(change.id, &able, spread_out).into_iter();
    let stage = |entry: &Entry| match (entry.can_prove, entry.is_canary) {
        (false, _) => last,
        (true, true) => 0,
        (true, false) => spread.next().map_or(last, |stage| stage + u16::from(has_canary)),
    };
    Ok(entries.iter().map(stage).collect())
}

/// The time zone of each kind of target, and their names; of changes without windows none is asked for.
fn zones(
    change: &Change,
    catalog: &Catalog,
    kinds: &[(Option<SiteCode>, ModelName)],
) -> (Vec<u16>, Vec<String>) {
    if change.strategy.windows.is_empty() {
        return (vec![0; kinds.len()], Vec::new());
    }
    let mut names = Interned::new();
    let zone = |(site, _): &(Option<SiteCode>, ModelName)| {
        let site = site.as_ref().and_then(|site| catalog.sites.get(site));
        let name = site.map(|site| site.time_zone.clone()).unwrap_or_default();
        u16::try_from(names.place(name)).unwrap_or_default()
    };
    let zones = kinds.iter().map(zone).collect();
    (zones, names.values)
}

/// The hash of all of it, in the order of the ids.
fn name(change: &Change, survey: &Survey, placed: &[u16]) -> muster_domain::batch::PlanHash {
    let mut hasher = ChangePlanHasher::new(change);
    let mut excluded = survey.excluded.iter().peekable();
    for (entry, stage) in survey.entries.iter().zip(placed) {
        while let Some((device, kind)) = excluded.next_if(|(device, _)| *device < entry.device) {
            hasher.excluded(*device, *kind);
        }
        hasher.target(entry.device, *stage, entry.digest);
    }
    excluded.for_each(|(device, kind)| hasher.excluded(*device, *kind));
    hasher.finish()
}

impl Dealt {
    /// The targets of a stage.
    fn targets(&self, stage: u16) -> impl Iterator<Item = Target> {
        let entries = self.survey.entries.iter().zip(&self.stages);
        entries
            .filter(move |(_, at)| **at == stage)
            .map(move |(entry, _)| {
                let kind = self.survey.kinds.value(entry.kind);
                let former = self.survey.formers.value(entry.former).cloned();
                Target {
                    device: entry.device,
                    stage,
                    site: kind.and_then(|(site, _)| site.clone()),
                    zone: usize::try_from(entry.kind)
                        .ok()
                        .and_then(|kind| self.zones.get(kind).copied())
                        .unwrap_or_default(),
                    becomes: entry.becomes,
                    // Every place was given with its value.
                    former: former.unwrap_or(Former::Gone),
                    repairs: 0,
                    late: false,
                    state: TargetState::Waiting { reached: None },
                }
            })
    }
}
