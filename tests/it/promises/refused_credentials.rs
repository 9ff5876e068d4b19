//! Refusals of rows for what they bring for an identity, and for what they may do to devices that exist.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use muster_domain::Code;
use muster_proto::v1::{self, BatchSpec, CredentialKind, ManifestRow, RowResult, Writes};
use muster_tests::{Key, World, grpc};
use muster_tools::import::ImportOptions;
use std::fs;

fn row(serial: &str, credential: &str) -> ManifestRow {
    ManifestRow {
        serial: serial.into(),
        model: "CAM-IR".into(),
        credential: credential.into(),
        ..ManifestRow::default()
    }
}

/// Typed rows, as a manufacturing system sends them.
async fn send(world: &World, id: &str, spec: BatchSpec, rows: Vec<ManifestRow>) -> Vec<RowResult> {
    let request = v1::ImportRowsRequest {
        request_id: id.into(),
        spec: Some(spec),
        rows,
    };
    let answer = world.client.manifests.clone().import_rows(request).await;
    answer.expect("an answer").into_inner().rows
}

#[track_caller]
fn refused_with(row: &RowResult, code: Code) -> Code {
    let numbers: Vec<_> = row.refusals.iter().map(|refusal| refusal.code).collect();
    assert_eq!(numbers, [u32::from(code.number())], "{row:?}");
    let refusal = &row.refusals[0];
    assert!(!refusal.help.is_empty() && refusal.reason == code.reason());
    code
}

async fn credentials(world: &World) -> Vec<Code> {
    let pem = |der: &[u8]| {
        let text = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----")
    };
    let good = Key::new();
    let mut unsigned = Key::new().csr();
    *unsigned.last_mut().unwrap() ^= 1;
    let secret = Key::new().pair(&[] as &[Vec<u8>]).key;
    let wrong = [
        (String::new(), Code::CredentialMissing),
        ("nonsense".into(), Code::CredentialMalformed),
        (secret.clone(), Code::CredentialMalformed),
        (pem(&good.csr()), Code::CredentialRepeated),
        (
            pem(&Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).csr()),
            Code::CsrKey,
        ),
        (pem(&unsigned), Code::CsrSignature),
        (
            pem(&Key::new().csr_with_name("gateway.example")),
            Code::CsrAttribute,
        ),
    ];
    let mut rows = vec![row("C-0", &pem(&good.csr()))];
    rows.extend(
        (1..)
            .zip(&wrong)
            .map(|(i, (text, _))| row(&format!("C-{i}"), text)),
    );
    let spec = BatchSpec {
        credential: CredentialKind::Csr.into(),
        ..BatchSpec::default()
    };
    let answers = send(world, "credentials", spec, rows).await;
    assert!(!answers[0].certificate.is_empty(), "{:?}", answers[0]);
    // What was sent by mistake is not spread any further.
    assert!(!format!("{answers:?}").contains(secret.lines().nth(1).unwrap()));
    let expected = answers[1..].iter().zip(&wrong);
    expected
        .map(|(row, (_, code))| refused_with(row, *code))
        .collect()
}

/// On which terms devices are claimed: only those with codes are.
async fn terms(world: &World) -> Vec<Code> {
    let on = |serial: &str, spki_sha256: &str, claim_not_before: &str| ManifestRow {
        spki_sha256: spki_sha256.into(),
        claim_not_before: claim_not_before.into(),
        ..row(serial, "")
    };
    let wrong = [
        (on("T-1", "nonsense", ""), Code::KeyDigestMalformed),
        (on("T-2", "", "soon"), Code::ClaimWindowInvalid),
    ];
    let rows = wrong.iter().map(|(row, _)| row.clone()).collect();
    let answers = send(world, "terms", BatchSpec::default(), rows).await;
    let expected = answers.iter().zip(&wrong);
    let mut codes: Vec<_> = expected
        .map(|(row, (_, code))| refused_with(row, *code))
        .collect();
    let pinned = BatchSpec {
        credential: CredentialKind::Pinned.into(),
        ..BatchSpec::default()
    };
    let shipped = ManifestRow {
        credential: Key::new().public(),
        ..on("T-3", "", "2099-01-01")
    };
    let foreign = send(world, "foreign", pinned, vec![shipped]).await;
    codes.push(refused_with(&foreign[0], Code::ClaimForeign));
    codes
}

/// Keys that the server makes need somebody who may open them.
async fn recipient(world: &World) -> Code {
    for (i, key_recipient) in ["", "age1nonsense", "AGE-SECRET-KEY-1QQQQ"]
        .into_iter()
        .enumerate()
    {
        let request = v1::CreateBatchRequest {
            request_id: format!("recipient-{i}"),
            spec: Some(BatchSpec {
                credential: CredentialKind::Key.into(),
                key_recipient: key_recipient.into(),
                ..BatchSpec::default()
            }),
            ..v1::CreateBatchRequest::default()
        };
        let status = world
            .client
            .manifests
            .clone()
            .create_batch(request)
            .await
            .unwrap_err();
        assert_eq!(grpc::refusal(&status), Some(Code::RecipientInvalid), "{status}");
        assert!(!status.message().contains("1QQQQ"), "{status}");
    }
    Code::RecipientInvalid
}

/// Rows against what is registered.
async fn devices(world: &World) -> Vec<Code> {
    let spec = |writes: Writes| BatchSpec {
        writes: writes.into(),
        ..BatchSpec::default()
    };
    let moved = |etag: &str| ManifestRow {
        position: "Roof".into(),
        etag: etag.into(),
        ..row("D-1", "")
    };
    let made = send(world, "d1", spec(Writes::CreateOnly), vec![row("D-1", "")]).await;
    assert_eq!(made[0].status(), v1::RowStatus::Created, "{:?}", made[0]);
    let etag = world.device("D-1").await.etag;
    let exists = send(world, "d2", spec(Writes::CreateOnly), vec![row("D-1", "")]).await;
    let missing = send(world, "d3", spec(Writes::UpdateOnly), vec![row("D-2", "")]).await;
    let current = send(world, "d4", BatchSpec::default(), vec![moved(&etag)]).await;
    assert_eq!(current[0].status(), v1::RowStatus::Updated, "{:?}", current[0]);
    let again = ManifestRow {
        position: "Cellar".into(),
        ..moved(&etag)
    };
    let stale = send(world, "d5", BatchSpec::default(), vec![again]).await;
    let local = ManifestRow {
        mac: "02:00:00:00:00:01".into(),
        ..row("D-3", "")
    };
    let local = send(world, "d6", BatchSpec::default(), vec![local]).await;
    let warnings: Vec<_> = local[0].warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(warnings, [u32::from(Code::MacLocal.number())], "{:?}", local[0]);
    vec![
        refused_with(&exists[0], Code::DeviceExists),
        refused_with(&missing[0], Code::DeviceMissing),
        refused_with(&stale[0], Code::EtagStale),
        Code::MacLocal,
    ]
}

/// A secure element that nobody signed for.
async fn signature(world: &World) -> Code {
    let key = rcgen::KeyPair::generate().unwrap();
    let signer = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let text = |value: &str| BASE64_URL_SAFE_NO_PAD.encode(value);
    let entry = format!(
        r#"[{{"payload": "{}", "protected": "{}", "header": {{"uniqueId": "0123f1822c38dd7a01"}}, "signature": "{}"}}]"#,
        text(r#"{"version": 1, "uniqueId": "0123f1822c38dd7a01"}"#),
        text(r#"{"typ": "JWT", "alg": "ES256"}"#),
        BASE64_URL_SAFE_NO_PAD.encode([1; 64]),
    );
    let file = world.path("elements.json");
    fs::write(&file, entry).unwrap();
    let options = ImportOptions {
        signers: vec![signer.der().to_vec()],
        model: Some("CAM-IR".into()),
        credential: CredentialKind::Pinned,
        ..ImportOptions::of(file)
    };
    let imported = world.import_with(options).await;
    refused_with(&imported.rows[0], Code::EntrySignature)
}

/// Provokes them all, and says which.
pub(super) async fn provoked(world: &World) -> Vec<Code> {
    let mut codes = credentials(world).await;
    codes.extend(terms(world).await);
    codes.push(recipient(world).await);
    codes.extend(devices(world).await);
    codes.push(signature(world).await);
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_refused_for_their_credentials_and_devices() {
    let world = World::start().await;
    let provoked = provoked(&world).await;
    assert_eq!(provoked.len(), 16, "{provoked:?}");
}
