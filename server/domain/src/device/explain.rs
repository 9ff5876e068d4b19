//! Where a device is on its way, why, and what to do next.

use super::{CloneAlarm, Credential, Delivery, Device, Facet, FacetState, Lifecycle, Standing, Verification};
use crate::{Timestamp, ids::DeviceId};

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Behind us.
    Done,
    /// The device is here, and nothing is wrong.
    Current,
    /// The device is here, and cannot go on by itself.
    Blocked,
    /// To come.
    Ahead,
}

/// One step of a device's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How far it is.
    pub state: StepState,
    /// What is known of it.
    pub detail: String,
    /// When it was done.
    pub at: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Of which device.
    pub device: DeviceId,
    /// In order.
    pub steps: Vec<Step>,
    /// One sentence.
    pub summary: String,
    /// What to do; empty when nothing.
    pub next: Vec<String>,
    /// What does not hold the device up, and needs somebody all the same.
    pub warnings: Vec<String>,
    /// What changes that are under way want of it, and what it waits for in each; for whoever knows them to fill in.
    pub changes: Vec<String>,
}

/// What holds a device up, found from the end of its way.
struct Finding {
    /// The first step that is not done.
    step: usize,
    blocked: bool,
    summary: String,
    next: Vec<String>,
}

const STEPS: [&str; 5] = ["registered", "claimed", "connected", "applied", "verified"];

fn finding(device: &Device, delivery: Option<Delivery>, now: Timestamp) -> Finding {
    let id = device.id;
    let found = |step, blocked, summary: String, next: &[String]| Finding {
        step,
        blocked,
        summary,
        next: next.to_vec(),
    };
    match (&device.lifecycle, &device.verification) {
        (Lifecycle::Suspended { reason, was, .. }, _) => found(
            if matches!(was, Standing::Registered(_)) {
                1
            } else {
                2
            },
            true,
            format!("suspended: {}", or_none(reason)),
            &[format!("let it in again with `muster device resume {id}`")],
        ),
        (Lifecycle::Retired { reason, last, .. }, _) => found(
            if last.is_some() { 2 } else { 1 },
            true,
            format!("retired for good: {}", or_none(reason)),
            &["a replacement is registered as a new device".into()],
        ),
        (
            Lifecycle::Registered {
                credential: Credential::Withdrawn { reason, .. },
            },
            _,
        ) => found(
            1,
            true,
            format!("its certificate was revoked ({reason}), and it has no other way in"),
            &[format!("issue a new code with `muster device reissue-code {id}`")],
        ),
        (Lifecycle::Registered { credential }, _)
            if credential.intent().is_none() && credential.window().is_over(now) =>
        {
            found(
                1,
                true,
                expired(credential),
                &[
                    format!("issue a new code with `muster device reissue-code {id}`"),
                    format!("or let it claim with what it has: `muster device arm {id} --until TIME`"),
                ],
            )
        }
        (Lifecycle::Registered { credential }, _)
            if credential.intent().is_none() && !credential.window().admits(now) =>
        {
            let opens = credential.window().opens;
            let opens = opens.map(|at| format!(" before {at}")).unwrap_or_default();
            found(
                1,
                true,
                format!("its claim window is not open yet: no claim{opens}"),
                &[format!("wait, or open it with `muster device arm {id}`")],
            )
        }
        (
            Lifecycle::Registered {
                credential:
                    Credential::Code { intent: Some(_), .. } | Credential::Pinned { intent: Some(_), .. },
            },
            _,
        ) => found(
            1,
            false,
            "a claim began and its answer was lost; the device will repeat it".into(),
            &["see that the device has power and network; it finishes the claim with the same key".into()],
        ),
        (
            Lifecycle::Registered {
                credential: Credential::Pinned { .. },
            },
            _,
        ) => found(
            1,
            false,
            "waiting for its first claim with the key that is pinned".into(),
            &[
                "power the device on; it must reach the MQTT port of this server, and sign its request with the key in its \
                 secure element"
                    .into(),
                format!("if that key is lost, issue a code with `muster device reissue-code {id}`"),
            ],
        ),
        (Lifecycle::Registered { credential }, _) => {
            let (summary, bound) = awaited(credential, id);
            let mut next = vec![
                "power the device on with its activation code; it must reach the MQTT port of this server"
                    .into(),
                format!("if the label is lost, issue a new code with `muster device reissue-code {id}`"),
            ];
            next.extend(bound);
            found(1, false, summary, &next)
        }
        (Lifecycle::Claimed { .. } | Lifecycle::Active { .. }, Verification::Verified { .. }) => {
            let summary = match device.presence.and_then(|presence| presence.departure) {
                None if device.is_online() => "verified and connected".into(),
                None => "verified; not connected".into(),
                Some(departure) => format!("verified; not connected: {departure}"),
            };
            found(STEPS.len(), false, summary, &[])
        }
        (_, Verification::Failed { facet, reason }) => found(
            3,
            true,
            format!("the device could not apply its {facet}: {reason}"),
            &[
                remedy(*facet),
                "it tries again when a new generation or a reconnect offers it".into(),
            ],
        ),
        (_, Verification::Drifted { facet, reason }) => found(
            4,
            true,
            format!("its {facet} was verified and has changed on the device since: {reason}"),
            &[
                "find out who changed it; the device repairs it when it is sent its desired state again"
                    .into(),
            ],
        ),
        (_, Verification::Stale { .. }) => found(
            2,
            true,
            "nothing was heard from it for too long".into(),
            &["see that the device has power and network".into()],
        ),
        (_, Verification::Pending) if device.reported.is_none() => found(
            2,
            false,
            "claimed; waiting for its first connection with the new certificate".into(),
            &["see that the device has power and network".into()],
        ),
        (_, Verification::Pending) if device.is_online() => {
            let (summary, next) = under_way(device, delivery);
            found(3, false, summary, &next)
        }
        (_, Verification::Pending) => found(
            3,
            false,
            format!(
                "generation {} waits for the device to connect",
                device.target.generation
            ),
            &["see that the device has power and network".into()],
        ),
    }
}

/// After so many deliveries without a report, somebody should look.
const PATIENCE: u32 = 3;

/// A generation that a connected device has not confirmed, and what to do about it.
fn under_way(device: &Device, delivery: Option<Delivery>) -> (String, Vec<String>) {
    let generation = device.target.generation;
    let Some(delivery) = delivery.filter(|delivery| delivery.generation == generation) else {
        let summary = format!("generation {generation} was sent; waiting for its report");
        return (summary, Vec::new());
    };
    let (at, due) = (delivery.at, delivery.due(device.id));
    let times = match delivery.sent {
        0 => return (format!("generation {generation} is sent by {due}"), Vec::new()),
        1 => String::new(),
        times => format!("{times} times, last "),
    };
    let received = if delivery.acknowledged {
        "was received"
    } else {
        "was not acknowledged"
    };
    let summary = format!(
        "generation {generation} was sent {times}at {at} and {received}; waiting for its report, and sent again at {due}"
    );
    let look = "look at the agent's log on the device: it gets its desired state and does not report on it";
    let next = (delivery.sent >= PATIENCE).then(|| look.into());
    (summary, next.into_iter().collect())
}

/// When it was too late.
fn expired(credential: &Credential) -> String {
    let closed = credential.window().closes;
    let closed = closed.map(|at| format!(" since {at}")).unwrap_or_default();
    format!("its activation code has expired: no claim can begin{closed}")
}

/// What a claim is awaited with, and what to do where the device has another key than the one that it must have.
fn awaited(credential: &Credential, id: DeviceId) -> (String, Option<String>) {
    let until = credential.window().closes;
    let until = until.map(|at| format!(", until {at}")).unwrap_or_default();
    match credential.key() {
        Some(key) => (
            format!("waiting for its first claim, with the key {key} alone{until}"),
            Some(format!(
                "if it was given another key, say so with `muster device arm {id} --key-sha256 HEX`, or let any key claim \
                 with `--any-key`"
            )),
        ),
        None => (format!("waiting for its first claim{until}"), None),
    }
}

fn or_none(reason: &str) -> &str {
    if reason.is_empty() {
        "no reason given"
    } else {
        reason
    }
}

fn remedy(facet: Facet) -> String {
    match facet {
        Facet::Config => "look at the rendered files and at free space and permissions on the device",
        Facet::Location => "check the site's entry with `muster site get`",
        Facet::Firmware => "check the firmware policy against the version the device runs",
    }
    .into()
}

fn detail(step: &str, device: &Device) -> (String, Option<Timestamp>) {
    match step {
        "registered" => (
            format!(
                "{}, row {} of batch {}",
                device.serial, device.origin.row, device.origin.batch
            ),
            Some(device.created),
        ),
        "claimed" => {
            let held = device.lifecycle.certificate();
            (
                held.map(|serial| format!("certificate {serial}"))
                    .unwrap_or_default(),
                None,
            )
        }
        "connected" => connection(device),
        "applied" => {
            let facets = device.reported.iter().flat_map(|reported| &reported.facets);
            let words = facets.map(|status| match &status.state {
                FacetState::Applied => format!("{} applied", status.facet),
                FacetState::Failed(reason) => format!("{} failed ({reason})", status.facet),
                FacetState::Drifted(reason) => format!("{} drifted ({reason})", status.facet),
                FacetState::Waiting(reason) => format!("{} waiting ({reason})", status.facet),
            });
            (words.collect::<Vec<_>>().join(", "), None)
        }
        _ => match device.verification {
            Verification::Verified { at } => (format!("generation {}", device.target.generation), Some(at)),
            Verification::Pending
            | Verification::Failed { .. }
            | Verification::Drifted { .. }
            | Verification::Stale { .. } => (format!("generation {} wanted", device.target.generation), None),
        },
    }
}

/// Its agent, and whether it is connected: since when, or since when it is away and why.
fn connection(device: &Device) -> (String, Option<Timestamp>) {
    let agent = device.reported.as_ref();
    let agent = agent.map(|reported| format!("agent {}", or_none(&reported.agent_version)));
    let presence = device.presence.map(|presence| match presence.departure {
        None => format!("online, from {}", presence.source),
        Some(departure) => format!("offline: {departure}"),
    });
    let words: Vec<_> = agent.into_iter().chain(presence).collect();
    let heard = device.reported.as_ref().map(|reported| reported.at);
    (
        words.join("; "),
        device.presence.map(|presence| presence.since).or(heard),
    )
}

/// Explains a device as it stands at `now`.
pub fn explain(device: &Device, delivery: Option<Delivery>, now: Timestamp) -> Explanation {
    let found = finding(device, delivery, now);
    let steps = STEPS.iter().enumerate().map(|(place, &name)| {
        let (detail, at) = detail(name, device);
        let state = match place.cmp(&found.step) {
            std::cmp::Ordering::Less => StepState::Done,
            std::cmp::Ordering::Equal if found.blocked => StepState::Blocked,
            std::cmp::Ordering::Equal => StepState::Current,
            std::cmp::Ordering::Greater => StepState::Ahead,
        };
        let known = state != StepState::Ahead;
        Step {
            name,
            state,
            detail: if known { detail } else { String::new() },
            at: at.filter(|_| known),
        }
    });
    Explanation {
        device: device.id,
        steps: steps.collect(),
        summary: found.summary,
        next: found.next,
        warnings: device
            .alarm
            .iter()
            .map(|alarm| clone_warning(device, alarm))
            .collect(),
        changes: Vec::new(),
    }
}

fn clone_warning(device: &Device, alarm: &CloneAlarm) -> String {
    let first = alarm
        .first_source
        .map_or_else(|| "an unknown address".to_owned(), |source| source.to_string());
    let times = if alarm.count == 1 { "time" } else { "times" };
    let owner = if device.lifecycle.claim_terms().is_some() {
        "the key that it must have has not come yet".to_owned()
    } else {
        format!("the identity was claimed from {first}")
    };
    format!(
        "possibly cloned: another key came with its code {} {times}, last from {}; {owner}. Find out which is the device, then \
         `muster device clear-alarm {}`",
        alarm.count, alarm.source, device.id
    )
}
