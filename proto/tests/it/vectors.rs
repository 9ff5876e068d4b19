//! Every vector reads as the message it is, and the message is written as the vector.

use crate::{
    fixture::{golden, hex_lines, path, unhex},
    messages::{Message, Visit, visit},
};
use muster_proto::{payload, topic::Encoding};
use std::{collections::BTreeSet, fs};

/// A vector that changes is a client that breaks.
const BROKEN: &str = "is not the vector; a changed message needs another version or another topic";

#[derive(Default)]
struct Golden {
    files: BTreeSet<String>,
}

impl Visit for Golden {
    fn message<T: Message>(&mut self, name: &str, postcard: &T, json: &T) {
        let file = format!("{name}.hex");
        let written = payload::encode(postcard, Encoding::Postcard).unwrap();
        let stored = unhex(&golden(&file, &hex_lines(&written)));
        assert_eq!(
            payload::decode::<T>(&stored, Encoding::Postcard).as_ref(),
            Ok(postcard),
            "{file}"
        );
        assert_eq!(
            hex_lines(&written),
            hex_lines(&stored),
            "{name} in postcard {BROKEN}"
        );
        self.files.insert(file);

        let file = format!("{name}.json");
        let written = String::from_utf8(payload::encode(json, Encoding::Json).unwrap()).unwrap();
        let stored = golden(&file, &format!("{written}\n"));
        assert_eq!(
            payload::decode::<T>(stored.as_bytes(), Encoding::Json).as_ref(),
            Ok(json),
            "{file}"
        );
        assert_eq!(written, stored.trim_end(), "{name} in JSON {BROKEN}");
        self.files.insert(file);
    }
}

#[test]
fn vectors_read_and_are_written_to_the_byte() {
    let mut golden = Golden::default();
    visit(&mut golden);
    // What no test reads is no vector.
    let others = ["README.md", "descriptor.txt", "envelopes_refused.json", "pki"].map(String::from);
    golden.files.extend(others);
    let found: BTreeSet<_> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        found.is_subset(&golden.files),
        "{:?}",
        found.difference(&golden.files)
    );
}
