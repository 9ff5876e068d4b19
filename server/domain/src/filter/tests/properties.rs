//! What holds for every filter.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use semver::Version;

use super::{Device, SCHEMA, matches};
use crate::Timestamp;
use crate::filter::expression::{Comparator, Comparison, Expression, Path};
use crate::filter::pattern::Pattern;
use crate::filter::span::{Span, Spanned};
use crate::filter::{Bound, Filter, MAX_DEPTH, MAX_LENGTH, Value, evaluate};

/// A comparison as written, and the same question asked of the device directly.
type Leaf = (&'static str, fn(&Device) -> bool);

/// Every type, operator and kind of pattern, with and without the value missing.
const LEAVES: &[Leaf] = &[
    ("serial = GW-1", |d| d.serial.as_deref() == Some("GW-1")),
    ("serial != 'GW-1'", |d| d.serial.as_deref() != Some("GW-1")),
    ("serial = GW*", |d| serial(d, |s| s.starts_with("GW"))),
    ("serial = '*-1'", |d| serial(d, |s| s.ends_with("-1"))),
    ("serial:*W*", |d| serial(d, |s| s.contains('W'))),
    ("serial < GW-2", |d| serial(d, |s| s < "GW-2")),
    ("serial >= GW-1", |d| serial(d, |s| s >= "GW-1")),
    ("serial:*", |d| d.serial.is_some()),
    ("state = ACTIVE", |d| d.state == Some("ACTIVE")),
    ("state != ACTIVE", |d| d.state != Some("ACTIVE")),
    ("state:CLAIMED", |d| d.state == Some("CLAIMED")),
    ("enabled = true", |d| d.enabled == Some(true)),
    ("enabled != true", |d| d.enabled != Some(true)),
    ("port = 1", |d| d.port == Some(1)),
    ("port = -1", |d| d.port == Some(-1)),
    ("port != 1", |d| d.port != Some(1)),
    ("port < 1", |d| d.port.is_some_and(|p| p < 1)),
    ("port <= 1", |d| d.port.is_some_and(|p| p <= 1)),
    ("port > 0", |d| d.port.is_some_and(|p| p > 0)),
    ("port >= 2", |d| d.port.is_some_and(|p| p >= 2)),
    ("seen = 1970-01-01T00:00:01Z", |d| {
        d.seen == Some(Timestamp::from_seconds(1))
    }),
    ("seen > 1970-01-01T01:00:00.500+01:00", |d| {
        d.seen.is_some_and(|s| s.millis() > 500)
    }),
    ("firmware = 1.0.0", |d| {
        firmware(d, |v| (v.minor, v.pre.is_empty()) == (0, true))
    }),
    ("firmware < 1.0.0", |d| {
        firmware(d, |v| !v.pre.is_empty() && v.minor == 0)
    }),
    ("firmware >= 1.1.0-rc", |d| firmware(d, |v| v.minor == 1)),
    ("labels:env", |d| d.labels.contains_key("env")),
    ("labels.env = prod", |d| {
        d.labels.get("env").is_some_and(|v| v == "prod")
    }),
    ("labels.env != prod", |d| {
        d.labels.get("env").is_none_or(|v| v != "prod")
    }),
    (r#"labels."a.b" = p*"#, |d| {
        d.labels.get("a.b").is_some_and(|v| v.starts_with('p'))
    }),
];

fn serial(device: &Device, holds: fn(&str) -> bool) -> bool {
    device.serial.as_deref().is_some_and(holds)
}

fn firmware(device: &Device, holds: fn(&Version) -> bool) -> bool {
    device.firmware.as_ref().is_some_and(holds)
}

/// A filter that knows what it means, and how it was decided to write it.
#[derive(Debug, Clone)]
enum Model {
    Leaf(usize),
    All(Vec<Self>, bool),
    Any(Vec<Self>),
    Not(Box<Self>, bool),
    Enclosed(Box<Self>),
}

impl Model {
    fn holds(&self, device: &Device) -> bool {
        match self {
            Self::Leaf(index) => LEAVES[*index].1(device),
            Self::All(parts, _) => parts.iter().all(|part| part.holds(device)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(device)),
            Self::Not(inner, _) => !inner.holds(device),
            Self::Enclosed(inner) => inner.holds(device),
        }
    }

    /// With no more parentheses than the grammar needs, but for those that are `Enclosed`.
    fn write(&self) -> String {
        let join = |parts: &[Self], above, separator| {
            let parts: Vec<_> = parts.iter().map(|part| part.write_in(above)).collect();
            parts.join(separator)
        };
        match self {
            Self::Leaf(index) => LEAVES[*index].0.to_owned(),
            Self::All(parts, true) => join(parts, 1, " AND "),
            Self::All(parts, false) => join(parts, 1, " "),
            Self::Any(parts) => join(parts, 2, " OR "),
            Self::Not(inner, true) => format!("NOT {}", inner.write_in(3)),
            Self::Not(inner, false) => format!("-{}", inner.write_in(3)),
            Self::Enclosed(inner) => format!("({})", inner.write()),
        }
    }

    /// In a place that takes only what binds at least so tightly.
    fn write_in(&self, tightness: u8) -> String {
        let own = match self {
            Self::All(..) => 0,
            Self::Any(_) => 1,
            Self::Not(..) => 2,
            Self::Leaf(_) | Self::Enclosed(_) => 3,
        };
        if own >= tightness {
            self.write()
        } else {
            format!("({})", self.write())
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = (0..LEAVES.len()).prop_map(Model::Leaf);
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (vec(inner.clone(), 1..4), any::<bool>()).prop_map(|(parts, and)| Model::All(parts, and)),
            vec(inner.clone(), 1..4).prop_map(Model::Any),
            (inner.clone(), any::<bool>()).prop_map(|(part, not)| Model::Not(part.into(), not)),
            inner.prop_map(|part| Model::Enclosed(part.into())),
        ]
    })
}

fn device() -> impl Strategy<Value = Device> {
    let text = |values: &'static [&'static str]| proptest::option::of(select(values).prop_map(str::to_owned));
    let label = || text(&["prod", "test", "p", ""]);
    (
        text(&["GW-1", "GW-2", "GW", "TS-1", ""]),
        proptest::option::of(select(&["REGISTERED", "CLAIMED", "ACTIVE"][..])),
        any::<Option<bool>>(),
        proptest::option::of(-1..3_i64),
        proptest::option::of(select(&[0, 500, 501, 1000][..]).prop_map(Timestamp::from_millis)),
        text(&["1.0.0", "1.0.0-rc", "1.0.0+7", "1.1.0", "1.1.0-rc.1"]),
        label(),
        label(),
    )
        .prop_map(|(serial, state, enabled, port, seen, firmware, env, dotted)| {
            let labels = [("env", env), ("a.b", dotted)];
            Device {
                serial,
                state,
                enabled,
                port,
                seen,
                firmware: firmware.map(|version| Version::parse(&version).unwrap()),
                labels: labels
                    .into_iter()
                    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                    .collect::<BTreeMap<_, _>>(),
                expires: None,
            }
        })
}

fn read<T: Clone>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::new(0, 0))
}

/// Printable text, and every character that has a meaning here.
fn words() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        select(
            &[
                'a', 'Z', '0', '-', '_', '/', '.', ':', '+', '*', '"', '\'', '\\', ' ', '(', '“'
            ][..]
        ),
        any::<char>().prop_filter("control", |c| !c.is_control()),
    ];
    prop_oneof![
        3 => vec(characters, 0..6).prop_map(String::from_iter),
        1 => select(&["AND", "OR", "NOT", "-1", "1.2.3"][..]).prop_map(str::to_owned),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let some = || words().prop_filter("empty", |text| !text.is_empty());
    prop_oneof![
        words().prop_map(Pattern::Exact),
        some().prop_map(Pattern::Prefix),
        some().prop_map(Pattern::Suffix),
        some().prop_map(Pattern::Infix),
        Just(Pattern::Any),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let comparison = (
        words(),
        vec(words(), 0..3),
        select(&Comparator::ALL[..]),
        pattern(),
    )
        .prop_map(|(first, rest, comparator, argument)| {
            Expression::Compare(Comparison {
                path: Path {
                    first: read(first),
                    rest: rest.into_iter().map(read).collect(),
                },
                comparator: read(comparator),
                argument: read(argument),
            })
        });
    comparison.prop_recursive(6, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Expression::all),
            vec(inner.clone(), 1..4).prop_map(Expression::any),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

/// Text that looks like a filter from afar.
fn soup() -> impl Strategy<Value = String> {
    let pieces = select(
        &[
            "a", "serial", "labels", "state", "ACTIVE", "1.2.3", "=", "!=", "<", "<=", ">", ">=", ":", ".",
            "AND", "OR", "NOT", "-", "(", ")", "\"x y\"", "'x'", "*", "\\", "\"", "'", " ", " ", " ", "ö",
            "“", "\n", "\u{0}", "!", "&&", "and",
        ][..],
    );
    vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

/// Nothing panics, and what is refused says where.
fn survives(source: &str) -> Result<(), TestCaseError> {
    let error = match Filter::parse(source) {
        Ok(filter) => {
            let canonical = filter.to_string();
            prop_assert_eq!(Filter::parse(&canonical), Ok(filter.clone()), "{}", canonical);
            match filter.check(&SCHEMA) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    let marked = source.get(error.offset()..error.offset() + error.length());
    prop_assert!(marked.is_some(), "{:?}", error);
    let caret = error.caret(source);
    prop_assert_eq!(caret.lines().count(), if source.is_empty() { 0 } else { 2 });
    prop_assert!(!caret.chars().any(|c| c.is_control() && c != '\n'));
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(source in any::<String>()) {
        survives(&source)?;
    }

    #[test]
    fn anything_like_a_filter_is_read_or_refused(source in soup()) {
        survives(&source)?;
    }

    #[test]
    fn the_canonical_form_means_the_same(expression in expression()) {
        let filter = Filter { root: Some(expression) };
        let canonical = filter.to_string();
        let depth = filter.root.as_ref().map_or(0, Expression::depth);
        prop_assume!(depth <= MAX_DEPTH && canonical.len() <= MAX_LENGTH);
        prop_assert_eq!(Filter::parse(&canonical), Ok(filter), "{}", canonical);
    }

    #[test]
    fn filters_mean_what_the_model_means(
        model in model(),
        devices in vec(device(), 1..16),
    ) {
        let source = model.write();
        for device in &devices {
            prop_assert_eq!(matches(&source, device), model.holds(device), "{}", source);
        }
    }

    #[test]
    fn de_morgan(a in model(), b in model(), devices in vec(device(), 1..16)) {
        let (a, b) = (a.write(), b.write());
        let neither = format!("NOT (({a}) OR ({b}))");
        let both_not = format!("NOT ({a}) AND NOT ({b})");
        let not_both = format!("NOT (({a}) AND ({b}))");
        let one_not = format!("NOT ({a}) OR NOT ({b})");
        for device in &devices {
            prop_assert_eq!(matches(&neither, device), matches(&both_not, device));
            prop_assert_eq!(matches(&not_both, device), matches(&one_not, device));
        }
    }

    #[test]
    fn every_match_satisfies_every_conjunct(
        model in model(),
        devices in vec(device(), 1..32),
    ) {
        let filter = Filter::parse(&model.write()).unwrap().check(&SCHEMA).unwrap();
        for device in devices.iter().filter(|device| evaluate(&filter, *device)) {
            for conjunct in filter.conjuncts() {
                let value = conjunct.target.value(device);
                let holds = match conjunct.bound {
                    Bound::Equal(bound) => value == Some(bound),
                    Bound::Prefix(prefix) => {
                        matches!(value, Some(Value::Text(text)) if text.starts_with(prefix))
                    }
                    Bound::Since(from) => matches!(value, Some(Value::Timestamp(at)) if at >= from),
                    Bound::Until(until) => matches!(value, Some(Value::Timestamp(at)) if at <= until),
                };
                prop_assert!(holds, "{:?} has {:?}", conjunct, value);
            }
        }
    }
}
