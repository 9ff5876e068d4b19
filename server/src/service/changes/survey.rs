//! What is found of the devices of a change: some fifty bytes of each target, and of each device that is left out.

use super::interned::Interned;
use crate::store::Joining;
use muster_domain::{
    Timestamp,
    catalog::Catalog,
    change::{Change, Exclusion, ExclusionKind, Former, Planned, Planner, TargetDigest},
    desired::{Digests, PartDigest},
    device::{Device, DeviceField},
    filter::{CheckedFilter, evaluate},
    ids::{ChangeId, DeviceId},
    names::{ModelName, SiteCode},
};

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
pub(super) struct Entry {
    pub(super) device: DeviceId,
    pub(super) kind: u32,
    pub(super) former: u32,
    pub(super) digest: TargetDigest,
    pub(super) becomes: Option<PartDigest>,
    pub(super) can_prove: bool,
    pub(super) is_canary: bool,
}

/// All devices that match, in the order of their ids.
pub(super) struct Survey {
    pub(super) entries: Vec<Entry>,
    pub(super) kinds: Interned<(Option<SiteCode>, ModelName)>,
    pub(super) formers: Interned<Former>,
    pub(super) excluded: Vec<(DeviceId, ExclusionKind)>,
}

/// Judges devices, each with the change that holds it.
pub(super) fn judged(
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
