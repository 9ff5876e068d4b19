//! Many imports at once: each ends as if it were alone, and one too many is told when to come back.

use super::batches::{Caller, manifest, named};
use futures_util::future::join_all;
use muster_proto::v1::batch::State;
use muster_tests::World;
use tonic::Code;
use tonic_types::StatusExt as _;

/// More than are checked and applied at a time, which is four.
const IMPORTS: u32 = 12;
/// Batches that may wait or run at once (README of the contract, 10.5).
const OPEN: u32 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_imports_end_right_beside_each_other() {
    let world = World::start().await;
    let import = async |number: u32| {
        let caller = Caller::new(&world, &format!("line-{number}"), named("line.csv")).await;
        caller.send_all(&manifest(1 + 100 * number, 100)).await;
        let heard = caller.heard().await;
        assert_eq!((heard.state(), heard.codes().len()), (State::Done, 100));
        heard
            .codes()
            .iter()
            .map(|code| (*code).to_owned())
            .collect::<Vec<_>>()
    };
    let imports = join_all((0..IMPORTS).map(import));
    // Whoever only asks is answered meanwhile.
    let (codes, counts) = tokio::join!(imports, world.counts());
    assert!(counts.devices <= u64::from(IMPORTS) * 100);
    let mut codes = codes.concat();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 100 * IMPORTS as usize);
    assert!(!codes.contains(&String::new()));
    assert_eq!(world.counts().await.devices, u64::from(IMPORTS) * 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_batch_too_many_is_told_when_to_come_back() {
    let world = World::start().await;
    let file = manifest(1, 1);
    let open = async |number: u32| {
        let caller = Caller::new(&world, &format!("open-{number}"), named("open.csv")).await;
        caller.send(0, &file.as_bytes()[..10], None).await.map(|_| caller)
    };
    let mut callers = Vec::new();
    for number in 0..OPEN {
        callers.push(open(number).await.expect("there is room"));
    }
    let late = Caller::new(&world, "late", named("late.csv")).await;
    let refused = late.send(0, &file.as_bytes()[..10], None).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let info = refused.get_details_error_info().expect("a refusal");
    assert_eq!(info.metadata["code"], "1007");
    assert!(refused.get_details_retry_info().is_some(), "{refused:?}");
    // Once one of them has ended there is room.
    callers[0].cancel().await.expect("it is stopped");
    muster_tests::until("there is room", async || {
        late.send(0, &file.as_bytes()[..10], None).await.ok()
    })
    .await;
    late.send(10, &file.as_bytes()[10..], Some(file.as_bytes()))
        .await
        .expect("the rest");
    assert_eq!(late.heard().await.state(), State::Done);
}
