//! Requests from strangers: A5 (extensions), A6 (keys and encodings), A7 (known keys).

use super::{
    request::{Draft, attribute, attributes, challenge, extension_request, name},
    *,
};
use crate::ca::{
    csr::REQUEST_LIMIT,
    der::{Reader, element, oid, sequence, tag},
    key::PrivateKey,
    oid,
};
use muster_domain::Code;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use rcgen::{CertificateParams, KeyPair};
use std::fs;

fn code(bytes: &[u8]) -> Option<Code> {
    CertificationRequest::parse(bytes)
        .err()
        .map(|refusal| refusal.code)
}

fn refused(what: &str, bytes: &[u8], expected: Code) {
    assert_eq!(code(bytes), Some(expected), "{what}");
}

fn rcgen_request(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .der()
        .to_vec()
}

/// A request made by `openssl req` with a key of `openssl genpkey`.
fn openssl_request(key_options: &[&str], request_options: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let [key, request] = ["key.pem", "request.der"].map(|name| directory.path().join(name));
    let (made, output) = openssl(&[&["genpkey", "-out", text(&key)], key_options].concat());
    assert!(made, "{output}");
    let subject = [
        "req",
        "-new",
        "-key",
        text(&key),
        "-subj",
        "/CN=x",
        "-outform",
        "DER",
        "-out",
        text(&request),
    ];
    let (made, output) = openssl(&[&subject, request_options].concat());
    assert!(made, "{output}");
    fs::read(&request).unwrap()
}

/// A fresh uncompressed point of P-256.
fn point() -> Vec<u8> {
    Draft::good().spki[26..].to_vec()
}

#[test]
fn plain_requests_are_taken() {
    let empty_extensions = || attribute(oid::EXTENSION_REQUEST, &sequence(&[]));
    let full = name(&[(oid::COMMON_NAME, "gateway"), (oid::ORGANISATION, "Example")]);
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for (what, bytes) in [
        ("bare", Draft::good().build()),
        (
            "with a subject",
            Draft::good().with(|draft| draft.subject = full).build(),
        ),
        (
            "challenge password",
            Draft::good()
                .with(|d| d.attributes = attributes(vec![challenge("secret")]))
                .build(),
        ),
        (
            "no extensions",
            Draft::good()
                .with(|d| d.attributes = attributes(vec![empty_extensions()]))
                .build(),
        ),
        (
            "both",
            Draft::good()
                .with(|d| d.attributes = attributes(vec![empty_extensions(), challenge("x")]))
                .build(),
        ),
        ("rcgen's", rcgen_request(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("openssl's", openssl_request(&p256, &[])),
    ] {
        assert_eq!(code(&bytes), None, "{what}");
    }
    let draft = Draft::good();
    let parsed = CertificationRequest::parse(&draft.build()).unwrap();
    assert_eq!(parsed.digest(), draft.key.public().digest());
}

#[test]
fn a6_keys_of_another_kind_are_refused() {
    let check = |what: &str, bytes: &[u8]| refused(what, bytes, Code::CsrKey);
    check(
        "RSA",
        &openssl_request(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], &[]),
    );
    check("P-384", &rcgen_request(&rcgen::PKCS_ECDSA_P384_SHA384));
    check("P-521", &rcgen_request(&rcgen::PKCS_ECDSA_P521_SHA512));
    check("Ed25519", &rcgen_request(&rcgen::PKCS_ED25519));
    let curve = |curve: &str, request: &[&str]| {
        let curve = format!("ec_paramgen_curve:{curve}");
        openssl_request(&["-algorithm", "EC", "-pkeyopt", &curve], request)
    };
    check("secp256k1", &curve("secp256k1", &[]));
    check("P-224", &curve("P-224", &[]));
    check("brainpoolP256r1", &curve("brainpoolP256r1", &[]));
    check("P-384 signed with SHA-256", &curve("P-384", &["-sha256"]));
    check("Ed448", &openssl_request(&["-algorithm", "ED448"], &[]));
    let explicit = [
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-pkeyopt",
        "ec_param_enc:explicit",
    ];
    check("explicit parameters", &openssl_request(&explicit, &[]));
    check(
        "X25519 cannot sign",
        &Draft::good()
            .with(|draft| {
                let algorithm = sequence(&[&oid(&[0x2b, 0x65, 0x6e])]);
                draft.spki = sequence(&[&algorithm, &element(tag::BIT_STRING, &[&[0], &[9; 32]])]);
            })
            .build(),
    );
    let with_algorithm = |algorithm: Vec<u8>| {
        Draft::good().with(|draft| {
            draft.spki = sequence(&[&algorithm, &element(tag::BIT_STRING, &[&[0], &point()])]);
        })
    };
    let ec = oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]);
    let prime256v1 = oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    let dh = oid(&[0x2b, 0x81, 4, 1, 12]);
    let secp256k1 = oid(&[0x2b, 0x81, 4, 0, 10]);
    check("id-ecDH", &with_algorithm(sequence(&[&dh, &prime256v1])).build());
    check(
        "a point of P-256 as one of secp256k1",
        &with_algorithm(sequence(&[&ec, &secp256k1])).build(),
    );
    check(
        "implicit parameters",
        &with_algorithm(sequence(&[&ec, &[tag::NULL, 0]])).build(),
    );
    check("no parameters", &with_algorithm(sequence(&[&ec])).build());
    check(
        "more parameters",
        &with_algorithm(sequence(&[&ec, &prime256v1, &[tag::NULL, 0]])).build(),
    );
    let longer = Draft::good().with(|draft| {
        let fields = [&draft.spki[2..], &[tag::NULL, 0]].concat();
        draft.spki = sequence(&[&fields]);
    });
    check("more behind the key", &longer.build());
}

#[test]
fn a6_points_in_another_form_are_refused() {
    let draft = || Draft::good();
    let check = |what: &str, point: &[u8]| refused(what, &draft().point(point).build(), Code::CsrKey);
    let key = p256::PublicKey::from_sec1_bytes(&point()).unwrap();
    check("compressed", key.to_sec1_point(true).as_bytes());
    let hybrid = |point: &[u8]| [&[6 | (point[64] & 1)], &point[1..]].concat();
    check("hybrid", &hybrid(&point()));
    check("infinity", &[0]);
    check("infinity, padded", &[0; 65]);
    check("the origin", &[&[4][..], &[0; 64]].concat());
    check("nothing", &[]);
    check("raw, without its first byte", &point()[1..]);
    check("a byte short", &point()[..64]);
    check("a byte long", &[&point()[..], &[0]].concat());
    // y + 1 is on the curve for no x with two square roots that far apart.
    let mut off = point();
    off[64] ^= 1;
    check("off the curve", &off);
    let mut over = point();
    over[1..33].fill(0xff);
    check("x over the prime", &over);
    let bits = Draft::good().with(|draft| {
        let even = draft.spki.len() - 1;
        draft.spki[even] &= 0xfe;
        draft.spki[25] = 1;
    });
    refused("one bit unused", &bits.build(), Code::CsrKey);
}

#[test]
fn a7_known_keys_are_refused() {
    let mut one = [0; 32];
    one[31] = 1;
    for secret in [one, [0x42; 32]] {
        let secret = p256::SecretKey::from_slice(&secret).unwrap();
        let document = pkcs8::EncodePrivateKey::to_pkcs8_der(&secret).unwrap();
        let key = PrivateKey::from_pkcs8(document.as_bytes()).unwrap();
        refused("a guessable key", &Draft::of(key).build(), Code::CsrKey);
    }
}

#[test]
fn a6_possession_must_be_proved() {
    let check = |what: &str, draft: Draft| refused(what, &draft.build(), Code::CsrSignature);
    let stranger = || PrivateKey::generate().unwrap().0;
    let with = |signature: Vec<u8>| Draft::good().with(|draft| draft.signature = Some(signature));
    check(
        "signed by another key",
        Draft::good().with(|draft| draft.key = stranger()),
    );
    check("another point of the curve", Draft::good().point(&point()));
    check("an empty signature", with(vec![0]));
    check(
        "a signature of zeros",
        with([&[0], &sequence(&[&[2, 1, 0], &[2, 1, 0]])[..]].concat()),
    );
    check("a raw signature of 64 bytes", with(vec![0; 65]));
    let good = Draft::good();
    let own = good.key.sign(&good.info()).unwrap();
    check(
        "something behind the signature",
        good.with(|d| d.signature = Some([&[0], &own[..], &[0]].concat())),
    );
    let good = Draft::good();
    let mut own = good.key.sign(&good.info()).unwrap();
    let last = own.len() - 1;
    own[last] ^= 1;
    check(
        "a bit of the signature flipped",
        good.with(|d| d.signature = Some([&[0], &own[..]].concat())),
    );
    let good = Draft::good();
    let own = good.key.sign(&good.info()).unwrap();
    let padded = padded(&own);
    check(
        "a signature with padded numbers",
        good.with(|d| d.signature = Some(padded)),
    );
    // The signature of another request with the same key.
    let good = Draft::good();
    let own = good.key.sign(&good.info()).unwrap();
    check(
        "another subject",
        good.with(|draft| {
            draft.signature = Some([&[0], &own[..]].concat());
            draft.subject = name(&[(oid::COMMON_NAME, "another")]);
        }),
    );
    let algorithm = |content: Vec<u8>| Draft::good().with(|draft| draft.algorithm = content);
    let ecdsa = |hash: u8| oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, hash]);
    check("named SHA-384", algorithm(sequence(&[&ecdsa(3)])));
    check(
        "with parameters",
        algorithm(sequence(&[&ecdsa(2), &[tag::NULL, 0]])),
    );
    check(
        "named RSA",
        algorithm(sequence(&[
            &oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]),
            &[tag::NULL, 0],
        ])),
    );
    check("named nothing", algorithm(sequence(&[])));
    let sha384 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    refused(
        "P-256 with SHA-384",
        &openssl_request(&sha384, &["-sha384"]),
        Code::CsrSignature,
    );
}

/// The same signature, with a zero more in front of its first number.
fn padded(signature: &[u8]) -> Vec<u8> {
    let mut numbers = Reader::new(Reader::new(signature).expect(tag::SEQUENCE).unwrap().content);
    let [r, s] = [(); 2].map(|()| numbers.expect(tag::INTEGER).unwrap());
    let r = element(tag::INTEGER, &[&[0], r.content]);
    [&[0], &sequence(&[&r, s.whole])[..]].concat()
}

#[test]
fn a6_what_is_not_der_is_refused() {
    let check = |what: &str, bytes: &[u8]| refused(what, bytes, Code::CsrMalformed);
    let good = Draft::good().build();
    check("nothing", &[]);
    check("PEM", b"-----BEGIN CERTIFICATE REQUEST-----\n");
    check("a byte behind", &[&good[..], &[0]].concat());
    check("itself behind", &[&good[..], &good[..]].concat());
    for cut in 0..good.len() {
        check("cut short", &good[..cut]);
    }
    let inner = &good[3..];
    check("indefinite length", &[&[0x30, 0x80], inner, &[0, 0]].concat());
    let length = u8::try_from(inner.len()).unwrap();
    check(
        "length in too many bytes",
        &[&[0x30, 0x82, 0, length], inner].concat(),
    );
    check(
        "length in four bytes",
        &[&[0x30, 0x84, 0, 0, 0, length], inner].concat(),
    );
    check("a SET outside", &element(tag::SET, &[inner]));
    check("something in it behind", &sequence(&[inner, &[tag::NULL, 0]]));
    let draft = |change: &dyn Fn(&mut Draft)| Draft::good().with(change).build();
    check(
        "version 2",
        &draft(&|draft| draft.version = vec![tag::INTEGER, 1, 1]),
    );
    check(
        "version 0, padded",
        &draft(&|draft| draft.version = vec![tag::INTEGER, 2, 0, 0]),
    );
    check("no version", &draft(&|draft| draft.version.clear()));
    check("no subject", &draft(&|draft| draft.subject.clear()));
    check("no key", &draft(&|draft| draft.spki.clear()));
    check("no attributes", &draft(&|draft| draft.attributes.clear()));
    check("no signature algorithm", &draft(&|draft| draft.algorithm.clear()));
    check(
        "more fields",
        &draft(&|draft| draft.attributes.extend([tag::NULL, 0])),
    );
    check(
        "bits of the signature unused",
        &draft(&|draft| draft.signature = Some(vec![1, 0x30, 2])),
    );
    check("the signature missing", &{
        let draft = Draft::good();
        sequence(&[&draft.info(), &draft.algorithm])
    });
    let bad_subject = |subject: &'static [u8]| draft(&|draft| draft.subject = sequence(&[subject]));
    check("a subject in BER", &bad_subject(&[0x31, 0x80, 0, 0]));
    check(
        "a constructed string in the subject",
        &bad_subject(&[0x2c, 2, 0x0c, 0]),
    );
    check(
        "a padded OID in the subject",
        &bad_subject(&[tag::OID, 3, 0x55, 0x80, 4]),
    );
    let deep = (0..20).fold(Vec::new(), |inner, _| sequence(&[&inner]));
    check(
        "a subject twenty deep",
        &draft(&|draft| draft.subject = deep.clone()),
    );
    // X.690, 11.6: the elements of a SET OF are sorted.
    let mut both = [challenge("x"), attribute(oid::EXTENSION_REQUEST, &sequence(&[]))];
    both.sort();
    let unsorted = element(tag::CONTEXT_0, &[&both[1], &both[0]]);
    check(
        "attributes not sorted",
        &draft(&|draft| draft.attributes = unsorted.clone()),
    );
    let no_values = sequence(&[&oid(oid::CHALLENGE_PASSWORD)]);
    check(
        "an attribute without values",
        &draft(&|d| d.attributes = attributes(vec![no_values.clone()])),
    );
}

#[test]
fn a5_size_has_a_limit() {
    let key = PrivateKey::generate().unwrap().0;
    let with_name = |length: usize| {
        let subject = name(&[(oid::COMMON_NAME, &"x".repeat(length))]);
        Draft::of(key.clone()).with(|draft| draft.subject = subject)
    };
    // As long as with the longest signature; one in four is.
    let rest = with_name(3000)
        .with(|draft| draft.signature = Some(vec![0; 73]))
        .build()
        .len()
        - 3000;
    let sized = |wanted: usize| {
        let mut tries = std::iter::repeat_with(|| with_name(wanted - rest).build());
        tries.find(|bytes| bytes.len() == wanted).unwrap()
    };
    assert_eq!(code(&sized(REQUEST_LIMIT)), None);
    refused("a byte too long", &sized(REQUEST_LIMIT + 1), Code::CsrMalformed);
    let names: Vec<_> = (0..10_000)
        .map(|n| element(0x82, &[format!("host{n}.example").as_bytes()]))
        .collect();
    let mut many = Vec::new();
    many.extend([0x30, 0x83]);
    let content = names.concat();
    many.extend(&content.len().to_be_bytes()[5..]);
    many.extend(content);
    refused("ten thousand alternative names", &many, Code::CsrMalformed);
}

#[test]
fn a5_whoever_asks_for_more_gets_nothing() {
    let check = |what: &str, all: Vec<Vec<u8>>| {
        let bytes = Draft::good()
            .with(|draft| draft.attributes = attributes(all))
            .build();
        refused(what, &bytes, Code::CsrAttribute);
    };
    let yes: &[u8] = &[tag::BOOLEAN, 1, 0xff];
    let names = sequence(&[&element(0x82, &[b"muster.example"])]);
    let any_usage = sequence(&[&oid(&[0x55, 0x1d, 0x25, 0])]);
    let client = sequence(&[&oid(oid::CLIENT_AUTH)]);
    let subtree = sequence(&[&element(
        tag::CONTEXT_0,
        &[&sequence(&[&element(0x82, &[b"example"])])],
    )]);
    let url = element(0x86, &[b"http://crl.example/"]);
    let point = sequence(&[&element(tag::CONTEXT_0, &[&element(tag::CONTEXT_0, &[&url])])]);
    for (what, kind, critical, value) in [
        ("CA:TRUE", oid::BASIC_CONSTRAINTS, true, &sequence(&[yes])),
        ("CA:FALSE", oid::BASIC_CONSTRAINTS, true, &sequence(&[])),
        (
            "keyCertSign",
            oid::KEY_USAGE,
            true,
            &vec![tag::BIT_STRING, 2, 2, 4],
        ),
        (
            "digitalSignature",
            oid::KEY_USAGE,
            true,
            &vec![tag::BIT_STRING, 2, 7, 0x80],
        ),
        ("any usage", oid::EXTENDED_KEY_USAGE, false, &any_usage),
        ("client authentication", oid::EXTENDED_KEY_USAGE, false, &client),
        ("a DNS name", oid::SUBJECT_ALT_NAME, false, &names),
        (
            "a hardware name",
            oid::SUBJECT_ALT_NAME,
            false,
            &profile::hardware_module_name("GW2-1"),
        ),
        ("name constraints", &[0x55, 0x1d, 30], true, &subtree),
        (
            "a distribution point",
            &[0x55, 0x1d, 31],
            false,
            &sequence(&[&point]),
        ),
        (
            "a policy",
            &[0x55, 0x1d, 32],
            false,
            &sequence(&[&sequence(&[&oid(&[0x55, 0x1d, 32, 0])])]),
        ),
        (
            "an unknown critical extension",
            &[0x2a, 3, 4],
            true,
            &vec![tag::NULL, 0],
        ),
    ] {
        check(what, vec![extension_request(kind, critical, value)]);
    }
    let many: Vec<_> = (0..100)
        .map(|n| element(0x82, &[format!("host{n}.example").as_bytes()]))
        .collect();
    let many = sequence(&many.iter().map(Vec::as_slice).collect::<Vec<_>>());
    check(
        "a hundred names",
        vec![extension_request(oid::SUBJECT_ALT_NAME, false, &many)],
    );
    let empty = sequence(&[]);
    check(
        "two lists of extensions",
        vec![sequence(&[
            &oid(oid::EXTENSION_REQUEST),
            &element(tag::SET, &[&empty, &empty]),
        ])],
    );
    check(
        "no list of extensions",
        vec![sequence(&[&oid(oid::EXTENSION_REQUEST), &element(tag::SET, &[])])],
    );
    check("a challenge password twice", vec![challenge("a"), challenge("a")]);
    check("two challenge passwords", vec![challenge("a"), challenge("b")]);
    check(
        "a challenge that is no string",
        vec![attribute(oid::CHALLENGE_PASSWORD, &[tag::INTEGER, 1, 1])],
    );
    check(
        "a challenge that is empty",
        vec![sequence(&[
            &oid(oid::CHALLENGE_PASSWORD),
            &element(tag::SET, &[]),
        ])],
    );
    check("a challenge that is too long", vec![challenge(&"x".repeat(1021))]);
    let microsoft = [0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 14];
    check(
        "extensions under another name",
        vec![attribute(&microsoft, &sequence(&[]))],
    );
    check(
        "an unstructured name",
        vec![attribute(
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2],
            &[tag::UTF8_STRING, 1, b'x'],
        )],
    );
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(code(&bytes).is_some());
        }

        #[test]
        fn one_changed_byte_spoils_a_request(place in 0usize..200, change in 1u8..) {
            let mut bytes = Draft::good().with(|draft| draft.subject = name(&[(oid::COMMON_NAME, "gateway")])).build();
            bytes[place] ^= change;
            prop_assert!(code(&bytes).is_some());
        }
    }
}
