//! Any order of operations keeps every invariant, and the counts are what a recount finds.

use super::build::{
    SOURCE, alice, at, batch_id, claim, code, commit, finish, founded, hello, key, part, report, row, serial,
    signed, sound, start,
};
use crate::store::{CertificateQuery, ClaimBegun, Counts, DeviceChange, DeviceQuery, Revocation, Store};
use muster_domain::{
    batch::BatchState,
    certificate::{CertificateField, CertificateState, RevocationReason, schema},
    device::{ClaimWindow, Facet, FacetState, KeyChoice, Transition},
    filter::{CheckedFilter, Filter},
    ids::DeviceId,
    mac::Mac,
    manifest::RowClaim,
};
use proptest::prelude::*;

/// Devices that operations choose from: few, so that they meet.
const DEVICES: u32 = 12;
/// Keys that they choose from.
const KEYS: u32 = 8;

#[derive(Debug, Clone)]
enum Step {
    /// Rows from a first one on, with addresses shifted, to this site, perhaps each to be claimed with a key.
    Import {
        first: u32,
        rows: u32,
        shift: u32,
        site: u8,
        bind: Option<u32>,
    },
    /// Begin a claim with a key, and perhaps end it.
    Claim {
        device: u32,
        key: u32,
        finish: bool,
    },
    Change {
        device: u32,
        transition: u8,
    },
    /// Revoke what the device holds, or was last known to hold.
    Revoke {
        device: u32,
        reason: RevocationReason,
    },
    Hello {
        device: u32,
        generation: u64,
    },
    Report {
        device: u32,
        state: u8,
    },
    /// Take back the import of an earlier step, at once or part after part.
    Undo {
        back: u32,
        unit: usize,
    },
    /// Keep the results of the import of an earlier step.
    Acknowledge {
        back: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    prop_oneof![
        (
            device.clone(),
            1u32..6,
            0u32..3,
            0u8..2,
            proptest::option::of(0u32..KEYS)
        )
            .prop_map(|(first, rows, shift, site, bind)| Step::Import {
                first,
                rows,
                shift,
                site,
                bind
            }),
        (device.clone(), 0u32..KEYS, any::<bool>()).prop_map(|(device, key, finish)| Step::Claim {
            device,
            key,
            finish
        }),
        (device.clone(), 0u8..6).prop_map(|(device, transition)| Step::Change { device, transition }),
        (
            device.clone(),
            proptest::sample::select(RevocationReason::ALL.to_vec())
        )
            .prop_map(|(device, reason)| Step::Revoke { device, reason }),
        (device.clone(), 0u64..3).prop_map(|(device, generation)| Step::Hello { device, generation }),
        (device, 0u8..4).prop_map(|(device, state)| Step::Report { device, state }),
        (1u32..5, any::<bool>()).prop_map(|(back, parts)| Step::Undo {
            back,
            unit: if parts { 0 } else { 1000 },
        }),
        (1u32..5).prop_map(|back| Step::Acknowledge { back }),
    ]
}

fn of_device(id: DeviceId) -> CheckedFilter<CertificateField> {
    let filter = Filter::parse(&format!("device = {id}")).unwrap();
    filter.check(schema()).unwrap()
}

async fn run(store: &Store, place: u32, step: &Step) {
    let now = at(1000 + u64::from(place));
    let known = |device: u32| async move { store.device_by_serial(&serial(device)).await.unwrap() };
    match *step {
        Step::Import {
            first,
            rows,
            shift,
            site,
            bind,
        } => {
            start(store, place).await;
            let rows = (first..first + rows).map(|number| {
                let mut row = row(number);
                let [.., a, b] = (number + shift).to_be_bytes();
                row.row.mac = Some(Mac::Eui48([0, 0x1b, 0xc5, 1, a, b]));
                row.row.site = Some(super::build::SITES[usize::from(site)].parse().unwrap());
                row.row.claim = bind.map(|bind| {
                    Box::new(RowClaim {
                        key: Some(key((bind + number) % KEYS)),
                        not_before: None,
                        not_after: Some(at(100_000 + u64::from(bind))),
                    })
                });
                row
            });
            commit(store, part(store, place, 0, rows.collect())).await;
            finish(store, place).await;
        }
        Step::Claim {
            device,
            key: spki,
            finish,
        } => {
            let start = crate::store::ClaimStart {
                now,
                ..claim(device, spki, place)
            };
            if let ClaimBegun::Issue { permit, .. } = store.begin_claim(start).await.unwrap()
                && finish
            {
                assert_eq!(permit.intent().spki, key(spki));
                store
                    .finish_claim(signed(&permit), now, SOURCE)
                    .await
                    .unwrap()
                    .unwrap();
            }
        }
        Step::Change { device, transition } => {
            let Some(device) = known(device).await else { return };
            let transition = match transition {
                0 => Transition::Suspend("a reason".to_owned()),
                1 => Transition::Resume,
                2 => Transition::Retire("a reason".to_owned()),
                3 => Transition::Arm {
                    window: None,
                    key: KeyChoice::Only(key(place % KEYS)),
                },
                4 => Transition::Arm {
                    window: Some(ClaimWindow::ALWAYS),
                    key: KeyChoice::Any,
                },
                _ => Transition::Reissue {
                    hash: code(place),
                    window: ClaimWindow::ALWAYS,
                    key: match place % 3 {
                        0 => KeyChoice::Only(key(place % KEYS)),
                        1 => KeyChoice::Any,
                        _ => KeyChoice::Kept,
                    },
                },
            };
            let change = DeviceChange {
                transition,
                expected_revision: None,
                actor: alice(),
                now,
            };
            let changed = store.transition(device.id, change).await.unwrap();
            assert!(changed.is_err() || changed.is_ok_and(|changed| changed.revision > device.revision));
        }
        Step::Revoke { device, reason } => {
            let Some(device) = known(device).await else { return };
            let query = CertificateQuery {
                filter: Some(of_device(device.id)),
                after: None,
                limit: 100,
                scan_limit: 100,
                now,
            };
            for record in store.list_certificates(query).await.unwrap().certificates {
                let revocation = Revocation {
                    serial: record.serial,
                    reason,
                    comment: String::new(),
                    actor: alice(),
                    now,
                };
                let revoked = store.revoke_certificate(revocation).await.unwrap();
                assert!(revoked.is_ok() || matches!(record.state, CertificateState::Revoked { .. }));
            }
            let device = store.device(device.id).await.unwrap().unwrap();
            assert_eq!(device.lifecycle.held().count(), 0);
        }
        Step::Hello { device, generation } => {
            let Some(device) = known(device).await else { return };
            let hello = muster_domain::device::Hello {
                generation,
                ..hello(&device)
            };
            let heard = store.record_hello(device.id, hello, now).await.unwrap();
            assert_eq!(heard.is_ok(), device.lifecycle.identity().is_some());
        }
        Step::Undo { back, unit } => {
            let id = batch_id(place.saturating_sub(back));
            let answer = store.undo_in(id, false, alice(), now, unit).await.unwrap();
            if let Ok(answer) = answer {
                let is_undone = matches!(answer.batch.state, BatchState::Undone(_));
                assert_eq!(is_undone, answer.blocked == 0);
            }
        }
        Step::Acknowledge { back } => {
            let id = batch_id(place.saturating_sub(back));
            let kept = store.acknowledge(id, 1, alice(), now).await.unwrap();
            drop(kept);
        }
        Step::Report { device, state } => {
            let Some(device) = known(device).await else { return };
            let mut report = report(&device, FacetState::Applied);
            match state {
                0 => {}
                1 => report.facets[0].state = FacetState::Failed("full".to_owned()),
                2 => report.facets[1].state = FacetState::Drifted("edited".to_owned()),
                _ => report.facets.retain(|status| status.facet != Facet::Firmware),
            }
            let heard = store.record_report(device.id, report, now).await.unwrap();
            assert_eq!(heard.is_ok(), device.lifecycle.identity().is_some());
        }
    }
}

async fn recount(store: &Store) -> Counts {
    let query = DeviceQuery {
        filter: None,
        after: None,
        limit: 1000,
        scan_limit: 1000,
    };
    let mut counts = Counts::default();
    for device in store.list_devices(query).await.unwrap().devices {
        counts.devices += 1;
        *counts.states.entry(device.lifecycle.state()).or_default() += 1;
        *counts
            .verifications
            .entry(device.verification.state())
            .or_default() += 1;
        *counts.models.entry(device.model).or_default() += 1;
        if let Some(site) = device.site {
            *counts.sites.entry(site).or_default() += 1;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_operations_keeps_every_invariant(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = founded().await;
            for (place, step) in (1..).zip(&steps) {
                run(&store, place, step).await;
            }
            sound(&store).await;
            assert_eq!(*store.counts(), recount(&store).await);
        });
    }
}
