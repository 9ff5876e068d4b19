//! The device's key: P-256, made here, kept here, never shown.

use super::der;
use crate::{
    disk::{Disk, Place, replace},
    hpke,
    record::StateError,
};
use muster_proto::payload::Digest;
use p256::{SecretKey, pkcs8::DecodePrivateKey as _};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// PKCS#8 (RFC 5958) of a P-256 key has about 140 bytes.
const FILE_LIMIT: usize = 1024;

/// A private key and how to use it.
pub(crate) struct DeviceKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
}

/// Whether a key was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From an earlier start.
    Kept,
    /// Just now.
    Made,
}

fn place() -> Place {
    Place::fixed("key.der")
}

impl DeviceKey {
    /// The key of this device; made and durable before this returns when there is none. It must be durable before
    /// anything is said about it: a claim whose answer is lost is repeated with the same key.
    pub(crate) fn load_or_make(disk: &dyn Disk) -> Result<(Self, Origin), StateError> {
        if let Some(key) = Self::load(disk)? {
            return Ok((key, Origin::Kept));
        }
        let key = Self::make()?;
        key.save(disk)?;
        Ok((key, Origin::Made))
    }

    /// A fresh key, not yet kept.
    pub(super) fn make() -> Result<Self, StateError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| StateError::Random)?;
        let pkcs8 = Zeroizing::new(made.as_ref().to_vec());
        Self::parse(pkcs8).ok_or_else(|| StateError::damaged(&place()))
    }

    /// PKCS#8 DER.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The key of this device, if it has one.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>, StateError> {
        let place = place();
        let kept = disk
            .read(&place, FILE_LIMIT)
            .map_err(|e| StateError::io("read", &place, e))?;
        kept.map(|pkcs8| Self::parse(Zeroizing::new(pkcs8)).ok_or_else(|| StateError::damaged(&place)))
            .transpose()
    }

    /// Makes it the key of this device; durable on return.
    pub(crate) fn save(&self, disk: &dyn Disk) -> Result<(), StateError> {
        let place = place();
        replace(disk, &place, &self.pkcs8).map_err(|e| StateError::io("write", &place, e))
    }

    /// From PKCS#8 DER.
    pub(crate) fn parse(pkcs8: Zeroizing<Vec<u8>>) -> Option<Self> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8, &SystemRandom::new()).ok()?;
        Some(Self { pkcs8, pair })
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> Vec<u8> {
        der::p256_spki(self.pair.public_key().as_ref())
    }

    /// A request for a certificate (PKCS#10, RFC 2986), DER.
    pub(crate) fn request(&self) -> Result<Vec<u8>, StateError> {
        let info = der::request_info(&self.spki());
        let signature = self
            .pair
            .sign(&SystemRandom::new(), &info)
            .map_err(|_| StateError::Random)?;
        Ok(der::request(&info, signature.as_ref()))
    }

    /// Its name, as the registry says to which key it sealed something.
    pub(crate) fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.spki()).into())
    }

    /// Opens what was sealed to it; `None` when that was another key, another purpose, or damage.
    pub(crate) fn unseal(
        &self,
        encapsulated: &[u8],
        info: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let key = SecretKey::from_pkcs8_der(&self.pkcs8).ok()?;
        hpke::open(&key, encapsulated, info, &[], ciphertext)
    }

    /// For the TLS library, which keeps a copy of its own.
    pub(crate) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()).into()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn the_key_stays_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        let (made, origin) = DeviceKey::load_or_make(&disk).unwrap();
        assert_eq!(origin, Origin::Made);
        let (kept, origin) = DeviceKey::load_or_make(&disk).unwrap();
        assert_eq!(origin, Origin::Kept);
        assert_eq!(made.spki(), kept.spki());
        assert_eq!(format!("{made:?}"), "DeviceKey");
        // A damaged key is not replaced: it may be what the registry knows.
        std::fs::write(directory.path().join("key.der"), b"damaged").unwrap();
        DeviceKey::load_or_make(&disk).unwrap_err();
    }
}
