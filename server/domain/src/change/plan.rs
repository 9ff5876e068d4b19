//! The plan of a change: every device that matches, as a target or left out with the reason.

use super::{Action, Change, Former, Zone};
use crate::{
    Refusal, Timestamp,
    activation::CodeHash,
    batch::{Fields, PlanHash},
    desired::{ContentDigest, Digests, PartDigest, json},
    device::{ClaimWindow, Device, KeyChoice, Lifecycle, LifecycleState, Transition},
    ids::{ChangeId, DeviceId},
    names::SiteCode,
};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a device is left out that would lose a certificate.
pub(super) const CLAIMED: &str =
    "it has claimed, or begun to: a new code would void its certificate, or let it in after that was revoked";

/// Why a device that matches is no target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exclusion {
    /// It is so already.
    AlreadyThere,
    /// Another change is about the same facet of it.
    Taken(ChangeId),
    /// It was not connected for longer than is waited for.
    Away(Timestamp),
    /// It is retired, or its state does not allow the step.
    Unfit(String),
    /// What it would become does not render; the reasons.
    Unrenderable(String),
    /// It is listed, and does not match the filter.
    Unmatched,
    /// It has claimed, or begun to, and would lose what it claimed.
    Claimed,
    /// No maintenance window of its site is ever open while one of the change is.
    NeverOpen,
}

impl Exclusion {
    /// The kind of reason, for counts.
    pub const fn kind(&self) -> ExclusionKind {
        match self {
            Self::AlreadyThere => ExclusionKind::AlreadyThere,
            Self::Taken(_) => ExclusionKind::Taken,
            Self::Away(_) => ExclusionKind::Away,
            Self::Unfit(_) => ExclusionKind::Unfit,
            Self::Unrenderable(_) => ExclusionKind::Unrenderable,
            Self::Unmatched => ExclusionKind::Unmatched,
            Self::Claimed => ExclusionKind::Claimed,
            Self::NeverOpen => ExclusionKind::NeverOpen,
        }
    }
}

/// The kind of reason for which a device is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants of `Exclusion`")]
pub enum ExclusionKind {
    AlreadyThere,
    Taken,
    Away,
    Unfit,
    Unrenderable,
    Unmatched,
    Claimed,
    NeverOpen,
}

impl ExclusionKind {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyThere => "already there",
            Self::Taken => "in another change",
            Self::Away => "away for too long",
            Self::Unfit => "not in a fit state",
            Self::Unrenderable => "does not render",
            Self::Unmatched => "does not match the filter",
            Self::Claimed => "claimed already",
            Self::NeverOpen => "maintenance windows of its site never meet those of the change",
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyThere => f.write_str("it is so already"),
            Self::Taken(change) => write!(f, "change {change} is about it"),
            Self::Away(since) => write!(f, "it was not connected since {since}"),
            Self::Unfit(why) | Self::Unrenderable(why) => f.write_str(why),
            Self::Unmatched => f.write_str("it does not match the filter"),
            Self::Claimed => f.write_str(CLAIMED),
            Self::NeverOpen => {
                f.write_str("the maintenance windows of its site never meet those of the change")
            }
        }
    }
}

/// What a plan says of a device that is a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What it has now, and gets back on a rollback.
    pub former: Former,
    /// Of what it must be now.
    pub before: ContentDigest,
    /// Of what it must become; the same for steps of its life.
    pub after: ContentDigest,
    /// Of what it must become, what the facets of the change are; none for steps of its life.
    pub becomes: Option<PartDigest>,
    /// Whether it can prove it, where it has to: one that was never claimed, or is shut out, comes last and is done when it is
    /// on record.
    pub can_prove: bool,
}

/// What a plan makes of a target, as its hash sees it: the first half of a SHA-256, short enough to keep one for each of a million
/// targets, and too long to meet by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetDigest([u8; 16]);

impl Planned {
    /// For the hash of the plan.
    pub fn digest(&self) -> TargetDigest {
        let mut fields = Fields::new("target");
        fields.add(&self.before).add(&self.after);
        let PlanHash(full) = fields.plan();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        TargetDigest(half)
    }
}

/// Judges the devices of one change.
#[derive(Debug)]
pub struct Planner<'c> {
    change: &'c Change,
    digests: Digests<'c>,
    now: Timestamp,
    /// Of sites, whether their windows ever meet those of the change.
    meets: BTreeMap<SiteCode, bool>,
}

fn reasons(refusals: &[Refusal]) -> String {
    refusals
        .iter()
        .map(Refusal::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether the device can be asked for proof.
pub fn can_prove(device: &Device) -> bool {
    match device.lifecycle {
        Lifecycle::Claimed { .. } | Lifecycle::Active { .. } => true,
        Lifecycle::Registered { .. } | Lifecycle::Suspended { .. } | Lifecycle::Retired { .. } => false,
    }
}

impl<'c> Planner<'c> {
    /// Of a change, by what the catalog says now.
    pub const fn new(change: &'c Change, digests: Digests<'c>, now: Timestamp) -> Self {
        Self {
            change,
            digests,
            now,
            meets: BTreeMap::new(),
        }
    }

    /// A target, or why not. `holder` is the other change that holds the device's facet and does not give way.
    pub fn judge(&mut self, device: &Device, holder: Option<ChangeId>) -> Result<Planned, Exclusion> {
        if device.lifecycle.state() == LifecycleState::Retired {
            return Err(Exclusion::Unfit("it is retired".into()));
        }
        let action = &self.change.action;
        if action.is_done(device) {
            return Err(Exclusion::AlreadyThere);
        }
        if let Some(holder) = holder {
            return Err(Exclusion::Taken(holder));
        }
        if action.spares(device) {
            return Err(Exclusion::Claimed);
        }
        // Whether a device may have a code does not depend on the code.
        if let Some(transition) = action.transition(CodeHash::NOTHING, self.now) {
            let stepped = device.lifecycle.clone().step(transition, self.now);
            stepped.map_err(|refusal| Exclusion::Unfit(refusal.to_string()))?;
        }
        if *action == Action::RotateCertificate && device.lifecycle.identity().is_none() {
            return Err(Exclusion::Unfit("it has no certificate that is in use".into()));
        }
        if !self.ever_opens(device) {
            return Err(Exclusion::NeverOpen);
        }
        let after = match action.pins(device) {
            Some(pinned) => self.digests.of(&pinned),
            None => Ok(device.target.digest),
        };
        let after = after.map_err(|refusals| Exclusion::Unrenderable(reasons(&refusals)))?;
        let becomes = action.has_content().then(|| self.digests.part(action.facets()));
        let has_to_prove = action.wants_proof_of(device, &after);
        if let Some(since) = self.away_since(device).filter(|_| has_to_prove) {
            return Err(Exclusion::Away(since));
        }
        Ok(Planned {
            former: action.former(device),
            before: device.target.digest,
            after,
            becomes,
            can_prove: has_to_prove || !action.wants_proof(),
        })
    }

    /// Whether the windows of the device's site and those of the change are ever open at once.
    fn ever_opens(&mut self, device: &Device) -> bool {
        let windows = &self.change.strategy.windows;
        let Some(site) = device.site.as_ref().filter(|_| !windows.is_empty()) else {
            return true;
        };
        if let Some(known) = self.meets.get(site) {
            return *known;
        }
        let zone = Zone::of(self.digests.catalog(), Some(site), self.change.priority);
        let meets = windows.meets(&zone.windows);
        self.meets.insert(site.clone(), meets);
        meets
    }

    /// Since when the device is away, if that is too long.
    fn away_since(&self, device: &Device) -> Option<Timestamp> {
        let limit = self.change.strategy.away_limit?;
        let presence = device.presence?;
        let gone = !device.is_online() && presence.since.plus(limit) < self.now;
        gone.then_some(presence.since)
    }
}

impl Action {
    /// The step of a device's life that it is, with this code if it is about codes; none where it is another thing.
    pub fn transition(&self, hash: CodeHash, now: Timestamp) -> Option<Transition> {
        match self {
            Self::ReissueCodes { ttl, .. } => Some(Transition::Reissue {
                hash,
                window: ClaimWindow::until(ttl.map(|ttl| now.plus(ttl))),
                key: KeyChoice::Kept,
            }),
            Self::Suspend(reason) => Some(Transition::Suspend(reason.clone())),
            Self::Resume => Some(Transition::Resume),
            Self::Retire(reason) => Some(Transition::Retire(reason.clone())),
            Self::RotateCertificate
            | Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Relabel(_)
            | Self::Place(_) => None,
        }
    }

    /// Whether this device has to prove it, once its content is this: not if nobody can hear it, nor if its content says nothing
    /// of what changes.
    pub fn wants_proof_of(&self, device: &Device, after: &ContentDigest) -> bool {
        let shows = match self {
            Self::Relabel(_) | Self::Place(_) => device.target.digest != *after,
            Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Suspend(_)
            | Self::Resume
            | Self::Retire(_)
            | Self::ReissueCodes { .. }
            | Self::RotateCertificate => self.wants_proof(),
        };
        shows && can_prove(device)
    }

    /// Whether it gives devices something to pin.
    pub const fn has_content(&self) -> bool {
        match self {
            Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Relabel(_)
            | Self::Place(_) => true,
            Self::Suspend(_)
            | Self::Resume
            | Self::Retire(_)
            | Self::ReissueCodes { .. }
            | Self::RotateCertificate => false,
        }
    }

    /// The device with what it is to pin; none where its content stays.
    pub fn pins(&self, device: &Device) -> Option<Device> {
        let mut device = device.clone();
        match self {
            Self::Profile(name, number) => device.target.profile = Some((name.clone(), *number)),
            Self::FirmwarePolicy(name, number) => {
                device.target.firmware_policy = Some((name.clone(), *number))
            }
            Self::Move(site) => device.site = Some(site.clone()),
            Self::Relabel(relabel) => relabel.apply(&mut device.labels),
            Self::Place(position) => device.position.clone_from(position),
            Self::Suspend(_)
            | Self::Resume
            | Self::Retire(_)
            | Self::ReissueCodes { .. }
            | Self::RotateCertificate => return None,
        }
        Some(device)
    }
}

impl Former {
    /// The device with what it pinned before; none where its content stays.
    pub fn pins(&self, device: &Device) -> Option<Device> {
        let mut device = device.clone();
        match self {
            Self::Profile(profile) => device.target.profile.clone_from(profile),
            Self::FirmwarePolicy(policy) => device.target.firmware_policy.clone_from(policy),
            Self::Site(site) => device.site.clone_from(site),
            Self::Labels(_) => self.give_labels_back(&mut device.labels),
            Self::Position(position) => device.position.clone_from(position),
            Self::Admitted | Self::Suspended(_) | Self::Gone => return None,
        }
        Some(device)
    }

    /// The step of a device's life that brings it back; none where it is another thing.
    pub fn transition(&self) -> Option<Transition> {
        match self {
            Self::Admitted => Some(Transition::Resume),
            Self::Suspended(reason) => Some(Transition::Suspend(reason.clone())),
            Self::Profile(_)
            | Self::FirmwarePolicy(_)
            | Self::Site(_)
            | Self::Gone
            | Self::Labels(_)
            | Self::Position(_) => None,
        }
    }
}

/// Gathers a plan, device by device in the order of their ids.
#[derive(Debug)]
pub struct ChangePlanHasher(Fields);

impl ChangePlanHasher {
    /// Of a change: what it does and how, but not who made it, nor when.
    pub fn new(change: &Change) -> Self {
        let mut fields = Fields::new("muster change plan v1");
        fields.add(&json(&change.action)).add(&json(&change.strategy));
        Self(fields)
    }

    /// A target, its stage, and what is made of it.
    pub fn target(&mut self, device: DeviceId, stage: u16, planned: TargetDigest) {
        self.0
            .number(1)
            .add(&device.as_u128().to_le_bytes())
            .number(stage.into())
            .add(&planned.0);
    }

    /// A device that is left out.
    pub fn excluded(&mut self, device: DeviceId, why: ExclusionKind) {
        self.0
            .number(2)
            .add(&device.as_u128().to_le_bytes())
            .add(why.as_str().as_bytes());
    }

    /// A zone whose targets wait for windows of their sites.
    pub fn zone(&mut self, zone: &Zone) {
        let windows = zone.windows.to_string();
        self.0
            .number(3)
            .add(zone.time_zone.as_bytes())
            .add(windows.as_bytes());
    }

    /// The plan.
    pub fn finish(self) -> PlanHash {
        self.0.plan()
    }
}
