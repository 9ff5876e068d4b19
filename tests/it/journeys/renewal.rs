//! Renewal: a device's certificates follow one another, and no step that is missed shuts it out.

use muster_agent::AgentEvent;
use muster_domain::{
    access,
    certificate::CertificateSerial,
    device::{Device, KeyChoice},
};
use muster_proto::v1;
use muster_server::{clock::Clock, service::DeviceName};
use muster_tests::{Running, World};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

const DAY: u64 = 24 * 3_600_000;

/// A registry and agents whose clock is set by hand.
struct Years {
    world: World,
    millis: Arc<AtomicU64>,
}

impl Years {
    async fn start() -> (Self, String, String) {
        let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
        let clock = Clock::Manual(Arc::clone(&millis));
        let world = World::builder().clock(clock).start().await;
        let (serial, code) = world.gateways(1).await.remove(0);
        (Self { world, millis }, serial, code)
    }

    /// Servers restart now and then; the certificate of this one does not last for a year.
    async fn pass(&mut self, days: u64) {
        self.world.stop();
        self.world.stopped().await.unwrap();
        self.millis.fetch_add(days * DAY, Ordering::Relaxed);
        self.world.serve_in_another_time().await;
    }

    fn agent(&self, serial: &str, code: &str) -> Running {
        let millis = Arc::clone(&self.millis);
        self.agent_with(
            serial,
            code,
            Arc::new(move || millis.load(Ordering::Relaxed) / 1000),
        )
    }

    fn agent_with(&self, serial: &str, code: &str, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Running {
        let settings = self.world.agent_settings(serial, self.world.mqtt());
        let settings = if code.is_empty() {
            settings
        } else {
            settings.code(Zeroizing::new(code.to_owned()))
        };
        let settings = settings.clock(clock);
        Running::start(settings.build().unwrap())
    }

    async fn device(&self, serial: &str) -> Device {
        let found = self.world.service().store().device_by_serial(serial).await;
        found.unwrap().expect("the device")
    }

    async fn certificate(&self, serial: &str) -> CertificateSerial {
        let device = self.device(serial).await;
        device.lifecycle.identity().expect("an identity").certificate
    }

    async fn audited(&self, action: &str) -> usize {
        let store = self.world.service().store();
        let (log, _) = store.list_audit(0, 10_000).await.unwrap();
        let named = format!("\"action\":\"{action}\"");
        log.iter().filter(|entry| entry.leaf.contains(&named)).count()
    }

    /// As an admin over gRPC, whose client would not believe this server's time.
    async fn reissue_code(&self, serial: &str) -> String {
        let name = "admin".parse().unwrap();
        let operators = self
            .world
            .service()
            .store()
            .list_operators(None, 10)
            .await
            .unwrap();
        let admin = operators
            .into_iter()
            .find(|operator| operator.name == name)
            .unwrap();
        let principal = access::Principal::Operator(admin);
        let permit = access::authorize("muster.v1.Devices/ReissueCode", &principal).unwrap();
        let named = DeviceName::Serial(serial.to_owned());
        let reissued = self
            .world
            .service()
            .reissue_code(&permit, &named, None, Duration::ZERO, KeyChoice::Kept)
            .await;
        reissued.unwrap().1.reveal()
    }

    async fn sound(&self) {
        let broken = self.world.service().store().check().await.unwrap();
        assert_eq!(broken, Vec::<String>::new());
    }
}

async fn reported(agent: &mut Running) {
    let reported = |event: &AgentEvent| matches!(event, AgentEvent::Reported { ok: true, .. });
    agent.event("a report", reported).await;
}

async fn renewed(agent: &mut Running) {
    agent
        .event("its next certificate", |event| *event == AgentEvent::Renewed)
        .await;
    agent
        .event("a connection with it", |event| *event == AgentEvent::Connected)
        .await;
    reported(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_renews_in_time_and_again() {
    let (mut years, serial, code) = Years::start().await;
    let agent = years.agent(&serial, &code);
    years.world.verified(&serial, 1).await;
    agent.stopped().await;
    let mut seen = vec![years.certificate(&serial).await];
    for year in 1..=2 {
        // Before two thirds of its life nothing happens.
        years.pass(200).await;
        let mut agent = years.agent(&serial, &code);
        reported(&mut agent).await;
        assert_eq!(years.certificate(&serial).await, seen[year - 1]);
        agent.stopped().await;
        years.pass(100).await;
        let mut agent = years.agent(&serial, &code);
        renewed(&mut agent).await;
        agent.stopped().await;
        let now = years.certificate(&serial).await;
        assert!(!seen.contains(&now), "{now}");
        seen.push(now);
        assert_eq!(years.audited("renewal_seen").await, year);
    }
    assert_eq!(
        years.world.service().store().check().await.unwrap(),
        Vec::<String>::new()
    );
}

/// A device that has claimed, and then lies in a store for so many days.
async fn stored(days: u64) -> (Years, String, CertificateSerial) {
    let (mut years, serial, code) = Years::start().await;
    let agent = years.agent(&serial, &code);
    years.world.verified(&serial, 1).await;
    agent.stopped().await;
    let first = years.certificate(&serial).await;
    years.pass(days).await;
    (years, serial, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_certificate_ended_in_a_store_renews_it() {
    let (years, serial, first) = stored(385).await;
    let mut agent = years.agent(&serial, "");
    renewed(&mut agent).await;
    agent.stopped().await;
    assert_ne!(years.certificate(&serial).await, first);
    years.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_a_clock_finds_out_that_its_certificate_ended() {
    let (years, serial, first) = stored(385).await;
    let mut agent = years.agent_with(&serial, "", Arc::new(|| 60));
    renewed(&mut agent).await;
    agent.stopped().await;
    assert_ne!(years.certificate(&serial).await, first);
    years.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_grace_a_device_claims_anew_and_that_is_on_record() {
    let (years, serial, first) = stored(400).await;
    let mut agent = years.agent(&serial, "");
    let lost = |event: &AgentEvent| matches!(event, AgentEvent::Disconnected { .. });
    agent.event("that it is not let in", lost).await;
    agent.stopped().await;
    assert_eq!(years.certificate(&serial).await, first);
    let code = years.reissue_code(&serial).await;
    std::fs::remove_dir_all(years.world.agent_state(&serial)).unwrap();
    let mut agent = years.agent(&serial, &code);
    reported(&mut agent).await;
    agent.stopped().await;
    assert_ne!(years.certificate(&serial).await, first);
    assert_eq!(years.audited("code_reissued").await, 1);
    years.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_asked_for_new_certificates_and_gives_them() {
    let (years, serial, code) = Years::start().await;
    let mut agent = years.agent(&serial, &code);
    years.world.verified(&serial, 1).await;
    let first = years.certificate(&serial).await;
    let mut devices = years.world.client.devices.clone();
    let order = |filter: &str| v1::OrderRenewalsRequest {
        filter: filter.to_owned(),
        spread_seconds: 0,
    };
    let nobody = devices.order_renewals(order("model = \"NONE\"")).await.unwrap();
    assert_eq!(nobody.into_inner().ordered, 0);
    let ordered = devices.order_renewals(order("")).await.unwrap();
    assert_eq!(ordered.into_inner().ordered, 1);
    renewed(&mut agent).await;
    assert_ne!(years.certificate(&serial).await, first);
    // Whoever is not connected hears of it when it comes back.
    agent.stopped().await;
    devices.order_renewals(order("")).await.unwrap();
    let second = years.certificate(&serial).await;
    let mut agent = years.agent(&serial, &code);
    renewed(&mut agent).await;
    assert_ne!(years.certificate(&serial).await, second);
    agent.stopped().await;
}
