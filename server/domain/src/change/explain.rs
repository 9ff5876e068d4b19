//! What a change waits for, and what to do next.

use super::{Action, ChangeRecord, ChangeState, DeviceList, Priority, Standing, Target, TargetState, Zones};
use crate::{Timestamp, windows::Meeting};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeExplanation {
    /// One sentence.
    pub summary: String,
    /// What can be done, as commands; empty when nothing has to be.
    pub next: Vec<String>,
}

fn plural(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn targets(count: u32) -> String {
    plural(count, "target", "targets")
}

/// Explains a change as it stands at `now`. `zones` says which of its time zones may begin targets.
pub fn explain(record: &ChangeRecord, zones: &Zones, now: Timestamp) -> ChangeExplanation {
    let (change, total) = (&record.change, record.total());
    let id = change.id;
    let commands = |commands: &[&str]| -> Vec<String> {
        let filled = commands
            .iter()
            .map(|command| format!("muster change {}", command.replace("ID", &id.to_string())));
        filled.collect()
    };
    let (summary, next) = match &change.state {
        ChangeState::Draft => match change.list.filter(|list| !list.is_whole()) {
            Some(DeviceList { announced, rows, .. }) => (
                format!("{rows} of the {announced} rows of its list are there"),
                Vec::new(),
            ),
            None => ("its targets are not listed yet".into(), commands(&["plan ID"])),
        },
        ChangeState::Planned { plan } => {
            let missing = usize::from(change.needs()).saturating_sub(change.approvals.len());
            let listed = format!(
                "{} in {}, {} left out{}",
                targets(total.total()),
                plural(stages(record), "stage", "stages"),
                plural(record.left_out(), "device", "devices"),
                warning(&change.action),
            );
            if missing == 0 {
                let start = format!("start ID --plan {plan}");
                let begins = change.strategy.start_at.filter(|start| *start > now);
                let begins = begins
                    .map(|start| format!(", and begins at {start}"))
                    .unwrap_or_default();
                (
                    format!("{listed}; it can be started{begins}"),
                    commands(&[&start]),
                )
            } else {
                let approvals = u32::try_from(missing).unwrap_or(u32::MAX);
                let approvals = plural(approvals, "approval is", "approvals are");
                let approve = format!("approve ID --plan {plan}");
                (
                    format!("{listed}; {approvals} missing: {}", change.unmet()),
                    commands(&[&approve]),
                )
            }
        }
        ChangeState::Running { .. } if record.is_reserving() => {
            ("its devices are being taken for it".into(), Vec::new())
        }
        ChangeState::Running {
            stage,
            paused: Some(since),
            ..
        } => (
            format!("paused since {since}; {}", under_way(record, *stage, zones, now)),
            commands(&["resume ID", "abort ID"]),
        ),
        ChangeState::Running {
            stage, paused: None, ..
        } => (under_way(record, *stage, zones, now), commands(&["watch ID"])),
        ChangeState::Halted { why, at, .. } => {
            let mut next = vec!["targets ID --state FAILED,TIMED_OUT", "retry ID", "resume ID"];
            if change.action.is_reversible() {
                next.push("rollback ID");
            }
            next.push("abort ID");
            (format!("halted at {at}: {why}"), commands(&next))
        }
        ChangeState::RollingBack { .. } => {
            let left = [
                Standing::Waiting,
                Standing::Sent,
                Standing::Proved,
                Standing::Done,
                Standing::Failed,
                Standing::TimedOut,
            ];
            let left = left
                .into_iter()
                .fold(0, |sum: u32, standing| sum.saturating_add(total.count(standing)));
            (
                format!("{} still to be given back what they had", targets(left)),
                commands(&["watch ID"]),
            )
        }
        ChangeState::Done { at, .. } => {
            let until = at.plus(change.strategy.watch);
            let done = format!(
                "{} of {} done{}{}",
                total.count(Standing::Done),
                targets(total.total()),
                repaired(record),
                joined(record),
            );
            if until > now {
                (format!("{done}; watched until {until}"), Vec::new())
            } else {
                (done, Vec::new())
            }
        }
        ChangeState::RolledBack { why, .. } => {
            let because = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            let (proved, waits) = (total.count(Standing::Reverted), total.count(Standing::Reverting));
            (
                format!(
                    "rolled back{because}: {} again what they were, {waits} have not said so yet",
                    targets(proved)
                ),
                Vec::new(),
            )
        }
        ChangeState::Aborted { at } => (format!("aborted at {at}; what was sent stays"), Vec::new()),
    };
    ChangeExplanation { summary, next }
}

/// What nobody should start without having read it.
const fn warning(action: &Action) -> &'static str {
    if matches!(action, Action::ReissueCodes { claimed: true, .. }) {
        "; those that have claimed lose their certificates at once, and stay out until they claim with their new codes"
    } else {
        ""
    }
}

fn stages(record: &ChangeRecord) -> u32 {
    u32::try_from(record.change.strategy.stages.len()).unwrap_or(u32::MAX)
}

/// Targets that fell back and were sent their state once more.
fn repaired(record: &ChangeRecord) -> String {
    match record.repairs {
        0 => String::new(),
        count => format!(", {} of what fell back", plural(count, "repair", "repairs")),
    }
}

/// Devices that joined it after it was planned.
fn joined(record: &ChangeRecord) -> String {
    match record.late {
        0 => String::new(),
        late if late >= record.late_limit() => format!(", {late} joined late, as many as may"),
        late => format!(", {late} joined late"),
    }
}

/// How far the open stage is, and what it waits for.
fn under_way(record: &ChangeRecord, stage: u16, zones: &Zones, now: Timestamp) -> String {
    let tally = record
        .tallies
        .get(usize::from(stage))
        .copied()
        .unwrap_or_default();
    // What fell back in stages before it holds it up too.
    let before = record.tallies.iter().take(usize::from(stage));
    let tally = before.fold(tally, |sum, tally| sum.plus(tally));
    let (waiting, sent, soaking) = (
        tally.count(Standing::Waiting),
        tally.count(Standing::Sent),
        tally.count(Standing::Proved),
    );
    let strategy = &record.change.strategy;
    let full = record.total().count(Standing::Sent) >= strategy.in_flight;
    let early = strategy.start_at.filter(|start| *start > now);
    let closed = match (early, zones.closed_until()) {
        (Some(start), _) => Some(format!("; nothing is begun before {start}")),
        (None, Some(until)) => Some(format!("; the next window opens at {until}")),
        (None, None) => None,
    };
    let waits = match (waiting, sent, soaking) {
        (0, 0, 0) => "the next one opens".into(),
        (0, 0, _) => format!("{} soak", targets(soaking)),
        (0, ..) => format!("{} under way, {soaking} soak", targets(sent)),
        _ if closed.is_some() => format!("{waiting} wait, {sent} under way{}", closed.unwrap_or_default()),
        _ if full => format!("{waiting} wait while {} under way, as many as may", targets(sent)),
        _ if strategy.per_minute.is_some() && !record.begun.is_empty() => {
            format!("{waiting} wait for their minute, {sent} under way")
        }
        _ if strategy.in_flight_per_site.is_some() && sent > 0 => {
            format!("{waiting} wait, {sent} under way, at their sites as many as may")
        }
        _ if !strategy.windows.is_empty() || record.has_site_windows() => {
            format!(
                "{waiting} wait, {}, {sent} under way",
                window_of_each(record, zones)
            )
        }
        _ => format!("{waiting} wait, {sent} under way"),
    };
    let (number, repaired, joined) = (u32::from(stage) + 1, repaired(record), joined(record));
    format!("stage {number} of {}: {waits}{repaired}{joined}", stages(record))
}

/// For what targets wait that have windows, and until when the first of those that are closed.
fn window_of_each(record: &ChangeRecord, zones: &Zones) -> String {
    let windows = &record.change.strategy.windows;
    let own = match (windows.is_empty(), record.has_site_windows()) {
        (false, false) => format!("each for its window ({windows})"),
        (false, true) => format!("each for its window ({windows}) and those of its site"),
        (true, _) => "each for the maintenance windows of its site".into(),
    };
    match zones.next() {
        Some(next) => format!("{own}, of which the next opens at {next}"),
        None => own,
    }
}

/// When a target of a zone that is closed is begun, and whose windows it waits for.
fn opens(record: &ChangeRecord, target: &Target, opens: Meeting) -> String {
    let (change, site) = (&record.change.strategy.windows, record.zone(target.zone));
    let site = site.map(|zone| zone.windows.clone()).unwrap_or_default();
    let mut whose = Vec::new();
    if !change.is_empty() {
        whose.push(format!("windows of the change: {change}"));
    }
    if !site.is_empty() {
        whose.push(format!("maintenance windows of its site: {site}"));
    }
    let whose = whose.join("; ");
    match opens {
        Meeting::Now => String::new(),
        Meeting::At(until) => format!(", and not before {until} ({whose})"),
        Meeting::Never => format!(", and never will ({whose})"),
    }
}

/// What a device that is a target is told of the change: which, how far it is, and what it waits for. `meeting` says when targets of its
/// zone may be begun.
pub fn explain_target(record: &ChangeRecord, target: &Target, meeting: Meeting) -> String {
    let change = &record.change;
    let urgent = match change.priority {
        Priority::Normal => "",
        Priority::Emergency => "emergency ",
    };
    let stage = u32::from(target.stage) + 1;
    let late = if target.late { ", joined late" } else { "" };
    let place = format!(
        "{urgent}change {} ({}), stage {stage} of {}{late}, {}",
        change.id,
        change.action,
        stages(record),
        change.state.as_str()
    );
    let what = match &target.state {
        TargetState::Waiting { reached: None } => {
            format!("its turn has not come{}", opens(record, target, meeting))
        }
        TargetState::Waiting { reached: Some(_) } => {
            format!("it waits to be tried once more{}", opens(record, target, meeting))
        }
        TargetState::Sent { generation, at } => {
            format!("sent as generation {generation} at {at}; it has not said what became of it")
        }
        TargetState::Proved { at, .. } => format!("proved at {at}; it soaks"),
        TargetState::Done { at, .. } => format!("done at {at}"),
        TargetState::Failed { at, reason, .. } => format!("failed at {at}: {reason}"),
        TargetState::TimedOut { at, .. } => format!("it said nothing in time, until {at}"),
        TargetState::Skipped { why, .. } => format!("left out: {why}"),
        TargetState::Reverting { generation, .. } => {
            format!("given back what it had as generation {generation}; it has not said that it has it")
        }
        TargetState::Reverted { at, .. } => format!("given back what it had at {at}"),
        TargetState::Fallen { at, reason, .. } => {
            let opens = opens(record, target, meeting);
            format!("it fell back at {at} ({reason}), and waits to be sent its state once more{opens}")
        }
    };
    let repairs = match target.repairs {
        0 => String::new(),
        count => format!(
            "; {} of {}",
            plural(count.into(), "repair", "repairs"),
            change.strategy.repairs
        ),
    };
    format!("{place}: {what}{repairs}")
}
