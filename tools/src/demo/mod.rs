//! `muster demo`: the whole of Muster on one machine, with a real manifest and real agents.
//!
//! Nothing here is special to the demo but its directory: the server is `musterd`'s [`App`], the calls are the command
//! line's, the agents are `muster-agent`'s library, and they meet over real sockets.

mod agents;
mod board;
pub mod catalog;
mod place;

use crate::{apply, client::Client, import, output};
use agents::Agents;
use anyhow::Context as _;
use board::Board;
use clap::Args;
use muster_server::{app::App, clock::Clock};
use place::Place;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Show all of Muster on this machine: authority, server, import, agents.
///
/// Starts again where it was when the directory exists. Exit code 0 when every agent was verified.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where everything goes.
    #[arg(long, default_value = "./muster-demo")]
    dir: PathBuf,
    /// How many agents to start.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    agents: u32,
    /// The manifest to import; without it, 1,000 gateways that come with the program.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// End when every agent is verified, instead of staying up.
    #[arg(long)]
    exit: bool,
    /// Give up when the agents are not verified after so many seconds.
    #[arg(long, default_value_t = 120)]
    patience: u64,
}

/// The demo's clock: what took how long.
struct Times {
    start: Instant,
    registry: Duration,
    imported: Duration,
}

/// Runs the demo.
pub async fn run(demo: Demo) -> anyhow::Result<()> {
    let start = Instant::now();
    let place = Place::prepare(&demo.dir, demo.manifest.as_deref()).await?;
    place.log_to_file()?;
    // The server, as musterd starts it.
    let app = App::build(place.settings()?, &place.passphrase()?, Clock::System).await.context("cannot start the server")?;
    let (_, mqtt) = app.addresses()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(app.run(stop.clone()));
    let client = Client::connect(&place.context()?).await?;
    let registry = start.elapsed();
    output::note(&format!("registry    {}", place.registry().display()))?;

    let outcomes = apply::apply(&client, catalog::resources()?, false).await?;
    output::note(&format!("catalog     {} models, sites, profiles and policies", outcomes.len()))?;
    import_once(&client, &place).await?;
    let imported = start.elapsed();
    let times = Times { start, registry, imported };

    let agents = Agents::start(&client, &place, mqtt, demo.agents as usize).await?;
    let verified = watch(&client, &agents, &times, Duration::from_secs(demo.patience)).await;
    if verified.is_ok() && !demo.exit {
        place.suggest(&agents)?;
        tokio::signal::ctrl_c().await?;
    }
    agents.stop().await;
    stop.cancel();
    server.await??;
    verified
}

/// Imports the manifest unless its results are there: codes are shown once.
async fn import_once(client: &Client, place: &Place) -> anyhow::Result<()> {
    let results = place.results();
    if results.exists() {
        return output::note(&format!("results     {} (imported before)", results.display())).map_err(Into::into);
    }
    let summary = import::with_progress(client, import::Options::new(place.manifest()).results(&results)).await?;
    output::note(&format!(
        "imported    {} created, {} unchanged, {} refused -> {}",
        summary.created,
        summary.unchanged,
        summary.refused,
        results.display()
    ))?;
    Ok(())
}

/// Shows the live table until every agent's device is verified in the registry.
async fn watch(client: &Client, agents: &Agents, times: &Times, patience: Duration) -> anyhow::Result<()> {
    let board = Board::new(agents.count());
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        let counts = client.fleet().get_counts(muster_proto::v1::GetCountsRequest {}).await?.into_inner();
        let state = |name: &str| counts.states.get(name).copied().unwrap_or_default();
        let verified = counts.verifications.get("VERIFIED").copied().unwrap_or_default();
        board.show(&counts);
        let there = agents.count() as u64;
        if verified >= there && agents.verified(client).await? == agents.count() {
            board.done();
            output::note(&format!(
                "verified    {there} of {there} agents {:.1} s after the start (registry {:.1} s, import done at {:.1} s)",
                times.start.elapsed().as_secs_f64(),
                times.registry.as_secs_f64(),
                times.imported.as_secs_f64(),
            ))?;
            output::note(&format!("fleet       {} devices, {} still waiting for their claim", counts.devices, state("REGISTERED")))?;
            return Ok(());
        }
        if times.start.elapsed() > patience {
            board.done();
            anyhow::bail!("{verified} of {there} agents are verified after {patience:?}; {}", agents.last_word());
        }
    }
}
