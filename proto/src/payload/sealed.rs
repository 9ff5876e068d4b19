//! Sealed secrets: values of a desired state that only its device can read.

use super::{Binary, Digest};
use serde::{Deserialize, Serialize};

/// The signed content of an [`crate::envelope::Envelope`] on `muster/v1/<id>/sealed`.
///
/// Each value is sealed by HPKE (RFC 9180) in base mode: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, to the key of
/// the device's certificate, with [`Sealed::info`] and no associated data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// For whom. A device refuses what is not for it.
    pub device_id: String,
    /// Of the desired state whose files name the values.
    pub generation: u64,
    /// Of its content.
    pub digest: Digest,
    /// SHA-256 of the SubjectPublicKeyInfo (DER) of the key that it is sealed to.
    pub recipient: Digest,
    /// The values, by name and revision.
    pub secrets: Vec<SealedSecret>,
}

/// One sealed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// `enc` of RFC 9180: an uncompressed point of 65 bytes.
    pub encapsulated: Binary,
    /// The value and a tag of 16 bytes behind it.
    pub ciphertext: Binary,
}

/// What HPKE binds every value to.
const CONTEXT: &[u8] = b"muster secrets v1\0";
/// The sign at which a placeholder begins, U+29FC. The registry lets no rendered file hold it anywhere else.
pub const PLACEHOLDER_OPEN: char = '\u{29fc}';
/// The sign at which it ends, U+29FD.
pub const PLACEHOLDER_CLOSE: char = '\u{29fd}';
/// What stands behind the sign in front.
pub const PLACEHOLDER_WORD: &str = "secret ";

impl Sealed {
    /// `info` of RFC 9180 for a value: for another device, generation, content, name or revision it does not open. All but the
    /// last part, `NAME@REVISION`, have one length each.
    pub fn info(device_id: &str, generation: u64, digest: &Digest, reference: &str) -> Vec<u8> {
        let generation = generation.to_be_bytes();
        [
            CONTEXT,
            device_id.as_bytes(),
            &generation,
            &digest.0,
            reference.as_bytes(),
        ]
        .concat()
    }
}

impl SealedSecret {
    /// `NAME@REVISION`, as it stands in a placeholder.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.revision)
    }
}
