//! The certificates that may have signed: the only source of keys.

use super::super::credential::{Certificate, p256_key};
use crate::{Code, Refusal};
use core::fmt;
use p256::ecdsa::VerifyingKey;
use sha2::{Digest as _, Sha256};

/// Most certificates of signers. The maker has had five in six years.
const SIGNER_LIMIT: usize = 64;
/// Bytes of a key identifier of our own making (RFC 7093, 2, method 1).
const KEY_ID: usize = 20;
const NONE: &str = "is a Microchip manifest, and each of its entries is signed: give the certificates of the maker's log \
                    signers, too (muster import --signer FILE), which Microchip has for download";

/// One who may have signed.
pub(super) struct Signer {
    /// SHA-256 of the certificate.
    pub(super) thumbprint: [u8; 32],
    /// The identifier in the certificate; else one made of the key.
    pub(super) key_id: Vec<u8>,
    pub(super) key: VerifyingKey,
    pub(super) name: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

/// Everybody who may have signed.
#[derive(Debug)]
pub(super) struct Signers(Vec<Signer>);

impl Signers {
    /// From certificates in DER. Their validity does not matter: a signature is as old as its device, and whoever gives
    /// a certificate trusts it.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when there is none, or at `signers[N]` when one cannot have signed.
    pub(super) fn new(certificates: &[Vec<u8>]) -> Result<Self, Refusal> {
        let refuse = |why: String| Refusal::new(Code::ManifestUnreadable, why);
        if certificates.is_empty() {
            return Err(refuse(NONE.into()));
        }
        if certificates.len() > SIGNER_LIMIT {
            return Err(refuse(format!("has more than {SIGNER_LIMIT} signers")));
        }
        let signers = certificates.iter().enumerate().map(|(place, der)| {
            let at = format!("signers[{place}]");
            signer(der)
                .map_err(|why| refuse(format!("cannot have its signatures checked: the signer {why}")).at(at))
        });
        signers.collect::<Result<_, _>>().map(Self)
    }

    /// Those that these hints leave. Both hints hold, if both are there.
    pub(super) fn find<'s>(
        &'s self,
        thumbprint: Option<&[u8]>,
        key_id: Option<&[u8]>,
    ) -> impl Iterator<Item = &'s Signer> {
        self.0.iter().filter(move |signer| {
            thumbprint.is_none_or(|thumbprint| thumbprint == signer.thumbprint)
                && key_id.is_none_or(|key_id| key_id == signer.key_id)
        })
    }
}

fn signer(der: &[u8]) -> Result<Signer, String> {
    let certificate = Certificate::read(der)?;
    let point = p256_key(certificate.spki).ok_or("has no key on P-256")?;
    let key =
        VerifyingKey::from_sec1_bytes(point).map_err(|_| "has a key that is not a point of its curve")?;
    let own_id = || Sha256::digest(point)[..KEY_ID].to_vec();
    Ok(Signer {
        thumbprint: Sha256::digest(der).into(),
        key_id: certificate.key_id.map_or_else(own_id, <[u8]>::to_vec),
        key,
        name: certificate.subject.to_string(),
    })
}
