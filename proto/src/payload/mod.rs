//! MQTT payloads: what devices and registry say to each other, and what integrators hear of it.
//!
//! Postcard is not self-describing, so each postcard payload starts with [`VERSION`]; decoding refuses other
//! versions, trailing bytes and anything over [`LIMIT`]. The JSON twin refuses unknown fields.

mod binary;
mod claim;
mod desired;
mod presence;
mod renew;
mod report;
mod sealed;
mod trust;

pub use binary::{Binary, Digest};
pub use claim::{Claim, ClaimAccepted, ClaimRefused, ClaimResult};
pub use desired::{Coordinates, Desired, File, Firmware, Location};
pub use presence::{Departure, Presence};
pub use renew::{CertificateIssued, CertificateUpdate, Renew};
pub use report::{Facet, FacetState, FacetStatus, Hello, Report};
pub use sealed::{PLACEHOLDER_CLOSE, PLACEHOLDER_OPEN, PLACEHOLDER_WORD, Sealed, SealedSecret};
pub use trust::{TrustBundle, TrustVersion, Trusted};

use crate::topic::Encoding;
use serde::{Serialize, de::DeserializeOwned};

/// First byte of every postcard payload.
pub const VERSION: u8 = 1;
/// Most bytes of one payload, either encoding.
pub const LIMIT: usize = 256 << 10;

/// Why bytes are not the payload they should be. Safe to show: says nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Over [`LIMIT`].
    #[error("payload of {0} bytes is over the limit of {LIMIT}")]
    TooLarge(usize),
    /// Nothing there.
    #[error("payload is empty")]
    Empty,
    /// The version byte is not [`VERSION`].
    #[error("payload has version {0}, this side speaks {VERSION}")]
    Version(u8),
    /// Not postcard of this message.
    #[error("payload is not this message in postcard")]
    Postcard,
    /// Not JSON of this message.
    #[error("payload is not this message in JSON: {0}")]
    Json(String),
    /// The message cannot be written.
    #[error("message cannot be encoded")]
    Unwritable,
}

/// Writes a message.
pub fn encode<T: Serialize>(message: &T, encoding: Encoding) -> Result<Vec<u8>, PayloadError> {
    let bytes = match encoding {
        Encoding::Postcard => {
            postcard::to_extend(message, vec![VERSION]).map_err(|_| PayloadError::Unwritable)?
        }
        Encoding::Json => serde_json::to_vec(message).map_err(|_| PayloadError::Unwritable)?,
    };
    if bytes.len() > LIMIT {
        Err(PayloadError::TooLarge(bytes.len()))
    } else {
        Ok(bytes)
    }
}

/// Reads a message, whole.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], encoding: Encoding) -> Result<T, PayloadError> {
    if bytes.len() > LIMIT {
        return Err(PayloadError::TooLarge(bytes.len()));
    }
    match encoding {
        Encoding::Postcard => {
            let (&version, body) = bytes.split_first().ok_or(PayloadError::Empty)?;
            if version != VERSION {
                return Err(PayloadError::Version(version));
            }
            match postcard::take_from_bytes(body) {
                Ok((message, [])) => Ok(message),
                _ => Err(PayloadError::Postcard),
            }
        }
        // A serde_json error names line and column and the unexpected type or field, at most a few dozen characters.
        Encoding::Json => {
            serde_json::from_slice(bytes).map_err(|error| PayloadError::Json(error.to_string()))
        }
    }
}
