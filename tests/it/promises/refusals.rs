//! Every numbered "no" is answered to somebody: each is provoked where a user would meet it, and the union is all of
//! them. A number that nothing provokes would be superfluous, or hide a bug.

use super::{
    refused_batches::batches, refused_changes::changes, refused_credentials, refused_subscribers,
    upload::Upload,
};
use muster_domain::{Code, access::Role, device::GROUPS_LIMIT};
use muster_proto::{
    payload::{self, ClaimResult, Digest, Facet, FacetState, FacetStatus, Report},
    topic::{Channel, Encoding, Topic},
    v1::{self, operator::Role as WireRole, resource::Resource as Wire},
};
use muster_server::clock::Clock;
use muster_tests::{Key, Pair, World, grpc};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tonic::Status;

/// What was reached so far.
#[derive(Default)]
pub(super) struct Reached(BTreeSet<Code>);

impl Reached {
    /// The answer was this refusal; a status says so in its details, and in its text for people.
    #[track_caller]
    pub(super) fn status<T: std::fmt::Debug>(&mut self, expected: Code, answer: Result<T, Status>) {
        let status = answer.unwrap_err();
        assert_eq!(grpc::refusal(&status), Some(expected), "{status}");
        self.text(expected, status.message());
    }

    /// The text for people begins with the number.
    #[track_caller]
    fn text(&mut self, expected: Code, text: &str) {
        let number: Option<u16> = text
            .strip_prefix('M')
            .and_then(|text| text.split(':').next()?.parse().ok());
        assert_eq!(number.map(Code::try_from), Some(Ok(expected)), "{text:?}");
        self.0.insert(expected);
    }

    /// The refusal was found where it says something else than a status.
    pub(super) fn row(&mut self, code: Code) {
        self.0.insert(code);
    }

    #[track_caller]
    fn claim(&mut self, expected: Code, answer: Option<ClaimResult>) {
        let Some(ClaimResult::Refused(refused)) = answer else {
            panic!("not refused: {answer:?}")
        };
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (expected.number(), expected.reason())
        );
        self.text(expected, &refused.message);
    }
}

/// A world with a past: a device that has claimed, one that has not, a disabled operator.
pub(super) struct Stage {
    pub(super) world: World,
    millis: Arc<AtomicU64>,
    pub(super) claimed: (String, Pair),
    open: Vec<(String, String)>,
}

impl Stage {
    async fn set() -> Self {
        let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
        let world = World::builder()
            .clock(Clock::Manual(Arc::clone(&millis)))
            .start()
            .await;
        let mut open = world.gateways(4).await;
        let (serial, code) = open.remove(0);
        let claimed = (serial.clone(), world.claim(&serial, &code).await);
        Self {
            world,
            millis,
            claimed,
            open,
        }
    }

    fn name(serial: &str) -> String {
        format!("devices/serial:{serial}")
    }
}

async fn requests(stage: &Stage, reached: &mut Reached) {
    let mut devices = stage.world.client.devices.clone();
    let get = |name: &str| v1::GetDeviceRequest { name: name.into() };
    reached.status(Code::RequestInvalid, devices.get_device(get("nonsense")).await);
    reached.status(
        Code::NotFound,
        devices.get_device(get("devices/serial:NOBODY")).await,
    );
    let list = |filter: &str, page_token: &str| v1::ListDevicesRequest {
        filter: filter.into(),
        page_token: page_token.into(),
        ..v1::ListDevicesRequest::default()
    };
    reached.status(
        Code::FilterInvalid,
        devices.list_devices(list("model = (", "")).await,
    );
    reached.status(
        Code::PageTokenInvalid,
        devices.list_devices(list("", "bm8")).await,
    );
    let suspend = v1::SuspendDeviceRequest {
        name: Stage::name(&stage.claimed.0),
        reason: String::new(),
        etag: "r9999".into(),
    };
    reached.status(Code::EtagMismatch, devices.suspend_device(suspend).await);
    let resume = v1::ResumeDeviceRequest {
        name: Stage::name(&stage.claimed.0),
        etag: String::new(),
    };
    reached.status(Code::TransitionForbidden, devices.resume_device(resume).await);
    let mut upload = Upload::begin(&stage.world, "x.csv").await.unwrap();
    upload.send(vec![b'a'; (1 << 20) + 1]).await;
    reached.status::<()>(Code::TooLarge, Err(upload.refused().await));
}

async fn whole_manifests(stage: &Stage, reached: &mut Reached) {
    let wide = format!("serial,model{}\nx\n", ",c".repeat(300));
    for (code, file) in [
        (Code::ManifestUnreadable, b"PK\x03\x04 a spreadsheet".to_vec()),
        (Code::ManifestTooLarge, wide.into_bytes()),
        (Code::HeaderMissing, b"name,colour\nx,red\n".to_vec()),
        (Code::HeaderAmbiguous, b"serial,S/N,model\na,b,GW-200\n".to_vec()),
    ] {
        let mut upload = Upload::begin(&stage.world, "file").await.unwrap();
        upload.send(file).await;
        upload.end().await;
        reached.status::<()>(code, Err(upload.refused().await));
    }
}

/// Rows of one manifest, each with the one refusal that it must get. The stage's devices have serials `GW2-600000x` and
/// addresses `00:1B:C5:00:00:0x`.
const ROWS: &[(&str, Code)] = &[
    (
        ",00:1B:C5:11:00:01,GW-200,2.3.1,MUC-01,Roof,60",
        Code::SerialMissing,
    ),
    (
        "GW2 1,00:1B:C5:11:00:02,GW-200,2.3.1,MUC-01,Roof,60",
        Code::SerialMalformed,
    ),
    (
        "XX-1,00:1B:C5:11:00:03,GW-200,2.3.1,MUC-01,Roof,60",
        Code::SerialRule,
    ),
    (
        "2.00E+06,00:1B:C5:11:00:04,GW-200,2.3.1,MUC-01,Roof,60",
        Code::SerialDamaged,
    ),
    (
        "GW2-5000001,00:1B:C5:11:00:05,GW-200,2.3.1,MUC-01,Roof,60",
        Code::SerialRepeated,
    ),
    ("GW2-6000002,,CAM-IR,2.3.1,MUC-01,Roof,60", Code::SerialTaken),
    (
        "GW2-5000002,00:1B:C5:11:00:0G,GW-200,2.3.1,MUC-01,Roof,60",
        Code::MacMalformed,
    ),
    (
        "GW2-5000003,01:1B:C5:11:00:06,GW-200,2.3.1,MUC-01,Roof,60",
        Code::MacMulticast,
    ),
    (
        "GW2-5000004,00:04:A3:11:00:07,GW-200,2.3.1,MUC-01,Roof,60",
        Code::MacVendor,
    ),
    (
        "GW2-5000005,00:1B:C5:10:00:01,GW-200,2.3.1,MUC-01,Roof,60",
        Code::MacRepeated,
    ),
    (
        "GW2-5000006,00:1B:C5:00:00:02,GW-200,2.3.1,MUC-01,Roof,60",
        Code::MacTaken,
    ),
    (
        "GW2-5000007,00:1B:C5:11:00:08,,2.3.1,MUC-01,Roof,60",
        Code::ModelMissing,
    ),
    (
        "GW2-5000008,00:1B:C5:11:00:09,GW-999,2.3.1,MUC-01,Roof,60",
        Code::ModelUnknown,
    ),
    (
        "GW2-5000009,00:1B:C5:11:00:0A,GW-200,2.3.1,XXX-99,Roof,60",
        Code::SiteUnknown,
    ),
    (
        "GW2-5000010,00:1B:C5:11:00:0B,GW-200,2.4,MUC-01,Roof,60",
        Code::VersionMalformed,
    ),
    (
        "GW2-5000011,00:1B:C5:11:00:0C,GW-200,2.3.1,MUC-01,Roof,often",
        Code::VariableInvalid,
    ),
    (
        "GW2-5000012,00:1B:C5:11:00:0D,GW-200,2.3.1,MUC-01,,60",
        Code::RenderFailed,
    ),
    (
        "GW2-5000013,00:1B:C5:11:00:0E,GW-200,2.3.1,MUC-01,=1+1,60",
        Code::FormulaCell,
    ),
    (
        "GW2-5000014,00:1B:C5:11:00:0F,GW-200,2.3.1,MUC-01,Ro\u{1}of,60",
        Code::CellMalformed,
    ),
    (
        "GW2-5000015,00:1B:C5:11:00:10,GW-200,2.3.1,MUC-01,Roof,60,extra",
        Code::RowWidth,
    ),
    (
        "GW2-6000001,00:1B:C5:11:00:11,GW-200,2.3.1,MUC-01,Roof,60",
        Code::RowFrozen,
    ),
];

/// Rows for a model with a check digit and naming rules.
const RULED_ROWS: &[(&str, Code)] = &[
    ("7992739871-0,,Hall 1,A", Code::SerialCheckDigit),
    ("7992739871-3,7.0E+11,Hall 1,A", Code::MacDamaged),
    ("7992739871-3,,Roof,A", Code::NamingRule),
    ("7992739871-3,,#REF!,A", Code::CellDamaged),
    ("0000000000-0,,Hall 1,", Code::ValueMissing),
];

async fn ruled_rows(stage: &Stage, reached: &mut Reached) {
    let rule = |name: &str, field: &str, pattern: &str| v1::NamingRule {
        name: format!("namingRules/{name}"),
        field: field.into(),
        pattern: pattern.into(),
        models: vec!["METER".into()],
        required: true,
        ..v1::NamingRule::default()
    };
    let meter = v1::Model {
        name: "models/METER".into(),
        check_digit: "luhn".into(),
        ..v1::Model::default()
    };
    let resources = [
        Wire::Model(meter),
        Wire::NamingRule(rule("halls", "position", "Hall [0-9]")),
        Wire::NamingRule(rule("revisions", "hardware", "")),
    ];
    let resources = resources.map(|resource| v1::Resource {
        resource: Some(resource),
    });
    let request = v1::ApplyRequest {
        resources: resources.into(),
        validate_only: false,
    };
    stage.world.client.catalog.clone().apply(request).await.unwrap();
    for &(row, code) in RULED_ROWS {
        let (serial, rest) = row.split_once(',').unwrap();
        let text = format!("serial,model,mac,position,hardware\n{serial},METER,{rest}\n");
        let imported = stage.world.import_text("ruled.csv", &text).await;
        let numbers: Vec<_> = imported.rows[0]
            .refusals
            .iter()
            .map(|refusal| refusal.code)
            .collect();
        assert_eq!(
            numbers,
            [u32::from(code.number())],
            "{row:?}: {:?}",
            imported.rows[0]
        );
        reached.0.insert(code);
    }
}

async fn rows(stage: &Stage, reached: &mut Reached) {
    let mut text = "serial,mac,model,firmware,site,position,report_seconds\n\
                    GW2-5000001,00:1B:C5:10:00:01,GW-200,2.3.1,MUC-01,Roof,60\n"
        .to_owned();
    for (row, _) in ROWS {
        writeln!(text, "{row}").unwrap();
    }
    let imported = stage.world.import_text("faulty.csv", &text).await;
    assert_eq!(imported.rows.len(), 1 + ROWS.len());
    assert_eq!(
        imported.rows[0].status(),
        v1::RowStatus::Created,
        "{:?}",
        imported.rows[0]
    );
    for (answer, &(row, code)) in imported.rows[1..].iter().zip(ROWS) {
        let numbers: Vec<_> = answer.refusals.iter().map(|refusal| refusal.code).collect();
        assert_eq!(numbers, [u32::from(code.number())], "{row:?}: {answer:?}");
        assert!(!answer.refusals[0].help.is_empty() && answer.refusals[0].reason == code.reason());
        reached.0.insert(code);
    }
}

async fn catalog(stage: &Stage, reached: &mut Reached) {
    let model = |name: &str, serial_pattern: &str, profile: &str| {
        Wire::Model(v1::Model {
            name: format!("models/{name}"),
            serial_pattern: serial_pattern.into(),
            profile: profile.into(),
            ..v1::Model::default()
        })
    };
    let site = v1::Site {
        name: "sites/X".into(),
        latitude: Some(91.0),
        longitude: Some(0.0),
        ..v1::Site::default()
    };
    let files = [("a.toml".to_owned(), "{{ unclosed".to_owned())].into();
    let profile = v1::Profile {
        name: "profiles/p".into(),
        files,
        ..v1::Profile::default()
    };
    let policy = v1::FirmwarePolicy {
        name: "firmwarePolicies/f".into(),
        source_json: r#"{"permit": {"range": "newest"}}"#.into(),
        revision: None,
    };
    let mapping = v1::Mapping {
        name: "mappings/m".into(),
        source_json: r#"{"name": "m", "fields": [{"field": "colour", "columns": ["C"]}]}"#.into(),
        revision: None,
    };
    let rule = v1::NamingRule {
        name: "namingRules/r".into(),
        field: "mac".into(),
        pattern: "x".into(),
        ..v1::NamingRule::default()
    };
    let group = v1::Group {
        name: "groups/g".into(),
        filter: "online = true".into(),
        ..v1::Group::default()
    };
    for (code, resource) in [
        (Code::GroupInvalid, Wire::Group(group)),
        (Code::MappingInvalid, Wire::Mapping(mapping)),
        (Code::ModelInvalid, model("M", "[", "")),
        (Code::SiteInvalid, Wire::Site(site)),
        (Code::ProfileInvalid, Wire::Profile(profile)),
        (Code::PolicyInvalid, Wire::FirmwarePolicy(policy)),
        (Code::NamingRuleInvalid, Wire::NamingRule(rule)),
        (Code::ReferenceMissing, model("M", "", "profiles/nowhere")),
    ] {
        let resources = vec![v1::Resource {
            resource: Some(resource),
        }];
        let request = v1::ApplyRequest {
            resources,
            validate_only: false,
        };
        reached.status(code, stage.world.client.catalog.clone().apply(request).await);
    }
}

async fn secrets(stage: &Stage, reached: &mut Reached) {
    let mut secrets = stage.world.client.secrets.clone();
    let put = |value: &str| v1::PutSecretRequest {
        name: "secrets/wifi".into(),
        value: value.into(),
        message: String::new(),
    };
    reached.status(Code::SecretInvalid, secrets.put_secret(put("")).await);
    secrets.put_secret(put("a value")).await.unwrap();
    let profile = v1::Profile {
        name: "profiles/wifi".into(),
        files: [("wifi.conf".to_owned(), "{{ secret('wifi') }}".to_owned())].into(),
        ..v1::Profile::default()
    };
    let request = v1::ApplyRequest {
        resources: vec![v1::Resource {
            resource: Some(Wire::Profile(profile)),
        }],
        validate_only: false,
    };
    stage.world.client.catalog.clone().apply(request).await.unwrap();
    let request = v1::RetireSecretRequest {
        name: "secrets/wifi".into(),
        revision: 1,
        force: false,
    };
    reached.status(Code::SecretPinned, secrets.retire_secret(request).await);
}

/// Groups that take nobody, and a device that is in as many as it may.
async fn groups(stage: &Stage, reached: &mut Reached) {
    let (world, serial) = (&stage.world, &stage.open[2].0);
    let mut text = "[[groups]]\nname = 'ruled'\nfilter = 'site = A'\n".to_owned();
    for place in 0..=GROUPS_LIMIT {
        writeln!(text, "[[groups]]\nname = 'g{place}'").unwrap();
    }
    world.apply_text(&text).await;
    let join = async |group: &str| {
        let request = v1::UpdateGroupMembersRequest {
            group: format!("groups/{group}"),
            step: v1::update_group_members_request::Step::Add.into(),
            devices: vec![Stage::name(serial)],
        };
        world.client.devices.clone().update_group_members(request).await
    };
    reached.status(Code::GroupRuled, join("ruled").await);
    for place in 0..=GROUPS_LIMIT {
        let answer = join(&format!("g{place}")).await.unwrap().into_inner();
        if let Some(refusal) = &answer.outcomes[0].refusal {
            assert_eq!(place, GROUPS_LIMIT);
            reached.row(Code::try_from(u16::try_from(refusal.code).unwrap()).unwrap());
        }
    }
}

async fn claims(stage: &Stage, reached: &mut Reached) {
    let (serial, code) = &stage.open[0];
    let claim = async |serial: &str, code: &str, csr: Vec<u8>| {
        stage
            .world
            .dial(None)
            .await
            .unwrap()
            .claim(serial, code, csr)
            .await
    };
    let key = Key::new();
    let mut unsigned = key.csr();
    // The last byte is the signature's.
    *unsigned.last_mut().unwrap() ^= 1;
    for (expected, csr) in [
        (Code::CsrMalformed, b"not a request".to_vec()),
        (Code::CsrKey, Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).csr()),
        (Code::CsrSignature, unsigned),
        (Code::CsrAttribute, key.csr_with_name("gateway.example")),
    ] {
        reached.claim(expected, claim(serial, code, csr).await);
    }
    // Well-formed, check symbol and all.
    let wrong = "00000-00000-00000-00000-00000".to_owned();
    reached.claim(Code::ClaimRefused, claim(serial, &wrong, key.csr()).await);
    // Now for real; then another device comes with the same key.
    assert!(matches!(
        claim(serial, code, key.csr()).await,
        Some(ClaimResult::Accepted(_))
    ));
    let (second, code) = &stage.open[1];
    reached.claim(Code::KeyInUse, claim(second, code, key.csr()).await);
    loop {
        match claim("NOBODY", &wrong, key.csr()).await {
            Some(ClaimResult::Refused(refused)) if refused.code == Code::ClaimRefused.number() => {}
            throttled => break reached.claim(Code::ClaimThrottled, throttled),
        }
    }
}

async fn operators(stage: &Stage, reached: &mut Reached) {
    let world = &stage.world;
    let whoami = async |pair: Option<&Pair>| {
        grpc::call(
            &world.channel(pair),
            "muster.v1.Access/WhoAmI",
            &v1::WhoAmIRequest {},
        )
        .await
    };
    reached.status(Code::NotAuthenticated, whoami(None).await);
    let viewer = world.operator("vera", Role::Viewer).await;
    let apply = v1::ApplyRequest::default();
    let applied = grpc::call(&world.channel(Some(&viewer)), "muster.v1.Catalog/Apply", &apply).await;
    reached.status(Code::NotPermitted, applied);
    let disable = |name: &str| v1::DisableOperatorRequest {
        name: format!("operators/{name}"),
    };
    let mut access = world.client.access.clone();
    access.disable_operator(disable("vera")).await.unwrap();
    reached.status(Code::OperatorDisabled, whoami(Some(&viewer)).await);
    let create = v1::CreateOperatorRequest {
        name: "operators/vera".into(),
        role: WireRole::Viewer.into(),
        csr: Key::new().csr(),
    };
    reached.status(Code::OperatorExists, access.create_operator(create).await);
    reached.status(Code::LastAdmin, access.disable_operator(disable("admin")).await);
}

async fn messages(stage: &Stage, reached: &mut Reached) {
    let (serial, pair) = &stage.claimed;
    let world = &stage.world;
    let id = world
        .device(serial)
        .await
        .name
        .trim_start_matches("devices/")
        .to_owned();
    let topic = |id: &str, channel| Topic::Device(id, channel, Encoding::Json).to_string();
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    mqtt.connect(&id, None).await.unwrap();
    let other = "0".repeat(26);
    let (_, text) = mqtt
        .publish(&topic(&other, Channel::Report), b"{}".to_vec())
        .await
        .unwrap();
    reached.text(Code::TopicForbidden, &text);
    let (_, text) = mqtt
        .publish(&topic(&id, Channel::Report), b"{}".to_vec())
        .await
        .unwrap();
    reached.text(Code::PayloadMalformed, &text);
    let applied = |facet| FacetStatus {
        facet,
        state: FacetState::Applied,
    };
    let report = Report {
        device_id: id.clone(),
        generation: 99,
        digest: Digest([9; 32]),
        facets: [Facet::Config, Facet::Location, Facet::Firmware]
            .map(applied)
            .into(),
        firmware: None,
    };
    let report = payload::encode(&report, Encoding::Json).unwrap();
    let (_, text) = mqtt.publish(&topic(&id, Channel::Report), report).await.unwrap();
    reached.text(Code::GenerationUnknown, &text);
    let refused = async |client: &str| {
        let mut mqtt = world.dial(Some(pair)).await.unwrap();
        let ack = mqtt.connect(client, None).await.unwrap();
        ack.properties
            .and_then(|properties| properties.reason_string)
            .unwrap_or_default()
    };
    reached.text(Code::ClientIdForeign, &refused(&other).await);
    // A year and a day later its certificate is only good for its renewal.
    let year = u64::try_from(Duration::from_secs(366 * 24 * 3600).as_millis()).unwrap();
    stage.millis.fetch_add(year, Ordering::Relaxed);
    let mut late = world.dial(Some(pair)).await.unwrap();
    late.connect(&id, None).await.unwrap();
    let (_, text) = late
        .publish(&topic(&id, Channel::Hello), b"{}".to_vec())
        .await
        .unwrap();
    reached.text(Code::CertificateEnded, &text);
    stage.millis.fetch_sub(year, Ordering::Relaxed);
    let suspend = v1::SuspendDeviceRequest {
        name: Stage::name(serial),
        ..v1::SuspendDeviceRequest::default()
    };
    world
        .client
        .devices
        .clone()
        .suspend_device(suspend)
        .await
        .unwrap();
    reached.text(Code::DeviceBarred, &refused("").await);
}

/// A certificate ends once, and its key for ever.
async fn certificates(stage: &Stage, reached: &mut Reached) {
    let (serial, pair) = &stage.claimed;
    let certificate = stage.world.device(serial).await.certificate_serial;
    let mut certificates = stage.world.client.certificates.clone();
    let revoke = |reason: &str| v1::RevokeCertificateRequest {
        name: format!("certificates/{certificate}"),
        reason: reason.into(),
        comment: String::new(),
    };
    certificates
        .revoke_certificate(revoke("superseded"))
        .await
        .unwrap();
    reached.status(
        Code::RevocationFinal,
        certificates.revoke_certificate(revoke("unspecified")).await,
    );
    certificates
        .revoke_certificate(revoke("key-compromise"))
        .await
        .unwrap();
    let (serial, code) = &stage.open[1];
    let claim = v1::ClaimRequest {
        serial: serial.clone(),
        activation_code: code.clone(),
        csr: Key::of_pair(pair).csr(),
    };
    let mut enrollment = stage.world.client.enrollment.clone();
    reached.status(Code::KeyBlocked, enrollment.claim(claim).await);
}

/// The server's clock goes back by an hour: it issues nothing until it is set again.
async fn clock(stage: &Stage, reached: &mut Reached) {
    let hour = u64::try_from(Duration::from_secs(3600).as_millis()).unwrap();
    let (serial, code) = &stage.open[2];
    let request = |key: &Key| v1::ClaimRequest {
        serial: serial.clone(),
        activation_code: code.clone(),
        csr: key.csr(),
    };
    let mut enrollment = stage.world.client.enrollment.clone();
    stage.millis.fetch_sub(hour, Ordering::Relaxed);
    let key = Key::new();
    reached.status(Code::ClockBehind, enrollment.claim(request(&key)).await);
    stage.millis.fetch_add(hour, Ordering::Relaxed);
    enrollment.claim(request(&key)).await.unwrap();
}

/// More batches than the server works at, and then it stops under one.
async fn load_and_stop(mut stage: Stage, reached: &mut Reached) {
    let mut ours = Upload::begin(&stage.world, "x.csv").await.unwrap();
    let mut others = 0;
    // Their calls are cut; they wait for the rest of their files.
    let busy = loop {
        match Upload::begin(&stage.world, "x.csv").await {
            Ok(_) => others += 1,
            Err(status) => break status,
        }
        assert!(others < 1000, "there is no limit");
    };
    reached.status::<()>(Code::Busy, Err(busy));
    ours.send("serial,model\nGW2-1").await;
    stage.world.stop();
    reached.status::<()>(Code::Stopping, Err(ours.refused().await));
    stage.world.stopped().await.unwrap();
}

/// Met only by who changes a device between the last look at a plan and the commit of its part: no caller can do so at
/// will. The store's own tests do (`a_row_that_moved_since_the_plan_is_left_alone`).
const RACES: [Code; 1] = [Code::RowMoved];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_reached() {
    let stage = Stage::set().await;
    let mut reached = Reached::default();
    requests(&stage, &mut reached).await;
    whole_manifests(&stage, &mut reached).await;
    batches(&stage, &mut reached).await;
    rows(&stage, &mut reached).await;
    ruled_rows(&stage, &mut reached).await;
    catalog(&stage, &mut reached).await;
    secrets(&stage, &mut reached).await;
    reached
        .0
        .extend(refused_credentials::provoked(&stage.world).await);
    groups(&stage, &mut reached).await;
    claims(&stage, &mut reached).await;
    operators(&stage, &mut reached).await;
    clock(&stage, &mut reached).await;
    messages(&stage, &mut reached).await;
    certificates(&stage, &mut reached).await;
    for (code, text) in refused_subscribers::provoked().await {
        reached.text(code, &text);
    }
    changes(&stage, &mut reached).await;
    load_and_stop(stage, &mut reached).await;
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| !reached.0.contains(code) && !RACES.contains(code))
        .collect();
    assert!(missing.is_empty(), "nothing provokes {missing:?}");
}
