//! Keys: public ones as 65-byte points, private ones that sign and never show.

use super::{CaError, weak};
use crate::random;
use muster_domain::certificate::{AuthorityId, SpkiDigest};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, SecretDocument};
use rcgen::PublicKeyData;
use rustls::{
    SignatureScheme,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// Bytes of an uncompressed point of P-256.
pub(super) const POINT: usize = 65;
/// A SubjectPublicKeyInfo of id-ecPublicKey on prime256v1 (RFC 5480, 2.1) up to the point: there is one DER encoding.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key on prime256v1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PublicKey([u8; POINT]);

/// Why a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnfitKey {
    /// Another algorithm, curve or form of point.
    Kind,
    /// Not a point of the curve.
    OffCurve,
    /// Its private half is publicly known.
    Known,
}

impl PublicKey {
    /// From the DER of a SubjectPublicKeyInfo.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, UnfitKey> {
        let point = spki.strip_prefix(&SPKI_PREFIX).ok_or(UnfitKey::Kind)?;
        let point: [u8; POINT] = point.try_into().map_err(|_| UnfitKey::Kind)?;
        if point[0] != 0x04 {
            return Err(UnfitKey::Kind);
        }
        p256::PublicKey::from_sec1_bytes(&point).map_err(|_| UnfitKey::OffCurve)?;
        if weak::is_known(&point) {
            return Err(UnfitKey::Known);
        }
        Ok(Self(point))
    }

    /// Its uncompressed point.
    pub(super) const fn point(&self) -> &[u8; POINT] {
        &self.0
    }

    /// The DER of its SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.0].concat()
    }

    /// Its name in the registry.
    pub(super) fn digest(&self) -> SpkiDigest {
        SpkiDigest(Sha256::digest(self.spki()).into())
    }

    /// Its key identifier: the first 160 bits of SHA-256 of the point (RFC 7093, 2, method 1).
    pub(super) fn identifier(&self) -> Vec<u8> {
        Sha256::digest(self.0)[..20].to_vec()
    }

    /// Its name as the key of an authority: the same bytes.
    pub(super) fn authority_id(&self) -> AuthorityId {
        let mut id = [0; 20];
        id.copy_from_slice(&Sha256::digest(self.0)[..20]);
        AuthorityId(id)
    }

    /// Did this key sign `message`? `signature` is an ECDSA-Sig-Value over SHA-256.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        webpki::aws_lc_rs::ECDSA_P256_SHA256
            .verify_signature(&self.0, message, signature)
            .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.digest())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let point = <Vec<u8>>::deserialize(deserializer)?;
        let point = point.try_into();
        point
            .map(Self)
            .map_err(|_| D::Error::custom("a point has 65 bytes"))
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// A private key, inside the cryptographic provider: it keeps no encoded copy.
#[derive(Clone)]
pub(super) struct PrivateKey {
    public: PublicKey,
    signer: Arc<dyn sign::SigningKey>,
}

impl PrivateKey {
    /// A fresh key, with its PKCS#8 form (wiped when dropped) for whoever must keep it.
    pub(super) fn generate() -> Result<(Self, SecretDocument), CaError> {
        loop {
            let seed = Zeroizing::new(random::bytes::<32>()?);
            // One number in 2^32 is not below the order of the curve.
            let Ok(secret) = p256::SecretKey::from_slice(&*seed) else {
                continue;
            };
            let document = secret.to_pkcs8_der().map_err(CaError::Seal)?;
            return Ok((Self::from_pkcs8(document.as_bytes())?, document));
        }
    }

    /// From PKCS#8 DER.
    pub(super) fn from_pkcs8(bytes: &[u8]) -> Result<Self, CaError> {
        let secret = p256::SecretKey::from_pkcs8_der(bytes).map_err(CaError::Seal)?;
        let mut point = [0; POINT];
        point.copy_from_slice(secret.public_key().to_sec1_point(false).as_bytes());
        // By reference: the provider's general door would take a copy and leave it in memory.
        let document = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes));
        let signer = aws_lc_rs::sign::any_ecdsa_type(&document).map_err(CaError::Key)?;
        Ok(Self {
            public: PublicKey(point),
            signer,
        })
    }

    /// The public half.
    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// For TLS.
    pub(super) fn for_tls(&self) -> Arc<dyn sign::SigningKey> {
        Arc::clone(&self.signer)
    }

    /// ECDSA with SHA-256; the signature as an ECDSA-Sig-Value.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        let refused = || rustls::Error::General("key does not sign with ECDSA P-256".into());
        self.signer
            .choose_scheme(&[scheme])
            .ok_or_else(refused)?
            .sign(message)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.digest())
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
