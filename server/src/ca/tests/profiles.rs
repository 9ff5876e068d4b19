//! What settings make of certificates: lives, ends, units, distribution points; and the second look at issued ones.

use super::{request::Draft, *};
use crate::ca::profiles::NO_EXPIRY;
use muster_domain::certificate::{CertificateHolder, CertificateRecord, CertificateState};
use std::time::Duration;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

const DAY: Duration = Duration::from_secs(86_400);

fn with(changes: &str, crl_url: &str) -> Ca {
    let changes = |profile| match profile {
        CertificateProfile::Device | CertificateProfile::Gateway => toml::from_str(changes).unwrap(),
        _ => ProfileChanges::default(),
    };
    let issuance = Issuance::parse(changes, crl_url).unwrap();
    Ca::open(FIXTURE.directory.path(), &passphrase())
        .unwrap()
        .issuing(issuance)
}

/// A device's certificate by this profile, with its record.
fn issued(ca: &Ca, profile: CertificateProfile) -> (CertificateRecord, Device) {
    let device = device(11);
    let request = CertificationRequest::parse(&Draft::good().build()).unwrap();
    let (not_before, not_after) = ca.validity(profile, NOW);
    let intent = ClaimIntent {
        spki: request.digest(),
        certificate: ca.fresh_serial(NOW).unwrap(),
        not_before,
        not_after,
        profile,
        issuer: Some(ca.issuer(profile)),
        source: None,
    };
    let der = ca
        .issue_device(recorded(&device, intent, &request), &device, &request)
        .unwrap();
    let record = CertificateRecord {
        serial: intent.certificate,
        holder: CertificateHolder::Device(device.id),
        profile,
        issuer: intent.issuer,
        spki: intent.spki,
        not_before,
        not_after,
        state: CertificateState::Current,
        der,
    };
    (record, device)
}

fn shown(record: &CertificateRecord) -> String {
    let (_, read) = X509Certificate::from_der(&record.der).unwrap();
    format!("{} to {}", read.subject(), read.validity().not_after.timestamp())
}

#[test]
fn a_gateway_is_told_from_a_device_by_its_unit() {
    let (device, gateway) = (
        issued(ca(), CertificateProfile::Device),
        issued(ca(), CertificateProfile::Gateway),
    );
    assert!(
        shown(&device.0).starts_with("O=Example GmbH, CN="),
        "{}",
        shown(&device.0)
    );
    assert!(
        shown(&gateway.0).starts_with("O=Example GmbH, OU=gateway, CN="),
        "{}",
        shown(&gateway.0)
    );
    let mut mistaken = gateway.0.clone();
    mistaken.profile = CertificateProfile::Device;
    assert_eq!(
        ca().inspect(&mistaken, Some(&gateway.1.serial)),
        Err(Defect::Subject)
    );
}

#[test]
fn lives_are_those_of_the_settings() {
    let short = with("days = 30\nrenew_at = \"1/2\"", "");
    let (record, _) = issued(&short, CertificateProfile::Device);
    assert_eq!(record.not_after, NOW.plus(30 * DAY));
    let renew_from = |ca: &Ca, record: &CertificateRecord| {
        ca.renew_from(record.profile, record.not_before, record.not_after)
    };
    let half = NOW.plus(15 * DAY).minus(Duration::from_secs(150));
    assert_eq!(renew_from(&short, &record), Some(half));
    assert_eq!(
        short.renew_from(CertificateProfile::Operator, NOW, NOW.plus(DAY)),
        None
    );
    // Without an end, and past that of the issuer.
    let endless = with("no_expiry = true", "");
    let (record, device) = issued(&endless, CertificateProfile::Device);
    assert_eq!(record.not_after, NO_EXPIRY);
    assert!(record.der.windows(15).any(|bytes| bytes == b"99991231235959Z"));
    assert_eq!(renew_from(&endless, &record), None);
    for ca in [&endless, &short] {
        assert_eq!(
            ca.inspect(&record, Some(&device.serial)),
            Ok(()),
            "whatever is set now"
        );
    }
}

#[test]
fn a_certificate_names_its_list_and_its_issuer() {
    let listing = with("", "http://crl.example/crl");
    let (record, device) = issued(&listing, CertificateProfile::Device);
    let id = listing.issuer(CertificateProfile::Device);
    let text = String::from_utf8_lossy(&record.der).into_owned();
    let list = format!("http://crl.example/crl/{id}/{}.crl", record.serial.shard());
    assert!(text.contains(&list) && text.contains(&format!("http://crl.example/crl/{id}.cer")));
    assert_eq!(listing.issuer_certificate(id).unwrap(), ca().device_chain()[0]);
    // Another address was set since, or none: what was right once still is. Another list never was.
    for ca in [&listing, ca(), &with("", "http://10.0.0.1/x")] {
        assert_eq!(ca.inspect(&record, Some(&device.serial)), Ok(()));
    }
}

#[test]
fn what_was_issued_is_known_again_and_nothing_else_is() {
    let (good, device) = issued(ca(), CertificateProfile::Device);
    let (other, _) = issued(ca(), CertificateProfile::Device);
    let serial = &device.serial;
    let check = |expected: Result<(), Defect>, change: &dyn Fn(&mut CertificateRecord)| {
        let mut record = good.clone();
        change(&mut record);
        assert_eq!(ca().inspect(&record, Some(serial)), expected);
    };
    check(Ok(()), &|_| {});
    check(Ok(()), &|record| record.issuer = None);
    check(Err(Defect::Serial), &|record| record.serial = other.serial);
    check(Err(Defect::Key), &|record| record.spki = other.spki);
    check(Err(Defect::Key), &|record| record.der = other.der.clone());
    check(Err(Defect::Validity), &|record| record.not_after = NOW.plus(DAY));
    check(Err(Defect::Validity), &|record| record.not_before = NOW);
    check(Err(Defect::Issuer), &|record| {
        record.issuer = Some(ca().issuer(CertificateProfile::Operator))
    });
    check(Err(Defect::Issuer), &|record| {
        record.issuer = Some(Default::default())
    });
    check(Err(Defect::Form), &|record| record.der.clear());
    check(Err(Defect::Signature), &|record| {
        *record.der.last_mut().unwrap() ^= 1
    });
    check(Err(Defect::Subject), &|record| {
        record.holder = CertificateHolder::Operator("carol".parse().unwrap());
    });
    assert_eq!(ca().inspect(&good, None), Err(Defect::Subject));
    let foreign = "GW2-other".parse().unwrap();
    assert_eq!(ca().inspect(&good, Some(&foreign)), Err(Defect::Extensions));
}

#[test]
fn a_profile_is_for_its_own_holders() {
    let request = CertificationRequest::parse(&Draft::good().build()).unwrap();
    let name = "line-7".parse().unwrap();
    for profile in CertificateProfile::ALL {
        let serial = ca().fresh_serial(NOW).unwrap();
        let operator = ca().issue_operator(profile, &name, &request, NOW, serial);
        let (device, is_device) = (
            device(12),
            matches!(profile, CertificateProfile::Device | CertificateProfile::Gateway),
        );
        let (not_before, not_after) = ca().validity(profile, NOW);
        let intent = ClaimIntent {
            spki: request.digest(),
            certificate: serial,
            not_before,
            not_after,
            profile,
            issuer: None,
            source: None,
        };
        let permit = || recorded(&device, intent, &request);
        let certified = ca().issue_device(permit(), &device, &request);
        assert_eq!(certified.is_ok(), is_device, "{profile}: {certified:?}");
        let is_operator = !is_device && profile != CertificateProfile::Server;
        assert_eq!(operator.is_ok(), is_operator, "{profile}: {operator:?}");
        if is_device {
            assert_eq!(
                ca().issue_device_in_bulk(permit(), &device, &request)
                    .map(|der| der.len())
                    .ok(),
                certified.map(|der| der.len()).ok().map(|length| length),
                "in bulk or not"
            );
        }
    }
    // Another authority was to sign it.
    let device = device(13);
    let mut intent = *permit(&device, &request, NOW).intent();
    intent.issuer = Some(ca().issuer(CertificateProfile::Operator));
    let issued = ca().issue_device(recorded(&device, intent, &request), &device, &request);
    assert!(matches!(issued, Err(CaError::Permit)), "{issued:?}");
}
