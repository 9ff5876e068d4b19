//! A fleet in memory, and a worker that does what changes say: what the store and the server do with transactions.

use crate::support::{PLAN, at, plan, publish, stage, start};
use core::time::Duration;
use muster_domain::{
    Timestamp,
    change::{
        Accepted, Candidate, Change, ChangeRecord, ChangeState, ChangeStep, Former, Next, OnHalt, Priority,
        Share, Skipped, Standing, Strategy, Tally, Target, TargetState, spread,
    },
    device::{FacetState, Report},
    ids::{ChangeId, DeviceId},
};
use std::collections::BTreeMap;

/// A device as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    /// The profile revision that it is to run.
    pub(crate) revision: u32,
}

/// A change with its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) change: Change,
    pub(crate) targets: BTreeMap<DeviceId, Target>,
    pub(crate) tallies: Vec<Tally>,
    /// When targets were begun.
    begun: Vec<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) now: Timestamp,
    pub(crate) devices: BTreeMap<DeviceId, Record>,
    pub(crate) changes: BTreeMap<ChangeId, Running>,
    /// Who is about the configuration of a device (I8).
    pub(crate) held: BTreeMap<DeviceId, ChangeId>,
    /// Every report that ever reached the server, in order.
    pub(crate) said: Vec<(DeviceId, Report)>,
}

impl Running {
    fn moved(&mut self, device: DeviceId, step: impl FnOnce(TargetState) -> TargetState) {
        let target = self.targets.get_mut(&device).unwrap();
        let before = target.state.standing();
        target.state = step(target.state.clone());
        let after = target.state.standing();
        self.tallies[usize::from(target.stage)].moved(before, after);
    }

    fn of(&self, wanted: impl Fn(&Target) -> bool) -> Vec<DeviceId> {
        let found = self.targets.values().filter(|target| wanted(target));
        found.map(|target| target.device).collect()
    }

    pub(crate) fn step(&mut self, step: ChangeStep, now: Timestamp) -> bool {
        match self.change.clone().step(step, now) {
            Ok(after) => {
                self.change = after;
                true
            }
            Err(_) => false,
        }
    }
}

impl Fleet {
    pub(crate) fn new(size: u128) -> Self {
        let record = Record {
            generation: 1,
            revision: 1,
        };
        let devices = (1..=size).map(|id| (DeviceId::from_u128(id), record.clone()));
        Self {
            now: at(1000),
            devices: devices.collect(),
            changes: BTreeMap::new(),
            held: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    /// Plans and starts a change of all devices that `picks` says, as far as no other one is about them that does not give way.
    pub(crate) fn start(
        &mut self,
        revision: u32,
        strategy: Strategy,
        priority: Priority,
        picks: impl Fn(DeviceId) -> bool,
    ) {
        let id = ChangeId::from_u128(u128::from(revision));
        let strategy_stages = strategy.stages.clone();
        let change = Change {
            id,
            action: publish(revision),
            strategy,
            priority,
            ..crate::support::draft()
        };
        let chosen: Vec<_> = self
            .devices
            .keys()
            .copied()
            .filter(|device| picks(*device))
            .collect();
        let candidate = |device: &DeviceId| Candidate {
            device: *device,
            kind: u32::from(device.as_u128().is_multiple_of(3)),
        };
        let candidates: Vec<_> = chosen.iter().map(candidate).collect();
        let mut running = Running {
            change,
            targets: BTreeMap::new(),
            tallies: vec![Tally::default(); strategy_stages.len()],
            begun: Vec::new(),
        };
        for (device, stage) in chosen.into_iter().zip(spread(id, &candidates, &strategy_stages)) {
            let former = Former::Profile(Some(("gateway".parse().unwrap(), self.devices[&device].revision)));
            let mut state = TargetState::Waiting { reached: None };
            match self.gives_way(device, priority, id) {
                Ok(()) => drop(self.held.insert(device, id)),
                Err(other) => state = state.skipped(Skipped::Taken(other), self.now),
            }
            running.tallies[usize::from(stage)].add(state.standing());
            running.targets.insert(
                device,
                Target {
                    device,
                    stage,
                    site: None,
                    zone: 0,
                    becomes: None,
                    repairs: 0,
                    late: false,
                    former,
                    state,
                },
            );
        }
        assert!(running.step(plan(PLAN), self.now) && running.step(start(PLAN), self.now));
        self.changes.insert(id, running);
    }

    /// A device that matches only now joins every change that still takes such, as far as no other one is about it.
    pub(crate) fn join(&mut self, device: DeviceId) {
        for id in self.changes.keys().copied().collect::<Vec<_>>() {
            let running = &self.changes[&id];
            let count = |found: usize| u32::try_from(found).unwrap();
            let late = count(running.of(|target| target.late).len());
            let room = running.change.room_for_late(count(running.targets.len()), late);
            let (priority, revision) = (running.change.priority, self.devices[&device].revision);
            if room == 0
                || running.targets.contains_key(&device)
                || self.gives_way(device, priority, id).is_err()
            {
                continue;
            }
            self.held.insert(device, id);
            let running = self.changes.get_mut(&id).unwrap();
            let stage = running.tallies.len() - 1;
            running.tallies[stage].add(Standing::Waiting);
            let target = Target {
                device,
                stage: u16::try_from(stage).unwrap(),
                site: None,
                zone: 0,
                becomes: None,
                former: Former::Profile(Some(("gateway".parse().unwrap(), revision))),
                repairs: 0,
                late: true,
                state: TargetState::Waiting { reached: None },
            };
            running.targets.insert(device, target);
        }
    }

    /// Whoever is about a device leaves it to this change, or is the answer.
    fn gives_way(&mut self, device: DeviceId, priority: Priority, id: ChangeId) -> Result<(), ChangeId> {
        let now = self.now;
        let holder = self
            .held
            .get(&device)
            .and_then(|holder| self.changes.get_mut(holder));
        let Some(other) = holder else { return Ok(()) };
        let holds = other.change.state.holds_targets();
        if holds && other.change.priority >= priority {
            return Err(other.change.id);
        }
        if holds || other.targets[&device].state.standing().goes_on() {
            other.moved(device, |state| state.left(Skipped::Taken(id), now));
        }
        Ok(())
    }

    /// The server ends and comes back: what it knows is what it wrote down, and counts follow from that.
    pub(crate) fn restart(&mut self) {
        for running in self.changes.values_mut() {
            let record = ChangeRecord {
                tallies: running.tallies.clone(),
                ..ChangeRecord::new(running.change.clone())
            };
            let read: ChangeRecord = reread(&record);
            let targets: Vec<Target> = reread(&running.targets.values().cloned().collect());
            let stage = |stage: usize| {
                let of_it = targets
                    .iter()
                    .filter(move |target| usize::from(target.stage) == stage);
                Tally::of(of_it.map(|target| target.state.standing()))
            };
            running.tallies = (0..read.tallies.len()).map(stage).collect();
            assert_eq!(running.tallies, read.tallies);
            running.change = read.change;
            running.targets = targets
                .into_iter()
                .map(|target| (target.device, target))
                .collect();
        }
    }

    fn retarget(&mut self, device: DeviceId, revision: u32) -> u64 {
        let record = self.devices.get_mut(&device).unwrap();
        record.generation += 1;
        record.revision = revision;
        record.generation
    }

    /// One step of the worker; false when there is nothing to do.
    pub(crate) fn work(&mut self, id: ChangeId) -> bool {
        let now = self.now;
        let mut running = self.changes.remove(&id).unwrap();
        let begun = running
            .begun
            .iter()
            .filter(|at| at.plus(Duration::from_secs(60)) > now)
            .count();
        let next = running
            .change
            .next(&running.tallies, u32::try_from(begun).unwrap(), now);
        let did = !matches!(next, Next::Wait | Next::Rest);
        match next {
            Next::Send(most) => {
                let open = running.change.begins().unwrap();
                let waiting =
                    running.of(|target| target.stage <= open && target.state.standing() == Standing::Waiting);
                for device in waiting.into_iter().take(usize::try_from(most).unwrap()) {
                    // A retried target may have been taken meanwhile.
                    if self.held.get(&device) == Some(&id) {
                        let revision = u32::try_from(id.as_u128()).unwrap();
                        let generation = self.retarget(device, revision);
                        running.moved(device, |state| state.sent(generation, true, now));
                        running.begun.push(now);
                    } else {
                        let other = self.held[&device];
                        running.moved(device, |state| state.skipped(Skipped::Taken(other), now));
                    }
                }
            }
            Next::Skip(why) => {
                for device in running.of(|target| target.state.standing() == Standing::Waiting) {
                    running.moved(device, |state| state.skipped(why.clone(), now));
                }
            }
            Next::Revert => {
                for device in running.of(|target| target.state.is_touched()) {
                    let Former::Profile(Some((_, revision))) = running.targets[&device].former else {
                        panic!("of a profile")
                    };
                    if self.held.get(&device) == Some(&id) {
                        let generation = self.retarget(device, revision);
                        running.moved(device, |state| state.reverting(generation, true, now));
                    } else {
                        // Another change took it after this one was done: it is not this one's to give back.
                        let other = self.held[&device];
                        running.moved(device, |state| state.left(Skipped::Taken(other), now));
                    }
                }
            }
            Next::Open => drop(running.step(ChangeStep::Opened, now)),
            Next::Halt(why) => drop(running.step(ChangeStep::Halted(why), now)),
            Next::Finish => drop(running.step(ChangeStep::Finished, now)),
            Next::RolledBack => drop(running.step(ChangeStep::RolledBack, now)),
            Next::Wait | Next::Rest => {}
        }
        self.changes.insert(id, running);
        did
    }

    /// Time passes for everyone.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.look_at_the_clock();
    }

    /// The clock is set back.
    pub(crate) fn set_back(&mut self, seconds: u64) {
        self.now = self.now.minus(Duration::from_secs(seconds));
        self.look_at_the_clock();
    }

    fn look_at_the_clock(&mut self) {
        let now = self.now;
        for running in self.changes.values_mut() {
            let strategy = running.change.strategy.clone();
            for device in running.of(|_| true) {
                let stage = &strategy.stages[usize::from(running.targets[&device].stage)];
                running.moved(device, |state| state.passed(stage, &strategy, now));
            }
        }
    }

    /// A device reports.
    pub(crate) fn report(&mut self, device: DeviceId, report: &Report) {
        self.said.push((device, report.clone()));
        self.hear(device, report);
    }

    /// What the server makes of a report, and of one that it had before.
    pub(crate) fn hear(&mut self, device: DeviceId, report: &Report) {
        let now = self.now;
        let Some(running) = self
            .held
            .get(&device)
            .and_then(|holder| self.changes.get_mut(holder))
        else {
            return;
        };
        let after = running.targets[&device].heard(report, &running.change, now);
        running.targets.get_mut(&device).unwrap().repairs = after.repairs;
        running.moved(device, |_| after.state);
    }

    /// What an operator may say to a change; whether it was allowed.
    pub(crate) fn command(&mut self, id: ChangeId, command: u8) -> bool {
        let now = self.now;
        let mut running = self.changes.remove(&id).unwrap();
        let allowed = match command {
            0 => running.step(ChangeStep::Pause, now),
            1 => {
                let accepted = running.tallies.iter().map(Accepted::of).collect();
                running.step(ChangeStep::Resume(accepted), now)
            }
            2 => running.step(ChangeStep::Abort, now),
            3 => running.step(ChangeStep::RollBack, now),
            _ => self.retry(id, &mut running),
        };
        self.changes.insert(id, running);
        allowed
    }

    fn retry(&mut self, id: ChangeId, running: &mut Running) -> bool {
        let again = running.of(|target| {
            let standing = target.state.standing();
            matches!(standing, Standing::Failed | Standing::TimedOut)
                && self.held.get(&target.device) == Some(&id)
        });
        let first = again.iter().map(|device| running.targets[device].stage).min();
        let Some(first) = first else { return false };
        if !running.step(ChangeStep::Retry(first), self.now) {
            return false;
        }
        for device in again {
            running.moved(device, TargetState::retried);
        }
        true
    }
}

/// Written down and read again.
fn reread<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + core::fmt::Debug>(value: &T) -> T {
    let read = postcard::from_bytes(&postcard::to_allocvec(value).unwrap()).unwrap();
    assert_eq!(*value, read);
    read
}

/// Stages, limits and thresholds of all sorts.
pub(crate) fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    use proptest::{
        prelude::{any, prop},
        prop_oneof,
        strategy::Strategy as _,
    };
    let share = prop_oneof![
        (0u32..6).prop_map(Share::Count),
        (0u16..=1000).prop_map(Share::PerMille)
    ];
    let sizes = prop::collection::vec(
        prop_oneof![
            (1u32..6).prop_map(Share::Count),
            (1u16..=400).prop_map(Share::PerMille)
        ],
        0..3,
    );
    (
        sizes,
        0u64..40,
        (share.clone(), share.clone()),
        1u32..8,
        prop::option::of(1u32..6),
        20u64..200,
        any::<bool>(),
        0u8..3,
        prop::option::of(share),
    )
        .prop_map(
            |(sizes, soak, (failures, silent), in_flight, per_minute, deadline, back, repairs, dynamic)| {
                let stages = sizes.into_iter().map(Some).chain([None]);
                Strategy {
                    stages: stages
                        .map(|size| muster_domain::change::Stage {
                            failures,
                            silent,
                            ..stage(size, soak)
                        })
                        .collect(),
                    in_flight,
                    in_flight_per_site: None,
                    per_minute,
                    deadline: Duration::from_secs(deadline),
                    watch: Duration::from_secs(300),
                    on_halt: if back { OnHalt::RollBack } else { OnHalt::Wait },
                    away_limit: None,
                    start_at: None,
                    windows: Default::default(),
                    canary: None,
                    repairs,
                    dynamic,
                }
            },
        )
}

/// What a device can say of its configuration.
pub(crate) fn words() -> [FacetState; 4] {
    [
        FacetState::Applied,
        FacetState::Failed("no".into()),
        FacetState::Drifted("edited".into()),
        FacetState::Waiting("later".into()),
    ]
}

/// Of a change that is over in every way.
pub(crate) fn is_over(state: &ChangeState) -> bool {
    matches!(
        state,
        ChangeState::RolledBack { .. } | ChangeState::Aborted { .. }
    )
}
