//! Targets dealt out to stages, and the name of the plan that they make.

use super::{
    interned::Interned,
    survey::{Entry, Survey},
};
use crate::store::PlanTotals;
use muster_domain::{
    Code, Refusal,
    batch::PlanHash,
    catalog::Catalog,
    change::{
        Candidate, Change, ChangePlanHasher, DeviceList, Former, Standing, Tally, Target, TargetState, spread,
    },
    names::{ModelName, SiteCode},
};
use std::collections::BTreeMap;

/// The survey, dealt out.
pub(super) struct Dealt {
    survey: Survey,
    stages: Vec<u16>,
    /// Of each kind.
    zones: Vec<u16>,
    pub(super) totals: PlanTotals,
}

/// Gives every target its stage, and the plan its name.
pub(super) fn deal(
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
fn name(change: &Change, survey: &Survey, placed: &[u16]) -> PlanHash {
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
    pub(super) fn targets(&self, stage: u16) -> impl Iterator<Item = Target> {
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
