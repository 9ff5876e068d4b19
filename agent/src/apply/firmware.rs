//! The firmware facet: what the policy says of what the device runs, now.

use crate::{
    authors::Authors,
    clock::Believed,
    disk::{Disk, Place, replace},
    record::StateError,
};
use muster_firmware_policy::{Decision, Evaluation, Facts, Running, Timestamp, UtcOffset, evaluate};
use muster_proto::payload::{Desired, FacetState};
use serde::Serialize;
use std::{io, time::Duration};

/// Largest decision file; longer ones are written again.
const FILE_LIMIT: usize = 64 << 10;

/// What `firmware.json` says, for an installer on the device.
#[derive(Serialize)]
struct DecisionFile<'a> {
    policy: &'a str,
    revision: u32,
    generation: u64,
    running: Option<String>,
    explanation: String,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

/// How the firmware facet stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub(crate) state: FacetState,
    /// When time alone may change it.
    pub(crate) again_in: Option<Duration>,
}

fn place() -> Place {
    Place::fixed("firmware.json")
}

/// The running version as it is reported: only if it is a semantic version.
pub(crate) fn reported(running: &Running) -> Option<String> {
    match running {
        Running::Version(version) => Some(version.to_string()),
        Running::Unreported | Running::Unreadable(_) => None,
    }
}

/// Evaluates the policy and leaves the decision beside the slots.
pub(crate) fn assess(
    disk: &dyn Disk,
    desired: &Desired,
    authors: &Authors,
    running: Running,
    now: Believed,
) -> Assessment {
    let Some(firmware) = &desired.firmware else {
        let state = written(disk.remove(&place()), FacetState::Applied);
        return Assessment {
            state,
            again_in: None,
        };
    };
    let offset = desired
        .location
        .as_ref()
        .map(|location| location.utc_offset_seconds);
    let facts = Facts {
        device: desired.device_id.clone(),
        model: firmware.model.clone(),
        hardware_revision: firmware.hardware.clone(),
        labels: firmware.labels.clone(),
        running,
        utc_offset: offset.and_then(|seconds| UtcOffset::from_seconds(seconds).ok()),
    };
    let moment = Timestamp::from_unix_seconds(i64::try_from(now.seconds()).unwrap_or(i64::MAX));
    let evaluation = authors.judge(&firmware.policy, evaluate(&firmware.policy, &facts, moment));
    let file = DecisionFile {
        policy: &firmware.name,
        revision: firmware.revision,
        generation: desired.generation,
        running: reported(&facts.running),
        explanation: evaluation.explain(),
        evaluation: &evaluation,
    };
    let state = written(leave(disk, &file), state(&evaluation));
    Assessment {
        state,
        again_in: boundary(&evaluation, moment),
    }
}

/// Takes back what was decided before this start, where nothing is believed any more by which it could be judged again: no installer
/// is to follow it.
pub(crate) fn withdraw(disk: &dyn Disk) -> Result<(), StateError> {
    let place = place();
    disk.remove(&place)
        .map_err(|error| StateError::io("remove", &place, error))
}

fn written(result: io::Result<()>, state: FacetState) -> FacetState {
    match result {
        Ok(()) => state,
        Err(error) => FacetState::Failed {
            reason: format!("firmware.json cannot be written: {error}"),
        },
    }
}

/// Writes the file when it says something new.
fn leave(disk: &dyn Disk, file: &DecisionFile<'_>) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(file).map_err(io::Error::other)?;
    if disk.read(&place(), FILE_LIMIT).ok().flatten().as_ref() == Some(&text) {
        return Ok(());
    }
    replace(disk, &place(), &text)
}

fn state(evaluation: &Evaluation) -> FacetState {
    match &evaluation.decision {
        Decision::NotApplicable | Decision::Compliant => FacetState::Applied,
        Decision::Wait(_) | Decision::Install(_) => FacetState::Waiting {
            reason: evaluation.explain(),
        },
        Decision::Stuck => FacetState::Failed {
            reason: evaluation.explain(),
        },
    }
}

/// How long until time alone may change the decision: a window opens or closes, a deadline passes.
fn boundary(evaluation: &Evaluation, now: Timestamp) -> Option<Duration> {
    let at = match &evaluation.decision {
        Decision::Wait(wait) => wait.until,
        Decision::Install(install) => install.window_closes,
        Decision::NotApplicable | Decision::Compliant | Decision::Stuck => None,
    }?;
    let seconds = at.unix_seconds().saturating_sub(now.unix_seconds());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
