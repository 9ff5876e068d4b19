//! JSON Web Keys (RFC 7517) on P-256: how secure elements write public keys.

use super::spki;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// What is read of a key. A key that stands twice, as in `{"x": .., "x": ..}`, is an error; others mean nothing here.
#[derive(Deserialize)]
struct Jwk<'j> {
    #[serde(borrow)]
    kty: &'j str,
    crv: &'j str,
    x: &'j str,
    y: &'j str,
    /// The private half: it must not be here.
    d: Option<serde::de::IgnoredAny>,
}

/// The SubjectPublicKeyInfo of a JSON Web Key.
pub(super) fn spki(text: &str) -> Result<Vec<u8>, String> {
    // The parser's own words quote the text, which can hold a private key.
    let jwk: Jwk<'_> = serde_json::from_str(text)
        .map_err(|_| "is no JSON Web Key of the type EC, with kty, crv, x and y")?;
    if jwk.d.is_some() {
        return Err(super::PRIVATE.into());
    }
    if (jwk.kty, jwk.crv) != ("EC", "P-256") {
        return Err("is a JSON Web Key of another kind than EC on P-256".into());
    }
    coordinates(jwk.x, jwk.y)
}

/// The SubjectPublicKeyInfo of a point of P-256, whose coordinates are in base64url (RFC 7518, 6.2.1).
pub(in crate::manifest) fn coordinates(x: &str, y: &str) -> Result<Vec<u8>, String> {
    let coordinate = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        <[u8; 32]>::try_from(bytes).ok()
    };
    let (x, y) = coordinate(x)
        .zip(coordinate(y))
        .ok_or("has coordinates that are not 32 bytes in base64url")?;
    spki::p256(&x, &y)
}
