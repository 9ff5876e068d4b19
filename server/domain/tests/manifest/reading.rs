//! What a file says, whatever it is written in.

use crate::support::{Forward, options};
use muster_domain::{
    Code,
    manifest::{
        CELL_LIMIT, COLUMN_LIMIT, Encoding, Fault, Format, ROW_COUNT_LIMIT, ROW_LIMIT, ReadError,
        ReadOptions, Reader, Record,
    },
};
use std::io::{Cursor, Read, Seek, repeat};

/// Row number, cells, fault.
type Row = (u32, Vec<String>, Option<Fault>);

fn rows(reader: &mut Reader<impl Read + Seek>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        rows.push((
            record.row(),
            record.cells().map(str::to_owned).collect(),
            record.fault().cloned(),
        ));
    }
    rows
}

fn read(name: &str, bytes: &[u8]) -> (Vec<String>, Vec<Row>) {
    let mut reader = Reader::new(Cursor::new(bytes), &options(name)).unwrap();
    let columns = reader.columns().to_vec();
    let rows = rows(&mut reader);
    (columns, rows)
}

fn row(number: u32, cells: &[&str]) -> Row {
    (number, cells.iter().map(|&cell| cell.to_owned()).collect(), None)
}

fn refused(result: Result<impl Sized, ReadError>) -> Code {
    match result {
        Err(ReadError::Refused(refusal)) => refusal.code,
        Err(ReadError::Input(error)) => panic!("{error}"),
        Ok(_) => panic!("it was read"),
    }
}

#[test]
fn cells_are_read_as_spreadsheets_write_them() {
    let check =
        |text: &str, expected: &[Row]| assert_eq!(read("a.csv", text.as_bytes()).1, expected, "{text:?}");
    check("sn,x\na,b\n", &[row(2, &["a", "b"])]);
    check("sn,x\na,b", &[row(2, &["a", "b"])]);
    check(
        "sn,x\r\na,b\r\nc,d\r\n",
        &[row(2, &["a", "b"]), row(3, &["c", "d"])],
    );
    check("sn,x\ra,b\rc,d", &[row(2, &["a", "b"]), row(3, &["c", "d"])]);
    check("sn,x\n\"a\",\"b,c\"\n", &[row(2, &["a", "b,c"])]);
    check("sn,x\n\"say \"\"hi\"\"\",\"\"\n", &[row(2, &["say \"hi\"", ""])]);
    check(
        "sn,x\n\"two\nlines\",b\nc,d\n",
        &[row(2, &["two\nlines", "b"]), row(3, &["c", "d"])],
    );
    check("sn,x\na\"b,\"c\"d\n", &[row(2, &["a\"b", "cd"])]);
    check("sn,x\na\n,\nb,c,d\n", &[row(2, &["a"]), row(4, &["b", "c", "d"])]);
    check("sn,x\n\n\na,b\n  \n", &[row(4, &["a", "b"])]);
    check("\n\nsn,x\na,b\n", &[row(4, &["a", "b"])]);
    check("sep=|\nsn|x,y\na|b\n", &[row(3, &["a", "b"])]);
}

#[test]
fn the_delimiter_is_the_one_that_makes_sense_of_the_header() {
    let check = |name: &str, text: &str, expected: u8| {
        assert_eq!(
            Reader::new(Cursor::new(text.as_bytes()), &options(name))
                .unwrap()
                .delimiter(),
            Some(expected),
            "{text:?}"
        );
    };
    check("a.csv", "serial,mac\n", b',');
    check("a.csv", "serial;mac\n", b';');
    check("a.csv", "serial\tmac\n", b'\t');
    check("a.csv", "serial|mac\n", b'|');
    check("a.csv", "serial;notes, remarks, and, more\n", b';');
    check("a.csv", "\"a,b,c,d\";serial\n", b';');
    check("a.csv", "serial\n", b',');
    check("a.tsv", "serial\n", b'\t');
    check("a.csv", "foo,bar\n", b',');
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn every_encoding_says_the_same() {
    let text = "sn;place\nA1;Büro € “3”\n";
    let windows = b"sn;place\nA1;B\xFCro \x80 \x933\x94\n".to_vec();
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    let cases = [
        (text.as_bytes().to_vec(), Encoding::Utf8),
        (marked(b"\xEF\xBB\xBF", text.as_bytes()), Encoding::Utf8),
        (
            marked(b"\xFF\xFE", &utf16(text, u16::to_le_bytes)),
            Encoding::Utf16Le,
        ),
        (
            marked(b"\xFE\xFF", &utf16(text, u16::to_be_bytes)),
            Encoding::Utf16Be,
        ),
        (windows, Encoding::Windows1252),
    ];
    for (bytes, encoding) in cases {
        let mut reader = Reader::new(Cursor::new(bytes.as_slice()), &options("a.csv")).unwrap();
        assert_eq!(reader.encoding(), encoding);
        assert_eq!(reader.columns(), ["sn", "place"], "{encoding}");
        assert_eq!(rows(&mut reader), [row(2, &["A1", "Büro € “3”"])], "{encoding}");
    }
}

#[test]
fn what_cannot_be_decoded_refuses_its_row_only() {
    let fault = |column| {
        Some(Fault::Cell {
            column,
            why: "holds bytes that are no characters",
        })
    };
    // Half of a surrogate pair.
    let mut bytes = b"\xFF\xFE".to_vec();
    bytes.extend(utf16("sn,x\nA1,", u16::to_le_bytes));
    bytes.extend(0xD83D_u16.to_le_bytes());
    bytes.extend(utf16("\nA2,😀\n", u16::to_le_bytes));
    let (_, found) = read("a.csv", &bytes);
    assert_eq!(
        found,
        [
            (2, vec!["A1".to_owned(), "\u{FFFD}".to_owned()], fault(1)),
            row(3, &["A2", "😀"])
        ]
    );
    // The file ends within a unit.
    bytes.push(b'x');
    assert_eq!(
        read("a.csv", &bytes).1.last().unwrap(),
        &(4, vec!["\u{FFFD}".to_owned()], fault(0))
    );
    // The first block is UTF-8, a later one is not.
    let mut bytes = b"sn,x\n".to_vec();
    bytes.extend(b"A1,y\n".repeat(14_000));
    bytes.extend(b"A2,B\xFCro\nA3,z\n");
    let (_, found) = read("a.csv", &bytes);
    assert_eq!(
        found[14_000..],
        [
            (14_002, vec!["A2".to_owned(), "B\u{FFFD}ro".to_owned()], fault(1)),
            row(14_003, &["A3", "z"])
        ]
    );
}

#[test]
fn objects_are_flattened_in_their_own_order() {
    let text = "\n{\"serial\": \"A1\", \"port\": 7, \"ok\": true, \"none\": null, \"labels\": {\"env\": \"lab\"}}\r\n\n {\"x\": -1.5}";
    let mut reader = Reader::new(Cursor::new(text.as_bytes()), &options("a.ndjson")).unwrap();
    assert_eq!((reader.format(), reader.delimiter()), (Format::Ndjson, None));
    assert_eq!(reader.columns(), ["serial", "port", "ok", "none", "labels.env"]);
    let mut record = Record::default();
    assert!(reader.read(&mut record).unwrap());
    let fields: Vec<_> = record.fields().collect();
    assert_eq!(
        fields,
        [
            ("serial", "A1"),
            ("port", "7"),
            ("ok", "true"),
            ("none", ""),
            ("labels.env", "lab")
        ]
    );
    assert_eq!(record.source(), text.lines().nth(1));
    assert_eq!(rows(&mut reader), [row(4, &["-1.5"])]);
}

#[test]
fn lines_that_are_no_flat_objects_are_refused_one_by_one() {
    let cases = [
        ("[1]", "expected a JSON object"),
        ("{\"a\": [1]}", "\"a\" is a list"),
        ("{\"a\": 1, \"a\": 2}", "the key \"a\" stands twice"),
        ("{\"a\": {\"b\": 1}, \"a.b\": 2}", "the key \"a.b\" stands twice"),
        ("{\"a\": 1} x", "trailing characters"),
        ("{\"a\": 1", "EOF"),
        ("{\"a\": {\"b\": {\"c\": {\"d\": {}}}}}", "deeper than 4"),
        ("{\"a\": \"\\ud800\"}", "hex escape"),
    ];
    for (line, why) in cases {
        let text = format!("{{\"serial\": \"A0\"}}\n{line}\n{{\"serial\": \"A1\"}}\n");
        let found = read("a.jsonl", text.as_bytes()).1;
        let Some(Fault::Json(message)) = &found[1].2 else {
            panic!("{line} was read: {found:?}")
        };
        assert!(message.contains(why), "{line}: {message}");
        assert_eq!(found[2], row(3, &["A1"]), "{line}");
    }
    // A broken first line does not decide on the columns.
    assert_eq!(read("a.ndjson", b"{\"a\"}\n{\"serial\": \"A1\"}\n").1.len(), 2);
}

#[test]
fn what_is_no_manifest_is_refused_at_once() {
    let check = |name: &str, bytes: &[u8]| {
        assert_eq!(
            refused(Reader::new(Cursor::new(bytes), &options(name))),
            Code::ManifestUnreadable,
            "{name} {bytes:?}"
        );
    };
    check("a.csv", b"");
    check("a.csv", b"\xEF\xBB\xBF");
    check("a.csv", b" \n\r\n");
    check("a.csv", b"\n,,\n");
    check("a.xlsx", b"PK\x03\x04....");
    check("a.csv.gz", b"\x1F\x8B\x08");
    check("a.csv", b"serial\0,mac");
    check("a.csv", b"s\0e\0r\0");
    check("a.csv", b"\xFF\xFE\0\0s\0\0\0");
    check("a.xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1....");
    check("a.numbers", b"7z\xBC\xAF\x27\x1C");
    check("a.csv", b"%PDF-1.7");
    check("a.json", b"[{\"serial\": \"A1\"");
    check("a.json", b"{\"count\": 1,\n");
    check("a.xml", b"<a>");
    check("a.csv", b"<html>");
    check("a.ndjson", b"serial,mac\n");
    check("a.csv", b"\"serial,mac\nA1,");
    check("a.csv", &b"x".repeat(ROW_LIMIT + 1));
    // What the user says counts more than what it looks like.
    let forced = ReadOptions {
        file_name: "a.csv".into(),
        format: Some(Format::Csv),
        ..ReadOptions::default()
    };
    assert!(Reader::new(Cursor::new(b"{serial\nA1\n"), &forced).is_ok());
}

/// People put titles above their tables, also in CSV.
#[test]
fn the_header_is_found_under_a_title() {
    let check = |text: &str, header_row, expected: (u32, char, &str, usize)| {
        let options = ReadOptions {
            header_row,
            ..options("a.csv")
        };
        let mut reader = Reader::new(Cursor::new(text), &options).unwrap();
        let rows = rows(&mut reader);
        let delimiter = char::from(reader.delimiter().unwrap());
        assert_eq!(
            (
                reader.header_row(),
                delimiter,
                reader.columns()[0].as_str(),
                rows.len()
            ),
            expected,
            "{text}"
        );
    };
    check(
        "Delivery 7, November, draft\n\nSN;MAC;Model\nA1;;GW-200\n",
        None,
        (3, ';', "SN", 1),
    );
    check(
        "Model,GW-200\nLot,7\nname,model,site\nA1,GW-200,MUC-01\nA2,,\n",
        None,
        (3, ',', "name", 2),
    );
    check("a,b\nc,model\nd,e\n", None, (1, ',', "a", 2));
    check("serial,x\nA1,model\nmodel,site\n", None, (1, ',', "serial", 2));
    check("serial,x\na,b\nA1,y\n", Some(2), (2, ',', "a", 1));
    let low = format!("{}serial;mac\nA1;\n", "note\n".repeat(49));
    check(&low, None, (50, ';', "serial", 1));
    let lower = format!("{}serial;mac\nA1;\n", "note\n".repeat(50));
    check(&lower, None, (1, ',', "note", 51));
}

#[test]
fn limits_hold_at_their_boundary() {
    let header = |columns: usize| vec!["x"; columns].join(",");
    assert!(Reader::new(Cursor::new(header(COLUMN_LIMIT)), &options("a.csv")).is_ok());
    assert_eq!(
        refused(Reader::new(
            Cursor::new(header(COLUMN_LIMIT + 1)),
            &options("a.csv")
        )),
        Code::ManifestTooLarge
    );

    let fault = |cell: &str| read("a.csv", format!("sn,x\nA1,{cell}\nA2,ok\n").as_bytes()).1;
    assert_eq!(fault(&"x".repeat(CELL_LIMIT))[0].2, None);
    let long = fault(&"x".repeat(CELL_LIMIT + 1));
    assert_eq!(
        long[0].2,
        Some(Fault::Cell {
            column: 1,
            why: "is longer than 4096 bytes"
        })
    );
    assert_eq!(long[1], row(3, &["A2", "ok"]));
    let quoted = fault(&format!("\"{}\"", "x".repeat(CELL_LIMIT + 1)));
    assert_eq!(
        quoted[0].2,
        Some(Fault::Cell {
            column: 1,
            why: "is longer than 4096 bytes"
        })
    );
    for length in [ROW_LIMIT, 3 * ROW_LIMIT] {
        for cell in ["x".repeat(length), format!("\"{}", "x".repeat(length))] {
            let found = fault(&cell);
            assert!(
                matches!(found[0].2, Some(Fault::TooLong | Fault::OpenQuote)),
                "{:?}",
                found[0].2
            );
            assert_eq!(found[1], row(3, &["A2", "ok"]));
        }
    }
    let wide = read(
        "a.csv",
        format!("sn,x\n{}\nA2,ok\n", header(COLUMN_LIMIT + 1)).as_bytes(),
    )
    .1;
    assert_eq!(
        (wide[0].2.clone(), wide[0].1.len()),
        (Some(Fault::TooWide), COLUMN_LIMIT)
    );
    assert_eq!(wide[1], row(3, &["A2", "ok"]));

    let line = format!(
        "{{\"a\": \"x\"}}\n{{\"a\": \"{}\"}}\n{{\"a\": \"y\"}}",
        "x".repeat(3 * ROW_LIMIT)
    );
    let found = read("a.ndjson", line.as_bytes()).1;
    assert_eq!(found[1], (2, Vec::new(), Some(Fault::TooLong)));
    assert_eq!(found[2], row(3, &["y"]));
}

#[test]
fn an_unclosed_quote_costs_its_line_and_no_more() {
    // Behind it, near and far from the end of the file.
    for rows_behind in [3, 3_000] {
        let mut text = "sn,x\nA1,\"oops\n".to_owned();
        text.extend((0..rows_behind).map(|n| format!("B{n},some text that is there\n")));
        let found = read("a.csv", text.as_bytes()).1;
        assert_eq!(
            found[0],
            (2, Vec::new(), Some(Fault::OpenQuote)),
            "{rows_behind} rows behind"
        );
        assert_eq!(found[1], row(3, &["B0", "some text that is there"]));
        assert_eq!(found.len(), rows_behind + 1);
    }
}

#[test]
fn a_file_of_endless_rows_ends() {
    let mut reader = Reader::new(Forward((&b"sn,x\n"[..]).chain(repeat(b'\n'))), &options("a.csv")).unwrap();
    assert_eq!(
        refused(reader.read(&mut Record::default())),
        Code::ManifestTooLarge
    );
    assert!(reader.bytes() < u64::from(ROW_COUNT_LIMIT) + (1 << 17));
}
