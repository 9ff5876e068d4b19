//! A change, for people: what it does to how many, how far it is, and what can be done.

use crate::{
    cli::Session,
    failure::Failure,
    output::{Format, Listing, print_one, text::line},
    records::{Change, Demand, Stage},
};
use muster_proto::v1;

/// Prints a change.
pub(super) fn show(session: &mut Session<'_>, change: v1::Change) -> Result<(), Failure> {
    let change = Change::from(change);
    if session.format != Format::Table {
        return print_one(session.out, session.format, &change);
    }
    let id = change.name.trim_start_matches("changes/");
    let title = if change.title.is_empty() {
        String::new()
    } else {
        format!(" ({})", change.title)
    };
    let urgent = if change.priority == "EMERGENCY" {
        ", emergency"
    } else {
        ""
    };
    let filter = devices(&change);
    let lines = [
        ("Change", format!("{id}{title}")),
        ("Action", change.action.clone()),
        ("Devices", filter),
        ("Canaries", change.canary.clone()),
        ("Begins", change.start_time.clone().unwrap_or_default()),
        ("Windows", change.windows.join("; ")),
        ("State", format!("{}{urgent}: {}", change.state, change.summary)),
        ("Plan", change.plan.clone()),
        ("Targets", targets(&change)),
        ("Approved", approved(&change)),
        ("Rules", rules(&change)),
        ("Repairs", repairs(&change)),
        ("Late", late(&change)),
        ("Codes", codes(&change)),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(session.out, "{name:<9} {}", line(value))?;
    }
    if !change.plan.is_empty() || change.targets.total > 0 {
        writeln!(session.out)?;
        let mut stages = Listing::of::<Stage>(session.out, Format::Table, &[])?;
        for stage in &change.stages {
            stages.push(stage)?;
        }
        stages.finish()?;
    }
    if !change.next.is_empty() {
        writeln!(session.out, "\nNext:")?;
        for next in &change.next {
            writeln!(session.out, "  {}", line(next))?;
        }
    }
    Ok(())
}

/// Which devices it is about.
fn devices(change: &Change) -> String {
    let Some(list) = &change.list else {
        return if change.filter.is_empty() {
            "all devices".into()
        } else {
            change.filter.clone()
        };
    };
    let mut text = format!("{} listed", list.rows);
    for (count, what) in [(list.unknown, "not registered"), (list.repeated, "named before")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if !change.filter.is_empty() {
        text.push_str(&format!("; of these {}", change.filter));
    }
    text
}

/// How many devices match, and why some of them are no targets.
fn targets(change: &Change) -> String {
    let left_out: u32 = change.excluded.values().sum();
    let targets = change.targets.total;
    if targets == 0 && left_out == 0 && change.plan.is_empty() {
        return String::new();
    }
    let reasons: Vec<_> = change
        .excluded
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(": {}", reasons.join(", "))
    };
    format!(
        "{targets} of {} devices that match; {left_out} left out{reasons}",
        targets + left_out
    )
}

/// How often a target may be repaired, and how often any was.
fn repairs(change: &Change) -> String {
    match change.may_repair {
        0 => String::new(),
        most => format!("{} so far; {most} of each target at most", change.repairs),
    }
}

/// How many devices joined it, and how many may.
fn late(change: &Change) -> String {
    if change.dynamic.is_empty() {
        return String::new();
    }
    format!("{} joined; {} at most", change.late, change.dynamic)
}

/// How many codes it gave out, and for how long they can be fetched.
fn codes(change: &Change) -> String {
    let Some(codes) = change.codes.as_ref().filter(|codes| codes.issued > 0) else {
        return String::new();
    };
    let left = match (&codes.expire_time, codes.erased) {
        (_, true) => "; erased".into(),
        (Some(until), false) => format!("; to be fetched until {until}"),
        (None, false) => String::new(),
    };
    format!("{} given out{left}", codes.issued)
}

fn approved(change: &Change) -> String {
    if change.approvals_needed == 0 && change.approvals.is_empty() {
        return String::new();
    }
    let by: Vec<_> = change
        .approvals
        .iter()
        .map(|name| name.trim_start_matches("operators/"))
        .collect();
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(": {}", by.join(", "))
    };
    format!("{} of {}{by}", change.approvals.len(), change.approvals_needed)
}

/// Which approval rules are about it, and what they ask.
fn rules(change: &Change) -> String {
    let asked = change.demands.iter().map(|demand| {
        let Demand {
            rule,
            scope,
            approvals,
        } = demand;
        format!("{rule} asks for {approvals} ({scope})")
    });
    asked.collect::<Vec<_>>().join("; ")
}
