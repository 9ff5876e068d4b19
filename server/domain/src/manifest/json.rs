//! One line of NDJSON: a JSON object, flattened into cells in its own order.
//!
//! Keys of nested objects follow behind a dot: `{"labels": {"env": "lab"}}` has the cell `labels.env`. Numbers
//! are kept as cells and marked, `null` is an empty cell, lists are refused, and so is a key that stands twice.

use super::{
    CELL_LIMIT,
    record::{CellKind, Draft, Fault},
};
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::io::Write as _;

/// How deep objects may nest.
const DEPTH_LIMIT: usize = 4;
/// Longest explanation of what is wrong with a line: it can quote the line.
const WHY_LIMIT: usize = 200;

/// Reads `line` into `draft`.
pub(super) fn object(line: &[u8], draft: &mut Draft) {
    draft.clear();
    let mut parser = serde_json::Deserializer::from_slice(line);
    let read = Object {
        draft,
        prefix: &mut Vec::new(),
        depth: 0,
    }
    .deserialize(&mut parser);
    if let Err(error) = read.and_then(|()| parser.end()) {
        draft.clear();
        let why: String = error.to_string().chars().take(WHY_LIMIT).collect();
        draft.fault = Some(Fault::Json(why));
    }
}

/// An object whose keys follow behind `prefix`.
struct Object<'d> {
    draft: &'d mut Draft,
    prefix: &'d mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let kept = self.prefix.len();
        while map.next_key_seed(Key(self.prefix))?.is_some() {
            map.next_value_seed(Member {
                draft: self.draft,
                name: self.prefix,
                depth: self.depth,
            })?;
            self.prefix.truncate(kept);
        }
        Ok(())
    }
}

/// A key, added to the name of the object it is in.
struct Key<'n>(&'n mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push(b'.');
        }
        self.0.extend_from_slice(key.as_bytes());
        if self.0.len() > CELL_LIMIT {
            return Err(E::custom("a key is longer than 4096 bytes"));
        }
        Ok(())
    }
}

/// A value under a key.
struct Member<'d> {
    draft: &'d mut Draft,
    name: &'d mut Vec<u8>,
    depth: usize,
}

impl Member<'_> {
    fn cell<E: Error>(self, value: fmt::Arguments<'_>, kind: CellKind) -> Result<(), E> {
        if self.draft.names().any(|known| known == self.name.as_slice()) {
            return Err(E::custom(format_args!(
                "the key {:?} stands twice",
                String::from_utf8_lossy(self.name)
            )));
        }
        let name = self.draft.bytes.len();
        self.draft.bytes.extend_from_slice(self.name);
        let start = self.draft.bytes.len();
        match value.as_str() {
            Some(text) => self.draft.bytes.extend_from_slice(text.as_bytes()),
            None => self.draft.bytes.write_fmt(value).map_err(E::custom)?,
        }
        self.draft.end_cell(name, start, kind);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, null or an object")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.cell(format_args!("{text}"), CellKind::Text)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.cell(format_args!("{number}"), CellKind::Number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.cell(format_args!("{number}"), CellKind::Number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.cell(format_args!("{number}"), CellKind::Number)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.cell(format_args!("{truth}"), CellKind::Boolean)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.cell(format_args!(""), CellKind::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(format_args!(
            "{:?} is a list",
            String::from_utf8_lossy(self.name)
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.depth + 1 == DEPTH_LIMIT {
            return Err(A::Error::custom(format_args!(
                "objects nest deeper than {DEPTH_LIMIT}"
            )));
        }
        Object {
            draft: self.draft,
            prefix: self.name,
            depth: self.depth + 1,
        }
        .visit_map(map)
    }
}
