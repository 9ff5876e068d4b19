//! What a plan makes of a device, and what its name says.

use crate::{
    devices::{after, claimed, registered},
    support::{at, draft, publish},
};
use core::time::Duration;
use muster_domain::{
    catalog::{Catalog, ProfileSource, Revision, Site, SiteSource},
    change::{
        Action, Change, ChangePlanHasher, Exclusion, ExclusionKind, Former, Planned, Planner, Priority,
        Strategy, Windows, Zone,
    },
    desired::{Digests, of_device},
    device::{Device, Presence, Transition},
    ids::ChangeId,
};
use std::sync::Arc;

fn site(code: &str) -> (muster_domain::names::SiteCode, Arc<Site>) {
    let source = SiteSource {
        code: code.into(),
        ..SiteSource::default()
    };
    let site = source.check().unwrap();
    (site.code.clone(), Arc::new(site))
}

/// Revisions of a profile: the second wants a variable that only some devices have, the third a label.
fn catalog() -> Catalog {
    let revision = |number: u32, template: &str| {
        let source = ProfileSource {
            name: "gateway".into(),
            parameters: [(
                "port".to_owned(),
                serde_json::from_str(r#"{"type":"integer"}"#).unwrap(),
            )]
            .into(),
            files: [("a.txt".to_owned(), template.to_owned())].into(),
            ..ProfileSource::default()
        };
        Arc::new(Revision {
            number,
            author: "ann".parse().unwrap(),
            created: at(0),
            message: String::new(),
            content: source.check().unwrap(),
        })
    };
    let revisions = vec![
        revision(1, "one"),
        revision(2, "two {{ port }}"),
        revision(3, "three {{ device.labels.ring }}"),
    ];
    Catalog {
        sites: [site("MUC-01"), site("BER-02")].into(),
        profiles: [("gateway".parse().unwrap(), revisions)].into(),
        ..Catalog::default()
    }
}

fn judge(action: Action, device: &Device, holder: Option<ChangeId>) -> Result<Planned, Exclusion> {
    let change = Change {
        action,
        strategy: Strategy {
            away_limit: Some(Duration::from_secs(100)),
            ..Strategy::default()
        },
        ..draft()
    };
    let catalog = catalog();
    Planner::new(&change, Digests::new(&catalog), at(1000)).judge(device, holder)
}

fn at_revision(device: Device, number: u32) -> Device {
    let mut device = device;
    device.target.profile = Some(("gateway".parse().unwrap(), number));
    device
}

#[test]
fn a_target_says_what_it_has_and_what_it_becomes() {
    let device = at_revision(claimed(), 1);
    let planned = judge(publish(2), &device, None).unwrap();
    assert_eq!(planned.former, Former::Profile(device.target.profile.clone()));
    assert!(planned.can_prove);
    let becomes = publish(2).pins(&device).unwrap();
    assert_eq!(planned.after, of_device(&catalog(), &becomes).unwrap().digest());
    assert_ne!(planned.after, planned.before);
    // And what it replaces brings it back.
    assert_eq!(planned.former.pins(&becomes), Some(device.clone()));
    let moved = Action::Move("BER-02".parse().unwrap());
    let planned = judge(moved.clone(), &device, None).unwrap();
    assert_eq!(
        planned.former.pins(&moved.pins(&device).unwrap()),
        Some(device.clone())
    );
    // Whoever cannot prove it is a target all the same.
    assert!(
        !judge(publish(2), &at_revision(registered(), 1), None)
            .unwrap()
            .can_prove
    );
    let planned = judge(Action::Suspend("theft".into()), &device, None).unwrap();
    assert_eq!(
        (planned.former, planned.after),
        (Former::Admitted, device.target.digest)
    );
}

#[test]
fn a_device_that_is_left_out_has_a_reason() {
    let device = || at_revision(claimed(), 1);
    let retired = after([Transition::Retire("old".into())]);
    let other = ChangeId::from_u128(77);
    let mut without = device();
    without.variables.clear();
    let gone = |since| Device {
        presence: Some(
            Presence::online(at(since), [192, 0, 2, 1].into())
                .departed(at(since), muster_domain::device::Departure::Lost),
        ),
        ..device()
    };
    let check = |action, device: &Device, holder, expected: &str| {
        let excluded = judge(action, device, holder).unwrap_err();
        assert!(excluded.to_string().contains(expected), "{excluded}");
    };
    check(publish(2), &retired, None, "it is retired");
    check(publish(1), &device(), None, "it is so already");
    check(
        publish(2),
        &device(),
        Some(other),
        &format!("change {other} is about it"),
    );
    check(publish(2), &without, None, "port");
    check(
        publish(9),
        &device(),
        None,
        "profiles/gateway@9 is not in the catalog",
    );
    check(publish(2), &gone(899), None, "it was not connected since");
    assert!(judge(publish(2), &gone(901), None).is_ok());
    check(Action::Resume, &device(), None, "it is so already");
    // What the registry decides alone waits for nobody.
    assert!(judge(Action::Suspend("theft".into()), &gone(1), None).is_ok());
}

#[test]
fn another_plan_has_another_name() {
    let hash = |change: &Change, stage: u16, after: u8| {
        let planned = Planned {
            former: Former::Admitted,
            before: [1; 32],
            after: [after; 32],
            becomes: None,
            can_prove: true,
        };
        let mut hasher = ChangePlanHasher::new(change);
        hasher.target(claimed().id, stage, planned.digest());
        hasher.excluded(registered().id, ExclusionKind::AlreadyThere);
        hasher.finish()
    };
    let first = hash(&draft(), 0, 2);
    // Who made it and what it is called does not matter.
    let renamed = Change {
        title: "other".into(),
        author: "bob".parse().unwrap(),
        ..draft()
    };
    assert_eq!(hash(&renamed, 0, 2), first);
    let others = [
        hash(&draft(), 1, 2),
        hash(&draft(), 0, 3),
        hash(
            &Change {
                action: publish(3),
                ..draft()
            },
            0,
            2,
        ),
        hash(
            &Change {
                strategy: Strategy::default(),
                ..draft()
            },
            0,
            2,
        ),
    ];
    assert!(others.iter().all(|other| *other != first));
}

#[test]
fn labels_and_positions_are_proved_where_the_content_holds_them() {
    let relabel = |key: &str, value: &str| {
        Action::Relabel(muster_domain::change::Relabel {
            set: [(key.to_owned(), value.to_owned())].into(),
            ..Default::default()
        })
    };
    let mut device = at_revision(claimed(), 3);
    device.labels = [("ring".to_owned(), "stable".to_owned())].into();
    device.site = Some("MUC-01".parse().unwrap());
    device.target.digest = of_device(&catalog(), &device).unwrap().digest();
    let planned = judge(relabel("ring", "canary"), &device, None).unwrap();
    assert!(planned.can_prove && planned.after != planned.before);
    let becomes = relabel("ring", "canary").pins(&device).unwrap();
    assert_eq!(planned.former.pins(&becomes), Some(device.clone()));
    assert_eq!(
        judge(relabel("ring", "stable"), &device, None).unwrap_err(),
        Exclusion::AlreadyThere
    );
    // The content says nothing of this one: there is nothing to prove.
    let planned = judge(relabel("rack", "7"), &device, None).unwrap();
    assert!(!planned.can_prove && planned.after == planned.before);
    let placed = Action::Place(Some("Hall 9".into()));
    let planned = judge(placed.clone(), &device, None).unwrap();
    assert!(planned.can_prove, "its location holds the position");
    assert_eq!(
        planned.former.pins(&placed.pins(&device).unwrap()),
        Some(device.clone())
    );
}

/// A country with windows, a plant in it with others, and a depot that has none of its own.
fn places() -> Catalog {
    let place = |code: &str, parent: &str, time_zone: &str, windows: &[&str]| {
        let source = SiteSource {
            code: code.into(),
            parent: parent.into(),
            time_zone: time_zone.into(),
            maintenance_windows: windows.iter().map(|text| (*text).to_owned()).collect(),
            ..SiteSource::default()
        };
        let site = source.check().unwrap();
        (site.code.clone(), Arc::new(site))
    };
    let sites = [
        place("DE", "", "", &["Sat,Sun 00:00-24:00"]),
        place("MUC-01", "DE", "Europe/Berlin", &["Mon-Fri 01:00-05:00"]),
        place("HAM-03", "DE", "Europe/Berlin", &[]),
        place("OSA-05", "", "Asia/Tokyo", &[]),
    ];
    Catalog {
        sites: sites.into(),
        ..catalog()
    }
}

#[test]
fn a_site_has_the_windows_of_the_nearest_one_that_has_some() {
    let catalog = places();
    let check = |code: Option<&str>, time_zone: &str, windows: &[&str]| {
        let code = code.map(|code| code.parse().unwrap());
        let zone = |priority| Zone::of(&catalog, code.as_ref(), priority);
        let expected = Zone {
            time_zone: time_zone.into(),
            windows: Windows::parse(windows).unwrap(),
        };
        assert_eq!(zone(Priority::Normal), expected, "{code:?}");
        // What is urgent waits for no site, and for its own windows by the same clock.
        let windows = Windows::default();
        assert_eq!(
            zone(Priority::Emergency),
            Zone { windows, ..expected },
            "{code:?}"
        );
    };
    check(Some("DE"), "", &["Sat,Sun 00:00-24:00"]);
    check(Some("MUC-01"), "Europe/Berlin", &["Mon-Fri 01:00-05:00"]);
    check(Some("HAM-03"), "Europe/Berlin", &["Sat,Sun 00:00-24:00"]);
    check(Some("OSA-05"), "Asia/Tokyo", &[]);
    check(Some("XXX-99"), "", &[]);
    check(None, "", &[]);
    assert!(catalog.has_maintenance_windows() && !self::catalog().has_maintenance_windows());
}

#[test]
fn whose_windows_never_meet_those_of_the_change_is_left_out() {
    let catalog = places();
    let check = |site: Option<&str>, windows: &[&str], priority, expected: bool| {
        let change = Change {
            strategy: Strategy {
                windows: Windows::parse(windows).unwrap(),
                ..Strategy::default()
            },
            action: publish(2),
            priority,
            ..draft()
        };
        let mut device = at_revision(claimed(), 1);
        device.site = site.map(|code| code.parse().unwrap());
        let mut planner = Planner::new(&change, Digests::new(&catalog), at(1000));
        // The second look is at what is remembered of the first.
        for _ in 0..2 {
            let judged = planner.judge(&device, None);
            let never = matches!(judged, Err(Exclusion::NeverOpen));
            assert_eq!(!never, expected, "{site:?}, {windows:?}, {priority}");
        }
    };
    use Priority::{Emergency, Normal};
    check(Some("MUC-01"), &[], Normal, true);
    check(Some("MUC-01"), &["Sat 00:00-24:00"], Normal, false);
    check(Some("MUC-01"), &["Sat 00:00-24:00"], Emergency, true);
    check(Some("MUC-01"), &["Mon 04:00-06:00"], Normal, true);
    check(Some("HAM-03"), &["Mon-Fri 00:00-24:00"], Normal, false);
    check(Some("HAM-03"), &["Fri 23:00-02:00"], Normal, true);
    check(Some("OSA-05"), &["Mon 04:00-06:00"], Normal, true);
    check(None, &["Mon 04:00-06:00"], Normal, true);
    assert_eq!(
        Exclusion::NeverOpen.to_string(),
        "the maintenance windows of its site never meet those of the change"
    );
}

#[test]
fn windows_of_sites_have_a_part_in_the_name_of_a_plan() {
    let name = |zones: &[Zone]| {
        let mut hasher = ChangePlanHasher::new(&draft());
        zones.iter().for_each(|zone| hasher.zone(zone));
        hasher.finish()
    };
    let zone = |time_zone: &str, window: &str| Zone {
        time_zone: time_zone.into(),
        windows: Windows::parse(&[window]).unwrap(),
    };
    let names = [
        name(&[]),
        name(&[zone("", "01:00-02:00")]),
        name(&[zone("", "01:00-03:00")]),
        name(&[zone("Asia/Tokyo", "01:00-02:00")]),
        name(&[zone("", "01:00-02:00"), zone("", "01:00-03:00")]),
    ];
    for (place, name) in names.iter().enumerate() {
        assert!(!names[..place].contains(name));
    }
}
