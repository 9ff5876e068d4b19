//! The author's signature of an image: what openssl made is taken, and nothing else is.

use crate::{fixture, messages::policy};
use muster_firmware_policy::{Artifact, Sha256Digest, Signature};
use muster_proto::firmware::{AuthorKey, AuthorKeyError};
use std::fs;

fn key(file: &str) -> Result<AuthorKey, AuthorKeyError> {
    AuthorKey::from_pem(&fs::read_to_string(fixture::path("pki").join(file)).unwrap())
}

fn target() -> Artifact {
    policy().update().unwrap().target.clone()
}

#[test]
fn the_vector_is_signed_by_its_author() {
    let author = key("firmware-author.pem").unwrap();
    assert!(author.has_signed(&target()));
    let stone = &policy().update().unwrap().stepping_stones[0].through.clone();
    assert!(!author.has_signed(stone), "it has no signature");
    let borrowed = Artifact {
        signature: target().signature,
        ..stone.clone()
    };
    assert!(!author.has_signed(&borrowed), "that is over another image");
}

#[test]
fn no_flipped_bit_of_digest_or_signature_is_taken() {
    let (author, good) = (key("firmware-author.pem").unwrap(), target());
    let mut taken = 0;
    for bit in 0..256 {
        let mut digest = *good.sha256.as_bytes();
        digest[bit / 8] ^= 1 << (bit % 8);
        let flipped = Artifact {
            sha256: Sha256Digest::from_bytes(digest),
            ..good.clone()
        };
        taken += usize::from(author.has_signed(&flipped));
    }
    let der = good.signature.unwrap().to_der();
    let mut read = 0;
    for bit in 0..der.len() * 8 {
        let mut der = der.clone();
        der[bit / 8] ^= 1 << (bit % 8);
        let Ok(signature) = Signature::from_der(&der) else {
            continue;
        };
        read += 1;
        let flipped = Artifact {
            signature: Some(signature),
            ..good.clone()
        };
        taken += usize::from(author.has_signed(&flipped));
    }
    assert_eq!(taken, 0);
    // Most are signatures still in their form, so that it is the key that says no.
    assert!(read > 500, "{read}");
}

#[test]
fn what_is_no_key_of_an_author_is_refused() {
    let good = fs::read_to_string(fixture::path("pki").join("firmware-author.pem")).unwrap();
    let check = |pem: &str, expected| assert_eq!(AuthorKey::from_pem(pem).err(), expected, "{pem}");
    check(&good, None);
    check(&format!("# of 2027\n\n{good}\n"), None);
    check("", Some(AuthorKeyError::NotPem));
    check(&good.replace('-', ""), Some(AuthorKeyError::NotPem));
    check(&[&good[..], &good].concat(), Some(AuthorKeyError::Several));
    check(&good.replace("QcDQgAE", "QcDQgAF"), Some(AuthorKeyError::NotP256));
    check(
        &good.replace("zj0DAQcD", "zj0DAQgD"),
        Some(AuthorKeyError::NotP256),
    );
    check(&good.replace("\nk0Qg", "k0Qg"), None);
    check(&good[..good.len() / 2], Some(AuthorKeyError::NotPem));
    check(&good.replace("MFkw", "MFk"), Some(AuthorKeyError::NotPem));
    check(&good.replace("MFkw", "MFgw"), Some(AuthorKeyError::NotP256));
    assert_eq!(key("firmware-author.key").err(), Some(AuthorKeyError::Private));
    assert_eq!(key("root.pem").err(), Some(AuthorKeyError::NotPem));
}
