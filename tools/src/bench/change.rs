//! `muster bench change`.

use super::{host::Host, rows};
use crate::{
    apply::{self, ApplyOptions},
    client::Client,
    demo::catalog,
    import::{self, ImportOptions},
};
use anyhow::Context as _;
use clap::Args;
use muster_domain::ids::DeviceId;
use muster_proto::{
    payload::{Digest, Facet, FacetState, FacetStatus, Report},
    v1::{self, CredentialKind, change_action, share},
};
use muster_server::{
    app::App,
    ca::Passphrase,
    clock::Clock,
    config::Settings,
    mqtt::registry::Registry,
    service::{Service, WAVE_PART},
    store::Store,
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Devices of the small fleet, with which the cost of a report is compared.
const SMALL: u32 = 10_000;
/// Reports that are heard. The small fleet has no more devices to tell them.
const REPORTS: u32 = 10_000;
/// Devices that report at once.
const AT_ONCE: usize = 256;
/// Between two looks at a change that is under way.
const LOOK: Duration = Duration::from_millis(5);
/// How many devices a page of a listing has at most.
const PAGE: i32 = 1000;

/// A new revision of a profile for a fleet of devices that all have certificates: every one is looked at, rendered and listed in the
/// plan; a wave of them is given its desired states, each durable with its place in the change and its entry in the audit log;
/// devices report, each report durable before it is acknowledged. Importing them comes before the clock.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Devices of the fleet, all of which are targets.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(i64::from(SMALL)..=10_000_000))]
    devices: u32,
    /// Targets of the wave.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(i64::from(REPORTS)..=1_000_000))]
    wave: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    targets: u32,
    plan_seconds: f64,
    plan_targets_per_s: f64,
    /// Of the server while it planned, in all.
    plan_peak_rss_bytes: u64,
    /// Devices taken for the change (I8), each durable, before the first is sent anything.
    reserve_targets_per_s: f64,
    wave: u32,
    commit_seconds: f64,
    commit_targets_per_s: f64,
    /// The same number of devices, spread in the same way over the same file, each record read and written as it was by the storage
    /// engine alone.
    bare_rewrites_per_s: f64,
    /// What the wave does of that, with target, hold, deadline and audit entry of each device besides.
    limit_ratio: f64,
    reports_per_s: f64,
    /// The same with a change of a fleet of [`SMALL`] devices.
    small_fleet_reports_per_s: f64,
    /// What a report costs in the large fleet, of what it costs in the small one.
    report_cost_ratio: f64,
}

/// What one fleet shows.
struct Run {
    plan_seconds: f64,
    plan_peak_rss_bytes: u64,
    reserve_seconds: f64,
    commit_seconds: f64,
    commit_targets: u32,
    bare_rewrites_per_s: f64,
    reports_per_s: f64,
}

/// A device that waits to be heard.
struct Speaker {
    device: DeviceId,
    report: Report,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let small = fleet(SMALL, SMALL).await?;
    let large = fleet(options.devices, options.wave).await?;
    let rate = |count: u32, seconds: f64| f64::from(count) / seconds;
    Ok(Figures {
        targets: options.devices,
        plan_seconds: large.plan_seconds,
        plan_targets_per_s: rate(options.devices, large.plan_seconds),
        plan_peak_rss_bytes: large.plan_peak_rss_bytes,
        reserve_targets_per_s: rate(options.devices, large.reserve_seconds),
        wave: options.wave,
        commit_seconds: large.commit_seconds,
        commit_targets_per_s: rate(large.commit_targets, large.commit_seconds),
        bare_rewrites_per_s: large.bare_rewrites_per_s,
        limit_ratio: rate(large.commit_targets, large.commit_seconds) / large.bare_rewrites_per_s,
        reports_per_s: large.reports_per_s,
        small_fleet_reports_per_s: small.reports_per_s,
        report_cost_ratio: small.reports_per_s / large.reports_per_s,
    })
}

async fn fleet(devices: u32, wave: u32) -> anyhow::Result<Run> {
    let scratch = tempfile::tempdir()?;
    let host = Host::start(scratch.path(), |settings| settings).await?;
    register(&host.client, scratch.path(), devices).await?;
    // What the import left in its memory is not the plan's.
    let host = host.again().await?;
    let process = host.process()?;
    process.forget_peak()?;
    let (change, plan_seconds) = plan(&host.client, devices, wave).await?;
    let plan_peak_rss_bytes = process.peak()?;
    let (reserve_seconds, commit_targets, commit_seconds) = commit(&host.client, &change, devices).await?;
    let speakers = speakers(&host.client).await?;
    let (directory, passphrase) = host.end().await?;
    let bare_rewrites_per_s = limit(directory.clone(), wave).await?;
    let reports_per_s = hear(&directory, &passphrase, speakers).await?;
    Ok(Run {
        plan_seconds,
        plan_peak_rss_bytes,
        reserve_seconds,
        commit_seconds,
        commit_targets,
        bare_rewrites_per_s,
        reports_per_s,
    })
}

/// Registers a fleet of devices that have certificates, and the revision that they are to get.
async fn register(client: &Client, scratch: &Path, devices: u32) -> anyhow::Result<()> {
    let manifest = scratch.join("rows.csv");
    rows::write_with_requests(&manifest, devices.into())?;
    apply::send(client, catalog::resources()?, &ApplyOptions::default()).await?;
    let options = ImportOptions {
        credential: CredentialKind::Csr,
        ..ImportOptions::of(&manifest)
    };
    let summary = import::run(client, options, |_| {}).await?;
    anyhow::ensure!(
        summary.created == u64::from(devices),
        "{} of {devices} rows were created",
        summary.created
    );
    let acknowledge = v1::AcknowledgeResultsRequest {
        name: summary.name,
        resume_token: summary.token,
    };
    client.manifests.clone().acknowledge_results(acknowledge).await?;
    std::fs::remove_file(&manifest)?;
    apply::send(client, catalog::revised()?, &ApplyOptions::default()).await?;
    Ok(())
}

fn strategy(devices: u32, wave: u32) -> v1::ChangeStrategy {
    let stage = |size| v1::ChangeStage {
        size,
        ..v1::ChangeStage::default()
    };
    let first = (wave < devices).then(|| {
        stage(Some(v1::Share {
            share: Some(share::Share::Count(wave)),
        }))
    });
    v1::ChangeStrategy {
        stages: first.into_iter().chain([stage(None)]).collect(),
        in_flight: wave,
        ..v1::ChangeStrategy::default()
    }
}

/// Plans the new revision for every device; the change, and how long that took.
async fn plan(client: &Client, devices: u32, wave: u32) -> anyhow::Result<(v1::Change, f64)> {
    let mut changes = client.changes.clone();
    let request = v1::CreateChangeRequest {
        title: "Benchmark".into(),
        action: Some(v1::ChangeAction {
            action: Some(change_action::Action::Profile(change_action::Assign {
                name: "profiles/gateway".into(),
                revision: 2,
            })),
        }),
        strategy: Some(strategy(devices, wave)),
        ..v1::CreateChangeRequest::default()
    };
    let change = changes.create_change(request).await?.into_inner();
    let begun = Instant::now();
    let request = v1::PlanChangeRequest {
        name: change.name,
        etag: String::new(),
    };
    let planned = changes.plan_change(request).await?.into_inner();
    let seconds = begun.elapsed().as_secs_f64();
    let targets = planned.total.unwrap_or_default().total;
    anyhow::ensure!(targets == devices, "{targets} of {devices} devices are targets");
    Ok((planned, seconds))
}

/// Starts a change and looks until its first stage is sent. How long it took until the first targets were, how many were after
/// that, and how long these took.
async fn commit(client: &Client, change: &v1::Change, targets: u32) -> anyhow::Result<(f64, u32, f64)> {
    let mut changes = client.changes.clone();
    let request = v1::StartChangeRequest {
        name: change.name.clone(),
        plan_hash: change.plan_hash.clone(),
        targets,
    };
    let started = Instant::now();
    changes.start_change(request).await?;
    let mut first = None;
    loop {
        let request = v1::GetChangeRequest {
            name: change.name.clone(),
        };
        let change = changes.get_change(request).await?.into_inner();
        let stage = change
            .stages
            .first()
            .copied()
            .context("the change has no stage")?;
        anyhow::ensure!(change.halt.is_empty(), "halted: {}", change.halt);
        if stage.sent > 0 {
            let (at, before) = *first.get_or_insert_with(|| (started.elapsed(), stage.sent));
            if stage.waiting == 0 {
                let took = started.elapsed().saturating_sub(at);
                return Ok((at.as_secs_f64(), stage.sent - before, took.as_secs_f64()));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Records a second that the storage engine alone rewrites, in parts as large as those of a wave.
async fn limit(directory: PathBuf, wave: u32) -> anyhow::Result<f64> {
    let rewrite = move || {
        let store = Settings::load(&directory)?.database();
        anyhow::Ok(Store::rewrite_bare(&store, wave.into(), WAVE_PART)?)
    };
    let (records, took) = tokio::task::spawn_blocking(rewrite).await??;
    Ok(f64::from(records) / took.as_secs_f64())
}

/// Devices that were sent something, each with what it says.
async fn speakers(client: &Client) -> anyhow::Result<Vec<Speaker>> {
    let mut devices = client.devices.clone();
    let mut request = v1::ListDevicesRequest {
        page_size: PAGE,
        filter: "generation = 2".into(),
        ..v1::ListDevicesRequest::default()
    };
    let mut speakers = Vec::new();
    while speakers.len() < usize::try_from(REPORTS)? {
        let page = devices.list_devices(request.clone()).await?.into_inner();
        for device in page.devices {
            speakers.push(speaker(&device)?);
        }
        anyhow::ensure!(
            !page.next_page_token.is_empty() || speakers.len() >= usize::try_from(REPORTS)?,
            "too few devices were sent anything"
        );
        request.page_token = page.next_page_token;
    }
    Ok(speakers)
}

fn speaker(device: &v1::Device) -> anyhow::Result<Speaker> {
    let id = device.name.trim_start_matches("devices/");
    let desired = device
        .desired
        .as_ref()
        .context("a device without desired state")?;
    let applied = |facet| FacetStatus {
        facet,
        state: FacetState::Applied,
    };
    Ok(Speaker {
        device: id.parse().map_err(|why| anyhow::anyhow!("{id}: {why}"))?,
        report: Report {
            device_id: id.to_owned(),
            generation: desired.generation,
            digest: Digest(desired.digest.as_slice().try_into()?),
            facets: [Facet::Config, Facet::Location, Facet::Firmware]
                .map(applied)
                .into(),
            firmware: None,
        },
    })
}

/// Reports a second, as sessions bring them to the service; every one is durable when it is answered.
async fn hear(directory: &Path, passphrase: &Path, speakers: Vec<Speaker>) -> anyhow::Result<f64> {
    let any = ([127, 0, 0, 1], 0).into();
    let settings = Settings::load(directory)?.listening(any, any);
    let app = App::build(settings, &Passphrase::read(passphrase)?, Clock::System).await?;
    let service = app.service().clone();
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    let said = say(&service, speakers).await;
    stop.cancel();
    running.await??;
    said
}

async fn say(service: &Service, speakers: Vec<Speaker>) -> anyhow::Result<f64> {
    let (count, speakers) = (speakers.len(), Arc::new(speakers));
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut sessions = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (service, speakers, next) = (service.clone(), Arc::clone(&speakers), Arc::clone(&next));
        sessions.spawn(async move {
            while let Some(speaker) = speakers.get(next.fetch_add(1, Ordering::Relaxed)) {
                Registry::report(&service, speaker.device, speaker.report.clone()).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(session) = sessions.join_next().await {
        session??;
    }
    Ok(f64::from(u32::try_from(count)?) / begun.elapsed().as_secs_f64())
}
