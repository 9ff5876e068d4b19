//! Valid things to start from; a test changes one of them.

use crate::store::{
    ClaimBegun, ClaimStart, FinishedClaim, ImportPart, NewOperator, PartRow, RegistryInfo, RenewalStart,
    Store,
};
use muster_domain::{
    Refusal, Timestamp,
    access::{Operator, Role},
    activation::{ActivationCode, CodeHash, CodeKey, Seed},
    audit::{Action, Actor, Event},
    batch::{Batch, BatchSpec, BatchState, BatchStep},
    catalog::{ModelSource, Resource, SiteSource},
    certificate::{AuthorityId, CertificateRecord, CertificateSerial, SpkiDigest},
    claim::{ClaimPermit, Presented},
    desired::{Content, Location, Target},
    device::{ClaimIntent, ClaimWindow, Device, Facet, FacetState, FacetStatus, Hello, Origin, Report},
    ids::{BatchId, DeviceId},
    mac::Mac,
    manifest::{DeviceRow, Fresh, FreshCredential, Intake, Limits, Rendered, RowOutcome, ValidRow},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// Seconds after the start of every test's time.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

pub(super) fn alice() -> Actor {
    Actor::Operator("alice".parse().unwrap())
}

pub(super) fn operator(name: &str, role: Role, key: u8) -> Operator {
    Operator {
        name: name.parse().unwrap(),
        role,
        key: SpkiDigest([key; 32]),
        enabled: true,
        certificate: Some(CertificateSerial::new(at(0), key.into())),
    }
}

/// The same, to be registered.
pub(super) fn newcomer(name: &str, role: Role, key: u8) -> NewOperator {
    let operator = operator(name, role, key);
    let certificate = CertificateRecord::of_operator(
        operator.name.clone(),
        CertificateSerial::new(at(0), key.into()),
        AuthorityId([8; 20]),
        operator.key,
        (at(0), at(30_000_000)),
        vec![0x30; 500],
    );
    NewOperator {
        operator,
        certificate,
    }
}

pub(super) fn event(action: Action) -> Event {
    Event::new(at(0), alice(), action, "test")
}

pub(super) fn info() -> RegistryInfo {
    RegistryInfo {
        name: "test".to_owned(),
        created: at(0),
        format: crate::store::FORMAT,
    }
}

pub(super) const MODELS: [&str; 2] = ["GW-200", "CAM-IR"];
pub(super) const SITES: [&str; 2] = ["BER-1", "HAM-1"];

pub(super) fn model(name: &str) -> Resource {
    Resource::Model(
        ModelSource {
            name: name.to_owned(),
            ..ModelSource::default()
        }
        .check()
        .unwrap(),
    )
}

pub(super) fn site(code: &str, parent: &str) -> Resource {
    let source = SiteSource {
        code: code.to_owned(),
        parent: parent.to_owned(),
        ..SiteSource::default()
    };
    Resource::Site(source.check().unwrap())
}

/// A registry with an admin, two models and two sites.
pub(super) async fn found(store: &Store) {
    let admin = newcomer("alice", Role::Admin, 1);
    store
        .create_registry(info(), admin, event(Action::RegistryCreated))
        .await
        .unwrap()
        .unwrap();
    let resources: Vec<_> = MODELS
        .map(model)
        .into_iter()
        .chain(SITES.map(|code| site(code, "")))
        .collect();
    let messages = vec![String::new(); resources.len()];
    let author = "alice".parse().unwrap();
    store
        .apply_catalog(resources, author, messages, at(0), false)
        .await
        .unwrap()
        .unwrap();
}

pub(super) async fn founded() -> Store {
    let store = Store::in_memory().unwrap();
    found(&store).await;
    store
}

pub(super) fn serial(number: u32) -> String {
    format!("GW2-{number:07}")
}

pub(super) fn mac(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac::Eui48([0, 0x1b, 0xc5, a, b, c])
}

pub(super) fn code(number: u32) -> CodeHash {
    let mut bytes = [0; 15];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ActivationCode::from_random(bytes).hash(&CodeKey::from_bytes([7; 32]))
}

pub(super) fn key(number: u32) -> SpkiDigest {
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SpkiDigest(bytes)
}

pub(super) fn batch_id(number: u32) -> BatchId {
    BatchId::new(at(u64::from(number)), 0)
}

pub(super) fn seed(number: u32) -> Seed {
    let mut bytes = [5; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Seed::from_bytes(bytes)
}

/// A batch that is ready for its first part.
pub(super) fn batch(number: u32) -> Batch {
    let spec = BatchSpec {
        file_name: "gateways.csv".to_owned(),
        ..BatchSpec::default()
    };
    let author = "alice".parse().unwrap();
    let now = at(number.into());
    Batch {
        state: BatchState::Applying,
        received: 1000,
        file_bytes: 1000,
        file_sha256: Some([3; 32]),
        ..Batch::new(
            batch_id(number),
            format!("request-{number}"),
            spec,
            author,
            seed(number),
            now,
        )
    }
}

/// Makes a batch that is ready for its first part.
pub(super) async fn start(store: &Store, number: u32) -> Batch {
    let created = store.create_batch(batch(number), event(Action::BatchStarted));
    created.await.unwrap().unwrap()
}

pub(super) async fn commit(store: &Store, part: ImportPart) -> Vec<RowOutcome> {
    store.commit_import_part(part).await.unwrap().unwrap().outcomes
}

pub(super) async fn step(store: &Store, number: u32, step: BatchStep) -> Result<Batch, Refusal> {
    let stepped = store.step_batch(batch_id(number), step, alice(), at(number.into()));
    stepped.await.unwrap()
}

pub(super) async fn finish(store: &Store, number: u32) -> Batch {
    step(store, number, BatchStep::Finished).await.unwrap()
}

/// A row of a file whose device has this number; models and sites alternate.
pub(super) fn row(number: u32) -> ValidRow {
    let pick = usize::try_from(number % 2).unwrap();
    let row = DeviceRow {
        row: number + 2,
        retry_row: None,
        serial: serial(number).parse().unwrap(),
        mac: Some(mac(number)),
        model: MODELS[pick].parse().unwrap(),
        hardware: Some("B0".to_owned()),
        firmware: Some("2.4.0".parse().unwrap()),
        site: Some(SITES[pick].parse().unwrap()),
        position: Some("Hall 1".to_owned()),
        labels: BTreeMap::from([("line".to_owned(), "7".to_owned())]),
        variables: BTreeMap::new(),
        etag: None,
        claim: None,
        kept: BTreeMap::new(),
    };
    ValidRow {
        target: Rendered::Whole(target(&row)),
        row,
    }
}

/// What a device with this row must become where models have neither profile nor policy.
fn target(row: &DeviceRow) -> Target {
    let location = row.site.clone().map(|site| Location {
        site,
        name: String::new(),
        country: String::new(),
        coordinates: None,
        time_zone: String::new(),
        position: row.position.clone(),
    });
    let digest = Content {
        location,
        ..Content::default()
    }
    .digest();
    Target {
        generation: 1,
        digest,
        profile: None,
        firmware_policy: None,
    }
}

/// Ids grow with the batch, then with the number.
pub(super) fn fresh(batch: u32, number: u32) -> Fresh {
    Fresh {
        id: DeviceId::new(at(u64::from(batch)), 0).offset(number + 1),
        credential: FreshCredential::Code {
            hash: code(number),
            window: ClaimWindow::ALWAYS,
        },
        origin: Origin {
            batch: batch_id(batch),
            row: number + 2,
        },
        now: at(u64::from(batch)),
    }
}

pub(super) fn part(store: &Store, batch: u32, number: u32, rows: Vec<ValidRow>) -> ImportPart {
    // A test may have changed the row since.
    let numbered = |valid: ValidRow| PartRow {
        fresh: fresh(batch, valid.row.row - 2),
        row: ValidRow {
            target: Rendered::Whole(target(&valid.row)),
            ..valid
        },
        warnings: Vec::new(),
        expected: None,
        certificate: None,
        key: None,
    };
    ImportPart {
        batch: batch_id(batch),
        number,
        attempt: 0,
        intake: Arc::new(Intake::new(store.catalog())),
        limits: Limits::default(),
        columns: Arc::new([("MAC Address".to_owned(), "mac".to_owned())]),
        first: DeviceId::new(at(u64::from(batch)), 0),
        rows: rows.into_iter().map(numbered).collect(),
        settled: Vec::new(),
        whole: false,
        next_seed: seed(1000 * (number + 1) + batch),
        actor: alice(),
        now: at(u64::from(batch)),
    }
}

/// Imports rows as a batch of one part.
pub(super) async fn import_rows(store: &Store, number: u32, rows: Vec<ValidRow>) -> Vec<RowOutcome> {
    start(store, number).await;
    let outcomes = commit(store, part(store, number, 0, rows)).await;
    finish(store, number).await;
    outcomes
}

/// Imports the devices of these numbers.
pub(super) async fn import(store: &Store, batch: u32, numbers: std::ops::Range<u32>) -> Vec<Device> {
    let outcomes = import_rows(store, batch, numbers.map(row).collect()).await;
    let created = |outcome| match outcome {
        RowOutcome::Created(device) => *device,
        other => panic!("not created: {other:?}"),
    };
    outcomes.into_iter().map(created).collect()
}

/// Where claims come from.
pub(super) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A claim of a device with its own code and a key; `certificate` makes the serial unique.
pub(super) fn claim(device: u32, spki: u32, certificate: u32) -> ClaimStart {
    let now = at(1000);
    ClaimStart {
        serial: serial(device),
        presented: Presented {
            code: code(device),
            spki: key(spki),
        },
        fresh: ClaimIntent {
            spki: key(spki),
            certificate: CertificateSerial::new(now, u128::from(certificate)),
            not_before: now,
            not_after: at(30_000_000),
            profile: muster_domain::certificate::CertificateProfile::Device,
            issuer: None,
            source: None,
        },
        gateway: (now, at(20_000_000)),
        now,
        source: SOURCE,
    }
}

/// What signing makes of a permit.
pub(super) fn signed(permit: &ClaimPermit) -> CertificateRecord {
    let intent = permit.intent();
    CertificateRecord::intended(permit.device(), intent).signed(vec![0x30; 600])
}

pub(super) async fn begin(store: &Store, start: ClaimStart) -> ClaimPermit {
    match store.begin_claim(start).await.unwrap() {
        ClaimBegun::Issue { permit, .. } => permit,
        other => panic!("not issued: {other:?}"),
    }
}

pub(super) async fn enroll(store: &Store, device: u32, spki: u32) -> FinishedClaim {
    let permit = begin(store, claim(device, spki, spki)).await;
    store
        .finish_claim(signed(&permit), at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap()
}

pub(super) fn hello(device: &Device) -> Hello {
    Hello {
        generation: device.target.generation,
        digest: device.target.digest,
        agent_version: "0.1.0".to_owned(),
        firmware: None,
        boot_id: 1,
    }
}

/// A report on the current generation in which every facet is in this state.
pub(super) fn report(device: &Device, state: FacetState) -> Report {
    let facets = [Facet::Config, Facet::Location, Facet::Firmware];
    Report {
        generation: device.target.generation,
        digest: device.target.digest,
        facets: facets
            .map(|facet| FacetStatus {
                facet,
                state: state.clone(),
            })
            .to_vec(),
        firmware: None,
    }
}

pub(super) async fn sound(store: &Store) {
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

/// A renewal of a device, for a key; `certificate` makes the serial unique.
pub(super) fn renewal(device: &Device, spki: u32, certificate: u32) -> RenewalStart {
    let now = at(5000);
    RenewalStart {
        device: device.id,
        fresh: ClaimIntent {
            certificate: CertificateSerial::new(now, u128::from(certificate)),
            not_before: now,
            not_after: at(40_000_000),
            ..claim(0, spki, certificate).fresh
        },
        now,
        source: SOURCE,
    }
}

/// A renewal up to the certificate on record, which nobody has come with yet.
pub(super) async fn renew(store: &Store, device: &Device, spki: u32) -> FinishedClaim {
    let permit = match store.begin_renewal(renewal(device, spki, spki)).await.unwrap() {
        ClaimBegun::Issue { permit, .. } => permit,
        other => panic!("not issued: {other:?}"),
    };
    let finished = store.finish_renewal(renewed(&permit), at(5001), SOURCE).await;
    finished.unwrap().unwrap()
}

/// What signing makes of the permit of a renewal: other bytes than those of a claim.
pub(super) fn renewed(permit: &ClaimPermit) -> CertificateRecord {
    let der = [vec![0x31; 600], permit.intent().spki.0.to_vec()].concat();
    CertificateRecord::intended(permit.device(), permit.intent()).signed(der)
}
