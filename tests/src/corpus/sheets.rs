//! Workbooks of three kinds.

use super::{
    Answer, Bench,
    archives::{Fill, Part, archive},
    good,
};
use crate::fixture;
use muster_domain::Code;
use std::io::Write;

const WORKBOOK: &str = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#;
const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#;
const ROOT: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;

fn cell(text: &str) -> String {
    format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

fn line(number: u32, cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|text| cell(text)).collect();
    format!("<row r=\"{number}\">{cells}</row>")
}

fn header() -> String {
    line(1, &["serial", "model", "site"])
}

fn camera(number: u32) -> String {
    line(number, &[&format!("HOS-{number:07}"), "CAM-IR", "MUC-01"])
}

/// A workbook with these rows and these shared strings.
fn xlsx(sheet: Fill<'_>, strings: Option<Fill<'_>>) -> Vec<u8> {
    let text = |text: &'static str| move |out: &mut dyn Write| out.write_all(text.as_bytes());
    let (types, root, workbook, relations) = (text(TYPES), text(ROOT), text(WORKBOOK), text(RELATIONS));
    let whole = |out: &mut dyn Write| {
        out.write_all(
            b"<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>",
        )?;
        sheet(out)?;
        out.write_all(b"</sheetData></worksheet>")
    };
    let mut parts: Vec<Part<'_>> = vec![
        ("[Content_Types].xml", &types),
        ("_rels/.rels", &root),
        ("xl/workbook.xml", &workbook),
        ("xl/_rels/workbook.xml.rels", &relations),
        ("xl/worksheets/sheet1.xml", &whole),
    ];
    if let Some(strings) = strings {
        parts.push(("xl/sharedStrings.xml", strings));
    }
    archive(&parts)
}

fn rows(text: &str) -> Vec<u8> {
    xlsx(&|out| out.write_all(text.as_bytes()), None)
}

pub(super) fn make(bench: &mut Bench<'_>) {
    bombs(bench);
    strings(bench);
    places(bench);
    broken(bench);
    ods(bench);
    xls(bench);
}

fn bombs(bench: &mut Bench<'_>) {
    let blanks = vec![b' '; 1 << 20];
    let huge = |out: &mut dyn Write| (0..1024).try_for_each(|_| out.write_all(&blanks));
    let bomb = xlsx(
        &|out| {
            out.write_all((header() + &camera(2)).as_bytes())?;
            huge(out)
        },
        None,
    );
    bench.put("bomb-sheet.xlsx", bomb, Answer::Not(""));
    let cells = vec![b'x'; 1 << 20];
    let bomb = xlsx(
        &|out| {
            out.write_all((header() + "<row r=\"2\"><c t=\"inlineStr\"><is><t>").as_bytes())?;
            (0..1024).try_for_each(|_| out.write_all(&cells))?;
            out.write_all(b"</t></is></c></row>")
        },
        None,
    );
    bench.put("cell-1gib.xlsx", bomb, Answer::Not(""));
    let strings = |out: &mut dyn Write| {
        out.write_all(b"<sst>")?;
        (0..20_000_000).try_for_each(|_| out.write_all(b"<si><t/></si>"))
    };
    bench.put(
        "bomb-strings.xlsx",
        xlsx(&|out| out.write_all(header().as_bytes()), Some(&strings)),
        Answer::Not(""),
    );
    // Many parts, each below every limit.
    let part = vec![b' '; 3 << 20];
    let write = |out: &mut dyn Write| out.write_all(&part);
    let names: Vec<String> = (0..600).map(|number| format!("xl/media/{number}.bin")).collect();
    let parts: Vec<Part<'_>> = names
        .iter()
        .map(|name| (name.as_str(), &write as Fill<'_>))
        .collect();
    bench.put("bomb-of-parts.xlsx", archive(&parts), Answer::Not(""));
}

fn strings(bench: &mut Bench<'_>) {
    let mut laughs = "<!DOCTYPE a [<!ENTITY a0 \"ha\">".to_owned();
    for level in 1..30 {
        laughs += &format!(
            "<!ENTITY a{level} \"{}\">",
            format!("&a{};", level - 1).repeat(10)
        );
    }
    laughs += "]><sst><si><t>&a29;</t></si></sst>";
    let row = header() + &camera(2) + "<row r=\"3\"><c t=\"s\"><v>0</v></c></row>";
    bench.put(
        "laughs-in-strings.xlsx",
        xlsx(
            &|out| out.write_all(row.as_bytes()),
            Some(&|out| out.write_all(laughs.as_bytes())),
        ),
        Answer::Not(""),
    );
    // Unique strings that do not pack well: what a table costs at its limit.
    let mut chance = bench.chance.clone();
    let unique: Vec<u64> = (0..4_000_000).map(|_| chance.next()).collect();
    let table = |out: &mut dyn Write| {
        out.write_all(b"<sst>")?;
        unique.iter().try_for_each(|number| {
            write!(out, "<si><t>HOS-{number:016x}{number:016x}{number:016x}</t></si>")
        })?;
        out.write_all(b"</sst>")
    };
    bench.put(
        "table-of-200mb.xlsx",
        xlsx(
            &|out| out.write_all((header() + &camera(2)).as_bytes()),
            Some(&table),
        ),
        Answer::Not(""),
    );
}

fn places(bench: &mut Bench<'_>) {
    let behind = |row: &str| rows(&(header() + &camera(2) + row));
    bench.put(
        "row-2-to-31.xlsx",
        behind("<row r=\"2147483648\"><c><v>1</v></c></row>"),
        Answer::Not(""),
    );
    bench.put("row-before.xlsx", behind(&camera(2)), Answer::Not(""));
    bench.put(
        "column-1m.xlsx",
        behind("<row r=\"3\"><c r=\"ZZZZ3\"><v>1</v></c></row>"),
        Answer::Not(""),
    );
    bench.put(
        "string-nowhere.xlsx",
        behind("<row r=\"3\"><c t=\"s\"><v>99999999999</v></c></row>"),
        Answer::Not(""),
    );
    bench.put(
        "number-huge.xlsx",
        behind("<row r=\"3\"><c><v>1e999999</v></c></row>"),
        Answer::Rows(vec![(2, None), (3, Some(Code::ModelMissing.number()))]),
    );
    bench.put(
        "date-99999.xlsx",
        behind("<row r=\"3\"><c t=\"d\"><v>99999-12-31</v></c></row>"),
        Answer::Rows(vec![(2, None), (3, Some(Code::ModelMissing.number()))]),
    );
    bench.put("formula.xlsx", behind("<row r=\"3\"><c t=\"str\"><f>CMD()</f><v>HOS-0000003</v></c><c t=\"inlineStr\"><is><t>CAM-IR</t></is></c></row>"), good([2, 3]));
    bench.put("no-rows.xlsx", rows(""), Answer::Not(""));
    let wide: String = (0..1_000_000).map(|_| "<c/>").collect();
    bench.put(
        "cells-1m.xlsx",
        behind(&format!("<row r=\"3\">{wide}</row>")),
        good([2]),
    );
    let empty: String = (2..600_000)
        .map(|number| format!("<row r=\"{number}\"/>"))
        .collect();
    bench.put(
        "rows-of-nothing.xlsx",
        rows(&(header() + &empty + &camera(600_000))),
        good([600_000]),
    );
}

fn broken(bench: &mut Bench<'_>) {
    let whole = rows(&(header() + &(2..200).map(camera).collect::<String>()));
    for tenth in 0..10 {
        // The first cut leaves some bytes, the last takes one away.
        let cut = (whole.len() * tenth / 10).max(3);
        let cut = if tenth == 9 { whole.len() - 1 } else { cut };
        bench.put(&format!("cut-{tenth}.xlsx"), &whole[..cut], Answer::Not(""));
    }
    // The checksum of the sheet in the directory: the last entry but none behind it.
    let entry = whole
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x01\x02")
        .expect("a directory");
    let with = |place: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[entry + place..entry + place + bytes.len()].copy_from_slice(bytes);
        changed
    };
    bench.put("wrong-checksum.xlsx", with(16, &[1, 2, 3, 4]), Answer::Not(""));
    bench.put(
        "size-too-small.xlsx",
        with(24, &100u32.to_le_bytes()),
        Answer::Not(""),
    );
    bench.put(
        "size-too-large.xlsx",
        with(24, &0x7fff_ffffu32.to_le_bytes()),
        Answer::Not(""),
    );
    bench.put(
        "packed-beyond-the-end.xlsx",
        with(20, &0x7fff_ffffu32.to_le_bytes()),
        Answer::Not(""),
    );
    bench.put(
        "part-elsewhere.xlsx",
        with(42, &0u32.to_le_bytes()),
        Answer::Not(""),
    );
    bench.put("method-unknown.xlsx", with(10, &[99, 0]), Answer::Not(""));
    bench.put("encrypted-part.xlsx", with(8, &[1, 0]), Answer::Not(""));
    let sheets: String = (0..100_000)
        .map(|number| format!("<sheet name=\"S{number}\" sheetId=\"{number}\" r:id=\"rId1\"/>"))
        .collect();
    let workbook = WORKBOOK.replace("<sheets>", &format!("<sheets>{sheets}"));
    let many = archive(&[
        ("_rels/.rels", &|out| out.write_all(ROOT.as_bytes())),
        ("xl/workbook.xml", &|out| out.write_all(workbook.as_bytes())),
        ("xl/_rels/workbook.xml.rels", &|out| {
            out.write_all(RELATIONS.as_bytes())
        }),
    ]);
    bench.put("sheets-100k.xlsx", many, Answer::Not(""));
    bench.put(
        "no-workbook.xlsx",
        archive(&[("_rels/.rels", &|out| out.write_all(ROOT.as_bytes()))]),
        Answer::Not(""),
    );
}

fn ods(bench: &mut Bench<'_>) {
    let with = |rows: &str| {
        let content = format!(
            "<office:document-content xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\"><office:body><office:spreadsheet><table:table table:name=\"A\"><table:table-row><table:table-cell office:value-type=\"string\"><text:p>serial</text:p></table:table-cell><table:table-cell office:value-type=\"string\"><text:p>model</text:p></table:table-cell></table:table-row>{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
        );
        let mimetype = "application/vnd.oasis.opendocument.spreadsheet";
        archive(&[
            ("mimetype", &|out| out.write_all(mimetype.as_bytes())),
            ("content.xml", &|out| out.write_all(content.as_bytes())),
        ])
    };
    let cells = "<table:table-cell office:value-type=\"string\"><text:p>HOS-0000001</text:p></table:table-cell><table:table-cell office:value-type=\"string\"><text:p>CAM-IR</text:p></table:table-cell>";
    let one = format!("<table:table-row>{cells}</table:table-row>");
    let repeated = |count: &str| {
        with(&format!(
            "{one}<table:table-row table:number-rows-repeated=\"{count}\">{}</table:table-row>",
            cells.replace("0001", "0002")
        ))
    };
    bench.put("rows-2-to-31.ods", repeated("2147483648"), Answer::Not(""));
    bench.put(
        "rows-2-to-70.ods",
        repeated("1180591620717411303424"),
        good([2, 3]),
    );
    bench.put("blank-rows-2-to-31.ods", with(&format!("{one}<table:table-row table:number-rows-repeated=\"2147483648\"><table:table-cell/></table:table-row>")), good([2]));
    let columns = cells.replace(
        "<table:table-cell ",
        "<table:table-cell table:number-columns-repeated=\"2147483648\" ",
    );
    bench.put(
        "columns-2-to-31.ods",
        with(&format!("{one}<table:table-row>{columns}</table:table-row>")),
        Answer::Rows(vec![(2, None), (3, Some(Code::RowWidth.number()))]),
    );
    bench.put("spaces-2-to-31.ods", with(&format!("{one}<table:table-row><table:table-cell office:value-type=\"string\"><text:p>a<text:s text:c=\"2147483648\"/>b</text:p></table:table-cell></table:table-row>")), Answer::Rows(vec![(2, None), (3, Some(Code::CellMalformed.number()))]));
    bench.put(
        "deep.ods",
        with(&"<table:table-row-group>".repeat(100_000)),
        Answer::Not(""),
    );
}

fn xls(bench: &mut Bench<'_>) {
    let whole = std::fs::read(fixture::manifest("kinds.xls")).expect("a fixture");
    let number = |place: usize| {
        u32::from_le_bytes([whole[place], whole[place + 1], whole[place + 2], whole[place + 3]]) as usize
    };
    // The first sector of the table of sectors, named in the header.
    let table = (number(76) + 1) * 512;
    let mut circles = whole.clone();
    for entry in 0..128u32 {
        let place = table + entry as usize * 4;
        if number(place) < 0xFFFF_FFF0 {
            circles[place..place + 4].copy_from_slice(&entry.to_le_bytes());
        }
    }
    bench.put("sectors-in-circles.xls", circles, Answer::Not(""));
    let mut pairs = whole.clone();
    for entry in 0..128u32 {
        let place = table + entry as usize * 4;
        pairs[place..place + 4].copy_from_slice(&(entry ^ 1).to_le_bytes());
    }
    bench.put("sectors-in-pairs.xls", pairs, Answer::Not(""));
    let directory = (number(48) + 1) * 512;
    let mut tree = whole.clone();
    for entry in 0..4 {
        // Siblings and children that are the entry itself.
        for field in [68, 72, 76] {
            let place = directory + entry * 128 + field;
            tree[place..place + 4].copy_from_slice(&u32::try_from(entry).unwrap_or(0).to_le_bytes());
        }
    }
    bench.put("directory-in-circles.xls", tree, Answer::Not(""));
    let mut sizes = whole.clone();
    sizes[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
    sizes[72..76].copy_from_slice(&u32::MAX.to_le_bytes());
    bench.put("table-of-2-to-32-sectors.xls", sizes, Answer::Not(""));
    bench.put("cut.xls", &whole[..whole.len() / 2], Answer::Not(""));
    let mut noisy = whole.clone();
    let end = noisy.len() as u64;
    for _ in 0..500 {
        let place = usize::try_from(512 + bench.chance.below(end - 512)).unwrap_or(512);
        noisy[place] = bench.chance.next().to_le_bytes()[0];
    }
    bench.put("noisy.xls", noisy, Answer::Not(""));
    // An encrypted workbook of today is a compound file with this stream in it.
    let name: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut sealed = whole.clone();
    for entry in 1..4 {
        let place = directory + entry * 128;
        sealed[place..place + name.len()].copy_from_slice(&name);
        sealed[place + 64..place + 66].copy_from_slice(&34u16.to_le_bytes());
    }
    bench.put("encrypted.xlsx", sealed, Answer::Not(""));
}
