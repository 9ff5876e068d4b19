//! Keys made for devices: whoever holds the station's identity opens them, nobody else, in both forms.

use super::*;
use age::x25519::Identity;
use muster_domain::{Code, device::Identity as Earned};

/// A key, its certificate chain, and the name of its device.
fn enrolled(number: u32) -> (DeviceKey, Vec<Vec<u8>>, String) {
    let key = DeviceKey::generate().unwrap();
    let request = key.request();
    let (not_before, not_after) = ca().validity(CertificateProfile::Device, NOW);
    let intent = ClaimIntent {
        spki: request.digest(),
        certificate: ca().fresh_serial(NOW).unwrap(),
        not_before,
        not_after,
        profile: CertificateProfile::Device,
        issuer: None,
        source: None,
    };
    let mut device = device(number);
    device.lifecycle = Lifecycle::Claimed {
        identity: Earned {
            certificate: intent.certificate,
            spki: intent.spki,
            not_after,
            spent: None,
            successor: None,
            source: None,
        },
    };
    let permit = claim::enroll(&device, intent).unwrap();
    let mut chain = vec![ca().issue_device(permit, &device, &request).unwrap()];
    chain.extend(ca().device_chain());
    (key, chain, device.id.to_string())
}

fn sealed(format: HandoverFormat, station: &Identity) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (key, chain, name) = enrolled(1);
    let recipient: Recipient = station.to_public().to_string().parse().unwrap();
    let sealed = key.seal(format, &chain, &name, &recipient).unwrap();
    (sealed, chain)
}

#[test]
fn the_station_opens_key_and_chain_in_pem() {
    let station = Identity::generate();
    let (sealed, chain) = sealed(HandoverFormat::Pem, &station);
    let opened = String::from_utf8(age::decrypt(&station, &sealed).unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device.pem");
    std::fs::write(&path, &opened).unwrap();
    let (known, public) = openssl(&["pkey", "-in", text(&path), "-pubout"]);
    let (certified, of_certificate) = openssl(&["x509", "-in", text(&path), "-noout", "-pubkey"]);
    assert!(known && certified, "{public}{of_certificate}");
    assert_eq!(public, of_certificate);
    assert_eq!(opened.matches("BEGIN CERTIFICATE").count(), chain.len());
    assert!(opened.starts_with("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn the_station_opens_a_key_store_without_password() {
    let station = Identity::generate();
    let (sealed, chain) = sealed(HandoverFormat::Pkcs12, &station);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device.p12");
    std::fs::write(&path, age::decrypt(&station, &sealed).unwrap()).unwrap();
    let (opened, output) = openssl(&["pkcs12", "-in", text(&path), "-passin", "pass:", "-nodes"]);
    assert!(opened, "{output}");
    assert_eq!(output.matches("BEGIN CERTIFICATE").count(), chain.len());
    assert_eq!(output.matches("BEGIN PRIVATE KEY").count(), 1);
}

#[test]
fn nobody_else_opens_a_key() {
    let (station, other) = (Identity::generate(), Identity::generate());
    let (sealed, chain) = sealed(HandoverFormat::Pem, &station);
    assert!(age::decrypt(&other, &sealed).is_err());
    assert!(!sealed.windows(11).any(|part| part == b"PRIVATE KEY"));
    assert!(
        !sealed.windows(32).any(|part| part == &chain[0][..32]),
        "not even the certificate"
    );
}

#[test]
fn a_key_goes_with_its_own_certificate_only() {
    let recipient: Recipient = Identity::generate().to_public().to_string().parse().unwrap();
    let ((key, ..), (_, chain, name)) = (enrolled(1), enrolled(2));
    let wrong = key.seal(HandoverFormat::Pem, &chain, &name, &recipient);
    assert!(matches!(wrong, Err(CaError::Permit)), "{wrong:?}");
    let wrong = enrolled(3).0.seal(HandoverFormat::Pem, &[], &name, &recipient);
    assert!(matches!(wrong, Err(CaError::Permit)), "{wrong:?}");
}

#[test]
fn only_recipients_are_taken_and_secrets_are_not_repeated() {
    let identity = Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    for text in [
        "",
        "age1",
        "age1qqqq",
        "ssh-ed25519 AAAA",
        &secret,
        &"a".repeat(10_000),
    ] {
        let refusal = text.parse::<Recipient>().unwrap_err();
        assert_eq!(refusal.code, Code::RecipientInvalid, "{text}");
        assert!(!refusal.message.contains(&secret), "{refusal}");
    }
    let spaced = format!(" {}\n", identity.to_public());
    assert_eq!(
        spaced.parse::<Recipient>().unwrap().to_string(),
        identity.to_public().to_string()
    );
}

#[test]
fn the_right_to_enroll_is_of_one_device_and_one_intent() {
    let (key, chain, _) = enrolled(1);
    let request = key.request();
    let (not_before, not_after) = ca().validity(CertificateProfile::Device, NOW);
    let certificate = ca().fresh_serial(NOW).unwrap();
    let intent = ClaimIntent {
        spki: request.digest(),
        certificate,
        not_before,
        not_after,
        profile: CertificateProfile::Device,
        issuer: None,
        source: None,
    };
    assert_eq!(claim::enroll(&device(1), intent), None, "it waits for its code");
    let mut other = device(1);
    other.lifecycle = Lifecycle::Claimed {
        identity: Earned {
            certificate: ca().fresh_serial(NOW).unwrap(),
            spki: intent.spki,
            not_after,
            spent: None,
            successor: None,
            source: None,
        },
    };
    assert_eq!(claim::enroll(&other, intent), None, "another serial was recorded");
    assert_eq!(chain.len(), 2);
}

/// `cargo test --release -p muster-server handover_rate -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn handover_rate() {
    const COUNT: u32 = 500;
    let recipient: Recipient = Identity::generate().to_public().to_string().parse().unwrap();
    for format in [HandoverFormat::Pem, HandoverFormat::Pkcs12] {
        let start = std::time::Instant::now();
        for number in 0..COUNT {
            let (key, chain, name) = enrolled(number);
            key.seal(format, &chain, &name, &recipient).unwrap();
        }
        println!(
            "{{\"format\": \"{format:?}\", \"keys_per_s\": {:.0}}}",
            f64::from(COUNT) / start.elapsed().as_secs_f64()
        );
    }
}
