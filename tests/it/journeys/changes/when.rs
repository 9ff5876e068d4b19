//! Changes that wait for their time, canaries, and labels.

use super::{Desk, asked, counts, hands::Hands, publish, revise, strategy};
use muster_domain::Code;
use muster_proto::v1::{self, change::State, change_action, change_action::Action, change_target};
use muster_tests::grpc;

fn all_then_rest() -> v1::ChangeStrategy {
    let mut strategy = strategy(0);
    strategy.stages[0].size = None;
    strategy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_come_first_and_nobody_before_the_time() {
    let hands = Hands::start(4).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let canary = hands.devices[2].0.clone();
    let of = |canary: &str, start_time| {
        asked(
            publish(2),
            v1::ChangeStrategy {
                canary: canary.to_owned(),
                start_time,
                ..all_then_rest()
            },
        )
    };
    // A filter that matches nobody would let everybody be first.
    let made = desk
        .changes
        .create_change(of("labels.ring = \"none\"", None))
        .await;
    let request = v1::PlanChangeRequest {
        name: made.unwrap().into_inner().name,
        etag: String::new(),
    };
    let refused = desk.changes.plan_change(request).await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::ChangeInvalid));
    let start = hands.world.now().plus(std::time::Duration::from_secs(7200));
    let start = prost_types::Timestamp {
        seconds: i64::try_from(start.seconds()).unwrap(),
        nanos: 0,
    };
    let planned = desk
        .planned(of(&format!("serial = \"{canary}\""), Some(start)))
        .await;
    let sizes: Vec<_> = planned.stages.iter().map(|stage| stage.total).collect();
    assert_eq!(sizes, [1, 3]);
    assert!(
        planned.summary.contains("can be started, and begins at 20"),
        "{}",
        planned.summary
    );
    desk.start(&planned).await;
    hands.pass(7000).await;
    let waits = desk.get(&planned.name).await;
    assert_eq!(counts(&waits).waiting, 4);
    assert!(
        waits.summary.contains("nothing is begun before 20"),
        "{}",
        waits.summary
    );
    hands.pass(200).await;
    let sent = desk.targets(&planned.name, &[change_target::State::Sent]).await;
    assert_eq!(
        sent.iter()
            .map(|target| target.serial.as_str())
            .collect::<Vec<_>>(),
        [canary]
    );
    assert_eq!(hands.prove(2).await, 2);
    desk.when(&planned.name, "the others follow", |change| {
        counts(change).sent == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_opens_by_the_clock_of_the_site() {
    let hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let hour = hands.world.now().seconds() / 3600 % 24;
    let window = |hours: u64| format!("{:02}:00-{:02}:00", (hour + hours) % 24, (hour + hours + 1) % 24);
    let of = |windows| {
        asked(
            publish(2),
            v1::ChangeStrategy {
                windows,
                ..strategy(0)
            },
        )
    };
    let wrong = desk
        .changes
        .create_change(of(vec!["noon".into()]))
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&wrong), Some(Code::ChangeInvalid));
    let name = desk.started(of(vec![window(12)])).await.name;
    hands.pass(1).await;
    let waits = desk.get(&name).await;
    assert_eq!(counts(&waits).waiting, 2);
    assert!(
        waits.summary.contains("the next window opens at 20"),
        "{}",
        waits.summary
    );
    for _ in 0..24 {
        hands.pass(3600).await;
        if counts(&desk.get(&name).await).waiting == 0 {
            return;
        }
    }
    panic!("it never opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_relabelled_and_prove_what_that_makes_of_them() {
    let hands = Hands::start(2).await;
    let mut desk = Desk::of(&hands.world);
    let relabel = |ring: &str| {
        Action::Relabel(change_action::Relabel {
            set: [("ring".to_owned(), ring.to_owned())].into(),
            remove: Vec::new(),
        })
    };
    let nothing = Action::Relabel(change_action::Relabel::default());
    let refused = desk
        .changes
        .create_change(asked(nothing, strategy(0)))
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::ChangeInvalid));
    // No template says anything of the label: it is done when it is on record, and no device is disturbed.
    let name = desk.started(asked(relabel("canary"), strategy(0))).await.name;
    desk.when(&name, "both have the label", |change| {
        change.state() == State::Done
    })
    .await;
    let first = hands.world.device(&hands.devices[0].0).await;
    assert_eq!(
        (first.labels["ring"].as_str(), first.desired.unwrap().generation),
        ("canary", 1)
    );
    // Now one does.
    revise(&hands.world, "ring = \"{{ device.labels.ring }}\"").await;
    let rollout = desk.started(asked(publish(2), strategy(0))).await.name;
    desk.when(&rollout, "both are under way", |change| counts(change).sent == 2)
        .await;
    assert_eq!((hands.prove(0).await, hands.prove(1).await), (2, 2));
    desk.when(&rollout, "it is done", |change| change.state() == State::Done)
        .await;
    let name = desk.started(asked(relabel("stable"), strategy(0))).await.name;
    desk.when(&name, "both are under way", |change| counts(change).sent == 2)
        .await;
    // Its configuration is not another change's meanwhile.
    let other = desk.planned(asked(publish(1), strategy(0))).await;
    assert_eq!(other.excluded["in another change"], 2);
    assert_eq!((hands.prove(0).await, hands.prove(1).await), (3, 3));
    desk.when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    let request = v1::RollBackChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.roll_back_change(request).await.unwrap();
    desk.when(&name, "it is rolled back", |change| {
        change.state() == State::RolledBack
    })
    .await;
    assert_eq!((hands.prove(0).await, hands.prove(1).await), (4, 4));
    desk.when(&name, "both have said so", |change| counts(change).reverted == 2)
        .await;
    assert_eq!(
        hands.world.device(&hands.devices[1].0).await.labels["ring"],
        "canary"
    );
}
