//! A4: five hundred requests that claim to be somebody else.

use super::{
    request::{Draft, attribute, attributes, challenge, extension_request, name},
    *,
};
use crate::ca::{
    der::{element, oid, sequence, tag},
    oid,
};
use muster_domain::{Code, certificate::CertificateSerial};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// One hostile request: strange names always, strange attributes sometimes.
fn hostile(random: &mut Random) -> Draft {
    let victim = device(u32::try_from(random.below(1000)).unwrap());
    let texts = [
        victim.id.to_string(),
        victim.serial.to_string(),
        "alice@example.com".to_owned(),
        "Muster device CA".to_owned(),
        "*".to_owned(),
        "+/#".to_owned(),
        "a\0b".to_owned(),
        "<script>".to_owned(),
        "\u{202e}evil".to_owned(),
        "x".repeat(200),
        String::new(),
    ];
    let kinds: [&[u8]; 6] = [
        oid::COMMON_NAME,
        oid::ORGANISATION,
        &[0x55, 4, 11],
        &[0x55, 4, 5],
        &[0x55, 4, 6],
        &[0x2a, 3],
    ];
    let parts: Vec<(&[u8], &str)> = (0..random.below(12))
        .map(|_| {
            (
                kinds[random.below(kinds.len())],
                texts[random.below(texts.len())].as_str(),
            )
        })
        .collect();
    let subject = name(&parts);
    let flag = random.below(256).to_be_bytes()[7];
    let extension = match random.below(10) {
        0 => Some(extension_request(
            oid::BASIC_CONSTRAINTS,
            true,
            &sequence(&[&[tag::BOOLEAN, 1, 0xff]]),
        )),
        1 => Some(extension_request(
            oid::KEY_USAGE,
            true,
            &[tag::BIT_STRING, 2, 0, flag],
        )),
        2 => Some(extension_request(
            oid::SUBJECT_ALT_NAME,
            false,
            &sequence(&[&element(0x82, &[texts[0].as_bytes()])]),
        )),
        3 => Some(extension_request(
            oid::EXTENDED_KEY_USAGE,
            true,
            &sequence(&[&oid(oid::SERVER_AUTH)]),
        )),
        4 => Some(attribute(&[0x2a, flag & 0x7f], &[tag::NULL, 0])),
        5 => Some(challenge(&texts[1])),
        6 => Some(attribute(oid::EXTENSION_REQUEST, &sequence(&[]))),
        _ => None,
    };
    Draft::good().with(|draft| {
        draft.subject = subject;
        draft.attributes = attributes(extension.into_iter().collect());
    })
}

#[test]
fn a4_names_come_from_the_registry_whatever_the_request_says() {
    let mut random = Random(4);
    let (mut issued, mut refused) = (0, 0);
    for number in 0..500 {
        let draft = hostile(&mut random);
        let device = device(number);
        let request = match CertificationRequest::parse(&draft.build()) {
            Ok(request) => request,
            Err(refusal) => {
                assert_eq!(refusal.code, Code::CsrAttribute);
                refused += 1;
                continue;
            }
        };
        issued += 1;
        let permit = permit(&device, &request, NOW);
        let intent = *permit.intent();
        let bytes = ca().issue_device(permit, &device, &request).unwrap();
        let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
        assert_eq!(
            certificate.subject().to_string(),
            format!("O=Example GmbH, CN={}", device.id)
        );
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
        let extension = certificate
            .extensions()
            .iter()
            .find(|found| found.oid.as_bytes() == oid::SUBJECT_ALT_NAME);
        let expected = profile::hardware_module_name(device.serial.as_str());
        assert_eq!(extension.unwrap().value, expected);
        assert_eq!(certificate.extensions().len(), 6);
        assert_eq!(
            CertificateSerial::from_bytes(certificate.raw_serial()),
            Some(intent.certificate)
        );
        assert_eq!(spki_digest(&bytes).unwrap(), draft.key.public().digest());
        // A bare request for the same key gets the same certificate: nothing else of the request got in.
        let bare = CertificationRequest::parse(&Draft::of(draft.key).build()).unwrap();
        let again = ca()
            .issue_device(recorded(&device, intent, &bare), &device, &bare)
            .unwrap();
        let (_, again) = X509Certificate::from_der(&again).unwrap();
        assert_eq!(
            again.tbs_certificate.as_ref(),
            certificate.tbs_certificate.as_ref()
        );
    }
    assert!(
        issued > 150 && refused > 150,
        "{issued} issued, {refused} refused"
    );
}
