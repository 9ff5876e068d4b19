//! The key that values of secrets are kept under: outside of the database, beside the key of activation codes.
//!
//! AES-256-GCM with a random nonce in front. Name and revision are authenticated along, so that who can write to the database
//! cannot exchange one value for another.

use super::{CaError, Passphrase, files, sealed};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use muster_domain::{catalog::RevisionNumber, names::SecretName};
use std::{fmt, path::Path};
use zeroize::Zeroizing;

/// What is authenticated begins so: the key has this one use.
const CONTEXT: &[u8] = b"muster kept secret v1\0";

/// The opened key.
pub(super) struct SecretKey(RandomizedNonceKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// Name and revision. No name holds a NUL.
fn bound(name: &SecretName, number: RevisionNumber) -> Aad<Vec<u8>> {
    let parts = [CONTEXT, name.as_str().as_bytes(), &[0], &number.to_be_bytes()];
    Aad::from(parts.concat())
}

impl SecretKey {
    /// Opens the key in the directory of an authority. One that an older program made has none yet: it is made.
    pub(super) fn open_or_make(authority: &Path, passphrase: &Passphrase) -> Result<Self, CaError> {
        let path = authority.join(files::SECRETS_KEY);
        let pem = match files::read(&path) {
            Err(CaError::Missing(_)) => {
                Self::make(authority, passphrase)?;
                files::read(&path)?
            }
            read => read?,
        };
        let key = sealed::symmetric_key(&pem, passphrase, sealed::SECRETS, &path)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key[..]);
        key.map(Self)
            .map_err(|_| CaError::damaged(&path, "is not a key of secrets"))
    }

    /// Makes one; durable on return.
    pub(super) fn make(authority: &Path, passphrase: &Passphrase) -> Result<(), CaError> {
        let made = sealed::generate_symmetric(passphrase, sealed::SECRETS)?;
        files::write_new(&authority.join(files::SECRETS_KEY), made.as_bytes())?;
        files::sync_directory(&authority.join(files::KEYS))
    }

    fn seal(&self, name: &SecretName, number: RevisionNumber, value: &[u8]) -> Option<Vec<u8>> {
        // Encrypted where it stands; if that fails, it is wiped.
        let mut kept = Zeroizing::new(Vec::with_capacity(value.len() + AES_256_GCM.tag_len()));
        kept.extend_from_slice(value);
        let nonce = self
            .0
            .seal_in_place_append_tag(bound(name, number), &mut *kept)
            .ok()?;
        Some([nonce.as_ref().as_slice(), &kept].concat())
    }

    fn open(&self, name: &SecretName, number: RevisionNumber, kept: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = kept.split_first_chunk::<NONCE_LEN>()?;
        let mut value = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, bound(name, number), &mut value)
            .ok()?
            .len();
        value.truncate(length);
        Some(value)
    }
}

impl super::Ca {
    /// Seals the value of a revision for the database.
    ///
    /// # Errors
    ///
    /// [`CaError::Secret`] when the provider fails.
    pub fn keep_secret(
        &self,
        name: &SecretName,
        number: RevisionNumber,
        value: &[u8],
    ) -> Result<Vec<u8>, CaError> {
        let kept = self.secret_key.seal(name, number, value);
        kept.ok_or_else(|| CaError::Secret(name.clone(), number))
    }

    /// Opens what [`Self::keep_secret`] sealed; wiped when it goes.
    ///
    /// # Errors
    ///
    /// [`CaError::Secret`] when it is not what was sealed under this key, for this revision of this secret.
    pub fn open_secret(
        &self,
        name: &SecretName,
        number: RevisionNumber,
        kept: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CaError> {
        let value = self.secret_key.open(name, number, kept);
        value.ok_or_else(|| CaError::Secret(name.clone(), number))
    }
}
