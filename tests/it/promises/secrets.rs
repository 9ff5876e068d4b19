//! F2, F4, G17: what is secret stands in no log, no database, no answer and no left-over file.

use crate::journeys::changes::Desk;
use aho_corasick::AhoCorasick;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_domain::activation::ActivationCode;
use muster_proto::{
    payload::ClaimResult,
    v1::{
        self,
        change_action::{Action, ReissueCodes},
    },
};
use muster_tests::{
    Key, Sink, World,
    est::{enroll, parts},
    files_below, fixture, until,
};
use muster_tools::import::ImportOptions;
use rcgen::KeyPair;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use std::{fmt::Write as _, fs, path::Path};

/// Every way in which a program might write down bytes.
fn written(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex = |upper: bool| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let wrote = if upper {
                write!(text, "{byte:02X}")
            } else {
                write!(text, "{byte:02x}")
            };
            wrote.unwrap();
            text
        })
    };
    let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let escaped: String = bytes.escape_ascii().to_string();
    [hex(false), hex(true), list.join(", "), list.join(","), escaped]
        .into_iter()
        .map(String::into_bytes)
        .chain([bytes.to_vec()])
        .collect()
}

/// Secrets, in every form.
struct Secrets {
    names: Vec<String>,
    finder: AhoCorasick,
}

impl Secrets {
    fn new(secrets: Vec<(String, Vec<Vec<u8>>)>) -> Self {
        let (mut names, mut needles) = (Vec::new(), Vec::new());
        for (name, forms) in secrets {
            for form in forms {
                assert!(form.len() >= 12, "{name} has a form that could stand anywhere");
                names.push(name.clone());
                needles.push(form);
            }
        }
        Self {
            names,
            finder: AhoCorasick::new(needles).unwrap(),
        }
    }

    /// What of it stands in these bytes.
    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        self.finder
            .find_iter(bytes)
            .map(|hit| self.names[hit.pattern().as_usize()].as_str())
            .collect()
    }

    #[track_caller]
    fn absent(&self, place: &str, bytes: &[u8]) {
        let found = self.found(bytes);
        assert!(
            found.is_empty(),
            "{place} holds {} secrets, such as {:?}",
            found.len(),
            &found[..found.len().min(3)]
        );
    }
}

/// A code as printed, as typed, and as the bytes that it is.
fn code_forms(code: &str) -> Vec<Vec<u8>> {
    let plain = code.replace('-', "");
    let value = plain[..24].chars().fold(0u128, |value, digit| {
        let place = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(digit).unwrap();
        value << 5 | u128::try_from(place).unwrap()
    });
    let bytes: [u8; 15] = value.to_be_bytes()[1..].try_into().unwrap();
    assert_eq!(
        ActivationCode::from_random(bytes).reveal(),
        code,
        "these are its bytes"
    );
    let mut forms = vec![code.into(), plain.to_lowercase().into_bytes(), plain.into_bytes()];
    forms.extend(written(&bytes));
    forms.extend(in_base64(code));
    forms
}

/// A text as it shows inside of base64, whatever stands before it and behind it: HTTP Basic carries codes so.
fn in_base64(text: &str) -> Vec<Vec<u8>> {
    let at = |before: usize| {
        let encoded = BASE64_STANDARD.encode(" ".repeat(before) + text);
        // Digits that hold a bit of the neighbours are left out.
        let whole = (before * 8).div_ceil(6)..(before + text.len()) * 8 / 6;
        encoded.as_bytes()[whole].to_vec()
    };
    (0..3).map(at).collect()
}

/// The private number of a P-256 key: behind `OCTET STRING, 32 bytes` (RFC 5915).
fn private_number(pem: &str) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let der = key.secret_der();
    let at = der.windows(2).position(|pair| pair == [0x04, 0x20]).unwrap() + 2;
    der[at..at + 32].to_vec()
}

fn key_forms(pem: &str) -> Vec<Vec<u8>> {
    let body: Vec<_> = pem
        .lines()
        .filter(|line| line.len() > 40 && !line.starts_with('-'))
        .collect();
    let mut forms = written(&private_number(pem));
    // The first line of the body holds the number's beginning; the rest is the public half.
    forms.push(body[0].as_bytes().to_vec());
    forms
}

/// Claims that go wrong in every way, and what they are answered.
async fn answers(world: &World, serial: &str, code: &str, used: (&str, &str)) -> Vec<u8> {
    let mut said = String::new();
    for (serial, code, csr) in [
        (serial, code, b"no request".to_vec()),
        (used.0, used.1, Key::new().csr()),
        ("GW2-1", code, Key::new().csr()),
        (serial, used.1, Key::new().csr()),
        (code, serial, Key::new().csr()),
    ] {
        let request = v1::ClaimRequest {
            serial: serial.into(),
            activation_code: code.into(),
            csr: csr.clone(),
        };
        let status = world.client.enrollment.clone().claim(request).await.unwrap_err();
        write!(
            said,
            "{status} {status:?} {}",
            String::from_utf8_lossy(status.details())
        )
        .unwrap();
        let answer = world
            .dial(None)
            .await
            .unwrap()
            .claim(serial, code, csr.clone())
            .await;
        assert!(matches!(answer, Some(ClaimResult::Refused(_))), "{answer:?}");
        write!(said, "{answer:?}").unwrap();
        for path in ["/.well-known/est/simpleenroll", "/.well-known/est/serverkeygen"] {
            let mut http = world.http(None).await.unwrap();
            let answer = http.ask(enroll(path, serial, code, &csr)).await.unwrap();
            assert!([400, 401].contains(&answer.status), "{}", answer.text());
            write!(said, "{answer:?} {}", answer.text()).unwrap();
        }
    }
    said.into_bytes()
}

/// A key that the server makes for a device, PEM.
async fn made_key(world: &World, serial: &str, code: &str) -> String {
    let mut http = world.http(None).await.unwrap();
    let request = enroll("/.well-known/est/serverkeygen", serial, code, &Key::new().csr());
    let answer = http.ask(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    KeyPair::try_from(parts(&answer)[0].1.as_slice())
        .unwrap()
        .serialize_pem()
}

/// Codes that a change gives a hundred devices, and that nobody acknowledges.
async fn changed_codes(world: &World) -> Vec<String> {
    let changes = world.client.changes.clone();
    let action = Action::ReissueCodes(ReissueCodes::default());
    let request = v1::CreateChangeRequest {
        action: Some(v1::ChangeAction { action: Some(action) }),
        filter: "serial = \"GW2-70009*\"".into(),
        ..v1::CreateChangeRequest::default()
    };
    let name = Desk::of(world).started(request).await.name;
    until("every code is given out", async || {
        let request = v1::ListCodesRequest {
            name: name.clone(),
            resume_token: String::new(),
        };
        let mut parts = changes.clone().list_codes(request).await.ok()?.into_inner();
        let mut codes = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            codes.extend(part.codes.into_iter().map(|code| code.activation_code));
        }
        (codes.len() == 100).then_some(codes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_f4_g17_secrets_stand_where_they_belong_and_nowhere_else() {
    let logs = Sink::install();
    let mut world = World::builder()
        .setting("serverkeygen = false", "serverkeygen = true")
        .start()
        .await;
    let results = world.path("results.csv");
    let options = ImportOptions {
        results: Some(results.clone()),
        ..ImportOptions::of(fixture::manifest("gateways.csv"))
    };
    let imported = world.import_with(options).await;
    let serial = |row: usize| format!("GW2-{}", 7_000_001 + row);
    let codes: Vec<_> = imported
        .rows
        .iter()
        .map(|row| row.activation_code.clone())
        .collect();
    let request = v1::ReissueCodeRequest {
        name: format!("devices/serial:{}", serial(999)),
        ..v1::ReissueCodeRequest::default()
    };
    let reissued = world
        .client
        .devices
        .clone()
        .reissue_code(request)
        .await
        .unwrap()
        .into_inner()
        .activation_code;
    let changed = changed_codes(&world).await;
    // A life: agents claim and report, claims fail, the file comes again.
    let mut agents = Vec::new();
    for (row, code) in codes.iter().enumerate().take(3) {
        agents.push(world.agent(&serial(row), code));
    }
    for row in 0..3 {
        world.verified(&serial(row), 1).await;
    }
    let made_key = made_key(&world, &serial(4), &codes[4]).await;
    let said = answers(&world, &serial(5), &codes[5], (&serial(0), &codes[0])).await;
    world.import(&results).await;
    for agent in agents {
        agent.stopped().await;
    }
    world.stopped().await.unwrap();
    // What is looked for.
    let passphrase = fs::read_to_string(world.path("passphrase"))
        .unwrap()
        .trim()
        .to_owned();
    let key_file = world.registry().join("operator/operator.key");
    let operator_key = fs::read_to_string(&key_file).unwrap();
    let mut secrets: Vec<_> = codes
        .iter()
        .chain([&reissued])
        .chain(&changed)
        .map(|code| (format!("code {code}"), code_forms(code)))
        .collect();
    secrets.push(("passphrase".into(), vec![passphrase.into_bytes()]));
    secrets.push(("operator key".into(), key_forms(&operator_key)));
    secrets.push(("made key".into(), key_forms(&made_key)));
    let secrets = Secrets::new(secrets);
    // The search finds what is there: the results hold every code, the key file the key.
    assert_eq!(secrets.found(&fs::read(&results).unwrap()).len(), 1000);
    assert!(secrets.found(operator_key.as_bytes()).contains(&"operator key"));
    assert!(
        !secrets
            .found(&written(&private_number(&operator_key))[2])
            .is_empty()
    );
    // And nowhere else is anything to find.
    secrets.absent("an answer", &said);
    let lines = logs.bytes();
    assert!(
        lines.len() > 100_000,
        "the log is talkative: {} bytes",
        lines.len()
    );
    secrets.absent("the log", &lines);
    let belongs = [results, key_file, world.path("passphrase")];
    let mut looked = 0;
    for file in files_below(world.registry().parent().unwrap()) {
        if !belongs.contains(&file) {
            secrets.absent(&file.display().to_string(), &fs::read(&file).unwrap());
            looked += 1;
        }
    }
    assert!(looked > 10, "{looked} files");
    only_the_owner_reads(&world.registry());
}

/// Nobody but the owner may open a file of the registry.
fn only_the_owner_reads(registry: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for file in files_below(registry) {
        let open_to_others = fs::metadata(&file).unwrap().permissions().mode() & 0o077;
        let parent = fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o077;
        assert!(
            open_to_others == 0 || parent == 0,
            "{} is open to others",
            file.display()
        );
    }
}
