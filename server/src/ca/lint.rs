//! The last look at a certificate before a key signs it, and again before it leaves.
//!
//! rcgen writes what is to be signed; `lint_bytes` writes it too, from the same template, with no code in common; the key
//! signs only where both agree on every byte. So a mistake of ours in ordering, of rcgen in writing, or of memory between
//! the two is found before there is a signature on it. What leaves is those bytes and that signature, in the one form that
//! DER allows. Whether the signature is right is a question of its own: see [`Proof`].

use super::{
    CaError,
    der::{self, NotDer, Reader, tag},
    key::{PrivateKey, PublicKey},
    lint_bytes::{self, Writer},
    lint_defect,
    profile::Template,
};
use rcgen::PublicKeyData;
use std::{
    cell::RefCell,
    sync::atomic::{AtomicU32, Ordering},
};

pub use lint_defect::Defect;

/// Who should have signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    /// Subject of the issuing certificate, DER.
    pub(super) name: &'a [u8],
    pub(super) key: &'a PublicKey,
}

/// Which signatures are verified after they were made. Verifying takes three times as long as signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// This one: what leaves one at a time, and what others depend on.
    Always,
    /// One in [`SAMPLE`], for certificates of which many are made at once. A key or provider that signs wrongly is found
    /// with the first or soon after; a single signature that memory spoiled is found by whoever reads it, and by
    /// `musterd check`, which verifies all.
    Sampled,
}

/// Of so many signatures in bulk, one is verified: it costs them a fiftieth of their rate.
const SAMPLE: u32 = 128;

/// Counts the signatures of a key, of which the first and then one in [`SAMPLE`] is verified.
#[derive(Debug, Default)]
pub(super) struct Sampling(AtomicU32);

impl Sampling {
    /// Is the next signature to be verified?
    pub(super) fn is_due(&self, proof: Proof) -> bool {
        match proof {
            Proof::Always => true,
            Proof::Sampled => self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLE),
        }
    }
}

/// What no order may ask for, however it is written.
pub(super) fn check_order(template: &Template) -> Result<(), Defect> {
    // A serial of sixteen bytes, the first of which says that it is positive.
    if !(1..0x80).contains(&template.serial.to_bytes()[0]) {
        return Err(Defect::Serial);
    }
    if template.not_before.seconds() >= template.not_after.seconds() {
        return Err(Defect::Validity);
    }
    Ok(())
}

/// What a key made of these bytes.
#[derive(Debug)]
enum Made {
    Nothing,
    Signature(Vec<u8>),
    /// It was asked to sign something else.
    Refused(Vec<u8>),
}

/// A key that signs these bytes and no others.
#[derive(Debug)]
pub(super) struct Bound<'a> {
    key: &'a PrivateKey,
    expected: &'a [u8],
    made: RefCell<Made>,
}

impl PublicKeyData for Bound<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl rcgen::SigningKey for Bound<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if message != self.expected {
            *self.made.borrow_mut() = Made::Refused(message.to_vec());
            return Err(rcgen::Error::RemoteKeyError);
        }
        let signature = rcgen::SigningKey::sign(self.key, message)?;
        *self.made.borrow_mut() = Made::Signature(signature.clone());
        Ok(signature)
    }
}

/// Lets `build` make a certificate or list with this key, which signs `expected` and nothing else; `defect` names what
/// differs. With `verify`, the signature must be right by that public key.
pub(super) fn signed(
    key: &PrivateKey,
    expected: &[u8],
    verify: Option<&PublicKey>,
    build: impl FnOnce(&Bound<'_>) -> Result<Vec<u8>, CaError>,
    defect: impl FnOnce(&[u8]) -> Defect,
) -> Result<Vec<u8>, CaError> {
    let bound = Bound {
        key,
        expected,
        made: RefCell::new(Made::Nothing),
    };
    let built = build(&bound);
    match bound.made.into_inner() {
        Made::Refused(other) => Err(defect(&other).into()),
        Made::Nothing => built.and(Err(Defect::Signature.into())),
        Made::Signature(signature) => {
            let built = built?;
            if built != finished(expected, &signature) {
                return Err(Defect::Form.into());
            }
            let is_right = verify.is_none_or(|signer| signer.has_signed(expected, &signature));
            if is_signature(&signature) && is_right {
                Ok(built)
            } else {
                Err(Defect::Signature.into())
            }
        }
    }
}

/// A certificate or list of these bytes.
fn finished(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.sequence(|w| {
        w.raw(to_be_signed);
        w.algorithm();
        w.put(tag::BIT_STRING, |w| {
            w.raw(&[0]);
            w.raw(signature);
        });
    });
    w.finish()
}

/// Is this an ECDSA-Sig-Value in DER, of two positive numbers of the curve's size?
fn is_signature(bytes: &[u8]) -> bool {
    let numbers = || -> Result<bool, NotDer> {
        let mut outer = Reader::new(bytes);
        let mut both = Reader::new(outer.expect(tag::SEQUENCE)?.content);
        outer.end()?;
        let numbers = [both.expect(tag::INTEGER)?, both.expect(tag::INTEGER)?];
        both.end()?;
        Ok(numbers.iter().all(|number| {
            let bytes = number.content.strip_prefix(&[0]).unwrap_or(number.content);
            number.content[0] < 0x80 && (1..=32).contains(&bytes.len())
        }))
    };
    der::well_formed(bytes) && numbers() == Ok(true)
}

/// Is this the certificate that the template, the key and the signer make, and nothing else?
pub(super) fn check(
    bytes: &[u8],
    template: &Template,
    key: &PublicKey,
    signer: Signer<'_>,
) -> Result<(), Defect> {
    check_order(template)?;
    let parts = || -> Result<_, NotDer> {
        let mut outer = Reader::new(bytes);
        let mut parts = Reader::new(outer.expect(tag::SEQUENCE)?.content);
        outer.end()?;
        let to_be_signed = parts.expect(tag::SEQUENCE)?.whole;
        let algorithm = parts.expect(tag::SEQUENCE)?.whole;
        let bits = parts.expect(tag::BIT_STRING)?.content;
        parts.end()?;
        Ok((to_be_signed, algorithm, bits))
    };
    let (to_be_signed, algorithm, bits) = parts().map_err(|NotDer| Defect::Form)?;
    if to_be_signed != lint_bytes::to_be_signed(template, key, signer) {
        return Err(lint_defect::of(to_be_signed, template, key, signer));
    }
    let mut ours = Writer::default();
    ours.algorithm();
    if algorithm != ours.finish() {
        return Err(Defect::Algorithm);
    }
    match bits.split_first() {
        Some((0, signature)) if is_signature(signature) && signer.key.has_signed(to_be_signed, signature) => {
            Ok(())
        }
        _ => Err(Defect::Signature),
    }
}
