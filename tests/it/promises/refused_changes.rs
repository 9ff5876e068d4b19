//! Refusals of changes: what cannot be planned, started, approved or taken further.

use super::refusals::{Reached, Stage};
use crate::journeys::changes::Desk;
use muster_domain::Code;
use muster_proto::v1::{
    self, change::State, change_action, change_action::Action, change_strategy, share::Share,
};

fn asked(action: Option<Action>) -> v1::CreateChangeRequest {
    v1::CreateChangeRequest {
        action: action.map(|action| v1::ChangeAction { action: Some(action) }),
        ..v1::CreateChangeRequest::default()
    }
}

fn profile(name: &str, revision: u32) -> Option<Action> {
    Some(Action::Profile(change_action::Assign {
        name: name.into(),
        revision,
    }))
}

/// Descriptions that name nothing, or what is not there.
async fn descriptions(stage: &Stage, reached: &mut Reached) {
    let mut changes = stage.world.client.changes.clone();
    let part = |part| v1::Share {
        share: Some(Share::PerMille(part)),
    };
    let strategy = v1::ChangeStrategy {
        stages: vec![
            v1::ChangeStage::default(),
            v1::ChangeStage {
                failures: Some(part(1001)),
                ..v1::ChangeStage::default()
            },
        ],
        on_halt: change_strategy::OnHalt::RollBack.into(),
        ..v1::ChangeStrategy::default()
    };
    for (code, request) in [
        (Code::ChangeInvalid, asked(None)),
        (
            Code::ChangeInvalid,
            v1::CreateChangeRequest {
                strategy: Some(strategy),
                ..asked(profile("profiles/gateway", 1))
            },
        ),
        (
            Code::ChangeInvalid,
            v1::CreateChangeRequest {
                approvals_needed: 9,
                ..asked(profile("profiles/gateway", 1))
            },
        ),
        (
            Code::ChangeInvalid,
            v1::CreateChangeRequest {
                listed: 1_000_001,
                ..asked(profile("profiles/gateway", 1))
            },
        ),
        (
            Code::FilterInvalid,
            v1::CreateChangeRequest {
                strategy: Some(v1::ChangeStrategy {
                    canary: "ring".into(),
                    ..v1::ChangeStrategy::default()
                }),
                ..asked(profile("profiles/gateway", 1))
            },
        ),
        (Code::RequestInvalid, asked(profile("gateway", 1))),
        (Code::ReferenceMissing, asked(profile("profiles/gateway", 9))),
        (Code::ReferenceMissing, asked(profile("profiles/nobody", 0))),
        (
            Code::FilterInvalid,
            v1::CreateChangeRequest {
                filter: "model = (".into(),
                ..asked(profile("profiles/gateway", 1))
            },
        ),
    ] {
        reached.status(code, changes.create_change(request).await);
    }
    let get = |name: &str| v1::GetChangeRequest { name: name.into() };
    reached.status(Code::RequestInvalid, changes.get_change(get("changes/1")).await);
    let nobody = get("changes/01h455vb4pex5vsknk084sn02q");
    reached.status(Code::NotFound, changes.get_change(nobody).await);
}

/// Codes that are not there, not all there, or not there any more.
async fn codes(stage: &Stage, reached: &mut Reached) {
    let mut changes = stage.world.client.changes.clone();
    let file = "serial,mac,model,site,position\nGW2-9100001,00:1B:C5:91:00:01,GW-200,MUC-01,Roof\n";
    let imported = stage.world.import_text("codes.csv", file).await;
    assert_eq!(imported.summary.created, 1, "{:?}", imported.rows);
    let reissue = change_action::ReissueCodes::default();
    let request = v1::CreateChangeRequest {
        filter: "serial = \"GW2-9100001\"".into(),
        ..asked(Some(Action::ReissueCodes(reissue)))
    };
    let name = changes.create_change(request).await.unwrap().into_inner().name;
    let list = |token: &str| v1::ListCodesRequest {
        name: name.clone(),
        resume_token: token.into(),
    };
    let keep = v1::AcknowledgeCodesRequest {
        name: name.clone(),
        resume_token: String::new(),
    };
    reached.status(Code::ChangeState, changes.list_codes(list("")).await);
    reached.status(Code::ChangeState, changes.acknowledge_codes(keep.clone()).await);
    reached.status(Code::PageTokenInvalid, changes.list_codes(list("bm8")).await);
    let plan = v1::PlanChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    let planned = changes.plan_change(plan).await.unwrap().into_inner();
    let mut desk = Desk::of(&stage.world);
    desk.start(&planned).await;
    desk.when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    let mut parts = changes.list_codes(list("")).await.unwrap().into_inner();
    let mut resume_token = String::new();
    while let Some(part) = parts.message().await.unwrap() {
        resume_token = part.resume_token;
    }
    let all = v1::AcknowledgeCodesRequest { resume_token, ..keep };
    changes.acknowledge_codes(all).await.unwrap();
    reached.status(Code::CodesErased, changes.list_codes(list("")).await);
}

/// Rules that could ask for nothing.
async fn rules(stage: &Stage, reached: &mut Reached) {
    let request = v1::UpdateApprovalRulesRequest {
        rules: vec![v1::ApprovalRule::default()],
        ..v1::UpdateApprovalRulesRequest::default()
    };
    let mut changes = stage.world.client.changes.clone();
    reached.status(
        Code::ApprovalRulesInvalid,
        changes.update_approval_rules(request.clone()).await,
    );
    let stale = v1::UpdateApprovalRulesRequest {
        rules: Vec::new(),
        etag: "r99".into(),
        ..request
    };
    reached.status(Code::EtagMismatch, changes.update_approval_rules(stale).await);
}

/// Every refusal of this service.
pub(super) async fn changes(stage: &Stage, reached: &mut Reached) {
    descriptions(stage, reached).await;
    rules(stage, reached).await;
    let mut changes = stage.world.client.changes.clone();
    let request = v1::CreateChangeRequest {
        request_id: "one".into(),
        approvals_needed: 1,
        ..asked(Some(Action::RotateCertificate(
            change_action::RotateCertificate {},
        )))
    };
    let made = changes.create_change(request.clone()).await.unwrap().into_inner();
    let other = v1::CreateChangeRequest {
        title: "another".into(),
        ..request
    };
    reached.status(Code::RequestIdReused, changes.create_change(other).await);
    let pause = v1::PauseChangeRequest {
        name: made.name.clone(),
        etag: String::new(),
    };
    reached.status(Code::ChangeState, changes.pause_change(pause.clone()).await);
    let stale = v1::PauseChangeRequest {
        etag: "r99".into(),
        ..pause
    };
    reached.status(Code::EtagMismatch, changes.pause_change(stale).await);
    let plan = v1::PlanChangeRequest {
        name: made.name.clone(),
        etag: made.etag,
    };
    let planned = changes.plan_change(plan).await.unwrap().into_inner();
    let start = v1::StartChangeRequest {
        name: made.name.clone(),
        plan_hash: planned.plan_hash.clone(),
        targets: planned.total.unwrap().total,
    };
    reached.status(Code::ApprovalMissing, changes.start_change(start.clone()).await);
    let more = v1::StartChangeRequest {
        targets: start.targets + 1,
        ..start.clone()
    };
    reached.status(Code::TargetCountMoved, changes.start_change(more).await);
    let another = v1::StartChangeRequest {
        plan_hash: vec![1; 32],
        ..start
    };
    reached.status(Code::ChangePlanMoved, changes.start_change(another).await);
    let approve = v1::ApproveChangeRequest {
        name: made.name.clone(),
        plan_hash: planned.plan_hash,
    };
    reached.status(Code::ApprovalOwn, changes.approve_change(approve).await);
    codes(stage, reached).await;
    let list = v1::ListTargetsRequest {
        name: made.name,
        page_token: "bm8".into(),
        ..v1::ListTargetsRequest::default()
    };
    reached.status(Code::PageTokenInvalid, changes.list_targets(list).await);
}
