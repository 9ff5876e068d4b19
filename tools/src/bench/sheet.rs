//! A generated workbook of any number of rows, written as it is made: shared strings, as spreadsheets save them.

use super::rows::{COLUMNS, SITES};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Gateways" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const WORKBOOK_RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#;
/// Strings that no other row has: serial, address, position.
const OWN: u32 = 3;
/// Strings that rows share besides the names of columns and sites: model, hardware, firmware.
const SHARED: [&str; 3] = ["GW-200", "B0", "2.3.1"];

/// Strings before those of the first row.
fn common() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().chain(SITES).chain(SHARED)
}

/// Where a string of [`common`] is.
fn place(text: &str) -> usize {
    common().position(|other| other == text).unwrap_or_default()
}

/// Writes a workbook of `count` rows; row `i` is the same in every run. Gives its size.
pub(super) fn write(path: &Path, count: u32) -> io::Result<u64> {
    let mut archive = ZipWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(DateTime::default());
    for (name, text) in [
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", RELATIONS),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", WORKBOOK_RELATIONS),
    ] {
        archive.start_file(name, options)?;
        archive.write_all(text.as_bytes())?;
    }
    archive.start_file("xl/worksheets/sheet1.xml", options)?;
    rows(&mut BufWriter::with_capacity(1 << 16, &mut archive), count)?;
    archive.start_file("xl/sharedStrings.xml", options)?;
    strings(&mut BufWriter::with_capacity(1 << 16, &mut archive), count)?;
    let mut file = archive.finish()?;
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}

/// One row of the sheet: a string of the table in each cell.
fn row(out: &mut impl Write, number: u32, strings: [usize; COLUMNS.len()]) -> io::Result<()> {
    write!(out, "<row r=\"{number}\">")?;
    for (letter, string) in ('A'..).zip(strings) {
        write!(out, "<c r=\"{letter}{number}\" t=\"s\"><v>{string}</v></c>")?;
    }
    out.write_all(b"</row>")
}

fn rows(out: &mut impl Write, count: u32) -> io::Result<()> {
    out.write_all(
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>",
    )?;
    row(out, 1, COLUMNS.map(place))?;
    let [model, hardware, firmware] = SHARED.map(place);
    let sites = SITES.map(place);
    let before = common().count();
    for i in 0..count {
        let own = before + (i as usize) * (OWN as usize);
        let site = sites[i as usize % sites.len()];
        row(
            out,
            i + 2,
            [own, own + 1, model, hardware, firmware, site, own + 2],
        )?;
    }
    out.write_all(b"</sheetData></worksheet>")?;
    out.flush()
}

fn strings(out: &mut impl Write, count: u32) -> io::Result<()> {
    let unique = common().count() + (count as usize) * (OWN as usize);
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
         uniqueCount=\"{unique}\">"
    )?;
    for text in common() {
        write!(out, "<si><t>{text}</t></si>")?;
    }
    for i in 0..count {
        let [_, high, middle, low] = i.to_be_bytes();
        write!(
            out,
            "<si><t>GW2-{i:09}</t></si><si><t>00:1B:C5:{high:02X}:{middle:02X}:{low:02X}</t></si><si><t>Hall {}, place \
             {i}</t></si>",
            i % 40
        )?;
    }
    out.write_all(b"</sst>")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::manifest::{ReadOptions, Reader, Record};

    #[test]
    fn the_registry_reads_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.xlsx");
        let bytes = write(&path, 300).unwrap();
        assert_eq!(bytes, path.metadata().unwrap().len());
        let mut reader = Reader::new(File::open(&path).unwrap(), &ReadOptions::default()).unwrap();
        assert_eq!(reader.columns(), COLUMNS);
        let mut record = Record::default();
        let mut rows = Vec::new();
        while reader.read(&mut record).unwrap() {
            let cells: Vec<_> = (0..COLUMNS.len())
                .map(|place| record.cell(place).unwrap().to_owned())
                .collect();
            rows.push((record.row(), cells));
        }
        assert_eq!(rows.len(), 300);
        let expected = [
            "GW2-000000258",
            "00:1B:C5:00:01:02",
            "GW-200",
            "B0",
            "2.3.1",
            "MUC-01",
            "Hall 18, place 258",
        ];
        assert_eq!(rows[258], (260, expected.map(str::to_owned).to_vec()));
    }
}
