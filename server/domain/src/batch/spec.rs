//! What is sent, and how to treat it.

use super::PlanHash;
use crate::{
    catalog::RevisionNumber,
    manifest::{Format, Writes},
    names::{MappingName, ModelName},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::time::Duration;

/// How new devices come to their identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CredentialKind {
    /// An activation code for the label.
    #[default]
    Code,
    /// A certificate request in the row; the certificate comes back.
    Csr,
    /// The server makes a key; key and certificate come back encrypted.
    Key,
    /// The row has a public key or certificate; the device proves that it holds the key.
    Pinned,
}

/// What the server makes of a new key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyFormat {
    /// PKCS#8 key and certificate chain.
    #[default]
    Pem,
    /// PKCS#12 with an empty password.
    Pkcs12,
}

/// What is sent, and how to treat it: as the caller said it, checked for form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSpec {
    /// As the user calls it; not a path.
    pub file_name: String,
    /// `None`: decide by name and content.
    pub format: Option<Format>,
    /// Of a spreadsheet; empty: the first that holds a header.
    pub sheet: String,
    /// The row that names the columns; 0: find it.
    pub header_row: u32,
    /// The element or key that holds the records; empty: find it.
    pub record_path: String,
    /// DER certificates that may have signed the entries of a Microchip manifest.
    pub signers: Vec<Vec<u8>>,
    /// Which mapping, and which revision of it if not the newest; `None`: find or propose one.
    pub mapping: Option<(MappingName, Option<RevisionNumber>)>,
    /// The name under which to keep the mapping; `None`: that of the model.
    pub save_mapping: Option<MappingName>,
    /// The model of rows that name none.
    pub default_model: Option<ModelName>,
    /// Check everything, change nothing: the batch ends as planned.
    pub validate_only: bool,
    /// Apply exactly this plan or nothing.
    pub plan_hash: Option<PlanHash>,
    /// Apply nothing when one row is refused.
    pub all_or_nothing: bool,
    /// What rows may do.
    pub writes: Writes,
    /// Paths of the fields that updates may change; empty: whatever the file has.
    pub update_mask: Vec<String>,
    /// What new devices get.
    pub credential: CredentialKind,
    /// How long activation codes last; zero: until used.
    pub code_ttl: Duration,
    /// What the server makes of a key.
    pub key_format: KeyFormat,
    /// The age recipient to whom keys are encrypted.
    pub key_recipient: String,
}

/// What a file of mended rows says of itself; everything else stays as the batch began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryFile {
    /// As the user calls it.
    pub file_name: String,
    /// `None`: decide by name and content.
    pub format: Option<Format>,
    /// Of a spreadsheet.
    pub sheet: String,
    /// The row that names the columns; 0: find it.
    pub header_row: u32,
}

impl BatchSpec {
    /// The same, for another file. A plan was of the former file, so it binds no more.
    #[must_use]
    pub fn retried(self, file: RetryFile) -> Self {
        Self {
            file_name: file.file_name,
            format: file.format,
            sheet: file.sheet,
            header_row: file.header_row,
            plan_hash: None,
            ..self
        }
    }
}

/// Formats as they stand on record: numbers that are never reused, the same as on the wire.
const FORMATS: [(u8, Format); 9] = [
    (1, Format::Csv),
    (2, Format::Ndjson),
    (3, Format::Json),
    (4, Format::Xml),
    (5, Format::Xlsx),
    (6, Format::Xls),
    (7, Format::Ods),
    (8, Format::Microchip),
    (9, Format::Certificates),
];

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = FORMATS.iter().find(|(_, format)| format == self);
        serializer.serialize_u8(number.map_or(0, |(number, _)| *number))
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        let format = FORMATS.iter().find(|(known, _)| *known == number);
        format
            .map(|(_, format)| *format)
            .ok_or_else(|| D::Error::custom("a number that no format has"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_number_and_reads_back() {
        for (number, format) in FORMATS {
            let bytes = postcard::to_allocvec(&format).unwrap();
            assert_eq!(bytes, [number]);
            assert_eq!(postcard::from_bytes(&bytes), Ok(format));
        }
        assert!(postcard::from_bytes::<Format>(&[0]).is_err());
        assert!(postcard::from_bytes::<Format>(&[10]).is_err());
    }

    #[test]
    fn a_retry_changes_the_file_alone() {
        let spec = BatchSpec {
            file_name: "line7.csv".to_owned(),
            sheet: "old".to_owned(),
            credential: CredentialKind::Csr,
            plan_hash: Some(PlanHash([1; 32])),
            ..BatchSpec::default()
        };
        let retried = spec.retried(RetryFile {
            file_name: "failed.csv".to_owned(),
            format: Some(Format::Csv),
            ..RetryFile::default()
        });
        let expected = BatchSpec {
            file_name: "failed.csv".to_owned(),
            format: Some(Format::Csv),
            credential: CredentialKind::Csr,
            ..BatchSpec::default()
        };
        assert_eq!(retried, expected);
    }
}
