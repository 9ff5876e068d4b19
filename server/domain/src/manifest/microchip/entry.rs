//! One entry: a JSON Web Signature (RFC 7515), verified before its payload is looked at.

use super::{super::record::Fault, element::Element, signer::Signers};
use crate::Code;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, signature::Verifier as _};
use serde::{Deserialize, de::IgnoredAny};

/// Longest explanation of what is wrong with an entry: it can quote the entry.
const WHY_LIMIT: usize = 200;
/// The one algorithm: ECDSA on P-256 with SHA-256 (RFC 7518, 3.4). What the entry says is compared, never followed.
const ALGORITHM: &str = "ES256";

/// The flattened form. A key that stands twice is an error; other keys mean nothing.
#[derive(Deserialize)]
struct Entry<'e> {
    #[serde(borrow)]
    payload: &'e str,
    protected: &'e str,
    header: Header<'e>,
    signature: &'e str,
}

/// What nobody signed.
#[derive(Deserialize)]
struct Header<'e> {
    #[serde(rename = "uniqueId", borrow)]
    unique_id: &'e str,
}

/// What is signed with the payload.
#[derive(Deserialize)]
struct Protected<'e> {
    #[serde(borrow)]
    alg: &'e str,
    /// The signer's key identifier, base64url.
    kid: Option<&'e str>,
    /// SHA-256 of the signer's certificate, base64url.
    #[serde(rename = "x5t#S256")]
    thumbprint: Option<&'e str>,
    /// Extensions that must be understood (RFC 7515, 4.1.11). We understand none.
    crit: Option<IgnoredAny>,
}

/// Does a text begin with an entry, whole or cut off? One with keys is long, so its end need not be here.
pub(super) fn begins(text: &[u8]) -> bool {
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    match serde_json::Deserializer::from_slice(text)
        .into_iter::<Entry<'_>>()
        .next()
    {
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            error.is_eof()
                && [&b"\"payload\""[..], b"\"protected\"", b"\"signature\""]
                    .into_iter()
                    .any(has)
        }
        None => false,
    }
}

/// Verifies an entry and reads what is inside.
///
/// # Errors
/// [`Fault::Signature`] when it is not signed by one of `signers` or is not for the element that it names,
/// [`Fault::Entry`] when it, or what is signed, is malformed.
pub(super) fn read(text: &[u8], signers: &Signers) -> Result<Element, Fault> {
    let entry: Entry<'_> = serde_json::from_slice(text).map_err(|error| malformed("the entry", &error))?;
    verify(&entry, signers).map_err(Fault::Signature)?;
    let payload = decode(entry.payload).ok_or_else(|| unusable("has a payload that is not base64url"))?;
    let element = Element::read(&payload)?;
    if element.unique_id() != entry.header.unique_id {
        return Err(Fault::Signature(
            "names another element outside than in what is signed".into(),
        ));
    }
    Ok(element)
}

/// JSON that is not what it should be.
pub(super) fn malformed(what: &str, error: &serde_json::Error) -> Fault {
    unusable(&format!("{what} cannot be read: {error}"))
}

/// What is signed, or the entry itself, is malformed.
pub(super) fn unusable(why: &str) -> Fault {
    Fault::Entry {
        code: Code::CellMalformed,
        why: why.chars().take(WHY_LIMIT).collect(),
    }
}

/// Without padding, and with bits that stand for nothing zero: one text for one value.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn verify(entry: &Entry<'_>, signers: &Signers) -> Result<(), String> {
    let protected = decode(entry.protected).ok_or("has a protected header that is not base64url")?;
    let protected: Protected<'_> =
        serde_json::from_slice(&protected).map_err(|_| "has a protected header that cannot be read")?;
    if protected.alg != ALGORITHM {
        return Err(format!("is not signed with {ALGORITHM}"));
    }
    if protected.crit.is_some() {
        return Err("demands an extension of its signature that nobody knows".into());
    }
    let hint = |text: Option<&str>| {
        text.map(decode)
            .map_or(Ok(None), |found| found.map(Some).ok_or(()))
    };
    let hints = hint(protected.thumbprint).and_then(|thumbprint| Ok((thumbprint, hint(protected.kid)?)));
    let (thumbprint, key_id) = match hints {
        Ok((None, None)) => return Err("does not say who signed it".into()),
        Ok(hints) => hints,
        Err(()) => return Err("says who signed it in a form that cannot be read".into()),
    };
    let signature = decode(entry.signature)
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or("has a signature that is none of ES256")?;
    let message = [entry.protected, ".", entry.payload].concat();
    let mut candidates = signers.find(thumbprint.as_deref(), key_id.as_deref()).peekable();
    let Some(first) = candidates.peek() else {
        return Err(unknown(thumbprint.as_deref(), key_id.as_deref()));
    };
    let name = first.name.clone();
    if candidates.any(|signer| signer.key.verify(message.as_bytes(), &signature).is_ok()) {
        Ok(())
    } else {
        Err(format!("is not signed by {name}, or was changed afterwards"))
    }
}

/// Names the certificate to look for, as tools print it.
fn unknown(thumbprint: Option<&[u8]>, key_id: Option<&[u8]>) -> String {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .take(32)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let key_id = key_id.map(|id| format!("the key identifier {}", hex(id)));
    let thumbprint = thumbprint.map(|print| format!("the SHA-256 fingerprint {}", hex(print)));
    let named: Vec<_> = key_id.into_iter().chain(thumbprint).collect();
    format!(
        "is signed by a certificate that is not among those given, with {}",
        named.join(" and ")
    )
}
