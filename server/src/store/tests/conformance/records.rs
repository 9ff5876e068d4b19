//! Registry, operators, audit.

use crate::store::{
    Store,
    tests::build::{alice, at, event, info, newcomer},
};
use muster_domain::{
    Code,
    access::Role,
    audit::{Action, Event, leaf_hash},
    certificate::{CertificateState, RevocationReason, SpkiDigest},
    ids::DeviceId,
};

pub(super) async fn a_registry_is_made_once(store: &Store) {
    assert_eq!(store.registry().await.unwrap(), Some(info()));
    let second = store.create_registry(
        info(),
        newcomer("bob", Role::Admin, 2),
        event(Action::RegistryCreated),
    );
    assert_eq!(second.await.unwrap().unwrap_err().code, Code::RequestInvalid);
    assert_eq!(store.operator_by_key(SpkiDigest([2; 32])).await.unwrap(), None);
}

pub(super) async fn operators_are_unique_and_stay_known(store: &Store) {
    let create = |name: &str, key| {
        store.create_operator(newcomer(name, Role::Viewer, key), event(Action::OperatorCreated))
    };
    create("bob", 2).await.unwrap().unwrap();
    assert_eq!(
        create("bob", 3).await.unwrap().unwrap_err().code,
        Code::OperatorExists
    );
    assert_eq!(
        create("carol", 2).await.unwrap().unwrap_err().code,
        Code::KeyInUse
    );
    for _ in 0..2 {
        let disabled = store
            .disable_operator("bob".parse().unwrap(), event(Action::OperatorDisabled))
            .await;
        assert!(!disabled.unwrap().unwrap().enabled);
    }
    let known = store.operator_by_key(SpkiDigest([2; 32])).await.unwrap().unwrap();
    assert!(known.name.as_str() == "bob" && !known.enabled);
    let certificate = store
        .certificate(known.certificate.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        certificate.state,
        CertificateState::Revoked {
            at: at(0),
            reason: RevocationReason::PrivilegeWithdrawn,
        }
    );
    assert_eq!(certificate.holder.to_string(), "operators/bob");
    let missing = store
        .disable_operator("nobody".parse().unwrap(), event(Action::OperatorDisabled))
        .await;
    assert_eq!(missing.unwrap().unwrap_err().code, Code::NotFound);
    let (log, _) = store.list_audit(0, 100).await.unwrap();
    let disabled = log
        .iter()
        .filter(|entry| entry.leaf.contains("operator_disabled"));
    assert_eq!(disabled.count(), 1, "only the first time did something");
}

pub(super) async fn the_last_admin_stays(store: &Store) {
    let disable = |name: &str| store.disable_operator(name.parse().unwrap(), event(Action::OperatorDisabled));
    assert_eq!(disable("alice").await.unwrap().unwrap_err().code, Code::LastAdmin);
    let second = newcomer("bob", Role::Admin, 2);
    store
        .create_operator(second, event(Action::OperatorCreated))
        .await
        .unwrap()
        .unwrap();
    disable("alice").await.unwrap().unwrap();
    assert_eq!(disable("bob").await.unwrap().unwrap_err().code, Code::LastAdmin);
}

pub(super) async fn operators_are_listed_by_name(store: &Store) {
    for (key, name) in [(3, "carol"), (2, "bob")] {
        let operator = newcomer(name, Role::Viewer, key);
        store
            .create_operator(operator, event(Action::OperatorCreated))
            .await
            .unwrap()
            .unwrap();
    }
    let names = |found: Vec<muster_domain::access::Operator>| {
        found
            .into_iter()
            .map(|operator| operator.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.list_operators(None, 2).await.unwrap()),
        ["alice", "bob"]
    );
    let after = Some("bob".parse().unwrap());
    assert_eq!(names(store.list_operators(after, 2).await.unwrap()), ["carol"]);
}

pub(super) async fn the_audit_log_is_contiguous(store: &Store) {
    let (_, before) = store.list_audit(0, 1).await.unwrap();
    for number in 0..5 {
        let event = Event::new(
            at(number),
            alice(),
            Action::BatchStarted,
            format!("batches/{number}"),
        );
        assert_eq!(store.append_audit(event).await.unwrap().index, before + number);
    }
    let (log, size) = store.list_audit(before + 1, 3).await.unwrap();
    assert_eq!(size, before + 5);
    assert_eq!(
        log.iter().map(|entry| entry.index).collect::<Vec<_>>(),
        [before + 1, before + 2, before + 3]
    );
    assert!(log.iter().all(|entry| entry.hash == leaf_hash(&entry.leaf)));
    assert!(store.list_audit(size, 3).await.unwrap().0.is_empty());
}

pub(super) async fn whoever_waits_for_the_audit_log_hears_of_every_entry(store: &Store) {
    let mut size = store.audit_size();
    let (_, before) = store.list_audit(0, 1).await.unwrap();
    assert_eq!(*size.borrow_and_update(), before);
    for number in 1..4 {
        let event = Event::new(at(number), alice(), Action::BatchStarted, "batches/x");
        store.append_audit(event).await.unwrap();
        assert!(size.has_changed().unwrap(), "before the answer");
        assert_eq!(*size.borrow_and_update(), before + number);
    }
    // What changes nothing wakes nobody, and neither does a change that is in no log.
    let again = store.create_operator(newcomer("alice", Role::Viewer, 9), event(Action::OperatorCreated));
    again.await.unwrap().unwrap_err();
    store.arrived(DeviceId::from_u128(7), [192, 0, 2, 1].into(), at(1));
    store.flush_presence().await.unwrap();
    assert!(!size.has_changed().unwrap());
}
