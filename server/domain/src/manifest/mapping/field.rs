//! What a column holds.

use crate::manifest::RowClaim;
use core::{fmt, str::FromStr};

/// Longest name of a label or variable, in bytes.
pub(super) const NAME_LIMIT: usize = 63;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The serial.
    Serial,
    /// The hardware address.
    Mac,
    /// The model.
    Model,
    /// The hardware revision.
    Hardware,
    /// The firmware from the factory.
    Firmware,
    /// The site.
    Site,
    /// The place in the site.
    Position,
    /// A certificate request, public key or certificate.
    Credential,
    /// The etag that the device must have.
    Etag,
    /// SHA-256 of the one key that may come with the device's code.
    SpkiSha256,
    /// From when on a claim may begin.
    ClaimNotBefore,
    /// Until when a claim may begin.
    ClaimNotAfter,
    /// A label, by key.
    Label(String),
    /// A variable, by name.
    Variable(String),
    /// Nothing that we act on; it is kept with the device as the factory wrote it, under this name.
    Kept(String),
    /// A file of refused rows that comes back: the batch they belong to.
    RetryBatch,
    /// A file of refused rows that comes back: the row's number in the first file.
    RetryRow,
    /// Nothing: a column without a name, or one of an earlier results file.
    Ignored,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.write_str("serial"),
            Self::Mac => f.write_str("mac"),
            Self::Model => f.write_str("model"),
            Self::Hardware => f.write_str("hardware"),
            Self::Firmware => f.write_str("firmware"),
            Self::Site => f.write_str("site"),
            Self::Position => f.write_str("position"),
            Self::Credential => f.write_str("credential"),
            Self::Etag => f.write_str("etag"),
            Self::SpkiSha256 => f.write_str(RowClaim::KEY),
            Self::ClaimNotBefore => f.write_str(RowClaim::NOT_BEFORE),
            Self::ClaimNotAfter => f.write_str(RowClaim::NOT_AFTER),
            Self::Label(key) => write!(f, "labels.{key}"),
            Self::Variable(name) => write!(f, "variables.{name}"),
            Self::Kept(_) => f.write_str("kept"),
            Self::RetryBatch => f.write_str("retry_batch"),
            Self::RetryRow => f.write_str("retry_row"),
            Self::Ignored => f.write_str("ignored"),
        }
    }
}

/// Why a text names no field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoField(String);

impl fmt::Display for NoField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Field {
    type Err = NoField;

    /// Reads a field as mappings name it. `kept` names a column that stands for itself, so the caller fills in its name.
    fn from_str(text: &str) -> Result<Self, NoField> {
        let simple = match text {
            "serial" => Some(Self::Serial),
            "mac" => Some(Self::Mac),
            "model" => Some(Self::Model),
            "hardware" => Some(Self::Hardware),
            "firmware" => Some(Self::Firmware),
            "site" => Some(Self::Site),
            "position" => Some(Self::Position),
            "credential" => Some(Self::Credential),
            "etag" => Some(Self::Etag),
            RowClaim::KEY => Some(Self::SpkiSha256),
            RowClaim::NOT_BEFORE => Some(Self::ClaimNotBefore),
            RowClaim::NOT_AFTER => Some(Self::ClaimNotAfter),
            "kept" => Some(Self::Kept(String::new())),
            "ignored" => Some(Self::Ignored),
            _ => None,
        };
        if let Some(field) = simple {
            return Ok(field);
        }
        match text.split_once('.') {
            Some(("labels", key)) => label(key).map(Self::Label),
            Some(("variables", name)) => variable(name).map(Self::Variable),
            Some(_) | None => Err(NoField(format!(
                "{text:?} is no field; there are serial, mac, model, hardware, firmware, site, position, credential, \
                 etag, spki_sha256, claim_not_before, claim_not_after, labels.KEY, variables.NAME, kept, ignored"
            ))),
        }
    }
}

fn label(key: &str) -> Result<String, NoField> {
    if key.is_empty() || key.len() > NAME_LIMIT {
        Err(NoField(format!(
            "a label's key has 1 to {NAME_LIMIT} bytes, not {}",
            key.len()
        )))
    } else if key.trim() != key || key.chars().any(char::is_control) {
        Err(NoField(format!(
            "{key:?} begins or ends with a blank, or holds a control character"
        )))
    } else {
        Ok(key.to_owned())
    }
}

/// Templates use variables as identifiers.
fn variable(name: &str) -> Result<String, NoField> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(plain) {
        Err(NoField(format!(
            "{name:?} is no name of a variable: 1 to {NAME_LIMIT} of a-z, 0-9 and underscore"
        )))
    } else {
        Ok(name.to_owned())
    }
}
