//! Profiles over time: revisions in pages, and what their rules mean for devices that are there already.

use muster_domain::Code;
use muster_proto::v1::{self, resource::Resource as Wire};
use muster_tests::{World, grpc};
use tonic::Status;

async fn apply(world: &World, resources: Vec<Wire>) -> Result<(), Status> {
    let resources = resources.into_iter().map(|resource| v1::Resource {
        resource: Some(resource),
    });
    let request = v1::ApplyRequest {
        resources: resources.collect(),
        validate_only: false,
    };
    world.client.catalog.clone().apply(request).await.map(drop)
}

fn profile(template: &str, message: &str) -> Wire {
    Wire::Profile(v1::Profile {
        name: "profiles/router".into(),
        files: [("net.toml".to_owned(), template.to_owned())].into(),
        revision: Some(v1::RevisionInfo {
            message: message.into(),
            ..v1::RevisionInfo::default()
        }),
        ..v1::Profile::default()
    })
}

async fn page(world: &World, page_size: i32, token: &str) -> Result<(Vec<u32>, String), Status> {
    let request = v1::ListProfileRevisionsRequest {
        name: "profiles/router".into(),
        page_size,
        page_token: token.into(),
    };
    let page = world
        .client
        .catalog
        .clone()
        .list_profile_revisions(request)
        .await?
        .into_inner();
    let numbers = page.revisions.iter().map(|revision| revision.number);
    Ok((numbers.collect(), page.next_page_token))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_come_newest_first_in_pages_that_stay() {
    let world = World::builder().without_catalog().start().await;
    let nobody = page(&world, 0, "").await.unwrap_err();
    assert_eq!(grpc::refusal(&nobody), Some(Code::NotFound));
    for number in 1..=5 {
        apply(
            &world,
            vec![profile(
                &format!("port = {number}\n"),
                &format!("number {number}"),
            )],
        )
        .await
        .unwrap();
    }
    let (first, token) = page(&world, 2, "").await.unwrap();
    assert_eq!(first, [5, 4]);
    // What is added meanwhile does not move the pages behind.
    apply(&world, vec![profile("port = 6\n", "number 6")])
        .await
        .unwrap();
    let (second, token) = page(&world, 2, &token).await.unwrap();
    assert_eq!(second, [3, 2]);
    let (last, end) = page(&world, 2, &token).await.unwrap();
    assert_eq!((last.as_slice(), end.as_str()), (&[1][..], ""));
    assert_eq!(
        page(&world, 0, "").await.unwrap(),
        (vec![6, 5, 4, 3, 2, 1], String::new())
    );
    let foreign = page(&world, 2, "AAAA").await.unwrap_err();
    assert_eq!(grpc::refusal(&foreign), Some(Code::PageTokenInvalid));
    assert_eq!(
        grpc::refusal(&page(&world, -1, "").await.unwrap_err()),
        Some(Code::RequestInvalid)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_travels_whole() {
    let world = World::builder().without_catalog().start().await;
    let parameter = v1::profile::Parameter {
        r#type: v1::profile::parameter::Type::String.into(),
        description: "where to report".into(),
        choices: vec!["eu.example".into(), "us.example".into()],
        min_length: Some(3),
        max_length: Some(63),
        pattern: Some("[a-z.]+".into()),
        ..Default::default()
    };
    let span = v1::profile::Parameter {
        r#type: v1::profile::parameter::Type::Integer.into(),
        minimum: Some("-9223372036854775808".into()),
        maximum: Some("9223372036854775807".into()),
        ..Default::default()
    };
    let written = v1::Profile {
        name: "profiles/router".into(),
        parameters: [("host".to_owned(), parameter), ("span".to_owned(), span)].into(),
        ..v1::Profile::default()
    };
    apply(&world, vec![Wire::Profile(written.clone())]).await.unwrap();
    let name = "profiles/router".to_owned();
    let kept = world
        .client
        .catalog
        .clone()
        .get_profile(v1::GetProfileRequest { name })
        .await;
    assert_eq!(kept.unwrap().into_inner().parameters, written.parameters);
}
