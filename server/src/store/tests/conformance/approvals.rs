//! Approval rules, and what they ask of changes.

use super::changes::{audited, fleet};
use crate::store::{
    ChangeOrder, Store,
    tests::{
        build::{alice, at},
        drive::{PLAN, change, change_id, order, plan, planned},
    },
};
use muster_domain::{
    Code,
    change::{ApprovalRuleSource, ApprovalRules, Share},
};

/// One rule: so many approvals for changes of more devices than this.
fn rule(approvals: u32, above: Share) -> ApprovalRules {
    let source = ApprovalRuleSource {
        name: "big".into(),
        above: Some(above),
        approvals,
        ..ApprovalRuleSource::default()
    };
    ApprovalRules::check(vec![source]).unwrap()
}

async fn set(store: &Store, rules: ApprovalRules) -> u64 {
    let updated = store.update_approval_rules(rules, None, alice(), at(1)).await;
    updated.unwrap().unwrap().revision
}

pub(super) async fn rules_are_replaced_as_a_whole_and_audited(store: &Store) {
    assert_eq!(store.approval_rules().revision, 0);
    let (one, two) = (rule(1, Share::Count(5)), rule(2, Share::Count(5)));
    assert_eq!(set(store, one.clone()).await, 1);
    assert_eq!(set(store, one.clone()).await, 1, "the same again");
    let stale = store
        .update_approval_rules(two.clone(), Some(0), alice(), at(1))
        .await;
    assert_eq!(stale.unwrap().unwrap_err().code, Code::EtagMismatch);
    assert_eq!(store.approval_rules().rules, one);
    let updated = store
        .update_approval_rules(two.clone(), Some(1), alice(), at(1))
        .await;
    assert_eq!(updated.unwrap().unwrap().rules, two);
    assert_eq!(set(store, ApprovalRules::default()).await, 3);
    assert_eq!(store.approval_rules().rules, ApprovalRules::default());
    let told: Vec<_> = audited(store, "approval_rules_updated").await;
    let told: Vec<_> = told
        .iter()
        .map(|entry| (&entry["detail"]["before"], &entry["detail"]["after"]))
        .collect();
    let [one, two] = [1, 2].map(|count| serde_json::json!(format!("big: {count} (over 5 devices)")));
    let none = serde_json::json!("");
    assert_eq!(told, [(&none, &one), (&one, &two), (&two, &none)]);
}

pub(super) async fn a_plan_needs_what_rules_ask_then_or_now(store: &Store) {
    let devices = fleet(store, 3).await;
    // Six devices are there: three are not more than half of them, and more than 30 %.
    set(store, rule(1, Share::PerMille(500))).await;
    let record = planned(store, change(9), &devices).await;
    assert_eq!(record.change.needs(), 0);
    set(store, rule(1, Share::PerMille(300))).await;
    assert_eq!(plan(store, change_id(9), &devices).await.change.needs(), 1);
    let start = || order(store, change_id(9), ChangeOrder::Start(PLAN, 3));
    assert_eq!(start().await.unwrap_err().code, Code::ApprovalMissing);
    let approve = |name: &str| ChangeOrder::Approve(name.parse().unwrap(), PLAN);
    order(store, change_id(9), approve("bob")).await.unwrap();
    // Stricter since; then none at all, and what was asked at its plan still counts.
    set(store, rule(2, Share::PerMille(300))).await;
    let refused = start().await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (
            Code::ApprovalMissing,
            "1 of 2 approvals are there: rule big asks for 2 (over 30% of the fleet)"
        )
    );
    set(store, ApprovalRules::default()).await;
    let started = start().await.unwrap();
    assert_eq!(started.change.needs(), 1);
    let told = audited(store, "change_started").await;
    let detail = &told[0]["detail"];
    assert_eq!(
        (&detail["approvals_needed"], &detail["approved_by"]),
        (&"1".into(), &"bob".into())
    );
}
