//! How a change goes through a fleet: in which stages, how fast, and what stops it.

use super::{REPAIR_LIMIT, WINDOW_LIMIT, Windows};
use crate::{Code, Refusal, Timestamp, catalog::check::Problems};
use core::{fmt, time::Duration};
use serde::{Deserialize, Serialize};

/// Most stages of a change.
pub const STAGE_LIMIT: usize = 32;
/// Most targets that may be under way at once.
pub const IN_FLIGHT_LIMIT: u32 = 1_000_000;
/// Longest soak, deadline or watch.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);
/// A thousandth of everything.
pub const WHOLE: u16 = 1000;

/// A part of something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a thousand.
    PerMille(u16),
}

impl Share {
    /// Of `whole`, rounded up: a tenth of five is one, and only nothing of something is nothing.
    pub fn of(self, whole: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(whole),
            Self::PerMille(part) => {
                let part = u64::from(part.min(WHOLE)) * u64::from(whole);
                u32::try_from(part.div_ceil(u64::from(WHOLE))).unwrap_or(whole)
            }
        }
    }

    /// The most of `whole` that is still within it, rounded down: two of a hundred is the limit of 2 %, not three.
    pub fn at_most(self, whole: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::PerMille(part) => {
                let part = u64::from(part.min(WHOLE)) * u64::from(whole);
                u32::try_from(part / u64::from(WHOLE)).unwrap_or(whole)
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::PerMille(part) if part % 10 == 0 => write!(f, "{}%", part / 10),
            Self::PerMille(part) => write!(f, "{}.{}%", part / 10, part % 10),
        }
    }
}

/// A part of the fleet that comes after the one before it has proved the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// How many targets, of all that are no canaries; `None` for all that are left, and for the stage of canaries.
    pub size: Option<Share>,
    /// How long a target must stand by what it proved before it counts as done.
    pub soak: Duration,
    /// How many may fail, of the stage; one more halts the change.
    pub failures: Share,
    /// How many may stay silent beyond their deadline, of the stage; one more halts the change.
    pub silent: Share,
}

/// What happens by itself when a change is halted by its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnHalt {
    /// Nothing more is sent, and somebody decides.
    Wait,
    /// Every device that was touched is given back what it had.
    RollBack,
}

/// How a change goes through a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// In order; the last one takes all that are left.
    pub stages: Vec<Stage>,
    /// Targets that may be under way at once: sent, and neither proved nor failed nor late.
    pub in_flight: u32,
    /// Of these, how many of one site: what a place can do without at once. `None` for no such limit.
    pub in_flight_per_site: Option<u32>,
    /// Targets begun in a minute at most; `None` for no such limit.
    pub per_minute: Option<u32>,
    /// A target that has proved nothing by then is timed out.
    pub deadline: Duration,
    /// How long after the end a target that falls back halts the change again.
    pub watch: Duration,
    /// What a halt does.
    pub on_halt: OnHalt,
    /// Devices that were away for longer than this when it was planned are left out.
    pub away_limit: Option<Duration>,
    /// Nothing is begun before.
    pub start_at: Option<Timestamp>,
    /// A target is begun only within these times of the week, by the clock of its site.
    pub windows: Windows,
    /// Targets that match this filter are the first stage, and nobody else is; `None`: the first stage is a picture of all.
    pub canary: Option<String>,
    /// A target that falls back from what it proved is sent its state once more, so often at most, before it counts as failed.
    pub repairs: u8,
    /// Devices that match only since it was planned join the last stage while it runs, so many at most, of the targets that were
    /// planned, rounded down; `None`: nobody joins.
    pub dynamic: Option<Share>,
}

impl Default for Strategy {
    /// A tenth of a percent, then one, then ten, then the rest; two percent may fail, five stay silent.
    fn default() -> Self {
        let stage = |size| Stage {
            size,
            soak: Duration::from_secs(15 * 60),
            failures: Share::PerMille(20),
            silent: Share::PerMille(50),
        };
        let parts = [
            Some(Share::PerMille(1)),
            Some(Share::PerMille(10)),
            Some(Share::PerMille(100)),
            None,
        ];
        Self {
            stages: parts.map(stage).into(),
            in_flight: 1000,
            in_flight_per_site: None,
            per_minute: None,
            deadline: Duration::from_secs(24 * 3600),
            watch: Duration::from_secs(24 * 3600),
            on_halt: OnHalt::Wait,
            away_limit: Some(Duration::from_secs(90 * 24 * 3600)),
            start_at: None,
            windows: Windows::default(),
            canary: None,
            repairs: 0,
            dynamic: None,
        }
    }
}

impl Strategy {
    /// Everything that is wrong with it, each at its field.
    ///
    /// # Errors
    /// [`Code::ChangeInvalid`] at `strategy.stages[N].FIELD` or `strategy.FIELD`.
    pub fn check(&self) -> Result<(), Vec<Refusal>> {
        let mut problems = Problems::new(Code::ChangeInvalid);
        match self.stages.len() {
            0 => problems.add(
                "strategy.stages",
                "has no stage: give at least one, which takes all",
            ),
            1..=STAGE_LIMIT => {}
            _ => problems.add("strategy.stages", format!("has more than {STAGE_LIMIT} stages")),
        }
        let last = self.stages.len().saturating_sub(1);
        if self.canary.is_some() && last == 0 {
            problems.add(
                "strategy.canary",
                "has a stage of its own, and there is only one: add one for all others",
            );
        }
        if self.windows.len() > WINDOW_LIMIT {
            problems.add("strategy.windows", format!("are over {WINDOW_LIMIT}"));
        }
        for (place, stage) in self.stages.iter().enumerate() {
            let field = |name: &str| format!("strategy.stages[{place}].{name}");
            let is_canary = place == 0 && self.canary.is_some();
            match stage.size {
                None if is_canary => {}
                Some(_) if is_canary => {
                    problems.add(&field("size"), "is bounded: canaries are all that match")
                }
                None if place < last => {
                    problems.add(&field("size"), "takes all that are left, and is not the last")
                }
                Some(_) if place == last => problems.add(
                    &field("size"),
                    "is bounded: the last stage takes all that are left",
                ),
                Some(Share::Count(0) | Share::PerMille(0)) => problems.add(&field("size"), "is nothing"),
                Some(Share::PerMille(part)) if part > WHOLE => {
                    problems.add(&field("size"), "is more than all")
                }
                Some(_) | None => {}
            }
            for (name, share) in [("failures", stage.failures), ("silent", stage.silent)] {
                if matches!(share, Share::PerMille(part) if part > WHOLE) {
                    problems.add(&field(name), "is more than all");
                }
            }
            if stage.soak > LONGEST {
                problems.add(&field("soak"), "is over 90 days");
            }
        }
        for (name, count) in [
            ("in_flight", Some(self.in_flight)),
            ("in_flight_per_site", self.in_flight_per_site),
            ("per_minute", self.per_minute),
        ] {
            match count {
                Some(0) => problems.add(
                    &format!("strategy.{name}"),
                    "is nothing: no target could ever begin",
                ),
                Some(count) if count > IN_FLIGHT_LIMIT => {
                    problems.add(&format!("strategy.{name}"), format!("is over {IN_FLIGHT_LIMIT}"))
                }
                Some(_) | None => {}
            }
        }
        match self.dynamic {
            Some(Share::Count(0) | Share::PerMille(0)) => {
                problems.add("strategy.dynamic", "is nothing: leave it out");
            }
            Some(Share::PerMille(part)) if part > WHOLE => {
                problems.add("strategy.dynamic", "is more than all")
            }
            Some(_) | None => {}
        }
        if self.repairs > REPAIR_LIMIT {
            problems.add("strategy.repairs", format!("is over {REPAIR_LIMIT}"));
        }
        if self.deadline.is_zero() {
            problems.add(
                "strategy.deadline",
                "is nothing: every target would be late at once",
            );
        }
        for (name, time) in [("deadline", self.deadline), ("watch", self.watch)] {
            if time > LONGEST {
                problems.add(&format!("strategy.{name}"), "is over 90 days");
            }
        }
        problems.none_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn the_default_is_sound() {
        assert_eq!(Strategy::default().check(), Ok(()));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let stage = |size, failures| Stage {
            size,
            failures,
            ..Strategy::default().stages[0].clone()
        };
        let strategy = Strategy {
            stages: vec![
                stage(None, Share::Count(0)),
                stage(Some(Share::PerMille(1001)), Share::PerMille(1001)),
                stage(Some(Share::Count(5)), Share::Count(0)),
            ],
            in_flight: 0,
            per_minute: Some(0),
            deadline: Duration::ZERO,
            watch: LONGEST * 2,
            repairs: 11,
            dynamic: Some(Share::PerMille(0)),
            ..Strategy::default()
        };
        let fields: Vec<_> = strategy
            .check()
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.field)
            .collect();
        assert_eq!(
            fields,
            [
                "strategy.stages[0].size",
                "strategy.stages[1].size",
                "strategy.stages[1].failures",
                "strategy.stages[2].size",
                "strategy.in_flight",
                "strategy.per_minute",
                "strategy.dynamic",
                "strategy.repairs",
                "strategy.deadline",
                "strategy.watch",
            ]
        );
    }

    #[test]
    fn canaries_have_a_stage_without_a_size() {
        let fields = |strategy: Strategy| {
            let problems = strategy.check().err().unwrap_or_default().into_iter();
            problems.map(|problem| problem.field).collect::<Vec<_>>()
        };
        let mut strategy = Strategy {
            canary: Some("labels.ring = \"canary\"".into()),
            ..Strategy::default()
        };
        assert_eq!(fields(strategy.clone()), ["strategy.stages[0].size"]);
        strategy.stages[0].size = None;
        assert_eq!(fields(strategy.clone()), [""; 0]);
        strategy.stages.truncate(1);
        assert_eq!(fields(strategy), ["strategy.canary"]);
    }

    #[test]
    fn shares_round_in_favour_of_caution() {
        assert_eq!(Share::PerMille(100).of(5), 1);
        assert_eq!(Share::PerMille(1).of(0), 0);
        assert_eq!(Share::PerMille(20).at_most(149), 2);
        assert_eq!(Share::PerMille(20).at_most(49), 0);
        assert_eq!((Share::Count(7).of(5), Share::Count(7).at_most(5)), (5, 7));
    }

    proptest! {
        #[test]
        fn a_share_is_never_more_than_all(part in 0u16..=1000, whole: u32) {
            let share = Share::PerMille(part);
            prop_assert!(share.at_most(whole) <= share.of(whole));
            prop_assert!(share.of(whole) <= whole);
            prop_assert!(share.of(whole) - share.at_most(whole) <= 1);
        }
    }
}
