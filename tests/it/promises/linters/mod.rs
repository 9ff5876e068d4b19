//! Certificates and revocation lists before the eyes of others: what every authority of ours makes, by every profile, pkilint,
//! OpenSSL, GnuTLS and webpki find good; what a wrong authority could make, they and our own lint refuse.

mod forge;
mod judges;
mod plant;
mod refused;
mod wrong;

use judges::{Judge, Judged};
use muster_domain::certificate::{CRL_SHARDS, CertificateProfile};
use muster_server::ca::ServerNames;
use muster_tests::{Program, fixture};
use plant::{Issued, Plant};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, process::Command};

/// Spread evenly over profiles and authorities.
const CERTIFICATES: usize = 10_000;
/// Documents that one process of pkilint reads, on all cores: some 2.4 ms each.
const LINTED_AT_ONCE: usize = 2_000;
/// Of each profile and authority; GnuTLS judges one a process.
const SHOWN_TO_GNUTLS: usize = 10;

/// The interpreter with the packages of `tests/clients`, which `tests/run` makes.
#[expect(clippy::print_stderr, reason = "what was not checked must be said")]
fn python() -> Option<PathBuf> {
    let python = fixture::in_repository("target/python/bin/python");
    let is_there = python.exists();
    if !is_there {
        eprintln!("skipped: there is no {}; tests/run makes it", python.display());
    }
    is_there.then_some(python)
}

/// What pkilint says of these documents.
async fn linted(certificates: &[&[u8]], lists: &[&[u8]]) -> Option<Value> {
    let mut lint = Command::new(python()?);
    let directory = tempfile::tempdir().unwrap();
    lint.arg(fixture::in_repository("tests/clients/lint.py"));
    for (option, documents) in [("--certificates", certificates), ("--lists", lists)] {
        let path = directory.path().join(&option[2..]);
        let framed = |der: &&[u8]| [&u32::try_from(der.len()).unwrap().to_be_bytes(), *der].concat();
        let framed: Vec<_> = documents.iter().map(framed).collect();
        std::fs::write(&path, framed.concat()).unwrap();
        lint.arg(option).arg(path);
    }
    let ended = Program::run(&mut lint).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    Some(serde_json::from_str(&ended.out).expect("one JSON object"))
}

#[tokio::test(flavor = "multi_thread")]
async fn others_find_every_certificate_and_list_good() {
    // Two registries, one of which names no lists: six authorities.
    let plants = [Plant::new("http://crl.example:8080/crl"), Plant::new("")];
    let each = CERTIFICATES.div_ceil(plants.len() * CertificateProfile::ALL.len());
    let mut all = Vec::new();
    for plant in &plants {
        for profile in CertificateProfile::ALL {
            let issued = plant.issue(profile, each);
            for (at, one) in issued.iter().enumerate() {
                assert_eq!(judges::webpki(&one.judged(plant)), None, "{profile}");
                if at < SHOWN_TO_GNUTLS {
                    assert_eq!(judges::gnutls(&one.judged(plant)), None, "{profile}");
                }
            }
            let leaves: Vec<_> = issued.iter().map(|one| one.der.as_slice()).collect();
            let refused = judges::openssl_all(&leaves, &issued[0].judged(plant));
            assert_eq!(refused, None, "{profile}");
            all.extend(issued);
        }
    }
    assert!(all.len() >= CERTIFICATES);
    // Every list of every authority that has some, with a revocation for each reason on it.
    let mut lists = Vec::new();
    for authority in plants[0].ca.issuers() {
        for shard in 0..CRL_SHARDS {
            lists.push(plants[0].list(authority, shard, &[]));
            lists.push(plants[0].list(authority, shard, &all));
        }
    }
    let certificates: Vec<_> = all.iter().map(|one| one.der.as_slice()).collect();
    let authorities: Vec<_> = plants.iter().flat_map(Plant::authorities).collect();
    let certificates: Vec<_> = certificates
        .into_iter()
        .chain(authorities.iter().map(Vec::as_slice))
        .collect();
    let lists: Vec<_> = lists.iter().map(Vec::as_slice).collect();
    let mut lists = lists.chunks(LINTED_AT_ONCE);
    for certificates in certificates.chunks(LINTED_AT_ONCE) {
        let lists = lists.next().unwrap_or_default();
        let Some(said) = linted(certificates, lists).await else {
            return;
        };
        let expected = json!({"certificates": certificates.len(), "lists": lists.len(), "findings": {}});
        assert_eq!(said, expected);
    }
    assert_eq!(lists.next(), None, "all are linted");
}

#[tokio::test(flavor = "multi_thread")]
async fn pkilint_objects_to_two_things_that_stay() {
    let plant = Plant::new("");
    let signer = plant
        .ca
        .seal_desired(Vec::new(), plant.now)
        .unwrap()
        .certificate
        .0;
    let names = ServerNames::parse(&["localhost", "127.0.0.1"]).unwrap();
    let server = plant.ca.server_certificate(&names, plant.now).unwrap();
    let Some(said) = linted(&[&signer, &server.chain[0]], &[]).await else {
        return;
    };
    let expected = json!({
        // The arc 3112437019 of the config signer's usage is longer than pkilint's decoder takes. X.660 has no such limit,
        // and the verifiers of devices have none.
        "certificate: FATAL itu.invalid_asn1_syntax": [0],
        // It wants a dot in each DNS name. RFC 1034 does not, and a registry is first tried under this one.
        "certificate: ERROR pkix.invalid_domain_name_syntax": [1],
    });
    assert_eq!(said["findings"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_and_our_own_lint_refuse_what_is_bad() {
    let plant = Plant::new("http://crl.example:8080/crl");
    let cases = refused::cases(&plant);
    let agreed = cases.iter().filter(|case| case.why.is_empty()).count();
    assert!(agreed >= 40, "{agreed} of {} are refused by all", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let refusals = Judge::ALL.map(|judge| (judge, judge.refuses(&case.judged)));
        let refused: Vec<_> = refusals
            .iter()
            .filter_map(|(judge, why)| why.is_some().then_some(*judge))
            .collect();
        assert_eq!(
            case.why.is_empty(),
            case.refused_by.len() == Judge::ALL.len(),
            "{}",
            case.name
        );
        if refused != case.refused_by {
            wrong.push(format!("{}: {refused:?}: {refusals:?}", case.name));
        }
        if case.is_linted && plant.inspect(&case.record, &case.judged.leaf).is_ok() {
            wrong.push(format!("{}: our lint passes it", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The control: with nothing changed, a certificate passes before all of them, also with its list.
    let good = &plant.issue(CertificateProfile::Device, 1)[0];
    let (authority, shard) = (good.record.issuer.unwrap(), good.record.serial.shard());
    let listed = Judged {
        lists: vec![plant.list(authority, shard, &[])],
        ..good.judged(&plant)
    };
    for judged in [good.judged(&plant), listed, refused::control(&plant)] {
        assert_eq!(
            Judge::ALL.map(|judge| judge.refuses(&judged)),
            [const { None }; 3]
        );
    }
    assert_eq!(plant.inspect(&good.record, &good.der), Ok(()));
    // And pkilint, which found nothing in ours, finds what it should in these.
    let leaves: Vec<_> = cases.iter().map(|case| case.judged.leaf.as_slice()).collect();
    let Some(said) = linted(&leaves, &[]).await else {
        return;
    };
    let found: BTreeMap<String, Vec<usize>> = serde_json::from_value(said["findings"].clone()).unwrap();
    let seen: std::collections::BTreeSet<_> = found.values().flatten().map(|at| cases[*at].name).collect();
    let missed: Vec<_> = refused::PKILINT_SEES
        .iter()
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missed.is_empty(), "{missed:?}; seen: {seen:?}");
}

impl Issued {
    fn judged(&self, plant: &Plant) -> Judged {
        plant.judged(self.record.profile, self.der.clone())
    }
}
