//! Spreadsheets.

use crate::support::{catalog, check_sheet, options};
use muster_domain::{
    Code,
    manifest::{CellKind, Format, ReadOptions, Reader, Record},
};
use std::io::Cursor;

pub(crate) const CAMERAS: &[u8] = include_bytes!("../../../../tests/fixtures/manifests/cameras.xlsx");

/// `EXPECTED.json`: three serials have become numbers, in rows 53 to 55, and nothing else is wrong.
#[test]
fn the_cameras_of_a_factory_are_read_under_their_title() {
    let reader = Reader::new(Cursor::new(CAMERAS), &options("cameras.xlsx")).unwrap();
    assert_eq!(
        (reader.format(), reader.sheet(), reader.header_row()),
        (Format::Xlsx, Some("Cameras"), 3)
    );
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
