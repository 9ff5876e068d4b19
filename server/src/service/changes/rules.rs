//! Approval rules: who asks for approvals of which changes.

use super::super::{OrFault as _, Service, actor};
use crate::{fault::Failure, store::KeptRules};
use muster_domain::{
    Refusal,
    access::Permit,
    change::{ApprovalRuleSource, ApprovalRules, ChangeRecord},
};
use std::{borrow::Cow, sync::Arc};

impl Service {
    /// The change as it would be started now: rules that are stricter than when it was planned count too.
    pub(crate) fn under_rules<'r>(&self, record: &'r ChangeRecord) -> Cow<'r, ChangeRecord> {
        let (kept, counts) = (self.store.approval_rules(), self.store.counts());
        record.under(&kept.rules, counts.in_service())
    }

    /// Replaces the approval rules, or only checks them. The inner error lists every mistake.
    ///
    /// # Errors
    /// [`muster_domain::Code::EtagMismatch`]; or a fault.
    pub async fn update_approval_rules(
        &self,
        permit: &Permit,
        sources: Vec<ApprovalRuleSource>,
        expected_revision: Option<u64>,
        validate_only: bool,
    ) -> Result<Result<Arc<KeptRules>, Vec<Refusal>>, Failure> {
        let actor = actor(permit)?;
        let rules = match ApprovalRules::check(sources) {
            Ok(rules) => rules,
            Err(problems) => return Ok(Err(problems)),
        };
        if validate_only {
            let known = self.store.approval_rules();
            known.expect(expected_revision)?;
            let revision = known.revision;
            return Ok(Ok(Arc::new(KeptRules { revision, rules })));
        }
        let now = self.clock.now();
        let updated = self
            .store
            .update_approval_rules(rules, expected_revision, actor, now);
        Ok(Ok(updated.await.or_fault("update the approval rules")??))
    }
}
