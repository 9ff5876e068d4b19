//! Who makes a change, and goes on with it whatever happens to the server.

use super::{LOOK, PROFILE};
use muster_proto::v1::{
    self, Change,
    change::State,
    change_action::{Action, Assign},
    change_strategy::OnHalt,
    share::Share,
};
use muster_tests::Registry;
use muster_tools::{Client, Context};
use std::sync::{Arc, Mutex};

/// A tenth first, then all; a fifth of a stage may fail.
fn request() -> v1::CreateChangeRequest {
    let share = |part| {
        Some(v1::Share {
            share: Some(Share::PerMille(part)),
        })
    };
    let stage = |size, soak_seconds| v1::ChangeStage {
        size,
        soak_seconds,
        failures: share(200),
        silent: share(0),
    };
    // The pilot may fail as a whole: what goes badly does so when many have it.
    let pilot = v1::ChangeStage {
        failures: share(1000),
        ..stage(share(100), 1)
    };
    let action = Action::Profile(Assign {
        name: format!("profiles/{PROFILE}"),
        revision: 2,
    });
    v1::CreateChangeRequest {
        request_id: "once".into(),
        title: "killed".into(),
        action: Some(v1::ChangeAction { action: Some(action) }),
        strategy: Some(v1::ChangeStrategy {
            stages: vec![pilot, stage(None, 0)],
            in_flight: 25,
            deadline_seconds: 86_400,
            on_halt: OnHalt::RollBack.into(),
            ..v1::ChangeStrategy::default()
        }),
        ..v1::CreateChangeRequest::default()
    }
}

/// An operator who wants the change done, whatever the server does meanwhile.
#[derive(Clone)]
pub(super) struct Operator {
    context: Context,
    /// Where the change was when it was last seen.
    seen: Arc<Mutex<String>>,
}

impl Operator {
    pub(super) fn of(registry: &Registry) -> Self {
        Self {
            context: Context::load(&registry.path("registry/operator/context.toml")).unwrap(),
            seen: Arc::new(Mutex::new("not begun".into())),
        }
    }

    pub(super) fn phase(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// To the end, whoever dies.
    pub(super) async fn pushes(self) -> Change {
        loop {
            // Whoever does not answer is asked again: by the same request id it is the same change.
            if let Ok(client) = Client::connect(&self.context).await
                && let Ok(end) = self.pushes_on(&client).await
            {
                return end;
            }
            tokio::time::sleep(LOOK * 10).await;
        }
    }

    async fn pushes_on(&self, client: &Client) -> Result<Change, tonic::Status> {
        let mut changes = client.changes.clone();
        let mut change = changes.create_change(request()).await?.into_inner();
        loop {
            let (name, counts) = (change.name.clone(), change.total.unwrap_or_default());
            *self.seen.lock().unwrap() = phase(&change);
            match change.state() {
                State::Draft => {
                    let etag = change.etag.clone();
                    changes
                        .plan_change(v1::PlanChangeRequest {
                            name: name.clone(),
                            etag,
                        })
                        .await?;
                }
                State::Planned => {
                    let request = v1::StartChangeRequest {
                        name: name.clone(),
                        plan_hash: change.plan_hash.clone(),
                        targets: counts.total,
                    };
                    changes.start_change(request).await?;
                }
                State::Done => return Ok(change),
                State::RolledBack if counts.reverting == 0 => return Ok(change),
                State::Running | State::RollingBack | State::RolledBack => tokio::time::sleep(LOOK).await,
                other => panic!("{other:?}"),
            }
            change = changes
                .get_change(v1::GetChangeRequest { name })
                .await?
                .into_inner();
        }
    }
}

fn phase(change: &Change) -> String {
    match change.state() {
        State::Running => format!("stage {}", change.stage),
        other => other.as_str_name().to_lowercase(),
    }
}
