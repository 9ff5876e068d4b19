//! What this machine could do at most: two threads that only verify requests and sign certificates.

use super::rows;
use anyhow::Context as _;
use muster_domain::{Timestamp, certificate::CertificateProfile};
use muster_server::ca::{Ca, CertificationRequest, Passphrase};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// As many as the machine that the figures are for has cores.
const THREADS: usize = 2;
/// How long is measured.
const SPAN: Duration = Duration::from_secs(3);
/// Requests that take turns.
const REQUESTS: usize = 256;

/// Certificates a second, with the registry's own authority. To be called when its server has ended.
pub(super) fn certificates_per_s(scratch: &Path) -> anyhow::Result<f64> {
    let passphrase = Passphrase::read(&scratch.join("passphrase"))?;
    let ca = Ca::open(&scratch.join("registry"), &passphrase)?;
    let requests = rows::requests(REQUESTS)?;
    let (ca, requests) = (&ca, requests.as_slice());
    let counted: anyhow::Result<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| signed(ca, requests)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let ended = thread.join();
            ended.map_err(|_| anyhow::anyhow!("a thread of the limit panicked"))?
        });
        joined.collect()
    });
    Ok(counted?.iter().sum())
}

/// The rate of one thread.
fn signed(ca: &Ca, requests: &[Vec<u8>]) -> anyhow::Result<f64> {
    let name = "limit"
        .parse()
        .map_err(|why| anyhow::anyhow!("operator name {why}"))?;
    let now = muster_server::clock::Clock::System.now();
    let now: Timestamp = now;
    let start = Instant::now();
    let mut count = 0_u32;
    for request in requests.iter().cycle() {
        let request = CertificationRequest::parse(request).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        ca.issue_operator(
            CertificateProfile::Operator,
            &name,
            &request,
            now,
            ca.fresh_serial(now)?,
        )
        .context("cannot sign")?;
        count += 1;
        if start.elapsed() >= SPAN {
            break;
        }
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}
