//! A3: many claimers, one code.

use super::build::{SOURCE, begin, claim, founded, import, signed, sound};
use crate::store::{ClaimBegun, Store};
use muster_domain::certificate::{CertificateRecord, SpkiDigest};
use tokio::task::JoinSet;

const CLAIMERS: u32 = 1000;

/// One claimer's whole way; the certificate, if it got one.
async fn attempt(store: Store, spki: u32, certificate: u32) -> Option<CertificateRecord> {
    match store.begin_claim(claim(0, spki, certificate)).await.unwrap() {
        ClaimBegun::Issue { permit, .. } => {
            let finished = store
                .finish_claim(signed(&permit), claim(0, 0, 0).now, SOURCE)
                .await;
            finished.unwrap().ok().map(|finished| finished.certificate)
        }
        ClaimBegun::Repeat { certificate, .. } => Some(certificate),
        ClaimBegun::Refused(_) => None,
    }
}

async fn race(key_of: impl Fn(u32) -> u32) -> (Store, Vec<CertificateRecord>) {
    let store = founded().await;
    import(&store, 1, 0..3).await;
    let mut claimers = JoinSet::new();
    for number in 0..CLAIMERS {
        claimers.spawn(attempt(store.clone(), key_of(number), number));
    }
    let certificates = claimers.join_all().await.into_iter().flatten().collect();
    (store, certificates)
}

fn keys(certificates: &[CertificateRecord]) -> Vec<SpkiDigest> {
    let mut keys: Vec<_> = certificates.iter().map(|certificate| certificate.spki).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a3_of_a_thousand_keys_one_wins() {
    let (store, certificates) = race(|number| number).await;
    assert_eq!(certificates.len(), 1);
    sound(&store).await;
    let clones = store.list_audit(0, 10_000).await.unwrap().0;
    let clones = clones
        .iter()
        .filter(|entry| entry.leaf.contains("clone_suspected"))
        .count();
    assert_eq!(
        clones,
        usize::try_from(CLAIMERS).unwrap() - 1,
        "every loser is reported"
    );
    // The winner's code opens nothing else, and the registry goes on.
    begin(&store, claim(1, CLAIMERS + 1, CLAIMERS + 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a3_the_same_key_gets_the_same_certificate() {
    let (store, certificates) = race(|_| 7).await;
    assert_eq!(certificates.len(), usize::try_from(CLAIMERS).unwrap());
    assert!(
        certificates
            .iter()
            .all(|certificate| *certificate == certificates[0])
    );
    sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a3_claimers_that_repeat_agree_on_one_key() {
    let (store, certificates) = race(|number| number % 10).await;
    assert_eq!(keys(&certificates).len(), 1);
    assert!(
        certificates
            .iter()
            .all(|certificate| *certificate == certificates[0])
    );
    sound(&store).await;
}
