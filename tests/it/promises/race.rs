//! A3: two devices, one code.

use muster_domain::Code;
use muster_proto::v1;
use muster_tests::{Key, World, grpc};
use prost::Message as _;
use std::{collections::BTreeSet, net::Ipv4Addr};
use tokio::task::JoinSet;

/// Addresses that claimants come from, ten each: as many as one address may try at once for one serial.
const SOURCES: u8 = 100;
const CLAIMANTS: usize = 1000;
const ROUNDS: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_g7_of_many_claimants_with_one_code_exactly_one_wins() {
    let world = World::start().await;
    // So many addresses that no claimant is slowed down for another's sake.
    let channels: Vec<_> = (1..=SOURCES)
        .map(|last| world.channel_from(Ipv4Addr::new(127, 0, 2, last)))
        .collect();
    for (serial, code) in world.gateways(ROUNDS).await {
        let mut claims = JoinSet::new();
        for channel in channels.iter().cycle().take(CLAIMANTS) {
            let (channel, serial, activation_code) = (channel.clone(), serial.clone(), code.clone());
            claims.spawn(async move {
                let request = v1::ClaimRequest {
                    serial,
                    activation_code,
                    csr: Key::new().csr(),
                };
                grpc::call(&channel, "muster.v1.Enrollment/Claim", &request).await
            });
        }
        let mut certificates = BTreeSet::new();
        while let Some(answer) = claims.join_next().await {
            match answer.unwrap() {
                Ok(bytes) => {
                    certificates.extend(v1::ClaimResponse::decode(bytes).unwrap().chain.into_iter().next())
                }
                Err(status) => assert_eq!(grpc::refusal(&status), Some(Code::ClaimRefused), "{status}"),
            }
        }
        assert_eq!(certificates.len(), 1, "{serial}");
    }
    let rounds = usize::try_from(ROUNDS).unwrap();
    assert_eq!(world.audited("claim_finished").await, rounds);
    // The others are reported as what they may be.
    assert_eq!(world.audited("clone_suspected").await, rounds * (CLAIMANTS - 1));
}
