//! Approval rules: what they ask of a plan, of whom, and until when.

use super::{Desk, asked, publish, revise, strategy};
use muster_domain::{Code, access::Role};
use muster_proto::v1::{
    self, ApprovalRule, Change, approval_rule::Kind, change::State, change_action::Action,
    changes_client::ChangesClient, share::Share,
};
use muster_tests::{Pair, World, grpc};
use tonic::{Response, Status, transport::Channel};

/// So many approvals for changes of a profile that are about more devices than these.
fn rule(name: &str, above: u32, approvals: u32) -> ApprovalRule {
    ApprovalRule {
        name: name.into(),
        actions: vec![Kind::Profile.into()],
        above: Some(v1::Share {
            share: Some(Share::Count(above)),
        }),
        approvals,
        ..ApprovalRule::default()
    }
}

async fn set(desk: &mut Desk, rules: &[ApprovalRule]) -> String {
    let request = v1::UpdateApprovalRulesRequest {
        rules: rules.to_vec(),
        ..v1::UpdateApprovalRulesRequest::default()
    };
    let kept = desk
        .changes
        .update_approval_rules(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(kept.rules, rules);
    kept.etag
}

fn start(planned: &Change) -> v1::StartChangeRequest {
    v1::StartChangeRequest {
        name: planned.name.clone(),
        plan_hash: planned.plan_hash.clone(),
        targets: planned.total.unwrap().total,
    }
}

fn approve(planned: &Change) -> v1::ApproveChangeRequest {
    v1::ApproveChangeRequest {
        name: planned.name.clone(),
        plan_hash: planned.plan_hash.clone(),
    }
}

fn changes(world: &World, pair: &Pair) -> ChangesClient<Channel> {
    ChangesClient::new(world.channel(Some(pair)))
}

fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (Option<Code>, String) {
    let status = answer.unwrap_err();
    (grpc::refusal(&status), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_asks_for_approvals_of_others() {
    let world = World::start().await;
    world.gateways(3).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    set(&mut desk, &[rule("many", 2, 1), rule("more", 3, 2)]).await;
    let planned = desk.planned(asked(publish(2), strategy(0))).await;
    assert_eq!(planned.approvals_needed, 1);
    let demands: Vec<_> = planned
        .demands
        .iter()
        .map(|one| (one.rule.as_str(), one.scope.as_str(), one.approvals))
        .collect();
    assert_eq!(demands, [("many", "profile, over 2 devices", 1)]);
    assert!(
        planned
            .summary
            .ends_with("1 approval is missing: rule many asks for 1 (profile, over 2 devices)"),
        "{}",
        planned.summary
    );
    let (code, why) = refused(desk.changes.start_change(start(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalMissing));
    assert!(why.contains("rule many asks for 1"), "{why}");
    let (code, _) = refused(desk.changes.approve_change(approve(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalOwn));
    let april = world.operator("april", Role::Approver).await;
    changes(&world, &april)
        .approve_change(approve(&planned))
        .await
        .unwrap();
    // Stricter since: what is shown says so before it is tried.
    set(&mut desk, &[rule("many", 2, 2)]).await;
    let now = desk.get(&planned.name).await;
    assert_eq!((now.approvals_needed, now.approvals.len()), (2, 1));
    assert_eq!(
        now.next,
        [format!(
            "muster change approve {} --plan {}",
            planned.name.trim_start_matches("changes/"),
            hex(&planned.plan_hash)
        )]
    );
    let (code, why) = refused(desk.changes.start_change(start(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalMissing));
    assert!(
        why.contains("1 of 2 approvals are there: rule many asks for 2"),
        "{why}"
    );
    // Laxer since: what was asked at its plan still is.
    set(&mut desk, &[]).await;
    assert_eq!(desk.get(&planned.name).await.approvals_needed, 1);
    desk.start(&planned).await;
    let told = world.audit().await;
    let started = told
        .iter()
        .find(|entry| entry["action"] == "change_started")
        .unwrap();
    assert_eq!(started["detail"]["approved_by"], "april");
    assert_eq!(world.audited("approval_rules_updated").await, 3);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_plan_is_asked_and_approved_anew() {
    let world = World::start().await;
    world.gateways(2).await;
    // A row needs nothing but a serial from then on.
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    let many = ApprovalRule {
        actions: vec![Kind::Retire.into(), Kind::Relabel.into()],
        ..rule("many", 2, 1)
    };
    set(&mut desk, &[many]).await;
    let label = Action::Relabel(v1::change_action::Relabel {
        set: [("ring".to_owned(), "canary".to_owned())].into(),
        remove: Vec::new(),
    });
    let small = desk.planned(asked(label, strategy(0))).await;
    assert_eq!((small.approvals_needed, small.demands.len()), (0, 0));
    // Another device makes it large.
    world
        .import_text("more.csv", "serial,model\nGW2-9000001,GW-200\n")
        .await;
    let replan = v1::PlanChangeRequest {
        name: small.name.clone(),
        etag: String::new(),
    };
    let large = desk
        .changes
        .plan_change(replan.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((large.total.unwrap().total, large.approvals_needed), (3, 1));
    let april = world.operator("april", Role::Approver).await;
    let mut april = changes(&world, &april);
    april.approve_change(approve(&large)).await.unwrap();
    world
        .import_text("more.csv", "serial,model\nGW2-9000002,GW-200\n")
        .await;
    let larger = desk.changes.plan_change(replan).await.unwrap().into_inner();
    assert_eq!((larger.approvals.len(), larger.approvals_needed), (0, 1));
    let (code, _) = refused(desk.changes.start_change(start(&larger)).await);
    assert_eq!(code, Some(Code::ApprovalMissing));
    let (code, _) = refused(april.approve_change(approve(&large)).await);
    assert_eq!(code, Some(Code::ChangePlanMoved));
    april.approve_change(approve(&larger)).await.unwrap();
    desk.start(&larger).await;
    desk.when(&larger.name, "it is done", |change| change.state() == State::Done)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_who_has_two_certificates_is_one_person() {
    let world = World::start().await;
    world.gateways(3).await;
    let mut desk = Desk::of(&world);
    set(
        &mut desk,
        &[ApprovalRule {
            name: "all".into(),
            approvals: 2,
            ..ApprovalRule::default()
        }],
    )
    .await;
    // An author with another certificate over the same key, which even has another name.
    let olga = world.operator("olga", Role::Admin).await;
    let other = world.certified_again(&olga, "somebody");
    let mut olga = changes(&world, &olga);
    let made = olga.create_change(asked(
        Action::RotateCertificate(v1::change_action::RotateCertificate {}),
        strategy(0),
    ));
    let made = made.await.unwrap().into_inner();
    let request = v1::PlanChangeRequest {
        name: made.name,
        etag: made.etag,
    };
    let planned = olga.plan_change(request).await.unwrap().into_inner();
    let (code, _) = refused(changes(&world, &other).approve_change(approve(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalOwn));
    // And so has an approver: they are counted once.
    let april = world.operator("april", Role::Approver).await;
    let again = world.certified_again(&april, "june");
    for pair in [&april, &again] {
        let approved = changes(&world, pair).approve_change(approve(&planned)).await;
        let approvals = approved.unwrap().into_inner().approvals;
        assert_eq!(approvals.len(), 1, "{approvals:?}");
        assert_eq!(approvals[0].operator, "operators/april");
    }
    let (code, _) = refused(olga.start_change(start(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalMissing));
    // Admins approve as well, if it is not their own.
    desk.changes.approve_change(approve(&planned)).await.unwrap();
    olga.start_change(start(&planned)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_nobody_stands_for_a_plan_any_more_who_is_shut_out() {
    let world = World::start().await;
    world.gateways(3).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    set(&mut desk, &[rule("many", 2, 1)]).await;
    let planned = desk.planned(asked(publish(2), strategy(0))).await;
    let april = world.operator("april", Role::Approver).await;
    let approved = changes(&world, &april).approve_change(approve(&planned)).await;
    assert_eq!(approved.unwrap().into_inner().approvals.len(), 1);
    let disable = v1::DisableOperatorRequest {
        name: "operators/april".into(),
    };
    world
        .client
        .access
        .clone()
        .disable_operator(disable)
        .await
        .unwrap();
    let now = desk.get(&planned.name).await;
    assert_eq!(
        (now.approvals.len(), now.plan_hash == planned.plan_hash),
        (0, true)
    );
    let (code, _) = refused(desk.changes.start_change(start(&planned)).await);
    assert_eq!(code, Some(Code::ApprovalMissing));
    assert_eq!(world.audited("change_approval_voided").await, 1);
    // Somebody else may.
    let may = world.operator("may", Role::Approver).await;
    changes(&world, &may)
        .approve_change(approve(&planned))
        .await
        .unwrap();
    desk.start(&planned).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_checked_and_replaced_by_admins() {
    let world = World::builder().without_catalog().start().await;
    let mut desk = Desk::of(&world);
    let etag = set(&mut desk, &[rule("many", 2, 1)]).await;
    let update = |rules: &[ApprovalRule], etag: &str, validate_only| v1::UpdateApprovalRulesRequest {
        rules: rules.to_vec(),
        etag: etag.into(),
        validate_only,
    };
    let (code, _) = refused(desk.changes.update_approval_rules(update(&[], "r0", false)).await);
    assert_eq!(code, Some(Code::EtagMismatch));
    let (code, _) = refused(desk.changes.update_approval_rules(update(&[], "r0", true)).await);
    assert_eq!(code, Some(Code::EtagMismatch));
    let tried = desk
        .changes
        .update_approval_rules(update(&[], &etag, true))
        .await
        .unwrap();
    assert_eq!(tried.into_inner().rules, []);
    let wrong = [rule("a", 1, 1), rule("a", 1, 0), rule("b", 1, 9)];
    let status = desk
        .changes
        .update_approval_rules(update(&wrong, "", false))
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&status), Some(Code::ApprovalRulesInvalid));
    let fields = grpc::fields(&status);
    assert_eq!(
        fields,
        ["rules[1].name", "rules[1].approvals", "rules[2].approvals"]
    );
    let mut unknown = rule("a", 1, 1);
    unknown.actions = vec![Kind::Retire.into(), 99];
    let status = desk
        .changes
        .update_approval_rules(update(&[unknown], "", false))
        .await
        .unwrap_err();
    assert_eq!(grpc::fields(&status), ["rules[0].actions[1]"]);
    // Operators run the fleet, and only read who stands in their way.
    let olga = world.operator("olga", Role::Operator).await;
    let mut olga = changes(&world, &olga);
    let (code, _) = refused(olga.update_approval_rules(update(&[], "", false)).await);
    assert_eq!(code, Some(Code::NotPermitted));
    let kept = olga
        .get_approval_rules(v1::GetApprovalRulesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((kept.rules, kept.etag), (vec![rule("many", 2, 1)], etag));
}
