//! A session is resumed for as long as the registry accepts the device, and not a moment longer (B4).

use muster_proto::{
    payload::{Binary, CertificateUpdate},
    v1,
};
use muster_server::{ca::AuthorityKind, clock::Clock};
use muster_tests::{ForeignCa, Key, Mqtt, Pair, Returning, World};
use muster_tools::import::ImportOptions;
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use rustls::{
    HandshakeKind, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const DAY: u64 = 24 * 3_600_000;
const IN: ConnectReturnCode = ConnectReturnCode::Success;
const OUT: ConnectReturnCode = ConnectReturnCode::NotAuthorized;
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A device that keeps its sessions.
struct Device<'a> {
    world: &'a World,
    serial: String,
    pair: Pair,
    client: Returning,
}

impl<'a> Device<'a> {
    /// Claimed, and here once.
    async fn new(
        world: &'a World,
        (serial, code): (String, String),
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let pair = world.claim(&serial, &code).await;
        let client = Returning::new(&world.roots(), Some(&pair), version);
        let device = Self {
            world,
            serial,
            pair,
            client,
        };
        assert_eq!(device.comes().await.1, (HandshakeKind::Full, IN));
        device
    }

    /// Comes with what its last connection left.
    async fn comes(&self) -> (Mqtt, (HandshakeKind, ConnectReturnCode)) {
        let mut mqtt = self.client.dial(self.world.mqtt()).await.unwrap();
        let answer = mqtt.connect("", None).await.expect("an answer");
        let kind = mqtt.handshake();
        (mqtt, (kind, answer.code))
    }

    /// Resumes, and is judged so; twice, for a judgement does not wear off.
    async fn resumes(&self, expected: ConnectReturnCode) {
        for _ in 0..2 {
            assert_eq!(self.comes().await.1, (HandshakeKind::Resumed, expected));
        }
        assert_eq!(
            self.shows().await,
            expected == IN,
            "as whoever shows its certificate"
        );
    }

    /// Is it let in by a full handshake?
    async fn shows(&self) -> bool {
        let Ok(mut mqtt) = self.world.dial(Some(&self.pair)).await else {
            return false;
        };
        mqtt.connect("", None)
            .await
            .is_some_and(|answer| answer.code == IN)
    }

    fn name(&self) -> String {
        format!("devices/serial:{}", self.serial)
    }

    async fn suspended(&self) {
        let request = v1::SuspendDeviceRequest {
            name: self.name(),
            reason: "a test".into(),
            etag: String::new(),
        };
        let mut devices = self.world.client.devices.clone();
        devices.suspend_device(request).await.unwrap();
    }

    async fn let_in_again(&self) {
        let request = v1::ResumeDeviceRequest {
            name: self.name(),
            etag: String::new(),
        };
        let mut devices = self.world.client.devices.clone();
        devices.resume_device(request).await.unwrap();
    }

    async fn retired(&self) {
        let request = v1::RetireDeviceRequest {
            name: self.name(),
            reason: "a test".into(),
            etag: String::new(),
        };
        let mut devices = self.world.client.devices.clone();
        devices.retire_device(request).await.unwrap();
    }

    async fn revoked(&self) {
        let device = self.world.device(&self.serial).await;
        let request = v1::RevokeCertificateRequest {
            name: format!("certificates/{}", device.certificate_serial),
            reason: "key-compromise".into(),
            comment: String::new(),
        };
        let mut certificates = self.world.client.certificates.clone();
        certificates.revoke_certificate(request).await.unwrap();
    }

    /// Renews its certificate, and comes with the new one: from then on the old one is over.
    async fn renewed(&self) {
        let id = self.world.device(&self.serial).await.name;
        let (key, mut mqtt) = (Key::new(), self.world.dial(Some(&self.pair)).await.unwrap());
        let id = id.trim_start_matches("devices/");
        let Some(CertificateUpdate::Issued(issued)) = mqtt.renew(id, key.csr()).await else {
            panic!("no certificate")
        };
        let chain: Vec<_> = issued.chain.into_iter().map(|Binary(der)| der).collect();
        let mut mqtt = self.world.dial(Some(&key.pair(&chain))).await.unwrap();
        assert_eq!(mqtt.connect("", None).await.unwrap().code, IN);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_a_session_is_resumed_only_while_the_device_is_accepted() {
    let world = World::start().await;
    let mut gateways = world.gateways(6).await.into_iter();
    for version in VERSIONS {
        let mut device = async || Device::new(&world, gateways.next().unwrap(), version).await;
        let suspended = device().await;
        suspended.resumes(IN).await;
        suspended.suspended().await;
        suspended.resumes(OUT).await;
        suspended.let_in_again().await;
        suspended.resumes(IN).await;
        suspended.retired().await;
        suspended.resumes(OUT).await;
        let revoked = device().await;
        let (mut live, resumed) = revoked.comes().await;
        assert_eq!(resumed, (HandshakeKind::Resumed, IN));
        revoked.revoked().await;
        while live.hear().await.is_some() {}
        revoked.resumes(OUT).await;
        let renewed = device().await;
        renewed.renewed().await;
        renewed.resumes(OUT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_no_session_outlives_the_authority_of_its_certificate() {
    let world = World::start().await;
    let gateways = world.gateways(2).await;
    let mut devices = Vec::new();
    for (gateway, version) in gateways.into_iter().zip(VERSIONS) {
        devices.push(Device::new(&world, gateway, version).await);
    }
    let old = world.working(AuthorityKind::Devices);
    world.rotate(AuthorityKind::Devices);
    world.reload().await.unwrap();
    for device in &devices {
        device.resumes(IN).await;
    }
    world.remove(old);
    for device in &devices {
        device.resumes(IN).await;
    }
    world.reload().await.unwrap();
    for device in &devices {
        device.resumes(OUT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_no_session_outlives_its_certificate() {
    let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
    let clock = Clock::Manual(Arc::clone(&millis));
    let world = World::builder().clock(clock).start().await;
    let gateways = world.gateways(2).await;
    let mut devices = Vec::new();
    for (gateway, version) in gateways.into_iter().zip(VERSIONS) {
        devices.push(Device::new(&world, gateway, version).await);
    }
    // A year of life; then the grace of its model, in which it is let in to renew; then nothing.
    for (days, expected) in [(364, IN), (2, IN), (1000, OUT)] {
        millis.fetch_add(days * DAY, Ordering::Relaxed);
        for device in &devices {
            device.resumes(expected).await;
        }
    }
    // And not before its time either, by a clock that was set back.
    millis.fetch_sub(1400 * DAY, Ordering::Relaxed);
    for device in &devices {
        device.resumes(OUT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_certificate_of_others_resumes_like_ones_own() {
    let world = World::start().await;
    let maker = ForeignCa::new();
    for (place, version) in VERSIONS.into_iter().enumerate() {
        let serial = format!("GW2-{}", 6_100_000 + place);
        let pair = maker.client(&serial);
        pin(&world, &serial, place, &pair).await;
        let client = Returning::new(&world.roots(), Some(&pair), version);
        let device = Device {
            world: &world,
            serial,
            pair,
            client,
        };
        assert_eq!(device.comes().await.1, (HandshakeKind::Full, IN));
        device.resumes(IN).await;
        world.reload().await.unwrap();
        device.resumes(IN).await;
        device.suspended().await;
        device.resumes(OUT).await;
    }
}

/// Registers a gateway with a certificate of its maker.
async fn pin(world: &World, serial: &str, place: usize, pair: &Pair) {
    let text = format!(
        "serial,mac,model,firmware,site,position,extension,credential\n\
         {serial},00:1B:C5:61:00:{place:02X},GW-200,2.3.1,MUC-01,Hall 1,{place},\"{}\"\n",
        pair.chain
    );
    let file = world.path("pinned.csv");
    fs::write(&file, text).unwrap();
    let options = ImportOptions {
        credential: v1::CredentialKind::Pinned,
        ..ImportOptions::of(&file)
    };
    let imported = world.import_with(options).await;
    assert_eq!(imported.summary.created, 1, "{:?}", imported.summary.causes);
}
