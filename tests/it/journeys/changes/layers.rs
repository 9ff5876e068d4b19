//! Layered values reach devices by changes, and follow them from group to group and site to site.

use super::{Desk, agents::agents, asked, publish, strategy};
use crate::journeys::groups::step;
use muster_domain::Code;
use muster_proto::v1::{self, change::State, resource::Resource as Wire, update_group_members_request::Step};
use muster_tests::{Running, World, grpc, until};

const LAYERED: &str = r#"
[[sites]]
code = "DE"
[[groups]]
name = "canary"
rank = 100
[[groups]]
name = "munich"
filter = 'site = "MUC-01"'
[[profiles]]
name = "gateway"
message = "Layers"
[profiles.parameters.ntp]
type = "string"
[profiles.values.organisation]
ntp = "of-all"
[profiles.values.sites.DE]
ntp = "of-germany"
[profiles.values.groups.munich]
ntp = "of-munich"
[profiles.values.groups.canary]
ntp = "of-canaries"
[profiles.files]
"network.toml" = '''
ntp = {{ ntp | tojson }}
'''
"#;

const MUNICH: &str = r#"
[[sites]]
code = "MUC-01"
name = "Munich plant"
country = "DE"
parent = "DE"
latitude = 48.1374
longitude = 11.5755
time_zone = "Europe/Berlin"
"#;

/// Until the device has proved that generation, and its agent has this value.
async fn has(world: &World, (serial, agent): &(String, Running), generation: u64, ntp: &str) {
    world.verified(serial, generation).await;
    until("the value is applied", async || {
        agent.applied("network.toml").contains(ntp).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_follows_the_place_of_a_device() {
    let world = World::start().await;
    let devices = agents(&world, 3).await;
    let [first, second, third] = &devices[..] else {
        panic!()
    };
    world.apply_text(LAYERED).await;
    step(&world, "canary", Step::Add, &[&first.0]).await.unwrap();
    // A new revision, and a group: so far nobody is told anything.
    let mut desk = Desk::of(&world);
    let canaries = v1::CreateChangeRequest {
        filter: "group = \"canary\"".into(),
        ..asked(publish(2), strategy(0))
    };
    let planned = desk.started(canaries).await;
    assert_eq!(planned.total.unwrap().total, 1);
    desk.when(&planned.name, "the canary has it", |change| {
        change.state() == State::Done
    })
    .await;
    has(&world, first, 2, "of-canaries").await;
    for (serial, _) in [second, third] {
        assert_eq!(world.device(serial).await.desired.unwrap().generation, 1);
    }
    // Then everybody, each by its own layers.
    let all = desk.started(asked(publish(2), strategy(0))).await;
    assert_eq!(all.total.unwrap().total, 2);
    desk.when(&all.name, "all have it", |change| change.state() == State::Done)
        .await;
    has(&world, second, 2, "of-munich").await;
    has(&world, third, 2, "of-munich").await;
    // Out of the one group, into the other: a higher generation each.
    step(&world, "canary", Step::Remove, &[&first.0]).await.unwrap();
    has(&world, first, 3, "of-munich").await;
    step(&world, "canary", Step::Add, &[&third.0]).await.unwrap();
    has(&world, third, 3, "of-canaries").await;
    // Another filter, and nobody is in the group any more; then the site becomes a part of another.
    world
        .apply_text("[[groups]]\nname = 'munich'\nfilter = 'site = BER-02'\n")
        .await;
    has(&world, first, 4, "of-all").await;
    has(&world, second, 3, "of-all").await;
    world.apply_text(MUNICH).await;
    has(&world, first, 5, "of-germany").await;
    has(&world, second, 4, "of-germany").await;
    assert_eq!(world.device(&third.0).await.groups, ["groups/canary"]);
    assert!(world.service().store().check().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_for_nothing_are_refused_with_what_may_be_meant() {
    let world = World::start().await;
    let apply = async |values: v1::profile::Values| {
        let parameter = v1::profile::Parameter {
            r#type: v1::profile::parameter::Type::Integer.into(),
            default: Some("1".into()),
            ..Default::default()
        };
        let profile = v1::Profile {
            name: "profiles/router".into(),
            parameters: [("port".to_owned(), parameter)].into(),
            values: Some(values),
            ..v1::Profile::default()
        };
        let resources = vec![v1::Resource {
            resource: Some(Wire::Profile(profile)),
        }];
        let request = v1::ApplyRequest {
            resources,
            validate_only: true,
        };
        world.client.catalog.clone().apply(request).await
    };
    let layer = |key: &str, text: &str| v1::profile::Layer {
        values: [(key.to_owned(), text.to_owned())].into(),
    };
    let check = async |values, code: Code, expected: &str| {
        let refused = apply(values).await.unwrap_err();
        assert_eq!(grpc::refusal(&refused), Some(code), "{refused}");
        assert!(refused.message().contains(expected), "{refused}");
    };
    let sites = |code: &str, layer| v1::profile::Values {
        sites: [(code.to_owned(), layer)].into(),
        ..v1::profile::Values::default()
    };
    let text = "values.sites.MUC-01.prot: is no parameter; did you mean port?";
    check(sites("MUC-01", layer("prot", "1")), Code::ProfileInvalid, text).await;
    let text = "values.sites.MUC-01.port: is not a whole number";
    check(sites("MUC-01", layer("port", "x")), Code::ProfileInvalid, text).await;
    let text = "values.sites.MUC-1: there is no sites/MUC-1; did you mean MUC-01?";
    check(sites("MUC-1", layer("port", "1")), Code::ReferenceMissing, text).await;
    assert!(apply(sites("MUC-01", layer("port", "1"))).await.is_ok());
}
