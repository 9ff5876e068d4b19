use super::*;
use crate::Code;
use muster_firmware_policy::SteppingStoneSource;

fn image(version: &str) -> String {
    format!(
        r#"{{"version": "{version}", "url": "https://firmware.example/{version}", "sha256": "{}", "size": 5}}"#,
        "ab".repeat(32)
    )
}

/// A policy with 2.4.1 for everybody, and these fields besides.
fn source(more: &str) -> ChannelsSource {
    let target = image("2.4.1");
    let text = format!(
        r#"{{"name": "stable", "applies_to": {{"models": ["GW-200"]}},
            "permit": {{"range": ">=1.0.0, <3.0.0", "prereleases": true}},
            "update": {{"target": {target}}} {more}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn beta(version: &str) -> ChannelsSource {
    let target = image(version);
    source(&format!(
        r#", "channels": {{"beta": {{"update": {{"target": {target}}}}}, "frozen": {{}}}}"#
    ))
}

fn wanted<'c>(channels: &'c Channels, labels: &[(&str, &str)]) -> Option<&'c str> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let labels = labels.iter().map(own).collect();
    let policy = channels.policy(channels.followed(&labels));
    policy.update().map(|update| update.target.url.as_str())
}

#[test]
fn a_label_says_which_channel_a_device_follows() {
    let stable = Some("https://firmware.example/2.4.1");
    let early = Some("https://firmware.example/2.5.0-rc.1");
    let channels = beta("2.5.0-rc.1").check().unwrap();
    for (labels, expected) in [
        (&[][..], stable),
        (&[("channel", "beta")], early),
        (&[("channel", "frozen")], None),
        (&[("channel", "Beta")], stable),
        (&[("channel", "")], stable),
        (&[("ring", "beta")], stable),
    ] {
        assert_eq!(wanted(&channels, labels), expected, "{labels:?}");
    }
    let by_ring = ChannelsSource {
        channel_label: Some("ring".into()),
        ..beta("2.5.0-rc.1")
    };
    let channels = by_ring.check().unwrap();
    assert_eq!(wanted(&channels, &[("ring", "beta")]), early);
    assert_eq!(wanted(&channels, &[("channel", "beta")]), stable);
    let plain = source("").check().unwrap();
    assert_eq!(wanted(&plain, &[("channel", "beta")]), stable);
    assert_eq!((plain.names().count(), channels.names().count()), (0, 2));
}

#[test]
fn a_checked_policy_is_written_as_it_is_read() {
    for read in [source(""), beta("2.5.0-rc.1")] {
        let channels = read.check().unwrap();
        let written = ChannelsSource::from(&channels);
        assert_eq!(written.check().unwrap(), channels);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<ChannelsSource>(&text).unwrap(), written);
        assert_eq!(
            text.contains("channel"),
            channels.names().next().is_some(),
            "{text}"
        );
    }
    // What had none before says what it said.
    let channels = source("").check().unwrap();
    let plain = serde_json::to_string(&channels.policy(None).to_source()).unwrap();
    assert_eq!(
        serde_json::to_string(&ChannelsSource::from(&channels)).unwrap(),
        plain
    );
}

#[test]
fn what_is_wrong_with_a_channel_is_told_at_its_field() {
    let check = |source: ChannelsSource, expected: &[(&str, &str)]| {
        let found = source.check().unwrap_err();
        let told: Vec<_> = found
            .iter()
            .map(|refusal| (refusal.field.as_str(), refusal.message.as_str()))
            .collect();
        assert_eq!(told, expected);
        assert!(found.iter().all(|refusal| refusal.code == Code::PolicyInvalid));
    };
    check(
        beta("3.0.0"),
        &[(
            "channels.beta.update.target.version",
            "is outside the permitted range >=1.0.0, <3.0.0",
        )],
    );
    // What all channels share is told once.
    let mut nowhere = beta("2.5.0");
    nowhere.applies_to.models.clear();
    check(nowhere, &[("applies_to.models", "must not be empty")]);
    let mut other = beta("2.4.1");
    let update = other.channels.get_mut("beta").unwrap().update.as_mut().unwrap();
    update.target.size = 6;
    let why = "describes the version of update.target with another artifact";
    check(other, &[("channels.beta.update.target", why)]);
    // One image has one signature, or none.
    let mut signed = beta("2.4.1");
    let update = signed.channels.get_mut("beta").unwrap().update.as_mut().unwrap();
    update.target.signature = Some("MAYCAQECAQE=".into());
    check(signed, &[("channels.beta.update.target", why)]);
    let mut stones = beta("2.5.0");
    let update = stones.channels.get_mut("beta").unwrap().update.as_mut().unwrap();
    let mut stone = SteppingStoneSource {
        below: "2.0.0".into(),
        through: update.target.clone(),
    };
    stone.through.size = 6;
    update.stepping_stones.push(stone);
    let why = "describes the version of channels.beta.update.target with another artifact";
    check(
        stones,
        &[("channels.beta.update.stepping_stones[0].through", why)],
    );
    let named = |name: &str| ChannelsSource {
        channels: [(name.to_owned(), ChannelSource::default())].into(),
        ..source("")
    };
    check(named("a b"), &[("channels.a b", "contains a blank")]);
    let labelled = |label: &str| ChannelsSource {
        channel_label: Some(label.into()),
        ..named("beta")
    };
    check(labelled(" "), &[("channel_label", "\" \" is no key of a label")]);
    let without = ChannelsSource {
        channel_label: Some("ring".into()),
        ..source("")
    };
    let why = "chooses among channels, and the policy has none";
    check(without, &[("channel_label", why)]);
    let many = ChannelsSource {
        channels: (0..17)
            .map(|n| (n.to_string(), ChannelSource::default()))
            .collect(),
        ..source("")
    };
    check(many, &[("channels", "has 17 channels, more than 16")]);
}
