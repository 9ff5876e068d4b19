//! `muster bench workbook`.

use super::{
    host::{Host, Process},
    sheet,
};
use crate::{
    apply::{self, ApplyOptions},
    demo::catalog,
    import::{self, ImportOptions},
};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// A generated XLSX workbook with three unique strings a row, imported from the file to the workbook of results, codes
/// included. The workbook is made before the clock starts. Memory is what each process holds at its peak, beside what it
/// held before the import.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rows to import; a sheet holds up to 1,048,575 below its header.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_048_575))]
    rows: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rows: u32,
    file_bytes: u64,
    seconds: f64,
    rows_per_s: f64,
    server_idle_rss_bytes: u64,
    server_peak_rss_bytes: u64,
    client_idle_rss_bytes: u64,
    client_peak_rss_bytes: u64,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let manifest = scratch.path().join("rows.xlsx");
    let results = scratch.path().join("results.xlsx");
    let file_bytes = sheet::write(&manifest, options.rows).context("cannot make the workbook")?;
    let host = Host::start(scratch.path(), |settings| settings).await?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    let client = Process::of_this_process();
    let (server_idle, client_idle) = (host.process()?.resident()?, client.resident()?);
    // Making the workbook is no part of an import.
    client.forget_peak()?;
    let start = Instant::now();
    let wanted = ImportOptions {
        results: Some(results.clone()),
        ..ImportOptions::of(&manifest)
    };
    let summary = import::run(&host.client, wanted, |_| {}).await?;
    let seconds = start.elapsed().as_secs_f64();
    let rows = u64::from(options.rows);
    anyhow::ensure!(
        summary.created == rows,
        "{} of {rows} rows were created",
        summary.created
    );
    anyhow::ensure!(results.exists(), "the import wrote no results");
    Ok(Figures {
        rows: options.rows,
        file_bytes,
        seconds,
        rows_per_s: f64::from(options.rows) / seconds,
        server_idle_rss_bytes: server_idle,
        server_peak_rss_bytes: host.process()?.peak()?,
        client_idle_rss_bytes: client_idle,
        client_peak_rss_bytes: client.peak()?,
    })
}
