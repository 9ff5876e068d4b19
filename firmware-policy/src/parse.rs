//! Written policy to checked policy. Every part is read even if an earlier one was wrong, so that the author
//! sees all problems at once; `check.rs` then looks for contradictions among the parts that could be read.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use semver::VersionReq;

use crate::artifact::Artifact;
use crate::check::{self, Named};
use crate::policy::{FirmwarePolicy, SteppingStone, Update};
use crate::problem::{Collector, Defect, Problems};
use crate::rollout::Percentage;
use crate::rule::{Blocked, VersionRules};
use crate::selector::{Pattern, Selector};
use crate::source::{
    ArtifactSource, BlockedSource, PermitSource, PolicySource, SelectorSource, UpdateSource,
};
use crate::text::{self, MAX_SENTENCE, MAX_WORD, bounded};
use crate::version::FirmwareVersion;

/// Most entries of any list in a policy. It bounds what a device has to hold and to look through; policies
/// in practice have a handful.
const MAX_ENTRIES: usize = 256;
/// Longest range in bytes.
const MAX_RANGE: usize = 256;

impl TryFrom<PolicySource> for FirmwarePolicy {
    type Error = Problems;

    fn try_from(source: PolicySource) -> Result<Self, Problems> {
        let mut found = Collector::default();
        let name = found.take("name", text::name(&source.name));
        let applies_to = selector(&mut found, &source.applies_to);
        let permit = permit(&mut found, &source.permit);
        let fallback_salt = name.clone().unwrap_or_default();
        let (update, named) = match &source.update {
            Some(source) => update(&mut found, source, fallback_salt),
            None => (Part::Whole(None), Vec::new()),
        };
        if let Some(permit) = &permit {
            check::versions_are_permitted(&mut found, permit, &named);
        }
        check::no_stone_is_skipped(&mut found, &named);

        let policy = match (name, applies_to, permit, update) {
            (Some(name), Some(applies_to), Some(permit), Part::Whole(update)) => Some(Self {
                name,
                applies_to,
                permit,
                update,
            }),
            _ => None,
        };
        found.finish(policy)
    }
}

/// A part of a policy that may be absent in good order, which `Option` alone could not tell from broken.
enum Part<T> {
    Whole(T),
    Broken,
}

fn selector(found: &mut Collector, source: &SelectorSource) -> Option<Selector> {
    if source.models.is_empty() {
        found.report("applies_to.models", Defect::Empty);
    }
    let models = list(found, "applies_to.models", &source.models);
    let hardware_revisions = list(found, "applies_to.hardware_revisions", &source.hardware_revisions);
    let labels = labels(found, &source.labels);
    Some(Selector {
        models: models?,
        hardware_revisions: hardware_revisions?,
        labels: labels?,
    })
}

fn labels(
    found: &mut Collector,
    source: &BTreeMap<String, Vec<String>>,
) -> Option<BTreeMap<String, Vec<Pattern>>> {
    let mut labels = Some(BTreeMap::new());
    if source.len() > MAX_ENTRIES {
        found.report("applies_to.labels", Defect::TooMany(MAX_ENTRIES));
    }
    for (label, values) in source.iter().take(MAX_ENTRIES) {
        let path = format!("applies_to.labels.{label}");
        let label = found.take(&path, bounded(label, MAX_WORD));
        if values.is_empty() {
            found.report(&path, Defect::Empty);
        }
        let values = list(found, &path, values);
        labels = labels
            .zip(label.zip(values))
            .map(|(mut labels, (label, values))| {
                labels.insert(label, values);
                labels
            });
    }
    labels
}

/// `None` only if the range could not be read. Other broken parts are left out, so that what is left can
/// still be held against the versions that the policy names.
fn permit(found: &mut Collector, source: &PermitSource) -> Option<VersionRules> {
    let range = found.take("permit.range", range(source.range.as_deref().unwrap_or("*")));
    let minimum = optional(found, "permit.minimum", &source.minimum, version_without_build);
    let mut blocked = Vec::new();
    let sources = up_to_limit(found, "permit.blocked", &source.blocked);
    for (index, source) in sources.iter().enumerate() {
        blocked.extend(block(found, index, source));
    }
    check::nothing_is_blocked_twice(found, sources);
    Some(VersionRules {
        range: range?,
        prereleases: source.prereleases,
        minimum,
        blocked,
    })
}

fn range(text: &str) -> Result<VersionReq, Defect> {
    text::check_length(text, MAX_RANGE)?;
    VersionReq::parse(text).map_err(|error| Defect::NotARange(error.to_string()))
}

fn block(found: &mut Collector, index: usize, source: &BlockedSource) -> Option<Blocked> {
    let path = format!("permit.blocked[{index}]");
    let version = found.take(format_args!("{path}.version"), source.version.parse());
    let because = optional(found, format_args!("{path}.because"), &source.because, |text| {
        bounded(text, MAX_SENTENCE)
    });
    Some(Blocked {
        version: version?,
        because,
    })
}

/// The update, and the versions that it names, as far as they could be read.
fn update(
    found: &mut Collector,
    source: &UpdateSource,
    fallback_salt: String,
) -> (Part<Option<Update>>, Vec<Named>) {
    let mut named = Vec::new();
    let windows = list(found, "update.windows", &source.windows);
    let rollout = optional(found, "update.rollout", &source.rollout, str::parse);
    let salt = optional(found, "update.rollout_salt", &source.rollout_salt, text::name);
    let deadline = optional(found, "update.deadline", &source.deadline, str::parse);
    let target = artifact(found, "update.target", None, &source.target, &mut named);
    let stepping_stones = stepping_stones(found, source, &mut named);
    let update = windows
        .zip(target)
        .zip(stepping_stones)
        .map(|((windows, target), stepping_stones)| Update {
            target,
            stepping_stones,
            allow_downgrade: source.allow_downgrade,
            unreadable_version: source.unreadable_version,
            when_forbidden: source.when_forbidden,
            windows,
            rollout: rollout.unwrap_or(Percentage::ALL),
            rollout_salt: salt.unwrap_or(fallback_salt),
            deadline,
        });
    (
        update.map_or(Part::Broken, |update| Part::Whole(Some(update))),
        named,
    )
}

fn stepping_stones(
    found: &mut Collector,
    source: &UpdateSource,
    named: &mut Vec<Named>,
) -> Option<Vec<SteppingStone>> {
    let mut stones = Some(Vec::new());
    let sources = up_to_limit(found, "update.stepping_stones", &source.stepping_stones);
    for (index, source) in sources.iter().enumerate() {
        let path = format!("update.stepping_stones[{index}]");
        let below = found.take(format_args!("{path}.below"), version_without_build(&source.below));
        let through = artifact(
            found,
            &format!("{path}.through"),
            below.clone(),
            &source.through,
            named,
        );
        stones = stones
            .zip(below.zip(through))
            .map(|(mut stones, (below, through))| {
                stones.push(SteppingStone { below, through });
                stones
            });
    }
    stones
}

fn artifact(
    found: &mut Collector,
    path: &str,
    below: Option<FirmwareVersion>,
    source: &ArtifactSource,
    named: &mut Vec<Named>,
) -> Option<Artifact> {
    let version: Option<FirmwareVersion> = found.take(format_args!("{path}.version"), source.version.parse());
    let url = found.take(format_args!("{path}.url"), source.url.parse());
    let sha256 = found.take(format_args!("{path}.sha256"), source.sha256.parse());
    let size = found.take(
        format_args!("{path}.size"),
        NonZeroU64::new(source.size).ok_or(Defect::ZeroSize),
    );
    let signature = optional(
        found,
        format_args!("{path}.signature"),
        &source.signature,
        str::parse,
    );
    let version = version?;
    let artifact = url.zip(sha256).zip(size).map(|((url, sha256), size)| Artifact {
        version: version.clone(),
        url,
        sha256,
        size,
        signature,
    });
    if let Some(artifact) = &artifact {
        check::one_artifact_a_version(found, path, artifact, named);
    }
    named.push(Named {
        path: path.to_string(),
        version,
        below,
        artifact: artifact.clone(),
    });
    artifact
}

fn version_without_build(text: &str) -> Result<FirmwareVersion, Defect> {
    text.parse().and_then(FirmwareVersion::without_build)
}

fn list<T: FromStr<Err = Defect>>(found: &mut Collector, path: &str, texts: &[String]) -> Option<Vec<T>> {
    let texts = up_to_limit(found, path, texts);
    let mut values = Some(Vec::with_capacity(texts.len()));
    for (index, text) in texts.iter().enumerate() {
        let value = found.take(format_args!("{path}[{index}]"), text.parse());
        values = values.zip(value).map(|(mut values, value)| {
            values.push(value);
            values
        });
    }
    values
}

/// The value if it is there and good; what is wrong with it is noted.
fn optional<T>(
    found: &mut Collector,
    path: impl fmt::Display,
    text: &Option<String>,
    parse: impl Fn(&str) -> Result<T, Defect>,
) -> Option<T> {
    text.as_deref().and_then(|text| found.take(path, parse(text)))
}

/// The entries up to the limit; that there are more is noted. The rest is not looked at, because checks that
/// compare entries with each other take quadratic time.
fn up_to_limit<'a, T>(found: &mut Collector, path: &str, entries: &'a [T]) -> &'a [T] {
    entries.get(..MAX_ENTRIES).map_or(entries, |within| {
        if within.len() < entries.len() {
            found.report(path, Defect::TooMany(MAX_ENTRIES));
        }
        within
    })
}
