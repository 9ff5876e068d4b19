//! Fields that hold sets: names that records list, and names that stand for a rule.

use super::super::{
    CheckedFilter, Field, Filter, FilterError, Kind, MAX_COMPARISONS, Record, Schema, Set, Sets, Value,
    evaluate,
};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Serial,
    Group,
}

const RULES: Schema<Key> = Schema::new(&[Field::new(Key::Serial, "serial", Kind::Text)]);
const SCHEMA: Schema<Key> = Schema::new(&[
    Field::new(Key::Serial, "serial", Kind::Text),
    Field::new(Key::Group, "group", Kind::Set("a group")),
]);

/// A serial, and a group that it says it is in.
struct Thing(&'static str, &'static str);

impl Record for Thing {
    type Field = Key;

    fn value(&self, _: Key) -> Option<Value<'_>> {
        Some(Value::Text(self.0))
    }

    fn label(&self, _: Key, key: &str) -> Option<&str> {
        Some(self.1).filter(|group| *group == key)
    }
}

#[derive(Default)]
struct Known(BTreeMap<&'static str, Option<CheckedFilter<Key>>>);

impl Sets<Key> for Known {
    fn find(&self, _: Key, name: &str) -> Option<Set<'_, Key>> {
        let rule = self.0.get(name)?;
        Some(rule.as_ref().map_or(Set::Listed, Set::Ruled))
    }

    fn names(&self, _: Key) -> Vec<&str> {
        self.0.keys().copied().collect()
    }
}

fn known() -> Known {
    let rule = |text: &str| Some(Filter::parse(text).unwrap().check(&RULES).unwrap());
    let many = vec!["serial = x"; MAX_COMPARISONS].join(" OR ");
    Known(
        [
            ("canary", None),
            ("gateways", rule("serial = \"GW-*\" OR serial = \"RT-*\"")),
            ("others", rule("NOT serial = \"GW-*\"")),
            ("many", rule(&many)),
        ]
        .into(),
    )
}

fn checked(text: &str) -> Result<CheckedFilter<Key>, FilterError> {
    Filter::parse(text)?.check_with(&SCHEMA, &known())
}

#[test]
fn a_set_is_a_name_on_the_record_or_a_rule() {
    let check = |text: &str, expected: [bool; 3]| {
        let filter = checked(text).unwrap();
        let things = [Thing("GW-1", "canary"), Thing("GW-2", ""), Thing("X-1", "canary")];
        assert_eq!(things.map(|thing| evaluate(&filter, &thing)), expected, "{text}");
    };
    check("group = canary", [true, false, true]);
    check("group:canary", [true, false, true]);
    check("group != canary", [false, true, false]);
    check("group = gateways", [true, true, false]);
    check("group != gateways", [false, false, true]);
    check("group = others", [false, false, true]);
    check("NOT group = others", [true, true, false]);
    check("group = canary AND group = gateways", [true, false, false]);
    check(
        "serial = \"X-1\" OR group = gateways group = canary",
        [true, false, true],
    );
}

#[test]
fn what_is_no_set_is_refused_where_it_stands() {
    let check = |text: &str, offset: usize, expected: &str| {
        let error = checked(text).unwrap_err();
        assert_eq!(error.offset(), offset, "{text}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        "group = canari",
        8,
        "\"canari\" is not a group at byte 8; did you mean canary?",
    );
    check("group = xyzzy", 8, "\"xyzzy\" is not a group at byte 8");
    check("group = \"can*\"", 8, "a group is named in full");
    check("group:*", 6, "a group is named in full");
    check("group < canary", 6, "does not apply to a group");
    check("group.x = canary", 0, "no field");
    check(
        "group = many AND group = gateways",
        25,
        "those of its sets are counted, too",
    );
}

#[test]
fn an_index_can_walk_a_listed_set() {
    let filter = checked("group = canary AND group = gateways").unwrap();
    let found = filter.conjuncts();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].bound, super::super::Bound::Equal(Value::Text("canary")));
}

#[test]
fn a_filter_reads_back_whatever_its_sets_are() {
    let filter = Filter::parse("group=canary").unwrap();
    assert_eq!(filter.to_string(), "group = canary");
    // Where nobody knows the sets, every name will do.
    assert!(Filter::parse("group = xyzzy").unwrap().check(&SCHEMA).is_ok());
}
