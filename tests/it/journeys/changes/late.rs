//! Devices that match a change only after it was planned.

use super::{Desk, asked, counts, hands::Hands, publish, revise, strategy};
use muster_proto::v1::{self, Change, change::State, change_target, share::Share};
use muster_tests::World;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Registers one more gateway.
pub(super) async fn register(world: &World, number: u8) {
    let header = "Serial No.,MAC Address,Device Model,Firmware,Site,Position,Extension";
    let row = format!("GW2-61000{number:02},00:1B:C5:F0:00:{number:02X},GW-200,2.3.1,MUC-01,Hall 1,{number}");
    let imported = world.import_text("late.csv", &format!("{header}\n{row}\n")).await;
    assert_eq!(imported.summary.created, 1);
}

pub(super) fn dynamic(count: u32) -> v1::ChangeStrategy {
    let share = Some(Share::Count(count));
    v1::ChangeStrategy {
        dynamic: Some(v1::Share { share }),
        ..strategy(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_devices_join_the_last_stage_up_to_a_bound() {
    let hands = Hands::start(2).await;
    // New devices have the newest revision, those that are there the first.
    revise(&hands.world, "two = true").await;
    revise(&hands.world, "three = true").await;
    let mut desk = Desk::of(&hands.world);
    let planned = desk.planned(asked(publish(2), dynamic(2))).await;
    register(&hands.world, 1).await;
    desk.start(&planned).await;
    let name = planned.name;
    let late = |count: u32| move |change: &Change| change.late == count && counts(change).sent == 2;
    desk.when(&name, "what was registered before the start joins", late(1))
        .await;
    register(&hands.world, 2).await;
    let full = desk
        .when(&name, "so does what is registered while it runs", late(2))
        .await;
    assert!(
        full.summary.contains("2 joined late, as many as may"),
        "{}",
        full.summary
    );
    register(&hands.world, 3).await;
    hands.pass(1).await;
    let waiting = desk.targets(&name, &[change_target::State::Waiting]).await;
    assert!(
        waiting.iter().all(|target| target.late && target.stage == 2),
        "{waiting:?}"
    );
    assert_eq!(
        (waiting.len(), desk.get(&name).await.total.unwrap().total),
        (2, 4)
    );
    hands.prove(0).await;
    hands.prove(1).await;
    // Who never claimed proves nothing, and is done when it is on record.
    let done = desk
        .when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    assert_eq!((counts(&done).done, done.late), (4, 2));
    assert_eq!(hands.world.audited("change_joined").await, 2);
    register(&hands.world, 4).await;
    hands.pass(1).await;
    assert_eq!(counts(&desk.get(&name).await).total, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_held_does_not_join_and_a_restart_forgets_nobody() {
    let mut hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    revise(&hands.world, "three = true").await;
    register(&hands.world, 1).await;
    let mut desk = Desk::of(&hands.world);
    let held = desk.started(asked(publish(3), strategy(0))).await.name;
    desk.when(&held, "it holds those that were there", |change| {
        counts(change).sent == 2
    })
    .await;
    let start = hands.world.now().plus(HOUR);
    let later = v1::ChangeStrategy {
        start_time: Some(prost_types::Timestamp {
            seconds: i64::try_from(start.seconds()).unwrap(),
            nanos: 0,
        }),
        ..dynamic(9)
    };
    let planned = desk.planned(asked(publish(2), later)).await;
    assert_eq!(
        (counts(&planned).total, planned.excluded["in another change"]),
        (1, 2)
    );
    let name = planned.name.clone();
    desk.start(&planned).await;
    register(&hands.world, 2).await;
    desk.when(&name, "one joins", |change| change.late == 1).await;
    hands.world.stopped().await.unwrap();
    hands.world.serve_again().await;
    register(&hands.world, 3).await;
    let mut desk = Desk::of(&hands.world);
    desk.when(&name, "another one does", |change| change.late == 2)
        .await;
    // Those that were left out are let go, and are left out still.
    let request = v1::AbortChangeRequest {
        name: held,
        etag: String::new(),
    };
    desk.changes.abort_change(request).await.unwrap();
    hands.pass(HOUR.as_secs()).await;
    let done = desk
        .when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    assert_eq!((counts(&done).total, counts(&done).done, done.late), (3, 3, 2));
}
