//! Workbooks made by hand, as writers make them and as attackers do.

use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write as _;

/// A part of an archive, and what its directory says of it.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) checksum: u32,
    pub(crate) size: u32,
    pub(crate) packed: Vec<u8>,
}

pub(crate) fn part(name: &str, content: &[u8]) -> Part {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    let mut sum = Crc::new();
    sum.update(content);
    Part {
        name: name.to_owned(),
        flags: 0,
        method: 8,
        checksum: sum.sum(),
        size: u32::try_from(content.len()).unwrap(),
        packed: packer.finish().unwrap(),
    }
}

fn fields(part: &Part) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = [20, part.flags, part.method, 0, 0].map(u16::to_le_bytes).concat();
    bytes.extend(part.checksum.to_le_bytes());
    bytes.extend(length(part.packed.len()));
    bytes.extend(part.size.to_le_bytes());
    bytes.extend(u16::try_from(part.name.len()).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A ZIP archive of these parts.
pub(crate) fn archive(parts: &[Part]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let place = u32::try_from(bytes.len()).unwrap();
        bytes.extend(b"PK\x03\x04");
        bytes.extend(fields(part));
        bytes.extend(part.name.as_bytes());
        bytes.extend(&part.packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(fields(part));
        directory.extend([0; 10]);
        directory.extend(place.to_le_bytes());
        directory.extend(part.name.as_bytes());
    }
    let start = u32::try_from(bytes.len()).unwrap();
    let count = u16::try_from(parts.len()).unwrap();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].map(u16::to_le_bytes).concat());
    bytes.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

const WORKBOOK: &str = "<workbook xmlns:r='x'><workbookPr/><sheets><sheet name='One' sheetId='1' r:id='rId1'/></sheets></workbook>";
const RELATIONS: &str = "<Relationships><Relationship Id='rId1' Type='a/worksheet' Target='worksheets/sheet1.xml'/>\
    <Relationship Id='rId2' Type='a/sharedStrings' Target='/xl/sharedStrings.xml'/>\
    <Relationship Id='rId3' Type='a/styles' Target='../xl/styles.xml'/></Relationships>";
const STYLES: &str = "<styleSheet><numFmts><numFmt numFmtId='164' formatCode='dd\\.mm\\.yyyy'/></numFmts>\
    <cellStyleXfs><xf numFmtId='14'/></cellStyleXfs><cellXfs><xf numFmtId='0'/><xf numFmtId='14'/><xf numFmtId='164'/></cellXfs></styleSheet>";

/// The parts of a workbook with one sheet.
pub(crate) fn parts(sheet: &str, strings: &str) -> Vec<Part> {
    vec![
        part("[Content_Types].xml", b"<Types/>"),
        part("xl/workbook.xml", WORKBOOK.as_bytes()),
        part("xl/_rels/workbook.xml.rels", RELATIONS.as_bytes()),
        part("xl/styles.xml", STYLES.as_bytes()),
        part("xl/sharedStrings.xml", strings.as_bytes()),
        part("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ]
}

/// A workbook with these rows in its sheet, and shared texts: `serial`, `x`, `a_x000D_b`.
pub(crate) fn xlsx(rows: &str) -> Vec<u8> {
    let strings = "<sst><si><t>serial</t></si><si><t>x</t></si><si><t>a_x0041_b</t></si></sst>";
    archive(&parts(&sheet(rows), strings))
}

pub(crate) fn sheet(rows: &str) -> String {
    format!(
        "<?xml version='1.0'?><worksheet><cols><col/></cols><sheetData>{rows}</sheetData><mergeCells/></worksheet>"
    )
}

/// A spreadsheet of OpenDocument with these rows in its sheet.
pub(crate) fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        "<o:document-content xmlns:o='o' xmlns:t='t' xmlns:x='x'><o:body><o:spreadsheet><t:table t:name='One'>{rows}</t:table></o:spreadsheet></o:body></o:document-content>"
    );
    archive(&[
        part("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
        part("content.xml", content.as_bytes()),
    ])
}
