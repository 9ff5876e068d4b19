//! What the credential of a row is, in all the ways it is written.

use crate::maker::{Certificate, base64url, jwk, key, pem, spki};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_domain::{
    Code,
    certificate::SpkiDigest,
    der::{element, tag},
    manifest::{CREDENTIAL_LIMIT, KeyKind, RowCredential},
};
use proptest::{collection::vec, prelude::*};
use sha2::{Digest as _, Sha256};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/credentials/", $name))
    };
}

fn digest(spki: &[u8]) -> SpkiDigest {
    SpkiDigest(Sha256::digest(spki).into())
}

/// What it is and what kind of key it has, or the text of the refusal.
fn check(text: &str, expected: Result<(&str, KeyKind), &str>) {
    let found = RowCredential::parse(text);
    let kind = |credential: &RowCredential| match credential {
        RowCredential::Request { key, .. } => ("request", *key),
        RowCredential::PublicKey { key, .. } => ("key", *key),
        RowCredential::Certificate { key, .. } => ("certificate", *key),
    };
    let found = found.as_ref().map(kind).map_err(|refusal| {
        assert_eq!(refusal.code, Code::CredentialMalformed);
        refusal.message.as_str()
    });
    assert_eq!(found, expected, "{text:.100}");
}

#[test]
fn credentials_of_other_tools_are_read() {
    check(
        fixture!("rsa.pem"),
        Ok(("certificate", KeyKind::Rsa { bits: 2048 })),
    );
    check(fixture!("p384.pem"), Ok(("certificate", KeyKind::P384)));
    check(fixture!("p256.csr"), Ok(("request", KeyKind::P256)));
    check(fixture!("p256.pub"), Ok(("key", KeyKind::P256)));
}

#[test]
fn one_key_has_one_name_however_it_comes() {
    let request = RowCredential::parse(fixture!("p256.csr")).unwrap();
    let public = RowCredential::parse(fixture!("p256.pub")).unwrap();
    assert_eq!(request.spki(), public.spki());
    let (key, certificate) = (key(5), Certificate::default().of(&key(5)));
    for text in [
        jwk(&key, "0", None).to_string(),
        STANDARD.encode(spki(&key)),
        base64url(spki(&key)),
        pem("PUBLIC KEY", &spki(&key)),
        STANDARD.encode(&certificate),
        pem("CERTIFICATE", &certificate),
    ] {
        let credential = RowCredential::parse(&text).unwrap();
        assert_eq!(credential.spki(), digest(&spki(&key)), "{text}");
        assert_eq!(credential.key(), KeyKind::P256);
    }
}

#[test]
fn tables_may_break_the_lines_of_pem() {
    let text = pem("CERTIFICATE", &Certificate::default().of(&key(5)));
    let expected = RowCredential::parse(&text).unwrap();
    for broken in [
        text.replace('\n', "\r\n"),
        text.replace('\n', " "),
        text.replace('\n', "\\n"),
        text.replace('\n', ""),
        format!("\n  {text}\n\n"),
        format!(
            "{text}\n{}",
            pem("CERTIFICATE", &Certificate::default().of(&key(6)))
        ),
        format!("{text}\n{}", pem("PUBLIC KEY", &spki(&key(6)))),
    ] {
        assert_eq!(RowCredential::parse(&broken).unwrap(), expected, "{broken}");
    }
}

#[test]
fn certificates_say_whose_they_are_and_until_when() {
    let der = Certificate {
        common_name: "a+b, c",
        serial_number: "SN-1",
        not_after: "20340102030405Z",
        ..Certificate::default()
    }
    .of(&key(5));
    let RowCredential::Certificate {
        sha256,
        subject,
        not_after,
        ..
    } = RowCredential::parse(&STANDARD.encode(&der)).unwrap()
    else {
        panic!("it is a certificate");
    };
    assert_eq!(sha256, <[u8; 32]>::from(Sha256::digest(&der)));
    assert_eq!(subject, "CN=a\\+b\\, c,serialNumber=SN-1");
    assert_eq!(not_after.seconds(), 2_019_783_845);
}

#[test]
fn what_cannot_be_used_says_why() {
    const NOTHING: &str =
        "is no certificate request, public key or certificate: write PEM, DER in base64, or a JSON Web Key";
    const PRIVATE: &str = "is a private key, which must not leave the device; take it for disclosed";
    const KIND: &str = "has a key that is neither ECDSA (P-256, P-384) nor RSA";
    const CURVE: &str = "has a key on another curve than P-256 and P-384, or in a compressed form";
    check(fixture!("ed25519.pem"), Err(KIND));
    check(fixture!("compressed.pub"), Err(CURVE));
    let small = "has an RSA key of 1024 bits; 2048 to 8192 are taken";
    check(fixture!("rsa1024.pub"), Err(small));
    check("hello", Err(NOTHING));
    check("TlVMTA==", Err(NOTHING));
    check(&"A".repeat(CREDENTIAL_LIMIT), Err(NOTHING));
    check(
        &"A".repeat(CREDENTIAL_LIMIT + 1),
        Err("is longer than 8192 bytes"),
    );
    check(&pem("CERTIFICATE", b"no"), Err("is not a certificate in DER"));
    check(&pem("PKCS7", b"no"), Err(NOTHING));
    check(&pem("EC PRIVATE KEY", b"no"), Err(PRIVATE));
    let private = element(
        tag::SEQUENCE,
        &[
            &element(tag::INTEGER, &[&[1]]),
            &element(tag::OCTET_STRING, &[b"x"]),
        ],
    );
    check(&STANDARD.encode(private), Err(PRIVATE));
    // Bytes behind the certificate; a point off its curve, in a key and in a certificate.
    let mut long = Certificate::default().of(&key(5));
    long.push(0);
    check(&STANDARD.encode(&long), Err(NOTHING));
    let mut off = spki(&key(5));
    *off.last_mut().unwrap() ^= 1;
    let why = "has a key that is not a point of its curve";
    check(&STANDARD.encode(&off), Err(why));
    let certificate = Certificate {
        not_after: "20340230000000Z",
        ..Certificate::default()
    };
    check(
        &STANDARD.encode(certificate.of(&key(5))),
        Err("has an end of validity that cannot be read"),
    );
}

#[test]
fn json_web_keys_are_of_one_kind() {
    let whole = jwk(&key(5), "0", None);
    let with = |name: &str, value: serde_json::Value| {
        let mut jwk = whole.clone();
        jwk[name] = value;
        jwk.to_string()
    };
    let other = "is a JSON Web Key of another kind than EC on P-256";
    check(&with("crv", "P-384".into()), Err(other));
    check(&with("kty", "RSA".into()), Err(other));
    let coordinates = "has coordinates that are not 32 bytes in base64url";
    check(&with("x", "AAAA".into()), Err(coordinates));
    check(&with("x", STANDARD.encode([255; 32]).into()), Err(coordinates));
    check(
        &with("x", base64url([1; 32]).into()),
        Err("has a key that is not a point of its curve"),
    );
    check(
        &with("d", base64url([1; 32]).into()),
        Err("is a private key, which must not leave the device; take it for disclosed"),
    );
    let form = "is no JSON Web Key of the type EC, with kty, crv, x and y";
    check(&whole.to_string().replacen('{', "{\"kty\":\"EC\",", 1), Err(form));
    check("{}", Err(form));
}

#[test]
fn an_empty_cell_is_a_missing_credential() {
    for text in ["", " \n"] {
        let refusal = RowCredential::parse(text).unwrap_err();
        assert_eq!(refusal.code, Code::CredentialMissing);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300), label in prop::sample::select(vec!["CERTIFICATE", "PUBLIC KEY", "CERTIFICATE REQUEST"])) {
        let _ = RowCredential::parse(&STANDARD.encode(&bytes)).ok();
        let _ = RowCredential::parse(&pem(label, &bytes)).ok();
        let _ = RowCredential::parse(&String::from_utf8_lossy(&bytes)).ok();
    }

    #[test]
    fn no_change_of_a_certificate_panics(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut der = Certificate { is_authority: true, key_id: Some(&[1]), ..Certificate::default() }.of(&key(5));
        let place = place.index(der.len());
        der[place] = byte;
        let _ = RowCredential::parse(&STANDARD.encode(&der)).ok();
        der.truncate(cut.index(der.len()));
        prop_assert!(RowCredential::parse(&STANDARD.encode(&der)).is_err());
    }
}
