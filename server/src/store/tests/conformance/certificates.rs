//! Certificates: listings, revocations, keys that are blocked.

use crate::store::{
    CertificateQuery, ClaimBegun, DeviceChange, Revocation, RevokedCertificate, Store,
    tests::build::{SOURCE, alice, at, begin, claim, code, enroll, event, import, key, newcomer, signed},
};
use muster_domain::{
    Code, Refusal,
    access::Role,
    audit::Action,
    certificate::{
        AuthorityId, CertificateAt, CertificateRecord, CertificateSerial, CertificateState, RevocationReason,
        schema,
    },
    device::{ClaimWindow, KeyChoice, LifecycleState, Transition},
    filter::{Filter, evaluate},
};

/// What `list` asks for.
fn query(filter: &str) -> CertificateQuery {
    let checked = Filter::parse(filter).unwrap().check(schema()).unwrap();
    CertificateQuery {
        filter: (!filter.is_empty()).then_some(checked),
        after: None,
        limit: 100,
        scan_limit: 1000,
        now: at(5000),
    }
}

/// Every page, one behind the other.
async fn all(store: &Store, mut query: CertificateQuery) -> Vec<CertificateRecord> {
    let mut certificates = Vec::new();
    loop {
        let page = store.list_certificates(query.clone()).await.unwrap();
        assert!(page.certificates.len() <= query.limit);
        certificates.extend(page.certificates);
        match page.next {
            Some(next) => {
                assert!(query.after < Some(next), "pages go forward");
                query.after = Some(next);
            }
            None => return certificates,
        }
    }
}

async fn revoke(
    store: &Store,
    serial: CertificateSerial,
    reason: RevocationReason,
) -> Result<RevokedCertificate, Refusal> {
    let revocation = Revocation {
        serial,
        reason,
        comment: "found open".to_owned(),
        actor: alice(),
        now: at(4000),
    };
    store.revoke_certificate(revocation).await.unwrap()
}

/// Claims a device under an authority of ours.
async fn claimed(store: &Store, device: u32, spki: u32) -> CertificateSerial {
    let mut start = claim(device, spki, spki);
    start.fresh.issuer = Some(AuthorityId([5; 20]));
    let permit = begin(store, start).await;
    let finished = store.finish_claim(signed(&permit), at(1001), SOURCE).await;
    finished.unwrap().unwrap().certificate.serial
}

pub(super) async fn pages_cover_every_certificate_once(store: &Store) {
    import(store, 1, 0..12).await;
    for device in 0..9 {
        enroll(store, device, device + 10).await;
    }
    begin(store, claim(10, 30, 30)).await;
    let everything = all(store, query("")).await;
    // The admin's, nine that are current, one that is intended.
    assert_eq!(everything.len(), 11);
    assert!(everything.is_sorted_by_key(|record| record.serial));
    let device = everything[3].holder.device().unwrap();
    revoke(store, everything[4].serial, RevocationReason::Superseded)
        .await
        .unwrap();
    let everything = all(store, query("")).await;
    let [third, fourth] = [3, 4].map(|place: usize| everything[place].serial.to_string());
    for filter in [
        String::new(),
        format!("serial = {third}"),
        format!("serial = {}*", &third[..20]),
        format!("serial = {}*", &third[..31]),
        "serial = xyz*".to_owned(),
        "serial = 1".to_owned(),
        format!("device = {device}"),
        format!("device = {device} AND serial = {fourth}"),
        "device = nonsense".to_owned(),
        "operator = alice".to_owned(),
        "operator = nobody".to_owned(),
        "state = REVOKED AND reason = superseded".to_owned(),
        "state = INTENDED OR operator:*".to_owned(),
        format!("create_time = {}", "2027-01-15T08:16:40Z"),
        "create_time > 2027-01-15T08:16:40Z".to_owned(),
        "create_time >= 2027-01-15T08:16:40Z".to_owned(),
        "create_time < 2027-01-15T08:16:40Z".to_owned(),
    ] {
        let checked = Filter::parse(&filter).unwrap().check(schema()).unwrap();
        let expected: Vec<_> = everything
            .iter()
            .filter(|record| {
                evaluate(
                    &checked,
                    &CertificateAt {
                        record,
                        now: at(5000),
                    },
                )
            })
            .cloned()
            .collect();
        for (limit, scan_limit) in [(100, 1000), (1, 1000), (3, 1000), (100, 1), (2, 3)] {
            let query = CertificateQuery {
                limit,
                scan_limit,
                ..query(&filter)
            };
            assert_eq!(
                all(store, query).await,
                expected,
                "{filter:?}, {limit} a page, {scan_limit} a scan"
            );
        }
    }
    let expiry = store.certificate_expiry(at(1_000)).await.unwrap();
    assert_eq!((expiry.current(), expiry.year), (9, 9), "{expiry:?}");
}

pub(super) async fn a_device_without_its_certificate_waits_for_a_new_code(store: &Store) {
    let devices = import(store, 1, 0..2).await;
    let id = devices[0].id;
    let serial = claimed(store, 0, 1).await;
    let der = store.certificate(serial).await.unwrap().unwrap().der;
    let holder = store.holder(key(1), &der).unwrap();
    assert_eq!(holder.map(|holder| holder.device), Some(id));
    let withdrawn = RevocationReason::PrivilegeWithdrawn;
    let revoked = revoke(store, serial, withdrawn).await.unwrap();
    assert_eq!(revoked.devices, [id]);
    let state = CertificateState::Revoked {
        at: at(4000),
        reason: withdrawn,
    };
    assert_eq!(revoked.certificate.state, state);
    assert_eq!(store.holder(key(1), &der).unwrap(), None);
    let device = store.device(id).await.unwrap().unwrap();
    assert_eq!(device.lifecycle.state(), LifecycleState::Registered);
    assert!(device.revision > devices[0].revision);
    // Again, for the same reason: nothing changes. For another: no.
    let before = store.dump().unwrap();
    assert_eq!(revoke(store, serial, withdrawn).await.unwrap().devices, []);
    for reason in [RevocationReason::Superseded, RevocationReason::Unspecified] {
        let refused = revoke(store, serial, reason).await.unwrap_err();
        assert_eq!(refused.code, Code::RevocationFinal);
        assert!(refused.message.contains("privilege-withdrawn"), "{refused}");
    }
    let missing = CertificateSerial::from_u128(1);
    assert_eq!(
        revoke(store, missing, withdrawn).await.unwrap_err().code,
        Code::NotFound
    );
    // Nor does the spent code open anything.
    let again = store.begin_claim(claim(0, 1, 7)).await.unwrap();
    assert!(matches!(again, ClaimBegun::Refused(refusal) if refusal.code == Code::ClaimRefused));
    assert_eq!(store.dump().unwrap(), before);
    // A new code does, also with the same key: it was not said to be in other hands.
    let reissue = DeviceChange {
        transition: Transition::Reissue {
            hash: code(77),
            window: ClaimWindow::ALWAYS,
            key: KeyChoice::Kept,
        },
        expected_revision: None,
        actor: alice(),
        now: at(4001),
    };
    store.transition(id, reissue).await.unwrap().unwrap();
    let mut start = claim(0, 1, 8);
    start.presented.code = code(77);
    begin(store, start).await;
}

pub(super) async fn a_claim_that_began_is_revoked_with_its_intent(store: &Store) {
    let devices = import(store, 1, 0..1).await;
    let permit = begin(store, claim(0, 1, 1)).await;
    let record = signed(&permit);
    revoke(store, record.serial, RevocationReason::Unspecified)
        .await
        .unwrap();
    let finished = store.finish_claim(record, at(4001), SOURCE).await.unwrap();
    assert_eq!(finished.unwrap_err().code, Code::ClaimRefused);
    let device = store.device(devices[0].id).await.unwrap().unwrap();
    assert_eq!(device.lifecycle.held().count(), 0);
}

pub(super) async fn a_compromised_key_is_blocked_for_ever(store: &Store) {
    import(store, 1, 0..4).await;
    let compromise = RevocationReason::KeyCompromise;
    // Current, and superseded before anybody knew.
    let current = claimed(store, 0, 1).await;
    let former = claimed(store, 1, 2).await;
    revoke(store, former, RevocationReason::Superseded).await.unwrap();
    for (serial, losers) in [(current, 1), (former, 0)] {
        let revoked = revoke(store, serial, compromise).await.unwrap();
        assert_eq!(revoked.devices.len(), losers);
        let CertificateState::Revoked { reason, .. } = revoked.certificate.state else {
            panic!("{:?}", revoked.certificate)
        };
        assert_eq!(reason, compromise);
        let refused = revoke(store, serial, RevocationReason::Superseded)
            .await
            .unwrap_err();
        assert_eq!(
            refused.code,
            Code::RevocationFinal,
            "a compromise is not taken back"
        );
    }
    for spki in [1, 2] {
        let begun = store.begin_claim(claim(2, spki, 50 + spki)).await.unwrap();
        let ClaimBegun::Refused(refusal) = begun else {
            panic!("{begun:?}")
        };
        assert_eq!((refusal.code, refusal.field.as_str()), (Code::KeyBlocked, "csr"));
    }
    // The key went to another device after its first was rid of it; it is lost there too.
    let third = claimed(store, 2, 3).await;
    revoke(store, third, RevocationReason::Unspecified).await.unwrap();
    let mut start = claim(3, 3, 60);
    start.fresh.issuer = Some(AuthorityId([5; 20]));
    let permit = begin(store, start).await;
    let second = store.finish_claim(signed(&permit), at(1001), SOURCE).await;
    let second = second.unwrap().unwrap();
    let revoked = revoke(store, third, compromise).await.unwrap();
    assert_eq!(revoked.devices, [second.device.id]);
    let record = store
        .certificate(second.certificate.serial)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(record.state, CertificateState::Revoked { reason, .. } if reason == compromise));
}

pub(super) async fn an_operator_without_a_certificate_is_disabled(store: &Store) {
    let bob = newcomer("bob", Role::Admin, 2);
    let created = store.create_operator(bob.clone(), event(Action::OperatorCreated));
    created.await.unwrap().unwrap();
    let compromise = RevocationReason::KeyCompromise;
    let revoked = revoke(store, bob.certificate.serial, compromise).await.unwrap();
    assert_eq!(revoked.devices, []);
    let known = store.operator_by_key(bob.operator.key).await.unwrap().unwrap();
    assert!(!known.enabled);
    // The last admin stays, and so does their certificate.
    let alice = CertificateSerial::new(at(0), 1);
    let refused = revoke(store, alice, compromise).await.unwrap_err();
    assert_eq!(refused.code, Code::LastAdmin);
    let carol = newcomer("carol", Role::Viewer, 3);
    let mut carol = carol;
    carol.operator.key = bob.operator.key;
    let refused = store.create_operator(carol, event(Action::OperatorCreated));
    // Names and keys of operators are not used again, blocked or not.
    assert_eq!(refused.await.unwrap().unwrap_err().code, Code::KeyInUse);
}

pub(super) async fn every_revocation_is_audited_once(store: &Store) {
    import(store, 1, 0..1).await;
    let serial = claimed(store, 0, 1).await;
    for reason in [
        RevocationReason::Superseded,
        RevocationReason::Superseded,
        RevocationReason::KeyCompromise,
    ] {
        revoke(store, serial, reason).await.unwrap();
    }
    let (log, _) = store.list_audit(0, 100).await.unwrap();
    let found: Vec<_> = log
        .iter()
        .filter(|entry| entry.leaf.contains("certificate_revoked"))
        .collect();
    assert_eq!(found.len(), 2);
    for fact in ["found open", "devices/", "superseded", &serial.to_string()] {
        assert!(found[0].leaf.contains(fact), "{}", found[0].leaf);
    }
}
