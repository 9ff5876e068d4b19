//! Changes of many devices, and their targets.

use super::{Demand, hex, state, time};
use crate::output::{Column, Look, Record};
use muster_proto::v1::{self, change_action::Action, share::Share};
use serde::Serialize;
use std::collections::BTreeMap;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `changes/{id}`
    pub name: String,
    /// What it is for.
    pub title: String,
    /// What every target becomes, in words.
    pub action: String,
    /// Which devices.
    pub filter: String,
    /// Of the list that it was made for.
    pub list: Option<ListCounts>,
    /// `operators/{name}`
    pub author: String,
    /// When it was made.
    pub create_time: Option<String>,
    /// Its state, such as `RUNNING`.
    pub state: String,
    /// `NORMAL` or `EMERGENCY`.
    pub priority: String,
    /// Changes with every step.
    pub etag: String,
    /// Names the plan, in hexadecimal; empty when there is none.
    pub plan: String,
    /// The stage that is open, from 1; 0 when none is.
    pub stage: u32,
    /// Why it was halted.
    pub halt: String,
    /// All targets.
    pub targets: Counts,
    /// Nothing is begun before.
    pub start_time: Option<String>,
    /// Times of the week within which targets are begun, by the clocks of their sites; none: at any time.
    pub windows: Vec<String>,
    /// Targets that match come first; empty: none do.
    pub canary: String,
    /// The same, stage by stage.
    pub stages: Vec<Stage>,
    /// Devices that match and are no targets, by the kind of reason.
    pub excluded: BTreeMap<String, u32>,
    /// How many others must approve the plan.
    pub approvals_needed: u32,
    /// Approval rules that are about it, and what each asks.
    pub demands: Vec<Demand>,
    /// `operators/{name}` of those who did.
    pub approvals: Vec<String>,
    /// What it waits for.
    pub summary: String,
    /// What can be done next.
    pub next: Vec<String>,
    /// How often a target that falls back may be sent its state once more.
    pub may_repair: u32,
    /// How often targets were, all together.
    pub repairs: u32,
    /// How many devices that match only later may join: a count, or a percentage of the plan; empty: none.
    pub dynamic: String,
    /// How many did.
    pub late: u32,
    /// Of a change that gives devices codes.
    pub codes: Option<CodeCounts>,
    /// Nothing can come of it any more.
    pub over: bool,
}

/// How many targets stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the states of targets, by their names")]
pub struct Counts {
    pub total: u32,
    pub waiting: u32,
    pub sent: u32,
    pub proved: u32,
    pub done: u32,
    pub failed: u32,
    pub timed_out: u32,
    pub skipped: u32,
    pub reverting: u32,
    pub reverted: u32,
}

/// The list of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListCounts {
    /// Its rows.
    pub rows: u32,
    /// Of these, rows that name no device.
    pub unknown: u32,
    /// Of these, rows whose device a row before them names.
    pub repeated: u32,
}

/// The codes that a change gives out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCounts {
    /// Devices that got one.
    pub issued: u32,
    /// Nobody is shown them any more.
    pub erased: bool,
    /// When they are erased if nobody keeps them before.
    pub expire_time: Option<String>,
}

/// A stage of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// From 1.
    pub stage: u32,
    /// How many targets it should take, of all: a count, or a percentage; `canary` for those that come first, `rest` for the last.
    pub size: String,
    /// How long a target must stand by what it proved, in seconds.
    pub soak_seconds: u64,
    /// How many may fail: a count, or a percentage.
    pub failures: String,
    /// How many may stay silent.
    pub silent: String,
    /// Its targets.
    #[serde(flatten)]
    pub counts: Counts,
}

pub(super) fn share(share: Option<&v1::Share>) -> Option<String> {
    match share?.share? {
        Share::Count(count) => Some(count.to_string()),
        Share::PerMille(part) if part % 10 == 0 => Some(format!("{}%", part / 10)),
        Share::PerMille(part) => Some(format!("{}.{}%", part / 10, part % 10)),
    }
}

impl From<v1::TargetCounts> for Counts {
    fn from(wire: v1::TargetCounts) -> Self {
        Self {
            total: wire.total,
            waiting: wire.waiting,
            sent: wire.sent,
            proved: wire.proved,
            done: wire.done,
            failed: wire.failed,
            timed_out: wire.timed_out,
            skipped: wire.skipped,
            reverting: wire.reverting,
            reverted: wire.reverted,
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

/// An action in words.
fn words(action: Option<v1::ChangeAction>) -> String {
    let bare = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    match action.and_then(|action| action.action) {
        Some(Action::Profile(to)) => format!("profile {}@{}", bare(&to.name), to.revision),
        Some(Action::FirmwarePolicy(to)) => format!("firmware policy {}@{}", bare(&to.name), to.revision),
        Some(Action::Move(to)) => format!("move to {}", bare(&to.site)),
        Some(Action::Suspend(suspend)) => format!("suspend: {}", suspend.reason),
        Some(Action::Resume(_)) => "resume".into(),
        Some(Action::Retire(retire)) => format!("retire: {}", retire.reason),
        Some(Action::RotateCertificate(_)) => "rotate certificates".into(),
        Some(Action::Relabel(labels)) => {
            let mut set: Vec<_> = labels
                .set
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            set.sort();
            set.extend(labels.remove.iter().map(|key| format!("no {key}")));
            format!("labels {}", set.join(", "))
        }
        Some(Action::ReissueCodes(reissue)) => {
            let claimed = match reissue.claimed {
                true => "; devices that have claimed lose their certificates and claim anew",
                false => "",
            };
            let ttl = match reissue.code_ttl_seconds {
                0 => String::new(),
                seconds if seconds % DAY == 0 => format!(", each good for {} days", seconds / DAY),
                seconds => format!(", each good for {seconds} seconds"),
            };
            format!("re-issue codes{ttl}{claimed}")
        }
        Some(Action::Place(to)) if to.position.is_empty() => "no position".into(),
        Some(Action::Place(to)) => format!("position {}", to.position),
        None => String::new(),
    }
}

impl From<v1::Change> for Change {
    fn from(wire: v1::Change) -> Self {
        let strategy = wire.strategy.unwrap_or_default();
        let has_canary = !strategy.canary.is_empty();
        let counts = wire.stages.into_iter().map(Counts::from);
        // A change that is not planned has stages and no counts.
        let counts = counts.chain(std::iter::repeat(Counts::default()));
        let stages = (1..).zip(strategy.stages).zip(counts);
        let stages = stages.map(|((number, stage), counts)| Stage {
            stage: number,
            size: share(stage.size.as_ref()).unwrap_or_else(|| match (number, has_canary) {
                (1, true) => "canary".into(),
                _ => "rest".into(),
            }),
            soak_seconds: stage.soak_seconds,
            failures: share(stage.failures.as_ref()).unwrap_or_default(),
            silent: share(stage.silent.as_ref()).unwrap_or_default(),
            counts,
        });
        Self {
            state: state(wire.state, v1::change::State::as_str_name, "STATE_"),
            priority: state(wire.priority, v1::change::Priority::as_str_name, ""),
            create_time: time(wire.create_time.as_ref()),
            action: words(wire.action),
            plan: hex(&wire.plan_hash),
            targets: wire.total.map(Counts::from).unwrap_or_default(),
            stages: stages.collect(),
            start_time: time(strategy.start_time.as_ref()),
            windows: strategy.windows,
            canary: strategy.canary,
            excluded: wire.excluded.into_iter().collect(),
            approvals: wire.approvals.into_iter().map(|one| one.operator).collect(),
            name: wire.name,
            title: wire.title,
            filter: wire.filter,
            list: wire.list.map(|list| ListCounts {
                rows: list.rows,
                unknown: list.unknown,
                repeated: list.repeated,
            }),
            author: wire.author,
            etag: wire.etag,
            stage: wire.stage,
            halt: wire.halt,
            approvals_needed: wire.approvals_needed,
            demands: wire.demands.into_iter().map(Demand::from).collect(),
            summary: wire.summary,
            next: wire.next,
            may_repair: strategy.repairs,
            repairs: wire.repairs,
            dynamic: share(strategy.dynamic.as_ref()).unwrap_or_default(),
            late: wire.late,
            codes: wire.codes.map(|codes| CodeCounts {
                issued: codes.issued,
                erased: codes.erased,
                expire_time: time(codes.expire_time.as_ref()),
            }),
            over: wire.over,
        }
    }
}

impl Record for Change {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "ID", Look::Name),
        Column::shown("action", "ACTION", Look::Plain),
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("stage", "STAGE", Look::Number),
        Column::shown("targets.total", "TARGETS", Look::Number),
        Column::shown("targets.done", "DONE", Look::Number),
        Column::shown("targets.failed", "FAILED", Look::Number),
        Column::shown("targets.timed_out", "SILENT", Look::Number),
        Column::shown("author", "AUTHOR", Look::Name),
        Column::shown("create_time", "CREATED", Look::Time),
        Column::extra("title", Look::Plain),
        Column::extra("filter", Look::Plain),
        Column::extra("priority", Look::Plain),
        Column::extra("plan", Look::Plain),
        Column::extra("halt", Look::Plain),
        Column::extra("targets.waiting", Look::Number),
        Column::extra("targets.sent", Look::Number),
        Column::extra("targets.proved", Look::Number),
        Column::extra("targets.skipped", Look::Number),
        Column::extra("targets.reverting", Look::Number),
        Column::extra("targets.reverted", Look::Number),
        Column::extra("repairs", Look::Number),
        Column::extra("late", Look::Number),
        Column::extra("excluded", Look::Plain),
        Column::extra("approvals_needed", Look::Number),
        Column::extra("demands", Look::Plain),
        Column::extra("approvals", Look::Plain),
        Column::extra("summary", Look::Plain),
        Column::extra("etag", Look::Plain),
    ];
}

impl Record for Stage {
    const COLUMNS: &'static [Column] = &[
        Column::shown("stage", "STAGE", Look::Number),
        Column::shown("size", "SIZE", Look::Plain),
        Column::shown("total", "TARGETS", Look::Number),
        Column::shown("waiting", "WAITING", Look::Number),
        Column::shown("sent", "SENT", Look::Number),
        Column::shown("proved", "PROVED", Look::Number),
        Column::shown("done", "DONE", Look::Number),
        Column::shown("failed", "FAILED", Look::Number),
        Column::shown("timed_out", "SILENT", Look::Number),
        Column::shown("skipped", "SKIPPED", Look::Number),
        Column::shown("reverting", "REVERTING", Look::Number),
        Column::shown("reverted", "REVERTED", Look::Number),
        Column::shown("failures", "MAY FAIL", Look::Plain),
        Column::shown("silent", "MAY BE SILENT", Look::Plain),
    ];
}

/// A device that a change found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeTarget {
    /// `devices/{id}`
    pub device: String,
    /// Empty when it is not registered any more.
    pub serial: String,
    /// From 1; 0 of a device that is left out.
    pub stage: u32,
    /// How far it is, such as `PROVED`.
    pub state: String,
    /// Why it failed, or is left out.
    pub reason: String,
    /// The generation under which the change, or its rollback, reached it; 0 when it did not.
    pub generation: u64,
    /// Since when.
    pub time: Option<String>,
    /// How often it fell back and was to be sent its state once more.
    pub repairs: u32,
    /// It joined after the change was planned.
    pub late: bool,
}

impl From<v1::ChangeTarget> for ChangeTarget {
    fn from(wire: v1::ChangeTarget) -> Self {
        Self {
            state: state(wire.state, v1::change_target::State::as_str_name, "STATE_"),
            time: time(wire.time.as_ref()),
            device: wire.device,
            serial: wire.serial,
            stage: wire.stage,
            reason: wire.reason,
            generation: wire.generation,
            repairs: wire.repairs,
            late: wire.late,
        }
    }
}

impl Record for ChangeTarget {
    const COLUMNS: &'static [Column] = &[
        Column::shown("serial", "SERIAL", Look::Plain),
        Column::shown("stage", "STAGE", Look::Number),
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("generation", "GENERATION", Look::Number),
        Column::shown("time", "SINCE", Look::Time),
        Column::shown("reason", "REASON", Look::Plain),
        Column::extra("repairs", Look::Number),
        Column::extra("late", Look::Plain),
        Column::extra("device", Look::Name),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_as_they_are_written() {
        let check = |written: Share, expected: &str| {
            let wire = v1::Share { share: Some(written) };
            assert_eq!(share(Some(&wire)).as_deref(), Some(expected));
        };
        check(Share::Count(100), "100");
        check(Share::PerMille(20), "2%");
        check(Share::PerMille(25), "2.5%");
        check(Share::PerMille(1), "0.1%");
    }
}
