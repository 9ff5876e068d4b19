//! Mappings over the wire: what was applied comes back, revision by revision, and mistakes are named.

use muster_domain::Code;
use muster_proto::v1::{
    self, apply_response::outcome::Action, catalog_client::CatalogClient, resource::Resource as Wire,
};
use muster_tests::{World, grpc};
use tonic::{Status, transport::Channel};

const LINE_7: &str = r#"{"name":"line-7","models":["GW-200"],"unmapped":"keep","fields":[{"field":"serial","columns":["SN"],"steps":[{"prefix":"GW2-"}]}]}"#;

async fn apply(
    mut catalog: CatalogClient<Channel>,
    name: &str,
    source_json: &str,
) -> Result<v1::apply_response::Outcome, Status> {
    let mapping = v1::Mapping {
        name: name.into(),
        source_json: source_json.into(),
        revision: Some(v1::RevisionInfo {
            message: "tried on Monday".into(),
            ..v1::RevisionInfo::default()
        }),
    };
    let request = v1::ApplyRequest {
        resources: vec![v1::Resource {
            resource: Some(Wire::Mapping(mapping)),
        }],
        validate_only: false,
    };
    Ok(catalog.apply(request).await?.into_inner().outcomes.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_of_a_mapping_can_be_had() {
    let world = World::start().await;
    let catalog = || world.client.catalog.clone();
    let changed = LINE_7.replace("SN", "S/N");
    for (source, action, revision) in [
        (LINE_7, Action::Created, 1),
        (LINE_7, Action::Unchanged, 1),
        (changed.as_str(), Action::Updated, 2),
    ] {
        let outcome = apply(catalog(), "mappings/line-7", source).await.unwrap();
        assert_eq!((outcome.action(), outcome.revision), (action, revision));
    }
    let get = async |name: &str| {
        let request = v1::GetMappingRequest { name: name.into() };
        catalog()
            .get_mapping(request)
            .await
            .map(tonic::Response::into_inner)
    };
    for (name, source, number) in [
        ("mappings/line-7", changed.as_str(), 2),
        ("mappings/line-7/revisions/1", LINE_7, 1),
        ("mappings/line-7/revisions/2", changed.as_str(), 2),
    ] {
        let found = get(name).await.unwrap();
        assert_eq!(
            (found.name.as_str(), found.source_json.as_str()),
            ("mappings/line-7", source)
        );
        let revision = found.revision.unwrap();
        assert_eq!(
            (revision.number, revision.message.as_str()),
            (number, "tried on Monday")
        );
    }
    for name in ["mappings/line-8", "mappings/line-7/revisions/3"] {
        assert_eq!(grpc::refusal(&get(name).await.unwrap_err()), Some(Code::NotFound));
    }
    let listed = catalog()
        .list_mappings(v1::ListMappingsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let listed: Vec<_> = listed
        .mappings
        .iter()
        .map(|mapping| mapping.source_json.as_str())
        .collect();
    assert_eq!(listed, [changed.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_mapping_is_named() {
    let world = World::start().await;
    let check = async |name: &str, source: &str, code: Code, field: &str| {
        let status = apply(world.client.catalog.clone(), name, source)
            .await
            .unwrap_err();
        assert_eq!(grpc::refusal(&status), Some(code), "{status}");
        assert!(
            status.message().contains(field),
            "{field} is not in {:?}",
            status.message()
        );
    };
    let invalid = Code::MappingInvalid;
    check("mappings/a", "{", invalid, "resources[0].source_json").await;
    check("mappings/a", LINE_7, invalid, "resources[0].source_json").await;
    check(
        "mappings/line-7",
        &format!("{LINE_7}{}", " ".repeat(256 << 10)),
        invalid,
        "source_json",
    )
    .await;
    check(
        "mappings/line-7",
        r#"{"name": "line-7", "eval": 1}"#,
        invalid,
        "eval",
    )
    .await;
    let pattern = LINE_7.replace(r#"{"prefix":"GW2-"}"#, r#"{"capture":"("}"#);
    check(
        "mappings/line-7",
        &pattern,
        invalid,
        "resources[0].fields[0].steps[0]",
    )
    .await;
    let foreign = LINE_7.replace("GW-200", "GW-999");
    check(
        "mappings/line-7",
        &foreign,
        Code::ReferenceMissing,
        "resources[0].models[0]",
    )
    .await;
}
