//! Keys, certificates and signed manifests of our own, as makers of secure elements send them.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use muster_domain::der::{element, oid, sequence, tag};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    elliptic_curve::sec1::ToSec1Point as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// The same key for the same number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

/// The uncompressed point.
pub(crate) fn point(key: &SigningKey) -> Vec<u8> {
    let public = p256::PublicKey::from(key.verifying_key());
    public.to_sec1_point(false).as_bytes().to_vec()
}

/// SubjectPublicKeyInfo.
pub(crate) fn spki(key: &SigningKey) -> Vec<u8> {
    let algorithm = sequence(&[
        &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ]);
    sequence(&[&algorithm, &element(tag::BIT_STRING, &[&[0], &point(key)])])
}

/// What a certificate says.
pub(crate) struct Certificate<'c> {
    pub(crate) common_name: &'c str,
    pub(crate) serial_number: &'c str,
    pub(crate) not_after: &'c str,
    pub(crate) is_authority: bool,
    pub(crate) key_id: Option<&'c [u8]>,
}

impl Default for Certificate<'_> {
    fn default() -> Self {
        Self {
            common_name: "element",
            serial_number: "",
            not_after: "99991231235959Z",
            is_authority: false,
            key_id: None,
        }
    }
}

impl Certificate<'_> {
    /// In DER, signed by its own key.
    pub(crate) fn of(&self, key: &SigningKey) -> Vec<u8> {
        let algorithm = sequence(&[&oid(ECDSA_WITH_SHA256)]);
        let attribute = |kind: &[u8], value: &str| {
            if value.is_empty() {
                return Vec::new();
            }
            let value = element(tag::UTF8_STRING, &[value.as_bytes()]);
            element(tag::SET, &[&sequence(&[&oid(kind), &value])])
        };
        let name = sequence(&[
            &attribute(SERIAL_NUMBER, self.serial_number),
            &attribute(COMMON_NAME, self.common_name),
        ]);
        let validity = sequence(&[
            &element(tag::UTC_TIME, &[b"240101000000Z"]),
            &element(tag::GENERALIZED_TIME, &[self.not_after.as_bytes()]),
        ]);
        let tbs = sequence(&[
            &element(tag::CONTEXT_0, &[&element(tag::INTEGER, &[&[2]])]),
            &element(tag::INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &validity,
            &name,
            &spki(key),
            &self.extensions(),
        ]);
        let signature: Signature = key.sign(&tbs);
        let signature = signature.to_der();
        sequence(&[
            &tbs,
            &algorithm,
            &element(tag::BIT_STRING, &[&[0], signature.as_bytes()]),
        ])
    }

    fn extensions(&self) -> Vec<u8> {
        let extension = |kind: u8, value: &[u8]| {
            let value = element(tag::OCTET_STRING, &[value]);
            sequence(&[
                &oid(&[0x55, 0x1d, kind]),
                &element(tag::BOOLEAN, &[&[0xff]]),
                &value,
            ])
        };
        let mut all = Vec::new();
        if self.is_authority {
            all.push(extension(19, &sequence(&[&element(tag::BOOLEAN, &[&[0xff]])])));
            all.push(extension(15, &element(tag::BIT_STRING, &[&[2, 0x04]])));
        }
        if let Some(id) = self.key_id {
            all.push(extension(14, &element(tag::OCTET_STRING, &[id])));
        }
        if all.is_empty() {
            return Vec::new();
        }
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        element(tag::CONTEXT_3, &[&sequence(&all)])
    }
}

/// PEM with lines of 64.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----",
        lines.join("\n")
    )
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A public key as secure elements write it, with its certificate if there is one.
pub(crate) fn jwk(key: &SigningKey, slot: &str, certificate: Option<&[u8]>) -> Value {
    let point = point(key);
    let mut jwk = json!({
        "kid": slot, "kty": "EC", "crv": "P-256",
        "x": base64url(&point[1..33]), "y": base64url(&point[33..]),
    });
    if let Some(certificate) = certificate {
        jwk["x5c"] = json!([STANDARD.encode(certificate), "ignored"]);
    }
    jwk
}

/// A payload of one of the three versions.
pub(crate) fn payload(version: u32, unique_id: &str) -> Value {
    let mut payload = json!({
        "version": version,
        "model": "ATECC608B",
        "partNumber": "ATECC608B-TNGTLSS-B",
        "manufacturer": {"organizationName": "Maker Inc", "organizationalUnitName": "Elements"},
        "provisioner": {"organizationName": "Maker Inc"},
        "groupId": "359SCE55NV38H3CB",
        "provisioningTimestamp": "2025-05-10T01:52:29.240Z",
        "uniqueId": unique_id,
    });
    let seller = json!({"organizationName": "Seller"});
    match version {
        1 => {
            payload["distributer"] = seller;
            payload["encryptedSecretKeySet"] = json!({"keys": [{"kid": "5", "encrypted_key": "AAAA"}]});
        }
        _ => payload["distributor"] = seller,
    }
    if version != 2 {
        let leaf = Certificate {
            common_name: unique_id,
            ..Certificate::default()
        };
        let certificate = leaf.of(&key(9));
        payload["publicKeySet"] = json!({"keys": [
            jwk(&key(8), "1", None),
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "7"},
            jwk(&key(9), "0", Some(&certificate)),
        ]});
    }
    payload
}

/// Who signs, and how.
pub(crate) struct Maker {
    pub(crate) key: SigningKey,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
}

impl Maker {
    pub(crate) fn new(number: u8) -> Self {
        let key = key(number);
        let key_id = vec![number; 20];
        let certificate = Certificate {
            common_name: &format!("Signer {number}"),
            key_id: Some(&key_id),
            ..Certificate::default()
        };
        Self {
            certificate: certificate.of(&key),
            key,
            key_id,
        }
    }

    pub(crate) fn protected(&self) -> Value {
        json!({
            "typ": "JWT", "alg": "ES256",
            "kid": base64url(&self.key_id),
            "x5t#S256": base64url(Sha256::digest(&self.certificate)),
        })
    }

    /// A sound entry.
    pub(crate) fn entry(&self, payload: &Value) -> Value {
        self.sign(
            &self.protected(),
            &payload.to_string(),
            payload["uniqueId"].as_str().unwrap(),
        )
    }

    /// An entry over whatever is given.
    pub(crate) fn sign(&self, protected: &Value, payload: &str, unique_id: &str) -> Value {
        let (protected, payload) = (base64url(protected.to_string()), base64url(payload));
        let signature: Signature = self.key.sign(format!("{protected}.{payload}").as_bytes());
        json!({
            "payload": payload, "protected": protected,
            "header": {"uniqueId": unique_id}, "signature": base64url(signature.to_bytes()),
        })
    }
}
