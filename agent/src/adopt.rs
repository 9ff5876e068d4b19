//! Adopting an identity that was made elsewhere: the line got the certificate from the registry, for a key that
//! this device made or that came with the certificate.

use crate::{
    agent::{AgentError, Locked},
    config::Settings,
    identity::{self, DeviceId, DeviceKey, Identity, Trust, TrustError},
    record::StateError,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_proto::payload::{Binary, ClaimAccepted};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem, pem::PemObject as _};
use zeroize::Zeroizing;

/// Why what was handed over is not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The agent cannot be opened.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Not PEM, or with something that cannot be read in it.
    #[error("the file is not PEM with a key (PKCS#8), a certificate chain, or both")]
    Malformed,
    /// The file has a certificate and no key, and this device has none either.
    #[error("the file has no key, and this device has none that the certificate could be for")]
    NoKey,
    /// This device has another key already. It stays: it may be what the registry knows.
    #[error("this device has another key already")]
    OtherKey,
    /// This device has an identity already.
    #[error("this device is {0} already")]
    Claimed(DeviceId),
    /// The certificate is not one for this device.
    #[error("the certificate is not trusted")]
    Untrusted(#[from] TrustError),
}

impl From<StateError> for AdoptError {
    fn from(error: StateError) -> Self {
        Self::Agent(error.into())
    }
}

/// What a file hands over.
struct Handover {
    key: Option<DeviceKey>,
    chain: Vec<Binary>,
}

fn read(text: &[u8]) -> Result<Handover, AdoptError> {
    let key = match PrivatePkcs8KeyDer::from_pem_slice(text) {
        Ok(key) => {
            let document = Zeroizing::new(key.secret_pkcs8_der().to_vec());
            Some(DeviceKey::parse(document).ok_or(AdoptError::Malformed)?)
        }
        Err(pem::Error::NoItemsFound) => None,
        Err(_) => return Err(AdoptError::Malformed),
    };
    let chain = CertificateDer::pem_slice_iter(text)
        .map(|certificate| certificate.map(|certificate| Binary(certificate.to_vec())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| AdoptError::Malformed)?;
    if key.is_none() && chain.is_empty() {
        return Err(AdoptError::Malformed);
    }
    Ok(Handover { key, chain })
}

/// Characters of a line of PEM (RFC 7468).
const PEM_WIDTH: usize = 64;

/// A request (PKCS#10) for a certificate for this device's key, in PEM. The key is made, and durable, when there is none; it
/// stays here. What the registry issues for the request is for [`adopt`].
///
/// # Errors
/// The agent cannot be opened, or its key cannot be read or made.
pub fn request(settings: &Settings) -> Result<String, AgentError> {
    let Locked { state, .. } = Locked::open(settings)?;
    let (key, _) = DeviceKey::load_or_make(&*state)?;
    let text = STANDARD.encode(key.request()?);
    let mut pem = "-----BEGIN CERTIFICATE REQUEST-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(PEM_WIDTH));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem.push_str("-----END CERTIFICATE REQUEST-----\n");
    Ok(pem)
}

/// Makes a key, a certificate chain (the device's own first), or both this device's own. `text` is PEM. A key alone is for
/// a registry that has it pinned: the device claims with it, without a code. Gives the id when there is one now.
///
/// Everything is checked before anything is written, the key is durable before the identity, and neither replaces one that
/// is there.
///
/// # Errors
/// [`AdoptError`]; nothing was changed, or, when the disk failed between the two, the key is there and the same call
/// again finishes.
pub fn adopt(settings: &Settings, text: &[u8]) -> Result<Option<DeviceId>, AdoptError> {
    let Locked { state, trust, .. } = Locked::open(settings)?;
    let handover = read(text)?;
    if let Some(identity) = Identity::load(&*state)? {
        return Err(AdoptError::Claimed(identity.device().clone()));
    }
    let held = DeviceKey::load(&*state)?;
    let (key, is_new) = match (handover.key, held) {
        (Some(given), Some(held)) if given.spki() != held.spki() => return Err(AdoptError::OtherKey),
        (_, Some(held)) => (held, false),
        (Some(given), None) => (given, true),
        (None, None) => return Err(AdoptError::NoKey),
    };
    let identity = (!handover.chain.is_empty())
        .then(|| identity_of(handover.chain, &key, &trust))
        .transpose()?;
    if is_new {
        key.save(&*state)?;
    }
    match identity {
        Some(identity) => {
            identity.save(&*state)?;
            Ok(Some(identity.device().clone()))
        }
        None => Ok(None),
    }
}

fn identity_of(chain: Vec<Binary>, key: &DeviceKey, trust: &Trust) -> Result<Identity, AdoptError> {
    let leaf = chain.first().map(|leaf| leaf.0.as_slice()).unwrap_or_default();
    let device_id = identity::der::common_name(leaf).ok_or(TrustError::DeviceId)?;
    let accepted = ClaimAccepted {
        device_id,
        chain,
        roots: Vec::new(),
    };
    Ok(trust.identity(accepted, key)?)
}

#[cfg(test)]
mod tests;
