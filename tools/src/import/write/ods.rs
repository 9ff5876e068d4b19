//! A sheet of OpenDocument (ISO 26300, ODF 1.3 part 3): the least that makes a package.

use super::{
    sheet::{Look, Part, Slot},
    text,
};
use jiff::civil::{Date, DateTime, Time};
use muster_domain::manifest::CellKind;
use std::fmt::Write as _;

/// The part that names the format; the first of the archive.
pub(super) const MIMETYPE: &str = "mimetype";
const TYPE: &str = "application/vnd.oasis.opendocument.spreadsheet";
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMES: &str = "urn:oasis:names:tc:opendocument:xmlns";

pub(super) const TAIL: &str = "</table:table></office:spreadsheet></office:body></office:document-content>";

/// The parts of the archive beside the sheet.
pub(super) fn parts() -> Vec<Part> {
    vec![
        (MIMETYPE, TYPE.to_owned()),
        (
            "META-INF/manifest.xml",
            format!(
                "{XML}<manifest:manifest xmlns:manifest=\"{NAMES}:manifest:1.0\" manifest:version=\"1.3\">\
                 <manifest:file-entry manifest:full-path=\"/\" manifest:version=\"1.3\" manifest:media-type=\"{TYPE}\"/>\
                 <manifest:file-entry manifest:full-path=\"content.xml\" manifest:media-type=\"text/xml\"/></manifest:manifest>"
            ),
        ),
    ]
}

/// The name of the sheet's part, and what stands in it before the rows.
pub(super) fn head(sheet: &str, columns: usize) -> (&'static str, String) {
    let columns = columns.max(1);
    let mut name = String::new();
    text::push(&mut name, sheet);
    let bold = "<style:text-properties fo:font-weight=\"bold\"/>";
    let head = format!(
        "{XML}<office:document-content xmlns:office=\"{NAMES}:office:1.0\" xmlns:table=\"{NAMES}:table:1.0\" \
         xmlns:text=\"{NAMES}:text:1.0\" xmlns:style=\"{NAMES}:style:1.0\" xmlns:number=\"{NAMES}:datastyle:1.0\" \
         xmlns:fo=\"{NAMES}:xsl-fo-compatible:1.0\" office:version=\"1.3\"><office:automatic-styles>\
         <number:text-style style:name=\"N1\"><number:text-content/></number:text-style>\
         <style:style style:name=\"width\" style:family=\"table-column\"><style:table-column-properties \
         style:column-width=\"4cm\"/></style:style>\
         <style:style style:name=\"text\" style:family=\"table-cell\" style:data-style-name=\"N1\"/>\
         <style:style style:name=\"heading\" style:family=\"table-cell\" style:data-style-name=\"N1\">\
         <style:table-cell-properties fo:background-color=\"#e7e6e6\"/>{bold}</style:style>\
         <style:style style:name=\"ours\" style:family=\"table-cell\" style:data-style-name=\"N1\">\
         <style:table-cell-properties fo:background-color=\"#ddebf7\"/>{bold}</style:style></office:automatic-styles>\
         <office:body><office:spreadsheet><table:table table:name=\"{name}\"><table:table-column \
         table:style-name=\"width\" table:number-columns-repeated=\"{columns}\" table:default-cell-style-name=\"text\"/>"
    );
    ("content.xml", head)
}

/// A row, behind `empty` rows that hold nothing.
pub(super) fn row<'c>(xml: &mut String, empty: u32, cells: impl Iterator<Item = Slot<'c>>) {
    // Writing to a string cannot fail.
    if empty > 0 {
        let _infallible = write!(
            xml,
            "<table:table-row table:number-rows-repeated=\"{empty}\"><table:table-cell/></table:table-row>"
        );
    }
    xml.push_str("<table:table-row>");
    let mut next = 0;
    for slot in cells.filter(|slot| !slot.text.is_empty()) {
        let gap = slot.column.saturating_sub(next);
        if gap > 0 {
            let _infallible = write!(xml, "<table:table-cell table:number-columns-repeated=\"{gap}\"/>");
        }
        next = slot.column + 1;
        cell(xml, &slot);
    }
    if next == 0 {
        xml.push_str("<table:table-cell/>");
    }
    xml.push_str("</table:table-row>");
}

fn cell(xml: &mut String, slot: &Slot<'_>) {
    let value = match slot.kind {
        // What a formula came to is kept, the formula is not; an error has no type of its own here.
        CellKind::Text | CellKind::Formula | CellKind::Error => None,
        CellKind::Number => number(slot.text),
        CellKind::Date => date(slot.text),
        CellKind::Boolean => truth(slot.text),
    };
    let value = value.unwrap_or_else(|| {
        let style = match slot.look {
            Look::Plain => "text",
            Look::Heading => "heading",
            Look::Ours => "ours",
        };
        format!("table:style-name=\"{style}\" office:value-type=\"string\"")
    });
    let _infallible = write!(xml, "<table:table-cell {value}>");
    for line in slot.text.split('\n') {
        xml.push_str("<text:p>");
        push_line(xml, line);
        xml.push_str("</text:p>");
    }
    xml.push_str("</table:table-cell>");
}

/// A line of text: blanks that a reader would join stand as elements (ODF 1.3 part 3, 6.1.2).
fn push_line(xml: &mut String, line: &str) {
    let mut before = ' ';
    for c in line.chars() {
        match c {
            ' ' if before == ' ' => xml.push_str("<text:s/>"),
            '\t' => xml.push_str("<text:tab/>"),
            c => text::push(xml, c.encode_utf8(&mut [0; 4])),
        }
        before = c;
    }
    // A blank at the end would go too.
    if before == ' ' && xml.ends_with(' ') {
        xml.pop();
        xml.push_str("<text:s/>");
    }
}

fn number(text: &str) -> Option<String> {
    let value: f64 = text.trim().parse().ok()?;
    value
        .is_finite()
        .then(|| format!("office:value-type=\"float\" office:value=\"{value}\""))
}

fn date(text: &str) -> Option<String> {
    let is_date = text.parse::<Date>().is_ok() || text.parse::<DateTime>().is_ok();
    if is_date {
        return Some(format!(
            "office:value-type=\"date\" office:date-value=\"{}\"",
            text.replace(' ', "T")
        ));
    }
    let time: Time = text.parse().ok()?;
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    Some(format!(
        "office:value-type=\"time\" office:time-value=\"PT{hour:02}H{minute:02}M{second:02}S\""
    ))
}

fn truth(text: &str) -> Option<String> {
    let truth = match text.to_ascii_lowercase().as_str() {
        "true" | "1" => "true",
        "false" | "0" => "false",
        _ => return None,
    };
    Some(format!(
        "office:value-type=\"boolean\" office:boolean-value=\"{truth}\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_stay_as_many_as_they_were() {
        let check = |text: &str, expected: &str| {
            let mut xml = String::new();
            push_line(&mut xml, text);
            assert_eq!(xml, expected, "{text:?}");
        };
        check("a b", "a b");
        check("a  b", "a <text:s/>b");
        check(" a ", "<text:s/>a<text:s/>");
        check("a\tb<", "a<text:tab/>b&lt;");
        check("a\u{1}b", "a\u{FFFD}b");
    }
}
