//! Where a device has to go from what it runs, and by which versions.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::artifact::Artifact;
use crate::decision::{Reason, Standing};
use crate::policy::{SteppingStone, UnreadableVersion, Update};
use crate::version::{FirmwareVersion, Running};

/// Where a device has to go.
pub(crate) enum Heading<'a> {
    /// Nowhere: it may stay.
    Stay(Reason),
    /// Elsewhere, but there is no way. The reason says so, unless those of the standing do already.
    Stuck(Option<Reason>),
    /// On, by this route.
    Go(Route<'a>),
}

/// The images to install, in order; never empty.
pub(crate) struct Route<'a> {
    pub(crate) next: &'a Artifact,
    pub(crate) then: Vec<&'a Artifact>,
    pub(crate) reasons: Vec<Reason>,
}

/// Works out the way from what runs to the update's target.
pub(crate) fn heading<'a>(update: &'a Update, running: &Running, standing: Standing) -> Heading<'a> {
    let target = &update.target.version;
    let version = match (running, update.unreadable_version) {
        (Running::Version(version), _) => version,
        (Running::Unreadable(_), UnreadableVersion::TreatAsOldest) => {
            return Heading::Go(climb(
                update,
                None,
                Reason::TakenAsOldest {
                    target: target.clone(),
                },
            ));
        }
        // Nothing is known of a device that has not spoken: it may well be on target.
        (Running::Unreported, _) | (Running::Unreadable(_), UnreadableVersion::Hold) => {
            return Heading::Stuck(None);
        }
    };
    if target.covers(version) {
        return Heading::Stay(Reason::OnTarget {
            version: version.clone(),
        });
    }
    let (from, to) = (version.clone(), target.clone());
    match version.precedence(target) {
        Ordering::Less => Heading::Go(climb(
            update,
            Some(version),
            Reason::BehindTarget {
                version: from,
                target: to,
            },
        )),
        Ordering::Equal => Heading::Go(direct(
            update,
            Reason::OtherBuild {
                version: from,
                target: to,
            },
        )),
        Ordering::Greater if update.allow_downgrade => Heading::Go(direct(
            update,
            Reason::Downgrade {
                version: from,
                target: to,
            },
        )),
        Ordering::Greater if standing == Standing::Forbidden => {
            Heading::Stuck(Some(Reason::DowngradeNotAllowed {
                version: from,
                target: to,
            }))
        }
        Ordering::Greater => Heading::Stay(Reason::AheadOfTarget {
            version: from,
            target: to,
        }),
    }
}

fn direct(update: &Update, reason: Reason) -> Route<'_> {
    Route {
        next: &update.target,
        then: Vec::new(),
        reasons: vec![reason],
    }
}

/// The way up: every stepping stone on it from the lowest to the highest, then the target.
///
/// All of them are taken from the version that runs now. A device that asks again from the first one gets the
/// rest of the same list, because a checked policy has no stone that leads past another.
fn climb<'a>(update: &'a Update, running: Option<&FirmwareVersion>, reason: Reason) -> Route<'a> {
    let mut stones: Vec<&SteppingStone> = update
        .stepping_stones
        .iter()
        .filter(|stone| stone.is_on_the_way(running, &update.target.version))
        .collect();
    stones.sort_by(|a, b| a.through.version.precedence(&b.through.version));
    // Several boundaries may share a stone; it is installed once.
    stones.dedup_by(|a, b| a.through.version.precedence(&b.through.version).is_eq());
    let steps = stones.iter().map(|stone| &stone.through).chain([&update.target]);
    let reasons = stones.first().map(|stone| Reason::SteppingStone {
        below: stone.below.clone(),
        through: stone.through.version.clone(),
    });
    let next = stones.first().map_or(&update.target, |stone| &stone.through);
    Route {
        next,
        then: steps.skip(1).collect(),
        reasons: [reason].into_iter().chain(reasons).collect(),
    }
}
