//! Formats of manifests, what is known of a file before it is read, and why reading ends.

use crate::Refusal;
use core::fmt;
use std::io;

/// What a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells between commas, semicolons, tabs or bars; the first row names them.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// A JSON list of objects, or an object that has one.
    Json,
    /// One XML element a record.
    Xml,
    /// An Excel workbook (ECMA-376).
    Xlsx,
    /// An Excel workbook of before 2007 (MS-XLS).
    Xls,
    /// An OpenDocument spreadsheet (ISO 26300).
    Ods,
    /// A manifest of the Microchip Trust Platform.
    Microchip,
    /// A ZIP archive of certificates, PEM or DER, one device each.
    Certificates,
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// As the user calls it; its ending hints at the format.
    pub file_name: String,
    /// The format, where the user gave it.
    pub format: Option<Format>,
    /// Spreadsheets: the sheet; `None`: the first that holds a header.
    pub sheet: Option<String>,
    /// The row that names the columns, as the file shows it; `None`: find it.
    pub header_row: Option<u32>,
    /// XML: the element that is a record; JSON: the key of the list. `None`: find it.
    pub record_path: Option<String>,
    /// DER certificates of which one must have signed each entry of a Microchip manifest.
    pub signers: Vec<Vec<u8>>,
}

/// Why a file cannot be read (on).
#[derive(Debug)]
pub enum ReadError {
    /// The byte stream failed; the file may be sound.
    Input(io::Error),
    /// The file is no manifest, or over a limit.
    Refused(Refusal),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(_) => f.write_str("reading the manifest"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
