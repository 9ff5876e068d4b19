//! Files that are made to hurt: each is answered at once, in little memory, with a refusal or with faults of rows.

use crate::{
    sheets::{ODS, XLS, XLSX, rows},
    support::options,
    workbook::{Part, archive, ods, part, parts, sheet, xlsx},
};
use muster_domain::{
    Code, Refusal,
    manifest::{CELL_LIMIT, Fault, Format, ReadError, ReadOptions, Reader, Record},
};
use std::io::Cursor;

type Rows = Vec<(u32, Vec<String>, String)>;

fn read(bytes: &[u8]) -> Result<Rows, Refusal> {
    let found = Reader::new(Cursor::new(bytes), &options("a")).and_then(|mut reader| rows(&mut reader));
    found.map_err(|error| match error {
        ReadError::Refused(refusal) => refusal,
        ReadError::Input(error) => panic!("{error}"),
    })
}

/// Rows as numbers and cells between bars.
fn brief(bytes: &[u8]) -> Vec<String> {
    let rows = read(bytes).unwrap();
    rows.into_iter()
        .map(|(row, cells, kinds)| format!("{row} {kinds} {}", cells.join("|")))
        .collect()
}

fn refused(bytes: &[u8], code: Code, why: &str) {
    match read(bytes) {
        Ok(rows) => panic!("{why}: read {rows:.200?}"),
        Err(refusal) => {
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.message.contains(why), "{why}: {refusal}");
        }
    }
}

pub(crate) const HEADER: &str = "<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' t='s'><v>1</v></c></row>";

#[test]
fn cells_are_where_they_say() {
    let found = |rows: &str| brief(&xlsx(&format!("{HEADER}{rows}")));
    // Gaps, missing references, and what sheets have besides cells.
    assert_eq!(found("<row r='5'><c r='B5'><v>7</v></c></row>"), ["5 tn |7"]);
    assert_eq!(
        found("<row><c><v>7</v></c><c t='s'><v>2</v></c></row><row><c><v>8</v></c></row>"),
        ["2 nt 7|aAb", "3 n 8"]
    );
    assert_eq!(
        found("<row r='2'><c r='A2'><v>7</v><extLst><ext><v>9</v></ext></extLst></c><x/></row>"),
        ["2 n 7"]
    );
    assert_eq!(
        found("<row r='2'/><row r='3'><c r='A3' s='1'/></row><row r='4'><c r='A4'><v>1</v></c></row>"),
        ["4 n 1"]
    );
    // Dates by style, in text, and numbers that are none.
    assert_eq!(
        found("<row r='2'><c s='1'><v>46349</v></c><c s='2'><v>46349.25</v></c><c s='1'><v>-3</v></c></row>"),
        ["2 ddn 2026-11-23|2026-11-23T06:00:00|-3"]
    );
    assert_eq!(
        found("<row r='2'><c t='d'><v>2026-11-23</v></c><c s='9'><v>1E3</v></c><c><v>zz</v></c></row>"),
        ["2 dnt 2026-11-23|1000|zz"]
    );
    // Formulas have what they came to, also to nothing.
    assert_eq!(
        found(
            "<row r='2'><c t='str'><f>A1</f><v>x</v></c><c><f>B1</f></c><c t='str'><f>C1</f><v></v></c></row>"
        ),
        ["2 ff x|=B1"]
    );
    // Rich text is joined, how to pronounce it is left away, and escapes stand for characters.
    assert_eq!(
        found(
            "<row r='2'><c t='inlineStr'><is><r><t>a</t></r><r><t>_x0042_</t></r><rPh><t>no</t></rPh></is></c></row>"
        ),
        ["2 t aB"]
    );
}

#[test]
fn sheets_out_of_order_are_refused() {
    let unreadable = Code::ManifestUnreadable;
    let check = |rows: &str, why| refused(&xlsx(&format!("{HEADER}{rows}")), unreadable, why);
    check("<row r='1'><c><v>7</v></c></row>", "row 1 behind row 1");
    check("<row r='x'/>", "row without a number");
    check(
        "<row r='2'><c r='B2'><v>7</v></c><c r='A2'><v>7</v></c></row>",
        "out of their order",
    );
    check("<row r='2'><c r='7'/></row>", "a cell that is nowhere");
    check("<row r='2'><c r='XFE2'/></row>", "a cell that is nowhere");
    check("<row r='2'><c t='s'><v>3</v></c></row>", "not among its 3");
    check("<row r='2'><c t='s'><v>-1</v></c></row>", "not among its 3");
    let many = format!("{HEADER}<row r='4294967295'><c><v>7</v></c></row>");
    refused(&xlsx(&many), Code::ManifestTooLarge, "10000000 rows");
}

#[test]
fn wide_and_long_rows_are_faults_of_their_own() {
    let mut record = Record::default();
    let mut fault = |row: &str| {
        let bytes = xlsx(&format!("{HEADER}{row}<row r='3'><c><v>8</v></c></row>"));
        let mut reader = Reader::new(Cursor::new(bytes), &options("a.xlsx")).unwrap();
        assert!(reader.read(&mut record).unwrap());
        let fault = record.fault().cloned();
        assert!(reader.read(&mut record).unwrap() && record.cell(0) == Some("8") && record.row() == 3);
        fault
    };
    assert_eq!(
        fault("<row r='2'><c r='XFD2'><v>1</v></c></row>"),
        Some(Fault::TooWide)
    );
    assert_eq!(
        fault("<row r='2'><c r='A2'><v>1</v></c><c r='XFD2' s='1'/></row>"),
        None
    );
    let text = |length: usize| format!("<c t='inlineStr'><is><t>{}</t></is></c>", "é".repeat(length / 2));
    assert_eq!(fault(&format!("<row r='2'>{}</row>", text(CELL_LIMIT))), None);
    let why = "is longer than 4096 bytes";
    assert_eq!(
        fault(&format!("<row r='2'>{}</row>", text(CELL_LIMIT + 2))),
        Some(Fault::Cell { column: 0, why })
    );
    assert_eq!(
        fault(&format!("<row r='2'>{}</row>", text(900_000))),
        Some(Fault::Cell { column: 0, why })
    );
    assert_eq!(
        fault(&format!("<row r='2'>{}</row>", text(CELL_LIMIT).repeat(17))),
        Some(Fault::TooLong)
    );
    // A million columns, and a cell of two megabytes.
    let columns: String = (0..1_000_000).map(|n| format!("<c><v>{n}</v></c>")).collect();
    assert_eq!(
        fault(&format!("<row r='2'>{columns}</row>")),
        Some(Fault::TooWide)
    );
    refused(
        &xlsx(&format!("{HEADER}<row r='2'>{}</row>", text(2 << 20))),
        Code::ManifestTooLarge,
        "more than 1048576",
    );
}

#[test]
fn markup_that_explodes_is_refused() {
    let strings = "<sst/>";
    let with = |sheet: &str| archive(&parts(sheet, strings));
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><worksheet>&b;</worksheet>";
    refused(&with(bomb), Code::ManifestUnreadable, "document type");
    refused(
        &with("<worksheet>&b;</worksheet>"),
        Code::ManifestUnreadable,
        "entity",
    );
    refused(
        &with(&"<x>".repeat(100_000)),
        Code::ManifestTooLarge,
        "deeper than 64",
    );
    refused(
        &with("<worksheet><sheetData><row r='1'>"),
        Code::ManifestUnreadable,
        "ends within",
    );
    refused(
        &with("<worksheet></worksheet>"),
        Code::SheetUnknown,
        "no sheet with rows",
    );
    let attributes: String = (0..300).map(|n| format!(" a{n}='1'")).collect();
    refused(
        &with(&sheet(&format!("<row r='1'><c{attributes}/></row>"))),
        Code::ManifestTooLarge,
        "256 attributes",
    );
    refused(
        &with(&sheet(&format!("<row r='1' x='{}'/>", "y".repeat(2 << 20)))),
        Code::ManifestTooLarge,
        "more than 1048576",
    );
    refused(
        &with("<worksheet>\u{FFFD}</worksheet>").clone(),
        Code::SheetUnknown,
        "no sheet",
    );
}

/// A part that says it is `size` bytes of zeros.
fn zeros(name: &str, size: u64) -> Part {
    let mut bomb = part(name, &vec![b' '; usize::try_from(size).unwrap()]);
    bomb.name = name.to_owned();
    bomb
}

#[test]
fn archives_that_lie_are_refused() {
    let unreadable = Code::ManifestUnreadable;
    let sound = parts(
        &sheet(&format!("{HEADER}<row r='2'><c><v>7</v></c></row>")),
        "<sst><si><t>serial</t></si><si><t>x</t></si></sst>",
    );
    assert_eq!(brief(&archive(&sound)), ["2 n 7"]);
    let with = |change: &dyn Fn(&mut Part)| {
        let mut parts = sound.clone();
        change(parts.last_mut().unwrap());
        archive(&parts)
    };
    refused(&with(&|part| part.size += 1), unreadable, "ends early");
    refused(
        &with(&|part| part.size -= 1),
        unreadable,
        "larger than its directory says",
    );
    refused(&with(&|part| part.checksum ^= 1), unreadable, "checksum");
    refused(&with(&|part| part.flags = 1), unreadable, "encrypted");
    refused(&with(&|part| part.method = 12), unreadable, "packed in a way");
    refused(&with(&|part| part.method = 0), unreadable, "another size");
    refused(
        &with(&|part| part.packed[0] = 0x07),
        unreadable,
        "cannot be unpacked",
    );
    refused(
        &with(&|part| part.size = u32::MAX - 1),
        Code::ManifestTooLarge,
        "unpacks to more than",
    );
    refused(
        &with(&|part| part.name.clear()),
        unreadable,
        "lacks one of its sheets",
    );
    refused(
        &archive(&vec![part("xl/a", b""); 5000]),
        Code::ManifestTooLarge,
        "4096 parts",
    );
    // A bomb: 64 MiB of blanks in 64 KiB.
    let mut parts = sound.clone();
    parts[5] = zeros("xl/worksheets/sheet1.xml", 64 << 20);
    refused(&archive(&parts), Code::ManifestTooLarge, "times its size");
    // Parts that overlap: a second directory entry for the same bytes changes nothing.
    let mut parts = sound;
    parts.push(parts[5].clone());
    assert_eq!(brief(&archive(&parts)), ["2 n 7"]);
}

#[test]
fn documents_that_are_no_tables_are_named() {
    let unreadable = Code::ManifestUnreadable;
    refused(
        &archive(&[part("word/document.xml", b"<x/>")]),
        unreadable,
        "not a table",
    );
    refused(
        &archive(&[part("Index/Document.iwa", b"x")]),
        unreadable,
        "Numbers",
    );
    let kind = b"application/vnd.oasis.opendocument.text";
    refused(
        &archive(&[part("mimetype", kind)]),
        unreadable,
        "not a spreadsheet",
    );
    let binary = "<Relationships><Relationship Id='r' Type='x/officeDocument' Target='xl/workbook.bin'/></Relationships>";
    refused(
        &archive(&[
            part("xl/workbook.bin", b"x"),
            part("_rels/.rels", binary.as_bytes()),
        ]),
        unreadable,
        "XLSB",
    );
    let encrypted = part(
        "META-INF/manifest.xml",
        b"<m><file-entry><encryption-data/></file-entry></m>",
    );
    let kind = part("mimetype", b"application/vnd.oasis.opendocument.spreadsheet");
    refused(&archive(&[kind, encrypted]), unreadable, "encrypted");
    let wrong = |format, bytes: &[u8]| {
        let options = ReadOptions {
            format: Some(format),
            ..options("a")
        };
        assert!(Reader::new(Cursor::new(bytes), &options).is_err(), "{format:?}");
    };
    for format in [
        Format::Csv,
        Format::Ndjson,
        Format::Json,
        Format::Xml,
        Format::Xls,
        Format::Ods,
    ] {
        wrong(format, XLSX);
    }
    for format in [Format::Xlsx, Format::Xls, Format::Ods] {
        wrong(format, b"serial,model\n");
    }
    wrong(Format::Xlsx, ODS);
    wrong(Format::Csv, XLS);
}

#[test]
fn repetition_in_open_documents_is_bounded() {
    let head =
        "<t:table-row><t:table-cell x:value-type='string'><x:p>serial</x:p></t:table-cell></t:table-row>";
    let found = |rows: &str| brief(&ods(&format!("{head}{rows}")));
    let cell = "<t:table-cell x:value-type='float' x:value='7'/>";
    let rows = |times: &str| format!("<t:table-row t:number-rows-repeated='{times}'>{cell}</t:table-row>");
    assert_eq!(found(&rows("3")), ["2 n 7", "3 n 7", "4 n 7"]);
    let empty = "<t:table-row t:number-rows-repeated='1000'><t:table-cell t:number-columns-repeated='9'/></t:table-row>";
    assert_eq!(found(&format!("{empty}{}", rows("1"))), ["1002 n 7"]);
    assert_eq!(
        found(
            "<t:table-row-group><t:table-row><t:covered-table-cell x:value='1'><x:p>no</x:p></t:covered-table-cell><t:table-cell t:number-columns-repeated='2'><x:p>a<x:s x:c='3'/>b</x:p><x:p>c</x:p></t:table-cell></t:table-row></t:table-row-group>"
        ),
        ["2 ttt |a   b\nc|a   b\nc"]
    );
    refused(
        &ods(&format!("{head}{}", rows("1025"))),
        Code::ManifestTooLarge,
        "repeats its row 2",
    );
    refused(
        &ods(&format!("{head}{}", rows("2147483648"))),
        Code::ManifestTooLarge,
        "rows",
    );
    let far = format!(
        "{head}<t:table-row t:number-rows-repeated='99999999999999'/>{}",
        rows("1")
    );
    refused(&ods(&far), Code::ManifestTooLarge, "rows");
    let wide = "<t:table-row><t:table-cell t:number-columns-repeated='4294967295'><x:p>y</x:p></t:table-cell></t:table-row>";
    let bytes = ods(&format!("{head}{wide}"));
    let mut reader = Reader::new(Cursor::new(bytes), &options("a.ods")).unwrap();
    let mut record = Record::default();
    assert!(reader.read(&mut record).unwrap());
    assert_eq!(record.fault(), Some(&Fault::TooWide));
}

/// Everything that can be read, and how it ended; what it says does not matter, that it says something does.
pub(crate) fn swallow(bytes: &[u8]) {
    if let Ok(mut reader) = Reader::new(Cursor::new(bytes), &options("a")) {
        let mut record = Record::default();
        while let Ok(true) = reader.read(&mut record) {}
    }
}

#[test]
fn archives_cut_anywhere_are_refused() {
    for whole in [XLSX, ODS] {
        for end in (4..whole.len()).step_by(7) {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
    }
    for end in (8..XLS.len()).step_by(13) {
        swallow(&XLS[..end]);
    }
}
