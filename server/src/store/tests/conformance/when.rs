//! Changes that wait for their time, and changes of labels.

use super::changes::{audited, device, fleet, site};
use crate::store::{
    ChangeOrder, Store,
    tests::{
        build::{at, sound},
        drive::{change, change_id, order, plan, planned, say, standings, started, step, strategy, work},
    },
};
use muster_domain::change::{Action, Change, Facet, Priority, Relabel, Standing, Strategy, Windows};
use muster_domain::{
    catalog::{Resource, SiteSource},
    device::FacetState,
};

pub(super) async fn nothing_is_begun_before_its_time(store: &Store) {
    let devices = fleet(store, 3).await;
    let mut late = change(9);
    late.strategy.start_at = Some(at(500));
    started(store, late, &devices).await;
    work(store, at(499)).await;
    assert_eq!(standings(store, change_id(9)).await, [(Standing::Waiting, 3)]);
    work(store, at(500)).await;
    let expected = [(Standing::Waiting, 1), (Standing::Sent, 2)];
    assert_eq!(standings(store, change_id(9)).await, expected);
}

/// At 08:03 UTC it is 17:03 in Tokyo.
pub(super) async fn a_target_is_begun_within_its_own_window(store: &Store) {
    let devices = fleet(store, 4).await;
    let id = change_id(9);
    let mut windowed = change(9);
    windowed.strategy.windows = Windows::parse(&["17:00-18:00"]).unwrap();
    started(store, windowed, &devices).await;
    work(store, at(200)).await;
    let expected = [(Standing::Waiting, 3), (Standing::Sent, 1)];
    assert_eq!(standings(store, id).await, expected);
    assert_eq!(
        device(store, devices[1]).await.target.generation,
        2,
        "it is in Tokyo"
    );
    sound(store).await;
    // Nothing is open between their evenings, and nothing is even asked for.
    let noon = store.advance_change(id, at(2 * 3600)).await.unwrap();
    assert_eq!(noon, crate::store::Advance::Wait);
    work(store, at(9 * 3600)).await;
    assert_eq!(device(store, devices[0]).await.target.generation, 2);
    assert_eq!(
        device(store, devices[2]).await.target.generation,
        1,
        "of the next stage"
    );
    sound(store).await;
    // Another plan leaves nothing of the one before.
    let monday = Strategy {
        windows: Windows::parse(&["Mon 01:00-02:00"]).unwrap(),
        ..strategy()
    };
    let again = Change {
        strategy: monday,
        priority: Priority::Emergency,
        ..change(8)
    };
    assert_eq!(planned(store, again, &devices).await.total().total(), 2);
    plan(store, change_id(8), &devices[3..]).await;
    sound(store).await;
}

pub(super) async fn labels_are_about_configuration_and_firmware(store: &Store) {
    let devices = fleet(store, 3).await;
    let (labels, urgent) = (change_id(1), change_id(2));
    let relabel = |number: u32, value: &str| Change {
        action: Action::Relabel(Relabel {
            set: [("ring".to_owned(), value.to_owned())].into(),
            ..Relabel::default()
        }),
        ..change(number)
    };
    started(store, relabel(1, "canary"), &devices).await;
    assert!(step(store, labels, at(200)).await, "its devices are taken");
    for facet in [Facet::Config, Facet::Firmware, Facet::Location] {
        let held = store.holders(&devices, &[facet], Priority::Normal).unwrap();
        let expected = (facet != Facet::Location).then_some(labels);
        assert_eq!(held, [expected; 3], "{facet}");
    }
    // An urgent one takes both facets of one of them.
    let taking = Change {
        priority: Priority::Emergency,
        ..relabel(2, "stable")
    };
    started(store, taking, &devices[..1]).await;
    work(store, at(201)).await;
    let expected = [(Standing::Done, 2), (Standing::Skipped, 1)];
    assert_eq!(standings(store, labels).await, expected);
    assert_eq!(standings(store, urgent).await, [(Standing::Done, 1)]);
    sound(store).await;
    // The content says nothing of it: it is done when it is on record, and nothing is sent.
    let found = device(store, devices[1]).await;
    assert_eq!(
        (found.labels["ring"].as_str(), found.target.generation),
        ("canary", 1)
    );
    assert_eq!(audited(store, "device_updated").await.len(), 3);
    order(store, labels, ChangeOrder::RollBack).await.unwrap();
    work(store, at(202)).await;
    let expected = [(Standing::Skipped, 1), (Standing::Reverted, 2)];
    assert_eq!(standings(store, labels).await, expected);
    assert!(!device(store, devices[1]).await.labels.contains_key("ring"));
    assert_eq!(device(store, devices[0]).await.labels["ring"], "stable");
}

pub(super) async fn what_is_not_as_planned_is_left_out(store: &Store) {
    let devices = fleet(store, 3).await;
    let id = change_id(9);
    started(store, change(9), &devices).await;
    work(store, at(200)).await;
    assert_eq!(site(store, devices[0]).await, ("HAM-1".to_owned(), 2));
    for device in &devices[..2] {
        say(store, *device, FacetState::Applied, at(210)).await;
    }
    // The place is renamed, of which a location says something; nobody stood for that.
    let renamed = SiteSource {
        code: "HAM-1".to_owned(),
        name: "Hamburg, the new yard".to_owned(),
        ..SiteSource::default()
    };
    let renamed = vec![Resource::Site(renamed.check().unwrap())];
    let author = "alice".parse().unwrap();
    let applied = store.apply_catalog(renamed, author, vec![String::new()], at(211), false);
    applied.await.unwrap().unwrap();
    work(store, at(300)).await;
    let expected = [(Standing::Done, 2), (Standing::Skipped, 1)];
    assert_eq!(standings(store, id).await, expected);
    assert_eq!(site(store, devices[2]).await, ("BER-1".to_owned(), 1));
}

/// Windows of sites make a change one that is begun zone by zone, and another plan another one.
pub(super) async fn a_plan_is_zoned_as_sites_have_windows_then(store: &Store) {
    let devices = fleet(store, 4).await;
    let apply = async |windows: Vec<String>| {
        let berlin = SiteSource {
            code: "BER-1".to_owned(),
            maintenance_windows: windows,
            ..SiteSource::default()
        };
        let sites = vec![Resource::Site(berlin.check().unwrap())];
        let author = "alice".parse().unwrap();
        let applied = store.apply_catalog(sites, author, vec![String::new()], at(1), false);
        applied.await.unwrap().unwrap();
    };
    apply(vec!["01:00-02:00".to_owned()]).await;
    let record = planned(store, change(9), &devices).await;
    assert!(record.is_zoned);
    sound(store).await;
    let urgent = Change {
        priority: Priority::Emergency,
        ..change(8)
    };
    assert!(!planned(store, urgent, &devices).await.is_zoned);
    apply(Vec::new()).await;
    // Cut before what the former plan left is gone.
    store
        .begin_plan(change_id(9), None, at(2))
        .await
        .unwrap()
        .unwrap();
    sound(store).await;
    assert!(!plan(store, change_id(9), &devices).await.is_zoned);
    sound(store).await;
    apply(vec!["01:00-02:00".to_owned()]).await;
    store
        .begin_plan(change_id(9), None, at(3))
        .await
        .unwrap()
        .unwrap();
    sound(store).await;
    plan(store, change_id(9), &devices).await;
    let start = ChangeOrder::Start(crate::store::tests::drive::PLAN, 4);
    order(store, change_id(9), start).await.unwrap();
    work(store, at(200)).await;
    let expected = [(Standing::Waiting, 2), (Standing::Sent, 2)];
    assert_eq!(standings(store, change_id(9)).await, expected);
    sound(store).await;
}
