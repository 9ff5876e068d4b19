//! What a file is, by what is in it: names lie, and half of all `.xls` files are CSV, HTML or XLSX.

use super::{Format, ReadError, ReadOptions, archive::Archive, microchip};
use crate::{Code, Refusal};
use std::io::{Read, Seek};

/// The outermost shell of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// Characters, in whatever encoding.
    Text,
    /// A ZIP archive.
    Archive,
    /// A compound file (MS-CFB): old Excel, or a workbook with a password.
    Compound,
}

/// Formats of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Cells between delimiters.
    Csv,
    /// Objects, one a line.
    Ndjson,
    /// A list of objects.
    Json,
    /// Elements.
    Xml,
    /// A list of signed entries.
    Microchip,
}

/// Formats of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// Excel.
    Xlsx,
    /// OpenDocument.
    Ods,
    /// Anything that is no document: certificates.
    Certificates,
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

impl Container {
    /// The container of a file that begins with these bytes.
    pub(super) fn of(head: &[u8]) -> Self {
        let is_archive = [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08"]
            .iter()
            .any(|magic| head.starts_with(magic));
        if is_archive {
            Self::Archive
        } else if head.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
            Self::Compound
        } else {
            Self::Text
        }
    }
}

/// The format that the user gave, where this container can hold it.
pub(super) fn format_in(container: Container, options: &ReadOptions) -> Result<Option<Format>, Refusal> {
    let Some(format) = options.format else {
        return Ok(None);
    };
    let wanted = match format {
        Format::Csv | Format::Ndjson | Format::Json | Format::Xml | Format::Microchip => Container::Text,
        Format::Xlsx | Format::Ods | Format::Certificates => Container::Archive,
        Format::Xls => Container::Compound,
    };
    if wanted == container {
        return Ok(Some(format));
    }
    let what = match container {
        Container::Text => "is text or no manifest",
        Container::Archive => "is a ZIP archive or a workbook",
        Container::Compound => "is a workbook of old Excel, or one with a password",
    };
    Err(unreadable(&format!(
        "{what}, and not in the format that was given; let it be detected"
    )))
}

/// The format of a text; its name is a hint only.
pub(super) fn text(text: &[u8], format: Option<Format>, options: &ReadOptions) -> Result<Text, Refusal> {
    let start = text.trim_ascii_start();
    match (format, start.first()) {
        (_, None) => Err(unreadable("has no rows")),
        (Some(Format::Csv), _) => Ok(Text::Csv),
        (Some(Format::Ndjson), _) => Ok(Text::Ndjson),
        (Some(Format::Json), _) => Ok(Text::Json),
        (Some(Format::Xml), _) => Ok(Text::Xml),
        (Some(Format::Microchip), _) => Ok(Text::Microchip),
        (_, Some(b'[')) if microchip::is_manifest(start) => Ok(Text::Microchip),
        (_, Some(b'[')) => Ok(Text::Json),
        (_, Some(b'{')) => Ok(lines_or_list(start, options)),
        (_, Some(b'-')) if start.starts_with(b"-----BEGIN ") => Err(unreadable(
            "is a certificate or a key; put the certificates of devices into a ZIP archive, a file for each",
        )),
        (_, Some(b'<')) if is_html(start) => Err(unreadable(
            "is a web page, not a table; open it in a spreadsheet program and save it as CSV or XLSX",
        )),
        (_, Some(b'<')) => Ok(Text::Xml),
        (_, Some(_)) if named(options, &[".ndjson", ".jsonl", ".json"]) => Err(unreadable(
            "is called JSON, but begins with neither an object nor a list",
        )),
        (_, Some(_)) => Ok(Text::Csv),
    }
}

fn named(options: &ReadOptions, endings: &[&str]) -> bool {
    let name = options.file_name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Websites export tables as HTML and call them `.xls`.
fn is_html(start: &[u8]) -> bool {
    let head = start
        .get(..256.min(start.len()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    [&b"<!doctype html"[..], b"<html", b"<table"]
        .iter()
        .any(|tag| head.starts_with(tag))
}

/// A text that begins with an object: one a line, or one object that holds the list? A first line that is cut off
/// within a value is no object of its own, and one that holds a list of objects is no row.
fn lines_or_list(start: &[u8], options: &ReadOptions) -> Text {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_list = match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(value) => value
            .as_object()
            .is_some_and(|members| members.values().any(is_objects)),
        Err(error) => error.is_eof() && !named(options, &[".ndjson", ".jsonl"]),
    };
    if is_list || options.record_path.is_some() {
        Text::Json
    } else {
        Text::Ndjson
    }
}

fn is_objects(value: &serde_json::Value) -> bool {
    value
        .as_array()
        .is_some_and(|list| list.first().is_some_and(serde_json::Value::is_object))
}

/// The format of an archive, by the parts it has.
pub(super) fn packed<R: Read + Seek>(
    archive: &mut Archive<R>,
    format: Option<Format>,
) -> Result<Packed, ReadError> {
    match format {
        Some(Format::Xlsx) => return Ok(Packed::Xlsx),
        Some(Format::Ods) => return Ok(Packed::Ods),
        Some(Format::Certificates) => return Ok(Packed::Certificates),
        Some(Format::Csv | Format::Ndjson | Format::Json | Format::Xml | Format::Xls | Format::Microchip)
        | None => {}
    }
    let begins = |prefix: &str| {
        archive
            .entries()
            .iter()
            .any(|entry| entry.name.starts_with(prefix))
    };
    if begins("xl/") {
        return Ok(Packed::Xlsx);
    }
    if begins("Index/") && archive.entries().iter().any(|entry| entry.name.ends_with(".iwa")) {
        return Err(unreadable("is a Numbers document; export it as Excel or CSV").into());
    }
    if begins("word/") || begins("ppt/") {
        return Err(unreadable("is a document or a presentation, not a table; save the table as CSV").into());
    }
    match media_type(archive)?.as_deref() {
        Some(kind) if kind.starts_with("application/vnd.oasis.opendocument.spreadsheet") => Ok(Packed::Ods),
        Some(kind) if kind.starts_with("application/vnd.oasis.opendocument") => {
            Err(unreadable("is a document, not a spreadsheet; save the table as CSV").into())
        }
        Some(_) | None if archive.entry("[Content_Types].xml").is_some() => Ok(Packed::Xlsx),
        Some(_) | None => Ok(Packed::Certificates),
    }
}

/// What an OpenDocument file says that it is.
fn media_type<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Option<String>, ReadError> {
    /// The longest name of a media type that counts.
    const LIMIT: u64 = 256;
    let Some(entry) = archive.entry("mimetype") else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let read = archive.part(&entry)?.take(LIMIT).read_to_end(&mut text);
    read.map_err(super::carried::arrive)?;
    Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
}
