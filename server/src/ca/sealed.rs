//! Keys at rest: PKCS#8 EncryptedPrivateKeyInfo (RFC 5958) under PBES2 with scrypt (RFC 7914) and AES-256-CBC, in PEM.
//! `openssl pkcs8` reads them.

use super::{CaError, Passphrase, files, key::PrivateKey};
use crate::random;
use muster_domain::activation::CodeKey;
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef,
    SecretDocument,
    der::{asn1::AnyRef, asn1::OctetStringRef},
    pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Salt, ScryptParams},
};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// 2^14 rounds over blocks of 8: 16 MiB and some 40 ms for each guess, and still read by `openssl`, whose limit is 32 MiB.
const SCRYPT_COST: u64 = 1 << 14;
const SCRYPT_BLOCK: u16 = 8;
const SCRYPT_LANES: u16 = 1;
/// Bytes of a key that is random bytes.
const SYMMETRIC: usize = 32;

/// What a key of random bytes is for; no other use opens it.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    oid: ObjectIdentifier,
    /// Said of what is none.
    wrong: &'static str,
}

/// Activation codes: hmacWithSHA256 (RFC 8018, B.1.2).
const CODES: Purpose = Purpose {
    oid: ObjectIdentifier::new_unwrap("1.2.840.113549.2.9"),
    wrong: "is not a key of activation codes",
};
/// Values of secrets: id-aes256-GCM (RFC 5084, 3.2).
pub(super) const SECRETS: Purpose = Purpose {
    oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.46"),
    wrong: "is not a key of secrets",
};

/// Seals an encoded private key. Fresh salt and vector each time.
pub(super) fn seal(document: &SecretDocument, passphrase: &Passphrase) -> Result<Zeroizing<String>, CaError> {
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(CaError::Seal)?;
    seal_info(&info, passphrase)
}

fn seal_info(info: &PrivateKeyInfoRef<'_>, passphrase: &Passphrase) -> Result<Zeroizing<String>, CaError> {
    let encoding = |error: pkcs8::der::Error| CaError::Seal(error.into());
    let parameters = Parameters {
        kdf: Kdf::Scrypt(ScryptParams {
            salt: Salt::new(random::bytes::<16>()?).map_err(encoding)?,
            cost_parameter: SCRYPT_COST,
            block_size: SCRYPT_BLOCK,
            parallelization: SCRYPT_LANES,
            key_length: None,
        }),
        encryption: EncryptionScheme::Aes256Cbc { iv: random::bytes()? },
    };
    let sealed = info
        .encrypt_with_params(parameters, passphrase.bytes())
        .map_err(CaError::Seal)?;
    sealed.to_pem(LABEL, LineEnding::LF).map_err(encoding)
}

/// Opens what [`seal`] sealed. `path` is for the error.
///
/// # Errors
///
/// [`CaError::Damaged`] when it is not a sealed key, [`CaError::Passphrase`] when it does not open.
pub(super) fn open(pem: &str, passphrase: &Passphrase, path: &Path) -> Result<SecretDocument, CaError> {
    let damaged = || CaError::damaged(path, "is not a sealed private key");
    let (label, document) = SecretDocument::from_pem(pem).map_err(|_| damaged())?;
    if label != LABEL {
        return Err(damaged());
    }
    let sealed = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| damaged())?;
    let opened = sealed
        .decrypt(passphrase.bytes())
        .map_err(|_| CaError::Passphrase(path.into()))?;
    // A wrong passphrase passes the padding once in 256 times; what comes out is then no key.
    if PrivateKeyInfoRef::try_from(opened.as_bytes()).is_err() {
        return Err(CaError::Passphrase(path.into()));
    }
    Ok(opened)
}

/// Opens a file with a sealed key that signs.
///
/// # Errors
///
/// As [`open`]; [`CaError::Missing`].
pub(super) fn private_key(path: &Path, passphrase: &Passphrase) -> Result<PrivateKey, CaError> {
    let document = open(&files::read(path)?, passphrase, path)?;
    PrivateKey::from_pkcs8(document.as_bytes()).map_err(|_| CaError::damaged(path, "is not a P-256 key"))
}

/// Makes the key of activation codes, sealed.
pub(super) fn generate_code_key(passphrase: &Passphrase) -> Result<Zeroizing<String>, CaError> {
    generate_symmetric(passphrase, CODES)
}

/// Makes a key that is random bytes, sealed.
pub(super) fn generate_symmetric(
    passphrase: &Passphrase,
    purpose: Purpose,
) -> Result<Zeroizing<String>, CaError> {
    let key = Zeroizing::new(random::bytes::<SYMMETRIC>()?);
    // Certificates check the other keys. This one has none, and CBC does not notice damage: its digest goes along.
    let content = Zeroizing::new([&key[..], &Sha256::digest(&key[..])].concat());
    let octets = OctetStringRef::new(&content).map_err(|error| CaError::Seal(error.into()))?;
    let algorithm = AlgorithmIdentifierRef {
        oid: purpose.oid,
        parameters: Some(AnyRef::NULL),
    };
    seal_info(&PrivateKeyInfoRef::new(algorithm, octets), passphrase)
}

/// Opens what [`generate_symmetric`] made. `path` is for the error.
pub(super) fn symmetric_key(
    pem: &str,
    passphrase: &Passphrase,
    purpose: Purpose,
    path: &Path,
) -> Result<Zeroizing<[u8; SYMMETRIC]>, CaError> {
    let document = open(pem, passphrase, path)?;
    let damaged = || CaError::damaged(path, purpose.wrong);
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| damaged())?;
    let (key, digest) = info
        .private_key
        .as_bytes()
        .split_first_chunk::<SYMMETRIC>()
        .ok_or_else(damaged)?;
    let whole: bool = Sha256::digest(key)[..].ct_eq(digest).into();
    if info.algorithm.oid != purpose.oid || !whole {
        return Err(damaged());
    }
    Ok(Zeroizing::new(*key))
}

/// Opens the key of activation codes. `path` is for the error.
pub(super) fn code_key(pem: &str, passphrase: &Passphrase, path: &Path) -> Result<CodeKey, CaError> {
    symmetric_key(pem, passphrase, CODES, path).map(|key| CodeKey::from_bytes(*key))
}
