//! Rotation: what works then, what is believed still, and what is refused without a trace.

use super::{request::Draft, *};
use crate::ca::{ceremony::AuthorityRequest, files::Stored};
use muster_proto::payload::Binary;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::{collections::BTreeMap, fs, time::Duration};
use webpki::{EndEntityCert, KeyUsage};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn later(days: u32) -> Timestamp {
    NOW.plus(DAY * days)
}

fn opened(server: &Path) -> Ca {
    Ca::open(server, &passphrase()).unwrap()
}

fn offline(directory: &Path) -> Offline {
    Offline::open(directory, &passphrase()).unwrap()
}

/// The three steps.
fn rotate(server: &Path, with: &Path, kind: AuthorityKind, at: Timestamp) -> Installed {
    let wanted = request(server, kind, &passphrase()).unwrap();
    let signed = offline(with).sign(&wanted, kind, at).unwrap();
    install(server, &signed, &passphrase(), at).unwrap()
}

fn device_request() -> CertificationRequest {
    CertificationRequest::parse(&Draft::good().build()).unwrap()
}

fn issue(ca: &Ca, number: u32, at: Timestamp) -> Vec<u8> {
    let (device, request) = (device(number), device_request());
    let code = ActivationCode::from_random([7; 15]).hash(ca.code_key());
    let (not_before, not_after) = ca.validity(CertificateProfile::Device, at);
    let fresh = intent(ca, &request, not_before, not_after, at);
    let presented = Presented {
        code,
        spki: request.digest(),
    };
    match claim::decide(&device, &presented, fresh, at) {
        Decision::Issue(permit) => ca.issue_device(permit, &device, &request).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Does the chain lead to this root?
fn leads(chain: &[Vec<u8>], root: &[u8], usage: KeyUsage, at: Timestamp) -> bool {
    let ders: Vec<_> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let root = CertificateDer::from(root);
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.seconds()));
    let leaf = EndEntityCert::try_from(&ders[0]).unwrap();
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &ders[1..],
        at,
        usage,
        None,
        None,
    )
    .is_ok()
}

/// And does OpenSSL say so?
fn openssl_leads(chain: &[Vec<u8>], root: &[u8], at: Timestamp) -> (bool, String) {
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str, ders: &[Vec<u8>]| {
        let path = scratch.path().join(name);
        let pem: String = ders.iter().map(|der| certificate_pem(der)).collect();
        fs::write(&path, pem).unwrap();
        text(&path).to_owned()
    };
    let root = file("root.pem", &[root.to_vec()]);
    let (leaf, above) = (file("leaf.pem", &chain[..1]), file("above.pem", &chain[1..]));
    let at = at.seconds().to_string();
    openssl(&[
        "verify",
        "-x509_strict",
        "-attime",
        &at,
        "-CAfile",
        &root,
        "-untrusted",
        &above,
        &leaf,
    ])
}

fn states(server: &Path, kind: AuthorityKind, at: Timestamp) -> Vec<AuthorityState> {
    let all = list(server, at).unwrap();
    let of_kind = all.iter().filter(|one| one.kind == kind.as_str());
    of_kind.map(|one| one.state).collect()
}

fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(directory).into_iter().filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn each_kind_rotates_and_the_old_generation_stays_trusted() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let at = later(10);
    for kind in AuthorityKind::ALL {
        let before = content(server).len();
        let Installed::Authority(installed, id) = rotate(server, &server.join("offline"), kind, at) else {
            panic!("{kind}")
        };
        assert_eq!(installed, kind);
        assert_eq!(content(server).len(), before + 2, "a certificate and its key");
        assert_eq!(
            states(server, kind, at),
            [AuthorityState::Issuing, AuthorityState::Trusted],
            "{kind}"
        );
        let newest = &list(server, at).unwrap();
        let newest = newest.iter().find(|one| one.kind == kind.as_str()).unwrap();
        assert_eq!(newest.id, id);
        let subject = &newest.certificate.as_ref().unwrap().subject;
        assert!(subject.ends_with(&id.to_string()[..8]), "{subject}");
    }
    let rotated = opened(server);
    assert_eq!(rotated.device_anchors().len(), 2);
    assert_eq!(rotated.operator_anchors().len(), 2);
    assert_ne!(
        rotated.seal_desired(vec![1], at).unwrap().certificate,
        ca().seal_desired(vec![1], NOW).unwrap().certificate
    );
    assert_ne!(
        rotated.sign_checkpoint(&[1], at).unwrap().1,
        ca().sign_checkpoint(&[1], NOW).unwrap().1
    );
    let server_chain = rotated.server_certificate(&server_names(), at).unwrap().chain;
    let server_chain: Vec<_> = server_chain.iter().map(|der| der.to_vec()).collect();
    assert!(leads(
        &server_chain,
        &ca().roots()[0],
        KeyUsage::server_auth(),
        at
    ));
    // Every key of the ceremony is in the ledger.
    let ledger = fs::read_to_string(server.join("offline/issued.log")).unwrap();
    assert_eq!(ledger.lines().count(), 6 + 5);
}

#[test]
fn a_certificate_goes_with_the_chain_of_the_authority_that_signed_it() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let at = later(10);
    let old = issue(&opened(server), 1, NOW);
    rotate(server, &server.join("offline"), AuthorityKind::Devices, at);
    let rotated = opened(server);
    let new = issue(&rotated, 2, at);
    let root = &rotated.roots()[0];
    let (old, new) = (rotated.with_chain(old), rotated.with_chain(new));
    assert_ne!(old[1], new[1]);
    assert_eq!(old[1], ca().device_anchors()[0]);
    for chain in [&old, &new] {
        assert!(leads(chain, root, KeyUsage::client_auth(), at));
        let (accepted, output) = openssl_leads(chain, root, at);
        assert!(accepted, "{output}");
    }
    // Each other's does not do.
    assert!(!leads(
        &[old[0].clone(), new[1].clone()],
        root,
        KeyUsage::client_auth(),
        at
    ));
    // Nothing stands above what is not ours.
    let foreign = FIXTURE.made.operator.chain[1].clone();
    assert_eq!(rotated.with_chain(foreign.clone()), [foreign]);
}

#[test]
fn an_intent_is_finished_by_the_authority_that_it_names() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let (device, request) = (device(3), device_request());
    let before = opened(server);
    let (not_before, not_after) = before.validity(CertificateProfile::Device, NOW);
    let meant = intent(&before, &request, not_before, not_after, NOW);
    // The crash came between the record and the signature, and the rotation before the claim was repeated.
    rotate(server, &server.join("offline"), AuthorityKind::Devices, later(10));
    let sign = || {
        let permit = recorded(&device, meant, &request);
        let signed = opened(server).issue_device(permit, &device, &request);
        issuer(&signed.unwrap()).unwrap()
    };
    assert_eq!(Some(sign()), meant.issuer);
    // It is gone: whoever works then.
    let old = meant.issuer.unwrap().to_string();
    remove(server, &old, |_, _| Ok(0)).unwrap();
    let left = list(server, later(10)).unwrap()[1].id;
    assert_eq!(sign(), left);
    assert_ne!(Some(left), meant.issuer);
}

#[test]
fn what_does_not_hold_yet_or_any_more_does_not_issue() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let year = 365;
    rotate(
        server,
        &server.join("offline"),
        AuthorityKind::Config,
        later(year),
    );
    let ca = opened(server);
    let signer = |at| ca.seal_desired(vec![1], at).unwrap().certificate;
    assert_ne!(
        signer(later(0)),
        signer(later(year)),
        "the new one holds a day before it was made"
    );
    assert_eq!(signer(later(year)), signer(later(2 * year + 1)));
    assert_eq!(
        states(server, AuthorityKind::Config, later(2 * year + 1)),
        [AuthorityState::Issuing, AuthorityState::Expired]
    );
    let warned = |at| warnings(server, at).unwrap();
    // The root key of this fixture lies where it must not. The checkpoint signer is in its last third after 600 days.
    let kinds = |at| -> Vec<String> {
        let first = |line: String| line.split(' ').next().unwrap().to_owned();
        warned(at).into_iter().skip(1).map(first).collect()
    };
    assert_eq!(kinds(later(400)), [""; 0]);
    assert_eq!(kinds(later(600)), ["checkpoint"]);
    let ended = warned(later(4 * year));
    assert!(
        ended
            .iter()
            .any(|line| line.contains("no certificate of kind config holds")),
        "{ended:?}"
    );
}

#[test]
fn a_request_that_was_lost_comes_again() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let ask = || request(server, AuthorityKind::Devices, &passphrase()).unwrap();
    assert_eq!(ask(), ask());
    assert_eq!(
        states(server, AuthorityKind::Devices, NOW),
        [AuthorityState::Pending, AuthorityState::Issuing]
    );
    opened(server);
    let signed = offline(&server.join("offline"))
        .sign(&ask(), AuthorityKind::Devices, NOW)
        .unwrap();
    let first = install(server, &signed, &passphrase(), NOW).unwrap();
    let Installed::Authority(AuthorityKind::Devices, id) = first else {
        panic!("{first:?}")
    };
    assert_eq!(
        install(server, &signed, &passphrase(), NOW).unwrap(),
        Installed::Before(id)
    );
}

#[test]
fn what_does_not_belong_is_refused_and_nothing_is_changed() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let root_key = server.join("offline");
    let elsewhere = copy_of_the_fixture();
    let stranger = tempfile::tempdir().unwrap();
    initialise(stranger.path(), options(&passphrase())).unwrap();
    let kind = AuthorityKind::Devices;
    let wanted = request(server, kind, &passphrase()).unwrap();
    let before = content(server);
    let wrong = Passphrase::new(b"not the passphrase").unwrap();
    let sign = |text: &str, kind| offline(&root_key).sign(text, kind, NOW);
    let check = |refused: Result<String, CaError>, expected: &str| {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} in {error}");
        assert_eq!(content(server), before, "{expected}");
    };
    let put =
        |pem: &str, at| install(server, pem, &passphrase(), at).map(|installed| format!("{installed:?}"));
    // 1. The wrong passphrase, at each step.
    check(
        request(server, AuthorityKind::Config, &wrong),
        "passphrase does not open",
    );
    check(
        Offline::open(&root_key, &wrong).map(|offline| format!("{offline:?}")),
        "passphrase does not open",
    );
    // 2. Requests that are not to be signed.
    check(
        sign(&wanted, AuthorityKind::Operators),
        "is for kind devices, and --kind says operators",
    );
    check(sign("-----BEGIN", kind), "is not a certificate request in PEM");
    let foreign = pkcs8::der::pem::encode_string(
        "CERTIFICATE REQUEST",
        pkcs8::LineEnding::LF,
        &Draft::good().build(),
    );
    check(
        sign(&foreign.unwrap(), kind),
        "which is no authority of Example GmbH",
    );
    let mut spoilt = wanted.clone();
    spoilt.replace_range(100..101, if &wanted[100..101] == "A" { "B" } else { "A" });
    check(sign(&spoilt, kind), "nothing was signed");
    check(
        offline(&root_key).sign(&wanted, kind, NOW.minus(DAY * 2)),
        "clock",
    );
    check(
        offline(&root_key).sign(&wanted, kind, later(21 * 365)),
        "the root CA ended",
    );
    // 3. Certificates that are not to be installed.
    let other = request(elsewhere.path(), kind, &passphrase()).unwrap();
    let other = offline(&elsewhere.path().join("offline"))
        .sign(&other, kind, NOW)
        .unwrap();
    check(put(&other, NOW), "no key here waits for this certificate");
    let by_stranger = offline(&stranger.path().join("offline"))
        .sign(&wanted, kind, NOW)
        .unwrap();
    check(
        put(&by_stranger, NOW),
        "is not signed by a root of this authority",
    );
    check(put("", NOW), "neither one certificate nor a root");
    check(
        put(&certificate_pem(&[1, 2, 3]), NOW),
        "is not a certificate of ours",
    );
    let root = certificate_pem(&ca().roots()[0]);
    check(put(&root, NOW), "holds a root alone");
}

#[test]
fn what_was_signed_for_another_use_or_time_is_refused() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    // Beside the directory, so that the ledger is not part of what must not change.
    let elsewhere = copy_of_the_fixture();
    let with = offline(&elsewhere.path().join("offline"));
    let wanted = request(server, AuthorityKind::Devices, &passphrase()).unwrap();
    let key = AuthorityRequest::read(&wanted, "Example GmbH").unwrap().key;
    let as_operators = with
        .certify(AuthorityKind::Operators, &kind::mark(&key), &key, NOW)
        .unwrap();
    let other_name = with.certify(AuthorityKind::Devices, "other", &key, NOW).unwrap();
    let good = with.sign(&wanted, AuthorityKind::Devices, NOW).unwrap();
    let before = content(server);
    let check = |pem: &str, passphrase: &Passphrase, at, expected: &str| {
        let error = install(server, pem, passphrase, at).unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(shown.contains(expected), "{expected:?} in {shown}");
        assert_eq!(content(server), before, "{expected}");
    };
    let right = passphrase();
    check(&certificate_pem(&as_operators), &right, NOW, "Subject");
    check(&certificate_pem(&other_name), &right, NOW, "Subject");
    check(
        &good,
        &right,
        later(11 * 365),
        "look at the clocks of both machines",
    );
    check(
        &good,
        &right,
        NOW.minus(DAY * 3),
        "look at the clocks of both machines",
    );
    let wrong = Passphrase::new(b"not the passphrase").unwrap();
    check(&good, &wrong, NOW, "passphrase does not open");
    // A request that was withdrawn: its certificate comes too late.
    let id = list(server, NOW).unwrap();
    let id = id
        .iter()
        .find(|one| one.state == AuthorityState::Pending)
        .unwrap()
        .id;
    let removed = remove(server, &id.to_string(), |_, _| panic!("no generation")).unwrap();
    assert_eq!(removed, Removed::Pending(AuthorityKind::Devices, id));
    let error = install(server, &good, &right, NOW).unwrap_err().to_string();
    assert!(
        error.contains("no key here waits for this certificate"),
        "{error}"
    );
    opened(server);
}

#[test]
fn a_generation_is_removed_when_another_works_and_nothing_needs_it() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let at = later(10);
    let old = list(server, NOW).unwrap()[1].id.to_string();
    let before = content(server);
    let refused = |valid: u64, expected: &str| {
        let error = remove(server, &old, |_, _| Ok(valid)).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} in {error}");
    };
    refused(0, "is the only one of kind devices");
    for name in ["", "0000000", "ffffffffffff", "devices"] {
        let error = remove(server, name, |_, _| Ok(0)).unwrap_err().to_string();
        assert!(error.contains("names nothing here"), "{error}");
    }
    assert_eq!(content(server), before);
    rotate(server, &server.join("offline"), AuthorityKind::Devices, at);
    refused(3, "has 3 certificates that are valid still");
    assert_eq!(opened(server).device_anchors().len(), 2);
    let removed = remove(server, &old[..8], |kind, id| {
        assert_eq!((kind, id.to_string()), (AuthorityKind::Devices, old.clone()));
        Ok(0)
    });
    assert!(
        matches!(removed, Ok(Removed::Authority(AuthorityKind::Devices, _))),
        "{removed:?}"
    );
    let left = opened(server);
    assert_eq!(left.device_anchors().len(), 1);
    assert_ne!(left.device_anchors(), ca().device_anchors());
    let error = remove(server, &list(server, at).unwrap()[0].id.to_string(), |_, _| Ok(0));
    assert!(error.unwrap_err().to_string().contains("is the only root"));
    // Of two, the one that works stays when the other has ended; and that may go.
    rotate(server, &server.join("offline"), AuthorityKind::Config, later(700));
    let [new, old] = [0, 1].map(|place| {
        let all = list(server, later(700)).unwrap();
        let mut of_kind = all.iter().filter(|one| one.kind == "config");
        of_kind.nth(place).unwrap().id.to_string()
    });
    let after = |name: &str| crate::ca::remove(server, name, later(800), |_, _| Ok(0));
    let error = after(&new).unwrap_err().to_string();
    assert!(
        error.contains("is the only one of kind config that works"),
        "{error}"
    );
    assert!(matches!(
        after(&old),
        Ok(Removed::Authority(AuthorityKind::Config, _))
    ));
}

#[test]
fn a_new_root_is_believed_by_who_pinned_the_old_one() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let (old, new) = (server.join("offline"), server.join("offline-2"));
    let at = later(10);
    // 1. The new root, and its link.
    let file = offline(&old).succeed(&new, &passphrase(), at).unwrap();
    let both = fs::read_to_string(&file).unwrap();
    let again = offline(&old).succeed(&new, &passphrase(), at);
    assert!(matches!(again, Err(CaError::OfflineExists(_))), "{again:?}");
    let installed = install(server, &both, &passphrase(), at).unwrap();
    let Installed::Root(id) = installed else {
        panic!("{installed:?}")
    };
    assert_eq!(
        install(server, &both, &passphrase(), at).unwrap(),
        Installed::Before(id)
    );
    // 2. Everything under it.
    for kind in AuthorityKind::ALL {
        rotate(server, &new, kind, at);
    }
    let ca = opened(server);
    let [old_root, new_root] = ca.roots().try_into().unwrap();
    let device = ca.with_chain(issue(&ca, 1, at));
    let tls: Vec<_> = ca.server_certificate(&server_names(), at).unwrap().chain;
    let tls: Vec<_> = tls.iter().map(|der| der.to_vec()).collect();
    for root in [&old_root, &new_root] {
        assert!(leads(&device, root, KeyUsage::client_auth(), at));
        assert!(leads(&tls, root, KeyUsage::server_auth(), at));
        for chain in [&device, &tls] {
            let (accepted, output) = openssl_leads(chain, root, at);
            assert!(accepted, "{output}");
        }
    }
    // Without the link, the old root's devices would not.
    assert!(!leads(&device[..2], &old_root, KeyUsage::client_auth(), at));
    // 3. Desired state stays under the root that everybody pinned, until devices were told to trust the new one.
    let usage = || KeyUsage::required(oid::CONFIG_SIGNING);
    let signer = |ca: &Ca| vec![ca.seal_desired(vec![1], at).unwrap().certificate.0];
    assert!(leads(&signer(&ca), &old_root, usage(), at));
    assert_eq!(vouch(server, &old, at), Installed::Trust(1));
    let ca = opened(server);
    assert!(leads(&signer(&ca), &new_root, usage(), at));
    assert!(!leads(&signer(&ca), &old_root, usage(), at));
    let listed = list(server, at).unwrap();
    let old_id = listed[0].id.to_string();
    let refused = remove(server, &old_id, |_, _| Ok(0)).unwrap_err().to_string();
    assert!(refused.contains("stands under root"), "{refused}");
    for one in listed
        .iter()
        .filter(|one| one.certificate.as_ref().unwrap().not_before < NOW)
    {
        if one.kind != "root" {
            remove(server, &one.id.to_string(), |_, _| Ok(0)).unwrap();
        }
    }
    let removed = remove(server, &old_id, |_, _| Ok(0)).unwrap();
    assert_eq!(removed, Removed::Root(listed[0].id));
    let ca = opened(server);
    assert_eq!(ca.roots(), std::slice::from_ref(&new_root));
    assert!(leads(&signer(&ca), &new_root, usage(), at));
    // Who pinned the old one and hears of nothing until now comes to the new one all the same.
    let late = ca.with_chain(issue(&ca, 2, at));
    assert!(leads(&late, &old_root, KeyUsage::client_auth(), at));
    // And those who come are told not to trust the old one any more.
    let told = warnings(server, at).unwrap().join("; ");
    assert!(told.contains("request trust"), "{told}");
    assert_eq!(vouch(server, &new, at), Installed::Trust(2));
    let told = warnings(server, at).unwrap().join("; ");
    assert!(!told.contains("trust"), "{told}");
    let ca = opened(server);
    assert_eq!((ca.trust_version(), ca.trust_above(2).versions.len()), (2, 0));
    let advance =
        muster_proto::trust::advance(&ca.trust_above(0), 0, &[old_root], |root, message, signature| {
            let root = Stored::from_bytes(PathBuf::new(), root.to_vec()).unwrap();
            root.key.has_signed(message, signature)
        });
    let advance = advance.unwrap().unwrap();
    assert_eq!((advance.version, advance.roots), (2, vec![new_root]));
}

/// The three steps for what devices are to trust.
fn vouch(server: &Path, with: &Path, at: Timestamp) -> Installed {
    let draft = draft_trust(server).unwrap();
    let (signed, _, _) = offline(with).vouch(&draft, at).unwrap();
    install(server, &signed, &passphrase(), at).unwrap()
}

#[test]
fn a_version_of_trust_is_held_against_what_is_here() {
    let copied = copy_of_the_fixture();
    let server = copied.path();
    let (old, new, stranger) = (
        server.join("offline"),
        server.join("offline-2"),
        server.join("offline-3"),
    );
    let at = later(10);
    // 1. Devices that pinned the one root there is need not be told.
    assert_eq!(warnings(server, at).unwrap().join("; ").find("trust"), None);
    let alone = draft_trust(server).unwrap();
    let before = content(server);
    for (draft, expected) in [
        ("", "is not what"),
        ("{}", "is not what"),
        (&*alone.replace("muster trust", "muster config"), "is not what"),
        (
            &*alone.replace("\"version\": 1", "\"version\": 0"),
            "must name a version",
        ),
    ] {
        let error = offline(&old).vouch(draft, at).unwrap_err().to_string();
        assert!(error.contains(expected), "{draft}: {error}");
    }
    let leaf: serde_json::Value = serde_json::from_str(&alone).unwrap();
    let mut foreign = leaf;
    let operator = Binary(FIXTURE.made.operator.chain[1].clone());
    foreign["roots"] = serde_json::json!([operator]);
    let error = offline(&old)
        .vouch(&foreign.to_string(), at)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no root of this organisation"), "{error}");
    assert_eq!(content(server), before, "nothing was signed");
    // 2. Only the next version, of the roots that are here, by one that is trusted.
    let (first, number, roots) = offline(&old).vouch(&alone, at).unwrap();
    assert_eq!((number, roots.len()), (1, 1));
    let both = fs::read_to_string(offline(&old).succeed(&new, &passphrase(), at).unwrap()).unwrap();
    install(server, &both, &passphrase(), at).unwrap();
    offline(&old).succeed(&stranger, &passphrase(), at).unwrap();
    let wanted = draft_trust(server).unwrap();
    let (by_stranger, ..) = offline(&stranger).vouch(&wanted, at).unwrap();
    let (good, ..) = offline(&old).vouch(&wanted, at).unwrap();
    let ahead = wanted.replace("\"version\": 1", "\"version\": 2");
    let (ahead, ..) = offline(&old).vouch(&ahead, at).unwrap();
    let spoiled = good.replacen("\"signature\": \"ME", "\"signature\": \"MF", 1);
    assert_ne!(spoiled, good);
    let before = content(server);
    for (text, expected) in [
        (&*first, "names other roots than those that are here"),
        (&*ahead, "is not the next version"),
        (&*spoiled, "has a wrong signature"),
        (&*by_stranger, "is not signed by a root that is here"),
        ("{", "is no version of trust"),
        (&*wanted, "is no version of trust"),
    ] {
        let error = install(server, text, &passphrase(), at).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(content(server), before, "nothing was changed");
    assert_eq!(
        install(server, &good, &passphrase(), at).unwrap(),
        Installed::Trust(1)
    );
    assert_eq!(
        install(server, &good, &passphrase(), at).unwrap(),
        Installed::Trust(1),
        "again"
    );
    let error = draft_trust(server).unwrap_err().to_string();
    assert!(error.contains("there is no next version"), "{error}");
    let listed = list_trust(server).unwrap();
    assert_eq!(
        (listed.len(), listed[0].version, listed[0].roots.len()),
        (1, 1, 2)
    );
    assert_eq!(listed[0].signer, offline(&old).certificate().id());
    // 3. The next must be signed by a root of the one before.
    let third = fs::read_to_string(stranger.join("root-and-link.pem")).unwrap();
    install(server, &third, &passphrase(), at).unwrap();
    let wanted = draft_trust(server).unwrap();
    let (by_newcomer, ..) = offline(&stranger).vouch(&wanted, at).unwrap();
    let error = install(server, &by_newcomer, &passphrase(), at)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is not signed by a root of the version before"),
        "{error}"
    );
    assert_eq!(vouch(server, &new, at), Installed::Trust(2));
    // 4. What lies on the disk is held against the rest at each start.
    let file = server.join("ca/trust/1.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replacen("\"signature\": \"ME", "\"signature\": \"MF", 1),
    )
    .unwrap();
    let error = Ca::open(server, &passphrase()).unwrap_err();
    assert!(matches!(error, CaError::Damaged { .. }), "{error}");
}
