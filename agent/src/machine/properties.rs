//! What holds whatever happens: random worlds, with registries that contradict themselves, disks that fail, and
//! connections that break at any moment.

use super::{
    tests::{mark, offer, pace, status},
    *,
};
use proptest::prelude::*;

/// One thing that a world may do; impossible ones are skipped.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    OpenWell,
    OpenBadly,
    Break,
    Grant,
    Refuse(Option<u64>),
    Forge,
    Offer(u64, u8),
    Acknowledge,
    WorkWell,
    WorkBadly,
    Drift,
    /// The certificate is to be renewed in so many seconds, or has ended.
    Term(u64, bool),
    Want,
    Reissue,
    DoNotReissue(Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u64..2000).prop_map(Step::Wait),
        4 => Just(Step::OpenWell),
        1 => Just(Step::OpenBadly),
        1 => Just(Step::Break),
        2 => Just(Step::Grant),
        1 => proptest::option::of(0_u64..100_000).prop_map(Step::Refuse),
        1 => Just(Step::Forge),
        6 => (1_u64..12, 0_u8..3).prop_map(|(generation, content)| Step::Offer(generation, content)),
        4 => Just(Step::Acknowledge),
        8 => Just(Step::WorkWell),
        2 => Just(Step::WorkBadly),
        1 => Just(Step::Drift),
        1 => (0_u64..3000, any::<bool>()).prop_map(|(left, ended)| Step::Term(left, ended)),
        1 => Just(Step::Want),
        2 => Just(Step::Reissue),
        1 => proptest::option::of(0_u64..100_000).prop_map(Step::DoNotReissue),
    ]
}

/// The world, as the driver and the ledger would show it.
struct World {
    machine: Machine,
    now: Duration,
    opening: Option<Role>,
    open: Option<Role>,
    work: Option<Work>,
    unacknowledged: Vec<Sent>,
    /// A renewal was asked for on this connection, and not answered.
    renewing: bool,
    /// The ledger.
    held: Option<Mark>,
    applied: Option<Mark>,
    reported: Option<(u64, bool)>,
}

impl World {
    fn new(memory: Memory) -> Self {
        let (held, applied) = (memory.held, memory.applied);
        let machine = Machine::new(memory, pace());
        let mut world = Self {
            machine,
            now: Duration::ZERO,
            opening: None,
            open: None,
            work: None,
            unacknowledged: Vec::new(),
            renewing: false,
            held,
            applied,
            reported: None,
        };
        world.tell(Event::Started);
        world
    }

    /// Hands an event over and carries the actions out, checking each.
    fn tell(&mut self, event: Event) {
        let before = self.machine.held;
        let actions = self.machine.handle(self.now, event);
        for action in actions {
            match action {
                Action::Open(role) => {
                    assert!(
                        self.opening.is_none() && self.open.is_none(),
                        "one connection at a time"
                    );
                    assert_eq!(role == Role::Device, self.machine.claimed);
                    self.opening = Some(role);
                }
                Action::SendClaim => {
                    assert_eq!(self.open, Some(Role::Claimant));
                    self.unacknowledged.push(Sent::Claim);
                }
                Action::SendHello(have) => {
                    assert_eq!(self.open, Some(Role::Device));
                    assert_eq!(have, self.machine.applied, "a hello says what runs");
                    self.unacknowledged.push(Sent::Hello);
                }
                Action::SendTrusted => {
                    assert_eq!(self.open, Some(Role::Device));
                    self.unacknowledged.push(Sent::Trusted);
                }
                Action::SendReport(status) => {
                    assert_eq!(self.open, Some(Role::Device));
                    assert!(
                        !self.unacknowledged.contains(&Sent::Report),
                        "one report at a time"
                    );
                    assert_eq!(
                        Some(status.mark.generation).max(self.generation()),
                        self.generation()
                    );
                    self.unacknowledged.push(Sent::Report);
                }
                Action::SendRenewal => {
                    assert_eq!(self.open, Some(Role::Device));
                    self.renewing = true;
                    self.unacknowledged.push(Sent::Renewal);
                }
                Action::Close => {
                    self.open = None;
                    self.renewing = false;
                    self.unacknowledged.clear();
                }
                Action::Work(work) => {
                    assert!(self.work.is_none(), "one piece of work at a time");
                    if !matches!(work, Work::Keep(_)) {
                        assert!(self.held.is_some(), "nothing is applied that is not durable");
                    }
                    self.work = Some(work);
                }
                Action::Tell(AgentEvent::Reported { generation, ok }) => {
                    self.reported = Some((generation, ok));
                }
                Action::Tell(AgentEvent::Disconnected { retry_in, .. }) => {
                    assert!(
                        (Duration::from_millis(500)..=PATIENCE).contains(&retry_in),
                        "{retry_in:?}"
                    );
                }
                Action::Tell(_) => {}
            }
        }
        let generation = |mark: Option<Mark>| mark.map_or(0, |mark| mark.generation);
        assert!(
            generation(self.machine.held) >= generation(before),
            "a generation never falls"
        );
        assert!(
            generation(self.machine.held) <= generation(self.held),
            "durable before it counts"
        );
        let deadline = self.machine.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now),
            "no tight loop"
        );
        let waits_for_nothing = deadline.is_none() && self.opening.is_none() && self.open.is_none();
        assert!(!waits_for_nothing, "something will happen");
    }

    fn generation(&self) -> Option<u64> {
        self.held.map(|mark| mark.generation)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => {
                let until = self.now + Duration::from_secs(seconds);
                while let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= until) {
                    self.now = deadline;
                    self.tell(Event::Woke);
                }
                self.now = until;
            }
            Step::OpenWell => {
                if let Some(role) = self.opening.take() {
                    self.open = Some(role);
                    self.tell(Event::Opened);
                }
            }
            Step::OpenBadly if self.opening.take().is_some() => self.tell(Event::Lost("refused".into())),
            Step::Break if self.open.take().is_some() => {
                self.renewing = false;
                self.unacknowledged.clear();
                self.tell(Event::Lost("broken".into()));
            }
            Step::Grant if self.open == Some(Role::Claimant) => {
                self.tell(Event::Granted(DeviceId::parse(crate::testing::DEVICE).unwrap()));
            }
            Step::Refuse(after) if self.open == Some(Role::Claimant) => {
                let retry_after = after.map(Duration::from_secs);
                self.tell(Event::Refused {
                    reason: "no".into(),
                    retry_after,
                });
            }
            Step::Forge if self.open.is_some() => self.tell(Event::Disbelieved("forged".into())),
            Step::Offer(generation, content) if self.open == Some(Role::Device) => {
                self.tell(offer(mark(generation, content)));
            }
            Step::Acknowledge if !self.unacknowledged.is_empty() => {
                let sent = self.unacknowledged.remove(0);
                self.tell(Event::Acknowledged(sent));
            }
            Step::WorkWell => self.work(true),
            Step::WorkBadly => self.work(false),
            Step::Drift if matches!(self.work, Some(Work::Inspect)) => {
                self.work = None;
                let drifted = Status {
                    config: muster_proto::payload::FacetState::Drifted {
                        reason: "changed".into(),
                    },
                    ..status(self.held.unwrap())
                };
                self.tell(Event::Done(Outcome::Drifted {
                    status: drifted,
                    reason: "changed".into(),
                }));
            }
            Step::Term(left, ended) => self.tell(Event::Term(Term {
                renew_in: Duration::from_secs(if ended { 0 } else { left }),
                ended,
            })),
            Step::Want if self.open == Some(Role::Device) => self.tell(Event::RenewalWanted),
            Step::Reissue if self.renewing => {
                self.renewing = false;
                self.tell(Event::Reissued);
                assert_eq!(self.open, None, "it goes on with the next one");
            }
            Step::DoNotReissue(after) if self.renewing => {
                self.renewing = false;
                self.tell(Event::NotReissued {
                    reason: "no".into(),
                    retry_after: after.map(Duration::from_secs),
                });
            }
            Step::Want
            | Step::Reissue
            | Step::DoNotReissue(_)
            | Step::OpenBadly
            | Step::Break
            | Step::Grant
            | Step::Refuse(_)
            | Step::Forge
            | Step::Offer(..)
            | Step::Acknowledge
            | Step::Drift => {}
        }
    }

    /// Ends the work under way as the worker would.
    fn work(&mut self, well: bool) {
        let outcome = match self.work.take() {
            None => return,
            Some(Work::Keep(_)) if !well => Outcome::NotKept("the disk is full".into()),
            Some(Work::Keep(offer)) => match admit(self.held.as_ref(), &offer.mark()) {
                Ok(_) => {
                    self.held = Some(offer.mark());
                    Outcome::Kept(offer.mark())
                }
                Err(stale) => Outcome::NotKept(stale.to_string()),
            },
            Some(Work::KeepSealed(_)) => Outcome::SealedKnown,
            Some(Work::Apply | Work::Inspect) if !well => {
                let failed = Status {
                    config: muster_proto::payload::FacetState::Failed { reason: "no".into() },
                    ..status(self.held.unwrap())
                };
                Outcome::NotApplied {
                    lacks_secrets: false,
                    status: Some(failed),
                    reason: "no".into(),
                    again_in: None,
                }
            }
            Some(Work::Apply) => {
                self.applied = self.held;
                Outcome::Applied {
                    status: status(self.held.unwrap()),
                    again_in: None,
                }
            }
            Some(Work::Inspect) => {
                assert_eq!(self.held, self.applied, "what does not run is not inspected");
                Outcome::Inspected {
                    status: status(self.held.unwrap()),
                    again_in: None,
                }
            }
        };
        self.tell(Event::Done(outcome));
    }

    /// From here on everything goes well, and the registry wants `generation`.
    fn heal(&mut self, generation: u64) {
        for _ in 0..400 {
            if self.reported == Some((generation, true)) {
                return;
            }
            if self.opening.is_some() {
                self.step(Step::OpenWell);
            } else if self.work.is_some() {
                self.step(Step::WorkWell);
            } else if self.open == Some(Role::Claimant) {
                self.step(Step::Grant);
            } else if self.renewing {
                self.step(Step::Term(1 << 20, false));
                self.step(Step::Reissue);
            } else if !self.unacknowledged.is_empty() {
                self.step(Step::Acknowledge);
            } else if self.open == Some(Role::Device) && self.generation() != Some(generation) {
                self.step(Step::Offer(generation, 0));
            } else {
                self.step(Step::Wait(900));
            }
        }
        panic!("never reports generation {generation}: {:?}", self.machine);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_generations_grow_and_the_device_gets_well(
        steps in proptest::collection::vec(step(), 0..120),
        claimed: bool,
        held in proptest::option::of(1_u64..5),
        behind: bool,
    ) {
        let held = held.filter(|_| claimed).map(|generation| mark(generation, 0));
        let applied = held.filter(|_| !behind);
        let mut world = World::new(Memory { claimed, held, applied });
        for step in steps {
            world.step(step);
        }
        world.heal(100);
    }
}
