//! Every example of README is what it says. A block of `json` or `hex` stands under a label:
//!
//! - `<!-- vector: NAME of TYPE -->`: exactly that vector;
//! - `<!-- grpc: MESSAGE -->`: a message of gRPC in the JSON form of protobuf.

use crate::{
    fixture::unhex,
    messages::{Message, Visit, visit},
};
use muster_proto::{payload, topic::Encoding};
use std::{any::type_name, collections::BTreeSet, fs};

#[derive(Debug)]
struct Block {
    line: usize,
    encoding: Encoding,
    label: Label,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Label {
    Vector { name: String, of: String },
    Grpc(String),
}

fn label(line: &str) -> Option<Label> {
    let inside = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    if let Some(message) = inside.strip_prefix("grpc: ") {
        return Some(Label::Grpc(message.into()));
    }
    let (name, of) = inside.strip_prefix("vector: ")?.split_once(" of ")?;
    Some(Label::Vector {
        name: name.into(),
        of: of.into(),
    })
}

fn blocks() -> Vec<Block> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let encoding = match *line {
            "```json" => Encoding::Json,
            "```hex" => Encoding::Postcard,
            _ => continue,
        };
        let above = at.checked_sub(1).map_or("", |above| lines[above]);
        let label = label(above).unwrap_or_else(|| panic!("line {}: a block without label", at + 1));
        let inside: Vec<_> = lines[at + 1..]
            .iter()
            .take_while(|line| **line != "```")
            .collect();
        // In hex, what follows `;` is a comment.
        let bare = |line: &&&str| match encoding {
            Encoding::Postcard => line.split(';').next().unwrap_or_default().to_owned(),
            Encoding::Json => (**line).to_owned(),
        };
        let text = inside.iter().map(bare).collect::<Vec<_>>().join("\n");
        blocks.push(Block {
            line: at + 1,
            encoding,
            label,
            text,
        });
    }
    blocks
}

/// Holds the blocks to the vectors; what is left over names a vector that is not there.
struct Check {
    blocks: Vec<Block>,
    shown: BTreeSet<(String, bool)>,
}

impl Visit for Check {
    fn message<T: Message>(&mut self, name: &str, postcard: &T, json: &T) {
        let of = type_name::<T>().rsplit("::").next().unwrap();
        let shown = &mut self.shown;
        self.blocks.retain(|block| {
            let label = Label::Vector {
                name: name.into(),
                of: of.into(),
            };
            if block.label != label {
                return true;
            }
            let line = block.line;
            shown.insert((name.to_owned(), block.encoding == Encoding::Json));
            match block.encoding {
                Encoding::Json => {
                    let read = payload::decode::<T>(block.text.as_bytes(), Encoding::Json);
                    assert_eq!(read.as_ref(), Ok(json), "line {line}");
                }
                Encoding::Postcard => {
                    let written = payload::encode(postcard, Encoding::Postcard).unwrap();
                    assert_eq!(unhex(&block.text), written, "line {line}");
                    assert_eq!(
                        payload::decode::<T>(&written, Encoding::Postcard).as_ref(),
                        Ok(postcard),
                        "line {line}"
                    );
                }
            }
            false
        });
    }
}

#[test]
fn every_example_is_what_it_says() {
    let blocks = blocks();
    let (vectors, grpc): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| matches!(block.label, Label::Vector { .. }));
    let mut check = Check {
        blocks: vectors,
        shown: BTreeSet::new(),
    };
    visit(&mut check);
    assert!(check.blocks.is_empty(), "no such vector: {:?}", check.blocks);
    // Every message is shown in both encodings.
    for name in [
        "claim",
        "claim_accepted",
        "claim_refused",
        "hello",
        "report",
        "report_troubled",
        "presence_online",
        "presence_offline",
        "desired",
        "desired_bare",
        "envelope_bare",
        "sealed",
    ] {
        for json in [false, true] {
            assert!(
                check.shown.contains(&(name.to_owned(), json)),
                "{name}, JSON: {json}"
            );
        }
    }
    assert!(!grpc.is_empty());
    for block in grpc {
        let value = serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{block:?}: {error}"));
        let Label::Grpc(message) = &block.label else {
            continue;
        };
        grpc_message(message, &value);
    }
}

#[cfg(feature = "grpc")]
fn grpc_message(message: &str, value: &serde_json::Value) {
    crate::descriptor::check_json(message, value);
}

/// Without the feature there are no descriptors to hold it to.
#[cfg(not(feature = "grpc"))]
fn grpc_message(_: &str, _: &serde_json::Value) {}
