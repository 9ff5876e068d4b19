//! `muster bench stalled`.

use super::{
    crowd::{self, Member},
    gate,
    host::Host,
    mqtt::{Claimant, Trust, packet},
};
use anyhow::Context as _;
use clap::Args;
use muster_proto::{
    payload::{self, Digest, Hello},
    topic::{Channel, Encoding, Topic},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::Serialize;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Sockets stall before their CONNECT, in four ways, all at once; each is opened again as soon as the server closes it. Then new
/// devices come one after another: from the first packet of TCP until the server has acknowledged their hello.
///
/// The ways: silent after TCP's handshake; silent in the middle of TLS's; silent in the middle of CONNECT; and one byte of CONNECT
/// a second.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Sockets that stall in each of the four ways. A source may have 4096 in all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sockets: u32,
    /// Devices that come.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    devices: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// In each of the four ways.
    sockets: u32,
    devices: u32,
    /// Half of the devices before anybody stalled.
    alone_p50_ms: f64,
    alone_p99_ms: f64,
    /// The other half, among all that stall.
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Devices that were not served.
    failed: usize,
    /// Sockets that stalled when the last device was served, and how often one had to be opened again until then.
    stalled: u64,
    reopened: u64,
    rss_before_bytes: u64,
    /// What the server's memory grew by with each.
    silent_rss_bytes: u64,
    half_handshake_rss_bytes: u64,
    half_connect_rss_bytes: u64,
    byte_a_second_rss_bytes: u64,
    rss_after_bytes: u64,
}

/// How a socket stalls.
#[derive(Debug, Clone, Copy)]
enum Way {
    Silent,
    HalfHandshake,
    HalfConnect,
    ByteASecond,
}

const WAYS: [Way; 4] = [
    Way::Silent,
    Way::HalfHandshake,
    Way::HalfConnect,
    Way::ByteASecond,
];

/// The head of a ClientHello that never comes (RFC 8446, 5.1): a record of 512 bytes is announced.
const HALF_HELLO: [u8; 7] = [0x16, 3, 1, 2, 0, 1, 0];
/// A device that is not served by then is not served.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a socket that could not be opened, before the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets, counted.
#[derive(Debug, Default)]
struct Stalled {
    open: AtomicU64,
    opened: AtomicU64,
}

/// Waits until the server closes.
async fn closed(mut stream: impl AsyncRead + Unpin) {
    let mut nothing = [0; 64];
    while matches!(stream.read(&mut nothing).await, Ok(1..)) {}
}

/// A CONNECT of 3.1.1 with serial and code.
fn connect() -> Vec<u8> {
    packet(
        0x10,
        b"\0\x04MQTT\x04\xc2\0\x1e\0\0\0\x04GW-1\0\x18000000000000000000000000",
    )
}

impl Stalled {
    /// One life of a socket, until the server ends it.
    async fn once(&self, address: SocketAddr, way: Way, trust: &Trust) -> anyhow::Result<()> {
        match way {
            Way::Silent => self.held(closed(TcpStream::connect(address).await?)).await,
            Way::HalfHandshake => {
                let mut tcp = TcpStream::connect(address).await?;
                tcp.write_all(&HALF_HELLO).await?;
                self.held(closed(tcp)).await;
            }
            Way::HalfConnect => {
                let mut stream = Claimant::shake_hands(address, trust).await?.into_stream();
                stream.write_all(connect().get(..20).unwrap_or_default()).await?;
                self.held(closed(stream)).await;
            }
            Way::ByteASecond => {
                let mut stream = Claimant::shake_hands(address, trust).await?.into_stream();
                self.held(async {
                    for byte in connect() {
                        let sent = async {
                            stream.write_all(&[byte]).await?;
                            stream.flush().await
                        };
                        if sent.await.is_err() {
                            return;
                        }
                        sleep(Duration::from_secs(1)).await;
                    }
                })
                .await;
            }
        }
        Ok(())
    }

    /// Counts a socket that stalls as long as it does.
    async fn held(&self, stalls: impl Future<Output = ()>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        stalls.await;
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Keeps so many sockets stalled, until `stalling` is dropped, and waits until all are.
    async fn keep(
        self: &Arc<Self>,
        stalling: &mut JoinSet<()>,
        count: u32,
        (address, way, trust): (SocketAddr, Way, &Trust),
    ) -> anyhow::Result<()> {
        let wanted = self.open.load(Ordering::Relaxed) + u64::from(count);
        for _ in 0..count {
            let (stalled, trust) = (Arc::clone(self), trust.clone());
            stalling.spawn(async move {
                loop {
                    if stalled.once(address, way, &trust).await.is_err() {
                        sleep(PAUSE).await;
                    }
                }
            });
        }
        // Those of before are closed and opened again all the time: nearly all is all.
        let nearly = wanted - wanted / 50;
        let all = async {
            while self.open.load(Ordering::Relaxed) < nearly {
                sleep(PAUSE / 10).await;
            }
        };
        timeout(PATIENCE, all)
            .await
            .with_context(|| format!("not all stall in the way {way:?}"))
    }
}

/// A device comes and says hello; how long that took, in milliseconds. `None`: it was not served.
async fn served(address: SocketAddr, device: &Member) -> anyhow::Result<Option<f64>> {
    let hello = Hello {
        generation: 0,
        digest: Digest::default(),
        agent_version: "bench".to_owned(),
        firmware: None,
        boot_id: 1,
    };
    let mut body = u16::try_from(device.topic.len())?.to_be_bytes().to_vec();
    body.extend(device.topic.as_bytes());
    body.extend([0, 1]);
    body.extend(payload::encode(&hello, Encoding::Postcard)?);
    let start = Instant::now();
    let talk = async {
        let mut stream = crowd::publisher(address, device).await?;
        stream.write_all(&packet(0x32, &body)).await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        anyhow::ensure!(answer == [0x40, 2, 0, 1], "hello was answered with {answer:?}");
        Ok(())
    };
    let talked = timeout(PATIENCE, talk).await;
    Ok(matches!(talked, Ok(Ok(()))).then(|| start.elapsed().as_secs_f64() * 1e3))
}

/// Devices, one after another; sorted times of those that were served.
async fn all_served(address: SocketAddr, devices: &[Member]) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for device in devices {
        times.extend(served(address, device).await?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// What so many of a hundred are below.
fn percentile(sorted: &[f64], of_hundred: usize) -> f64 {
    let place = (sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let host = Host::start(scratch.path(), |settings| settings).await?;
    let identities = gate::identities(&host, options.devices, scratch.path()).await?;
    let host = host.again().await?;
    let trusted = crowd::roots([CertificateDer::from_pem_file(&host.root)?])?;
    let member = |one: &crowd::Identity| {
        Ok(Member {
            client_id: one.id.clone(),
            topic: Topic::Device(&one.id, Channel::Hello, Encoding::Postcard).to_string(),
            acknowledges: false,
            tls: one.tls(&trusted)?,
        })
    };
    let members = identities
        .iter()
        .map(member)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (first, second) = members.split_at(members.len() / 2);
    // 1. Alone.
    let (memory, trust) = (host.process()?, Trust::read(&host.root)?);
    let alone = all_served(host.mqtt, first).await?;
    // 2. Those who stall, one way after another.
    let (stalled, mut stalling, mut grown) = (Arc::<Stalled>::default(), JoinSet::new(), Vec::new());
    let rss_before_bytes = memory.resident()?;
    let mut before = rss_before_bytes;
    for way in WAYS {
        stalled
            .keep(&mut stalling, options.sockets, (host.mqtt, way, &trust))
            .await?;
        let after = memory.resident()?;
        grown.push(after.saturating_sub(before));
        before = after;
    }
    // 3. Among them.
    let times = all_served(host.mqtt, second).await?;
    let (open, opened) = (
        stalled.open.load(Ordering::Relaxed),
        stalled.opened.load(Ordering::Relaxed),
    );
    let rss_after_bytes = memory.resident()?;
    stalling.shutdown().await;
    let [silent, half_handshake, half_connect, byte_a_second] = grown[..] else {
        anyhow::bail!("four ways to stall were measured as {}", grown.len());
    };
    Ok(Figures {
        sockets: options.sockets,
        devices: options.devices,
        alone_p50_ms: percentile(&alone, 50),
        alone_p99_ms: percentile(&alone, 99),
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
        max_ms: percentile(&times, 100),
        failed: members.len() - alone.len() - times.len(),
        stalled: open,
        reopened: opened - 4 * u64::from(options.sockets),
        rss_before_bytes,
        silent_rss_bytes: silent,
        half_handshake_rss_bytes: half_handshake,
        half_connect_rss_bytes: half_connect,
        byte_a_second_rss_bytes: byte_a_second,
        rss_after_bytes,
    })
}
