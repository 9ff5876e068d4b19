//! Keys that the server makes for devices that cannot: sealed to the station's age recipient as soon as they exist, so
//! that neither disk nor log nor wire ever holds one in the clear. Only EST's `serverkeygen`, where a setting allows it, hands
//! one out inside TLS.
//!
//! A key made elsewhere than on its device is the weaker way to an identity. It is here because lines exist whose
//! devices have no source of random numbers when they are flashed.

use super::{
    CaError, CertificationRequest,
    key::{PrivateKey, PublicKey},
};
use age::x25519;
use muster_domain::{Code, Refusal};
use p12_keystore::{
    Certificate, KeyStore, KeyStoreEntry, LocalKeyId, PrivateKey as StoredKey, PrivateKeyChain,
};
use pkcs8::{LineEnding, SecretDocument};
use rcgen::{CertificateParams, DistinguishedName};
use std::{fmt, io::Write as _, str::FromStr};
use zeroize::Zeroizing;

/// Longest recipient read, in characters; those of X25519 have 62.
const RECIPIENT_LIMIT: usize = 128;
/// Iterations of the key derivation inside PKCS#12. Its password is empty, because age protects the file: more would
/// cost time and protect nothing.
const ITERATIONS: u32 = 1;

/// In which form a key is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverFormat {
    /// The key as PKCS#8 and the certificate chain behind it, in PEM.
    Pem,
    /// PKCS#12 (RFC 7292) with an empty password.
    Pkcs12,
}

/// Whoever may open the keys of a batch: an age recipient on X25519 (`age1...`).
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

/// A key made for a device, until it is sealed.
#[derive(Debug)]
pub struct DeviceKey {
    key: PrivateKey,
    /// PKCS#8, wiped when dropped.
    document: SecretDocument,
}

impl FromStr for Recipient {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let wrong = |why: &str| Refusal::new(Code::RecipientInvalid, why);
        if text.len() > RECIPIENT_LIMIT {
            return Err(wrong("is too long for an age recipient"));
        }
        // The library's own words may hold what was typed, which may be the secret half.
        text.trim()
            .parse()
            .map(Self)
            .map_err(|_| wrong("is not an age recipient for X25519, such as age1..."))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl Recipient {
    /// An age file (age-encryption.org/v1, binary) of `plaintext`.
    ///
    /// # Errors
    ///
    /// [`CaError::Handover`].
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, CaError> {
        let failed = |error: &dyn fmt::Display| CaError::Handover(error.to_string());
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&self.0 as &dyn age::Recipient))
            .map_err(|error| failed(&error))?;
        let mut sealed = Vec::with_capacity(plaintext.len() + 256);
        let mut writer = encryptor
            .wrap_output(&mut sealed)
            .map_err(|error| failed(&error))?;
        writer.write_all(plaintext).map_err(|error| failed(&error))?;
        writer.finish().map_err(|error| failed(&error))?;
        Ok(sealed)
    }
}

impl DeviceKey {
    /// A fresh key.
    ///
    /// # Errors
    ///
    /// [`CaError::Random`] or [`CaError::Key`].
    pub fn generate() -> Result<Self, CaError> {
        let (key, document) = PrivateKey::generate()?;
        Ok(Self { key, document })
    }

    /// What a request by this key would prove: whoever makes a key has it.
    pub fn request(&self) -> CertificationRequest {
        CertificationRequest::of(*self.key.public())
    }

    /// A request by this key, DER, for a door that takes no other proof.
    ///
    /// # Errors
    ///
    /// [`CaError::Build`].
    pub fn csr(&self) -> Result<Vec<u8>, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.key)?.der().to_vec())
    }

    /// The key in the clear, PKCS#8 in DER: whoever takes it out wipes every copy.
    pub fn pkcs8(&self) -> &[u8] {
        self.document.as_bytes()
    }

    /// Key and certificate chain (DER, the device's own first), sealed to `recipient`. `name` is how a key store calls them.
    ///
    /// # Errors
    ///
    /// [`CaError::Permit`] when the first certificate is not of this key, [`CaError::Handover`].
    pub fn seal(
        self,
        format: HandoverFormat,
        chain: &[Vec<u8>],
        name: &str,
        recipient: &Recipient,
    ) -> Result<Vec<u8>, CaError> {
        let own = chain.first().ok_or(CaError::Permit)?;
        if super::spki_digest(own)? != PublicKey::digest(self.key.public()) {
            return Err(CaError::Permit);
        }
        let plain = match format {
            HandoverFormat::Pem => self.pem(chain)?,
            HandoverFormat::Pkcs12 => self.pkcs12(chain, name)?,
        };
        recipient.seal(&plain)
    }

    fn pem(&self, chain: &[Vec<u8>]) -> Result<Zeroizing<Vec<u8>>, CaError> {
        let key = self
            .document
            .to_pem("PRIVATE KEY", LineEnding::LF)
            .map_err(|error| CaError::Seal(error.into()))?;
        let certificates: String = chain.iter().map(|der| super::certificate_pem(der)).collect();
        // One buffer of the right size: growing would leave copies of the key behind.
        let mut text = Zeroizing::new(Vec::with_capacity(key.len() + certificates.len()));
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(certificates.as_bytes());
        Ok(text)
    }

    fn pkcs12(&self, chain: &[Vec<u8>], name: &str) -> Result<Zeroizing<Vec<u8>>, CaError> {
        let failed = |error: p12_keystore::error::Error| CaError::Handover(error.to_string());
        let certificates = chain
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let key = StoredKey::from_der(self.document.as_bytes()).map_err(failed)?;
        let digest = self.key.public().digest();
        let entry = PrivateKeyChain::new(LocalKeyId::from(&digest.0[..20]), key, certificates);
        let mut store = KeyStore::new();
        store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
        let written = store
            .writer("")
            .encryption_iterations(ITERATIONS)
            .mac_iterations(ITERATIONS)
            .write()
            .map_err(failed)?;
        Ok(Zeroizing::new(written))
    }
}
