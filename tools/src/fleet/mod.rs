//! `muster fleet simulate`: a fleet larger than any machine has sockets, taken through a change by the real server.
//!
//! The server is `musterd`'s [`App`] in this process, called over gRPC with TLS as ever. Devices are [`BareAgent`]s, the agent's
//! own machine and proofs, that speak MQTT with the server's own sessions over streams in memory; TLS alone is left out. They come
//! by an import of a manifest whose rows bring certificate requests, so that one command enrols all of them.
//!
//! The server's clock is this command's: it goes on while devices are awaited, and jumps over soaks and deadlines when everyone
//! who could speak has spoken. So a change with a deadline of a day takes minutes, and no device is late for being simulated on
//! a slow machine.

mod cast;
mod census;
mod crowd;
mod drive;
mod expect;
mod figures;
mod host;
mod judge;

use crate::{
    bench::host::Process,
    cli::Session,
    commands::change::create::{Size, StrategyArgs},
    output::Format,
};
use cast::Cast;
use clap::Args;
use crowd::Crowd;
use drive::Drive;
use figures::Figures;
use host::Host;
use muster_proto::v1;
use std::{num::TryFromIntError, time::Instant};

/// Take a simulated fleet through a change, and see whether it ends as its thresholds say.
///
/// Every device is imported and verified at revision 1 of a profile, beside those that are offline and come when all is over. Then
/// revision 2 is published by a change with the options of `muster change create`. At the end every device and every target is
/// read back, and must be what the change made of it. Time is simulated: soaks and deadlines cost nothing. Exit code 0 when the
/// change ended as its thresholds say.
#[derive(Debug, Args)]
#[command(
    mut_arg("pilot", |arg| arg.default_value("100")),
    mut_arg("max_failures", |arg| arg.default_value("4%")),
    mut_arg("max_silent", |arg| arg.default_value("8%")),
    mut_arg("in_flight", |arg| arg.default_value("5000")),
    mut_arg("on_halt", |arg| arg.default_value("rollback")),
    after_long_help = "\
Sizes and limits are counts (100) or percentages (2%, 0.5%).

Examples:
  muster fleet simulate
  muster fleet simulate --devices 100000 --bad
  muster fleet simulate --devices 20000 --failing 5% --max-failures 2% --on-halt wait -o json"
)]
pub(crate) struct Simulate {
    /// How many devices there are.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// How many of them cannot apply the new revision.
    #[arg(long, value_name = "SIZE", default_value = "2%")]
    failing: Size,
    /// How many of them are not there during the change.
    #[arg(long, value_name = "SIZE", default_value = "5%")]
    offline: Size,
    /// The new revision is a bad one: of those that are there, all but one in fifty cannot apply it.
    #[arg(long)]
    bad: bool,
    /// Chooses who fails and who is offline.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Simulate {
    /// Runs the simulation.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let json = self.json || session.format != Format::Table;
        let cast = Cast::new(
            self.devices,
            self.failing.into(),
            self.offline.into(),
            self.bad,
            self.seed,
        );
        let strategy = self.strategy.wire();
        let bound = self.bad.then(|| bad_bound(&strategy, self.devices));
        let host = Host::start().await?;
        let run = Run {
            cast: &cast,
            host: &host,
            bad_bound: bound,
            seed: self.seed,
        };
        let figures = run.through(strategy, session).await;
        host.stop().await?;
        let figures = figures?;
        if json {
            session.say(&serde_json::to_string(&figures)?)?;
        } else {
            session.say(figures.table().trim_end())?;
        }
        anyhow::ensure!(
            figures.problems.is_empty(),
            "the change did not end as it must: {}",
            figures.problems.join("; ")
        );
        Ok(())
    }
}

/// Most devices that may have a bad revision: one in fifty, or the first stage where that is more.
fn bad_bound(strategy: &v1::ChangeStrategy, devices: u32) -> u32 {
    let first = strategy.stages.first().and_then(|stage| stage.size);
    let first = first.map_or(devices, |size| expect::share(size).of(devices));
    first.max(devices / 50)
}

/// One simulation.
struct Run<'a> {
    cast: &'a Cast,
    host: &'a Host,
    bad_bound: Option<u32>,
    seed: u64,
}

impl Run<'_> {
    /// The story, from the first row to the last device that comes late.
    async fn through(
        &self,
        strategy: v1::ChangeStrategy,
        session: &mut Session<'_>,
    ) -> anyhow::Result<Figures> {
        let size = self.cast.size();
        // 1. All are enrolled, and those that are there are verified.
        let start = Instant::now();
        let mut members = self.host.enrol(size).await?;
        let imported = start.elapsed();
        session.note(&format!(
            "imported {size} devices in {:.1} s",
            imported.as_secs_f64()
        ));
        let before_crowd = Process::of_this_process().resident()?;
        let start = Instant::now();
        let mut crowd = Crowd::new(self.host)?;
        let present = self.cast.present();
        for place in present.iter().copied() {
            crowd.join(&mut members, place, self.cast.role(place)).await?;
        }
        crowd.all_proved(present.len()).await?;
        let joined = start.elapsed();
        session.note(&format!(
            "{} devices are there in {:.1} s",
            present.len(),
            joined.as_secs_f64()
        ));
        let crowd_bytes = Process::of_this_process()
            .resident()?
            .saturating_sub(before_crowd);
        let former = census::devices(&self.host.client, size).await?;
        // 2. The change, to its end.
        self.host.publish(2).await?;
        let drive = Drive::new(self.host, self.cast, &members, &crowd);
        let driven = drive.to_the_end(strategy.clone(), session).await?;
        let targets = census::targets(&self.host.client, &driven.end.name).await?;
        // 3. Those that were away come, and learn what they must be.
        let (before, late) = (crowd.proved(), self.cast.absent());
        for place in late.iter().copied() {
            crowd.join(&mut members, place, self.cast.role(place)).await?;
        }
        crowd.all_proved(before + late.len()).await?;
        // 4. Nothing is believed that is not read back.
        let now = census::devices(&self.host.client, size).await?;
        let judge = judge::Judge {
            cast: self.cast,
            members: &members,
            strategy: &strategy,
            bad_bound: self.bad_bound,
        };
        let mut problems = judge.problems(&driven.end, &targets, &former, &now);
        problems.extend(crowd.complaints());
        let figures = Figures {
            devices: size,
            failing: self.cast.failing(),
            offline: u32::try_from(late.len())?,
            seed: self.seed,
            imported_s: imported.as_secs_f64(),
            joined_s: joined.as_secs_f64(),
            bytes_per_device: crowd_bytes / u64::try_from(present.len().max(1))?,
            expected: judge.expected(&targets).to_string(),
            caught_up: judge.caught_up(&now),
            peak_bytes: Process::of_this_process().peak()?,
            problems,
            ..Figures::of(&driven)
        };
        crowd.leave().await;
        Ok(figures)
    }
}

/// A place in the fleet as an index.
fn index(place: u32) -> Result<usize, TryFromIntError> {
    usize::try_from(place)
}
