//! What an index is offered.

use super::{Key, SCHEMA};
use crate::Timestamp;
use crate::filter::{Bound, Conjunct, Filter, Target, Value};

fn check(filter: &str, expected: &[(Target<Key>, Bound<'_>)]) {
    let checked = Filter::parse(filter).unwrap().check(&SCHEMA).unwrap();
    let expected: Vec<_> = expected
        .iter()
        .map(|(target, bound)| Conjunct {
            target,
            bound: *bound,
        })
        .collect();
    assert_eq!(checked.conjuncts(), expected, "{filter}");
}

const SERIAL: Target<Key> = Target::Field(Key::Serial);
const PORT: Target<Key> = Target::Field(Key::Port);

fn port(number: i64) -> (Target<Key>, Bound<'static>) {
    (PORT, Bound::Equal(Value::Int(number)))
}

#[test]
fn equalities_under_and_are_offered_in_order() {
    check("", &[]);
    check("port = 1", &[port(1)]);
    check("port:1", &[port(1)]);
    check(
        "port = 1 (serial = x AND (state = ACTIVE))",
        &[
            port(1),
            (SERIAL, Bound::Equal(Value::Text("x"))),
            (Target::Field(Key::State), Bound::Equal(Value::Enum("ACTIVE"))),
        ],
    );
    check(
        "enabled = true seen = 1970-01-01T00:00:07Z",
        &[
            (Target::Field(Key::Enabled), Bound::Equal(Value::Bool(true))),
            (
                Target::Field(Key::Seen),
                Bound::Equal(Value::Timestamp(Timestamp::from_seconds(7))),
            ),
        ],
    );
    check(
        "labels.env = prod",
        &[(
            Target::Label(Key::Labels, "env".to_owned()),
            Bound::Equal(Value::Text("prod")),
        )],
    );
}

#[test]
fn prefixes_are_offered() {
    check("serial = GW2-*", &[(SERIAL, Bound::Prefix("GW2-"))]);
    check("serial = *42 serial = *-* serial = *", &[]);
}

#[test]
fn limits_of_time_are_offered() {
    let (seen, at) = (Target::Field(Key::Seen), Timestamp::from_seconds(7));
    for (relation, bound) in [
        ("<", Bound::Until(at)),
        ("<=", Bound::Until(at)),
        (">", Bound::Since(at)),
        (">=", Bound::Since(at)),
    ] {
        let filter = format!("seen {relation} 1970-01-01T00:00:07Z");
        check(&filter, &[(seen.clone(), bound)]);
    }
    check("NOT seen > 1970-01-01T00:00:07Z", &[]);
}

#[test]
fn what_need_not_hold_is_not_offered() {
    check("port = 1 OR port = 2", &[]);
    check("NOT port = 1", &[]);
    check("port != 1", &[]);
    check("port > 1 serial >= x port:* labels:env", &[]);
    check("firmware = 1.4.2", &[]);
    check("NOT (port = 1 AND serial = x)", &[]);
    check("port = 1 AND serial = x OR serial = y", &[port(1)]);
}

#[test]
fn negations_are_seen_through() {
    check("NOT port != 1", &[port(1)]);
    check("-(-(port = 1))", &[port(1)]);
    check("NOT (port != 1 OR port != 2)", &[port(1), port(2)]);
    check("NOT (port != 1 OR serial = x)", &[port(1)]);
}
