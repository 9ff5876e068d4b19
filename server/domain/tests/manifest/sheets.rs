//! Spreadsheets: the same sheet in three formats, and what each has of its own.

use crate::support::{catalog, check_sheet, options};
use muster_domain::{
    Code,
    manifest::{CellKind, Format, ReadError, ReadOptions, Reader, Record},
};
use std::io::Cursor;

pub(crate) const CAMERAS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/cameras.xlsx");
pub(crate) const XLSX: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/kinds.xlsx");
pub(crate) const XLS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/kinds.xls");
pub(crate) const ODS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/kinds.ods");

/// A row with its cells: texts, and letters for what they were.
type Row = (u32, Vec<String>, String);

const fn letter(kind: CellKind) -> char {
    match kind {
        CellKind::Text => 't',
        CellKind::Number => 'n',
        CellKind::Date => 'd',
        CellKind::Boolean => 'b',
        CellKind::Error => 'e',
        CellKind::Formula => 'f',
    }
}

pub(crate) fn rows<R: std::io::Read + std::io::Seek>(reader: &mut Reader<R>) -> Result<Vec<Row>, ReadError> {
    let mut rows = Vec::new();
    let mut record = Record::default();
    while reader.read(&mut record)? {
        let cells = record.cells().map(str::to_owned).collect();
        let kinds = (0..record.len())
            .map(|place| letter(record.kind(place)))
            .collect();
        rows.push((record.row(), cells, kinds));
    }
    Ok(rows)
}

fn row(number: u32, cells: &[&str], kinds: &str) -> Row {
    let cells = cells.iter().map(|&cell| cell.to_owned()).collect();
    (number, cells, kinds.to_owned())
}

/// `EXPECTED.json`: three serials have become numbers, in rows 53 to 55, and nothing else is wrong.
#[test]
fn the_cameras_of_a_factory_are_read_under_their_title() {
    let reader = Reader::new(Cursor::new(CAMERAS), &options("cameras.xlsx")).unwrap();
    let place = (reader.format(), reader.sheet(), reader.header_row());
    assert_eq!(place, (Format::Xlsx, Some("Cameras"), 3));
    assert_eq!(
        reader.columns(),
        ["S/N", "Ethernet MAC", "Type", "Location code", "Notes"]
    );
    assert_eq!(reader.bytes(), u64::try_from(CAMERAS.len()).unwrap());
    let checked = check_sheet(catalog(), "cameras.xlsx", Cursor::new(CAMERAS), None);
    assert_eq!(checked.rows.len() + 3, 400);
    assert_eq!(
        checked.faults(),
        [53, 54, 55].map(|row| (row, "serial", Code::SerialDamaged))
    );
}

/// The sheet of the fixtures, which has a title, gaps, and a cell of every kind; in front of it are a cover without a
/// header and a hidden sheet with one.
#[test]
fn every_format_says_the_same_of_the_same_sheet() {
    let check = |bytes: &[u8], format: Format, formula: &str, kinds: &str, error: &str| {
        let mut reader = Reader::new(Cursor::new(bytes), &options("kinds")).unwrap();
        let place = (reader.format(), reader.sheet(), reader.header_row());
        assert_eq!(place, (format, Some("Devices"), 4));
        assert_eq!(reader.columns(), ["Serial No.", "MAC", "Notes", "Made"]);
        let expected = [
            row(5, &["007000000001", "70B3D500021C", "plain"], "ttt"),
            row(
                6,
                &["7000000050", "70B3D500021D", "1200000000000", "2026-11-23"],
                "ntnd",
            ),
            row(7, &["A2", "", "true", "2026-11-23T12:30:00"], "ttbd"),
            row(9, &["A9", "", formula, "09:05:00"], kinds),
            row(10, &["A10", "", "#N/A"], error),
            row(11, &["A11", "", "b & c"], "ttt"),
            row(12, &["A12", "", "42"], "ttn"),
            row(13, &["Ä13", "", "0.1"], "ttn"),
        ];
        assert_eq!(rows(&mut reader).unwrap(), expected, "{format:?}");
    };
    // The writers of the first two calculate nothing: one says so, the other that the formula came to an empty text.
    check(XLSX, Format::Xlsx, "=1+1", "ttfd", "tte");
    check(XLS, Format::Xls, "", "tttd", "tte");
    check(ODS, Format::Ods, "2", "ttfd", "ttf");
}

#[test]
fn the_user_can_name_sheet_and_header() {
    let open = |bytes, sheet: Option<&str>, header_row| {
        let options = ReadOptions {
            sheet: sheet.map(str::to_owned),
            header_row,
            ..options("kinds")
        };
        let reader = Reader::new(Cursor::new(bytes), &options);
        reader
            .map(|reader| {
                let sheet = reader.sheet().unwrap_or_default().to_owned();
                (sheet, reader.header_row(), reader.columns()[0].clone())
            })
            .map_err(|error| match error {
                ReadError::Refused(refusal) => refusal.code,
                ReadError::Input(error) => panic!("{error}"),
            })
    };
    let found = |sheet: &str, row, column: &str| Ok((sheet.to_owned(), row, column.to_owned()));
    for bytes in [XLSX, XLS, ODS] {
        assert_eq!(open(bytes, Some("Old"), None), found("Old", 1, "Serial"));
        assert_eq!(
            open(bytes, Some(" devices "), None),
            found("Devices", 4, "Serial No.")
        );
        assert_eq!(
            open(bytes, Some("Cover"), None),
            found("Cover", 1, "Delivery of November")
        );
        assert_eq!(
            open(bytes, Some("Devices"), Some(6)),
            found("Devices", 6, "7000000050")
        );
        assert_eq!(open(bytes, None, Some(4)), found("Devices", 4, "Serial No."));
        assert_eq!(
            open(bytes, None, Some(2)),
            found("Cover", 2, "see the next sheet")
        );
        assert_eq!(open(bytes, Some("None"), None), Err(Code::SheetUnknown));
        assert_eq!(
            open(bytes, Some("Devices"), Some(8)),
            Err(Code::ManifestUnreadable)
        );
        assert_eq!(
            open(bytes, Some("Devices"), Some(99)),
            Err(Code::ManifestUnreadable)
        );
    }
}
