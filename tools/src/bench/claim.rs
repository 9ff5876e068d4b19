//! `muster bench claim`.

use super::{
    host::Host,
    mqtt::{Claimant, Trust},
    rows,
};
use crate::{
    apply::{self, ApplyOptions},
    demo::catalog,
    import::{self, ImportEvent, ImportOptions},
};
use anyhow::Context as _;
use clap::Args;
use muster_proto::{
    payload::{self, Binary, Claim, ClaimResult},
    topic::Encoding,
};
use serde::Serialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Devices claim at once over MQTT: TCP, TLS 1.3 handshake, CONNECT with serial and code, CSR up, certificate down. Keys
/// and CSRs are made before the clock starts. The certificate is durable before it is answered.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Devices that claim.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Claims under way at once.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    at_once: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    devices: u32,
    at_once: u32,
    seconds: f64,
    claims_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_cpu_us_per_claim: f64,
    /// Of connections that shake hands and say nothing, in the same run.
    server_cpu_us_per_handshake: f64,
    /// The part of a claim's CPU that its handshake is.
    handshake_cpu_share: f64,
    server_peak_rss_bytes: u64,
}

/// What one device needs to claim.
struct Ticket {
    serial: String,
    code: String,
    request: Vec<u8>,
}

fn ticket(i: u32, code: String) -> anyhow::Result<Ticket> {
    let key = rcgen::KeyPair::generate()?;
    let request = rcgen::CertificateParams::default();
    let request = bare(request).serialize_request(&key)?;
    let claim = Claim {
        csr: Binary(request.der().to_vec()),
    };
    Ok(Ticket {
        serial: format!("GW2-{i:09}"),
        code,
        request: payload::encode(&claim, Encoding::Postcard)?,
    })
}

/// Names come from the registry; a request needs none.
fn bare(mut params: rcgen::CertificateParams) -> rcgen::CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

/// Registers the devices; their codes in the order of the rows.
async fn tickets(host: &Host, options: &Options, scratch: &std::path::Path) -> anyhow::Result<Vec<Ticket>> {
    let manifest = scratch.join("rows.csv");
    rows::write(&manifest, options.devices.into())?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    let mut codes = Vec::new();
    import::run(&host.client, ImportOptions::of(&manifest), |event| {
        if let ImportEvent::Results(rows) = event {
            codes.extend(rows.iter().map(|row| row.activation_code.clone()));
        }
    })
    .await?;
    (0..).zip(codes).map(|(i, code)| ticket(i, code)).collect()
}

async fn claim(host: std::net::SocketAddr, trust: &Trust, ticket: &Ticket) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut claimant = Claimant::connect(host, trust, &ticket.serial, &ticket.code).await?;
    let answer = claimant.claim(&ticket.request).await?;
    let taken = start.elapsed();
    match payload::decode(&answer, Encoding::Postcard)? {
        ClaimResult::Accepted(_) => Ok(taken),
        ClaimResult::Refused(refused) => anyhow::bail!("claim refused: {} {}", refused.code, refused.message),
    }
}

/// Handshakes that are measured by themselves.
const HANDSHAKES: u32 = 2_000;

/// What a handshake alone costs the server, `at_once` at a time.
async fn handshake_cpu_us(host: &Host, trust: &Trust, at_once: u32) -> anyhow::Result<f64> {
    let before = host.process()?.cpu_seconds()?;
    let mut left = HANDSHAKES;
    while left > 0 {
        let now = left.min(at_once);
        left -= now;
        let mut connections = JoinSet::new();
        for _ in 0..now {
            let (address, trust) = (host.mqtt, trust.clone());
            connections.spawn(async move { Claimant::shake_hands(address, &trust).await.map(drop) });
        }
        while let Some(connection) = connections.join_next().await {
            connection??;
        }
    }
    let after = host.process()?.cpu_seconds()?;
    Ok((after - before) * 1e6 / f64::from(HANDSHAKES))
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    // All claims come from one address here, so the limit for one address must not be what is measured.
    let unlimited =
        |settings: String| settings.replace("claims_per_second = 50", "claims_per_second = 1000000");
    let host = Host::start(scratch.path(), unlimited).await?;
    let tickets = Arc::new(tickets(&host, options, scratch.path()).await?);
    let trust = Trust::read(&host.root)?;
    let handshake = handshake_cpu_us(&host, &trust, options.at_once).await?;
    let before = host.process()?.cpu_seconds()?;
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..options.at_once {
        let (tickets, trust, next, mqtt) =
            (Arc::clone(&tickets), trust.clone(), Arc::clone(&next), host.mqtt);
        workers.spawn(async move {
            let mut times = Vec::new();
            while let Some(ticket) = tickets.get(next.fetch_add(1, Ordering::Relaxed)) {
                times.push(claim(mqtt, &trust, ticket).await?);
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker??);
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = host.process()?.cpu_seconds()?;
    times.sort_unstable();
    let at = |percent: usize| -> anyhow::Result<f64> {
        let time = times
            .get(times.len() * percent / 100)
            .context("no claim was made")?;
        Ok(time.as_secs_f64() * 1e3)
    };
    let claim = (after - before) * 1e6 / f64::from(options.devices);
    Ok(Figures {
        devices: options.devices,
        at_once: options.at_once,
        seconds,
        claims_per_s: f64::from(options.devices) / seconds,
        p50_ms: at(50)?,
        p99_ms: at(99)?,
        server_cpu_us_per_claim: claim,
        server_cpu_us_per_handshake: handshake,
        handshake_cpu_share: handshake / claim,
        server_peak_rss_bytes: host.process()?.peak()?,
    })
}
