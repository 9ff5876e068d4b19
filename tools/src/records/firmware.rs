//! Images of firmware policies, and who signed them.

use crate::output::{Column, Look, Record};
use serde::Serialize;

/// An image as a policy names it, signed; what is not known of it is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedImage {
    /// What devices report once they run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// DER in base64.
    pub signature: String,
}

impl Record for SignedImage {
    const COLUMNS: &'static [Column] = &[
        Column::shown("version", "VERSION", Look::Plain),
        Column::shown("url", "URL", Look::Plain),
        Column::shown("sha256", "SHA-256", Look::Plain),
        Column::shown("size", "SIZE", Look::Number),
        Column::shown("signature", "SIGNATURE", Look::Plain),
    ];
}

/// An image of a policy, held to the keys of its authors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedImage {
    /// The policy's name.
    pub policy: String,
    /// Where the policy has it, such as `update.target`.
    pub path: String,
    /// Its version.
    pub version: String,
    /// `signed`, `unsigned`, or `wrong`: by another key, or over another image.
    pub signature: String,
    /// Which of the files given are this image.
    pub files: Vec<String>,
}

impl Record for CheckedImage {
    const COLUMNS: &'static [Column] = &[
        Column::shown("policy", "POLICY", Look::Plain),
        Column::shown("path", "IMAGE", Look::Plain),
        Column::shown("version", "VERSION", Look::Plain),
        Column::shown("signature", "SIGNATURE", Look::Plain),
        Column::shown("files", "FILES", Look::Plain),
    ];
}
