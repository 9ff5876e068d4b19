//! What operators say to a change.

use super::{
    book::{self, Book, others},
    create::find,
};
use crate::store::{
    ChangeOrder, StoreError,
    embedded::{Store, counts, record::Record as _, txn::Txn},
};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    change::{Accepted, ChangeRecord, ChangeState, ChangeStep, Demands, Standing, Target},
    ids::ChangeId,
    names::OperatorName,
};
use redb::ReadableTable as _;

/// Targets that one transaction tries again: a second, in which nobody else writes. Whoever has more asks again.
pub const RETRY_PART: usize = 50_000;

impl Store {
    /// Takes a change where an operator wants it; the change then, and how many targets wait to be tried again.
    pub async fn order_change(
        &self,
        id: ChangeId,
        order: ChangeOrder,
        expected_revision: Option<u64>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<(ChangeRecord, u32), Refusal>, StoreError> {
        self.write(move |txn| self::order(txn, id, &order, expected_revision, &actor, now))
            .await
    }
}

/// Is the change the one that its caller has seen?
pub(super) fn expect(record: &ChangeRecord, revision: Option<u64>) -> Result<(), Refusal> {
    match revision {
        Some(expected) if expected != record.change.revision => {
            let why = format!(
                "the change has revision {}, not {expected}",
                record.change.revision
            );
            Err(Refusal::new(Code::EtagMismatch, why).at("etag"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Nobody stands for a plan any more who is shut out. Changes are few beside their targets, so all of them are looked at.
pub(in crate::store::embedded) fn void_approvals(
    txn: &mut Txn<'_>,
    operator: &OperatorName,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut voided = Vec::new();
    for entry in txn.tables().changes.iter()? {
        // One that cannot be read cannot be started either, and must not keep anybody from being shut out.
        let Ok(record) = ChangeRecord::from_guard(entry?.1) else {
            continue;
        };
        if let Some(change) = record.change.clone().without_approval_of(operator) {
            voided.push(ChangeRecord { change, ..record });
        }
    }
    for record in voided {
        book::put(txn, &record)?;
        let event = Event::new(
            now,
            Actor::System,
            Action::ChangeApprovalVoided,
            record.change.name(),
        );
        txn.audit(&event.with("operator", operator))?;
    }
    Ok(())
}

fn order(
    txn: &mut Txn<'_>,
    id: ChangeId,
    order: &ChangeOrder,
    expected_revision: Option<u64>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<(ChangeRecord, u32), Refusal>, StoreError> {
    let record = match find(txn, id)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = expect(&record, expected_revision) {
        return Ok(Err(refusal));
    }
    let again = match order {
        ChangeOrder::Retry => to_retry(txn, &record)?,
        ChangeOrder::Approve(..)
        | ChangeOrder::Start(..)
        | ChangeOrder::Pause
        | ChangeOrder::Resume
        | ChangeOrder::Abort
        | ChangeOrder::RollBack => Vec::new(),
    };
    let demands = txn
        .rules
        .rules
        .demands(&record.change, record.reach(counts::in_service(txn)?));
    let step = match step(order, &record, demands, &again) {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let change = match record.change.clone().step(step, now) {
        Ok(change) => change,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut book = Book::of(ChangeRecord {
        change,
        closed: false,
        ..record
    });
    for target in &again {
        book.moved(txn, id, target, target.state.clone().retried())?;
    }
    let record = book.record(txn.tables(), id)?.clone();
    book.close(txn)?;
    txn.audit(&event(order, &record, again.len(), actor, now))?;
    Ok(Ok((record, u32::try_from(again.len()).unwrap_or(u32::MAX))))
}

/// The step that an order means now, when this is what approval rules ask.
fn step(
    order: &ChangeOrder,
    record: &ChangeRecord,
    demands: Demands,
    again: &[Target],
) -> Result<ChangeStep, Refusal> {
    Ok(match order {
        ChangeOrder::Approve(operator, plan) => ChangeStep::Approve(operator.clone(), *plan),
        ChangeOrder::Start(plan, targets) => {
            let known = record.total().total();
            if let ChangeState::Planned { plan: listed } = record.change.state
                && listed == *plan
                && known != *targets
            {
                let why = format!("the plan has {known} targets, not {targets}");
                return Err(Refusal::new(Code::TargetCountMoved, why).at("targets"));
            }
            ChangeStep::Start(*plan, demands)
        }
        ChangeOrder::Pause => ChangeStep::Pause,
        ChangeOrder::Resume => ChangeStep::Resume(record.tallies.iter().map(Accepted::of).collect()),
        ChangeOrder::Abort => ChangeStep::Abort,
        ChangeOrder::RollBack => ChangeStep::RollBack,
        ChangeOrder::Retry => match again.iter().map(|target| target.stage).min() {
            Some(first) => ChangeStep::Retry(first),
            None => {
                let why = "none of its targets failed or stayed silent";
                return Err(Refusal::new(Code::ChangeState, why));
            }
        },
    })
}

/// Failed and silent targets that no other change is about, as many as one call takes.
fn to_retry(txn: &Txn<'_>, record: &ChangeRecord) -> Result<Vec<Target>, StoreError> {
    let (tables, change) = (txn.tables(), &record.change);
    let mut found = Vec::new();
    for stage in 0..u16::try_from(record.tallies.len()).unwrap_or(u16::MAX) {
        for standing in [Standing::Failed, Standing::TimedOut] {
            let standing = book::standing_key(standing);
            let (id, left) = (change.id.as_u128(), RETRY_PART - found.len());
            let range = (id, stage, standing, 0)..=(id, stage, standing, u128::MAX);
            for entry in tables.targets.range(range)?.take(left) {
                let target = Target::from_guard(entry?.1)?;
                let facets = change.action.facets();
                let others = others(&tables.holders, target.device, facets, change.id)?;
                if others.is_empty() {
                    found.push(target);
                }
            }
        }
    }
    Ok(found)
}

fn event(order: &ChangeOrder, record: &ChangeRecord, again: usize, actor: &Actor, now: Timestamp) -> Event {
    let event = |action| Event::new(now, actor.clone(), action, record.change.name());
    match order {
        ChangeOrder::Approve(_, plan) => event(Action::ChangeApproved).with("plan", plan),
        ChangeOrder::Start(plan, targets) => event(Action::ChangeStarted)
            .with("plan", plan)
            .with("targets", targets)
            .with("approvals_needed", record.change.needs())
            .with("approved_by", approvers(record)),
        ChangeOrder::Pause => event(Action::ChangePaused),
        ChangeOrder::Resume => {
            let total = record.total();
            event(Action::ChangeResumed)
                .with("failed", total.count(Standing::Failed))
                .with("silent", total.count(Standing::TimedOut))
        }
        ChangeOrder::Abort => event(Action::ChangeAborted),
        ChangeOrder::RollBack => event(Action::ChangeRollbackStarted),
        ChangeOrder::Retry => event(Action::ChangeRetried).with("targets", again),
    }
}

/// Who stands for the plan.
fn approvers(record: &ChangeRecord) -> String {
    let approvals = record.change.approvals.iter();
    let names: Vec<_> = approvals.map(|approval| approval.operator.as_str()).collect();
    names.join(", ")
}
