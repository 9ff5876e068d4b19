//! Desired state that is proven to come from the registry, for this device.

use crate::{
    clock::Believed,
    identity::{DeviceId, Trust},
    machine::Mark,
};
use muster_proto::{
    envelope::{Envelope, EnvelopeError},
    payload::{self, Desired, Digest},
    topic::Encoding,
};
use sha2::{Digest as _, Sha256};

/// How envelopes travel to this agent, and how it keeps them.
pub(crate) const ENCODING: Encoding = Encoding::Postcard;

/// Why an envelope is not for this device, or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("desired state is not believed: {0}")]
    Envelope(#[from] EnvelopeError),
    #[error("desired state is for another device")]
    OtherDevice,
    #[error("desired state has generation 0, which stands for none")]
    NoGeneration,
    #[error("desired state says it was signed after its signer's certificate ended")]
    SignedTooLate,
}

/// Desired state whose envelope holds: only [`prove`] makes one, and nothing else is kept or applied.
#[derive(Debug, Clone)]
pub(crate) struct Proven {
    desired: Desired,
    mark: Mark,
    envelope: Vec<u8>,
    proven_at: Believed,
}

impl Proven {
    pub(crate) fn desired(&self) -> &Desired {
        &self.desired
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    pub(crate) fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// The moment at which its signer's certificate was judged.
    pub(crate) fn proven_at(&self) -> Believed {
        self.proven_at
    }

    /// As if an envelope had held.
    #[cfg(test)]
    pub(crate) fn for_tests(mark: Mark) -> Self {
        let desired = crate::testing::desired(crate::testing::DEVICE, mark.generation);
        Self {
            desired,
            mark,
            envelope: Vec::new(),
            proven_at: Believed::Shown(0),
        }
    }

    pub(crate) fn into_desired(self) -> Desired {
        self.desired
    }
}

/// Opens an envelope: pinned root, configuration-signing certificate, signature, device; in this order.
pub(crate) fn prove(
    envelope: &[u8],
    device: &DeviceId,
    trust: &Trust,
    now: Believed,
) -> Result<Proven, Unproven> {
    let mut signer_ends = 0;
    let desired = Envelope::open(envelope, ENCODING, |certificate| {
        let (spki, validity) = trust
            .signer(certificate, now)
            .map_err(|error| error.to_string())?;
        signer_ends = validity.not_after;
        Ok(spki)
    })?;
    if desired.device_id != device.as_str() {
        return Err(Unproven::OtherDevice);
    }
    if desired.generation == 0 {
        return Err(Unproven::NoGeneration);
    }
    // The issue time becomes a floor for the clock. A registry whose own clock ran away must not take devices along
    // to where none of its certificates holds.
    if desired.issued_at > signer_ends {
        return Err(Unproven::SignedTooLate);
    }
    let mark = Mark {
        generation: desired.generation,
        digest: desired.digest,
        content: content(&desired)?,
    };
    Ok(Proven {
        desired,
        mark,
        envelope: envelope.to_vec(),
        proven_at: now,
    })
}

/// SHA-256 of what a generation is. The registry signs the same generation again at each delivery; the time of it
/// and the offset of local time at that time may differ then, and nothing else.
fn content(desired: &Desired) -> Result<Digest, EnvelopeError> {
    let mut timeless = desired.clone();
    timeless.issued_at = 0;
    if let Some(location) = &mut timeless.location {
        location.utc_offset_seconds = 0;
    }
    let bytes = payload::encode(&timeless, ENCODING).map_err(EnvelopeError::Payload)?;
    Ok(Digest(Sha256::digest(bytes).into()))
}

#[cfg(test)]
mod tests;
