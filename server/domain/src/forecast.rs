//! What a firmware policy would make of a fleet: every device is judged as it will judge itself, and what comes out alike is
//! counted together.

use crate::{
    catalog::Channels,
    device::{Device, LifecycleState},
    ids::DeviceId,
    names::{ChannelName, Serial},
};
use muster_firmware_policy::{
    Decision, Facts, FirmwareVersion, Reason, Running, Timestamp, Urgency, UtcOffset, evaluate,
};
use std::collections::{BTreeMap, btree_map::Entry};

/// Most kinds of answers that are told apart; what is beyond them is counted by outcome alone.
pub const KIND_LIMIT: usize = 1000;
/// Devices named for each kind.
pub const EXAMPLES: usize = 3;

/// What comes of a device, the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It must leave what it runs, and does so at once.
    InstallForbidden,
    /// It installs at once, since the deadline has passed.
    InstallOverdue,
    /// It installs at once.
    Install,
    /// It installs later: its window is closed, or the rollout has not reached it.
    Wait,
    /// It cannot meet the policy by itself.
    Stuck,
    /// It has nothing to do.
    Compliant,
    /// The policy is not for it.
    NotApplicable,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InstallForbidden,
        Self::InstallOverdue,
        Self::Install,
        Self::Wait,
        Self::Stuck,
        Self::Compliant,
        Self::NotApplicable,
    ];

    const fn of(decision: &Decision) -> Self {
        match decision {
            Decision::NotApplicable => Self::NotApplicable,
            Decision::Compliant => Self::Compliant,
            Decision::Install(install) => match install.urgency {
                Urgency::Routine => Self::Install,
                Urgency::Overdue => Self::InstallOverdue,
                Urgency::Forbidden => Self::InstallForbidden,
            },
            Decision::Wait(_) => Self::Wait,
            Decision::Stuck => Self::Stuck,
        }
    }
}

/// What is foretold of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foretold {
    /// Which.
    pub device: DeviceId,
    /// Its serial.
    pub serial: Serial,
    /// The channel of the policy that it follows.
    pub channel: Option<ChannelName>,
    /// What comes of it.
    pub outcome: Outcome,
    /// What it runs, as far as anybody knows.
    pub running: Option<FirmwareVersion>,
    /// It has not said what it runs: what it left the factory with stands for that.
    pub is_assumed: bool,
    /// What it would install, the next first.
    pub versions: Vec<FirmwareVersion>,
    /// When to look again: time alone may change the answer then.
    pub until: Option<Timestamp>,
    /// Why, as the device itself would say it.
    pub reasons: Vec<Reason>,
    /// The whole answer in words.
    pub explanation: String,
}

/// What answers of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// What comes of the devices.
    pub outcome: Outcome,
    /// The channel of the policy that they follow.
    pub channel: Option<ChannelName>,
    /// What they run; empty when nobody knows.
    pub running: String,
    /// What they would install, the next first.
    pub versions: Vec<String>,
    /// Why, without what is each device's own.
    pub why: String,
}

/// Devices with one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alike {
    /// How many.
    pub count: u64,
    /// Of these, those of which only the factory's firmware is known.
    pub assumed: u64,
    /// The first of them.
    pub examples: Vec<Serial>,
}

/// What a policy would make of the devices that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Devices by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Devices by answer, of at most [`KIND_LIMIT`] kinds.
    pub kinds: BTreeMap<Kind, Alike>,
    /// Devices whose answer was of another kind still.
    pub beyond: u64,
}

/// What the policy would make of a device at that moment; nothing of one that is retired. `utc_offset` is that of its site then.
pub fn foretell(
    policy: &Channels,
    device: &Device,
    utc_offset: Option<UtcOffset>,
    at: Timestamp,
) -> Option<Foretold> {
    if device.lifecycle.state() == LifecycleState::Retired {
        return None;
    }
    let said = device.reported.as_ref().and_then(|said| said.firmware.as_ref());
    let known = said.or(device.factory_firmware.as_ref());
    let running = known.map_or(Running::Unreported, |version| {
        Running::from_report(&version.to_string())
    });
    let facts = Facts {
        device: device.id.to_string(),
        model: device.model.to_string(),
        hardware_revision: device.hardware.clone(),
        labels: device.labels.clone(),
        running,
        utc_offset,
    };
    let channel = policy.followed(&device.labels);
    let evaluation = evaluate(policy.policy(channel), &facts, at);
    let (versions, until) = match &evaluation.decision {
        Decision::Install(install) => {
            let first = std::iter::once(&install.artifact.version);
            (
                first.chain(&install.then).cloned().collect(),
                install.window_closes,
            )
        }
        Decision::Wait(wait) => (vec![wait.version.clone()], wait.until),
        Decision::NotApplicable | Decision::Compliant | Decision::Stuck => (Vec::new(), None),
    };
    Some(Foretold {
        device: device.id,
        serial: device.serial.clone(),
        channel: channel.cloned(),
        outcome: Outcome::of(&evaluation.decision),
        is_assumed: said.is_none() && known.is_some(),
        versions,
        until,
        explanation: evaluation.explain(),
        reasons: evaluation.reasons,
        running: match facts.running {
            Running::Version(version) => Some(version),
            Running::Unreported | Running::Unreadable(_) => None,
        },
    })
}

/// A reason as many devices have it.
fn common(reason: &Reason) -> String {
    if let Reason::NotInRollout { rollout, .. } = reason {
        format!("The rollout is at {rollout} and has not reached the device.")
    } else {
        reason.to_string()
    }
}

impl Foretold {
    fn kind(&self) -> Kind {
        let reasons: Vec<_> = self.reasons.iter().map(common).collect();
        Kind {
            outcome: self.outcome,
            channel: self.channel.clone(),
            running: self.running.as_ref().map(ToString::to_string).unwrap_or_default(),
            versions: self.versions.iter().map(ToString::to_string).collect(),
            why: reasons.join(" "),
        }
    }
}

impl Alike {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.assumed += other.assumed;
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

impl Forecast {
    /// Counts a device.
    pub fn add(&mut self, foretold: &Foretold) {
        *self.outcomes.entry(foretold.outcome).or_default() += 1;
        let alike = Alike {
            count: 1,
            assumed: foretold.is_assumed.into(),
            examples: vec![foretold.serial.clone()],
        };
        self.add_alike(foretold.kind(), alike);
    }

    /// Counts those of another forecast, of devices that come after these.
    pub fn append(&mut self, other: Self) {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.beyond += other.beyond;
        for (kind, alike) in other.kinds {
            self.add_alike(kind, alike);
        }
    }

    fn add_alike(&mut self, kind: Kind, alike: Alike) {
        let is_full = self.kinds.len() >= KIND_LIMIT;
        match self.kinds.entry(kind) {
            Entry::Occupied(mut known) => known.get_mut().add(alike),
            Entry::Vacant(free) if !is_full => drop(free.insert(alike)),
            Entry::Vacant(_) => self.beyond += alike.count,
        }
    }

    /// Devices that were looked at.
    pub fn devices(&self) -> u64 {
        self.outcomes.values().sum()
    }
}
