//! `muster demo`: the whole of Muster on one machine, with a real manifest and real agents.
//!
//! Nothing here is special to the demo but its directory: the server is `musterd`'s [`App`], the calls are the command
//! line's, the agents are `muster-agent`'s library, and they meet over real sockets.

mod agents;
mod board;
pub(crate) mod catalog;
mod place;

use crate::{
    apply::{self, ApplyOptions},
    cli::Session,
    client::Client,
    import::{self, ImportEvent, ImportOptions},
};
use agents::Agents;
use anyhow::Context as _;
use board::Board;
use clap::Args;
use muster_proto::v1::GetCountsRequest;
use muster_server::{app::App, clock::Clock};
use place::Place;
use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Show all of Muster on this machine: authority, server, import, agents.
///
/// Starts again where it was when the directory exists. Exit code 0 when every agent was verified.
#[derive(Debug, Args)]
pub(crate) struct Demo {
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

impl Demo {
    /// Runs the demo.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let start = Instant::now();
        let place = Place::prepare(&self.dir, self.manifest.as_deref()).await?;
        place.log_to_file()?;
        let app = App::build(place.settings()?, &place.passphrase()?, Clock::System).await;
        let app = app.context("cannot start the server")?;
        let (_, mqtt) = app.addresses()?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(app.run(stop.clone()));
        let shown = self.show(&place, mqtt, start, session).await;
        stop.cancel();
        server.await??;
        shown
    }

    async fn show(
        &self,
        place: &Place,
        mqtt: SocketAddr,
        start: Instant,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let client = Client::connect(&place.context()?).await?;
        let registry = start.elapsed();
        session.say(&format!("registry    {} is served", place.registry().display()))?;
        let outcomes = apply::send(&client, catalog::resources()?, &ApplyOptions::default()).await?;
        session.say(&format!(
            "catalog     {} models, sites, profiles and policies",
            outcomes.len()
        ))?;
        import_once(&client, place, session).await?;
        let times = Times {
            start,
            registry,
            imported: start.elapsed(),
        };
        let agents = Agents::start(&client, place, mqtt, self.agents as usize).await?;
        let verified = self.watch(&client, &agents, &times, session).await;
        if verified.is_ok() && !self.exit {
            place.suggest(&agents, session)?;
            tokio::signal::ctrl_c().await?;
        }
        agents.stop().await;
        verified
    }

    /// Shows the live table until every agent's device is verified in the registry.
    async fn watch(
        &self,
        client: &Client,
        agents: &Agents,
        times: &Times,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let board = Board::new(agents.count());
        let all = agents.count();
        let patience = Duration::from_secs(self.patience);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let counts = client
                .fleet
                .clone()
                .get_counts(GetCountsRequest {})
                .await?
                .into_inner();
            board.show(&counts);
            // The fleet's counts cost nothing; the agents' own devices are asked once enough are verified, and at the end.
            let late = times.start.elapsed() > patience;
            let enough = board::reached(&counts)[3] >= all as u64;
            let verified = if enough || late {
                agents.verified(client).await?
            } else {
                0
            };
            if verified == all {
                board.done();
                session.say(&format!(
                    "verified    {all} of {all} agents, {:.1} s after the start (served at {:.1} s, imported at {:.1} s)",
                    times.start.elapsed().as_secs_f64(),
                    times.registry.as_secs_f64(),
                    times.imported.as_secs_f64(),
                ))?;
                session.say(&format!("fleet       {}", board::sentence(&counts)))?;
                return Ok(());
            }
            if late {
                board.done();
                anyhow::bail!(
                    "{verified} of {all} agents are verified after {patience:?}; last complaint: {}",
                    agents.last_word()
                );
            }
        }
    }
}

/// Imports the manifest unless its results are there: codes are shown once.
async fn import_once(client: &Client, place: &Place, session: &mut Session<'_>) -> anyhow::Result<()> {
    let results = place.results();
    if results.exists() {
        return Ok(session.say(&format!("results     {} (imported before)", results.display()))?);
    }
    let bar = board::import_bar();
    let options = ImportOptions {
        results: Some(results.clone()),
        ..ImportOptions::of(place.manifest())
    };
    let summary = import::run(client, options, |event| {
        if let ImportEvent::Progress { done, total, .. } = event {
            bar.set_length(total.max(done));
            bar.set_position(done);
        }
    })
    .await;
    bar.finish_and_clear();
    let summary = summary?;
    session.say(&format!(
        "imported    {} created, {} unchanged, {} refused -> {}",
        summary.created,
        summary.unchanged,
        summary.refused,
        results.display()
    ))?;
    Ok(())
}
