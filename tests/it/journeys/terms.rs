//! A2, A7: a factory knows the keys of its devices, and when they ship. Its file says both beside the serials, and a stolen
//! label is of no use with another key, or at another time.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_agent::request;
use muster_domain::{Code, manifest::RowCredential};
use muster_proto::{
    payload::ClaimResult,
    v1::{self, CredentialKind, RowResult, RowStatus, device::State},
};
use muster_server::clock::Clock;
use muster_tests::{Imported, Key, Program, Registry, World, est::enroll, grpc};
use muster_tools::import::ImportOptions;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const HEADER: &str =
    "serial,mac,model,firmware,site,position,extension,spki_sha256,claim_not_before,claim_not_after\n";

fn serial(i: u32) -> String {
    format!("GW2-{}", 6_200_000 + i)
}

/// A line of a file; `terms` are the last three cells.
fn line(i: u32, terms: &str) -> String {
    format!(
        "{},00:1B:C5:62:00:{i:02X},GW-200,2.3.1,MUC-01,Hall 1,{i},{terms}\n",
        serial(i)
    )
}

/// SHA-256 of the key of a request, as a factory writes it down.
fn digest(csr: &str) -> String {
    RowCredential::parse(csr).unwrap().spki().to_string()
}

fn of(key: &Key) -> String {
    digest(&BASE64_STANDARD.encode(key.csr()))
}

fn codes(row: &RowResult) -> Vec<u32> {
    row.refusals.iter().map(|refusal| refusal.code).collect()
}

fn statuses(imported: &Imported) -> Vec<RowStatus> {
    imported.rows.iter().map(RowResult::status).collect()
}

/// The ways to claim.
#[derive(Debug, Clone, Copy)]
enum Way {
    Mqtt,
    Grpc,
    Est,
}

/// Claims; the answer is whether that went well, and else the number of the refusal and its whole text.
async fn claim(
    world: &World,
    way: Way,
    serial: &str,
    code: &str,
    key: &Key,
) -> Result<(), (Option<u16>, String)> {
    match way {
        Way::Mqtt => {
            let mut mqtt = world.dial(None).await.unwrap();
            match mqtt.claim(serial, code, key.csr()).await.unwrap() {
                ClaimResult::Accepted(_) => Ok(()),
                ClaimResult::Refused(refused) => Err((Some(refused.code), refused.message)),
            }
        }
        Way::Grpc => {
            let request = v1::ClaimRequest {
                serial: serial.into(),
                activation_code: code.into(),
                csr: key.csr(),
            };
            let claimed = world.client.enrollment.clone().claim(request).await;
            claimed.map(drop).map_err(|status| {
                let number = grpc::refusal(&status).map(Code::number);
                (number, status.message().to_owned())
            })
        }
        Way::Est => {
            let mut http = world.http(None).await.unwrap();
            let asked = enroll("/.well-known/est/simpleenroll", serial, code, &key.csr());
            let answer = http.ask(asked).await.unwrap();
            let number = answer
                .text()
                .strip_prefix('M')
                .and_then(|text| text.split(':').next()?.parse().ok());
            match answer.status {
                200 => Ok(()),
                _ => Err((number, answer.text())),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_code_that_a_row_binds_to_a_key_is_of_no_use_with_another() {
    let world = World::start().await;
    let ways = [Way::Mqtt, Way::Grpc, Way::Est];
    let keys = ways.map(|_| Key::new());
    let forms = [of(&keys[0]), of(&keys[1]).to_uppercase(), {
        let hex = of(&keys[2]);
        let pairs: Vec<_> = (0..32).map(|i| &hex[2 * i..2 * i + 2]).collect();
        pairs.join(":")
    }];
    let rows: String = (1..)
        .zip(&forms)
        .map(|(i, key)| line(i, &format!("{key},,")))
        .collect();
    let text = HEADER.to_owned() + &rows;
    let imported = world.import_text("bound.csv", &text).await;
    assert_eq!(
        statuses(&imported),
        [RowStatus::Created; 3],
        "{:?}",
        imported.rows
    );
    for (i, ((way, key), row)) in (1..).zip(ways.into_iter().zip(&keys).zip(&imported.rows)) {
        let (serial, code) = (serial(i), &row.activation_code);
        let bound = world.device(&serial).await;
        assert_eq!(bound.claim_spki_sha256, hex(&of(key)));
        let wrong_code = claim(&world, way, &serial, "00000-00000-00000-00000-00000", key)
            .await
            .unwrap_err();
        let other_key = claim(&world, way, &serial, code, &Key::new()).await.unwrap_err();
        assert_eq!(
            wrong_code, other_key,
            "{way:?} says no more than that of a wrong code"
        );
        assert_eq!(other_key.0, Some(Code::ClaimRefused.number()));
        assert_eq!(
            world.audited("clone_suspected").await,
            usize::try_from(i).unwrap()
        );
        let alarmed = world.device(&serial).await;
        assert_eq!(
            (alarmed.state(), alarmed.clone_alarm.is_some()),
            (State::Registered, true)
        );
        claim(&world, way, &serial, code, key)
            .await
            .unwrap_or_else(|refused| panic!("{way:?}: {refused:?}"));
        let claimed = world.device(&serial).await;
        assert_eq!(claimed.state(), State::Claimed);
        assert!(claimed.claim_spki_sha256.is_empty() && claimed.claim_window.is_none());
    }
    // The same file again, or another key for a device that has claimed: its identity is what it is.
    let again = world.import_text("again.csv", &text).await;
    assert_eq!(statuses(&again), [RowStatus::Unchanged; 3]);
    let other = HEADER.to_owned() + &line(1, &format!("{},,2099-01-01", of(&Key::new())));
    let other = world.import_text("other.csv", &other).await;
    assert_eq!(statuses(&other), [RowStatus::Unchanged]);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// The agent makes its key before the file is written, and claims with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_claims_with_the_key_that_it_showed_the_factory() {
    let world = World::start().await;
    let settings = |i: u32| world.agent_settings(&serial(i), world.mqtt()).build().unwrap();
    let own = digest(&request(&settings(1)).unwrap());
    let text = HEADER.to_owned() + &line(1, &format!("{own},,"));
    let imported = world.import_text("agents.csv", &text).await;
    let _agent = world.agent(&serial(1), &imported.rows[0].activation_code);
    world.verified(&serial(1), 1).await;
    assert_eq!(world.audited("clone_suspected").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_window_that_a_row_sets_is_kept() {
    let start = Clock::System.now();
    let millis = Arc::new(AtomicU64::new(start.millis()));
    // A day is written as one, and begins at midnight; a moment may be any.
    let after = |days: u32| start.plus(Duration::from_secs(86_400) * days).to_string();
    let midnight = |days: u32| after(days)[..10].to_owned();
    let world = World::builder()
        .clock(Clock::Manual(Arc::clone(&millis)))
        .start()
        .await;
    let rows = [
        line(1, &format!(",{},{}", midnight(1), after(30))),
        line(2, &format!(",{},{}", midnight(1), midnight(3))),
    ]
    .concat();
    let imported = world
        .import_text("shipped.csv", &(HEADER.to_owned() + &rows))
        .await;
    assert_eq!(
        statuses(&imported),
        [RowStatus::Created; 2],
        "{:?}",
        imported.rows
    );
    let explained = async |i: u32| {
        let request = v1::ExplainDeviceRequest {
            name: format!("devices/serial:{}", serial(i)),
        };
        let explained = world.client.devices.clone().explain_device(request).await;
        explained.unwrap().into_inner().summary
    };
    let attempt = async |i: u32| {
        let code = &imported.rows[usize::try_from(i).unwrap() - 1].activation_code;
        claim(&world, Way::Grpc, &serial(i), code, &Key::new()).await
    };
    assert_eq!(attempt(1).await.unwrap_err().0, Some(Code::ClaimRefused.number()));
    assert!(
        explained(1)
            .await
            .ends_with(&format!("no claim before {}T00:00:00Z", midnight(1)))
    );
    let days = |days: u64| {
        let span = Duration::from_secs(days * 86_400).as_millis();
        millis.fetch_add(u64::try_from(span).unwrap(), Ordering::Relaxed);
    };
    days(1);
    attempt(1).await.unwrap();
    assert!(
        explained(2)
            .await
            .ends_with(&format!("until {}T00:00:00Z", midnight(3)))
    );
    days(2);
    assert_eq!(attempt(2).await.unwrap_err().0, Some(Code::ClaimRefused.number()));
    assert!(explained(2).await.contains("expired"));
    assert_eq!(world.audited("clone_suspected").await, 0);
    // The same file again is no mistake, though the window is over; the next one opens it again.
    let again = world.import_text("again.csv", &(HEADER.to_owned() + &rows)).await;
    assert_eq!(statuses(&again), [RowStatus::Unchanged; 2]);
    let later = world
        .import_text(
            "later.csv",
            &(HEADER.to_owned() + &line(2, &format!(",,{}", midnight(60)))),
        )
        .await;
    assert_eq!(later.rows[0].changes, ["claim_not_after"]);
    attempt(2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_go_the_way_of_every_column() {
    let world = World::start().await;
    let keys: Vec<_> = (0..4).map(|_| of(&Key::new())).collect();
    let taken = Key::new();
    let first = world
        .import_text("first.csv", &(HEADER.to_owned() + &line(1, ",,")))
        .await;
    claim(
        &world,
        Way::Grpc,
        &serial(1),
        &first.rows[0].activation_code,
        &taken,
    )
    .await
    .unwrap();
    let rows = [
        (line(2, &format!("{},2099-01-01,2099-02-01", keys[0])), None),
        (
            line(3, "0123456789abcdef,,"),
            Some(("spki_sha256", Code::KeyDigestMalformed)),
        ),
        (
            line(4, &format!("{},,", keys[0])),
            Some(("spki_sha256", Code::CredentialRepeated)),
        ),
        (
            line(5, ",2099-02-01,2099-01-01"),
            Some(("claim_not_after", Code::ClaimWindowInvalid)),
        ),
        (
            line(6, ",,2020-01-01"),
            Some(("claim_not_after", Code::ClaimWindowInvalid)),
        ),
        (
            line(7, ",next week,"),
            Some(("claim_not_before", Code::ClaimWindowInvalid)),
        ),
        (
            line(8, &format!("{},,", of(&taken))),
            Some(("spki_sha256", Code::CredentialRepeated)),
        ),
    ];
    let text = HEADER.to_owned() + &rows.iter().map(|(line, _)| line.as_str()).collect::<String>();
    let options = |name: &str, text: &str| {
        let file = world.path(name);
        fs::write(&file, text).unwrap();
        ImportOptions {
            failed: Some(world.path("failed.csv")),
            results: Some(world.path(&format!("{name}.results"))),
            replace: true,
            ..ImportOptions::of(file)
        }
    };
    let dry = ImportOptions {
        dry_run: true,
        results: None,
        failed: None,
        ..options("terms.csv", &text)
    };
    let planned = world.import_with(dry).await;
    let check = |imported: &Imported| {
        for (row, (line, expected)) in imported.rows.iter().zip(&rows) {
            let found = row
                .refusals
                .first()
                .map(|refusal| (refusal.column.as_str(), refusal.code));
            let expected = expected.map(|(column, code)| (column, u32::from(code.number())));
            assert_eq!(
                (found, row.refusals.len()),
                (expected, usize::from(expected.is_some())),
                "{line}{row:?}"
            );
            assert!(
                row.refusals
                    .iter()
                    .all(|refusal| line.contains(&refusal.value) || refusal.value.contains("2020"))
            );
        }
    };
    check(&planned);
    assert_eq!(world.counts().await.devices, 1, "a dry run makes nothing");
    // The plan that was looked at is what is applied.
    let plan = Some(planned.summary.plan_hash.clone());
    let done = world
        .import_with(ImportOptions {
            plan,
            ..options("terms.csv", &text)
        })
        .await;
    check(&done);
    let results = fs::read_to_string(world.path("terms.csv.results")).unwrap();
    assert!(
        results
            .lines()
            .nth(1)
            .unwrap()
            .contains(&format!("{},2099-01-01,2099-02-01,", keys[0])),
        "{results}"
    );
    // Refused rows come back in the user's columns, mended.
    let failed = fs::read_to_string(world.path("failed.csv")).unwrap();
    assert_eq!(failed.lines().count(), 7);
    let mended = failed
        .replace("0123456789abcdef", &keys[1])
        .replace(&keys[0], &keys[2])
        .replace("2099-02-01,2099-01-01", "2099-01-01,2099-02-01")
        .replace("2020-01-01", "2099-01-01")
        .replace("next week", "2099-01-01")
        .replace(&of(&taken), &keys[3]);
    let mended = world.import_with(options("mended.csv", &mended)).await;
    assert_eq!(mended.summary.created, 7, "{:?}", mended.rows);
    assert_eq!(world.device(&serial(4)).await.claim_spki_sha256, hex(&keys[2]));
    // Other terms for devices that wait, in another batch, which is taken back.
    let before = world.device(&serial(2)).await;
    let fresh = of(&Key::new());
    let text = HEADER.to_owned() + &line(2, &format!("{fresh},,2099-03-01"));
    let changed = world.import_with(options("changed.csv", &text)).await;
    assert_eq!(changed.rows[0].changes, ["spki_sha256", "claim_not_after"]);
    assert_eq!(world.audited("claim_armed").await, 1);
    let again = world.import_with(options("again.csv", &text)).await;
    assert_eq!(statuses(&again), [RowStatus::Unchanged]);
    let undo = v1::UndoBatchRequest {
        name: changed.summary.batch.clone(),
        validate_only: false,
    };
    let undone = world
        .client
        .manifests
        .clone()
        .undo_batch(undo)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(undone.blocked, 0, "{undone:?}");
    let after = world.device(&serial(2)).await;
    assert_eq!(
        (after.claim_spki_sha256, after.claim_window),
        (before.claim_spki_sha256, before.claim_window)
    );
    // A retired device needs its key no more.
    let retire = v1::RetireDeviceRequest {
        name: format!("devices/serial:{}", serial(2)),
        ..v1::RetireDeviceRequest::default()
    };
    world.client.devices.clone().retire_device(retire).await.unwrap();
    let free = world
        .import_text(
            "free.csv",
            &(HEADER.to_owned() + &line(9, &format!("{},,", keys[0]))),
        )
        .await;
    assert_eq!(statuses(&free), [RowStatus::Created], "{:?}", free.rows);
    let broken = world.service().store().check().await.unwrap();
    assert_eq!(broken, Vec::<String>::new());
}

/// A7: revoked for its compromise, a key comes back in no kind of row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_a_blocked_key_is_refused_in_rows_of_every_kind() {
    let world = World::start().await;
    let (device, code) = world.gateways(1).await.remove(0);
    let key = Key::new();
    claim(&world, Way::Grpc, &device, &code, &key).await.unwrap();
    let certificate = world.device(&device).await.certificate_serial;
    let revoke = v1::RevokeCertificateRequest {
        name: format!("certificates/{certificate}"),
        reason: "key-compromise".into(),
        comment: String::new(),
    };
    world
        .client
        .certificates
        .clone()
        .revoke_certificate(revoke)
        .await
        .unwrap();
    let request = BASE64_STANDARD.encode(key.csr());
    let public = key.public();
    for (kind, column, cell) in [
        (CredentialKind::Csr, "credential", request),
        (CredentialKind::Pinned, "credential", public),
        (CredentialKind::Code, "spki_sha256", of(&key)),
    ] {
        let file = world.path("blocked.csv");
        let text = format!("serial,model,{column}\nC-1,CAM-IR,{cell}\nC-2,CAM-IR,\n");
        fs::write(&file, text).unwrap();
        for dry_run in [true, false] {
            let options = ImportOptions {
                credential: kind,
                dry_run,
                ..ImportOptions::of(file.clone())
            };
            let imported = world.import_with(options).await;
            let row = &imported.rows[0];
            assert_eq!(
                codes(row),
                [u32::from(Code::KeyBlocked.number())],
                "{kind:?}: {row:?}"
            );
            assert_eq!(
                (row.refusals[0].column.as_str(), row.certificate.len()),
                (column, 0),
                "{row:?}"
            );
        }
    }
    assert_eq!(world.device("C-2").await.state(), State::Registered);
}

/// What a factory forgot, or a repair changed, an operator says on the command line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_says_with_which_key_a_device_claims() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let ended = async |arguments: &[&str]| Program::run(registry.muster().args(arguments)).await;
    let muster = async |arguments: &[&str]| {
        let ended = ended(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    };
    let shown = async |arguments: &[&str]| {
        let out = muster(&[arguments, &["-o", "json"]].concat()).await;
        let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
        shown[0]
            .as_object()
            .cloned()
            .unwrap_or_else(|| shown.as_object().cloned().unwrap())
    };
    let models = registry.path("models.toml");
    fs::write(&models, "[[models]]\nname = \"M\"\n").unwrap();
    muster(&["apply", "-f", models.to_str().unwrap()]).await;
    let file = registry.path("m.csv");
    let key = of(&Key::new());
    fs::write(
        &file,
        format!("serial,model,key_sha256,claim_until\nM-1,M,,\nM-2,M,{key},2099-01-01\n"),
    )
    .unwrap();
    let results = registry.path("m.results.csv");
    muster(&[
        "import",
        file.to_str().unwrap(),
        "--out",
        results.to_str().unwrap(),
    ])
    .await;
    let device = shown(&["device", "get", "M-2"]).await;
    assert_eq!(device["claim_spki_sha256"], key.as_str());
    assert_eq!(device["claim_window"]["closes"], "2099-01-01T00:00:00Z");
    // A listing with these columns is a manifest that changes nothing.
    let columns = "serial,claim_spki_sha256,claim_window.opens,claim_window.closes";
    let listed = muster(&["device", "list", "-o", "csv", "--columns", columns]).await;
    let again = registry.path("listed.csv");
    fs::write(&again, listed).unwrap();
    let imported = shown(&["import", again.to_str().unwrap(), "--model", "M", "--dry-run"]).await;
    assert_eq!(imported["unchanged"], 2, "{imported:?}");
    // The key alone leaves the window, and another device's key is no choice.
    let taken = ended(&["device", "arm", "M-1", "--key-sha256", &key]).await;
    assert_eq!(taken.code, Some(4), "{taken:?}");
    assert!(taken.log.contains("M4006"), "{taken:?}");
    let other = of(&Key::new());
    let armed = shown(&["device", "arm", "M-2", "--key-sha256", &other.to_uppercase()]).await;
    assert_eq!(armed["claim_spki_sha256"], other.as_str());
    assert_eq!(armed["claim_window"]["closes"], "2099-01-01T00:00:00Z");
    shown(&["device", "arm", "M-1", "--key-sha256", &key]).await;
    let open = shown(&["device", "arm", "M-2"]).await;
    assert!(
        open["claim_window"]["closes"].is_null() && open["claim_spki_sha256"] == other.as_str(),
        "{open:?}"
    );
    let free = shown(&["device", "arm", "M-2", "--any-key", "--until", "2099-02-01"]).await;
    assert_eq!(free["claim_spki_sha256"], "");
    assert_eq!(free["claim_window"]["closes"], "2099-02-01T00:00:00Z");
    // A new code for a lost label is bound as the old one was.
    shown(&["device", "reissue-code", "M-1"]).await;
    assert_eq!(
        shown(&["device", "get", "M-1"]).await["claim_spki_sha256"],
        key.as_str()
    );
    shown(&["device", "reissue-code", "M-1", "--key-sha256", &of(&Key::new())]).await;
    assert_ne!(
        shown(&["device", "get", "M-1"]).await["claim_spki_sha256"],
        key.as_str()
    );
    shown(&["device", "reissue-code", "M-1", "--any-key"]).await;
    assert_eq!(shown(&["device", "get", "M-1"]).await["claim_spki_sha256"], "");
    let malformed = ended(&["device", "arm", "M-1", "--key-sha256", "abc"]).await;
    assert_eq!(malformed.code, Some(2), "{malformed:?}");
    assert!(malformed.log.contains("64 hexadecimal digits"), "{malformed:?}");
}
