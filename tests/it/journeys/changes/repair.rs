//! Devices that fall back are sent their state once more, before they count as failed.

use super::{Desk, asked, counts, hands::Hands, publish, revise, strategy};
use muster_proto::{
    payload::FacetState,
    v1::{self, Change, change::State, change_target},
};

fn drifted() -> FacetState {
    FacetState::Drifted {
        reason: "somebody edited it".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_drifts_is_repaired_once_and_then_halts_the_change() {
    let hands = Hands::start(1).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let repairing = v1::ChangeStrategy {
        repairs: 1,
        ..strategy(0)
    };
    let name = desk.started(asked(publish(2), repairing)).await.name;
    let sent = |change: &Change| counts(change).sent == 1;
    desk.when(&name, "it is under way", sent).await;
    assert_eq!(hands.prove(0).await, 2);
    let done = |change: &Change| change.state() == State::Done && counts(change).done == 1;
    desk.when(&name, "it is done", done).await;
    assert_eq!(hands.say(0, drifted()).await, 2);
    let again = desk
        .when(&name, "it is sent once more, though the change is done", sent)
        .await;
    assert_eq!((again.state(), again.repairs), (State::Done, 1));
    assert!(
        again.summary.contains("1 repair of what fell back"),
        "{}",
        again.summary
    );
    let told = hands.explained(0).await.remove(0);
    assert!(told.contains("sent as generation 3"), "{told}");
    assert!(told.ends_with("; 1 repair of 1"), "{told}");
    assert_eq!(hands.prove(0).await, 3);
    desk.when(&name, "it is repaired", done).await;
    assert_eq!(hands.say(0, drifted()).await, 3);
    let halted = |change: &Change| change.state() == State::Halted;
    desk.when(&name, "it may fall back once", halted).await;
    let failed = desk.targets(&name, &[change_target::State::Failed]).await;
    assert_eq!((failed[0].repairs, failed[0].generation), (1, 3));
    assert_eq!(failed[0].reason, "somebody edited it");
    assert_eq!(hands.world.audited("device_retargeted").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_falls_back_while_the_change_is_paused_waits_and_says_why() {
    let hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let repairing = v1::ChangeStrategy {
        repairs: 2,
        ..strategy(0)
    };
    let name = desk.started(asked(publish(2), repairing)).await.name;
    desk.when(&name, "the pilot is under way", |change| counts(change).sent == 2)
        .await;
    assert_eq!(hands.prove(0).await, 2);
    let request = v1::PauseChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.pause_change(request).await.unwrap();
    assert_eq!(hands.say(0, drifted()).await, 2);
    let fallen = |change: &Change| counts(change).waiting == 1;
    desk.when(&name, "it waits", fallen).await;
    hands.pass(1).await;
    let waiting = desk.targets(&name, &[change_target::State::Waiting]).await;
    assert_eq!(waiting[0].reason, "somebody edited it");
    // When the change is taken back before its turn comes again, it is given back what it had, as all that were touched.
    let request = v1::RollBackChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.roll_back_change(request).await.unwrap();
    desk.when(&name, "both are given back what they had", |change| {
        change.state() == State::RolledBack && counts(change).reverting == 2
    })
    .await;
    assert_eq!(hands.prove(0).await, 3);
}
