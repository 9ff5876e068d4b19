//! However the bytes come, and whatever they are.

use crate::support::{Forward, catalog, options};
use muster_domain::manifest::{
    Checker, Fault, Format, Intake, Mapping, ReadError, ReadOptions, Reader, Record,
};
use proptest::{collection::vec, prelude::*};
use std::{
    io::{self, Cursor, Read},
    sync::Arc,
};

/// Gives its bytes in pieces of these lengths, again and again; 0 is an interruption.
struct Pieces<'b> {
    bytes: &'b [u8],
    lengths: Vec<usize>,
    turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.lengths[self.turn % self.lengths.len()];
        self.turn += 1;
        if length == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.bytes
            .take(u64::try_from(length).unwrap())
            .read(buffer)
            .inspect(|read| self.bytes = &self.bytes[*read..])
    }
}

type Rows = Vec<(u32, Vec<(String, String)>, Option<Fault>)>;

/// Everything of a file, or the text of the refusal.
fn read(name: &str, input: impl Read) -> Result<(Vec<String>, Rows), String> {
    let mut reader = Reader::new(Forward(input), &options(name)).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    let mut record = Record::default();
    while reader.read(&mut record).map_err(|error| error.to_string())? {
        let fields = record
            .fields()
            .map(|(name, text)| (name.to_owned(), text.to_owned()));
        rows.push((record.row(), fields.collect(), record.fault().cloned()));
    }
    Ok((reader.columns().to_vec(), rows))
}

/// Reads and checks rows of text, which never break off; the outcome does not matter here.
fn swallow(name: &str, bytes: &[u8]) {
    let format = if name.ends_with(".csv") {
        Format::Csv
    } else {
        Format::Ndjson
    };
    let options = ReadOptions {
        format: Some(format),
        ..options(name)
    };
    let Ok(mut reader) = Reader::new(Cursor::new(bytes), &options) else {
        return;
    };
    let Ok(mapping) = Mapping::of(&reader, true) else {
        return;
    };
    let intake = Arc::new(Intake::new(Arc::new(catalog())));
    let mut checker = Checker::new(intake, mapping, Some("GW-200".parse().unwrap()), [1; 16]).unwrap();
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        if let Err(found) = checker.check(&record).outcome {
            assert!(!found.is_empty());
            let place = format!("rows[{}]", record.row());
            assert!(
                found
                    .iter()
                    .all(|problem| problem.refusal.field.starts_with(&place)),
                "{found:?}"
            );
        }
    }
}

fn joined(tokens: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    // One byte that is no UTF-8 among them.
    let token = prop_oneof![
        15 => prop::sample::select(tokens).prop_map(|token| token.as_bytes().to_vec()),
        1 => Just(vec![0xFC]),
    ];
    vec(token, 0..most).prop_map(|parts| parts.concat())
}

const CSV: &[&str] = &[
    "\"",
    "\"\"",
    ",",
    ";",
    "\n",
    "\r\n",
    "\r",
    "serial",
    "mac",
    "GW2-7000001",
    "00:1B:C5:00:00:01",
    " ",
    "=1",
    "x",
    "ü€😀",
    "2.4.0",
    "MUC-01",
];
const JSON: &[&str] = &[
    "{\"serial\": \"GW2-7000001\"}",
    "{",
    "}",
    "\"serial\"",
    ":",
    ",",
    "\"x\"",
    "1e5",
    "-7",
    "null",
    "\n",
    "{\"labels\": {",
    "\"\\u00fc\"",
    "[",
    "]",
    " ",
];

const XML: &[&str] = &[
    "<b>",
    "</b>",
    "<b x='1'/>",
    "<b><c>ü€😀</c></b>",
    "text",
    "&amp;",
    "&#228;",
    "<!-- -->",
    "<![CDATA[<]]>",
    "\r\n",
    " ",
];

/// Bytes that look like XML to various degrees.
fn xml() -> impl Strategy<Value = Vec<u8>> {
    joined(XML, 40)
}

/// Bytes that look like CSV to various degrees.
fn csv() -> impl Strategy<Value = Vec<u8>> {
    joined(CSV, 80)
}

/// Bytes that look like NDJSON to various degrees.
fn json() -> impl Strategy<Value = Vec<u8>> {
    joined(JSON, 60)
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..2000)) {
        swallow("a.csv", &bytes);
        swallow("a.ndjson", &[b"{", bytes.as_slice()].concat());
    }

    #[test]
    fn no_csv_panics(tail in csv()) {
        swallow("a.csv", &tail);
        swallow("a.csv", &[b"serial,mac,x\n", tail.as_slice()].concat());
    }

    #[test]
    fn no_json_panics(tail in json()) {
        swallow("a.ndjson", &[b"{\"serial\": \"A\"}\n", tail.as_slice()].concat());
    }

    #[test]
    fn how_the_bytes_arrive_changes_nothing(
        bytes in prop_oneof![
            csv(),
            json().prop_map(|tail| [b"{}\n", tail.as_slice()].concat()),
            json().prop_map(|tail| [b"[", tail.as_slice(), b"]"].concat()),
            xml().prop_map(|tail| [b"<a>", tail.as_slice(), b"</a>"].concat()),
        ],
        lengths in vec(0usize..9, 1..20),
    ) {
        prop_assume!(lengths.iter().any(|&length| length > 0));
        let pieces = Pieces { bytes: &bytes, lengths, turn: 0 };
        prop_assert_eq!(read("a", pieces), read("a", bytes.as_slice()));
    }

    /// Blocks of 64 KiB end at any place within the rows, and nothing is lost or doubled there.
    #[test]
    fn where_a_block_ends_changes_nothing(tail in csv(), before in 0usize..200, lengths in vec(1usize..70_000, 1..4)) {
        let tail = String::from_utf8_lossy(&tail).into_owned();
        let header = "serial,x\n";
        let filler = "f,\n";
        // Rows before the block's end, then one that makes the offset exact.
        let room = (64 << 10) - header.len() - before;
        let mut front = filler.repeat(room / filler.len() - 1);
        let missing = room - front.len() - filler.len();
        front.push_str(&format!("f{},\n", "g".repeat(missing)));
        let count = front.lines().count();
        let long = [header, &front, &tail].concat();
        let short = [header, &tail].concat();
        let pieces = Pieces { bytes: long.as_bytes(), lengths, turn: 0 };
        let (Ok((_, found)), Ok((_, wanted))) = (read("a.csv", pieces), read("a.csv", short.as_bytes())) else { panic!() };
        let found: Rows = found.into_iter().skip(count).map(|(row, cells, fault)| (row - u32::try_from(count).unwrap(), cells, fault)).collect();
        prop_assert_eq!(found, wanted);
    }
}

/// A cause of its own, as a caller's stream has.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the upload was cut")
    }
}

impl std::error::Error for Cut {}

#[derive(Debug)]
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(Cut))
    }
}

#[test]
fn a_stream_that_fails_says_why_and_is_no_refusal() {
    let cause = |error: ReadError| match error {
        ReadError::Input(error) => error.into_inner().unwrap().downcast::<Cut>().is_ok(),
        ReadError::Refused(refusal) => panic!("{refusal}"),
    };
    assert!(cause(
        Reader::new(Forward(Failing), &options("a.csv")).unwrap_err()
    ));
    let mut front = b"sn,x\n".to_vec();
    front.extend(b"A,B\n".repeat(20_000));
    let mut reader = Reader::new(Forward(front.as_slice().chain(Failing)), &options("a.csv")).unwrap();
    let mut record = Record::default();
    let mut rows = 0;
    let error = loop {
        match reader.read(&mut record) {
            Ok(true) => rows += 1,
            Ok(false) => panic!("the file ended early"),
            Err(error) => break error,
        }
    };
    assert!(cause(error) && rows > 10_000, "{rows}");
}
