//! The members of a JSON object as they are written: ours are added and taken away, the user's text stays.

use super::{
    OWN_PREFIX,
    ours::{Earlier, marks, prefix},
};
use serde::de::IgnoredAny;
use std::ops::Range;

/// The member that holds all of ours, where an entry is not the user's to name: a manifest of Microchip.
pub(super) const NEST: &str = "muster";

/// A member of an object.
struct Member {
    name: String,
    /// From its name to the end of its value.
    whole: Range<usize>,
    value: Range<usize>,
}

/// The place behind the JSON value at `place`.
fn end_of(source: &str, place: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(source.get(place..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(place + values.byte_offset())
}

fn skip_blanks(source: &str, place: usize) -> usize {
    let rest = source.get(place..).unwrap_or_default();
    source.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
}

/// The members of an object; `None` when the text is none.
fn members(source: &str) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut place = skip_blanks(source, source.strip_prefix('{').map(|_| 1)?);
    while source.get(place..)?.starts_with('"') {
        let name = end_of(source, place)?;
        let colon = skip_blanks(source, name);
        source.get(colon..)?.strip_prefix(':')?;
        let value = skip_blanks(source, colon + 1);
        let end = end_of(source, value)?;
        members.push(Member {
            name: serde_json::from_str(&source[place..name]).ok()?,
            whole: place..end,
            value: value..end,
        });
        let next = skip_blanks(source, end);
        if !source.get(next..)?.starts_with(',') {
            place = next;
            break;
        }
        place = skip_blanks(source, next + 1);
    }
    (source.get(place..)? == "}").then_some(members)
}

/// The object without the members that `is_ours` marks, by place.
fn without(source: &str, members: &[Member], is_ours: impl Fn(usize) -> bool) -> String {
    let mut text = String::with_capacity(source.len());
    let mut last: Option<usize> = None;
    for (place, member) in members.iter().enumerate().filter(|(place, _)| !is_ours(*place)) {
        match last {
            None if place == 0 => text.push_str(&source[..member.whole.start]),
            None => text.push('{'),
            Some(last) if last + 1 == place => {
                text.push_str(&source[members[last].whole.end..member.whole.start]);
            }
            Some(_) => text.push_str(", "),
        }
        text.push_str(&source[member.whole.clone()]);
        last = Some(place);
    }
    match last {
        None => text.push_str("{}"),
        Some(last) if last + 1 == members.len() => text.push_str(&source[members[last].whole.end..]),
        Some(_) => text.push('}'),
    }
    text
}

fn text_of(source: &str, member: &Member) -> Option<String> {
    serde_json::from_str(source.get(member.value.clone())?).ok()
}

/// What the members that are ours say, and which they are. Ours are texts: others are the user's.
fn ours(source: &str, members: &[Member], names: &[&str]) -> (Vec<bool>, Earlier) {
    let mut earlier = Earlier::default();
    let is_ours = marks(names).into_iter().zip(members).map(|(mark, member)| {
        let found = mark.zip(text_of(source, member));
        if let Some((mark, value)) = &found {
            earlier.keep(*mark, value);
        }
        found.is_some()
    });
    (is_ours.collect(), earlier)
}

/// What the member that holds all of ours says; `None` when it holds anything else.
fn nested(source: &str) -> Option<Earlier> {
    let members = members(source)?;
    let of_refused = members.iter().any(|member| member.name == "batch");
    let prefix = if of_refused { OWN_PREFIX } else { "" };
    let names: Vec<_> = members
        .iter()
        .map(|member| format!("{prefix}{}", member.name))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (is_ours, earlier) = ours(source, &members, &names);
    (!is_ours.is_empty() && !is_ours.contains(&false)).then_some(earlier)
}

/// The user's own object, and what an earlier import said of it. A text that is no object stays as it is.
pub(super) fn take_apart(source: &str) -> (String, Earlier) {
    let Some(members) = members(source) else {
        return (source.to_owned(), Earlier::default());
    };
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    let (mut is_ours, mut earlier) = ours(source, &members, &names);
    if let Some((place, found)) = members.iter().enumerate().find_map(|(place, member)| {
        let found = (member.name == NEST).then(|| nested(&source[member.value.clone()]));
        found.flatten().map(|found| (place, found))
    }) {
        is_ours[place] = true;
        earlier = found;
    }
    (without(source, &members, |place| is_ours[place]), earlier)
}

/// Writes names and texts as members.
fn write(text: &mut String, prefix: &str, added: &[(&str, String)], is_first: bool) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    for (place, (name, value)) in added.iter().enumerate() {
        if place > 0 || !is_first {
            text.push_str(", ");
        }
        let name = format!("{prefix}{name}");
        text.push_str(&format!("{}: {}", quoted(&name), quoted(value)));
    }
}

/// The object with members of ours at its end; a text that is no object stands as text in one.
pub(super) fn add(source: &str, added: &[(&str, String)]) -> String {
    let (mut text, is_bare, prefix) = open(source);
    write(&mut text, prefix, added, is_bare);
    text.push('}');
    text
}

/// The same with all of ours in one member.
pub(super) fn add_nested(source: &str, added: &[(&str, String)]) -> String {
    let (mut text, is_bare, _) = open(source);
    let separator = if is_bare { "" } else { ", " };
    text.push_str(&format!("{separator}\"{NEST}\": {{"));
    let added: Vec<_> = added
        .iter()
        .map(|(name, value)| (name.strip_prefix(OWN_PREFIX).unwrap_or(name), value.clone()))
        .collect();
    write(&mut text, "", &added, true);
    text.push_str("}}");
    text
}

/// The object without its closing brace, whether it is empty, and what our names begin with in it.
fn open(source: &str) -> (String, bool, &'static str) {
    match members(source) {
        Some(members) => {
            let own = source.strip_suffix('}').unwrap_or(source).trim_end();
            let names = members.iter().map(|member| member.name.as_str());
            (own.to_owned(), members.is_empty(), prefix(names))
        }
        None => (
            format!("{{\"line\": {}", serde_json::Value::from(source)),
            false,
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: [&str; 5] = ["status", "code", "message", "device", "activation_code"];

    fn answers() -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = OURS.iter().map(|name| (*name, String::new())).collect();
        all[4].1 = "SECRET".into();
        all
    }

    #[test]
    fn the_users_members_stay_as_they_were_written() {
        let ours = "\"status\":\"created\", \"code\":\"\",\"message\" : \"\", \"device\": \"id\", \"activation_code\": \"SECRET\"";
        let check = |source: &str, own: &str, code: &str| {
            let (found, earlier) = take_apart(&source.replace("OURS", ours));
            assert_eq!(
                (found.as_str(), earlier.activation_code.as_str()),
                (own, code),
                "{source}"
            );
        };
        check("{\"a\": 1, OURS}", "{\"a\": 1}", "SECRET");
        check("{OURS}", "{}", "SECRET");
        check(
            "{OURS, \"a\":1.50 , \"b\": [{ }] }",
            "{\"a\":1.50 , \"b\": [{ }] }",
            "SECRET",
        );
        check("{\"a\":1,OURS,\"b\":2}", "{\"a\":1, \"b\":2}", "SECRET");
        check("{ \"status\": 7 }", "{ \"status\": 7 }", "");
        check("{\"a\" oops", "{\"a\" oops", "");
        check("{\"a\": 1} x", "{\"a\": 1} x", "");
        check("[1]", "[1]", "");
        check("{\"a\":1,}", "{\"a\":1,}", "");
    }

    #[test]
    fn refused_rows_know_where_they_come_from() {
        let added = [
            ("muster_batch", "b1".to_owned()),
            ("muster_row", "7".to_owned()),
            ("muster_code", "M2111".to_owned()),
            ("muster_message", "mac".to_owned()),
        ];
        for text in [add("{\"a\": 1}", &added), add_nested("{\"a\": 1}", &added)] {
            let (own, earlier) = take_apart(&text);
            assert_eq!(own, "{\"a\": 1}", "{text}");
            assert_eq!((earlier.batch.as_str(), earlier.row.as_str()), ("b1", "7"));
        }
    }

    #[test]
    fn a_member_called_as_ours_is_the_users_when_it_holds_something_else() {
        let source = "{\"muster\": {\"status\": 1}, \"a\": 2}";
        assert_eq!(take_apart(source).0, source);
        let text = add_nested("{\"payload\": \"x\"}", &answers());
        let (own, earlier) = take_apart(&text);
        assert_eq!(
            (own.as_str(), earlier.activation_code.as_str()),
            ("{\"payload\": \"x\"}", "SECRET")
        );
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_away(object in proptest::collection::btree_map("[ -~]{0,6}", "\\PC{0,6}", 0..6)) {
            let source = serde_json::to_string(&object).unwrap();
            prop_assert_eq!(take_apart(&add(&source, &answers())).0, source.clone());
            prop_assert_eq!(take_apart(&add_nested(&source, &answers())).0, source);
        }

        #[test]
        fn no_text_breaks_it(source in "[{}\\[\\]:,\"a1 \\\\]{0,24}") {
            let _any = take_apart(&source);
            let with = add(&source, &answers());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&with).is_ok(), "{}", with);
        }
    }
}
