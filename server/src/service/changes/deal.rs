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
        Candidate, Change, ChangePlanHasher, DeviceList, Former, Standing, Tally, Target, TargetState, Zone,
        spread,
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

/// Gives every target its stage, and the plan its name; and its zone, by this catalog, where targets are begun zone by zone.
pub(super) fn deal(
    change: &Change,
    catalog: Option<&Catalog>,
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
    let (zones, named) = zones(change, catalog, &survey.kinds.values)?;
    let totals = PlanTotals {
        plan: name(change, &survey, &placed, &named),
        tallies,
        excluded: counts,
        zones: named,
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

/// The zone of each kind of target, and all of them; without a catalog none is asked for.
fn zones(
    change: &Change,
    catalog: Option<&Catalog>,
    kinds: &[(Option<SiteCode>, ModelName)],
) -> Result<(Vec<u16>, Vec<Zone>), Refusal> {
    let Some(catalog) = catalog else {
        return Ok((vec![0; kinds.len()], Vec::new()));
    };
    let mut zones = Interned::new();
    let place = |(site, _): &(Option<SiteCode>, ModelName)| {
        let zone = Zone::of(catalog, site.as_ref(), change.priority);
        u16::try_from(zones.place(zone)).map_err(|_| {
            let why = "its sites have more than 65536 different maintenance windows; make a change of fewer";
            Refusal::new(Code::ChangeInvalid, why).at("filter")
        })
    };
    let places = kinds.iter().map(place).collect::<Result<_, _>>()?;
    Ok((places, zones.values))
}

/// The hash of all of it, in the order of the ids.
fn name(change: &Change, survey: &Survey, placed: &[u16], zones: &[Zone]) -> PlanHash {
    let mut hasher = ChangePlanHasher::new(change);
    let mut excluded = survey.excluded.iter().peekable();
    for (entry, stage) in survey.entries.iter().zip(placed) {
        while let Some((device, kind)) = excluded.next_if(|(device, _)| *device < entry.device) {
            hasher.excluded(*device, *kind);
        }
        hasher.target(entry.device, *stage, entry.digest);
    }
    excluded.for_each(|(device, kind)| hasher.excluded(*device, *kind));
    let windowed = zones.iter().filter(|zone| !zone.windows.is_empty());
    windowed.for_each(|zone| hasher.zone(zone));
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
