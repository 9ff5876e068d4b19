//! What must come of a change, by its thresholds and by who is who: counted stage by stage, without asking the server.

use super::cast::Role;
use muster_domain::change::Share;
use muster_proto::v1;
use std::fmt;

/// The share that the wire names; nothing where it names none.
pub(super) fn share(wire: v1::Share) -> Share {
    match wire.share {
        Some(v1::share::Share::Count(count)) => Share::Count(count),
        Some(v1::share::Share::PerMille(part)) => Share::PerMille(u16::try_from(part).unwrap_or(u16::MAX)),
        None => Share::Count(0),
    }
}

/// How a change must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Every stage passes.
    Done,
    /// This stage does not, from 1.
    Stopped(u32),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Stopped(stage) => write!(f, "stopped in stage {stage}"),
        }
    }
}

/// By the roles of the targets of each stage.
pub(super) fn expected(strategy: &v1::ChangeStrategy, stages: &[Vec<Role>]) -> Expected {
    let passes = |(rules, roles): (&v1::ChangeStage, &Vec<Role>)| {
        let whole = u32::try_from(roles.len()).unwrap_or(u32::MAX);
        let within = |role: Role, most: Option<v1::Share>| {
            let count = roles.iter().filter(|one| **one == role).count();
            count <= most.map_or(0, |most| share(most).at_most(whole)) as usize
        };
        within(Role::Failing, rules.failures) && within(Role::Offline, rules.silent)
    };
    let stopped = strategy
        .stages
        .iter()
        .zip(stages)
        .position(|stage| !passes(stage));
    match stopped.and_then(|place| u32::try_from(place + 1).ok()) {
        Some(stage) => Expected::Stopped(stage),
        None => Expected::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_may_stops_its_stage() {
        let count = |count| {
            Some(v1::Share {
                share: Some(v1::share::Share::Count(count)),
            })
        };
        let stage = v1::ChangeStage {
            failures: count(1),
            silent: count(2),
            ..v1::ChangeStage::default()
        };
        let strategy = v1::ChangeStrategy {
            stages: vec![stage; 2],
            ..v1::ChangeStrategy::default()
        };
        let check = |first: &[Role], second: &[Role], end: Expected| {
            assert_eq!(expected(&strategy, &[first.to_vec(), second.to_vec()]), end);
        };
        let (well, fails, away) = (Role::Healthy, Role::Failing, Role::Offline);
        check(&[well, fails, away, away], &[fails, well], Expected::Done);
        check(&[well, fails, fails], &[well], Expected::Stopped(1));
        check(&[well], &[away, away, away, well], Expected::Stopped(2));
    }
}
