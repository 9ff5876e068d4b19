//! A change from its description to its end, and the clock that goes with it.

use super::{
    cast::{Cast, Role},
    census,
    crowd::Crowd,
    host::{Host, Member, PROFILE},
};
use crate::cli::Session;
use anyhow::Context as _;
use muster_proto::v1::{
    self, Change,
    change::State,
    change_action::{Action, Assign},
    change_target,
};
use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Between two looks at the change.
const LOOK: Duration = Duration::from_millis(50);
/// What a change may be still for while devices are awaited.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a pace is of.
const MINUTE: Duration = Duration::from_secs(60);

/// What was seen of a change.
#[derive(Debug)]
pub(super) struct Driven {
    /// As it was when nobody was awaited any more.
    pub(super) end: Change,
    /// How long it took to list its targets.
    pub(super) planned: Duration,
    /// From its start to its end.
    pub(super) took: Duration,
    /// When each stage was first seen to be open, from its start.
    pub(super) opened: Vec<Duration>,
    /// Soaks and deadlines that nobody waited for.
    pub(super) skipped: Duration,
    /// Most targets that were under way at once.
    pub(super) most_under_way: u32,
    /// Reports that were recorded meanwhile.
    pub(super) reports: u64,
}

/// Who drives it.
pub(super) struct Drive<'a> {
    host: &'a Host,
    cast: &'a Cast,
    crowd: &'a Crowd,
    places: HashMap<&'a str, u32>,
}

impl<'a> Drive<'a> {
    pub(super) fn new(host: &'a Host, cast: &'a Cast, members: &'a [Member], crowd: &'a Crowd) -> Self {
        let places = members.iter().map(|member| member.id.as_str()).zip(0..);
        Self {
            host,
            cast,
            crowd,
            places: places.collect(),
        }
    }

    /// Publishes the new revision and goes with it until it has ended or waits for a person, and no device is awaited.
    pub(super) async fn to_the_end(
        &self,
        strategy: v1::ChangeStrategy,
        session: &mut Session<'_>,
    ) -> anyhow::Result<Driven> {
        let start = Instant::now();
        let planned = self.planned(strategy.clone()).await?;
        let planning = start.elapsed();
        let targets = planned.total.unwrap_or_default().total;
        session.note(&format!(
            "planned {targets} targets in {:.1} s",
            planning.as_secs_f64()
        ));
        let request = v1::StartChangeRequest {
            name: planned.name.clone(),
            plan_hash: planned.plan_hash.clone(),
            targets,
        };
        let (start, reported) = (Instant::now(), self.reports());
        let started = self.host.client.changes.clone().start_change(request).await?;
        let mut driven = Driven {
            end: started.into_inner(),
            planned: planning,
            took: Duration::ZERO,
            opened: Vec::new(),
            skipped: Duration::ZERO,
            most_under_way: 0,
            reports: 0,
        };
        self.go_with(&mut driven, &strategy, start).await?;
        driven.took = start.elapsed();
        driven.reports = self.reports() - reported;
        Ok(driven)
    }

    fn reports(&self) -> u64 {
        self.crowd.heard.reports.load(Ordering::Relaxed)
    }

    async fn planned(&self, strategy: v1::ChangeStrategy) -> anyhow::Result<Change> {
        let action = Action::Profile(Assign {
            name: format!("profiles/{PROFILE}"),
            revision: 2,
        });
        let request = v1::CreateChangeRequest {
            title: "simulated".to_owned(),
            action: Some(v1::ChangeAction { action: Some(action) }),
            strategy: Some(strategy),
            ..v1::CreateChangeRequest::default()
        };
        let mut changes = self.host.client.changes.clone();
        let made = changes.create_change(request).await?.into_inner();
        let request = v1::PlanChangeRequest {
            name: made.name,
            etag: made.etag,
        };
        Ok(changes.plan_change(request).await?.into_inner())
    }

    async fn look(&self, driven: &mut Driven, start: Instant) -> anyhow::Result<()> {
        let request = v1::GetChangeRequest {
            name: driven.end.name.clone(),
        };
        let change = self
            .host
            .client
            .changes
            .clone()
            .get_change(request)
            .await?
            .into_inner();
        let under_way = change.total.unwrap_or_default().sent;
        driven.most_under_way = driven.most_under_way.max(under_way);
        let open = if matches!(change.state(), State::Running | State::Done) {
            change.stage
        } else {
            0
        };
        // A stage that came and went between two looks was open no longer than that.
        while driven.opened.len() < super::index(open)? {
            driven.opened.push(start.elapsed());
        }
        driven.end = change;
        Ok(())
    }

    async fn go_with(
        &self,
        driven: &mut Driven,
        strategy: &v1::ChangeStrategy,
        start: Instant,
    ) -> anyhow::Result<()> {
        let (mut looked, mut moved) = (Instant::now(), Instant::now());
        loop {
            sleep(LOOK).await;
            let before = (driven.end.state(), driven.end.stages.clone());
            self.look(driven, start).await?;
            let since = looked.elapsed();
            looked = Instant::now();
            if before != (driven.end.state(), driven.end.stages.clone()) {
                moved = looked;
                self.host.pass(since);
                continue;
            }
            // The clock stands still from here to the jump, and all that can be done by it is done: nobody begins a target
            // by the time before the jump who would be late after it.
            let worked = self.host.service.work_changes().await;
            worked.map_err(|failure| anyhow::anyhow!("changes could not be taken further: {failure}"))?;
            self.look(driven, start).await?;
            let awaited = self.awaited(&driven.end.name).await?;
            if awaited > 0 {
                anyhow::ensure!(
                    moved.elapsed() < PATIENCE,
                    "{awaited} devices said nothing for {PATIENCE:?}"
                );
                self.host.pass(since);
                continue;
            }
            match driven.end.state() {
                State::Running => {
                    let jump = jump(&driven.end, strategy);
                    driven.skipped += jump;
                    self.host.pass(jump);
                }
                State::Done | State::Halted | State::RolledBack | State::Aborted => return Ok(()),
                State::RollingBack | State::Paused | State::Planned | State::Draft | State::Unspecified => {
                    anyhow::ensure!(
                        moved.elapsed() < PATIENCE,
                        "nothing came of the change for {PATIENCE:?}"
                    );
                }
            }
        }
    }

    /// Devices that are there and have something to say.
    async fn awaited(&self, change: &str) -> anyhow::Result<usize> {
        let states = [change_target::State::Sent, change_target::State::Reverting];
        let targets = census::in_states(&self.host.client, change, &states).await?;
        let mut awaited = 0;
        for target in targets {
            let id = target.device.trim_start_matches("devices/");
            let place = self.places.get(id).context("a target that is no device")?;
            awaited += usize::from(self.cast.role(*place) != Role::Offline);
        }
        Ok(awaited)
    }
}

/// What a change waits for when no device has anything to say: its pace, then the soak of what was proved, then the deadline of
/// those who are not there.
fn jump(change: &Change, strategy: &v1::ChangeStrategy) -> Duration {
    let counts = change.total.unwrap_or_default();
    let soak = strategy.stages.iter().map(|stage| stage.soak_seconds).max();
    if strategy.per_minute > 0 && counts.waiting > 0 {
        MINUTE
    } else if counts.proved > 0 {
        Duration::from_secs(soak.unwrap_or(0))
    } else {
        Duration::from_secs(strategy.deadline_seconds)
    }
}
