//! Revocation lists: what is ordered stands on them, and nothing else leaves.

use super::*;
use crate::ca::{authority::Issuing, crl::List, crl_lint, key::PrivateKey};
use muster_domain::certificate::{AuthorityId, CRL_SHARDS, CertificateSerial, RevocationReason};
use rcgen::{CertificateRevocationListParams, CrlScope};
use std::{fs, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

static LISTING: LazyLock<Ca> = LazyLock::new(|| {
    let issuance = Issuance::parse(|_| ProfileChanges::default(), "http://crl.example:8080/crl/").unwrap();
    Ca::open(FIXTURE.directory.path(), &passphrase())
        .unwrap()
        .issuing(issuance)
});

fn serial(shard: u8, number: u128) -> CertificateSerial {
    CertificateSerial::new(NOW, number * u128::from(CRL_SHARDS) + u128::from(shard))
}

fn order(shard: u8, entries: u128) -> ListOrder {
    let entry = |number: u128| Revoked {
        serial: serial(shard, number),
        at: NOW.minus(DAY),
        reason: RevocationReason::ALL[usize::try_from(number).unwrap() % RevocationReason::ALL.len()],
    };
    ListOrder {
        shard,
        number: 0x80,
        this_update: NOW,
        next_update: NOW.plus(7 * DAY),
        entries: (0..entries).rev().map(entry).collect(),
    }
}

fn device_authority() -> AuthorityId {
    LISTING.issuer(CertificateProfile::Device)
}

fn issuing() -> &'static Issuing {
    LISTING.authority(device_authority()).unwrap()
}

#[test]
fn openssl_reads_what_was_ordered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list.pem");
    let made = LISTING.revocation_list(device_authority(), order(3, 6)).unwrap();
    fs::write(
        &path,
        pkcs8::der::pem::encode_string("X509 CRL", pkcs8::LineEnding::LF, &made).unwrap(),
    )
    .unwrap();
    let issuer = FIXTURE.directory.path().join("ca/devices.pem");
    let (read, shown) = openssl(&[
        "crl",
        "-in",
        text(&path),
        "-noout",
        "-text",
        "-CAfile",
        text(&issuer),
    ]);
    assert!(read, "{shown}");
    let id = device_authority();
    let mut expected = vec![
        "verify OK".to_owned(),
        "Version 2".to_owned(),
        format!("URI:http://crl.example:8080/crl/{id}/3.crl"),
        "Only User Certificates".to_owned(),
        "X509v3 CRL Number: \n                128".to_owned(),
        "Next Update: Dec  1 00:00:00 2026 GMT".to_owned(),
        "Revocation Date: Nov 23 00:00:00 2026 GMT".to_owned(),
    ];
    expected.extend(
        (0..6).map(|number| format!("Serial Number: {}", serial(3, number).to_string().to_uppercase())),
    );
    for reason in [
        "Key Compromise",
        "Affiliation Changed",
        "Superseded",
        "Cessation Of Operation",
        "Privilege Withdrawn",
    ] {
        expected.push(reason.to_owned());
    }
    for part in expected {
        assert!(shown.contains(&part), "{part} in {shown}");
    }
    assert!(!shown.contains("Unspecified"), "{shown}");
}

#[test]
fn lists_are_small_or_large() {
    for entries in [0, 1, 3, 50, 3000] {
        let made = LISTING
            .revocation_list(device_authority(), order(0, entries))
            .unwrap();
        assert!(
            made.len() < 400 + 60 * usize::try_from(entries).unwrap(),
            "{}",
            made.len()
        );
    }
    let authorities: Vec<_> = LISTING.issuers();
    for authority in &authorities {
        for shard in 0..CRL_SHARDS {
            LISTING.revocation_list(*authority, order(shard, 2)).unwrap();
        }
    }
    assert_eq!(authorities.len(), 3);
}

#[test]
fn an_order_that_cannot_be_filled_is_refused() {
    let check = |expected: &str, change: &dyn Fn(&mut ListOrder)| {
        let mut order = order(2, 3);
        change(&mut order);
        let made = LISTING
            .revocation_list(device_authority(), order)
            .unwrap_err()
            .to_string();
        assert!(made.contains(expected), "{made}");
    };
    check("another shard", &|order| order.entries[0].serial = serial(5, 1));
    check("twice", &|order| {
        order.entries[0].serial = order.entries[1].serial
    });
    check("shard beyond", &|order| {
        order.shard = CRL_SHARDS;
        order.entries.clear();
    });
    check("before it begins", &|order| order.next_update = order.this_update);
    check("ten days", &|order| order.next_update = NOW.plus(10 * DAY));
    check("clock", &|order| {
        order.this_update = Timestamp::from_seconds(253_402_300_800);
        order.next_update = order.this_update.plus(DAY);
    });
    let foreign = LISTING.revocation_list(AuthorityId([7; 20]), order(2, 3));
    assert!(matches!(foreign, Err(CaError::Foreign(_))), "{foreign:?}");
    let nowhere = ca().revocation_list(device_authority(), order(2, 3));
    assert!(matches!(nowhere, Err(CaError::List(_))), "{nowhere:?}");
}

/// What the list's reader says of a list that was spoiled before it was signed.
fn spoiled(spoil: impl FnOnce(&mut CertificateRevocationListParams)) -> Result<(), Defect> {
    let list = list();
    let mut params = list.params().unwrap();
    spoil(&mut params);
    let made = params.signed_by(&issuing().issuer(&issuing().key)).unwrap();
    crl_lint::check(made.der(), &list)
}

fn list() -> List<'static> {
    let mut order = order(4, 4);
    order.entries.sort_by_key(|entry| entry.serial);
    List {
        order,
        url: "http://crl.example/4.crl".to_owned(),
        issuer: issuing(),
    }
}

#[test]
fn every_seeded_defect_of_a_list_is_found() {
    let check = |expected: Defect, spoil: &dyn Fn(&mut CertificateRevocationListParams)| {
        assert_eq!(spoiled(spoil), Err(expected));
    };
    assert_eq!(spoiled(|_| {}), Ok(()));
    check(Defect::Validity, &|p| p.this_update -= Duration::from_secs(1));
    check(Defect::Validity, &|p| p.next_update += Duration::from_secs(1));
    check(Defect::Entries, &|p| drop(p.revoked_certs.pop()));
    check(Defect::Entries, &|p| p.revoked_certs.swap(0, 1));
    check(Defect::Entries, &|p| {
        p.revoked_certs.push(p.revoked_certs[0].clone())
    });
    check(Defect::Entries, &|p| {
        p.revoked_certs[0].serial_number = 7_u64.into()
    });
    check(Defect::Entries, &|p| {
        p.revoked_certs[0].revocation_time += Duration::from_secs(1)
    });
    check(Defect::Entries, &|p| p.revoked_certs[1].reason_code = None);
    check(Defect::Entries, &|p| {
        p.revoked_certs[0].reason_code = Some(rcgen::RevocationReason::CaCompromise);
    });
    check(Defect::Entries, &|p| {
        p.revoked_certs[0].invalidity_date = Some(p.this_update)
    });
    check(Defect::Extensions, &|p| p.crl_number = 7_u64.into());
    check(Defect::Extensions, &|p| p.issuing_distribution_point = None);
    check(Defect::Extensions, &|p| {
        p.issuing_distribution_point.as_mut().unwrap().scope = Some(CrlScope::CaCertsOnly);
    });
    check(Defect::Extensions, &|p| {
        p.issuing_distribution_point.as_mut().unwrap().scope = None
    });
    check(Defect::Extensions, &|p| {
        let point = &mut p.issuing_distribution_point.as_mut().unwrap().distribution_point;
        point.uris.push("http://other.example/".to_owned());
    });
    check(Defect::Extensions, &|p| {
        p.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![7; 20]);
    });
    // And a list by another key, another authority, or with something behind it.
    let list = list();
    let params = list.params().unwrap();
    let stranger = PrivateKey::generate().unwrap().0;
    let forged = params.signed_by(&issuing().issuer(&stranger)).unwrap();
    assert_eq!(crl_lint::check(forged.der(), &list), Err(Defect::Signature));
    let operators = LISTING
        .authority(LISTING.issuer(CertificateProfile::Operator))
        .unwrap();
    let foreign = params.signed_by(&operators.issuer(&operators.key)).unwrap();
    assert_eq!(crl_lint::check(foreign.der(), &list), Err(Defect::Issuer));
    let good = params.signed_by(&issuing().issuer(&issuing().key)).unwrap();
    assert_eq!(crl_lint::check(good.der(), &list), Ok(()));
    assert_eq!(
        crl_lint::check(&[&good.der()[..], &[0]].concat(), &list),
        Err(Defect::Form)
    );
}

#[test]
fn a_spoiled_list_is_not_signed() {
    // The key signs for the list that was ordered, and rcgen was given another.
    let list = list();
    let other = List {
        url: "http://crl.example/5.crl".to_owned(),
        ..self::list()
    };
    let params = other.params().unwrap();
    let made = crate::ca::lint::signed(
        &issuing().key,
        &list.to_be_signed(),
        None,
        |bound| Ok(params.signed_by(&issuing().issuer(bound))?.der().to_vec()),
        |_| Defect::Form,
    );
    assert!(matches!(made, Err(CaError::Lint(Defect::Form))), "{made:?}");
}
