//! The checked policy.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::problem::Problems;
use crate::rollout::{Bucket, Percentage};
use crate::rule::VersionRules;
use crate::selector::Selector;
use crate::source::PolicySource;
use crate::time::Timestamp;
use crate::version::FirmwareVersion;
use crate::window::Window;

/// A firmware policy that is known to be consistent.
///
/// It can only be made from a [`PolicySource`], which is also its one serialised form, so that whoever reads
/// a policy, from a file, a store or the wire, checks it again. What holds of every value:
///
/// - the target and all stepping stones are in the permitted range, not blocked, and have an artifact;
/// - the target is not below the minimum;
/// - no stepping stone leads past another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PolicySource", into = "PolicySource")]
pub struct FirmwarePolicy {
    pub(crate) name: String,
    pub(crate) applies_to: Selector,
    pub(crate) permit: VersionRules,
    pub(crate) update: Option<Update>,
}

impl FirmwarePolicy {
    /// Checks a written policy. The problems are the author's to mend, and all of them are reported.
    pub fn parse(source: PolicySource) -> Result<Self, Problems> {
        source.try_into()
    }

    /// The policy's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which devices the policy is for.
    pub fn applies_to(&self) -> &Selector {
        &self.applies_to
    }

    /// Which versions may run.
    pub fn permit(&self) -> &VersionRules {
        &self.permit
    }

    /// Which version is wanted, and when it may be installed; `None` if the policy only says what may run.
    pub fn update(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    /// The images that the policy would have devices install, each with its place, such as `update.target`.
    pub fn images(&self) -> impl Iterator<Item = (String, &Artifact)> {
        let target = self.update().map(|update| &update.target);
        let stones = self
            .update()
            .into_iter()
            .flat_map(|update| &update.stepping_stones);
        let stones = stones.enumerate().map(|(place, stone)| {
            let path = format!("update.stepping_stones[{place}].through");
            (path, &stone.through)
        });
        target
            .map(|target| ("update.target".to_owned(), target))
            .into_iter()
            .chain(stones)
    }

    /// The policy in its canonical written form.
    pub fn to_source(&self) -> PolicySource {
        self.into()
    }
}

/// Which version is wanted, how to get there, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The version wanted, with its image.
    pub target: Artifact,
    /// Versions that cannot be jumped over.
    pub stepping_stones: Vec<SteppingStone>,
    /// Whether devices that run something newer than the target go back to it. Stepping stones are for the
    /// way up only: a way back is direct.
    pub allow_downgrade: bool,
    /// What to do about devices whose version cannot be read.
    pub unreadable_version: UnreadableVersion,
    /// Whether devices whose version is forbidden wait for their turn.
    pub when_forbidden: WhenForbidden,
    /// When devices may install, in their local time; empty for any time.
    pub windows: Vec<Window>,
    /// Which part of the fleet may install. 0 % is a stop that nothing overrides, not even the deadline:
    /// an operator who stops a bad rollout must not meet it again when the deadline comes.
    pub rollout: Percentage,
    /// Decides the order of devices in the rollout. The policy's name unless another was given, so that it
    /// stays the same over the policy's revisions.
    pub rollout_salt: String,
    /// From this moment on neither windows nor rollout hold a device back.
    pub deadline: Option<Timestamp>,
}

impl Update {
    /// A device's place in the order of this rollout.
    pub fn bucket(&self, device: &str) -> Bucket {
        Bucket::of(&self.rollout_salt, device)
    }
}

/// A version that cannot be jumped over: an update that crosses from below `below` to `below` or above must
/// first install `through`, unless the device already runs that or something newer.
///
/// `through` may be below the boundary (the last version that can read the old partition table) or at or
/// above it (the version that rewrites the partition table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SteppingStone {
    /// The boundary.
    pub below: FirmwareVersion,
    /// The version to install first, with its image.
    pub through: Artifact,
}

impl SteppingStone {
    /// Whether an update from `running` to `target` must stop here. `None` is older than everything.
    pub(crate) fn is_on_the_way(&self, running: Option<&FirmwareVersion>, target: &FirmwareVersion) -> bool {
        let is_below = |version| running.is_none_or(|running| running.is_below(version));
        let crosses = is_below(&self.below) && !target.is_below(&self.below);
        crosses && is_below(&self.through.version) && self.through.version.is_below(target)
    }
}

/// What to do about a device that reports a version which is not a semantic version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnreadableVersion {
    /// Leave it alone until a person has looked.
    #[default]
    Hold,
    /// Take it to be older than any version, as factory images often are, and send it up all stepping stones.
    TreatAsOldest,
}

/// Whether a device that must not stay on its version waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenForbidden {
    /// It waits for rollout and windows like any other. The default, because otherwise raising the minimum
    /// by mistake would set the whole fleet off at once.
    #[default]
    Wait,
    /// It goes at once, like after the deadline: for versions that do harm while they run.
    AtOnce,
}
