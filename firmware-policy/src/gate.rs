//! Whether a device that has something to install may begin now.

use alloc::vec;
use alloc::vec::Vec;

use crate::decision::{Reason, Standing, Urgency};
use crate::facts::Facts;
use crate::policy::{Update, WhenForbidden};
use crate::rollout::Percentage;
use crate::time::Timestamp;
use crate::window::{Opening, opening};

/// Whether a device may begin now.
pub(crate) enum Gate {
    /// It may.
    Open {
        urgency: Urgency,
        window_closes: Option<Timestamp>,
        overrides: Option<Reason>,
    },
    /// It may not, for these reasons, until that moment at the earliest.
    Closed {
        holds: Vec<Reason>,
        until: Option<Timestamp>,
    },
}

/// Asks in order of strength: the stop, what overrides the schedule, the schedule.
pub(crate) fn gate(update: &Update, facts: &Facts, standing: Standing, now: Timestamp) -> Gate {
    if update.rollout == Percentage::NONE {
        return Gate::Closed {
            holds: vec![Reason::RolloutStopped],
            until: None,
        };
    }
    let is_forbidden = standing == Standing::Forbidden;
    let urgent = |urgency, reason| Gate::Open {
        urgency: if is_forbidden { Urgency::Forbidden } else { urgency },
        window_closes: None,
        overrides: Some(reason),
    };
    if let Some(deadline) = update.deadline.filter(|deadline| *deadline <= now) {
        return urgent(Urgency::Overdue, Reason::DeadlinePassed { deadline });
    }
    if is_forbidden && update.when_forbidden == WhenForbidden::AtOnce {
        return urgent(Urgency::Forbidden, Reason::LeavesAtOnce);
    }
    schedule(
        update,
        facts,
        now,
        if is_forbidden {
            Urgency::Forbidden
        } else {
            Urgency::Routine
        },
    )
}

fn schedule(update: &Update, facts: &Facts, now: Timestamp, urgency: Urgency) -> Gate {
    let bucket = update.bucket(&facts.device);
    let in_rollout = update.rollout.includes(bucket);
    let not_in_rollout = (!in_rollout).then(|| Reason::NotInRollout {
        turn: bucket.turn(),
        rollout: update.rollout,
    });
    let (closes, opens, window) = match local_opening(update, facts, now) {
        Some(Opening::Open(closes)) => (closes, None, None),
        Some(Opening::Closed(opens)) => (None, Some(opens), Some(Reason::OutsideWindow { opens })),
        None => (None, None, Some(Reason::LocalTimeUnknown)),
    };
    let holds: Vec<Reason> = not_in_rollout.into_iter().chain(window).collect();
    if holds.is_empty() {
        return Gate::Open {
            urgency,
            window_closes: closes,
            overrides: None,
        };
    }
    // The next window is worth waking up for only if nothing else holds the device back.
    let opens = opens.filter(|_| in_rollout);
    Gate::Closed {
        holds,
        until: opens.into_iter().chain(update.deadline).min(),
    }
}

/// `None` if there are windows, and the device's local time is not known.
fn local_opening(update: &Update, facts: &Facts, now: Timestamp) -> Option<Opening> {
    if update.windows.is_empty() {
        return Some(Opening::Open(None));
    }
    facts
        .utc_offset
        .map(|offset| opening(&update.windows, now, offset))
}
