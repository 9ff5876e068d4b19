//! `muster bench import`.

use super::{host::Host, limit, postgres, rows};
use crate::{
    apply::{self, ApplyOptions},
    demo::catalog,
    import::{self, ImportEvent, ImportOptions, ImportSummary},
};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use muster_proto::v1::{
    AcknowledgeResultsRequest, CredentialKind, GetExpiryRequest, RowResult, import_progress::Phase,
};
use muster_server::{ca::Passphrase, config::Settings, init};
use serde::Serialize;
use std::{path::Path, time::Instant};

/// Rows at the beginning and at the end whose rates are compared.
const EDGE: u64 = 100_000;

/// Generated rows with serial, address, model, site; credentials are issued, every index and the audit log are kept, and
/// each part is durable before it is answered. Measured from the first byte of the file to the acknowledgement of its
/// last answer; rows are made before the clock starts.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rows to import.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// What each row comes with or gets.
    #[arg(long, value_enum, default_value_t)]
    credential: Credential,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
    /// Leave the comparison with PostgreSQL out.
    #[arg(long)]
    no_peer: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Credential {
    /// An activation code is issued.
    #[default]
    Code,
    /// A certificate request stands in the row, and a certificate is issued.
    Csr,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rows: u64,
    file_bytes: u64,
    seconds: f64,
    rows_per_s: f64,
    /// Until the whole file was received and checked.
    check_seconds: f64,
    /// While rows are applied, the first and the last hundred thousand of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_100k_rows_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_100k_rows_per_s: Option<f64>,
    server_cpu_seconds: f64,
    server_peak_rss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates_per_s: Option<f64>,
    /// Requests verified and certificates signed by two threads that do nothing else, with the server's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_ratio: Option<f64>,
    /// The histogram of expiries, which reads every certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_scan_s: Option<f64>,
    /// `musterd check certificates`: each against its issuer's key, its profile and its record.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_certificates_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_copy_rows_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_ratio: Option<f64>,
}

/// What was seen of the import.
#[derive(Debug)]
struct Watch {
    start: Instant,
    /// Rows answered, and when.
    marks: Vec<(f64, u64)>,
    /// When the whole file was checked and applying began.
    checked: Option<f64>,
    certificates: u64,
}

impl Watch {
    fn begin() -> Self {
        Self {
            start: Instant::now(),
            marks: Vec::new(),
            checked: None,
            certificates: 0,
        }
    }

    fn answered(&self) -> u64 {
        self.marks.last().map_or(0, |&(_, rows)| rows)
    }

    fn see(&mut self, event: &ImportEvent<'_>) {
        let at = self.start.elapsed().as_secs_f64();
        match event {
            ImportEvent::Progress {
                phase: Phase::Applying,
                ..
            } => {
                self.checked.get_or_insert(at);
            }
            ImportEvent::Results(rows) => {
                let has_certificate = |row: &&RowResult| !row.certificate.is_empty();
                self.certificates += rows.iter().filter(has_certificate).count() as u64;
                self.marks.push((at, self.answered() + rows.len() as u64));
            }
            ImportEvent::Batch { .. }
            | ImportEvent::Mapping(_)
            | ImportEvent::Progress { .. }
            | ImportEvent::Sent
            | ImportEvent::Partial(_) => {}
        }
    }

    /// Rates of the first and the last rows while they were applied; `None` where the two would be the same.
    fn edges(&self) -> Option<(f64, f64)> {
        let (all, begin) = (self.answered(), self.checked?);
        if all < 2 * EDGE {
            return None;
        }
        let &(first_at, first) = self.marks.iter().find(|&&(_, rows)| rows >= EDGE)?;
        let &(last_at, last) = self.marks.iter().rfind(|&&(_, rows)| rows <= all - EDGE)?;
        let &(end, _) = self.marks.last()?;
        Some((rate(first, first_at - begin), rate(all - last, end - last_at)))
    }
}

async fn send(
    host: &Host,
    path: &Path,
    credential: Credential,
) -> anyhow::Result<(Watch, f64, ImportSummary)> {
    let options = ImportOptions {
        credential: match credential {
            Credential::Code => CredentialKind::Unspecified,
            Credential::Csr => CredentialKind::Csr,
        },
        ..ImportOptions::of(path)
    };
    let mut watch = Watch::begin();
    let summary = import::run(&host.client, options, |event| watch.see(&event)).await?;
    let acknowledge = AcknowledgeResultsRequest {
        name: summary.name.clone(),
        resume_token: summary.token.clone(),
    };
    let mut manifests = host.client.manifests.clone();
    manifests.acknowledge_results(acknowledge).await?;
    let seconds = watch.start.elapsed().as_secs_f64();
    Ok((watch, seconds, summary))
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows as rates")]
fn rate(rows: u64, seconds: f64) -> f64 {
    rows as f64 / seconds
}

/// Certificates a second of a manifest whose rows all bring a request, from its first byte to the last answer.
pub(super) async fn certificates_per_s(host: &Host, manifest: &Path, rows: u64) -> anyhow::Result<f64> {
    let (watch, seconds, _) = send(host, manifest, Credential::Csr).await?;
    anyhow::ensure!(
        watch.certificates == rows,
        "{} of {rows} rows have a certificate",
        watch.certificates
    );
    Ok(rate(rows, seconds))
}

/// What it takes to count the certificates on record by their ends, in seconds; and how many are verified a second.
async fn inventory(host: Host) -> anyhow::Result<(f64, f64)> {
    let start = Instant::now();
    let mut certificates = host.client.certificates.clone();
    certificates.get_expiry(GetExpiryRequest {}).await?;
    let scan = start.elapsed().as_secs_f64();
    let (directory, passphrase) = host.end().await?;
    let (settings, passphrase) = (Settings::load(&directory)?, Passphrase::read(&passphrase)?);
    let start = Instant::now();
    let checked = init::check_certificates(&settings, &passphrase).await?;
    anyhow::ensure!(checked.problems.is_empty(), "{:?}", checked.problems);
    Ok((scan, rate(checked.ours, start.elapsed().as_secs_f64())))
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let manifest = scratch.path().join("rows.csv");
    let file_bytes = match options.credential {
        Credential::Code => rows::write(&manifest, options.rows)?,
        Credential::Csr => rows::write_with_requests(&manifest, options.rows)?,
    };
    let host = Host::start(scratch.path(), |settings| settings).await?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    let (watch, seconds, summary) = send(&host, &manifest, options.credential).await?;
    let expected = |what: &str, found: u64| {
        anyhow::ensure!(
            found == options.rows,
            "{found} of {} rows were {what}",
            options.rows
        );
        Ok(())
    };
    expected("created", summary.created)?;
    expected("answered", watch.answered())?;
    let process = host.process()?;
    let (server_cpu_seconds, server_peak_rss_bytes) = (process.cpu_seconds()?, process.peak()?);
    let inventory = match options.credential {
        Credential::Code => None,
        Credential::Csr => Some(inventory(host).await?),
    };
    let certificates_per_s = match options.credential {
        Credential::Code => None,
        Credential::Csr => {
            expected("given a certificate", watch.certificates)?;
            Some(rate(watch.certificates, seconds))
        }
    };
    let limit_per_s = match options.credential {
        Credential::Code => None,
        Credential::Csr => {
            Some(limit::certificates_per_s(scratch.path()).context("cannot measure the limit")?)
        }
    };
    let peer = match (options.no_peer, options.credential) {
        (false, Credential::Code) => postgres::copy_rows_per_s(&manifest, options.rows, scratch.path())?,
        (true, _) | (false, Credential::Csr) => None,
    };
    let rows_per_s = rate(options.rows, seconds);
    let edges = watch.edges();
    Ok(Figures {
        rows: options.rows,
        file_bytes,
        seconds,
        rows_per_s,
        check_seconds: watch.checked.unwrap_or(seconds),
        first_100k_rows_per_s: edges.map(|(first, _)| first),
        last_100k_rows_per_s: edges.map(|(_, last)| last),
        server_cpu_seconds,
        server_peak_rss_bytes,
        certificates_per_s,
        limit_per_s,
        limit_ratio: certificates_per_s
            .zip(limit_per_s)
            .map(|(rate, limit)| rate / limit),
        expiry_scan_s: inventory.map(|(scan, _)| scan),
        checked_certificates_per_s: inventory.map(|(_, checked)| checked),
        postgres_copy_rows_per_s: peer,
        postgres_ratio: peer.map(|peer| rows_per_s / peer),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_are_the_first_and_last_hundred_thousand() {
        let check = |marks: &[(f64, u64)], expected: Option<(f64, f64)>| {
            let watch = Watch {
                checked: Some(1.0),
                marks: marks.to_vec(),
                ..Watch::begin()
            };
            assert_eq!(watch.edges(), expected);
        };
        check(&[(2.0, 50_000), (3.0, 199_999)], None);
        check(
            &[(2.0, 50_000), (3.0, 100_000), (5.0, 200_000)],
            Some((50_000.0, 50_000.0)),
        );
        check(
            &[(2.0, 120_000), (3.0, 180_000), (4.0, 300_000)],
            Some((120_000.0, 120_000.0)),
        );
        check(&[], None);
    }
}
