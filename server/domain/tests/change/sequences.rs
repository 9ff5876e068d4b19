//! A fleet under random events: what must hold does, after each of them. `PROPTEST_CASES=100000` tries as many sequences.

use crate::{
    fleet::{Fleet, Running, is_over, strategies, words},
    support::{report, stage},
};
use muster_domain::{
    change::{ChangeState, Former, Priority, Standing, Tally},
    ids::{ChangeId, DeviceId},
};
use proptest::{prelude::*, test_runner::Config};

const SIZE: u128 = 24;

#[derive(Debug, Clone)]
enum Event {
    /// The worker comes by, so many times.
    Work(usize),
    /// A device says something: which, of the generation before so many, which word.
    Report {
        device: u128,
        before: u64,
        word: usize,
    },
    /// All that is under way is proved, but for what is lost on the way: the word of every n-th device.
    Prove {
        lost: u128,
    },
    /// A message that came before comes again: the one so many places before the last.
    Replay(usize),
    /// The server ends and comes back.
    Restart,
    Pass(u64),
    /// The clock is set back.
    Back(u64),
    Command {
        change: usize,
        command: u8,
    },
    /// A device that no change was planned for, perhaps, matches now.
    Join(u128),
    /// Another change, of every n-th device.
    Start {
        strategy: muster_domain::change::Strategy,
        every: u128,
        priority: Priority,
    },
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1usize..12).prop_map(Event::Work),
        6 => (1..=SIZE, prop_oneof![5 => Just(0u64), 1 => 1u64..3], prop_oneof![5 => Just(0usize), 2 => 1usize..4])
            .prop_map(|(device, before, word)| Event::Report { device, before, word }),
        3 => prop_oneof![Just(u128::MAX), 2u128..6].prop_map(|lost| Event::Prove { lost }),
        2 => (0usize..200).prop_map(Event::Replay),
        1 => Just(Event::Restart),
        3 => (1u64..120).prop_map(Event::Pass),
        1 => (1u64..120).prop_map(Event::Back),
        2 => (0usize..3, 0u8..5).prop_map(|(change, command)| Event::Command { change, command }),
        1 => (1..=SIZE).prop_map(Event::Join),
        1 => (strategies(), 1u128..4, prop_oneof![Just(Priority::Normal), Just(Priority::Emergency)])
            .prop_map(|(strategy, every, priority)| Event::Start { strategy, every, priority }),
    ]
}

fn happen(fleet: &mut Fleet, event: &Event) {
    match event {
        Event::Work(times) => {
            for id in fleet.changes.keys().copied().collect::<Vec<_>>() {
                for _ in 0..*times {
                    if !fleet.work(id) {
                        break;
                    }
                }
            }
        }
        Event::Report { device, before, word } => {
            let device = DeviceId::from_u128(*device);
            let generation = fleet.devices[&device].generation.saturating_sub(*before);
            let said = report(generation, words()[*word].clone());
            fleet.report(device, &said);
            // At least once: the same message comes again, and nothing changes.
            let once = fleet.clone();
            fleet.hear(device, &said);
            assert_eq!(*fleet, once);
        }
        Event::Prove { lost } => {
            let heard = fleet
                .devices
                .keys()
                .copied()
                .filter(|device| !device.as_u128().is_multiple_of(*lost));
            for device in heard.collect::<Vec<_>>() {
                let generation = fleet.devices[&device].generation;
                fleet.report(device, &report(generation, words()[0].clone()));
            }
        }
        Event::Replay(before) => replay(fleet, *before),
        Event::Restart => {
            let before = fleet.clone();
            fleet.restart();
            assert_eq!(*fleet, before);
        }
        Event::Pass(seconds) => fleet.pass(*seconds),
        Event::Back(seconds) => fleet.set_back(*seconds),
        Event::Command { change, command } => {
            let nth = fleet.changes.keys().nth(*change).copied();
            if let Some(id) = nth {
                fleet.command(id, *command);
            }
        }
        Event::Join(device) => fleet.join(DeviceId::from_u128(*device)),
        Event::Start {
            strategy,
            every,
            priority,
        } => {
            if fleet.changes.len() < 3 {
                let revision = u32::try_from(fleet.changes.len()).unwrap() + 2;
                fleet.start(revision, strategy.clone(), *priority, |device| {
                    device.as_u128().is_multiple_of(*every)
                });
            }
        }
    }
}

/// An old message comes again. What a device said last, or of a generation that it has no more, changes nothing, however long ago
/// that was; only a target that is silent is told by it that its device was not.
fn replay(fleet: &mut Fleet, before: usize) {
    let Some((device, said)) = fleet.said.iter().rev().nth(before).cloned() else {
        return;
    };
    let is_last = fleet
        .said
        .iter()
        .rev()
        .find(|(by, _)| *by == device)
        .is_some_and(|(_, last)| *last == said);
    let is_stale = said.generation < fleet.devices[&device].generation;
    let is_silent = fleet.changes.values().any(|running| {
        let target = running.targets.get(&device);
        target.is_some_and(|target| target.state.standing() == Standing::TimedOut)
    });
    let once = fleet.clone();
    fleet.hear(device, &said);
    if (is_last || is_stale) && !is_silent {
        assert_eq!(*fleet, once, "{said:?} of {device} came again");
    }
}

/// What holds of one change at any time.
fn check(fleet: &Fleet, running: &Running) {
    let (change, targets) = (&running.change, &running.targets);
    // Counts follow from states.
    for (stage, tally) in (0..).zip(&running.tallies) {
        let derived = Tally::of(
            targets
                .values()
                .filter(|target| target.stage == stage)
                .map(|target| target.state.standing()),
        );
        assert_eq!(*tally, derived);
        assert!(tally.total() as usize <= targets.len());
    }
    // No more are under way than may.
    let under_way = targets
        .values()
        .filter(|target| target.state.standing() == Standing::Sent)
        .count();
    assert!(
        under_way <= change.strategy.in_flight as usize,
        "{under_way} are under way"
    );
    // No more joined than may, and all of them are in the last stage.
    let late: Vec<_> = targets.values().filter(|target| target.late).collect();
    let planned = u32::try_from(targets.len() - late.len()).unwrap();
    assert!(late.len() <= change.late_limit(planned) as usize);
    let last = running.tallies.len() - 1;
    assert!(late.iter().all(|target| usize::from(target.stage) == last));
    // None is repaired more often than may be.
    let repairs = targets.values().map(|target| target.repairs);
    assert!(repairs.max().unwrap_or_default() <= change.strategy.repairs);
    // Nothing behind the open stage was touched, unless stages behind it were open before a retry.
    for target in targets.values() {
        let record = &fleet.devices[&target.device];
        if let Some(generation) = target.state.generation() {
            assert!(generation <= record.generation);
        }
    }
    if let ChangeState::RolledBack { .. } = change.state {
        for target in targets.values() {
            let holds = fleet.held.get(&target.device) == Some(&change.id);
            let (Former::Profile(Some((_, former))), record) =
                (&target.former, &fleet.devices[&target.device])
            else {
                panic!("of a profile")
            };
            match target.state.standing() {
                // At its former content and a higher generation, as long as nobody else is about it.
                Standing::Reverting | Standing::Reverted => {
                    assert!(!holds || record.revision == *former, "{target:?} {record:?}");
                }
                // What was left out is what it was.
                Standing::Skipped => assert!(!holds || record.revision == *former, "{target:?} {record:?}"),
                other => panic!("{other} in a change that is rolled back"),
            }
        }
    }
    if is_over(&change.state) {
        assert!(!change.state.holds_targets());
    }
}

/// I8: what a device waits for, has under way or is given back is of one change, and that is the one that holds it. A change that
/// was done may be taken back when others are about its devices: those it leaves alone.
fn check_holders(fleet: &Fleet) {
    for device in fleet.devices.keys() {
        let is_about =
            |running: &&Running| match running.targets.get(device).map(|target| target.state.standing()) {
                Some(Standing::Sent | Standing::Proved | Standing::Reverting) => true,
                Some(Standing::Waiting) => running.change.state.holds_targets(),
                _ => false,
            };
        let holders: Vec<ChangeId> = fleet
            .changes
            .values()
            .filter(is_about)
            .map(|running| running.change.id)
            .collect();
        assert!(holders.len() <= 1, "{device} is held by {holders:?}");
        if let [holder] = holders[..] {
            assert_eq!(fleet.held.get(device), Some(&holder), "{device}");
        }
    }
}

/// Found by the sequences below, once in some 100,000.
#[test]
fn whoever_takes_a_device_ends_its_repair() {
    let mut fleet = Fleet::new(4);
    let repairing = muster_domain::change::Strategy { repairs: 1, ..calm() };
    let (first, device) = (ChangeId::from_u128(2), DeviceId::from_u128(1));
    fleet.start(2, repairing, Priority::Normal, |_| true);
    for event in [Event::Work(9), Event::Prove { lost: u128::MAX }, Event::Work(9)] {
        happen(&mut fleet, &event);
    }
    assert!(matches!(
        fleet.changes[&first].change.state,
        ChangeState::Done { .. }
    ));
    let drifted = report(fleet.devices[&device].generation, words()[2].clone());
    fleet.report(device, &drifted);
    let standing = |fleet: &Fleet| fleet.changes[&first].targets[&device].state.standing();
    assert_eq!(standing(&fleet), Standing::Waiting);
    fleet.start(3, calm(), Priority::Normal, |_| true);
    assert_eq!(standing(&fleet), Standing::Skipped);
    assert!(fleet.command(first, 3), "it can be rolled back");
    check_holders(&fleet);
}

/// One stage for all at once, in which nothing may go wrong.
fn calm() -> muster_domain::change::Strategy {
    muster_domain::change::Strategy {
        stages: vec![stage(None, 0)],
        in_flight: 100,
        deadline: core::time::Duration::from_secs(60),
        watch: core::time::Duration::from_secs(300),
        ..muster_domain::change::Strategy::default()
    }
}

proptest! {
    #![proptest_config(Config { max_shrink_iters: 4096, ..Config::default() })]

    #[test]
    fn whatever_happens_what_must_hold_does(
        strategy in strategies(),
        events in prop::collection::vec(events(), 1..60),
    ) {
        let mut fleet = Fleet::new(SIZE);
        // Every fourth device matches only later, if at all.
        fleet.start(2, strategy, Priority::Normal, |device| !device.as_u128().is_multiple_of(4));
        for event in &events {
            let before = fleet.clone();
            happen(&mut fleet, event);
            // I7.
            for (device, record) in &fleet.devices {
                prop_assert!(record.generation >= before.devices[device].generation);
                prop_assert!(record.revision == before.devices[device].revision || record.generation > before.devices[device].generation);
            }
            // One stage each, for ever.
            for (id, running) in &before.changes {
                for (device, target) in &running.targets {
                    prop_assert_eq!(fleet.changes[id].targets[device].stage, target.stage);
                }
            }
            fleet.changes.values().for_each(|running| check(&fleet, running));
            check_holders(&fleet);
        }
        settle(&mut fleet);
    }
}

/// When nobody interferes any more, every change comes to an end: nothing is under way for ever.
fn settle(fleet: &mut Fleet) {
    for _ in 0..400 {
        fleet.pass(60);
        happen(fleet, &Event::Work(50));
    }
    for running in fleet.changes.values() {
        let under_way = running
            .tallies
            .iter()
            .map(|tally| tally.count(Standing::Sent) + tally.count(Standing::Proved));
        assert_eq!(under_way.sum::<u32>(), 0, "{:?}", running.change.state);
        let waits = matches!(
            running.change.state,
            ChangeState::Halted { .. } | ChangeState::Running { paused: Some(_), .. }
        );
        let ended =
            matches!(running.change.state, ChangeState::Done { .. }) || is_over(&running.change.state);
        assert!(waits || ended, "{:?}", running.change.state);
    }
}
