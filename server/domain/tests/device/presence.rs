//! What filters and explanations make of a device's presence.

use crate::support::{at, claimed};
use muster_domain::{
    device::{Delivery, Departure, Device, Hello, Presence, StepState, explain, schema},
    filter::{Bound, Filter, Value, evaluate},
};

fn online() -> Presence {
    Presence::online(at(70), [192, 0, 2, 1].into())
}

fn with(presence: Option<Presence>) -> Device {
    Device {
        presence,
        ..claimed()
    }
}

#[test]
fn filters_see_it() {
    let check = |text: &str, expected: [bool; 3]| {
        let filter = Filter::parse(text).unwrap().check(schema()).unwrap();
        let gone = online().departed(at(80), Departure::Lost);
        let found = [None, Some(online()), Some(gone)].map(|presence| evaluate(&filter, &with(presence)));
        assert_eq!(found, expected, "{text}: never, online, offline");
    };
    check("online = true", [false, true, false]);
    check("online = false", [true, false, true]);
    check("online != true", [true, false, true]);
    check("presence_time:*", [false, true, true]);
    check("presence_time < 1970-01-01T00:01:15Z", [false, true, false]);
    check(
        "online = false AND presence_time >= 1970-01-01T00:01:20Z",
        [false, false, true],
    );
    let filter = Filter::parse("online = true AND model = x").unwrap();
    let filter = filter.check(schema()).unwrap();
    let bound = &filter.conjuncts()[0].bound;
    assert!(matches!(bound, Bound::Equal(Value::Bool(true))), "{bound:?}");
}

#[test]
fn an_explanation_says_since_when_and_why() {
    let hello = Hello {
        generation: 3,
        digest: [3; 32],
        agent_version: "0.1.0".into(),
        firmware: None,
        boot_id: 1,
    };
    let check = |presence: Option<Presence>, detail: &str, time: u64| {
        let device = with(presence).greet(&hello, at(60)).0;
        let explained = explain(&device, None, at(100));
        let step = &explained.steps[2];
        assert_eq!(
            (step.name, step.state, step.detail.as_str(), step.at),
            ("connected", StepState::Done, detail, Some(at(time)))
        );
    };
    check(None, "agent 0.1.0", 60);
    check(Some(online()), "agent 0.1.0; online, from 192.0.2.1", 70);
    for why in Departure::ALL {
        let detail = format!("agent 0.1.0; offline: {why}");
        check(Some(online().departed(at(80), why)), &detail, 80);
    }
    // Before its first hello.
    let explained = explain(&with(Some(online())), None, at(100));
    assert_eq!(explained.steps[2].detail, "online, from 192.0.2.1");
}

#[test]
fn an_explanation_says_how_often_it_was_sent_what_it_does_not_confirm() {
    let device = with(Some(online()));
    let generation = device.target.generation;
    let hello = Hello {
        generation: 0,
        digest: [0; 32],
        agent_version: "0.1.0".into(),
        firmware: None,
        boot_id: 1,
    };
    let device = device.greet(&hello, at(60)).0.retargeted([9; 32], at(70));
    let check = |delivery: Option<Delivery>, summary: &str, next: usize| {
        let explained = explain(&device, delivery, at(100));
        assert_eq!(
            (explained.summary.as_str(), explained.next.len()),
            (summary, next)
        );
    };
    let (first, _) = Delivery::send(None, generation + 1, at(80));
    let due = first.due(device.id);
    check(None, "generation 4 was sent; waiting for its report", 0);
    // What is known of an older generation says nothing of this one.
    let older = Delivery::send(None, generation, at(75)).0;
    check(Some(older), "generation 4 was sent; waiting for its report", 0);
    check(
        Some(first),
        &format!(
            "generation 4 was sent at 1970-01-01T00:01:20Z and was not acknowledged; waiting for its report, and sent again at {due}"
        ),
        0,
    );
    let second = Delivery::send(Some(first), generation + 1, at(90)).0;
    let third = Delivery::send(Some(second), generation + 1, at(95)).0;
    let received = Delivery {
        acknowledged: true,
        ..third
    };
    let due = received.due(device.id);
    check(
        Some(received),
        &format!(
            "generation 4 was sent 3 times, last at 1970-01-01T00:01:35Z and was received; waiting for its report, and sent again at {due}"
        ),
        1,
    );
    let missed = Delivery::missed(None, generation + 1, at(80));
    let due = missed.due(device.id);
    check(Some(missed), &format!("generation 4 is sent by {due}"), 0);
}
