//! Many devices in this process, over real sockets: bare agents that come back whenever their connection ends.

use crate::{Pair, Returning};
use muster_agent::{AgentEvent, BareAgent, BareTrust, DeviceId, Judge};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{task::JoinSet, time::sleep};

/// Between two attempts to reach a server that is not there. Only trying: no outcome depends on it.
const AGAIN: Duration = Duration::from_millis(50);

/// A device that has its identity.
#[derive(Debug, Clone)]
pub struct Member {
    /// The id that the registry gave it.
    pub id: String,
    /// Its serial.
    pub serial: String,
    tls: Returning,
}

impl Member {
    /// With its certificate and key, under these roots, PEM.
    pub fn new(id: &str, serial: &str, pair: &Pair, roots: &[u8]) -> Self {
        Self {
            id: id.to_owned(),
            serial: serial.to_owned(),
            tls: Returning::new(roots, Some(pair), &rustls::version::TLS13),
        }
    }
}

/// Devices that are there until this is dropped.
#[derive(Debug)]
pub struct Swarm {
    reports: Arc<AtomicU64>,
    _running: JoinSet<()>,
}

impl Swarm {
    /// All of them begin to connect. `judge` is asked for each device how it judges what it is to be.
    pub fn start(
        address: SocketAddr,
        roots: &[u8],
        members: &[Member],
        judge: impl Fn(&Member) -> Judge,
    ) -> Self {
        let time = Arc::new(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.expect("a clock").as_secs()
        });
        let trust = BareTrust::from_pem(roots, time).expect("roots");
        let (reports, mut running) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for member in members {
            let device = DeviceId::parse(&member.id).expect("a device id");
            let agent = BareAgent::new(device, trust.clone(), judge(member));
            running.spawn(live(agent, member.tls.clone(), address, Arc::clone(&reports)));
        }
        Self {
            reports,
            _running: running,
        }
    }

    /// Reports that the registry has acknowledged.
    pub fn reports(&self) -> u64 {
        self.reports.load(Ordering::Relaxed)
    }
}

async fn live(mut agent: BareAgent, tls: Returning, address: SocketAddr, reports: Arc<AtomicU64>) {
    let start = Instant::now();
    loop {
        let mut out = Vec::new();
        while !agent.connect(start.elapsed(), &mut out).expect("a first packet") {
            sleep(AGAIN).await;
        }
        let ended = talk(&mut agent, &tls, address, out, start, &reports).await;
        agent.lost(start.elapsed(), &ended);
    }
}

/// One connection; why it ended.
async fn talk(
    agent: &mut BareAgent,
    tls: &Returning,
    address: SocketAddr,
    mut out: Vec<u8>,
    start: Instant,
    reports: &AtomicU64,
) -> String {
    let mut line = loop {
        match tls.dial(address).await {
            Ok(line) => break line,
            Err(_) => sleep(AGAIN).await,
        }
    };
    loop {
        if let Err(error) = line.send(&out).await {
            return error.to_string();
        }
        out.clear();
        let said = match line.more().await {
            Ok(said) if said.is_empty() => return "the server closed the connection".to_owned(),
            Ok(said) => said,
            Err(error) => return error.to_string(),
        };
        match agent.hear(start.elapsed(), &said, &mut out) {
            Ok(told) => {
                let reported = told
                    .iter()
                    .filter(|event| matches!(event, AgentEvent::Reported { .. }));
                reports.fetch_add(reported.count() as u64, Ordering::Relaxed);
            }
            Err(error) => return error.to_string(),
        }
    }
}
