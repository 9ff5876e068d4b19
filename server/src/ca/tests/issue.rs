//! What is issued: by our own eyes, by `openssl verify` and by webpki.

use super::{request::Draft, *};
use crate::ca::{key::PrivateKey, oid};
use muster_domain::certificate::CertificateSerial;
use muster_proto::{
    envelope::{Envelope, EnvelopeError},
    payload::{self, Desired, Digest},
    topic::Encoding,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::{fs, time::Duration};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

fn request() -> CertificationRequest {
    CertificationRequest::parse(&Draft::good().build()).unwrap()
}

fn issue(number: u32) -> Vec<u8> {
    let (device, request) = (device(number), request());
    ca().issue_device(permit(&device, &request, NOW), &device, &request)
        .unwrap()
}

/// Does `leaf` chain to the root over `intermediates`, for `usage`, at this time?
fn webpki_accepts(
    leaf: &[u8],
    intermediates: &[Vec<u8>],
    usage: KeyUsage,
    at: Timestamp,
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(ca().roots().remove(0));
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let leaf = CertificateDer::from(leaf);
    let intermediates: Vec<_> = intermediates
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.seconds()));
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &intermediates,
            at,
            usage,
            None,
            None,
        )
        .map(|_| ())
}

/// `openssl verify -x509_strict` at the time of the fixture.
fn openssl_accepts(leaf: &[u8], intermediate: Option<&str>, purpose: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leaf.pem");
    fs::write(&path, certificate_pem(leaf)).unwrap();
    let authority = FIXTURE.directory.path().join("ca");
    let at = NOW.seconds().to_string();
    let root = authority.join("root.pem");
    let mut arguments = vec![
        "verify",
        "-x509_strict",
        "-policy_check",
        "-attime",
        &at,
        "-purpose",
        purpose,
        "-CAfile",
        text(&root),
    ];
    let intermediate = intermediate.map(|name| authority.join(name));
    if let Some(intermediate) = &intermediate {
        arguments.extend(["-untrusted", text(intermediate)]);
    }
    arguments.push(text(&path));
    openssl(&arguments)
}

#[test]
fn a_device_certificate_says_what_the_registry_says() {
    let device = device(1);
    let request = request();
    let permit = permit(&device, &request, NOW);
    let intent = *permit.intent();
    let bytes = ca().issue_device(permit, &device, &request).unwrap();
    let (rest, certificate) = X509Certificate::from_der(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!(
        certificate.subject().to_string(),
        format!("O=Example GmbH, CN={}", device.id)
    );
    assert_eq!(certificate.raw_serial(), intent.certificate.to_bytes());
    assert_eq!(
        certificate.validity().not_before.timestamp(),
        i64::try_from(NOW.seconds() - 300).unwrap()
    );
    assert_eq!(
        certificate.validity().not_after.timestamp(),
        i64::try_from(NOW.seconds()).unwrap() + 365 * 86_400
    );
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    let [GeneralName::OtherName(kind, value)] = names.as_slice() else {
        panic!("{names:?}")
    };
    assert_eq!(kind.as_bytes(), oid::HARDWARE_MODULE_NAME);
    assert!(value.ends_with(device.serial.as_str().as_bytes()));
    assert!(!certificate.is_ca());
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1, "digitalSignature alone");
    assert_eq!(spki_digest(&bytes).unwrap(), request.digest());
    assert_eq!(certificate_serial(&bytes).unwrap(), intent.certificate.to_bytes());
}

#[test]
fn independent_verifiers_accept_what_is_issued() {
    let operator = &FIXTURE.made.operator.chain;
    let server = ca().server_certificate(&server_names(), NOW).unwrap();
    let config = ca().seal_desired(Vec::new()).unwrap().certificate.0;
    for (leaf, chain, file, purpose, usage) in [
        (
            &issue(2),
            ca().device_chain(),
            Some("devices.pem"),
            "sslclient",
            KeyUsage::client_auth(),
        ),
        (
            &operator[0],
            ca().operator_chain(),
            Some("operators.pem"),
            "sslclient",
            KeyUsage::client_auth(),
        ),
        (
            &server.chain[0].to_vec(),
            vec![server.chain[1].to_vec()],
            Some("servers.pem"),
            "sslserver",
            KeyUsage::server_auth(),
        ),
        (
            &config,
            Vec::new(),
            None,
            "any",
            KeyUsage::required(oid::CONFIG_SIGNING),
        ),
    ] {
        let (accepted, output) = openssl_accepts(leaf, file, purpose);
        assert!(accepted, "{file:?}: {output}");
        assert_eq!(webpki_accepts(leaf, &chain, usage, NOW), Ok(()), "{file:?}");
    }
}

#[test]
fn independent_verifiers_refuse_what_is_not_meant() {
    let leaf = issue(3);
    let check = |accepted: bool, what: &str| assert!(!accepted, "{what}");
    check(
        openssl_accepts(&leaf, Some("devices.pem"), "sslserver").0,
        "a device as a server",
    );
    check(
        openssl_accepts(&leaf, Some("operators.pem"), "sslclient").0,
        "a device under the operator CA",
    );
    check(
        openssl_accepts(&leaf, None, "sslclient").0,
        "a device under the root",
    );
    let accepts = |usage, at| webpki_accepts(&leaf, &ca().device_chain(), usage, at).is_ok();
    check(accepts(KeyUsage::server_auth(), NOW), "a device as a server");
    check(
        accepts(KeyUsage::required(oid::CONFIG_SIGNING), NOW),
        "a device as a config signer",
    );
    check(
        accepts(
            KeyUsage::client_auth(),
            NOW.plus(Duration::from_secs(366 * 86_400)),
        ),
        "after its end",
    );
    check(
        accepts(KeyUsage::client_auth(), NOW.minus(Duration::from_secs(301))),
        "before its start",
    );
    // The device CA is for clients, and a server leaf under it would be of no use.
    let server = ca().server_certificate(&server_names(), NOW).unwrap();
    check(
        webpki_accepts(
            &server.chain[0],
            &ca().device_chain(),
            KeyUsage::server_auth(),
            NOW,
        )
        .is_ok(),
        "wrong CA",
    );
}

#[test]
fn a_permit_is_for_one_device_and_one_key() {
    let (one, other) = (device(4), device(5));
    let (request, foreign) = (request(), request());
    let issued = ca().issue_device(permit(&one, &request, NOW), &other, &request);
    assert!(matches!(issued, Err(CaError::Permit)), "{issued:?}");
    let issued = ca().issue_device(permit(&one, &request, NOW), &one, &foreign);
    assert!(matches!(issued, Err(CaError::Permit)), "{issued:?}");
}

#[test]
fn validity_stays_inside_the_issuers() {
    let year = Duration::from_secs(365 * 86_400);
    let check = |at: Timestamp, start: Timestamp, end: Timestamp| {
        assert_eq!(ca().validity(CertificateProfile::Device, at), (start, end))
    };
    let five_minutes = Duration::from_secs(300);
    let day = Duration::from_secs(86_400);
    let last = NOW.plus(10 * year);
    check(NOW, NOW.minus(five_minutes), NOW.plus(year));
    check(
        NOW.plus(Duration::from_millis(999)),
        NOW.minus(five_minutes),
        NOW.plus(year),
    );
    check(NOW.minus(day), NOW.minus(day), NOW.minus(day).plus(year));
    check(NOW.plus(9 * year), NOW.plus(9 * year).minus(five_minutes), last);
    check(last.minus(day), last.minus(day).minus(five_minutes), last);
}

#[test]
fn nothing_is_issued_after_the_issuers_end() {
    // An authority of its own: its clock guard moves.
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), options(&passphrase())).unwrap();
    let late = NOW.plus(Duration::from_secs(11 * 365 * 86_400));
    let operator = made.ca.new_operator(&"bob".parse().unwrap(), late);
    assert!(
        matches!(operator, Err(CaError::Expired("operator CA"))),
        "{operator:?}"
    );
    let server = made.ca.server_certificate(&server_names(), late);
    assert!(matches!(server, Err(CaError::Expired("server CA"))), "{server:?}");
    // And the clock that was ahead is behind now: nothing is issued either (H4).
    let error = made.ca.fresh_serial(NOW).unwrap_err();
    assert!(matches!(error, CaError::ClockBehind { .. }), "{error}");
    let refusal = error.refusal().map(|refusal| refusal.code);
    assert_eq!(refusal, Some(muster_domain::Code::ClockBehind));
    assert_eq!(CaError::Permit.refusal(), None);
}

#[test]
fn serials_are_sixteen_positive_bytes_that_sort_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), options(&passphrase())).unwrap();
    let at = |minute: u64| {
        made.ca
            .fresh_serial(NOW.plus(Duration::from_secs(60 * minute)))
            .unwrap()
    };
    let serials: Vec<_> = (0..100).map(at).collect();
    assert!(serials.is_sorted_by(|a, b| a < b));
    assert!(
        serials
            .iter()
            .all(|serial| (1..0x80).contains(&serial.to_bytes()[0]))
    );
    made.ca.issued_until(NOW.plus(Duration::from_secs(3600 * 24)));
    assert!(matches!(
        made.ca.fresh_serial(NOW),
        Err(CaError::ClockBehind { .. })
    ));
}

#[test]
fn what_differs_from_its_profile_does_not_leave() {
    let name = "carol".parse().unwrap();
    // rcgen writes a number: leading zeros go, a leading one gets a zero. Both are not the sixteen recorded bytes.
    for serial in [1, 1 << 119, 1 << 127, u128::MAX] {
        let issued = ca().issue_operator(
            CertificateProfile::Operator,
            &name,
            &request(),
            NOW,
            CertificateSerial::from_u128(serial),
        );
        assert!(matches!(issued, Err(CaError::Lint(Defect::Serial))), "{issued:?}");
    }
}

#[test]
fn an_intent_that_outlives_the_issuer_is_not_signed() {
    let (device, request) = (device(7), request());
    let intent = *permit(&device, &request, NOW).intent();
    let with = |not_before: Timestamp, not_after: Timestamp| {
        let changed = ClaimIntent {
            not_before,
            not_after,
            ..intent
        };
        ca().issue_device(recorded(&device, changed, &request), &device, &request)
    };
    let year = Duration::from_secs(365 * 86_400);
    assert!(with(NOW, NOW.plus(10 * year)).is_ok());
    for (start, end) in [
        (NOW, NOW.plus(10 * year + Duration::from_secs(1))),
        (NOW, NOW),
        (NOW.plus(year), NOW),
    ] {
        let issued = with(start, end);
        assert!(matches!(issued, Err(CaError::Expired("device CA"))), "{issued:?}");
    }
}

#[test]
fn operators_are_certified_by_name() {
    let name = "carol.r".parse().unwrap();
    let request = request();
    let serial = ca().fresh_serial(NOW).unwrap();
    let bytes = ca()
        .issue_operator(CertificateProfile::Operator, &name, &request, NOW, serial)
        .unwrap();
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=Example GmbH, CN=carol.r");
    assert!(certificate.subject_alternative_name().unwrap().is_none());
    assert_eq!(certificate_serial(&bytes).unwrap(), serial.to_bytes());
    let first = &FIXTURE.made.operator;
    assert_eq!(spki_digest(&first.chain[0]).unwrap(), first.key);
    assert!(first.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[test]
fn a_sealed_envelope_opens_under_the_root_and_nothing_else_does() {
    let wish = Desired {
        device_id: device(1).id.to_string(),
        generation: 7,
        issued_at: NOW.seconds(),
        digest: Digest([1; 32]),
        profile: None,
        files: Vec::new(),
        location: None,
        firmware: None,
    };
    let sealed = ca()
        .seal_desired(payload::encode(&wish, Encoding::Postcard).unwrap())
        .unwrap();
    let trust = |certificate: &[u8]| {
        webpki_accepts(certificate, &[], KeyUsage::required(oid::CONFIG_SIGNING), NOW)
            .map_err(|e| e.to_string())?;
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
        Ok(certificate.public_key().raw.to_vec())
    };
    let open = |envelope: &Envelope| {
        let bytes = payload::encode(envelope, Encoding::Postcard).unwrap();
        Envelope::open(&bytes, Encoding::Postcard, trust)
    };
    assert_eq!(open(&sealed), Ok(wish));
    let mut altered = sealed.clone();
    altered.payload.0[0] ^= 1;
    assert_eq!(open(&altered), Err(EnvelopeError::Signature));
    // An operator's certificate chains to the root too, but is not for this.
    let (key, _) = PrivateKey::generate().unwrap();
    let signature = key
        .sign(&muster_proto::envelope::signing_input(&sealed.payload.0))
        .unwrap();
    let operator = FIXTURE.made.operator.chain[0].clone();
    let forged = Envelope::new(operator, sealed.payload.0.clone(), signature);
    assert!(matches!(open(&forged), Err(EnvelopeError::Certificate(_))));
}

#[test]
fn a_server_certificate_carries_all_names_and_is_renewed_in_time() {
    let made = ca().server_certificate(&server_names(), NOW).unwrap();
    let (_, certificate) = X509Certificate::from_der(&made.chain[0]).unwrap();
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    let expected = [
        GeneralName::DNSName("localhost"),
        GeneralName::DNSName("muster.example"),
        GeneralName::IPAddress(&[127, 0, 0, 1]),
        GeneralName::IPAddress(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    assert_eq!(names.as_slice(), expected);
    assert_eq!(made.renew_from, NOW.plus(Duration::from_secs(60 * 86_400)));
    let again = ca().server_certificate(&server_names(), NOW).unwrap();
    assert_ne!(
        spki_digest(&made.chain[0]).unwrap(),
        spki_digest(&again.chain[0]).unwrap(),
        "its key is fresh"
    );
}

#[test]
fn what_is_no_certificate_has_neither_key_nor_serial() {
    let mut trailing = issue(6);
    trailing.push(0);
    for bytes in [&[][..], b"certificate", &trailing] {
        assert!(matches!(spki_digest(bytes), Err(CaError::NotACertificate)));
        assert!(matches!(certificate_serial(bytes), Err(CaError::NotACertificate)));
    }
}

#[test]
fn the_authorities_tell_when_they_end() {
    let year = Duration::from_secs(365 * 86_400);
    let ends: Vec<_> = ca()
        .authorities()
        .iter()
        .map(|authority| (authority.what, authority.not_after))
        .collect();
    let expected = [
        ("root CA", NOW.plus(20 * year)),
        ("device CA", NOW.plus(10 * year)),
        ("operator CA", NOW.plus(10 * year)),
        ("server CA", NOW.plus(10 * year)),
        ("config signer", NOW.plus(2 * year)),
    ];
    assert_eq!(ends, expected);
}
