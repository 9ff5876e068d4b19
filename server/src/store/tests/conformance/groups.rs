//! Groups: who is in them, and what finds them.

use crate::store::{
    DeviceName, DeviceQuery, GroupOutcome, GroupUpdate, Store,
    tests::build::{at, import},
};
use muster_domain::{
    Code, Refusal,
    audit::Actor,
    catalog::{Applied, GroupSource, Resource},
    device::{GROUPS_LIMIT, Membership, check_filter},
    filter::Filter,
    names::GroupName,
};

/// Two devices: their serials.
async fn two(store: &Store) -> [String; 2] {
    let devices = import(store, 1, 0..2).await;
    [0, 1].map(|place| devices[place].serial.to_string())
}

async fn apply(store: &Store, name: &str, filter: &str) -> Result<Vec<Applied>, Vec<Refusal>> {
    let group = GroupSource {
        name: name.to_owned(),
        filter: filter.to_owned(),
        ..GroupSource::default()
    };
    let resources = vec![Resource::Group(group.check().unwrap())];
    store
        .apply_catalog(
            resources,
            "alice".parse().unwrap(),
            vec![String::new()],
            at(5),
            false,
        )
        .await
        .unwrap()
}

async fn update(
    store: &Store,
    group: &str,
    membership: Membership,
    serials: &[&str],
) -> Result<Vec<GroupOutcome>, Refusal> {
    let update = GroupUpdate {
        group: group.parse().unwrap(),
        membership,
        devices: serials
            .iter()
            .map(|&serial| DeviceName::Serial(serial.to_owned()))
            .collect(),
        actor: Actor::Operator("alice".parse().unwrap()),
        now: at(6),
    };
    store.update_group(update).await.unwrap()
}

async fn found(store: &Store, filter: &str) -> Vec<String> {
    let filter = check_filter(&Filter::parse(filter).unwrap(), &store.catalog()).unwrap();
    let query = DeviceQuery {
        filter: Some(filter),
        after: None,
        limit: 100,
        scan_limit: 100,
    };
    let page = store.list_devices(query).await.unwrap();
    page.devices
        .into_iter()
        .map(|device| device.serial.to_string())
        .collect()
}

pub(super) async fn members_are_added_and_removed_one_by_one(store: &Store) {
    let [first, second] = two(store).await;
    let (first, second) = (first.as_str(), second.as_str());
    assert_eq!(apply(store, "canary", "").await, Ok(vec![Applied::Created(1)]));
    let outcomes = update(store, "canary", Membership::Joined, &[first, "NOBODY", first])
        .await
        .unwrap();
    let [Ok(Some(device)), Err(missing), Ok(None)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((device.serial.as_str(), device.groups.len()), (first, 1));
    assert_eq!(missing.code, Code::NotFound);
    assert_eq!(found(store, "group = canary").await, [first]);
    assert_eq!(found(store, "group != canary").await, [second]);
    let group: GroupName = "canary".parse().unwrap();
    assert_eq!(store.counts().groups.get(&group), Some(&1));
    let (entries, _) = store.list_audit(0, 100).await.unwrap();
    let said = entries.iter().filter(|entry| entry.leaf.contains("group_joined"));
    assert_eq!(said.count(), 1);
    // A group that devices were added to cannot go by a filter.
    let refused = apply(store, "canary", "site = A").await.unwrap_err();
    assert_eq!(
        (refused[0].code, refused[0].field.as_str()),
        (Code::GroupInvalid, "resources[0].filter")
    );
    update(store, "canary", Membership::Left, &[first, second])
        .await
        .unwrap();
    assert_eq!(found(store, "group = canary").await, Vec::<String>::new());
    assert_eq!(store.counts().groups, Default::default());
    assert_eq!(
        apply(store, "canary", "site = A").await,
        Ok(vec![Applied::Updated(2)])
    );
}

pub(super) async fn only_static_groups_take_members(store: &Store) {
    let [first, _] = two(store).await;
    apply(store, "ruled", &format!("serial = \"{first}\""))
        .await
        .unwrap();
    for (group, code) in [("ruled", Code::GroupRuled), ("nowhere", Code::NotFound)] {
        let refusal = update(store, group, Membership::Joined, &[&first])
            .await
            .unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), (code, "group"));
    }
    assert_eq!(found(store, "group = ruled").await, [first]);
}

pub(super) async fn a_device_is_in_a_few_groups(store: &Store) {
    let [first, _] = two(store).await;
    for place in 0..=GROUPS_LIMIT {
        let name = format!("g{place}");
        apply(store, &name, "").await.unwrap();
        let outcomes = update(store, &name, Membership::Joined, &[&first]).await.unwrap();
        match &outcomes[0] {
            Ok(Some(device)) => assert_eq!(device.groups.len(), place + 1),
            Err(refusal) => assert_eq!((refusal.code, place), (Code::GroupsFull, GROUPS_LIMIT)),
            Ok(None) => panic!("{name}"),
        }
    }
}
