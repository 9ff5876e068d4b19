//! Contradictions between the fields of a policy.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use crate::artifact::Artifact;
use crate::problem::{Collector, Defect};
use crate::rule::{InRange, VersionRules};
use crate::source::BlockedSource;
use crate::version::FirmwareVersion;

/// A version that a policy would have devices install, and where it says so.
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) version: FirmwareVersion,
    /// The boundary of a stepping stone; `None` for the target, or if it could not be read.
    pub(crate) below: Option<FirmwareVersion>,
    /// The image, if all of it could be read.
    pub(crate) artifact: Option<Artifact>,
}

/// Nothing may be installed that must not run. Only the minimum spares stepping stones, because the devices
/// that need them are below it themselves.
pub(crate) fn versions_are_permitted(found: &mut Collector, permit: &VersionRules, named: &[Named]) {
    for Named { path, version, .. } in named {
        let path = format!("{path}.version");
        match permit.in_range(version) {
            InRange::Inside => {}
            InRange::Prerelease => found.report(&path, Defect::PrereleaseNotPermitted),
            InRange::Outside => found.report(&path, Defect::OutsideRange(permit.range.to_string())),
        }
        // Overlap rather than coverage: if one build of the target is blocked, the target has to say which
        // build it means, or a device on the blocked one would be both on target and forbidden.
        if let Some(blocked) = permit
            .blocked
            .iter()
            .find(|blocked| blocked.version.overlaps(version))
        {
            found.report(&path, Defect::Blocked(blocked.version.to_string()));
        }
        let below_minimum = permit
            .minimum
            .as_ref()
            .filter(|minimum| version.is_below(minimum));
        if let (Some(minimum), "update.target.version") = (below_minimum, path.as_str()) {
            found.report(&path, Defect::BelowMinimum(minimum.to_string()));
        }
    }
}

/// Two reasons for one block could contradict each other. Compares texts, so it needs no readable version.
pub(crate) fn nothing_is_blocked_twice(found: &mut Collector, blocked: &[BlockedSource]) {
    let mut first_at = BTreeMap::new();
    for (index, BlockedSource { version, .. }) in blocked.iter().enumerate() {
        let first = *first_at.entry(version).or_insert(index);
        if first < index {
            let defect = Defect::Duplicate(format!("permit.blocked[{first}].version"));
            found.report(format_args!("permit.blocked[{index}].version"), defect);
        }
    }
}

/// Evaluation has no memory: what a device has passed shows only in what it runs. So a device that lands on
/// one stone must still be below the boundary of every higher stone that was on its way.
pub(crate) fn no_stone_is_skipped(found: &mut Collector, named: &[Named]) {
    let stones = || {
        named
            .iter()
            .filter_map(|stone| Some((stone, stone.below.as_ref()?)))
    };
    for (stone, below) in stones() {
        let skipping = stones()
            .find(|(other, _)| other.version.is_below(&stone.version) && !other.version.is_below(below));
        if let Some((other, _)) = skipping {
            let defect = Defect::SkippedBy {
                at: other.path.clone(),
                landing: other.version.to_string(),
            };
            found.report(format_args!("{}.below", stone.path), defect);
        }
    }
}

/// One version is one image: otherwise devices would reach the same version by different bytes.
pub(crate) fn one_artifact_a_version(
    found: &mut Collector,
    path: &str,
    artifact: &Artifact,
    earlier: &[Named],
) {
    let other = earlier.iter().find(|named| {
        named.version == artifact.version && named.artifact.as_ref().is_some_and(|other| other != artifact)
    });
    if let Some(other) = other {
        found.report(path, Defect::OtherArtifact(other.path.clone()));
    }
}
