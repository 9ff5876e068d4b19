//! Groups: devices under one name, by hand or by a filter, in every listing and in changes.

use muster_domain::{Code, access::Role};
use muster_proto::v1::{
    self, update_group_members_request::Step, update_group_members_response::outcome::Result as Became,
};
use muster_tests::{World, grpc};
use tonic::Status;

const GROUPS: &str = r#"
[[groups]]
name = "canary"
description = "First to get anything"
rank = 100
[[groups]]
name = "early"
filter = 'labels.ring = "early" AND model = "GW-200"'
rank = 10
"#;

/// Makes devices join a group or leave it; what became of each.
pub(super) async fn step(
    world: &World,
    group: &str,
    step: Step,
    serials: &[&str],
) -> Result<Vec<(Became, Option<u32>)>, Status> {
    let request = v1::UpdateGroupMembersRequest {
        group: format!("groups/{group}"),
        step: step.into(),
        devices: serials
            .iter()
            .map(|serial| format!("devices/serial:{serial}"))
            .collect(),
    };
    let answer = world.client.devices.clone().update_group_members(request).await?;
    let outcomes = answer.into_inner().outcomes.into_iter();
    Ok(outcomes
        .map(|outcome| (outcome.result(), outcome.refusal.map(|refusal| refusal.code)))
        .collect())
}

async fn listed(world: &World, filter: &str) -> Result<Vec<String>, Status> {
    let request = v1::ListDevicesRequest {
        filter: filter.into(),
        ..v1::ListDevicesRequest::default()
    };
    let page = world
        .client
        .devices
        .clone()
        .list_devices(request)
        .await?
        .into_inner();
    Ok(page.devices.into_iter().map(|device| device.serial).collect())
}

/// Three gateways of which the first two have a label.
async fn labelled(world: &World) -> Vec<String> {
    let mut rows = "serial,mac,model,site,position,extension,labels.ring\n".to_owned();
    for (number, ring) in [(1, "early"), (2, "early"), (3, "late")] {
        let mac = format!("00:1B:C5:00:80:0{number}");
        rows += &format!("GW2-700000{number},{mac},GW-200,MUC-01,Hall 1,{number},{ring}\n");
    }
    world.import_text("rings.csv", &rows).await;
    (1..=3).map(|number| format!("GW2-700000{number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_each_kind_name_devices() {
    let world = World::start().await;
    world.apply_text(GROUPS).await;
    let serials = labelled(&world).await;
    let [first, second, third] = [0, 1, 2].map(|place| serials[place].as_str());
    let became = step(&world, "canary", Step::Add, &[first, third, "NOBODY", first])
        .await
        .unwrap();
    let missing = Some(Code::NotFound.number().into());
    assert_eq!(
        became,
        [
            (Became::Updated, None),
            (Became::Updated, None),
            (Became::Failed, missing),
            (Became::Unchanged, None)
        ]
    );
    for (filter, expected) in [
        ("group = canary", vec![first, third]),
        ("group = early", vec![first, second]),
        ("group = early AND group = canary", vec![first]),
        ("group != early", vec![third]),
    ] {
        assert_eq!(listed(&world, filter).await.unwrap(), expected, "{filter}");
    }
    let device = world.device(first).await;
    assert_eq!(device.groups, ["groups/canary"]);
    assert_eq!(device.matching_groups, ["groups/early"]);
    step(&world, "canary", Step::Remove, &[third]).await.unwrap();
    assert_eq!(listed(&world, "group = canary").await.unwrap(), [first]);
    // Another filter, other members.
    world
        .apply_text("[[groups]]\nname = 'early'\nfilter = 'labels.ring = late'\n")
        .await;
    assert_eq!(listed(&world, "group = early").await.unwrap(), [third]);
    assert_eq!(world.audited("group_joined").await, 2);
    assert_eq!(world.audited("group_left").await, 1);
    assert!(world.service().store().check().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_not_there_is_said_with_the_nearest() {
    let world = World::start().await;
    world.apply_text(GROUPS).await;
    let refused = listed(&world, "model = GW-200 AND group = canari")
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::FilterInvalid));
    assert!(
        refused
            .message()
            .contains("\"canari\" is not a group at byte 27; did you mean canary?"),
        "{refused}"
    );
    let refused = step(&world, "nowhere", Step::Add, &[]).await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::NotFound));
    let viewer = world.operator("viewer", Role::Viewer).await;
    let request = v1::UpdateGroupMembersRequest::default();
    let method = "muster.v1.Devices/UpdateGroupMembers";
    let refused = grpc::call(&world.channel(Some(&viewer)), method, &request)
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::NotPermitted));
}
