//! Changes.

use super::{approval::demand, id, instant, timestamp};
use crate::{
    service::{CodesPart, GivenCode},
    store::{ListedRow, ListedTarget},
    zone,
};
use muster_domain::{
    Code, Refusal, Timestamp,
    change::{
        Action, Change, ChangeRecord, ChangeState, Codes, Halt, Listed, OnHalt, Priority, Relabel, Share,
        Stage, Standing, Strategy, Tally, TargetState, Windows, explain,
    },
    names::Serial,
};
use muster_proto::v1::{
    self,
    change::State,
    change_action::{self, Action as Wire},
    share::Share as WireShare,
};
use std::time::Duration;

fn wrong(why: impl Into<String>, field: impl Into<String>) -> Refusal {
    Refusal::new(Code::ChangeInvalid, why).at(field)
}

/// What every target becomes; revision 0 is the newest.
pub(crate) fn action(wire: Option<&v1::ChangeAction>) -> Result<Action, Refusal> {
    let Some(action) = wire.and_then(|wire| wire.action.as_ref()) else {
        return Err(wrong("says nothing of what devices become", "action"));
    };
    Ok(match action {
        Wire::Profile(assign) => {
            Action::Profile(id(&assign.name, "profiles", "action.profile")?, assign.revision)
        }
        Wire::FirmwarePolicy(assign) => Action::FirmwarePolicy(
            id(&assign.name, "firmwarePolicies", "action.firmware_policy")?,
            assign.revision,
        ),
        Wire::Move(to) => Action::Move(id(&to.site, "sites", "action.site")?),
        Wire::Suspend(suspend) => Action::Suspend(suspend.reason.clone()),
        Wire::Resume(_) => Action::Resume,
        Wire::Retire(retire) => Action::Retire(retire.reason.clone()),
        Wire::RotateCertificate(_) => Action::RotateCertificate,
        Wire::ReissueCodes(reissue) => Action::ReissueCodes {
            claimed: reissue.claimed,
            ttl: (reissue.code_ttl_seconds > 0).then(|| Duration::from_secs(reissue.code_ttl_seconds)),
        },
        Wire::Relabel(relabel) => Action::Relabel(Relabel {
            set: relabel.set.clone().into_iter().collect(),
            remove: relabel.remove.iter().cloned().collect(),
        }),
        Wire::Place(place) => Action::Place((!place.position.is_empty()).then(|| place.position.clone())),
    })
}

fn wire_action(action: &Action) -> v1::ChangeAction {
    let assign = |name: String, revision: u32| change_action::Assign { name, revision };
    let action = match action {
        Action::Profile(name, number) => Wire::Profile(assign(format!("profiles/{name}"), *number)),
        Action::FirmwarePolicy(name, number) => {
            Wire::FirmwarePolicy(assign(format!("firmwarePolicies/{name}"), *number))
        }
        Action::Move(site) => Wire::Move(change_action::Move {
            site: format!("sites/{site}"),
        }),
        Action::Suspend(reason) => Wire::Suspend(change_action::Suspend {
            reason: reason.clone(),
        }),
        Action::Resume => Wire::Resume(change_action::Resume {}),
        Action::Retire(reason) => Wire::Retire(change_action::Retire {
            reason: reason.clone(),
        }),
        Action::RotateCertificate => Wire::RotateCertificate(change_action::RotateCertificate {}),
        Action::ReissueCodes { claimed, ttl } => Wire::ReissueCodes(change_action::ReissueCodes {
            claimed: *claimed,
            code_ttl_seconds: ttl.map_or(0, |ttl| ttl.as_secs()),
        }),
        Action::Relabel(relabel) => Wire::Relabel(change_action::Relabel {
            set: relabel.set.clone().into_iter().collect(),
            remove: relabel.remove.iter().cloned().collect(),
        }),
        Action::Place(position) => Wire::Place(change_action::Place {
            position: position.clone().unwrap_or_default(),
        }),
    };
    v1::ChangeAction { action: Some(action) }
}

pub(super) fn share(wire: Option<&v1::Share>, field: &str) -> Result<Option<Share>, Refusal> {
    match wire.and_then(|wire| wire.share.as_ref()) {
        None => Ok(None),
        Some(WireShare::Count(count)) => Ok(Some(Share::Count(*count))),
        Some(WireShare::PerMille(part)) => u16::try_from(*part)
            .map(|part| Some(Share::PerMille(part)))
            .map_err(|_| wrong("is more than all", field)),
    }
}

pub(super) fn wire_share(share: Share) -> v1::Share {
    let share = match share {
        Share::Count(count) => WireShare::Count(count),
        Share::PerMille(part) => WireShare::PerMille(part.into()),
    };
    v1::Share { share: Some(share) }
}

/// A stage; thresholds that are not given are those of a strategy that nobody gave.
fn stage(wire: &v1::ChangeStage, place: usize, usual: &Stage) -> Result<Stage, Refusal> {
    let field = |name: &str| format!("strategy.stages[{place}].{name}");
    Ok(Stage {
        size: share(wire.size.as_ref(), &field("size"))?,
        soak: Duration::from_secs(wire.soak_seconds),
        failures: share(wire.failures.as_ref(), &field("failures"))?.unwrap_or(usual.failures),
        silent: share(wire.silent.as_ref(), &field("silent"))?.unwrap_or(usual.silent),
    })
}

/// How a change goes through the fleet; what is not given is as usual.
pub(crate) fn strategy(wire: Option<&v1::ChangeStrategy>) -> Result<Strategy, Refusal> {
    let usual = Strategy::default();
    let Some(wire) = wire else {
        return Ok(usual);
    };
    let some = |number: u32| (number > 0).then_some(number);
    let stages = match (wire.stages.as_slice(), usual.stages.first()) {
        ([], _) | (_, None) => usual.stages.clone(),
        (stages, Some(like)) => {
            let stages = stages.iter().enumerate();
            stages
                .map(|(place, wire)| stage(wire, place, like))
                .collect::<Result<_, _>>()?
        }
    };
    let away_limit = match wire.away_limit_seconds {
        None => usual.away_limit,
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
    };
    let start_at = wire.start_time.as_ref();
    let start_at = start_at.map(|at| {
        let early = || wrong("is before 1970, or after the end of time", "strategy.start_time");
        instant(at).ok_or_else(early)
    });
    Ok(Strategy {
        stages,
        in_flight: some(wire.in_flight).unwrap_or(usual.in_flight),
        in_flight_per_site: some(wire.in_flight_per_site),
        per_minute: some(wire.per_minute),
        deadline: match wire.deadline_seconds {
            0 => usual.deadline,
            seconds => Duration::from_secs(seconds),
        },
        watch: wire.watch_seconds.map_or(usual.watch, Duration::from_secs),
        on_halt: match wire.on_halt() {
            v1::change_strategy::OnHalt::Wait => OnHalt::Wait,
            v1::change_strategy::OnHalt::RollBack => OnHalt::RollBack,
        },
        away_limit,
        start_at: start_at.transpose()?,
        windows: windows(&wire.windows)?,
        canary: some_text(&wire.canary),
        repairs: u8::try_from(wire.repairs).unwrap_or(u8::MAX),
        dynamic: share(wire.dynamic.as_ref(), "strategy.dynamic")?,
    })
}

fn some_text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn windows(texts: &[String]) -> Result<Windows, Refusal> {
    Windows::parse(texts).map_err(|problems| {
        let (place, why) = problems.into_iter().next().unwrap_or_default();
        wrong(why, format!("strategy.windows[{place}]"))
    })
}

fn wire_strategy(strategy: &Strategy) -> v1::ChangeStrategy {
    let stages = strategy.stages.iter().map(|stage| v1::ChangeStage {
        size: stage.size.map(wire_share),
        soak_seconds: stage.soak.as_secs(),
        failures: Some(wire_share(stage.failures)),
        silent: Some(wire_share(stage.silent)),
    });
    let on_halt = match strategy.on_halt {
        OnHalt::Wait => v1::change_strategy::OnHalt::Wait,
        OnHalt::RollBack => v1::change_strategy::OnHalt::RollBack,
    };
    v1::ChangeStrategy {
        stages: stages.collect(),
        in_flight: strategy.in_flight,
        in_flight_per_site: strategy.in_flight_per_site.unwrap_or_default(),
        per_minute: strategy.per_minute.unwrap_or_default(),
        deadline_seconds: strategy.deadline.as_secs(),
        watch_seconds: Some(strategy.watch.as_secs()),
        on_halt: on_halt.into(),
        away_limit_seconds: Some(strategy.away_limit.map_or(0, |limit| limit.as_secs())),
        start_time: strategy.start_at.map(timestamp),
        windows: strategy.windows.texts(),
        canary: strategy.canary.clone().unwrap_or_default(),
        repairs: strategy.repairs.into(),
        dynamic: strategy.dynamic.map(wire_share),
    }
}

/// What a change gives way to.
pub(crate) fn priority(wire: v1::change::Priority) -> Priority {
    match wire {
        v1::change::Priority::Normal => Priority::Normal,
        v1::change::Priority::Emergency => Priority::Emergency,
    }
}

pub(super) const fn wire_priority(priority: Priority) -> v1::change::Priority {
    match priority {
        Priority::Normal => v1::change::Priority::Normal,
        Priority::Emergency => v1::change::Priority::Emergency,
    }
}

/// The etag of a change (AIP-154): its revision.
pub(crate) fn etag(change: &Change) -> String {
    format!("r{}", change.revision)
}

fn state(state: &ChangeState) -> (State, Option<Halt>) {
    match state {
        ChangeState::Draft => (State::Draft, None),
        ChangeState::Planned { .. } => (State::Planned, None),
        ChangeState::Running { paused: None, .. } => (State::Running, None),
        ChangeState::Running { paused: Some(_), .. } => (State::Paused, None),
        ChangeState::Halted { why, .. } => (State::Halted, Some(*why)),
        ChangeState::RollingBack { why, .. } => (State::RollingBack, *why),
        ChangeState::Done { .. } => (State::Done, None),
        ChangeState::RolledBack { why, .. } => (State::RolledBack, *why),
        ChangeState::Aborted { .. } => (State::Aborted, None),
    }
}

fn counts(tally: &Tally) -> v1::TargetCounts {
    v1::TargetCounts {
        total: tally.total(),
        waiting: tally.count(Standing::Waiting),
        sent: tally.count(Standing::Sent),
        proved: tally.count(Standing::Proved),
        done: tally.count(Standing::Done),
        failed: tally.count(Standing::Failed),
        timed_out: tally.count(Standing::TimedOut),
        skipped: tally.count(Standing::Skipped),
        reverting: tally.count(Standing::Reverting),
        reverted: tally.count(Standing::Reverted),
    }
}

pub(crate) fn change(record: &ChangeRecord, codes: Option<&Codes>, now: Timestamp) -> v1::Change {
    let change = &record.change;
    let fetch = codes.and_then(|codes| codes.next(change));
    let (state, halt) = state(&change.state);
    let explained = explain(record, &zone::zones(record, now), now);
    let approvals = change.approvals.iter().map(|approval| v1::change::Approval {
        operator: format!("operators/{}", approval.operator),
        time: Some(timestamp(approval.at)),
    });
    let excluded = record.excluded.iter();
    v1::Change {
        name: change.name(),
        title: change.title.clone(),
        author: format!("operators/{}", change.author),
        create_time: Some(timestamp(change.created)),
        etag: etag(change),
        action: Some(wire_action(&change.action)),
        filter: change.filter.clone(),
        strategy: Some(wire_strategy(&change.strategy)),
        priority: wire_priority(change.priority).into(),
        approvals_needed: change.needs().into(),
        demands: change.demands.iter().map(demand).collect(),
        approvals: approvals.collect(),
        state: state.into(),
        plan_hash: change
            .state
            .plan()
            .map(|plan| plan.0.to_vec())
            .unwrap_or_default(),
        stage: change.state.opened().map_or(0, |stage| u32::from(stage) + 1),
        halt: halt.map(|halt| halt.to_string()).unwrap_or_default(),
        stages: record.tallies.iter().map(counts).collect(),
        total: Some(counts(&record.total())),
        excluded: excluded
            .map(|(kind, count)| (kind.as_str().to_owned(), *count))
            .collect(),
        summary: explained.summary,
        next: explained.next.into_iter().chain(fetch).collect(),
        codes: codes.map(|codes| v1::ChangeCodes {
            issued: codes.issued,
            erased: codes.is_erased(),
            expire_time: change
                .codes_expire()
                .filter(|_| codes.seed.is_some())
                .map(timestamp),
        }),
        over: record.closed,
        repairs: record.repairs,
        late: record.late,
        list: change.list.map(|list| v1::ChangeList {
            announced: list.announced,
            rows: list.rows,
            unknown: list.unknown,
            repeated: list.repeated,
        }),
    }
}

/// The standing that a state of the wire means; none for devices that are left out.
pub(crate) const fn standing(wire: v1::change_target::State) -> Option<Standing> {
    use v1::change_target::State;
    match wire {
        State::Waiting => Some(Standing::Waiting),
        State::Sent => Some(Standing::Sent),
        State::Proved => Some(Standing::Proved),
        State::Done => Some(Standing::Done),
        State::Failed => Some(Standing::Failed),
        State::TimedOut => Some(Standing::TimedOut),
        State::Skipped => Some(Standing::Skipped),
        State::Reverting => Some(Standing::Reverting),
        State::Reverted => Some(Standing::Reverted),
        State::Unspecified | State::Excluded | State::Unknown | State::Repeated => None,
    }
}

/// Codes, to be sent to whoever asked for them.
pub(crate) fn codes(part: CodesPart) -> v1::ListCodesResponse {
    let code = |given: GivenCode| v1::GivenCode {
        device: format!("devices/{}", given.issued.device),
        serial: given
            .issued
            .serial
            .map(|serial| serial.to_string())
            .unwrap_or_default(),
        activation_code: given.code.reveal(),
        time: Some(timestamp(given.issued.at)),
    };
    v1::ListCodesResponse {
        codes: part.codes.into_iter().map(code).collect(),
        resume_token: part.token,
    }
}

/// A row of a list, with what became of it.
pub(crate) fn row(row: &ListedRow) -> v1::TargetRowResult {
    use v1::change_target::State;
    let bare = |state: State, reason: String| v1::ChangeTarget {
        device: row
            .listed
            .device()
            .map(|device| format!("devices/{device}"))
            .unwrap_or_default(),
        serial: row.serial.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: state.into(),
        reason,
        ..v1::ChangeTarget::default()
    };
    let target = match (&row.listed, &row.found) {
        (Listed::Unknown(text), _) => bare(State::Unknown, format!("no device has the serial {text}")),
        (Listed::Repeated(_, first), _) => bare(State::Repeated, format!("duplicate of row {first}")),
        (Listed::Device(_), Some(found)) => target(&(found.clone(), row.serial.clone())),
        (Listed::Device(_), None) if row.serial.is_none() => {
            bare(State::Unknown, "it is not registered any more".into())
        }
        (Listed::Device(_), None) => bare(State::Unspecified, "it is not planned".into()),
    };
    v1::TargetRowResult {
        row: row.row,
        target: Some(target),
    }
}

pub(crate) fn target((listed, serial): &(ListedTarget, Option<Serial>)) -> v1::ChangeTarget {
    use v1::change_target::State;
    let serial = serial.as_ref().map(ToString::to_string).unwrap_or_default();
    let target = match listed {
        ListedTarget::Target(target) => target,
        ListedTarget::Excluded(device, why) => {
            return v1::ChangeTarget {
                device: format!("devices/{device}"),
                serial,
                state: State::Excluded.into(),
                reason: why.to_string(),
                ..v1::ChangeTarget::default()
            };
        }
    };
    let (state, at, reason) = match &target.state {
        TargetState::Waiting { .. } => (State::Waiting, None, String::new()),
        TargetState::Sent { at, .. } => (State::Sent, Some(*at), String::new()),
        TargetState::Proved { at, .. } => (State::Proved, Some(*at), String::new()),
        TargetState::Done { at, .. } => (State::Done, Some(*at), String::new()),
        TargetState::Failed { at, reason, .. } => (State::Failed, Some(*at), reason.clone()),
        TargetState::TimedOut { at, .. } => (State::TimedOut, Some(*at), String::new()),
        TargetState::Skipped { at, why } => (State::Skipped, Some(*at), why.to_string()),
        TargetState::Reverting { at, .. } => (State::Reverting, Some(*at), String::new()),
        TargetState::Reverted { at, .. } => (State::Reverted, Some(*at), String::new()),
        TargetState::Fallen { at, reason, .. } => (State::Waiting, Some(*at), reason.clone()),
    };
    v1::ChangeTarget {
        device: format!("devices/{}", target.device),
        serial,
        stage: u32::from(target.stage) + 1,
        state: state.into(),
        reason,
        generation: target.state.generation().unwrap_or_default(),
        time: at.map(timestamp),
        repairs: target.repairs.into(),
        late: target.late,
    }
}
