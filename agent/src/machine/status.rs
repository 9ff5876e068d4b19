//! How the device stands, and what a piece of work on the disk came to.

use super::Mark;
use muster_proto::payload::{Facet, FacetState, FacetStatus};
use std::time::Duration;

/// Longest reason in a report, in bytes: as much as a registry keeps.
const REASON_LIMIT: usize = 512;

/// How each facet of a generation stands. All three are always told; one that nothing is desired of is as desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) mark: Mark,
    pub(crate) config: FacetState,
    pub(crate) location: FacetState,
    pub(crate) firmware: FacetState,
    /// The running version, if it is a semantic one.
    pub(crate) running: Option<String>,
}

impl Status {
    /// Whether a registry will call it verified.
    pub(crate) fn is_as_desired(&self) -> bool {
        let firmware = matches!(self.firmware, FacetState::Applied | FacetState::Waiting { .. });
        self.config == FacetState::Applied && self.location == FacetState::Applied && firmware
    }

    /// For a report, with reasons cut to their limit.
    pub(crate) fn facets(&self) -> Vec<FacetStatus> {
        [
            (Facet::Config, &self.config),
            (Facet::Location, &self.location),
            (Facet::Firmware, &self.firmware),
        ]
        .into_iter()
        .map(|(facet, state)| FacetStatus {
            facet,
            state: cut(state),
        })
        .collect()
    }
}

fn cut(state: &FacetState) -> FacetState {
    let short = |reason: &str| reason[..reason.floor_char_boundary(REASON_LIMIT)].to_owned();
    match state {
        FacetState::Applied => FacetState::Applied,
        FacetState::Failed { reason } => FacetState::Failed {
            reason: short(reason),
        },
        FacetState::Drifted { reason } => FacetState::Drifted {
            reason: short(reason),
        },
        FacetState::Waiting { reason } => FacetState::Waiting {
            reason: short(reason),
        },
    }
}

/// What work came to. `again_in` says when time alone may change the firmware decision.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Desired state is durable, or was already.
    Kept(Mark),
    /// It is not; what was held stays held.
    NotKept(String),
    /// Secrets of that generation are durable, which were not there before.
    SealedKept(u64),
    /// They were there, or there is no use for them.
    SealedKnown,
    /// Applied and read back; `status.mark` runs.
    Applied {
        status: Status,
        again_in: Option<Duration>,
    },
    /// Not applied. No status: nothing can be said about what is held.
    NotApplied {
        status: Option<Status>,
        reason: String,
        again_in: Option<Duration>,
        /// A secret has not come, or does not open.
        lacks_secrets: bool,
    },
    /// What runs is what was applied.
    Inspected {
        status: Status,
        again_in: Option<Duration>,
    },
    /// It is not.
    Drifted { status: Status, reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::payload::Digest;

    fn status(config: FacetState, location: FacetState, firmware: FacetState) -> Status {
        let mark = Mark {
            generation: 1,
            digest: Digest([0; 32]),
            content: Digest([0; 32]),
        };
        Status {
            mark,
            config,
            location,
            firmware,
            running: None,
        }
    }

    #[test]
    fn only_firmware_may_wait() {
        let applied = || FacetState::Applied;
        let waiting = || FacetState::Waiting {
            reason: "a window".into(),
        };
        let failed = || FacetState::Failed { reason: "no".into() };
        for (status, expected) in [
            (status(applied(), applied(), applied()), true),
            (status(applied(), applied(), waiting()), true),
            (status(applied(), applied(), failed()), false),
            (status(waiting(), applied(), applied()), false),
            (status(applied(), waiting(), applied()), false),
        ] {
            assert_eq!(status.is_as_desired(), expected, "{status:?}");
        }
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let long = FacetState::Failed {
            reason: "ä".repeat(400),
        };
        let status = status(long.clone(), FacetState::Applied, FacetState::Applied);
        let FacetState::Failed { reason } = &status.facets()[0].state else {
            panic!("{status:?}")
        };
        assert_eq!(reason.len(), 512);
        assert_eq!(status.facets().len(), 3);
    }
}
