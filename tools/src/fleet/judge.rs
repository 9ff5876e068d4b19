//! Whether everything is as it must be at the end: by what was read back, and not by what anybody counted.

use super::{
    cast::{Cast, Role},
    census::{Census, Stand},
    expect::{Expected, expected},
    host::Member,
};
use muster_proto::v1::{
    self, Change, ChangeTarget, TargetCounts, change::State, change_strategy::OnHalt,
    change_target::State as TargetState,
};
use std::collections::HashMap;

/// Problems that are told one by one.
const TOLD: usize = 10;
/// The revision that the change is about.
const NEW: u32 = 2;

/// What it is judged by.
pub(super) struct Judge<'a> {
    pub(super) cast: &'a Cast,
    pub(super) members: &'a [Member],
    pub(super) strategy: &'a v1::ChangeStrategy,
    /// Most devices that a bad revision may reach.
    pub(super) bad_bound: Option<u32>,
}

/// What is wrong, as much of it as anybody reads.
#[derive(Default)]
struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    fn note(&mut self, fine: bool, what: impl FnOnce() -> String) {
        match (fine, self.told.len() < TOLD) {
            (true, _) => {}
            (false, true) => self.told.push(what()),
            (false, false) => self.more += 1,
        }
    }

    fn list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        self.told
    }
}

/// What became of a target: by how much its generation grew, and whether it has the new revision.
fn outcome(end: State, target: TargetState) -> Option<(u64, bool)> {
    match (end, target) {
        (State::Done, TargetState::Done | TargetState::Failed | TargetState::TimedOut) => Some((1, true)),
        (State::Halted, TargetState::Waiting) => Some((0, false)),
        (
            State::Halted,
            TargetState::Proved
            | TargetState::Done
            | TargetState::Failed
            | TargetState::TimedOut
            | TargetState::Sent,
        ) => Some((1, true)),
        (State::RolledBack, TargetState::Skipped) => Some((0, false)),
        (State::RolledBack, TargetState::Reverting | TargetState::Reverted) => Some((2, false)),
        _ => None,
    }
}

/// Whether a device in this role can have come to this.
fn suits(role: Role, target: TargetState) -> bool {
    match target {
        TargetState::Waiting | TargetState::Skipped => true,
        TargetState::Proved | TargetState::Done => role == Role::Healthy,
        TargetState::Failed => role == Role::Failing,
        TargetState::Reverted => role != Role::Offline,
        TargetState::Sent | TargetState::TimedOut | TargetState::Reverting => role == Role::Offline,
        TargetState::Excluded | TargetState::Unknown | TargetState::Repeated | TargetState::Unspecified => {
            false
        }
    }
}

/// Counts by states, as the change should have them.
fn counted<'t>(targets: impl IntoIterator<Item = &'t ChangeTarget>) -> TargetCounts {
    let mut counts = TargetCounts::default();
    for target in targets {
        counts.total += 1;
        let count = match target.state() {
            TargetState::Waiting => &mut counts.waiting,
            TargetState::Sent => &mut counts.sent,
            TargetState::Proved => &mut counts.proved,
            TargetState::Done => &mut counts.done,
            TargetState::Failed => &mut counts.failed,
            TargetState::TimedOut => &mut counts.timed_out,
            TargetState::Skipped => &mut counts.skipped,
            TargetState::Reverting => &mut counts.reverting,
            TargetState::Reverted => &mut counts.reverted,
            TargetState::Excluded
            | TargetState::Unknown
            | TargetState::Repeated
            | TargetState::Unspecified => continue,
        };
        *count += 1;
    }
    counts
}

impl Judge<'_> {
    fn places(&self) -> HashMap<&str, u32> {
        self.members
            .iter()
            .map(|member| member.id.as_str())
            .zip(0..)
            .collect()
    }

    /// How the change must end, by who is in which stage.
    pub(super) fn expected(&self, targets: &[ChangeTarget]) -> Expected {
        let places = self.places();
        let mut stages = vec![Vec::new(); self.strategy.stages.len()];
        for target in targets {
            let id = target.device.trim_start_matches("devices/");
            let stage = super::index(target.stage)
                .ok()
                .and_then(|stage| stage.checked_sub(1));
            if let (Some(place), Some(stage)) =
                (places.get(id), stage.and_then(|stage| stages.get_mut(stage)))
            {
                stage.push(self.cast.role(*place));
            }
        }
        expected(self.strategy, &stages)
    }

    /// Everything that is not as it must be.
    pub(super) fn problems(
        &self,
        end: &Change,
        targets: &[ChangeTarget],
        former: &Census,
        now: &Census,
    ) -> Vec<String> {
        let mut problems = Problems::default();
        self.check_end(end, targets, &mut problems);
        check_counts(end, targets, &mut problems);
        let places = self.places();
        let mut seen = vec![false; self.members.len()];
        for target in targets {
            let id = target.device.trim_start_matches("devices/");
            let Some(&place) = places.get(id) else {
                problems.note(false, || format!("{id} is a target and no device"));
                continue;
            };
            let first = super::index(place).ok().and_then(|place| seen.get_mut(place));
            let first = first.is_some_and(|seen| !std::mem::replace(seen, true));
            problems.note(first, || format!("{id} is a target twice"));
            let stands = former.get(id).zip(now.get(id));
            self.check_target(end.state(), (target, place), stands, &mut problems);
        }
        let forgotten = seen.iter().filter(|seen| !**seen).count();
        problems.note(forgotten == 0, || format!("{forgotten} devices are no targets"));
        problems.list()
    }

    fn check_end(&self, end: &Change, targets: &[ChangeTarget], problems: &mut Problems) {
        let expected = self.expected(targets);
        let state = match (expected, self.strategy.on_halt()) {
            (Expected::Done, _) => State::Done,
            (Expected::Stopped(_), OnHalt::RollBack) => State::RolledBack,
            (Expected::Stopped(_), OnHalt::Wait) => State::Halted,
        };
        problems.note(end.state() == state, || {
            format!(
                "it is {}, and must be {}",
                end.state().as_str_name(),
                state.as_str_name()
            )
        });
        let touched = targets.iter().filter(|target| target.generation > 0);
        if let Expected::Stopped(last) = expected {
            let beyond = touched.clone().filter(|target| target.stage > last).count();
            problems.note(beyond == 0, || {
                format!("{beyond} devices behind stage {last} were touched")
            });
        }
        if let Some(bound) = self.bad_bound {
            let reached = touched.count();
            problems.note(reached <= bound as usize, || {
                format!("the bad revision reached {reached} devices, and may reach {bound}")
            });
        }
    }

    fn check_target(
        &self,
        end: State,
        (target, place): (&ChangeTarget, u32),
        stands: Option<(&Stand, &Stand)>,
        problems: &mut Problems,
    ) {
        let (state, role) = (target.state(), self.cast.role(place));
        let name = || target.device.clone();
        problems.note(suits(role, state), || {
            format!("{} is {}, and was {role:?}", name(), state.as_str_name())
        });
        let (Some((former, now)), Some((raised, is_new))) = (stands, outcome(end, state)) else {
            return problems.note(false, || {
                format!("{} is {} at the end", name(), state.as_str_name())
            });
        };
        problems.note(now.generation == former.generation + raised, || {
            format!(
                "{} came from generation {} to {}",
                name(),
                former.generation,
                now.generation
            )
        });
        let content = if is_new {
            now.revision == NEW && now.digest != former.digest
        } else {
            now.revision == former.revision && now.digest == former.digest
        };
        problems.note(content, || format!("{} has other content than it must", name()));
        let fails = role == Role::Failing && is_new;
        problems.note(now.verified != fails, || {
            format!("{} is{} verified", name(), if now.verified { "" } else { " not" })
        });
    }

    /// Late devices that are what they must be now.
    pub(super) fn caught_up(&self, now: &Census) -> usize {
        let late = self.cast.absent();
        let members = late
            .iter()
            .filter_map(|place| self.members.get(super::index(*place).ok()?));
        members
            .filter(|member| now.get(&member.id).is_some_and(|stand| stand.verified))
            .count()
    }
}

fn check_counts(end: &Change, targets: &[ChangeTarget], problems: &mut Problems) {
    for (stage, counts) in (1..).zip(&end.stages) {
        let derived = counted(targets.iter().filter(|target| target.stage == stage));
        problems.note(*counts == derived, || {
            format!("stage {stage} counts {counts:?}, and its targets are {derived:?}")
        });
    }
    problems.note(end.total == Some(counted(targets)), || {
        "the counts of the change are not those of its targets".into()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_from_states() {
        let target = |state: TargetState| ChangeTarget {
            state: state.into(),
            ..ChangeTarget::default()
        };
        let targets = [TargetState::Done, TargetState::Done, TargetState::Reverting].map(target);
        let counts = TargetCounts {
            total: 3,
            done: 2,
            reverting: 1,
            ..TargetCounts::default()
        };
        assert_eq!(counted(&targets), counts);
        let mut problems = Problems::default();
        let mut end = Change {
            total: Some(counts),
            ..Change::default()
        };
        check_counts(&end, &targets, &mut problems);
        assert!(problems.told.is_empty());
        end.total = Some(TargetCounts { done: 3, ..counts });
        check_counts(&end, &targets, &mut problems);
        assert_eq!(problems.list().len(), 1);
    }

    #[test]
    fn ten_problems_are_told_and_the_rest_counted() {
        let mut problems = Problems::default();
        for number in 0..12 {
            problems.note(false, || number.to_string());
        }
        problems.note(true, || "nothing".into());
        let list = problems.list();
        assert_eq!(
            (list.len(), list.last().map(String::as_str)),
            (11, Some("and 2 more"))
        );
    }
}
