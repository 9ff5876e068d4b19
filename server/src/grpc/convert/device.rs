//! Devices.

use super::timestamp;
use crate::{service::Told, store::GroupOutcome};
use muster_domain::{
    desired::Target,
    device::{
        CloneAlarm, Departure, Device, Explanation, Facet, FacetState, FacetStatus, Lifecycle, Presence,
        Reported, StepState, Verification,
    },
    watch::Change,
};
use muster_proto::v1;
use std::collections::HashMap;

pub(crate) fn device(device: &Device) -> v1::Device {
    use v1::device::State;
    let (state, reason) = match &device.lifecycle {
        Lifecycle::Registered { .. } => (State::Registered, ""),
        Lifecycle::Claimed { .. } => (State::Claimed, ""),
        Lifecycle::Active { .. } => (State::Active, ""),
        Lifecycle::Suspended { reason, .. } => (State::Suspended, reason.as_str()),
        Lifecycle::Retired { reason, .. } => (State::Retired, reason.as_str()),
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let terms = device.lifecycle.claim_terms();
    v1::Device {
        name: device.name(),
        serial: device.serial.to_string(),
        mac: device.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        model: format!("models/{}", device.model),
        hardware: text(&device.hardware),
        factory_firmware: device
            .factory_firmware
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        site: device
            .site
            .as_ref()
            .map(|site| format!("sites/{site}"))
            .unwrap_or_default(),
        position: text(&device.position),
        labels: device.labels.clone().into_iter().collect(),
        variables: device.variables.clone().into_iter().collect(),
        batch: format!("batches/{}", device.origin.batch),
        row: device.origin.row,
        create_time: Some(timestamp(device.created)),
        update_time: Some(timestamp(device.updated)),
        etag: etag(device),
        state: state.into(),
        state_reason: reason.to_owned(),
        desired: Some(target(&device.target)),
        reported: device.reported.as_ref().map(reported),
        verification: Some(verification(&device.verification)),
        certificate_serial: device
            .lifecycle
            .certificate()
            .map(|serial| serial.to_string())
            .unwrap_or_default(),
        certificate_not_after: device.lifecycle.not_after().map(timestamp),
        clone_alarm: device.alarm.as_ref().map(clone_alarm),
        renew_from: device.renew_from.map(timestamp),
        claim_window: terms.map(|terms| v1::ClaimWindow {
            opens: terms.window.opens.map(timestamp),
            closes: terms.window.closes.map(timestamp),
        }),
        claim_spki_sha256: terms
            .and_then(|terms| terms.key)
            .map(|key| key.0.to_vec())
            .unwrap_or_default(),
        trust_version: device.trust,
        presence: device.presence.as_ref().map(presence),
        successor: device.lifecycle.successor().map(|successor| v1::Successor {
            certificate_serial: successor.intent.certificate.to_string(),
            not_after: Some(timestamp(successor.intent.not_after)),
            issued: successor.issued,
        }),
        groups: device
            .groups
            .iter()
            .map(|group| format!("groups/{group}"))
            .collect(),
        // Looked for where one device is asked for.
        matching_groups: Vec::new(),
        // Cells of a row can be 64 KiB: pages of devices go without.
        kept: HashMap::new(),
    }
}

/// What became of a device in a group, under the name that the request has for it.
pub(crate) fn membership(
    device: String,
    outcome: &GroupOutcome,
) -> v1::update_group_members_response::Outcome {
    use v1::update_group_members_response::outcome::Result as Became;
    let (result, refusal) = match outcome {
        Ok(Some(_)) => (Became::Updated, None),
        Ok(None) => (Became::Unchanged, None),
        Err(refusal) => (Became::Failed, Some(super::refusal(refusal))),
    };
    v1::update_group_members_response::Outcome {
        device,
        result: result.into(),
        refusal,
    }
}

fn presence(presence: &Presence) -> v1::Presence {
    use v1::presence::{Reason, State};
    let reason = |departure| match departure {
        Departure::Left => Reason::Left,
        Departure::Lost => Reason::Lost,
        Departure::Silent => Reason::Silent,
        Departure::ShutOut => Reason::ShutOut,
        Departure::Misbehaved => Reason::Misbehaved,
        Departure::Failed => Reason::Failed,
        Departure::Stopped => Reason::Stopped,
    };
    let (state, reason) = match presence.departure {
        None => (State::Online, Reason::Unspecified),
        Some(departure) => (State::Offline, reason(departure)),
    };
    v1::Presence {
        state: state.into(),
        time: Some(timestamp(presence.since)),
        reason: reason.into(),
        source: presence.source.to_string(),
    }
}

fn clone_alarm(alarm: &CloneAlarm) -> v1::CloneAlarm {
    v1::CloneAlarm {
        time: Some(timestamp(alarm.at)),
        count: alarm.count,
        key: alarm.key.0.to_vec(),
        source: alarm.source.to_string(),
        first_source: alarm
            .first_source
            .map(|source| source.to_string())
            .unwrap_or_default(),
    }
}

/// The etag of a device (AIP-154): its revision.
pub(crate) fn etag(device: &Device) -> String {
    format!("r{}", device.revision)
}

fn target(target: &Target) -> v1::Desired {
    v1::Desired {
        generation: target.generation,
        digest: target.digest.to_vec(),
        profile: target
            .profile
            .as_ref()
            .map(|(name, number)| format!("profiles/{name}/revisions/{number}"))
            .unwrap_or_default(),
        firmware_policy: target
            .firmware_policy
            .as_ref()
            .map(|(name, number)| format!("firmwarePolicies/{name}/revisions/{number}"))
            .unwrap_or_default(),
    }
}

fn facet(status: &FacetStatus) -> v1::FacetStatus {
    use v1::facet_status::State;
    let (state, reason) = match &status.state {
        FacetState::Applied => (State::Applied, ""),
        FacetState::Failed(reason) => (State::Failed, reason.as_str()),
        FacetState::Drifted(reason) => (State::Drifted, reason.as_str()),
        FacetState::Waiting(reason) => (State::Waiting, reason.as_str()),
    };
    v1::FacetStatus {
        facet: status.facet.to_string(),
        state: state.into(),
        reason: reason.to_owned(),
    }
}

fn reported(reported: &Reported) -> v1::Reported {
    v1::Reported {
        time: Some(timestamp(reported.at)),
        generation: reported.generation,
        agent_version: reported.agent_version.clone(),
        firmware: reported
            .firmware
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        facets: reported.facets.iter().map(facet).collect(),
    }
}

fn verification(verification: &Verification) -> v1::Verification {
    use v1::verification::State;
    let bare = |state: State| v1::Verification {
        state: state.into(),
        facet: String::new(),
        reason: String::new(),
        time: None,
    };
    let because = |state, facet: &Facet, reason: &str| v1::Verification {
        facet: facet.to_string(),
        reason: reason.to_owned(),
        ..bare(state)
    };
    match verification {
        Verification::Pending => bare(State::Pending),
        Verification::Verified { at } => v1::Verification {
            time: Some(timestamp(*at)),
            ..bare(State::Verified)
        },
        Verification::Failed { facet, reason } => because(State::Failed, facet, reason),
        Verification::Drifted { facet, reason } => because(State::Drifted, facet, reason),
        Verification::Stale { since } => v1::Verification {
            time: Some(timestamp(*since)),
            ..bare(State::Stale)
        },
    }
}

pub(crate) fn explanation(explanation: Explanation) -> v1::ExplainDeviceResponse {
    use v1::explain_device_response::{Step, step::State};
    let steps = explanation.steps.into_iter().map(|step| {
        let state = match step.state {
            StepState::Done => State::Done,
            StepState::Current => State::Current,
            StepState::Blocked => State::Blocked,
            StepState::Ahead => State::Ahead,
        };
        Step {
            step: step.name.to_owned(),
            state: state.into(),
            detail: step.detail,
            time: step.at.map(timestamp),
        }
    });
    v1::ExplainDeviceResponse {
        device: format!("devices/{}", explanation.device),
        steps: steps.collect(),
        summary: explanation.summary,
        next: explanation.next,
        warnings: explanation.warnings,
        changes: explanation.changes,
    }
}

/// What a watcher hears.
pub(crate) fn told(told: Told) -> v1::WatchDevicesResponse {
    use v1::{device_change::Kind, watch_devices_response::Event};
    let event = match told {
        Told::Device {
            id,
            change,
            device: now,
        } => Event::Change(Box::new(v1::DeviceChange {
            kind: match change {
                Change::Matches => Kind::Matches,
                Change::Left => Kind::Left,
                Change::Gone => Kind::Gone,
            }
            .into(),
            name: format!("devices/{id}"),
            device: now.as_deref().map(device),
        })),
        Told::Checkpoint { token, is_current } => Event::Checkpoint(v1::WatchCheckpoint {
            resume_token: token,
            current: is_current,
        }),
        Told::Resync => Event::Resync(v1::WatchResync {}),
    };
    v1::WatchDevicesResponse { event: Some(event) }
}
