//! A sheet of Excel (ECMA-376 part 1): texts as inline strings, so that there is no table of them to keep.

use super::{
    sheet::{Look, Part, Slot},
    text,
};
use jiff::civil::{Date, DateTime, Time};
use muster_domain::manifest::CellKind;
use std::fmt::Write as _;

/// Styles by their place in `cellXfs` below.
const TEXT: u8 = 1;
const HEADING: u8 = 2;
const OURS: u8 = 3;
const GENERAL: u8 = 0;
const DATE: u8 = 4;
const DATE_TIME: u8 = 5;
const TIME: u8 = 6;

/// Errors that a cell can hold (ECMA-376 part 1, 18.18.11).
const ERRORS: [&str; 7] = ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"];

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";

pub(super) const TAIL: &str = "</sheetData></worksheet>";

/// Number format 49 is `@`: text.
const STYLES: &str = "<numFmts count=\"3\"><numFmt numFmtId=\"164\" formatCode=\"yyyy\\-mm\\-dd\"/>\
<numFmt numFmtId=\"165\" formatCode=\"yyyy\\-mm\\-dd\\ hh:mm:ss\"/><numFmt numFmtId=\"166\" formatCode=\"hh:mm:ss\"/></numFmts>\
<fonts count=\"2\"><font><sz val=\"11\"/><name val=\"Calibri\"/></font><font><b/><sz val=\"11\"/><name val=\"Calibri\"/></font></fonts>\
<fills count=\"4\"><fill><patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill>\
<fill><patternFill patternType=\"solid\"><fgColor rgb=\"FFE7E6E6\"/></patternFill></fill>\
<fill><patternFill patternType=\"solid\"><fgColor rgb=\"FFDDEBF7\"/></patternFill></fill></fills>\
<borders count=\"1\"><border/></borders><cellStyleXfs count=\"1\"><xf/></cellStyleXfs><cellXfs count=\"7\"><xf/>\
<xf numFmtId=\"49\" applyNumberFormat=\"1\"/>\
<xf numFmtId=\"49\" fontId=\"1\" fillId=\"2\" applyNumberFormat=\"1\" applyFont=\"1\" applyFill=\"1\"/>\
<xf numFmtId=\"49\" fontId=\"1\" fillId=\"3\" applyNumberFormat=\"1\" applyFont=\"1\" applyFill=\"1\"/>\
<xf numFmtId=\"164\" applyNumberFormat=\"1\"/><xf numFmtId=\"165\" applyNumberFormat=\"1\"/>\
<xf numFmtId=\"166\" applyNumberFormat=\"1\"/></cellXfs>\
<cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>";

/// The parts of the archive beside the sheet.
pub(super) fn parts(sheet: &str) -> Vec<Part> {
    let package = "http://schemas.openxmlformats.org/package/2006";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let mut name = String::new();
    text::push(&mut name, sheet);
    let content = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    vec![
        (
            "[Content_Types].xml",
            format!(
                "{XML}<Types xmlns=\"{package}/content-types\"><Default Extension=\"rels\" \
                 ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" \
                 ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"{content}.sheet.main+xml\"/>\
                 <Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"{content}.worksheet+xml\"/>\
                 <Override PartName=\"/xl/styles.xml\" ContentType=\"{content}.styles+xml\"/></Types>"
            ),
        ),
        (
            "_rels/.rels",
            format!(
                "{XML}<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" \
                 Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "{XML}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{office}\"><sheets><sheet name=\"{name}\" sheetId=\"1\" \
                 r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "{XML}<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" \
                 Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" \
                 Type=\"{office}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/styles.xml",
            format!("{XML}<styleSheet xmlns=\"{MAIN}\">{STYLES}</styleSheet>"),
        ),
    ]
}

/// Rows that may stay in sight while the others move: more would leave no room for them.
const FROZEN_LIMIT: u32 = 8;

/// The name of the sheet's part, and what stands in it before the rows: the header stays in sight, and cells that are
/// filled in later are text.
pub(super) fn head(columns: usize, header_row: u32) -> (&'static str, String) {
    let columns = columns.max(1);
    let top = header_row + 1;
    let views = match header_row {
        0 | FROZEN_LIMIT.. => String::new(),
        _ => format!(
            "<sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"{header_row}\" topLeftCell=\"A{top}\" \
             activePane=\"bottomLeft\" state=\"frozen\"/></sheetView></sheetViews>"
        ),
    };
    let head = format!(
        "{XML}<worksheet xmlns=\"{MAIN}\">{views}<cols><col min=\"1\" max=\"{columns}\" width=\"22\" \
         style=\"{TEXT}\" customWidth=\"1\"/></cols><sheetData>"
    );
    ("xl/worksheets/sheet1.xml", head)
}

pub(super) fn row<'c>(xml: &mut String, number: u32, cells: impl Iterator<Item = Slot<'c>>) {
    // Writing to a string cannot fail.
    let _infallible = write!(xml, "<row r=\"{number}\">");
    for slot in cells.filter(|slot| !slot.text.is_empty()) {
        cell(xml, number, &slot);
    }
    xml.push_str("</row>");
}

fn cell(xml: &mut String, row: u32, slot: &Slot<'_>) {
    let value = match slot.kind {
        // What a formula came to is kept, the formula is not.
        CellKind::Text | CellKind::Formula => None,
        CellKind::Number => number(slot.text).map(|number| (GENERAL, "n", number)),
        CellKind::Date => date(slot.text).map(|(style, serial)| (style, "n", serial)),
        CellKind::Boolean => truth(slot.text).map(|truth| (GENERAL, "b", truth.to_owned())),
        CellKind::Error => ERRORS
            .contains(&slot.text)
            .then(|| (GENERAL, "e", slot.text.to_owned())),
    };
    let column = letters(slot.column);
    let _infallible = match value {
        Some((style, kind, value)) => {
            write!(
                xml,
                "<c r=\"{column}{row}\" s=\"{style}\" t=\"{kind}\"><v>{value}</v></c>"
            )
        }
        None => {
            let style = match slot.look {
                Look::Plain => TEXT,
                Look::Heading => HEADING,
                Look::Ours => OURS,
            };
            let _infallible = write!(
                xml,
                "<c r=\"{column}{row}\" s=\"{style}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">"
            );
            push_text(xml, slot.text);
            xml.push_str("</t></is></c>");
            Ok(())
        }
    };
}

/// A text as Excel escapes it: `_xHHHH_` for what XML cannot hold, and for what looks like that already (ECMA-376 part
/// 1, 22.9.2.19).
fn push_text(xml: &mut String, value: &str) {
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let (this, next) = rest.split_at(c.len_utf8());
        if !text::is_char(c) || c == '\r' {
            let _infallible = write!(xml, "_x{:04X}_", u32::from(c));
        } else if is_escape(rest) {
            xml.push_str("_x005F_");
        } else {
            text::push(xml, this);
        }
        rest = next;
    }
}

/// Does the text begin with `_xHHHH_`?
fn is_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [b'_', b'x', a, b, c, d, b'_', ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()))
}

/// Letters of a column: 0 is A, 26 is AA.
fn letters(column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        let digit = u8::try_from((rest - 1) % 26).unwrap_or_default();
        letters.push(char::from(b'A' + digit));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// The number as a cell holds it; `None` when it would not be the same number.
fn number(text: &str) -> Option<String> {
    let value: f64 = text.trim().parse().ok()?;
    value.is_finite().then(|| value.to_string())
}

/// `true` in any case is 1.
fn truth(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some("1"),
        "false" | "0" => Some("0"),
        _ => None,
    }
}

const DAY: f64 = 86_400.0;

/// The days since the last day of 1899 by which Excel counts, and the style they are shown in. Before March 1900 it
/// counts a day that was not (29 February 1900), so such dates stay text.
fn date(text: &str) -> Option<(u8, String)> {
    let days = |date: Date| {
        let epoch = Date::constant(1899, 12, 30);
        let days = epoch.until(date).ok()?.get_days();
        (date >= Date::constant(1900, 3, 1)).then(|| f64::from(days))
    };
    let seconds = |time: Time| {
        let whole = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60 + i32::from(time.second());
        (f64::from(whole) + f64::from(time.subsec_nanosecond()) / 1e9) / DAY
    };
    if text.contains(':') {
        if let Ok(moment) = text.parse::<DateTime>() {
            return Some((
                DATE_TIME,
                (days(moment.date())? + seconds(moment.time())).to_string(),
            ));
        }
        let time: Time = text.parse().ok()?;
        return Some((TIME, seconds(time).to_string()));
    }
    let date: Date = text.parse().ok()?;
    Some((DATE, days(date)?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let check = |column, expected: &str| assert_eq!(letters(column), expected);
        check(0, "A");
        check(25, "Z");
        check(26, "AA");
        check(701, "ZZ");
        check(702, "AAA");
    }

    #[test]
    fn dates_are_days() {
        let check = |text: &str, expected: Option<(u8, &str)>| {
            assert_eq!(
                date(text),
                expected.map(|(style, days)| (style, days.to_owned())),
                "{text}"
            );
        };
        check("2026-11-24", Some((DATE, "46350")));
        check("1900-03-01", Some((DATE, "61")));
        check("1900-02-28", None);
        check("2026-11-24T12:00:00", Some((DATE_TIME, "46350.5")));
        check("06:00:00", Some((TIME, "0.25")));
        check("24.11.2026", None);
        check("00:1B:C5:00:70:01", None);
    }

    #[test]
    fn texts_are_escaped_as_excel_does() {
        let check = |text: &str, expected: &str| {
            let mut xml = String::new();
            push_text(&mut xml, text);
            assert_eq!(xml, expected, "{text:?}");
        };
        check("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;");
        check("a\u{1}b\r\n", "a_x0001_b_x000D_\n");
        check("_x0041_", "_x005F_x0041_");
        check("_x00_", "_x00_");
    }
}
