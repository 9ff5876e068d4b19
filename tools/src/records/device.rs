//! Devices, where they stand, and their codes.

use super::{RowProblem, hex, state, time};
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `devices/{id}`
    pub name: String,
    /// The manufacturer's serial.
    pub serial: String,
    /// Hardware address.
    pub mac: String,
    /// `models/{name}`
    pub model: String,
    /// Hardware revision.
    pub hardware: String,
    /// The firmware it left the factory with.
    pub factory_firmware: String,
    /// `sites/{code}`
    pub site: String,
    /// Where in the site.
    pub position: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Values for its profile.
    pub variables: BTreeMap<String, String>,
    /// `batches/{id}`
    pub batch: String,
    /// Row of the manifest.
    pub row: u32,
    /// When it was registered.
    pub create_time: Option<String>,
    /// When it last changed.
    pub update_time: Option<String>,
    /// For changes that must not overwrite another's.
    pub etag: String,
    /// `REGISTERED`, `CLAIMED`, `ACTIVE`, `SUSPENDED` or `RETIRED`.
    pub state: String,
    /// Why it is suspended or retired.
    pub state_reason: String,
    /// What it must be.
    pub desired: Option<Desired>,
    /// What it last said it is.
    pub reported: Option<Reported>,
    /// The two compared.
    pub verification: Option<Verification>,
    /// Serial number of its certificate.
    pub certificate_serial: String,
    /// When that ends.
    pub certificate_not_after: Option<String>,
    /// Another key came with its code, and nobody has looked into it yet.
    pub clone_alarm: Option<CloneAlarm>,
    /// Its certificate is to be renewed from then on.
    pub renew_from: Option<String>,
    /// When it may claim; of a device that has not begun to.
    pub claim_window: Option<ClaimWindow>,
    /// SHA-256 of the one key that it may claim with, hexadecimal; empty: any.
    pub claim_spki_sha256: String,
    /// The version of the trusted roots that it says it has.
    pub trust_version: u64,
    /// Is it connected; nothing for one that never was.
    pub presence: Option<Presence>,
    /// The certificate that is to take the place of its own.
    pub successor: Option<Successor>,
    /// `groups/{name}` of each static group that it was added to.
    pub groups: Vec<String>,
    /// `groups/{name}` of each group whose filter it matches; only of a device that is asked for alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matching_groups: Vec<String>,
    /// What else its row held, by column; only of a device that is asked for alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, String>,
}

/// What became of a device in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberOutcome {
    /// As it was named.
    pub device: String,
    /// `UPDATED`, `UNCHANGED` or `FAILED`.
    pub result: String,
    /// Why it failed.
    pub problem: Option<RowProblem>,
}

impl From<v1::update_group_members_response::Outcome> for MemberOutcome {
    fn from(wire: v1::update_group_members_response::Outcome) -> Self {
        use v1::update_group_members_response::outcome::Result as Became;
        Self {
            device: wire.device,
            result: state(wire.result, Became::as_str_name, "RESULT_"),
            problem: wire.refusal.as_ref().map(RowProblem::from),
        }
    }
}

impl Record for MemberOutcome {
    const COLUMNS: &'static [Column] = &[
        Column::shown("device", "DEVICE", Look::Name),
        Column::shown("result", "RESULT", Look::Plain),
        Column::shown("problem.code", "CODE", Look::Plain),
        Column::shown("problem.message", "PROBLEM", Look::Plain),
    ];
}

/// What a device must be, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Desired {
    /// Grows only.
    pub generation: u64,
    /// SHA-256 of the content.
    pub digest: String,
    /// `profiles/{name}/revisions/{number}`
    pub profile: String,
    /// `firmwarePolicies/{name}/revisions/{number}`
    pub firmware_policy: String,
}

/// What a device said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// When.
    pub time: Option<String>,
    /// Of which generation it spoke.
    pub generation: u64,
    /// Version of its agent.
    pub agent_version: String,
    /// The firmware it runs.
    pub firmware: String,
    /// Facet by facet.
    pub facets: Vec<Facet>,
}

/// One facet of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facet {
    /// `config`, `location` or `firmware`.
    pub facet: String,
    /// `APPLIED`, `FAILED`, `DRIFTED` or `WAITING`.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// Desired and reported, compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// `PENDING`, `VERIFIED`, `FAILED`, `DRIFTED` or `STALE`.
    pub state: String,
    /// Which facet is at fault.
    pub facet: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub time: Option<String>,
}

/// Whether a device is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// `ONLINE` or `OFFLINE`.
    pub state: String,
    /// When it came, or went.
    pub time: Option<String>,
    /// Why it is offline: `LEFT`, `LOST`, `SILENT`, `SHUT_OUT`, `MISBEHAVED`, `FAILED` or `STOPPED`; empty while it is not.
    pub reason: String,
    /// Where its last connection came from.
    pub source: String,
}

/// The sign of a possible clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloneAlarm {
    /// When the last claim with a second key came.
    pub time: Option<String>,
    /// How many came.
    pub count: u32,
    /// The key of the last.
    pub key: String,
    /// Where it came from.
    pub source: String,
    /// Where the claim came from that has the identity.
    pub first_source: String,
}

/// When a claim may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimWindow {
    /// Not before.
    pub opens: Option<String>,
    /// Not from then on.
    pub closes: Option<String>,
}

/// A renewed certificate that the device has not come with yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Successor {
    /// Its serial number.
    pub certificate_serial: String,
    /// When it ends.
    pub not_after: Option<String>,
    /// It was handed out.
    pub issued: bool,
}

impl From<v1::Presence> for Presence {
    fn from(wire: v1::Presence) -> Self {
        use v1::presence::{Reason, State};
        let reason = if wire.reason == Reason::Unspecified as i32 {
            String::new()
        } else {
            state(wire.reason, Reason::as_str_name, "REASON_")
        };
        Self {
            state: state(wire.state, State::as_str_name, "STATE_"),
            time: time(wire.time.as_ref()),
            reason,
            source: wire.source,
        }
    }
}

impl From<v1::CloneAlarm> for CloneAlarm {
    fn from(wire: v1::CloneAlarm) -> Self {
        Self {
            time: time(wire.time.as_ref()),
            count: wire.count,
            key: hex(&wire.key),
            source: wire.source,
            first_source: wire.first_source,
        }
    }
}

impl From<v1::ClaimWindow> for ClaimWindow {
    fn from(wire: v1::ClaimWindow) -> Self {
        Self {
            opens: time(wire.opens.as_ref()),
            closes: time(wire.closes.as_ref()),
        }
    }
}

impl From<v1::Successor> for Successor {
    fn from(wire: v1::Successor) -> Self {
        Self {
            certificate_serial: wire.certificate_serial,
            not_after: time(wire.not_after.as_ref()),
            issued: wire.issued,
        }
    }
}

impl From<v1::Desired> for Desired {
    fn from(wire: v1::Desired) -> Self {
        Self {
            generation: wire.generation,
            digest: hex(&wire.digest),
            profile: wire.profile,
            firmware_policy: wire.firmware_policy,
        }
    }
}

impl From<v1::Reported> for Reported {
    fn from(wire: v1::Reported) -> Self {
        let facet = |facet: v1::FacetStatus| Facet {
            state: state(facet.state, v1::facet_status::State::as_str_name, "STATE_"),
            facet: facet.facet,
            reason: facet.reason,
        };
        Self {
            time: time(wire.time.as_ref()),
            generation: wire.generation,
            agent_version: wire.agent_version,
            firmware: wire.firmware,
            facets: wire.facets.into_iter().map(facet).collect(),
        }
    }
}

impl From<v1::Verification> for Verification {
    fn from(wire: v1::Verification) -> Self {
        Self {
            state: state(wire.state, v1::verification::State::as_str_name, "STATE_"),
            facet: wire.facet,
            reason: wire.reason,
            time: time(wire.time.as_ref()),
        }
    }
}

impl From<v1::Device> for Device {
    fn from(wire: v1::Device) -> Self {
        Self {
            state: state(wire.state, v1::device::State::as_str_name, "STATE_"),
            create_time: time(wire.create_time.as_ref()),
            update_time: time(wire.update_time.as_ref()),
            certificate_not_after: time(wire.certificate_not_after.as_ref()),
            name: wire.name,
            serial: wire.serial,
            mac: wire.mac,
            model: wire.model,
            hardware: wire.hardware,
            factory_firmware: wire.factory_firmware,
            site: wire.site,
            position: wire.position,
            labels: wire.labels.into_iter().collect(),
            variables: wire.variables.into_iter().collect(),
            batch: wire.batch,
            row: wire.row,
            etag: wire.etag,
            state_reason: wire.state_reason,
            desired: wire.desired.map(Desired::from),
            reported: wire.reported.map(Reported::from),
            verification: wire.verification.map(Verification::from),
            certificate_serial: wire.certificate_serial,
            clone_alarm: wire.clone_alarm.map(CloneAlarm::from),
            renew_from: time(wire.renew_from.as_ref()),
            trust_version: wire.trust_version,
            presence: wire.presence.map(Presence::from),
            claim_window: wire.claim_window.map(ClaimWindow::from),
            claim_spki_sha256: hex(&wire.claim_spki_sha256),
            successor: wire.successor.map(Successor::from),
            groups: wire.groups,
            matching_groups: wire.matching_groups,
            kept: wire.kept.into_iter().collect(),
        }
    }
}

impl Record for Device {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "ID", Look::Name),
        Column::shown("serial", "SERIAL", Look::Plain),
        Column::shown("model", "MODEL", Look::Name),
        Column::shown("site", "SITE", Look::Name),
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("verification.state", "VERIFICATION", Look::Plain),
        Column::shown("reported.firmware", "FIRMWARE", Look::Plain),
        Column::shown("reported.time", "LAST REPORT", Look::Time),
        Column::shown("presence.state", "PRESENCE", Look::Plain),
        Column::extra("mac", Look::Plain),
        Column::extra("hardware", Look::Plain),
        Column::extra("factory_firmware", Look::Plain),
        Column::extra("position", Look::Plain),
        Column::extra("labels", Look::Plain),
        Column::extra("groups", Look::Plain),
        Column::extra("variables", Look::Plain),
        Column::extra("batch", Look::Name),
        Column::extra("row", Look::Number),
        Column::extra("create_time", Look::Time),
        Column::extra("update_time", Look::Time),
        Column::extra("etag", Look::Plain),
        Column::extra("state_reason", Look::Plain),
        Column::extra("desired.generation", Look::Number),
        Column::extra("desired.digest", Look::Plain),
        Column::extra("desired.profile", Look::Name),
        Column::extra("desired.firmware_policy", Look::Name),
        Column::extra("reported.generation", Look::Number),
        Column::extra("reported.agent_version", Look::Plain),
        Column::extra("reported.facets", Look::Plain),
        Column::extra("verification.facet", Look::Plain),
        Column::extra("verification.reason", Look::Plain),
        Column::extra("verification.time", Look::Time),
        Column::extra("certificate_serial", Look::Plain),
        Column::extra("certificate_not_after", Look::Time),
        Column::extra("clone_alarm.time", Look::Time),
        Column::extra("clone_alarm.count", Look::Number),
        Column::extra("clone_alarm.key", Look::Plain),
        Column::extra("clone_alarm.source", Look::Plain),
        Column::extra("clone_alarm.first_source", Look::Plain),
        Column::extra("renew_from", Look::Time),
        Column::extra("claim_window.opens", Look::Time),
        Column::extra("claim_window.closes", Look::Time),
        Column::extra("claim_spki_sha256", Look::Plain),
        Column::extra("trust_version", Look::Number),
        Column::extra("presence.time", Look::Time),
        Column::extra("presence.reason", Look::Plain),
        Column::extra("presence.source", Look::Plain),
        Column::extra("successor.certificate_serial", Look::Plain),
        Column::extra("successor.not_after", Look::Time),
        Column::extra("successor.issued", Look::Plain),
    ];
}

/// The step a device is at, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `devices/{id}`
    pub device: String,
    /// Where it is and why.
    pub summary: String,
    /// In order.
    pub steps: Vec<Step>,
    /// What to do next.
    pub next: Vec<String>,
    /// What needs somebody all the same.
    pub warnings: Vec<String>,
    /// What changes that are under way want of it.
    pub changes: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// `DONE`, `CURRENT`, `BLOCKED` or `AHEAD`.
    pub state: String,
    /// What is known of it.
    pub detail: String,
    /// When.
    pub time: Option<String>,
}

impl From<v1::ExplainDeviceResponse> for Explanation {
    fn from(wire: v1::ExplainDeviceResponse) -> Self {
        use v1::explain_device_response::{Step as Wire, step::State};
        let step = |step: Wire| Step {
            state: state(step.state, State::as_str_name, "STATE_"),
            time: time(step.time.as_ref()),
            step: step.step,
            detail: step.detail,
        };
        Self {
            device: wire.device,
            summary: wire.summary,
            steps: wire.steps.into_iter().map(step).collect(),
            next: wire.next,
            warnings: wire.warnings,
            changes: wire.changes,
        }
    }
}

impl Record for Explanation {
    const COLUMNS: &'static [Column] = &[
        Column::shown("device", "DEVICE", Look::Name),
        Column::shown("summary", "SUMMARY", Look::Plain),
        Column::shown("steps", "STEPS", Look::Plain),
        Column::shown("next", "NEXT", Look::Plain),
        Column::extra("warnings", Look::Plain),
        Column::extra("changes", Look::Plain),
    ];
}

impl Record for Step {
    const COLUMNS: &'static [Column] = &[
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("step", "STEP", Look::Plain),
        Column::shown("time", "TIME", Look::Time),
        Column::shown("detail", "DETAIL", Look::Plain),
    ];
}

/// A device with its new activation code. `Debug` does not show the code.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ReissuedCode {
    /// `devices/{id}`
    pub device: String,
    /// Its serial.
    pub serial: String,
    /// For the label, shown this once.
    pub activation_code: String,
}

impl std::fmt::Debug for ReissuedCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReissuedCode")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Record for ReissuedCode {
    const COLUMNS: &'static [Column] = &[
        Column::shown("device", "DEVICE", Look::Name),
        Column::shown("serial", "SERIAL", Look::Plain),
        Column::shown("activation_code", "ACTIVATION CODE", Look::Plain),
    ];
}

/// What an order of renewals did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderedRenewals {
    /// Devices that are asked for it now.
    pub ordered: u64,
}

impl Record for OrderedRenewals {
    const COLUMNS: &'static [Column] = &[Column::shown("ordered", "ORDERED", Look::Number)];
}
