//! Maintenance windows of sites: devices wait for them, but not for what is urgent, and not for ever.

use super::{Desk, asked, counts, hands::Hands, publish, revise, strategy};
use muster_proto::v1::{self, Resource, Site, change::Priority, change_target, resource};
use muster_tests::{World, grpc};

/// A window of an hour, so many hours from now, in UTC.
fn window(hands: &Hands, hours: u64) -> String {
    let hour = hands.world.now().seconds() / 3600 % 24 + hours;
    format!("{:02}:00-{:02}:00", hour % 24, (hour + 1) % 24)
}

fn site(code: &str, parent: &str, windows: &[&str]) -> Resource {
    let named = |code: &str| format!("sites/{code}");
    let site = Site {
        name: named(code),
        parent: if parent.is_empty() {
            String::new()
        } else {
            named(parent)
        },
        maintenance_windows: windows.iter().map(|text| (*text).to_owned()).collect(),
        ..Site::default()
    };
    Resource {
        resource: Some(resource::Resource::Site(site)),
    }
}

async fn apply(world: &World, resources: Vec<Resource>) -> Result<(), tonic::Status> {
    let request = v1::ApplyRequest {
        resources,
        validate_only: false,
    };
    let applied = world.client.catalog.clone().apply(request).await;
    applied.map(drop)
}

/// All gateways are at a plant of a country with this window.
async fn country(hands: &Hands, window: &str) {
    let sites = vec![site("DE", "", &[window]), site("MUC-01", "DE", &[])];
    apply(&hands.world, sites).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_wait_for_the_windows_of_their_site() {
    let hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let night = window(&hands, 12);
    country(&hands, &night).await;
    let mut catalog = hands.world.client.catalog.clone();
    let request = v1::GetSiteRequest {
        name: "sites/DE".into(),
    };
    let shown = catalog.get_site(request).await.unwrap().into_inner();
    assert_eq!(shown.maintenance_windows, [night.as_str()]);
    let name = desk.started(asked(publish(2), strategy(0))).await.name;
    hands.pass(1).await;
    let waits = desk.get(&name).await;
    assert_eq!(counts(&waits).waiting, 2);
    assert!(
        waits.summary.contains("the next window opens at 20"),
        "{}",
        waits.summary
    );
    let told = hands.explained(0).await.remove(0);
    assert!(
        told.contains("its turn has not come, and not before 20")
            && told.ends_with(&format!("(maintenance windows of its site: {night})")),
        "{told}"
    );
    // Other windows are for plans that are made from now on; this one was looked at as it is.
    country(&hands, &window(&hands, 0)).await;
    hands.pass(60).await;
    assert_eq!(counts(&desk.get(&name).await).waiting, 2);
    // What is urgent waits for no site.
    let urgent = v1::CreateChangeRequest {
        priority: Priority::Emergency.into(),
        filter: format!("serial = \"{}\"", hands.devices[0].0),
        ..asked(publish(2), strategy(0))
    };
    let urgent = desk.started(urgent).await.name;
    desk.when(&urgent, "it is under way", |change| counts(change).sent == 1)
        .await;
    for hours in 1..24 {
        hands.pass(3600).await;
        let change = desk.get(&name).await;
        if counts(&change).waiting == 0 {
            assert!((11..=12).contains(&hours), "{hours}");
            let sent = desk.targets(&name, &[change_target::State::Sent]).await;
            assert_eq!(sent[0].serial, hands.devices[1].0);
            return;
        }
    }
    panic!("it never opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_windows_must_be_open_and_must_ever_be() {
    let hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let (noon, night) = (window(&hands, 6), window(&hands, 12));
    country(&hands, &night).await;
    let windows = |windows: &[&String]| v1::ChangeStrategy {
        windows: windows.iter().map(|text| (*text).clone()).collect(),
        ..strategy(0)
    };
    let never = desk.planned(asked(publish(2), windows(&[&noon]))).await;
    let reason = "maintenance windows of its site never meet those of the change";
    assert_eq!((never.total.unwrap().total, never.excluded[reason]), (0, 2));
    let left_out = desk.targets(&never.name, &[change_target::State::Excluded]).await;
    assert_eq!(left_out[0].reason, format!("the {reason}"));
    let both = desk.planned(asked(publish(2), windows(&[&noon, &night]))).await;
    assert_eq!(both.excluded.len(), 0);
    desk.start(&both).await;
    hands.pass(1).await;
    let told = hands.explained(0).await.remove(0);
    assert!(
        told.contains("windows of the change: ") && told.contains("; maintenance windows of its site: "),
        "{told}"
    );
    for _ in 0..7 {
        hands.pass(3600).await;
    }
    assert_eq!(
        counts(&desk.get(&both.name).await).waiting,
        2,
        "noon is no time of the site"
    );
    for _ in 0..6 {
        hands.pass(3600).await;
    }
    assert_eq!(counts(&desk.get(&both.name).await).waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_a_site_are_checked_each_at_its_place() {
    let world = World::builder().without_catalog().start().await;
    let wrong = site("MUC-01", "", &["Mon-Fri 01:00-05:00", "noon"]);
    let status = apply(&world, vec![wrong]).await.unwrap_err();
    assert_eq!(grpc::fields(&status), ["resources[0].maintenance_windows[1]"]);
    let many = site("MUC-01", "", &["01:00-02:00"; 17]);
    let status = apply(&world, vec![many]).await.unwrap_err();
    assert_eq!(grpc::fields(&status), ["resources[0].maintenance_windows"]);
}
