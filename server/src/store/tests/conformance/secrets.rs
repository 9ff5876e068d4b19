//! Secrets: revisions, pins, and their end.

use super::catalog::apply;
use crate::store::{
    NewSecret, SecretRetirement, Store,
    tests::build::{alice, at, commit, finish, part, row, start},
};
use muster_domain::{
    Code,
    catalog::{Applied, ProfileSource, Resource},
    manifest::Rendered,
    names::SecretName,
};

fn name() -> SecretName {
    "wifi-psk".parse().unwrap()
}

async fn put(store: &Store, number: u32) -> bool {
    let fresh = NewSecret {
        name: name(),
        number,
        author: "alice".parse().unwrap(),
        message: format!("about {number}"),
        is_tame: true,
        sealed: vec![u8::try_from(number).unwrap(); 9],
        now: at(7),
    };
    store.put_secret(fresh).await.unwrap().is_some()
}

fn profile(note: &str) -> Resource {
    let template = format!("# {note}\npsk = \"{{{{ secret('wifi-psk') }}}}\"\n");
    let source = ProfileSource {
        name: "gateway".to_owned(),
        files: [("wifi.toml".to_owned(), template)].into(),
        ..ProfileSource::default()
    };
    Resource::Profile(source.check().unwrap())
}

async fn retire(store: &Store, number: u32, is_forced: bool) -> Result<bool, Code> {
    let retirement = SecretRetirement {
        name: name(),
        number,
        is_forced,
        devices: 0,
        actor: alice(),
        now: at(8),
    };
    let retired = store.retire_secret(retirement).await.unwrap();
    retired
        .map(|revision| revision.content.is_held)
        .map_err(|refusal| refusal.code)
}

pub(super) async fn revisions_are_put_in_turn_and_pinned(store: &Store) {
    let missing = apply(store, vec![profile("a")]).await.unwrap_err();
    assert_eq!(
        (missing[0].code, missing[0].field.as_str()),
        (Code::ReferenceMissing, "resources[0].files.wifi.toml")
    );
    assert!(!put(store, 2).await, "there is no first");
    assert!(put(store, 1).await);
    assert!(!put(store, 1).await, "somebody was faster");
    assert_eq!(
        apply(store, vec![profile("a")]).await.unwrap(),
        [Applied::Created(1)]
    );
    assert_eq!(
        apply(store, vec![profile("a")]).await.unwrap(),
        [Applied::Unchanged(1)]
    );
    assert!(put(store, 2).await);
    // The same text, with what is new: a revision that a change can bring to devices, and take back.
    assert_eq!(
        apply(store, vec![profile("a")]).await.unwrap(),
        [Applied::Updated(2)]
    );
    let catalog = store.catalog();
    let pins: Vec<_> = catalog.profiles["gateway"]
        .iter()
        .map(|revision| revision.content.secrets[&name()])
        .collect();
    assert_eq!(pins, [1, 2]);
    assert_eq!(store.sealed_secret(&name(), 1).unwrap(), Some(vec![1; 9]));
    assert_eq!(store.sealed_secret(&name(), 3).unwrap(), None);
    let (entries, _) = store.list_audit(0, 100).await.unwrap();
    let put = entries.iter().filter(|entry| entry.leaf.contains("secret_put"));
    assert_eq!(put.count(), 2);
}

pub(super) async fn a_retired_value_is_gone_and_stays_known(store: &Store) {
    assert!(put(store, 1).await && put(store, 2).await);
    apply(store, vec![profile("a")]).await.unwrap();
    start(store, 1).await;
    let mut part = part(store, 1, 0, (0..3).map(row).collect());
    for row in &mut part.rows {
        let Rendered::Whole(target) = &mut row.row.target else {
            panic!("rendered in part");
        };
        target.profile = Some(("gateway".parse().unwrap(), 1));
    }
    commit(store, part).await;
    finish(store, 1).await;
    assert_eq!(retire(store, 9, false).await, Err(Code::NotFound));
    assert_eq!(retire(store, 2, false).await, Err(Code::SecretPinned));
    assert_eq!(store.secret_use(name(), 2).await.unwrap().devices, 3);
    assert_eq!(store.secret_use(name(), 1).await.unwrap().devices, 0);
    assert_eq!(retire(store, 1, false).await, Ok(false));
    assert_eq!(store.sealed_secret(&name(), 1).unwrap(), None);
    assert_eq!(retire(store, 1, false).await, Ok(false), "once more");
    assert_eq!(retire(store, 2, true).await, Ok(false), "forced");
    let catalog = store.catalog();
    assert_eq!(catalog.secrets["wifi-psk"].len(), 2);
    assert!(catalog.secret("wifi-psk").is_none());
    let missing = apply(store, vec![profile("b")]).await.unwrap_err();
    assert_eq!(missing[0].code, Code::ReferenceMissing);
    let (entries, _) = store.list_audit(0, 100).await.unwrap();
    let retired = entries
        .iter()
        .filter(|entry| entry.leaf.contains("secret_retired"));
    assert_eq!(retired.count(), 2);
}
