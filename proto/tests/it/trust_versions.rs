//! How trust moves on, and how it does not.

use crate::{
    fixture::pem,
    messages::{key, sign},
};
use muster_proto::{
    payload::{Binary, TrustBundle, TrustVersion},
    trust::{Advance, ROOTS_LIMIT, TrustError, VERSIONS_LIMIT, advance, digest, signing_input},
};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Roots of the fixtures.
fn root(name: char) -> Vec<u8> {
    pem(&format!("trust-root-{name}.pem"))
}

fn roots(names: &str) -> Vec<Vec<u8>> {
    names.chars().map(root).collect()
}

/// For [`advance`]: as a device does it.
fn is_signed(root: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let root = CertificateDer::from(root);
    let spki = EndEntityCert::try_from(&root).unwrap().subject_public_key_info();
    let key: VerifyingKey = p256::pkcs8::DecodePublicKey::from_public_key_der(&spki).unwrap();
    Signature::from_der(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

fn version(version: u64, names: &str, signer: char) -> TrustVersion {
    let digests: Vec<_> = roots(names).iter().map(|root| digest(root)).collect();
    let signature = sign(
        &key(&format!("trust-root-{signer}.key")),
        &signing_input(version, &digests),
    );
    TrustVersion {
        version,
        roots: digests,
        signer: digest(&root(signer)),
        signature: Binary(signature),
    }
}

/// Of the fixtures: first both roots, then the second alone.
pub(crate) fn bundle() -> TrustBundle {
    TrustBundle {
        certificates: roots("ab").into_iter().map(Binary).collect(),
        versions: vec![version(1, "ab", 'a'), version(2, "b", 'b')],
    }
}

fn advanced(bundle: &TrustBundle, held: u64, trusted: &str) -> Result<Option<(u64, String)>, TrustError> {
    let name = |der: &Vec<u8>| ['a', 'b'].into_iter().find(|name| root(*name) == *der).unwrap();
    let now = advance(bundle, held, &roots(trusted), is_signed)?;
    Ok(now.map(|Advance { version, roots }| (version, roots.iter().map(name).collect())))
}

#[test]
fn each_device_comes_as_far_as_its_roots_lead() {
    let whole = bundle();
    let first = TrustBundle {
        versions: vec![version(1, "ab", 'a')],
        ..bundle()
    };
    let second = TrustBundle {
        versions: vec![version(2, "b", 'b')],
        ..bundle()
    };
    let to = |version: u64, names: &str| Some((version, names.to_owned()));
    for (what, bundle, held, trusted, expected) in [
        ("made with the first root", &whole, 0, "a", to(2, "b")),
        ("half of the way", &first, 0, "a", to(1, "ab")),
        ("the other half", &second, 1, "ab", to(2, "b")),
        ("made with both", &whole, 0, "ab", to(2, "b")),
        // What was signed by the first is not for it.
        ("made with the second", &whole, 0, "b", to(2, "b")),
        ("made with the second, of the first", &first, 0, "b", None),
        // C2: never back.
        ("there already", &whole, 2, "b", None),
        ("an older one again", &first, 1, "ab", None),
        ("an older one, after the newer", &first, 2, "b", None),
        ("nothing", &TrustBundle::default(), 0, "a", None),
        // The step between is missing.
        ("a gap", &second, 0, "a", None),
    ] {
        assert_eq!(advanced(bundle, held, trusted), Ok(expected), "{what}");
    }
}

#[test]
fn what_no_honest_registry_sends_moves_nothing() {
    let spoiled = |spoil: &dyn Fn(&mut TrustBundle)| {
        let mut bundle = bundle();
        spoil(&mut bundle);
        advanced(&bundle, 0, "a")
    };
    let checks: [(&str, Result<_, _>, TrustError); 8] = [
        (
            "other roots under the signature",
            spoiled(&|bundle| bundle.versions[0].roots.truncate(1)),
            TrustError::Signature(1),
        ),
        (
            "another number",
            spoiled(&|bundle| {
                bundle.versions.truncate(1);
                bundle.versions[0].version = 7;
            }),
            TrustError::Signature(7),
        ),
        (
            "the signature of another version",
            spoiled(&|bundle| bundle.versions[1].signature = bundle.versions[0].signature.clone()),
            TrustError::Signature(2),
        ),
        (
            "a root in name only",
            spoiled(&|bundle| bundle.certificates.truncate(1)),
            TrustError::Missing(1),
        ),
        (
            "backwards",
            spoiled(&|bundle| bundle.versions.reverse()),
            TrustError::Order(1),
        ),
        (
            "no roots",
            spoiled(&|bundle| bundle.versions[0] = version(1, "", 'a')),
            TrustError::Empty(1),
        ),
        (
            "too many roots",
            spoiled(&|bundle| bundle.versions[0] = version(1, &"a".repeat(ROOTS_LIMIT + 1), 'a')),
            TrustError::Large,
        ),
        (
            "too many versions",
            spoiled(&|bundle| {
                let filler = (3..).take(VERSIONS_LIMIT).map(|number| TrustVersion {
                    version: number,
                    ..bundle.versions[1].clone()
                });
                let filler: Vec<_> = filler.collect();
                bundle.versions.extend(filler);
            }),
            TrustError::Large,
        ),
    ];
    for (what, found, expected) in checks {
        assert_eq!(found, Err(expected), "{what}");
    }
}

#[test]
fn no_bit_of_a_step_can_be_another() {
    let good = bundle().versions.remove(0);
    let of = |version: TrustVersion| TrustBundle {
        versions: vec![version],
        ..bundle()
    };
    let flips = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(advanced(&of(good.clone()), 0, "a"), Ok(Some((1, "ab".into()))));
    for bit in 0..good.signature.0.len() * 8 {
        let mut version = good.clone();
        flips(&mut version.signature.0, bit);
        assert_eq!(
            advanced(&of(version), 0, "a"),
            Err(TrustError::Signature(1)),
            "{bit}"
        );
    }
    for bit in 0..2 * 256 {
        let mut version = good.clone();
        flips(&mut version.roots[bit / 256].0, bit % 256);
        assert_eq!(
            advanced(&of(version), 0, "a"),
            Err(TrustError::Signature(1)),
            "{bit}"
        );
    }
    for bit in 0..64 {
        let mut version = good.clone();
        version.version ^= 1 << bit;
        let moved = advanced(&of(version.clone()), 0, "a");
        assert!(!matches!(moved, Ok(Some(_))), "{} is signed", version.version);
    }
}
