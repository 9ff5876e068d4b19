//! Changes that agents prove.

use super::{Desk, asked, counts, profile, publish, revise, strategy};
use muster_domain::Code;
use muster_proto::v1::{
    self,
    change::State,
    change_action::{self, Action},
    change_strategy::OnHalt,
    change_target,
};
use muster_tests::{Running, World, grpc, until};
use std::time::Duration;

/// Gateways with agents; what a profile says with the word BROKEN in it, they refuse.
pub(super) async fn agents(world: &World, count: u32) -> Vec<(String, Running)> {
    let mut running = Vec::new();
    for (serial, code) in world.gateways(count).await {
        let settings = world
            .agent_settings(&serial, world.mqtt())
            .code(zeroize::Zeroizing::new(code))
            .hook(["sh", "-c", "! grep -rq BROKEN ."], Duration::from_secs(60));
        running.push((serial, Running::start(settings.build().unwrap())));
    }
    for (serial, _) in &running {
        world.verified(serial, 1).await;
    }
    running
}

fn generation(device: &v1::Device) -> u64 {
    device.desired.as_ref().unwrap().generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_goes_to_a_pilot_and_then_to_the_rest() {
    let world = World::start().await;
    let devices = agents(&world, 5).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    // Revision 0 is the newest.
    let planned = desk.planned(asked(publish(0), strategy(0))).await;
    let sizes: Vec<_> = planned.stages.iter().map(|stage| stage.total).collect();
    assert_eq!((sizes, planned.total.unwrap().waiting), (vec![2, 3], 5));
    let Some(Action::Profile(assign)) = planned.action.clone().unwrap().action else {
        panic!("of a profile")
    };
    assert_eq!(assign.revision, 2);
    // The count is confirmed, and the plan is named.
    let wrong = v1::StartChangeRequest {
        name: planned.name.clone(),
        plan_hash: planned.plan_hash.clone(),
        targets: 4,
    };
    let refused = desk.changes.start_change(wrong).await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::TargetCountMoved));
    let request = v1::WatchChangeRequest {
        name: planned.name.clone(),
    };
    let mut words = desk.changes.watch_change(request).await.unwrap().into_inner();
    assert_eq!(words.message().await.unwrap().unwrap().state(), State::Planned);
    desk.start(&planned).await;
    let done = loop {
        let word = words.message().await.unwrap().expect("it is not over");
        let total = word.total.unwrap();
        assert_eq!(total.total, 5);
        // The rest waits for all of the pilot.
        assert!(
            word.stages[0].done == 2 || word.stages[1].waiting == 3,
            "{word:?}"
        );
        if word.state() == State::Done {
            break word;
        }
    };
    assert_eq!(done.total.unwrap().done, 5);
    for (serial, agent) in &devices {
        let device = world.verified(serial, 2).await;
        assert_eq!(profile(&device), "profiles/gateway/revisions/2");
        assert!(agent.applied("network.toml").contains("two = true"));
    }
    // Again, there is nothing to do: everybody is left out, and why is said.
    let again = desk.planned(asked(publish(2), strategy(0))).await;
    assert_eq!(again.total.unwrap().total, 0);
    assert_eq!(again.excluded["already there"], 5);
    let left_out = desk.targets(&again.name, &[change_target::State::Excluded]).await;
    assert!(
        left_out.len() == 5 && left_out.iter().all(|target| target.reason == "it is so already"),
        "{left_out:?}"
    );
    for (action, count) in [
        ("change_created", 2),
        ("change_planned", 2),
        ("change_started", 1),
        ("change_stage_opened", 1),
        ("change_finished", 1),
        ("device_retargeted", 5),
    ] {
        assert_eq!(world.audited(action).await, count, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_revision_halts_in_the_pilot_and_is_taken_back() {
    let world = World::start().await;
    let devices = agents(&world, 5).await;
    revise(&world, "state = \"BROKEN\"").await;
    let mut desk = Desk::of(&world);
    let mut strategy = strategy(0);
    strategy.set_on_halt(OnHalt::RollBack);
    let name = desk.started(asked(publish(2), strategy)).await.name;
    let ended = desk
        .when(&name, "every device of the pilot is what it was", |change| {
            change.total.unwrap().reverted == 2
        })
        .await;
    assert_eq!(ended.state(), State::RolledBack);
    assert!(ended.halt.contains("of stage 1 failed; 0 may"), "{}", ended.halt);
    let (mut touched, mut untouched) = (0, 0);
    for (serial, _) in &devices {
        let device = world.device(serial).await;
        assert_eq!(profile(&device), "profiles/gateway/revisions/1", "{serial}");
        match generation(&device) {
            1 => untouched += 1,
            3 => {
                touched += 1;
                world.verified(serial, 3).await;
            }
            other => panic!("{serial} has generation {other}"),
        }
    }
    assert_eq!((touched, untouched, ended.total.unwrap().skipped), (2, 3, 3));
    assert_eq!(world.audited("change_halted").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_shut_out_and_let_in_again() {
    let world = World::start().await;
    let devices = agents(&world, 3).await;
    let mut desk = Desk::of(&world);
    let suspend = Action::Suspend(change_action::Suspend {
        reason: "stolen vans".into(),
    });
    let name = desk.started(asked(suspend, strategy(0))).await.name;
    desk.when(&name, "all are shut out", |change| change.state() == State::Done)
        .await;
    until("nobody is connected", async || {
        (world.counts().await.connected == 0).then_some(())
    })
    .await;
    for (serial, _) in &devices {
        let device = world.device(serial).await;
        assert_eq!(
            (device.state(), device.state_reason.as_str()),
            (v1::device::State::Suspended, "stolen vans")
        );
    }
    let resume = Action::Resume(change_action::Resume {});
    let name = desk.started(asked(resume, strategy(0))).await.name;
    desk.when(&name, "all are let in", |change| change.state() == State::Done)
        .await;
    until("all are connected", async || {
        (world.counts().await.connected == 3).then_some(())
    })
    .await;
    assert_eq!(world.audited("device_suspended").await, 3);
    assert_eq!(world.audited("device_resumed").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_gets_new_certificates_and_proves_it_by_their_use() {
    let world = World::start().await;
    let devices = agents(&world, 3).await;
    let mut before = Vec::new();
    for (serial, _) in &devices {
        before.push(world.device(serial).await.certificate_serial);
    }
    let mut desk = Desk::of(&world);
    let rotate = Action::RotateCertificate(change_action::RotateCertificate {});
    let name = desk.started(asked(rotate, strategy(0))).await.name;
    desk.when(&name, "all came with another one", |change| {
        change.state() == State::Done && counts(change).done == 3
    })
    .await;
    for ((serial, _), before) in devices.iter().zip(before) {
        assert_ne!(world.device(serial).await.certificate_serial, before);
    }
}
