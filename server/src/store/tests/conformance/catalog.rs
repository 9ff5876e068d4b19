//! Applying resources.

use crate::store::{
    Store,
    tests::build::{at, model, site},
};
use muster_domain::{
    Code, Refusal,
    catalog::{Applied, ChannelsSource, ModelSource, NamingRuleSource, ProfileSource, Resource},
    manifest::MappingSource,
};
use muster_firmware_policy::{FirmwarePolicy, PolicySource};

pub(super) async fn apply(store: &Store, resources: Vec<Resource>) -> Result<Vec<Applied>, Vec<Refusal>> {
    let messages = resources
        .iter()
        .map(|resource| format!("about {}", resource.name()))
        .collect();
    store
        .apply_catalog(resources, "alice".parse().unwrap(), messages, at(5), false)
        .await
        .unwrap()
}

fn profile(template: &str) -> Resource {
    let files = [("network.conf".to_owned(), template.to_owned())].into();
    let source = ProfileSource {
        name: "gateway".to_owned(),
        files,
        ..ProfileSource::default()
    };
    Resource::Profile(source.check().unwrap())
}

fn policy(minimum: &str) -> Resource {
    let mut source = PolicySource {
        name: "stable".to_owned(),
        ..PolicySource::default()
    };
    source.applies_to.models = vec!["*".to_owned()];
    source.permit.minimum = Some(minimum.to_owned());
    Resource::FirmwarePolicy(
        "stable".parse().unwrap(),
        FirmwarePolicy::parse(source).unwrap().into(),
    )
}

fn referring(profile: &str, policy: &str) -> Resource {
    let source = ModelSource {
        name: "TS-10".to_owned(),
        profile: profile.to_owned(),
        firmware_policy: policy.to_owned(),
        ..ModelSource::default()
    };
    Resource::Model(source.check().unwrap())
}

fn rule(pattern: &str, models: &[&str]) -> Resource {
    let source = NamingRuleSource {
        name: "rooms".to_owned(),
        field: "position".to_owned(),
        pattern: pattern.to_owned(),
        models: models.iter().map(|&model| model.to_owned()).collect(),
        ..NamingRuleSource::default()
    };
    Resource::NamingRule(source.check().unwrap())
}

fn mapping(model: &str, steps: &str) -> Resource {
    let fields = format!(r#"[{{"field": "serial", "columns": ["SN"], "steps": {steps}}}]"#);
    let source = MappingSource {
        name: "line-7".to_owned(),
        models: vec![model.to_owned()],
        fields: serde_json::from_str(&fields).unwrap(),
        ..MappingSource::default()
    };
    Resource::Mapping(source.check().unwrap())
}

fn places(refusals: &[Refusal]) -> Vec<(Code, &str)> {
    refusals
        .iter()
        .map(|refusal| (refusal.code, refusal.field.as_str()))
        .collect()
}

pub(super) async fn resources_are_applied_all_or_none(store: &Store) {
    let (_, before) = store.list_audit(0, 1).await.unwrap();
    let refused = apply(store, vec![model("NEW"), site("X", "NOWHERE"), model("NEW")])
        .await
        .unwrap_err();
    let expected = [
        (Code::ReferenceMissing, "resources[1].parent"),
        (Code::RequestInvalid, "resources[2].name"),
    ];
    assert_eq!(places(&refused), expected);
    assert!(!store.catalog().models.contains_key("NEW"));
    assert_eq!(store.list_audit(0, 1).await.unwrap().1, before);
    let applied = apply(store, vec![model("NEW"), site("X", "BER-1")])
        .await
        .unwrap();
    assert_eq!(applied, [Applied::Created(1), Applied::Created(1)]);
    assert!(store.catalog().models.contains_key("NEW"));
    assert_eq!(store.list_audit(0, 1).await.unwrap().1, before + 2);
}

pub(super) async fn what_is_referred_to_must_be_there(store: &Store) {
    let refused = apply(store, vec![referring("gateway", "stable")])
        .await
        .unwrap_err();
    let expected = [
        (Code::ReferenceMissing, "resources[0].profile"),
        (Code::ReferenceMissing, "resources[0].firmware_policy"),
    ];
    assert_eq!(places(&refused), expected);
    // Both together, in any order.
    apply(
        store,
        vec![referring("gateway", "stable"), profile("a"), policy("1.0.0")],
    )
    .await
    .unwrap();
}

pub(super) async fn naming_rules_are_replaced_as_a_whole(store: &Store) {
    let refused = apply(store, vec![rule("a", &["GW-200", "NONE"])])
        .await
        .unwrap_err();
    assert_eq!(
        places(&refused),
        [(Code::ReferenceMissing, "resources[0].models[1]")]
    );
    for (pattern, expected) in [
        ("a", Applied::Created(1)),
        ("a", Applied::Unchanged(1)),
        ("b", Applied::Updated(2)),
    ] {
        let applied = apply(store, vec![rule(pattern, &["GW-200"])]).await.unwrap();
        assert_eq!(applied, [expected]);
    }
    assert!(
        store.catalog().naming_rules["rooms"]
            .pattern
            .as_ref()
            .unwrap()
            .matches("b")
    );
}

pub(in crate::store::tests) async fn every_revision_of_a_mapping_stays(store: &Store) {
    let refused = apply(store, vec![mapping("NONE", "[]")]).await.unwrap_err();
    assert_eq!(
        places(&refused),
        [(Code::ReferenceMissing, "resources[0].models[0]")]
    );
    let steps = [
        r#"[{"prefix": "GW2-"}]"#,
        r#"[{"lookup": {"a": "b"}, "otherwise": "keep"}]"#,
    ];
    for (steps, expected) in [
        (steps[0], Applied::Created(1)),
        (steps[0], Applied::Unchanged(1)),
        (steps[1], Applied::Updated(2)),
    ] {
        let applied = apply(store, vec![mapping("GW-200", steps)]).await.unwrap();
        assert_eq!(applied, [expected]);
    }
    let catalog = store.catalog();
    let name = "line-7".parse().unwrap();
    for (number, steps) in [(1, steps[0]), (2, steps[1])] {
        let revision = catalog.mapping_at(&name, number).unwrap();
        let kept = serde_json::to_value(&revision.content.source().fields[0].steps).unwrap();
        assert_eq!(kept, serde_json::from_str::<serde_json::Value>(steps).unwrap());
        assert_eq!(revision.message, "about mappings/line-7");
    }
    assert_eq!(catalog.mapping(&name).unwrap().number, 2);
}

/// With these channels, for the same devices.
fn channelled(channels: &str) -> Resource {
    let text = format!(r#"{{"name": "stable", "applies_to": {{"models": ["*"]}}, "channels": {channels}}}"#);
    let source: ChannelsSource = serde_json::from_str(&text).unwrap();
    Resource::FirmwarePolicy("stable".parse().unwrap(), source.check().unwrap())
}

pub(in crate::store::tests) async fn every_channel_of_a_policy_stays(store: &Store) {
    let plain = r"{}";
    let beta = r#"{"beta": {"update": {"target": {"version": "2.5.0", "url": "https://firmware.example/i", "size": 5,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}}}"#;
    let frozen = r#"{"frozen": {}}"#;
    for (channels, expected) in [
        (plain, Applied::Created(1)),
        (beta, Applied::Updated(2)),
        (beta, Applied::Unchanged(2)),
        (frozen, Applied::Updated(3)),
        (plain, Applied::Updated(4)),
    ] {
        let applied = apply(store, vec![channelled(channels)]).await.unwrap();
        assert_eq!(applied, [expected], "{channels}");
    }
    let catalog = store.catalog();
    let revisions = &catalog.policies["stable"];
    let names = revisions.iter().map(|revision| {
        let names = revision.content.names().map(ToString::to_string);
        names.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(names.collect::<Vec<_>>(), ["", "beta", "frozen", ""]);
    assert_eq!(revisions[1].message, "about firmwarePolicies/stable");
}

pub(super) async fn sites_make_no_circle(store: &Store) {
    apply(store, vec![site("A", ""), site("B", "A"), site("C", "B")])
        .await
        .unwrap();
    let refused = apply(store, vec![site("A", "C")]).await.unwrap_err();
    assert_eq!(places(&refused), [(Code::SiteInvalid, "resources[0].parent")]);
    let refused = apply(store, vec![site("P", "Q"), site("Q", "P")])
        .await
        .unwrap_err();
    assert_eq!(refused.len(), 2);
    apply(store, vec![site("C", "A")]).await.unwrap();
}

pub(super) async fn revisions_are_appended_only_when_they_differ(store: &Store) {
    for (resources, expected) in [
        (
            vec![profile("a"), policy("1.0.0"), model("TS-10")],
            Applied::Created(1),
        ),
        (
            vec![profile("a"), policy("1.0.0"), model("TS-10")],
            Applied::Unchanged(1),
        ),
        (
            vec![profile("b"), policy("2.0.0"), referring("gateway", "")],
            Applied::Updated(2),
        ),
        (
            vec![profile("a"), policy("1.0.0"), model("TS-10")],
            Applied::Updated(3),
        ),
        (
            vec![profile("a"), policy("1.0.0"), model("TS-10")],
            Applied::Unchanged(3),
        ),
    ] {
        assert_eq!(apply(store, resources).await.unwrap(), [expected; 3]);
    }
    let catalog = store.catalog();
    let revisions = &catalog.profiles["gateway"];
    assert_eq!(
        revisions
            .iter()
            .map(|revision| revision.number)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(revisions[0].content, revisions[2].content);
    assert_eq!(revisions[0].message, "about profiles/gateway");
    assert_eq!(catalog.policies["stable"].len(), 3);
}

pub(super) async fn validation_changes_nothing(store: &Store) {
    let before = store.list_audit(0, 1).await.unwrap().1;
    let resources = vec![model("NEW"), profile("a")];
    let messages = vec![String::new(); 2];
    let applied = store
        .apply_catalog(resources, "alice".parse().unwrap(), messages, at(5), true)
        .await;
    assert_eq!(applied.unwrap().unwrap(), [Applied::Created(1); 2]);
    assert!(!store.catalog().models.contains_key("NEW") && store.catalog().profiles.is_empty());
    assert_eq!(store.list_audit(0, 1).await.unwrap().1, before);
}
