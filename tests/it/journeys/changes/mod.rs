//! Changes of many devices: planned, begun in stages, proved by the devices, halted and taken back.

mod agents;
mod approvals;
mod codes;
mod faults;
mod hands;
mod late;
mod layers;
mod lists;
mod maintenance;
mod repair;
mod secrets;
mod when;

use muster_proto::v1::{
    self, Change, ChangeTarget, TargetCounts,
    change::State,
    change_action::{self, Action},
    change_target,
    changes_client::ChangesClient,
    share::Share,
};
use muster_tests::{World, until};
use tonic::transport::Channel;

/// Two first, then the rest; one more than `failures` halts.
pub(super) fn strategy(failures: u32) -> v1::ChangeStrategy {
    let share = |share| Some(v1::Share { share: Some(share) });
    let stage = |size| v1::ChangeStage {
        size,
        soak_seconds: 0,
        failures: share(Share::Count(failures)),
        silent: share(Share::Count(failures)),
    };
    v1::ChangeStrategy {
        stages: vec![stage(share(Share::Count(2))), stage(None)],
        deadline_seconds: 600,
        ..v1::ChangeStrategy::default()
    }
}

fn publish(revision: u32) -> Action {
    Action::Profile(change_action::Assign {
        name: "profiles/gateway".into(),
        revision,
    })
}

pub(super) fn asked(action: Action, strategy: v1::ChangeStrategy) -> v1::CreateChangeRequest {
    v1::CreateChangeRequest {
        title: "a change".into(),
        action: Some(v1::ChangeAction { action: Some(action) }),
        filter: "model = \"GW-200\"".into(),
        strategy: Some(strategy),
        ..v1::CreateChangeRequest::default()
    }
}

/// The admin's side.
pub(crate) struct Desk {
    changes: ChangesClient<Channel>,
}

impl Desk {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            changes: world.client.changes.clone(),
        }
    }

    async fn planned(&mut self, request: v1::CreateChangeRequest) -> Change {
        let made = self.changes.create_change(request).await.unwrap().into_inner();
        assert_eq!(made.state(), State::Draft);
        let request = v1::PlanChangeRequest {
            name: made.name,
            etag: made.etag,
        };
        let planned = self.changes.plan_change(request).await.unwrap().into_inner();
        assert_eq!((planned.state(), planned.plan_hash.len()), (State::Planned, 32));
        planned
    }

    pub(crate) async fn start(&mut self, planned: &Change) {
        let request = v1::StartChangeRequest {
            name: planned.name.clone(),
            plan_hash: planned.plan_hash.clone(),
            targets: planned.total.unwrap().total,
        };
        let started = self.changes.start_change(request).await.unwrap().into_inner();
        assert_eq!(started.state(), State::Running);
    }

    pub(crate) async fn started(&mut self, request: v1::CreateChangeRequest) -> Change {
        let planned = self.planned(request).await;
        self.start(&planned).await;
        planned
    }

    async fn get(&mut self, name: &str) -> Change {
        let request = v1::GetChangeRequest { name: name.into() };
        self.changes.get_change(request).await.unwrap().into_inner()
    }

    pub(crate) async fn when(&mut self, name: &str, what: &str, is_so: impl Fn(&Change) -> bool) -> Change {
        let changes = self.changes.clone();
        until(what, async || {
            let now = Self {
                changes: changes.clone(),
            }
            .get(name)
            .await;
            is_so(&now).then_some(now)
        })
        .await
    }

    async fn targets(&mut self, name: &str, states: &[change_target::State]) -> Vec<ChangeTarget> {
        let request = v1::ListTargetsRequest {
            name: name.into(),
            states: states.iter().map(|state| (*state).into()).collect(),
            ..v1::ListTargetsRequest::default()
        };
        let page = self.changes.list_targets(request).await.unwrap().into_inner();
        page.targets
    }
}

async fn revise(world: &World, line: &str) {
    let text = format!(
        "[[profiles]]\nname = \"gateway\"\nmessage = \"Another line\"\n[profiles.files]\n\"network.toml\" = '''\n{line}\n'''\n"
    );
    world.apply_text(&text).await;
}

fn profile(device: &v1::Device) -> &str {
    &device.desired.as_ref().unwrap().profile
}

fn counts(change: &Change) -> TargetCounts {
    change.total.unwrap()
}
