//! Looking into records and showing what is there.

use super::{Look, text};
use serde_json::Value;

/// The value at a dotted path. The last part may itself hold dots: label keys do.
pub(super) fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = record.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    at(record.get(first)?, rest)
}

/// As a program reads it from a CSV cell.
pub(super) fn data(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(other) => other.to_string(),
    }
}

/// As a person reads it in a table cell.
pub(super) fn human(value: Option<&Value>, look: Look) -> String {
    let shown = match value {
        Some(Value::Object(map)) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key}={}", human(Some(value), Look::Plain)))
                .collect();
            pairs.join(" ")
        }
        Some(Value::Array(list)) => {
            let items: Vec<_> = list.iter().map(|item| human(Some(item), look)).collect();
            items.join(", ")
        }
        Some(Value::String(text)) => match look {
            Look::Name => text
                .split_once('/')
                .map_or(text.as_str(), |(_, name)| name)
                .to_owned(),
            Look::Time => time(text),
            Look::Plain | Look::Number => text.clone(),
        },
        other => data(other),
    };
    text::line(&shown).into_owned()
}

/// `2026-08-21T09:30:00.125Z` -> `2026-08-21 09:30:00Z`.
fn time(text: &str) -> String {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    format!("{}Z", whole.trim_end_matches('Z').replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_reach_nested_values_and_dotted_keys() {
        let record = json!({"a": {"b": 1, "c.d": 2}, "e.f": 3});
        for (path, expected) in [
            ("a.b", Some(1)),
            ("a.c.d", Some(2)),
            ("e.f", Some(3)),
            ("a.x", None),
            ("x.y", None),
        ] {
            assert_eq!(at(&record, path).and_then(Value::as_i64), expected, "{path}");
        }
    }

    #[test]
    fn people_and_programs_see_the_same_value_differently() {
        let check = |value: Value, look: Look, for_people: &str, for_programs: &str| {
            assert_eq!(human(Some(&value), look), for_people);
            assert_eq!(data(Some(&value)), for_programs);
        };
        check(json!("models/GW-200"), Look::Name, "GW-200", "models/GW-200");
        check(
            json!("profiles/x/revisions/3"),
            Look::Name,
            "x/revisions/3",
            "profiles/x/revisions/3",
        );
        check(
            json!("2026-08-21T09:30:00.125Z"),
            Look::Time,
            "2026-08-21 09:30:00Z",
            "2026-08-21T09:30:00.125Z",
        );
        check(
            json!("2026-08-21T09:30:00Z"),
            Look::Time,
            "2026-08-21 09:30:00Z",
            "2026-08-21T09:30:00Z",
        );
        check(
            json!({"a": "1", "b": "2"}),
            Look::Plain,
            "a=1 b=2",
            r#"{"a":"1","b":"2"}"#,
        );
        check(json!(["x", "y"]), Look::Plain, "x, y", r#"["x","y"]"#);
        check(json!({}), Look::Plain, "", "");
        check(json!(null), Look::Plain, "", "");
        check(json!("a\u{7}"), Look::Plain, "a\\u{7}", "a\u{7}");
    }
}
