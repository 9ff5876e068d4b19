//! Filters on devices.

use crate::support::{at, claimed};
use muster_domain::{
    device::{Device, DeviceField, Hello, schema},
    filter::{Bound, CheckedFilter, Filter, FilterError, Target, Value, evaluate},
};

fn filter(text: &str) -> Result<CheckedFilter<DeviceField>, FilterError> {
    Filter::parse(text)?.check(schema())
}

/// A claimed device that said hello with firmware 2.4.0.
fn device() -> Device {
    let hello = Hello {
        generation: 3,
        digest: [3; 32],
        agent_version: "0.1.0".into(),
        firmware: Some("2.4.0".parse().unwrap()),
        boot_id: 1,
    };
    claimed().greet(&hello, at(60)).0
}

#[test]
fn every_field_answers() {
    let device = device();
    let check = |text: &str, expected: bool| {
        let filter = filter(text).unwrap_or_else(|error| panic!("{}", error.caret(text)));
        assert_eq!(evaluate(&filter, &device), expected, "{text}");
    };
    let (id, batch) = (device.id, device.origin.batch);
    for text in [
        format!("id = {id}"),
        format!("id = {}*", &id.to_string()[..5]),
        format!("batch = {batch}"),
        "serial = \"GW2-*\"".into(),
        "mac = 00:1B:C5:00:70:01".into(),
        "mac = 001bc5007001".into(),
        "mac = 00-1b-c5*".into(),
        "mac = \"*70:01\"".into(),
        "model = \"GW-200\" AND state = CLAIMED".into(),
        "hardware = B0".into(),
        "firmware >= 2.4.0 AND factory_firmware < 2.4.0".into(),
        "site = \"MUC-01\"".into(),
        "verification = PENDING".into(),
        "row = 12 generation > 2".into(),
        "create_time < 2026-01-01T00:00:00Z".into(),
        "update_time > 1970-01-01T00:03:19Z".into(),
        "labels.env = lab AND labels:env".into(),
        "variables.port = \"8080\" AND -variables:env".into(),
        "-position:*".into(),
        "clone_suspected = false".into(),
        "certificate_not_after = 1970-01-01T02:30:00Z".into(),
    ] {
        check(&text, true);
    }
    for text in [
        "id = 00000000000000000000000000",
        "mac = 00:1B:C5:00:70:02",
        "mac = 70:b3*",
        "state = ACTIVE",
        "firmware < 2.4.0",
        "labels.port:*",
        "variables.env = lab",
        "position = \"Hall 1\"",
    ] {
        check(text, false);
    }
}

#[test]
fn values_that_no_device_can_have_are_refused() {
    for text in [
        "state = active",
        "verification = OK",
        "mac = 00:1B",
        "mac = 0*",
        "mac = x*",
        "row = first",
        "colour = red",
    ] {
        assert!(filter(text).is_err(), "{text}");
    }
}

#[test]
fn an_index_is_told_addresses_in_their_one_form() {
    let bounds = |text: &str| -> Vec<(DeviceField, String)> {
        let filter = filter(text).unwrap();
        let found = filter.conjuncts().into_iter().map(|conjunct| {
            let (Target::Field(field) | Target::Label(field, _)) = conjunct.target;
            let bound = match conjunct.bound {
                Bound::Equal(Value::Text(text) | Value::Enum(text)) => text.to_owned(),
                Bound::Prefix(text) => format!("{text}*"),
                Bound::Equal(_) | Bound::Since(_) | Bound::Until(_) => panic!("{:?}", conjunct.bound),
            };
            (*field, bound)
        });
        found.collect()
    };
    assert_eq!(
        bounds("mac = 001b.c500.7001"),
        [(DeviceField::Mac, "00:1B:C5:00:70:01".to_owned())]
    );
    assert_eq!(
        bounds("mac = 001bc5*"),
        [(DeviceField::Mac, "00:1B:C5*".to_owned())]
    );
    assert_eq!(
        bounds("state = ACTIVE model = \"GW-*\""),
        [
            (DeviceField::State, "ACTIVE".to_owned()),
            (DeviceField::Model, "GW-*".to_owned())
        ]
    );
}
