//! `muster bench issue`.

use super::{host::Host, import, rows};
use crate::{
    apply::{self, ApplyOptions},
    demo::catalog,
};
use anyhow::Context as _;
use clap::Args;
use muster_domain::{
    Timestamp,
    certificate::CertificateProfile,
    claim,
    desired::Target,
    device::{ClaimIntent, Device, Identity, Lifecycle, Origin, Verification},
    ids::{BatchId, DeviceId},
};
use muster_server::{
    ca::{self, Ca, CertificationRequest, InitOptions, Passphrase},
    clock::Clock,
};
use rcgen::SigningKey as _;
use serde::Serialize;
use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

/// As many as the machine that the figures are for has cores.
const THREADS: usize = 2;
/// How long one side is measured before it is the other's turn: whatever else the machine does then meets both.
const TURN: Duration = Duration::from_millis(200);
/// Requests whose keys take turns.
const REQUESTS: usize = 256;
/// What is signed without a certificate around it: as long as that of a device.
const MESSAGE: usize = 400;

/// Certificates of devices from given keys: serial, validity, permit, encoding, checks, signature; in memory, on two
/// threads, in turns with the same two threads that only sign. Then the same for an import whose rows bring requests:
/// over gRPC, each request verified, each certificate durable with its device.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of each side.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Certificates of the import; 0 leaves it out.
    #[arg(long, default_value_t = 50_000)]
    rows: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    certificates_per_s: f64,
    /// ECDSA signatures on P-256, with the same provider.
    bare_signatures_per_s: f64,
    limit_ratio: f64,
    /// With each signature verified, as claims and renewals have it.
    verified_certificates_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_per_s: Option<f64>,
}

/// An authority of its own, and keys that ask.
struct Maker {
    ca: Ca,
    requests: Vec<CertificationRequest>,
    now: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Door {
    Bulk,
    One,
}

fn device(now: Timestamp) -> anyhow::Result<Device> {
    let name = |why| anyhow::anyhow!("{why}");
    Ok(Device {
        id: DeviceId::new(now, 1),
        serial: "GW2-7000001".parse().map_err(name)?,
        mac: None,
        model: "GW-200".parse().map_err(name)?,
        hardware: None,
        factory_firmware: None,
        site: None,
        position: None,
        labels: Default::default(),
        variables: Default::default(),
        kept: Default::default(),
        origin: Origin {
            batch: BatchId::new(now, 1),
            row: 2,
        },
        created: now,
        updated: now,
        revision: 1,
        // It is enrolled anew for each certificate.
        lifecycle: Lifecycle::Retired {
            since: now,
            reason: String::new(),
            last: None,
        },
        target: Target {
            generation: 1,
            digest: [0; 32],
            profile: None,
            firmware_policy: None,
        },
        reported: None,
        verification: Verification::Pending,
        alarm: None,
        renew_from: None,
        trust: 0,
        groups: std::collections::BTreeSet::new(),
        presence: None,
    })
}

impl Maker {
    fn new(scratch: &Path) -> anyhow::Result<Self> {
        let passphrase =
            Passphrase::new(b"only for this measurement").map_err(|why| anyhow::anyhow!("{why}"))?;
        let now = Clock::System.now();
        let options = InitOptions {
            organisation: "Bench".to_owned(),
            passphrase: &passphrase,
            now,
            operator: "bench".parse().map_err(|why| anyhow::anyhow!("{why}"))?,
        };
        let [registry, offline] = ["registry", "offline"].map(|name| scratch.join(name));
        for made in [&registry, &offline] {
            std::fs::create_dir_all(made)?;
        }
        let parse =
            |der: Vec<u8>| CertificationRequest::parse(&der).map_err(|refusal| anyhow::anyhow!("{refusal}"));
        Ok(Self {
            ca: ca::init(&registry, &offline, options)?.ca,
            requests: rows::requests(REQUESTS)?
                .into_iter()
                .map(parse)
                .collect::<anyhow::Result<_>>()?,
            now,
        })
    }

    /// One certificate, from a key and a row to its bytes.
    fn issue(
        &self,
        device: &mut Device,
        request: &CertificationRequest,
        door: Door,
    ) -> anyhow::Result<Vec<u8>> {
        let profile = CertificateProfile::Device;
        let (not_before, not_after) = self.ca.validity(profile, self.now);
        let intent = ClaimIntent {
            spki: request.digest(),
            certificate: self.ca.fresh_serial(self.now)?,
            profile,
            issuer: Some(self.ca.issuer(profile, self.now)),
            not_before,
            not_after,
            source: None,
        };
        device.lifecycle = Lifecycle::Claimed {
            identity: Identity {
                certificate: intent.certificate,
                spki: intent.spki,
                not_after,
                spent: None,
                successor: None,
                source: None,
            },
        };
        let permit = claim::enroll(device, intent).context("the device was not enrolled so")?;
        Ok(match door {
            Door::Bulk => self.ca.issue_device_in_bulk(permit, device, request)?,
            Door::One => self.ca.issue_device(permit, device, request)?,
        })
    }

    /// Certificates of one turn, on one thread.
    fn certificates(&self, door: Door) -> anyhow::Result<f64> {
        let mut device = device(self.now)?;
        let mut requests = self.requests.iter().cycle();
        per_second(|| {
            let request = requests.next().context("there are requests")?;
            black_box(self.issue(&mut device, request, door)?);
            Ok(())
        })
    }
}

/// How often this thread does `work` in a second, during one turn.
fn per_second(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    // So many between two looks at the clock.
    const STEP: u32 = 16;
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < TURN {
        for _ in 0..STEP {
            work()?;
        }
        count += STEP;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// The sum of what the threads do in one turn.
fn together(work: impl Fn() -> anyhow::Result<f64> + Sync) -> anyhow::Result<f64> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                let ended = thread.join();
                ended.map_err(|_| anyhow::anyhow!("a thread of the benchmark panicked"))?
            })
            .sum()
    })
}

/// The means of three rates, taken in turns: certificates, bare signatures, verified certificates.
fn in_memory(maker: &Maker, span: Duration) -> anyhow::Result<[f64; 3]> {
    let key = rcgen::KeyPair::generate()?;
    let message = [0x55; MESSAGE];
    let sign = || {
        per_second(|| {
            black_box(key.sign(&message)?);
            Ok(())
        })
    };
    let turns = u32::try_from(span.as_millis() / TURN.as_millis())?.max(1);
    let mut sums = [0.0; 3];
    for _ in 0..turns {
        sums[0] += together(|| maker.certificates(Door::Bulk))?;
        sums[1] += together(sign)?;
        sums[2] += together(|| maker.certificates(Door::One))?;
    }
    Ok(sums.map(|sum| sum / f64::from(turns)))
}

/// Certificates a second of an import, each durable before it is answered.
async fn durable(rows: u64, scratch: &Path) -> anyhow::Result<f64> {
    let manifest = scratch.join("rows.csv");
    rows::write_with_requests(&manifest, rows)?;
    let host = Host::start(scratch, |settings| settings).await?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    import::certificates_per_s(&host, &manifest, rows).await
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let (span, directory) = (
        Duration::from_secs(options.seconds),
        scratch.path().join("authority"),
    );
    let measured = tokio::task::spawn_blocking(move || in_memory(&Maker::new(&directory)?, span)).await??;
    let [
        certificates_per_s,
        bare_signatures_per_s,
        verified_certificates_per_s,
    ] = measured;
    let durable_per_s = match options.rows {
        0 => None,
        rows => Some(durable(rows, scratch.path()).await?),
    };
    Ok(Figures {
        certificates_per_s,
        bare_signatures_per_s,
        limit_ratio: certificates_per_s / bare_signatures_per_s,
        verified_certificates_per_s,
        durable_per_s,
    })
}
