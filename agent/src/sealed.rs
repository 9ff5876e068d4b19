//! Secrets of the desired state: kept as they came, sealed, and opened only when files are written.
//!
//! ```text
//! state/sealed   what came for the generation that is held, and for one that is on its way
//! ```

use crate::{
    desired::ENCODING,
    disk::{Disk, Place},
    identity::{DeviceId, DeviceKey, Trust},
    machine::Mark,
    record::{self, StateError},
};
use muster_proto::{
    envelope::{Envelope, EnvelopeError},
    payload::{Desired, PLACEHOLDER_CLOSE, PLACEHOLDER_OPEN, PLACEHOLDER_WORD, Sealed, SealedSecret},
};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Why sealed secrets are not for this device, or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("sealed secrets are not believed: {0}")]
    Envelope(#[from] EnvelopeError),
    #[error("sealed secrets are for another device")]
    OtherDevice,
}

/// Sealed secrets whose envelope holds: only [`prove`] makes them, and nothing else is kept.
#[derive(Debug)]
pub(crate) struct ProvenSealed(Sealed);

impl ProvenSealed {
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation
    }

    /// As if an envelope had held.
    #[cfg(test)]
    pub(crate) fn for_tests(sealed: Sealed) -> Self {
        Self(sealed)
    }
}

/// Opens an envelope: pinned root, configuration-signing certificate, signature, device; in this order.
pub(crate) fn prove(envelope: &[u8], device: &DeviceId, trust: &Trust) -> Result<ProvenSealed, Unproven> {
    let now = trust.clock().now();
    let sealed = Envelope::open_sealed(envelope, ENCODING, |certificate| {
        let signer = trust
            .signer(certificate, now)
            .map_err(|error| error.to_string())?;
        Ok(signer.0)
    })?;
    if sealed.device_id != device.as_str() {
        return Err(Unproven::OtherDevice);
    }
    Ok(ProvenSealed(sealed))
}

/// What became of secrets that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// They are durable, and were not there before.
    Kept,
    /// The same were there, or they are of no use: for an older generation, or sealed to another key.
    Known,
}

fn place() -> Place {
    Place::fixed("sealed")
}

fn load(disk: &dyn Disk) -> Result<Vec<Sealed>, StateError> {
    Ok(record::load(disk, &place())?.unwrap_or_default())
}

/// Makes secrets durable, beside those of the generation that is held. The registry seals anew each time it sends, and flash
/// wears: what is there already for the same content and key is not written again.
pub(crate) fn keep(
    disk: &dyn Disk,
    ProvenSealed(offer): ProvenSealed,
    held: Option<Mark>,
    key: &DeviceKey,
) -> Result<News, StateError> {
    let held = held.map_or(0, |held| held.generation);
    let own = key.digest();
    if offer.generation < held || offer.recipient != own {
        return Ok(News::Known);
    }
    let mut kept = load(disk)?;
    let same = |one: &Sealed| {
        (one.generation, one.digest, one.recipient) == (offer.generation, offer.digest, offer.recipient)
    };
    if kept.iter().any(same) {
        return Ok(News::Known);
    }
    // What is held may have to be written again before its successor comes.
    kept.retain(|one| one.generation == held && one.generation != offer.generation && one.recipient == own);
    kept.push(offer);
    record::save(disk, &place(), &kept)?;
    Ok(News::Kept)
}

/// A secret that files need and the device has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lacking {
    #[error("secret {0} has not come; waiting for the registry to send it")]
    Missing(String),
    #[error("secret {0} does not open with the device's key; waiting for the registry to send it again")]
    Closed(String),
    #[error("sealed secrets cannot be read: {0}")]
    State(String),
}

/// Opened values, by `NAME@REVISION`; wiped when they go.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Secrets {
    /// The values that the files of a desired state name.
    pub(crate) fn open(disk: &dyn Disk, desired: &Desired, key: &DeviceKey) -> Result<Self, Lacking> {
        let named = desired.files.iter().flat_map(|file| references(&file.content));
        let mut named = named.peekable();
        if named.peek().is_none() {
            return Ok(Self::default());
        }
        let kept = load(disk).map_err(|error| Lacking::State(error.to_string()))?;
        let sealed = kept
            .iter()
            .find(|one| (one.generation, one.digest) == (desired.generation, desired.digest));
        let mut opened = BTreeMap::new();
        for reference in named {
            let found = sealed.and_then(|sealed| {
                let mut secrets = sealed.secrets.iter();
                Some((sealed, secrets.find(|secret| secret.reference() == reference)?))
            });
            let (sealed, secret) = found.ok_or_else(|| Lacking::Missing(reference.to_owned()))?;
            let value = unseal(sealed, secret, key).ok_or_else(|| Lacking::Closed(reference.to_owned()))?;
            opened.insert(reference.to_owned(), value);
        }
        Ok(Self(opened))
    }

    /// A file with its values in place.
    pub(crate) fn fill(&self, content: &str) -> Result<Zeroizing<Vec<u8>>, Lacking> {
        // At its size from the start: a buffer that grows leaves copies behind.
        let values: usize = references(content)
            .map(|reference| self.0.get(reference).map_or(0, |value| value.len()))
            .sum();
        let mut filled = Zeroizing::new(Vec::with_capacity(content.len() + values));
        for piece in pieces(content) {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Piece::Secret(reference) => {
                    let value = self.0.get(reference);
                    filled.extend_from_slice(value.ok_or_else(|| Lacking::Missing(reference.to_owned()))?);
                }
            }
        }
        Ok(filled)
    }
}

fn unseal(sealed: &Sealed, secret: &SealedSecret, key: &DeviceKey) -> Option<Zeroizing<Vec<u8>>> {
    let reference = secret.reference();
    let info = Sealed::info(&sealed.device_id, sealed.generation, &sealed.digest, &reference);
    key.unseal(&secret.encapsulated.0, &info, &secret.ciphertext.0)
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// A placeholder, by its `NAME@REVISION`.
    Secret(&'t str),
}

/// A file cut at its placeholders. A sign that begins none is text: an older registry let it pass.
fn pieces(content: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(at) = content[from..].find(PLACEHOLDER_OPEN) {
        let open = from + at;
        let inside = open + PLACEHOLDER_OPEN.len_utf8();
        from = inside;
        if let Some(reference) = reference(&content[inside..]) {
            pieces.push(Piece::Text(&content[start..open]));
            pieces.push(Piece::Secret(reference));
            start = inside + PLACEHOLDER_WORD.len() + reference.len() + PLACEHOLDER_CLOSE.len_utf8();
            from = start;
        }
    }
    pieces.push(Piece::Text(&content[start..]));
    pieces
}

/// The `NAME@REVISION` of what follows the sign.
fn reference(text: &str) -> Option<&str> {
    let (reference, _) = text
        .strip_prefix(PLACEHOLDER_WORD)?
        .split_once(PLACEHOLDER_CLOSE)?;
    let (name, revision) = reference.split_once('@')?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    let is_name = !name.is_empty() && name.bytes().all(plain);
    let is_revision = !revision.is_empty() && revision.bytes().all(|c| c.is_ascii_digit());
    (is_name && is_revision).then_some(reference)
}

fn references(content: &str) -> impl Iterator<Item = &str> {
    pieces(content).into_iter().filter_map(|piece| match piece {
        Piece::Secret(reference) => Some(reference),
        Piece::Text(_) => None,
    })
}

#[cfg(test)]
pub(crate) mod tests;
