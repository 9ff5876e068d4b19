//! Bytes of every record format, kept for ever: old files open, and no format changes unnoticed.

mod batches;
mod changes;

use super::build::{SOURCE, alice, at, claim, code, info, key, operator, report, row, signed};
use crate::store::{
    RegistryInfo,
    embedded::{MappingText, PolicyText, ProfileText, Record, Replaceable, SecretRecord},
};
use muster_domain::{
    access::{Operator, Role},
    audit::{Action, Event},
    catalog::{
        ChannelSource, Channels, ChannelsSource, GroupSource, LayerSource, ModelSource, NamingRuleSource,
        ParameterSource, ParameterType, ProfileSource, Revision, SiteSource, ValuesSource,
    },
    certificate::{
        AuthorityId, CertificateHolder, CertificateProfile, CertificateRecord, CertificateState,
        RevocationReason,
    },
    desired::Target,
    device::{
        ClaimIntent, ClaimWindow, CloneAlarm, Credential, Departure, Device, FacetState, Identity, Lifecycle,
        PinnedKey, Presence, Reported, Standing, Successor, Verification,
    },
};
use muster_firmware_policy::{ArtifactSource, FirmwarePolicy, PolicySource, UpdateSource};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
};

fn path(name: &str, version: u8) -> PathBuf {
    let file = format!("{name}_v{version}.bin");
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "tests",
        "fixtures",
        "store",
        &file,
    ]
    .iter()
    .collect()
}

/// Compares with `tests/fixtures/store/NAME_vN.bin`, N being the version that is written; with `MUSTER_BLESS` set,
/// writes it if it is not there.
fn check<R: Record + PartialEq + Debug>(name: &str, value: &R) {
    let path = path(name, R::VERSION);
    if std::env::var_os("MUSTER_BLESS").is_some() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, value.encode().unwrap()).unwrap();
    }
    let golden = opens(name, R::VERSION, value);
    assert_eq!(
        value.encode().unwrap(),
        golden,
        "{name}: new bytes differ; add a version instead"
    );
}

/// The golden bytes of a version, which mean this value now.
fn opens<R: Record + PartialEq + Debug>(name: &str, version: u8, value: &R) -> Vec<u8> {
    let path = path(name, version);
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        &R::decode(&golden).unwrap(),
        value,
        "{name}: version {version} means something else"
    );
    // Damage is an error, never a panic, and never another value of the same length.
    for cut in 0..golden.len() {
        assert!(R::decode(&golden[..cut]).is_err(), "{name}: cut at {cut}");
    }
    let longer = [golden.as_slice(), &[0]].concat();
    assert!(R::decode(&longer).is_err(), "{name}: longer");
    for place in 0..golden.len() {
        let mut flipped = golden.clone();
        flipped[place] ^= 0x80;
        drop(R::decode(&flipped));
    }
    golden
}

fn device() -> Device {
    let row = row(1).row;
    Device {
        id: super::build::fresh(1, 1).id,
        serial: row.serial,
        mac: row.mac,
        model: row.model,
        hardware: row.hardware,
        factory_firmware: row.firmware,
        site: row.site,
        position: row.position,
        labels: row.labels,
        variables: [("vlan".to_owned(), "12".to_owned())].into(),
        kept: BTreeMap::new(),
        origin: super::build::fresh(1, 1).origin,
        created: at(1),
        updated: at(2),
        revision: 3,
        lifecycle: Lifecycle::Registered {
            credential: Credential::Code {
                hash: code(1),
                window: ClaimWindow::until(Some(at(9))),
                bound: None,
                intent: Some(claim(1, 1, 1).fresh),
            },
        },
        target: Target {
            generation: 4,
            digest: [6; 32],
            profile: Some(("gateway".parse().unwrap(), 2)),
            firmware_policy: Some(("stable".parse().unwrap(), 3)),
        },
        reported: None,
        verification: Verification::Pending,
        alarm: None,
        renew_from: None,
        trust: 0,
        groups: BTreeSet::new(),
        presence: None,
    }
}

#[test]
fn devices() {
    let registered = device();
    device_check("device_registered", &registered);
    let identity = Identity {
        certificate: claim(1, 1, 1).fresh.certificate,
        spki: key(1),
        not_after: at(500),
        spent: Some(code(1)),
        successor: None,
        source: None,
    };
    let reported = Some(Reported {
        at: at(7),
        generation: 4,
        agent_version: "0.1.0".to_owned(),
        firmware: Some("2.4.1".parse().unwrap()),
        boot_id: 8,
        facets: report(&registered, FacetState::Waiting("window".to_owned())).facets,
    });
    let claimed = Device {
        lifecycle: Lifecycle::Claimed { identity },
        reported: reported.clone(),
        ..device()
    };
    device_check("device_claimed", &claimed);
    let verification = Verification::Verified { at: at(8) };
    device_check(
        "device_active",
        &Device {
            lifecycle: Lifecycle::Active { identity },
            verification,
            ..claimed.clone()
        },
    );
    let suspended = Lifecycle::Suspended {
        since: at(8),
        reason: "lost".to_owned(),
        was: Standing::Active(identity),
    };
    let facet = muster_domain::device::Facet::Location;
    let verification = Verification::Drifted {
        facet,
        reason: "edited".to_owned(),
    };
    device_check(
        "device_suspended",
        &Device {
            lifecycle: suspended,
            verification,
            ..claimed.clone()
        },
    );
    let retired = Lifecycle::Retired {
        since: at(8),
        reason: "scrapped".to_owned(),
        last: Some(identity.certificate),
    };
    let verification = Verification::Stale { since: at(8) };
    let bare = Device {
        mac: None,
        site: None,
        reported: None,
        ..claimed
    };
    device_check(
        "device_retired",
        &Device {
            lifecycle: retired,
            verification,
            ..bare
        },
    );
    // What devices had not in version 1.
    let kept = Device {
        kept: [("Pallet".to_owned(), "17".to_owned())].into(),
        lifecycle: Lifecycle::Registered {
            credential: Credential::Pinned {
                key: PinnedKey {
                    spki: key(4),
                    certificate: Some([8; 32]),
                },
                window: ClaimWindow::ALWAYS,
                intent: None,
            },
        },
        ..device()
    };
    check("device_pinned", &kept);
    opens("device_pinned", 2, &kept);
    opens("device_pinned", 3, &kept);
    let identity = Identity {
        spent: None,
        successor: None,
        ..identity
    };
    let certified = Device {
        lifecycle: Lifecycle::Claimed { identity },
        ..kept
    };
    check("device_certified", &certified);
    opens("device_certified", 2, &certified);
    opens("device_certified", 3, &certified);
    opens("device_certified", 4, &certified);
}

/// What devices had not in version 2.
#[test]
fn renewing_devices() {
    let source = Some(SOURCE);
    let intent = ClaimIntent {
        issuer: Some(AuthorityId([5; 20])),
        source,
        ..claim(1, 2, 2).fresh
    };
    let identity = Identity {
        source,
        successor: Some(Successor { intent, issued: true }),
        ..Identity::first(&claim(1, 1, 1).fresh, Some(code(1)))
    };
    let alarm = CloneAlarm {
        at: at(6),
        count: 2,
        key: key(3),
        source: SOURCE,
        first_source: source,
    };
    let renewing = Device {
        lifecycle: Lifecycle::Active { identity },
        alarm: Some(alarm),
        renew_from: Some(at(5)),
        ..device()
    };
    check("device_renewing", &renewing);
    opens("device_renewing", 3, &renewing);
    opens("device_renewing", 4, &renewing);
    let credential = Credential::Code {
        hash: code(1),
        window: ClaimWindow {
            opens: Some(at(1)),
            closes: Some(at(2)),
        },
        bound: Some(key(4)),
        intent: None,
    };
    let armed = Device {
        lifecycle: Lifecycle::Registered { credential },
        ..device()
    };
    check("device_armed", &armed);
    opens("device_armed", 3, &armed);
    opens("device_armed", 4, &armed);
    // What devices had not in version 3.
    let trusting = Device { trust: 2, ..armed };
    check("device_trusting", &trusting);
    opens("device_trusting", 4, &trusting);
    // What devices had not in version 4.
    let groups = ["canary", "lab"].map(|name| name.parse().unwrap()).into();
    check("device_grouped", &Device { groups, ..trusting });
}

#[test]
fn presences() {
    let online = Presence::online(at(5), SOURCE);
    check("presence_online", &online);
    let online = Presence::online(at(5), std::net::Ipv6Addr::LOCALHOST.into());
    // The first and the last number of what can be written.
    check("presence_left", &online.departed(at(6), Departure::Left));
    check("presence_stopped", &online.departed(at(6), Departure::Stopped));
    // What a device is written as says nothing of it.
    let present = Device {
        presence: Some(online),
        ..device()
    };
    assert_eq!(present.encode().unwrap(), device().encode().unwrap());
}

/// Said the same in every version.
fn device_check(name: &str, value: &Device) {
    check(name, value);
    opens(name, 1, value);
    opens(name, 2, value);
    opens(name, 3, value);
    opens(name, 4, value);
}

#[test]
fn certificates() {
    let intent = claim(1, 1, 1).fresh;
    let record = CertificateRecord::intended(device().id, &intent);
    check("certificate_intended", &record);
    check(
        "certificate_current",
        &CertificateRecord {
            state: CertificateState::Current,
            der: vec![0x30; 8],
            ..record.clone()
        },
    );
    check(
        "certificate_revoked",
        &CertificateRecord {
            state: CertificateState::Revoked {
                at: at(9),
                reason: RevocationReason::Unspecified,
            },
            der: vec![0x30; 8],
            ..record.clone()
        },
    );
    for name in ["intended", "current", "revoked"] {
        let name = format!("certificate_{name}");
        let now = CertificateRecord::decode(&fs::read(path(&name, 2)).unwrap()).unwrap();
        opens(&name, 1, &now);
    }
    check(
        "certificate_of_operator",
        &CertificateRecord {
            holder: CertificateHolder::Operator("alice".parse().unwrap()),
            profile: CertificateProfile::Operator,
            issuer: Some(AuthorityId([5; 20])),
            state: CertificateState::Revoked {
                at: at(9),
                reason: RevocationReason::KeyCompromise,
            },
            der: vec![0x30; 8],
            ..record
        },
    );
    let _: fn(&muster_domain::claim::ClaimPermit) -> CertificateRecord = signed;
}

#[test]
fn the_catalog() {
    let model = ModelSource {
        name: "GW-200".to_owned(),
        description: "gateway".to_owned(),
        serial_pattern: "GW2-[0-9]{7}".to_owned(),
        ouis: vec!["00:1B:C5".to_owned()],
        profile: "gateway".to_owned(),
        firmware_policy: "stable".to_owned(),
        ..ModelSource::default()
    };
    let former = Replaceable {
        changes: 2,
        source: model.clone(),
    };
    opens("model", 1, &former);
    let model = ModelSource {
        ouis: vec!["70:B3:D5:12:3".to_owned()],
        check_digit: "luhn".to_owned(),
        allow_local_addresses: true,
        ..model
    };
    check(
        "model",
        &Replaceable {
            changes: 2,
            source: model,
        },
    );
    let site = SiteSource {
        code: "BER-1".to_owned(),
        name: "Berlin".to_owned(),
        country: "DE".to_owned(),
        parent: "EU".to_owned(),
        latitude: Some(52.5),
        longitude: Some(13.4),
        time_zone: "Europe/Berlin".to_owned(),
        maintenance_windows: vec!["Mon-Fri 01:00-05:00".to_owned()],
    };
    let plain = SiteSource {
        maintenance_windows: Vec::new(),
        ..site.clone()
    };
    opens(
        "site",
        1,
        &Replaceable {
            changes: 1,
            source: plain,
        },
    );
    check(
        "site",
        &Replaceable {
            changes: 1,
            source: site,
        },
    );
    let rule = NamingRuleSource {
        name: "rooms".to_owned(),
        description: "As on the doors".to_owned(),
        field: "position".to_owned(),
        pattern: "[A-Z]-[0-9]+".to_owned(),
        example: "B-12".to_owned(),
        models: vec!["GW-200".to_owned()],
        required: true,
    };
    check(
        "naming_rule",
        &Replaceable {
            changes: 3,
            source: rule,
        },
    );
    let secret = |value: Option<Vec<u8>>| {
        revision(SecretRecord {
            is_tame: value.is_none(),
            value,
        })
    };
    check("secret_held", &secret(Some(vec![7; 41])));
    check("secret_retired", &secret(None));
    let group = GroupSource {
        name: "canary".to_owned(),
        description: "First to get anything".to_owned(),
        rank: -7,
        filter: "site = \"MUC-01\"".to_owned(),
    };
    check(
        "group",
        &Replaceable {
            changes: 2,
            source: group,
        },
    );
    let mut content = ProfileSource {
        name: "gateway".to_owned(),
        message: String::new(),
        parameters: [(
            "vlan".to_owned(),
            ParameterSource::of(ParameterType::Integer, Some("1".to_owned())),
        )]
        .into(),
        files: [("network.toml".to_owned(), "vlan = {{ vlan }}".to_owned())].into(),
        ..ProfileSource::default()
    };
    opens("profile", 1, &revision(ProfileText::of(&content)));
    let vlan = ParameterSource {
        description: "802.1Q".to_owned(),
        choices: vec!["1".to_owned(), "12".to_owned()],
        minimum: Some("1".to_owned()),
        maximum: Some("4094".to_owned()),
        ..ParameterSource::of(ParameterType::Integer, Some("1".to_owned()))
    };
    let apn = ParameterSource {
        min_length: Some(1),
        max_length: Some(63),
        pattern: Some("[a-z.]+".to_owned()),
        ..ParameterSource::of(ParameterType::String, None)
    };
    content
        .parameters
        .extend([("vlan".to_owned(), vlan), ("apn".to_owned(), apn)]);
    check("profile", &revision(ProfileText::of(&content)));
    let vlan = |text: &str| LayerSource([("vlan".to_owned(), text.to_owned())].into());
    content.values = ValuesSource {
        organisation: vlan("1"),
        models: [("GW-200".to_owned(), vlan("12"))].into(),
        sites: [("MUC-01".to_owned(), vlan("1"))].into(),
        groups: [("canary".to_owned(), vlan("12"))].into(),
    };
    check("profile_layered", &revision(ProfileText::of(&content)));
    let text = r#"{"name":"line-7","unmapped":"keep","fields":[{"field":"serial","columns":["SN"]}]}"#;
    check("mapping", &revision(MappingText(text.to_owned())));
    let mut policy = PolicySource {
        name: "stable".to_owned(),
        update: Some(UpdateSource {
            target: ArtifactSource {
                version: "2.5.0".to_owned(),
                url: "https://firmware.example/2.5.0".to_owned(),
                sha256: "ab".repeat(32),
                size: 1000,
                signature: None,
            },
            ..UpdateSource::default()
        }),
        ..PolicySource::default()
    };
    policy.applies_to.models = vec!["GW-*".to_owned()];
    policy.permit.minimum = Some("2.0.0".to_owned());
    let policy = FirmwarePolicy::parse(policy).unwrap();
    // One of the first version is read as one with no channels, and no signatures.
    let mut source = ChannelsSource::from(&Channels::from(policy));
    opens("policy", 1, &revision(PolicyText::of(&source)));
    check("policy_plain", &revision(PolicyText::of(&source)));
    let beta = ChannelSource {
        update: source.update.clone(),
    };
    source.channels = [("beta".to_owned(), beta)].into();
    source.channel_label = Some("ring".to_owned());
    check("policy", &revision(PolicyText::of(&source)));
    for update in [
        &mut source.update,
        &mut source.channels.get_mut("beta").unwrap().update,
    ] {
        update.as_mut().unwrap().target.signature = Some("MAYCAQECAQE=".to_owned());
    }
    check("policy_signed", &revision(PolicyText::of(&source)));
}

fn revision<T>(content: T) -> Revision<T> {
    Revision {
        number: 2,
        author: "alice".parse().unwrap(),
        created: at(3),
        message: "because".to_owned(),
        content,
    }
}

#[test]
fn the_registry() {
    check("registry", &RegistryInfo { format: 1, ..info() });
    let approver = operator("alice", Role::Approver, 1);
    check("operator", &approver);
    check("operator_integrator", &operator("ines", Role::Integrator, 2));
    opens(
        "operator",
        1,
        &Operator {
            certificate: None,
            ..approver
        },
    );
    let event = Event::new(at(1), alice(), Action::DeviceRetired, "devices/x").with("reason", "scrapped");
    check("audit", &event.entry(300));
}
