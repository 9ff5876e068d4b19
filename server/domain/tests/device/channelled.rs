//! What devices must be that follow channels of a firmware policy.

use super::support::{at, registered};
use muster_domain::{
    catalog::{Catalog, ChannelsSource, Revision},
    change::Facet,
    desired::{Content, Digests, of_device},
    device::Device,
};
use std::sync::Arc;

fn image(version: &str) -> String {
    format!(
        r#"{{"target": {{"version": "{version}", "url": "https://firmware.example/{version}", "size": 5,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}}}"#
    )
}

fn catalog() -> Catalog {
    let text = format!(
        r#"{{"name": "stable", "applies_to": {{"models": ["*"]}}, "update": {},
            "channels": {{"beta": {{"update": {}}}}}}}"#,
        image("2.4.1"),
        image("2.5.0")
    );
    let source: ChannelsSource = serde_json::from_str(&text).unwrap();
    let mut catalog = Catalog::default();
    let site = muster_domain::catalog::SiteSource {
        code: "MUC-01".into(),
        name: "Munich".into(),
        ..Default::default()
    };
    let site = site.check().unwrap();
    catalog.sites.insert(site.code.clone(), Arc::new(site));
    let revision = Revision {
        number: 1,
        author: "alice".parse().unwrap(),
        created: at(1),
        message: String::new(),
        content: source.check().unwrap(),
    };
    catalog
        .policies
        .insert("stable".parse().unwrap(), vec![Arc::new(revision)]);
    catalog
}

fn labelled(channel: Option<&str>) -> Device {
    let mut device = registered();
    device.target.firmware_policy = Some(("stable".parse().unwrap(), 1));
    let own = channel.map(|channel| ("channel".to_owned(), channel.to_owned()));
    device.labels.extend(own);
    device
}

#[test]
fn a_device_gets_the_plain_policy_of_its_channel() {
    let catalog = catalog();
    let content = |channel| of_device(&catalog, &labelled(channel)).unwrap();
    let wanted = |content: &Content| {
        let update = content.firmware.as_ref().unwrap().policy.update();
        update.unwrap().target.version.to_string()
    };
    let mut digests = Digests::new(&catalog);
    let mut told = |channel| {
        let digest = digests.of(&labelled(channel)).unwrap();
        assert_eq!(digest, content(channel).digest(), "the fast way says the same");
        (
            digest,
            digests.part(&[Facet::Firmware]),
            digests.part(&[Facet::Config, Facet::Location]),
        )
    };
    let (none, beta, unknown) = (told(None), told(Some("beta")), told(Some("nightly")));
    assert_eq!(wanted(&content(None)), "2.4.1");
    assert_eq!(wanted(&content(Some("beta"))), "2.5.0");
    // Another channel is other firmware, and nothing else.
    assert_ne!((none.0, none.1), (beta.0, beta.1));
    assert_eq!(none.2, beta.2);
    // Who follows what is not there follows the policy, and has nothing to prove.
    assert_eq!(unknown, none);
}
