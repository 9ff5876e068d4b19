//! Secrets on their way: sealed to the key of a device's certificate by HPKE (RFC 9180), so that only the device can open them.
//!
//! The key signs in TLS, and here it takes part in an exchange of keys: ECDSA and the Diffie-Hellman of HPKE are jointly secure
//! over one key (Degabriele et al., CT-RSA 2012), and no input of one is an input of the other.

use super::{CaError, leaf};
use muster_domain::{catalog::RevisionNumber, names::SecretName};
use muster_proto::payload::{Binary, Digest, Sealed, SealedSecret};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_128,
    hpke::{Hpke as _, HpkePublicKey},
};
use zeroize::Zeroizing;

/// A value to be sealed.
pub type OpenSecret = (SecretName, RevisionNumber, Zeroizing<Vec<u8>>);

/// What a device is to be sent, and to which key.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The device.
    pub device_id: &'a str,
    /// The generation whose files name the secrets.
    pub generation: u64,
    /// Of its content.
    pub digest: Digest,
    /// The device's certificate, DER.
    pub certificate: &'a [u8],
}

/// Seals values to a device.
///
/// # Errors
///
/// [`CaError::NotACertificate`]; [`CaError::SealToDevice`] when its key is none of P-256, or the provider fails.
pub fn seal_to_device(to: Destination<'_>, values: &[OpenSecret]) -> Result<Sealed, CaError> {
    let point = HpkePublicKey(leaf::public_key(to.certificate)?);
    let seal = |(name, number, value): &OpenSecret| {
        let reference = format!("{name}@{number}");
        let info = Sealed::info(to.device_id, to.generation, &to.digest, &reference);
        let sealed = DH_KEM_P256_HKDF_SHA256_AES_128.seal(&info, &[], value.as_slice(), &point);
        let (encapsulated, ciphertext) = sealed.map_err(CaError::SealToDevice)?;
        Ok(SealedSecret {
            name: name.to_string(),
            revision: *number,
            encapsulated: Binary(encapsulated.0),
            ciphertext: Binary(ciphertext),
        })
    };
    Ok(Sealed {
        device_id: to.device_id.to_owned(),
        generation: to.generation,
        digest: to.digest,
        recipient: Digest(leaf::spki_digest(to.certificate)?.0),
        secrets: values.iter().map(seal).collect::<Result<_, CaError>>()?,
    })
}
