//! Identities that come with a manifest: requests to be signed, keys made for the device, keys and certificates that it
//! has from its maker.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use muster_agent::{AdoptError, adopt, request};
use muster_domain::{Code, manifest::RowCredential};
use muster_proto::{
    payload::{self, ClaimResult, Digest, Facet, FacetState, FacetStatus, Report},
    topic::{Channel, Encoding, Topic},
    v1::{self, CredentialKind, KeyFormat, RowStatus, device::State},
};
use muster_tests::{Ended, ForeignCa, Imported, Key, Pair, Program, Running, World, until};
use muster_tools::import::ImportOptions;
use rcgen::{KeyPair, PublicKeyData as _};
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use std::{fs, io::Read as _, path::Path, process::Command};

fn serial(i: u32) -> String {
    format!("GW2-{}", 6_100_000 + i)
}

/// A manifest of gateways without credentials.
fn plain(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut text = "serial,mac,model,firmware,site,position,extension\n".to_owned();
    for i in numbers {
        text += &format!(
            "{},00:1B:C5:61:00:{i:02X},GW-200,2.3.1,MUC-01,Hall 1,{i}\n",
            serial(i)
        );
    }
    text
}

/// The same, each with a credential in its last cell.
fn manifest(credentials: &[impl AsRef<str>]) -> String {
    let rows = plain(1..=u32::try_from(credentials.len()).unwrap());
    let mut cells = credentials
        .iter()
        .map(|credential| credential.as_ref().replace('"', "\"\""));
    let quoted = |line: &str| match line.starts_with("serial") {
        true => format!("{line},credential\n"),
        false => format!("{line},\"{}\"\n", cells.next().unwrap()),
    };
    rows.lines().map(quoted).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body: Vec<_> = BASE64_STANDARD
        .encode(der)
        .into_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        body.join("\n")
    )
}

fn csr(der: &[u8]) -> String {
    pem("CERTIFICATE REQUEST", der)
}

/// How such a file is imported.
fn options(world: &World, credential: CredentialKind, name: &str, text: &str) -> ImportOptions {
    let file = world.path(name);
    fs::write(&file, text).unwrap();
    ImportOptions {
        credential,
        ..ImportOptions::of(file)
    }
}

async fn openssl(directory: &Path, arguments: &str) -> Ended {
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split_whitespace()).current_dir(directory);
    let ended = Program::run(&mut openssl).await;
    assert_eq!(ended.code, Some(0), "openssl {arguments}: {ended:?}");
    ended
}

fn codes(row: &v1::RowResult) -> Vec<u32> {
    row.refusals.iter().map(|refusal| refusal.code).collect()
}

fn statuses(imported: &Imported) -> Vec<RowStatus> {
    imported.rows.iter().map(v1::RowResult::status).collect()
}

async fn state(world: &World, serial: &str) -> State {
    world.device(serial).await.state()
}

fn hello() -> String {
    format!(
        r#"{{"generation": 0, "digest": "{}", "agent_version": "test", "firmware": "2.3.1", "boot_id": 7}}"#,
        "0".repeat(64)
    )
}

/// Connects as a device; hears its desired state; says that it applied it.
pub(super) async fn works(world: &World, serial: &str, pair: &Pair) {
    let device = world.device(serial).await;
    let id = device.name.trim_start_matches("devices/");
    let topic = |channel| Topic::Device(id, channel, Encoding::Json).to_string();
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    assert_eq!(
        mqtt.connect(id, None).await.unwrap().code,
        ConnectReturnCode::Success
    );
    mqtt.subscribe(&topic(Channel::Desired)).await.unwrap();
    // The desired state may come before the acknowledgement of hello; either is heard.
    mqtt.publish(&topic(Channel::Hello), hello().into_bytes())
        .await
        .unwrap();
    let desired = device.desired.unwrap();
    let report = Report {
        device_id: id.to_owned(),
        generation: desired.generation,
        digest: Digest(desired.digest.try_into().unwrap()),
        facets: [Facet::Config, Facet::Location, Facet::Firmware]
            .map(|facet| FacetStatus {
                facet,
                state: FacetState::Applied,
            })
            .into(),
        firmware: Some("2.3.1".into()),
    };
    let report = payload::encode(&report, Encoding::Json).unwrap();
    let (_, text) = mqtt.publish(&topic(Channel::Report), report).await.unwrap();
    assert_eq!(text, "");
    until(&format!("{serial} is active"), async || {
        (state(world, serial).await == State::Active).then_some(())
    })
    .await;
}

/// May a device connect with this certificate?
async fn is_let_in(world: &World, pair: &Pair) -> bool {
    let Ok(mut mqtt) = world.dial(Some(pair)).await else {
        return false;
    };
    let ack = mqtt.connect("", None).await;
    ack.is_some_and(|ack| ack.code == ConnectReturnCode::Success)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_come_back_as_certificates() {
    let world = World::start().await;
    openssl(
        &world.path(""),
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout o.key -out o.csr -subj /CN=line7",
    )
    .await;
    let keys = [Key::new(), Key::new()];
    let mut good = vec![
        csr(&keys[0].csr()),
        BASE64_STANDARD.encode(keys[1].csr()),
        fs::read_to_string(world.path("o.csr")).unwrap(),
    ];
    let other = Key::new();
    // What is wrong, and the number that says so.
    let wrong: Vec<(String, Code)> = {
        let mut unsigned = other.csr();
        *unsigned.last_mut().unwrap() ^= 1;
        let cut = other.csr()[..100].to_vec();
        vec![
            (
                csr(&Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).csr()),
                Code::CsrKey,
            ),
            (csr(&unsigned), Code::CsrSignature),
            (
                csr(&Key::new().csr_with_name("gateway.example")),
                Code::CsrAttribute,
            ),
            (csr(&cut), Code::CredentialMalformed),
            ("nonsense".into(), Code::CredentialMalformed),
            (String::new(), Code::CredentialMissing),
            (good[0].clone(), Code::CredentialRepeated),
            (Key::new().pair(&[] as &[Vec<u8>]).key, Code::CredentialMalformed),
            (world.admin().chain, Code::CredentialMalformed),
        ]
    };
    good.extend(wrong.iter().map(|(text, _)| text.clone()));
    let text = manifest(&good);
    let expected: Vec<_> = wrong
        .iter()
        .map(|(_, code)| vec![u32::from(code.number())])
        .collect();
    let import = |dry_run| ImportOptions {
        dry_run,
        results: (!dry_run).then(|| world.path("results.csv")),
        certificates: Some(world.path("issued")),
        ..options(&world, CredentialKind::Csr, "requests.csv", &text)
    };
    // The dry run says the same, and signs nothing.
    let planned = world.import_with(import(true)).await;
    assert_eq!(planned.rows[3..].iter().map(codes).collect::<Vec<_>>(), expected);
    assert_eq!(statuses(&planned)[..3], [RowStatus::Created; 3]);
    assert!(planned.rows.iter().all(|row| row.certificate.is_empty()));
    assert_eq!(world.counts().await.devices, 0);
    let done = world.import_with(import(false)).await;
    assert_eq!(done.rows[3..].iter().map(codes).collect::<Vec<_>>(), expected);
    assert_eq!(done.summary.created, 3, "{:?}", done.summary.causes);
    assert!(
        done.rows
            .iter()
            .all(|row| row.activation_code.is_empty() && row.key.is_empty())
    );
    for (i, row) in (1..=3).zip(&done.rows) {
        let device = world.device(&serial(i)).await;
        assert_eq!(device.state(), State::Claimed);
        assert_eq!(row.serial, serial(i));
        let leaf = serial(i) + ".pem";
        let issued = world.path("issued");
        let root = world.registry().join("operator/root.pem");
        let verified = openssl(
            &issued,
            &format!(
                "verify -x509_strict -check_ss_sig -purpose sslclient -CAfile {} -untrusted {leaf} {leaf}",
                root.display()
            ),
        )
        .await;
        assert_eq!(verified.out.trim(), format!("{leaf}: OK"));
        let shown = openssl(
            &issued,
            &format!("x509 -in {leaf} -noout -subject -serial -nameopt RFC2253"),
        )
        .await;
        let id = device.name.trim_start_matches("devices/");
        assert!(shown.out.contains(&format!("CN={id}")), "{}", shown.out);
        assert!(
            shown
                .out
                .to_lowercase()
                .contains(&device.certificate_serial.to_lowercase()),
            "{} is not {}",
            shown.out,
            device.certificate_serial
        );
    }
    // The results file has them, too.
    let results = fs::read_to_string(world.path("results.csv")).unwrap();
    assert!(results.contains(&BASE64_STANDARD.encode(&done.rows[0].certificate)));
    // They are what a device connects with.
    let chain = |i: u32| fs::read_to_string(world.path("issued").join(serial(i) + ".pem")).unwrap();
    for (i, key) in (1..=2).zip(&keys) {
        let pair = Pair {
            chain: chain(i),
            ..key.pair(&[] as &[Vec<u8>])
        };
        works(&world, &serial(i), &pair).await;
    }
    let pair = Pair {
        chain: chain(3),
        key: fs::read_to_string(world.path("o.key")).unwrap(),
    };
    works(&world, &serial(3), &pair).await;
    // Once more: nothing changes, nothing is signed.
    let before = world.device(&serial(1)).await;
    let again = world
        .import_with(ImportOptions {
            results: Some(world.path("again.csv")),
            ..import(false)
        })
        .await;
    assert_eq!(statuses(&again)[..3], [RowStatus::Unchanged; 3]);
    assert_eq!(again.rows[3..].iter().map(codes).collect::<Vec<_>>(), expected);
    assert!(again.rows.iter().all(|row| row.certificate.is_empty()));
    assert_eq!(world.device(&serial(1)).await, before);
    // Another device with a key that is taken is refused, in another file as well.
    let taken = manifest(&[good[1].clone()])
        .replace(&serial(1), &serial(50))
        .replace("61:00:01", "61:00:50");
    let taken = world
        .import_with(options(&world, CredentialKind::Csr, "taken.csv", &taken))
        .await;
    assert_eq!(
        codes(&taken.rows[0]),
        [u32::from(Code::CredentialRepeated.number())]
    );
}

/// Settings of an agent that has no code.
fn settings(world: &World, serial: &str) -> muster_agent::Settings {
    world.agent_settings(serial, world.mqtt()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_asks_with_its_own_key_and_adopts_the_answer() {
    let world = World::start().await;
    let asked = request(&settings(&world, &serial(1))).unwrap();
    let key = |request: &str| RowCredential::parse(request).unwrap().spki();
    let again = request(&settings(&world, &serial(1))).unwrap();
    assert_eq!(key(&again), key(&asked), "the key stays");
    let import = ImportOptions {
        certificates: Some(world.path("issued")),
        ..options(&world, CredentialKind::Csr, "requests.csv", &manifest(&[asked]))
    };
    assert_eq!(world.import_with(import).await.summary.created, 1);
    let chain = fs::read(world.path("issued").join(serial(1) + ".pem")).unwrap();
    // Not for somebody else's key.
    request(&settings(&world, &serial(2))).unwrap();
    let wrong = adopt(&settings(&world, &serial(2)), &chain);
    assert!(matches!(wrong, Err(AdoptError::Untrusted(_))), "{wrong:?}");
    let device = adopt(&settings(&world, &serial(1)), &chain).unwrap().unwrap();
    assert_eq!(format!("devices/{device}"), world.device(&serial(1)).await.name);
    let _agent = Running::start(settings(&world, &serial(1)));
    world.verified(&serial(1), 1).await;
}

fn decrypted(identity: &age::x25519::Identity, sealed: &[u8]) -> Vec<u8> {
    let decryptor = age::Decryptor::new(sealed).unwrap();
    let mut plain = Vec::new();
    decryptor
        .decrypt(std::iter::once(identity as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_server_makes_are_opened_at_the_station() {
    let world = World::start().await;
    let station = age::x25519::Identity::generate();
    let text = plain(1..=2);
    let import = |name: &str, text: &str, key_format| ImportOptions {
        key_recipient: Some(station.to_public().to_string()),
        key_format,
        keys: Some(world.path("keys")),
        certificates: Some(world.path("issued")),
        results: Some(world.path(&format!("{name}.results"))),
        ..options(&world, CredentialKind::Key, name, text)
    };
    let planned = ImportOptions {
        dry_run: true,
        results: None,
        ..import("keys.csv", &text, KeyFormat::Pem)
    };
    let planned = world.import_with(planned).await;
    assert!(planned.rows.iter().all(|row| row.key.is_empty()));
    let done = world.import_with(import("keys.csv", &text, KeyFormat::Pem)).await;
    assert_eq!(done.summary.created, 2, "{:?}", done.summary.causes);
    // 1. PEM, as `age -d | muster-agent adopt -` gets it.
    let sealed = fs::read(world.path("keys").join(serial(1) + ".pem.age")).unwrap();
    assert_eq!(sealed, done.rows[0].key);
    let opened = decrypted(&station, &sealed);
    let text_of_key = String::from_utf8(opened.clone()).unwrap();
    assert_eq!(text_of_key.matches("PRIVATE KEY").count(), 2);
    assert_eq!(text_of_key.matches("BEGIN CERTIFICATE").count(), 2);
    let issued = fs::read_to_string(world.path("issued").join(serial(1) + ".pem")).unwrap();
    assert!(text_of_key.ends_with(&issued), "the chain is the same");
    assert_eq!(state(&world, &serial(1)).await, State::Claimed);
    adopt(&settings(&world, &serial(1)), &opened).unwrap().unwrap();
    let _agent = Running::start(settings(&world, &serial(1)));
    world.verified(&serial(1), 1).await;
    // 2. PKCS#12, opened by OpenSSL.
    let text = plain(3..=3);
    let more = world
        .import_with(import("more.csv", &text, KeyFormat::Pkcs12))
        .await;
    assert_eq!(more.summary.created, 1);
    let sealed = fs::read(world.path("keys").join(serial(3) + ".p12.age")).unwrap();
    fs::write(world.path("device.p12"), decrypted(&station, &sealed)).unwrap();
    openssl(
        &world.path(""),
        "pkcs12 -in device.p12 -passin pass: -nodes -out device.pem",
    )
    .await;
    let opened = fs::read_to_string(world.path("device.pem")).unwrap();
    let chain = fs::read_to_string(world.path("issued").join(serial(3) + ".pem")).unwrap();
    let (_, key) = opened.split_at(opened.find("-----BEGIN PRIVATE KEY").unwrap());
    works(
        &world,
        &serial(3),
        &Pair {
            chain,
            key: key.to_owned(),
        },
    )
    .await;
    // Acknowledged keys are gone, certificates stay; the same file again makes none.
    let again = ImportOptions {
        results: Some(world.path("again.csv")),
        ..import("keys.csv", &plain(1..=2), KeyFormat::Pem)
    };
    let again = world.import_with(again).await;
    assert_eq!(statuses(&again), [RowStatus::Unchanged; 2]);
    assert!(again.rows.iter().all(|row| row.key.is_empty()));
}

/// A public key as files have it.
fn written(key: &KeyPair, form: &str) -> String {
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    match form {
        "PEM" => key.public_key_pem(),
        "DER" => BASE64_STANDARD.encode(key.subject_public_key_info()),
        "JWK" => format!(
            r#"{{"kty": "EC", "crv": "P-256", "x": "{}", "y": "{}"}}"#,
            BASE64_URL_SAFE_NO_PAD.encode(x),
            BASE64_URL_SAFE_NO_PAD.encode(y)
        ),
        other => panic!("{other} is no form"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_key_claims_without_a_code() {
    let world = World::start().await;
    let forms = ["PEM", "DER", "JWK"];
    let keys = forms.map(|_| KeyPair::generate().unwrap());
    let mut cells: Vec<_> = keys
        .iter()
        .zip(forms)
        .map(|(key, form)| written(key, form))
        .collect();
    cells.extend([
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
            .unwrap()
            .public_key_pem(),
        csr(&Key::new().csr()),
        keys[0].serialize_pem(),
    ]);
    let import = options(&world, CredentialKind::Pinned, "keys.csv", &manifest(&cells));
    let done = world.import_with(import.clone()).await;
    assert_eq!(
        statuses(&done)[..3],
        [RowStatus::Created; 3],
        "{:?}",
        done.summary.causes
    );
    for row in &done.rows[3..] {
        assert_eq!(codes(row), [u32::from(Code::CredentialMalformed.number())]);
        assert!(!format!("{row:?}").contains("BEGIN"), "{row:?}");
    }
    for i in 1..=3 {
        assert_eq!(state(&world, &serial(i)).await, State::Registered);
    }
    // Somebody else's key gets nothing, whatever it brings for a code.
    for code in ["", "00000-00000-00000-00000-00000"] {
        let stranger = Key::new().csr();
        let answer = world
            .dial(None)
            .await
            .unwrap()
            .claim(&serial(1), code, stranger)
            .await;
        let Some(ClaimResult::Refused(refused)) = answer else {
            panic!("another key is refused: {answer:?}");
        };
        assert_eq!(refused.code, Code::ClaimRefused.number());
    }
    let mut agents = Vec::new();
    for (i, key) in (1..).zip(&keys) {
        let settings = || {
            let settings = world.agent_settings(&serial(i), world.mqtt());
            settings.pinned_key().build().unwrap()
        };
        assert_eq!(adopt(&settings(), key.serialize_pem().as_bytes()).unwrap(), None);
        agents.push(Running::start(settings()));
        world.verified(&serial(i), 1).await;
    }
    // Devices that have claimed are what the file says already.
    let again = world.import_with(import).await;
    assert_eq!(statuses(&again)[..3], [RowStatus::Unchanged; 3]);
}

/// Mosquitto's client with a device's certificate: is its hello acknowledged?
async fn mosquitto_works(world: &World, serial: &str, pair: &Pair, version: &str) -> bool {
    for (name, text) in [("m.pem", &pair.chain), ("m.key", &pair.key)] {
        fs::write(world.path(name), text).unwrap();
    }
    let device = world.device(serial).await;
    let id = device.name.trim_start_matches("devices/");
    let topic = Topic::Device(id, Channel::Hello, Encoding::Json).to_string();
    let mut client = Command::new("mosquitto_pub");
    client.args(["-h", "localhost", "-V", "5", "-q", "1", "--tls-version", version]);
    client.args(["-i", id, "-t", &topic, "-m", &hello()]);
    client.args(["-p", &world.mqtt().port().to_string()]);
    client
        .arg("--cafile")
        .arg(world.registry().join("operator/root.pem"));
    client.arg("--cert").arg(world.path("m.pem"));
    client.arg("--key").arg(world.path("m.key"));
    Program::run(&mut client).await.code == Some(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_makers_certificate_opens_the_gate_at_once() {
    let world = World::start().await;
    let maker = ForeignCa::new();
    let p256 = maker.client("esp-6d1d54ba");
    let rsa = maker.client_with(
        "esp-6d1d54bb",
        &KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
        4096,
    );
    let ended = maker.client_with("esp-6d1d54bc", &KeyPair::generate().unwrap(), 2020);
    let unknown = maker.client("esp-6d1d54bd");
    let cells = [&p256.chain, &rsa.chain, &ended.chain, &p256.chain];
    let import = ImportOptions {
        certificates: Some(world.path("issued")),
        ..options(&world, CredentialKind::Pinned, "makers.csv", &manifest(&cells))
    };
    let done = world.import_with(import.clone()).await;
    assert_eq!(
        statuses(&done)[..2],
        [RowStatus::Created; 2],
        "{:?}",
        done.summary.causes
    );
    for (row, code) in done.rows[2..]
        .iter()
        .zip([Code::CredentialMalformed, Code::CredentialRepeated])
    {
        assert_eq!(codes(row), [u32::from(code.number())], "{row:?}");
    }
    // What comes back is the maker's certificate, with none of ours above it.
    let back = fs::read_to_string(world.path("issued").join(serial(1) + ".pem")).unwrap();
    assert!(p256.chain.replace("\r\n", "\n").starts_with(&back), "{back}");
    for (i, pair) in [(1, &p256), (2, &rsa)] {
        assert_eq!(state(&world, &serial(i)).await, State::Claimed);
        for version in ["tlsv1.2", "tlsv1.3"] {
            assert!(
                mosquitto_works(&world, &serial(i), pair, version).await,
                "{version}"
            );
        }
        works(&world, &serial(i), pair).await;
    }
    // Another certificate of the same maker is nobody's.
    assert!(!is_let_in(&world, &unknown).await);
    assert!(!is_let_in(&world, &ended).await);
    let thief = Pair {
        chain: p256.chain.clone(),
        key: unknown.key.clone(),
    };
    assert!(!mosquitto_works(&world, &serial(1), &thief, "tlsv1.3").await);
    // Our switches work as on our own.
    let mut devices = world.client.devices.clone();
    let name = format!("devices/serial:{}", serial(1));
    let suspend = v1::SuspendDeviceRequest {
        name: name.clone(),
        ..v1::SuspendDeviceRequest::default()
    };
    devices.suspend_device(suspend).await.unwrap();
    assert!(!is_let_in(&world, &p256).await);
    let resume = v1::ResumeDeviceRequest {
        name: name.clone(),
        ..v1::ResumeDeviceRequest::default()
    };
    devices.resume_device(resume).await.unwrap();
    assert!(is_let_in(&world, &p256).await);
    let retire = v1::RetireDeviceRequest {
        name,
        ..v1::RetireDeviceRequest::default()
    };
    devices.retire_device(retire).await.unwrap();
    assert!(!is_let_in(&world, &p256).await);
    let again = world.import_with(import).await;
    assert_eq!(statuses(&again)[..2], [RowStatus::Unchanged; 2]);
}
