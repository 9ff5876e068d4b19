//! New activation codes for many devices: given once, told until they are kept, and good at a real claim.

use super::{Desk, asked, counts, strategy};
use muster_domain::Code;
use muster_proto::{
    payload::ClaimResult,
    v1::{
        self, Change, GivenCode,
        change::State,
        change_action::{Action, ReissueCodes},
        change_target,
    },
};
use muster_server::clock::Clock;
use muster_tests::{Key, World, grpc};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tonic::Status;

const DAY: u64 = 24 * 3_600_000;

fn reissue(claimed: bool) -> Action {
    Action::ReissueCodes(ReissueCodes {
        claimed,
        code_ttl_seconds: 0,
    })
}

/// Codes of a change behind a token, and the token behind them.
async fn fetched(desk: &mut Desk, name: &str, token: &str) -> Result<(Vec<GivenCode>, String), Status> {
    let request = v1::ListCodesRequest {
        name: name.to_owned(),
        resume_token: token.to_owned(),
    };
    let mut parts = desk.changes.list_codes(request).await?.into_inner();
    let (mut codes, mut token) = (Vec::new(), token.to_owned());
    while let Some(part) = parts.message().await? {
        codes.extend(part.codes);
        token = part.resume_token;
    }
    Ok((codes, token))
}

async fn keep(desk: &mut Desk, name: &str, token: &str) -> Result<(), Status> {
    let request = v1::AcknowledgeCodesRequest {
        name: name.to_owned(),
        resume_token: token.to_owned(),
    };
    desk.changes.acknowledge_codes(request).await.map(drop)
}

fn number<T: std::fmt::Debug>(answer: Result<T, Status>) -> Option<Code> {
    grpc::refusal(&answer.unwrap_err())
}

/// Claims with a new key; whether that went well.
async fn claims(world: &World, serial: &str, code: &str) -> bool {
    let mut mqtt = world.dial(None).await.unwrap();
    let answer = mqtt
        .claim(serial, code, Key::new().csr())
        .await
        .expect("an answer");
    matches!(answer, ClaimResult::Accepted(_))
}

fn is_done(change: &Change) -> bool {
    change.state() == State::Done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_gets_new_codes_through_a_restart_and_none_is_lost() {
    let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
    let clock = Clock::Manual(Arc::clone(&millis));
    let mut world = World::builder().clock(clock).start().await;
    let gateways = world.gateways(301).await;
    let (claimed, old) = gateways[7].clone();
    assert!(claims(&world, &claimed, &old).await);
    let mut desk = Desk::of(&world);
    let paced = v1::ChangeStrategy {
        per_minute: 200,
        ..strategy(0)
    };
    let planned = desk.planned(asked(reissue(false), paced)).await;
    assert_eq!(counts(&planned).total, 300);
    assert_eq!(planned.excluded, [("claimed already".to_owned(), 1)].into());
    let left_out = desk
        .targets(&planned.name, &[change_target::State::Excluded])
        .await;
    assert_eq!(left_out[0].serial, claimed);
    assert!(
        left_out[0].reason.contains("would void its certificate"),
        "{left_out:?}"
    );
    // Nothing was given out, and nothing is to be kept.
    let name = planned.name.clone();
    assert_eq!(
        number(fetched(&mut desk, &name, "").await),
        Some(Code::ChangeState)
    );
    assert_eq!(number(keep(&mut desk, &name, "").await), Some(Code::ChangeState));
    assert!(
        claims(&world, &gateways[9].0, &gateways[9].1).await,
        "until its turn comes"
    );
    desk.start(&planned).await;
    desk.when(&name, "a minute's worth is done", |change| {
        counts(change).done == 200
    })
    .await;
    let (first, early) = fetched(&mut desk, &name, "").await.unwrap();
    assert_eq!(first.len(), 200);
    assert_eq!(
        number(keep(&mut desk, &name, &early).await),
        Some(Code::ChangeState)
    );
    // Another server, the same codes.
    world.stopped().await.unwrap();
    world.serve_again().await;
    let mut desk = Desk::of(&world);
    assert_eq!(
        fetched(&mut desk, &name, "").await.unwrap(),
        (first.clone(), early.clone())
    );
    millis.fetch_add(60_000, Ordering::Relaxed);
    let done = desk.when(&name, "all are done", is_done).await;
    assert_eq!((counts(&done).done, counts(&done).skipped), (299, 1));
    assert_eq!(
        done.next,
        [format!(
            "muster change codes {} --out codes.csv",
            &name["changes/".len()..]
        )]
    );
    let (rest, token) = fetched(&mut desk, &name, &early).await.unwrap();
    let (all, same) = fetched(&mut desk, &name, "").await.unwrap();
    assert_eq!(
        (all.as_slice(), &token),
        ([first, rest].concat().as_slice(), &same)
    );
    let codes: BTreeMap<_, _> = all
        .iter()
        .map(|code| (&code.serial, &code.activation_code))
        .collect();
    let different: BTreeSet<_> = codes.values().collect();
    assert_eq!((codes.len(), different.len()), (299, 299));
    for (serial, old) in gateways.iter().take(12) {
        match codes.get(serial) {
            Some(new) => {
                assert!(
                    !claims(&world, serial, old).await,
                    "{serial}: the former code is dead"
                );
                assert!(claims(&world, serial, new).await, "{serial}");
            }
            None => assert!([&claimed, &gateways[9].0].contains(&serial)),
        }
    }
    let told = done.codes.unwrap();
    assert_eq!(
        (told.issued, told.erased, told.expire_time.is_some()),
        (299, false, true)
    );
    // They are kept when all of them are, and gone then.
    assert_eq!(
        number(keep(&mut desk, &name, &early).await),
        Some(Code::ChangeState)
    );
    assert_eq!(
        number(keep(&mut desk, &name, "AAAA").await),
        Some(Code::PageTokenInvalid)
    );
    keep(&mut desk, &name, &token).await.unwrap();
    keep(&mut desk, &name, &token).await.unwrap();
    for token in ["", &early, &token] {
        assert_eq!(
            number(fetched(&mut desk, &name, token).await),
            Some(Code::CodesErased)
        );
    }
    let after = desk.get(&name).await;
    let told = after.codes.unwrap();
    assert_eq!((told.issued, told.erased, told.expire_time), (299, true, None));
    assert!(after.next.is_empty(), "{after:?}");
    assert_eq!(world.audited("code_reissued").await, 299);
    assert_eq!(world.audited("codes_shown").await, 4);
    assert_eq!(world.audited("codes_acknowledged").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_claimed_claims_anew_only_where_that_is_said() {
    let world = World::start().await;
    let gateways = world.gateways(2).await;
    let pair = world.claim(&gateways[0].0, &gateways[0].1).await;
    let mut mqtt = world.dial(Some(&pair)).await.unwrap();
    mqtt.connect("", None).await.unwrap();
    let mut desk = Desk::of(&world);
    let planned = desk.planned(asked(reissue(true), strategy(0))).await;
    assert_eq!((counts(&planned).total, planned.excluded.len()), (2, 0));
    assert!(
        planned
            .summary
            .contains("those that have claimed lose their certificates at once"),
        "{}",
        planned.summary
    );
    desk.start(&planned).await;
    desk.when(&planned.name, "it is done", is_done).await;
    mqtt.ended().await;
    let (codes, _) = fetched(&mut desk, &planned.name, "").await.unwrap();
    for (code, (serial, old)) in codes.iter().zip(&gateways) {
        assert_eq!(&code.serial, serial);
        assert!(!claims(&world, serial, old).await);
        assert!(claims(&world, serial, &code.activation_code).await);
    }
    let back = v1::RollBackChangeRequest {
        name: planned.name,
        etag: String::new(),
    };
    let refused = desk.changes.roll_back_change(back).await;
    assert_eq!(number(refused), Some(Code::ChangeState));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_that_were_given_out_stay_when_the_change_is_aborted_and_expire() {
    let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
    let clock = Clock::Manual(Arc::clone(&millis));
    let world = World::builder().clock(clock).start().await;
    let gateways = world.gateways(3).await;
    let mut desk = Desk::of(&world);
    let paced = v1::ChangeStrategy {
        per_minute: 1,
        ..strategy(0)
    };
    let name = desk.started(asked(reissue(false), paced)).await.name;
    desk.when(&name, "one has its code", |change| counts(change).done == 1)
        .await;
    let request = v1::AbortChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.abort_change(request).await.unwrap();
    let ended = desk.when(&name, "it is over", |change| change.over).await;
    assert_eq!((counts(&ended).done, counts(&ended).skipped), (1, 2));
    let (codes, _) = fetched(&mut desk, &name, "").await.unwrap();
    assert_eq!(codes.len(), 1);
    // The others keep their codes.
    let mut alive = 0;
    for (serial, old) in &gateways {
        match *serial == codes[0].serial {
            true => assert!(!claims(&world, serial, old).await),
            false => alive += u32::from(claims(&world, serial, old).await),
        }
    }
    assert_eq!(alive, 2);
    millis.fetch_add(6 * DAY, Ordering::Relaxed);
    world.service().sweep_codes().await.unwrap();
    assert_eq!(fetched(&mut desk, &name, "").await.unwrap().0, codes);
    millis.fetch_add(DAY, Ordering::Relaxed);
    world.service().sweep_codes().await.unwrap();
    assert_eq!(
        number(fetched(&mut desk, &name, "").await),
        Some(Code::CodesErased)
    );
    let entries = world.audit().await;
    let kept = entries
        .iter()
        .rfind(|entry| entry["action"] == "codes_acknowledged");
    assert_eq!(kept.unwrap()["actor"], "system");
}
