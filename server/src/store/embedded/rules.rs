//! The approval rules of the registry: one record, in memory beside the file as the catalog is.

use super::{
    Store,
    record::{Record as _, load_named},
    txn::Txn,
};
use crate::store::{KeptRules, StoreError};
use muster_domain::{
    Refusal, Timestamp,
    audit::{Action, Actor, Event},
    change::ApprovalRules,
};
use redb::ReadableTable;
use std::sync::Arc;

/// [`KeptRules`], in the table of what the registry knows of itself.
const APPROVAL_RULES: &str = "approval_rules";

impl Store {
    /// As of the last commit.
    pub fn approval_rules(&self) -> Arc<KeptRules> {
        self.live().approval_rules()
    }

    /// Replaces all rules, and writes those before and after into the audit log; the same ones again change nothing.
    pub async fn update_approval_rules(
        &self,
        rules: ApprovalRules,
        expected_revision: Option<u64>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<Arc<KeptRules>, Refusal>, StoreError> {
        self.write(move |txn| update(txn, &rules, expected_revision, &actor, now))
            .await
    }
}

/// The rules on record; none before there were any.
pub(super) fn load(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<KeptRules, StoreError> {
    Ok(load_named(table, APPROVAL_RULES)?.unwrap_or_default())
}

fn update(
    txn: &mut Txn<'_>,
    rules: &ApprovalRules,
    expected_revision: Option<u64>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Arc<KeptRules>, Refusal>, StoreError> {
    let known = Arc::clone(&txn.rules);
    if let Err(refusal) = known.expect(expected_revision) {
        return Ok(Err(refusal));
    }
    if known.rules == *rules {
        return Ok(Ok(known));
    }
    let kept = KeptRules {
        revision: known.revision + 1,
        rules: rules.clone(),
    };
    let bytes = kept.encode()?;
    txn.write().registry.insert(APPROVAL_RULES, bytes.as_slice())?;
    let event = Event::new(now, actor.clone(), Action::ApprovalRulesUpdated, "approvalRules");
    txn.audit(
        &event
            .with("revision", kept.revision)
            .with("before", &known.rules)
            .with("after", rules),
    )?;
    txn.replace_rules(kept);
    // What is shown of changes that are planned follows from the rules.
    txn.move_changes();
    Ok(Ok(Arc::clone(&txn.rules)))
}
