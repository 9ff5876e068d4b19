//! What operators say to a change that is planned.

use super::super::{OrFault as _, Service, actor, operator};
use crate::{
    fault::Failure,
    store::{ChangeOrder, RETRY_PART, TargetPage, TargetQuery},
};
use muster_domain::{access::Permit, batch::PlanHash, change::ChangeRecord, ids::ChangeId};
use std::time::Duration;
use tokio::sync::mpsc;

/// Least time between two words about one change: its counts can move a thousand times a second, and nobody reads that.
const BREATH: Duration = Duration::from_millis(250);

impl Service {
    /// Stands for the plan of that name.
    ///
    /// # Errors
    /// Refusals of the step; or a fault.
    pub async fn approve_change(
        &self,
        permit: &Permit,
        id: ChangeId,
        plan: PlanHash,
    ) -> Result<ChangeRecord, Failure> {
        let approver = operator(permit)?.name.clone();
        let order = ChangeOrder::Approve(approver, plan);
        Ok(self.order_change(permit, id, order, None).await?.0)
    }

    /// Takes a change where an operator wants it; the worker does the rest. The change then, and how many targets wait to be tried
    /// again.
    ///
    /// # Errors
    /// Refusals of the step; or a fault.
    pub async fn order_change(
        &self,
        permit: &Permit,
        id: ChangeId,
        order: ChangeOrder,
        expected_revision: Option<u64>,
    ) -> Result<(ChangeRecord, u32), Failure> {
        let (actor, now) = (actor(permit)?, self.clock.now());
        let ordered = self
            .store
            .order_change(id, order.clone(), expected_revision, actor.clone(), now)
            .await;
        let (mut record, mut again) = ordered.or_fault("take a change further")??;
        let mut part = again;
        // Many are tried again in parts, so that others can write between them.
        while order == ChangeOrder::Retry && usize::try_from(part).is_ok_and(|part| part >= RETRY_PART) {
            let more = self
                .store
                .order_change(id, order.clone(), None, actor.clone(), now)
                .await;
            let Ok(more) = more.or_fault("take a change further")? else {
                // None was left, or somebody stopped it meanwhile; what was told stays.
                break;
            };
            (record, part) = more;
            again = again.saturating_add(part);
        }
        Ok((record, again))
    }

    /// One page of the devices that a change found.
    ///
    /// # Errors
    /// [`muster_domain::Code::NotFound`]; or a fault.
    pub async fn list_targets(&self, query: TargetQuery) -> Result<TargetPage, Failure> {
        self.change(query.change).await?;
        Ok(self
            .store
            .list_targets(query)
            .await
            .or_fault("list targets of a change")?)
    }

    /// Tells a change as it is, then whenever it moved, until it is over.
    ///
    /// # Errors
    /// [`muster_domain::Code::NotFound`]; or a fault.
    pub async fn watch_change(
        &self,
        id: ChangeId,
        telling: mpsc::Sender<Result<ChangeRecord, Failure>>,
    ) -> Result<(), Failure> {
        let first = self.change(id).await?;
        let first = self.under_rules(&first).into_owned();
        tokio::spawn(watch(self.clone(), first, telling));
        Ok(())
    }
}

async fn watch(service: Service, first: ChangeRecord, telling: mpsc::Sender<Result<ChangeRecord, Failure>>) {
    let mut moved = service.store.changes_moved();
    let (id, mut told) = (first.change.id, first.clone());
    let mut word = Some(Ok(first));
    loop {
        if let Some(word) = word.take()
            && telling.send(word).await.is_err()
        {
            return;
        }
        if told.closed {
            return;
        }
        tokio::select! {
            () = service.stopping.cancelled() => {
                drop(telling.send(Err(super::super::stopping().into())).await);
                return;
            }
            () = telling.closed() => return,
            changed = moved.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(BREATH).await;
        let now = service.change(id).await;
        word = match now.map(|now| service.under_rules(&now).into_owned()) {
            Ok(now) if now == told => None,
            Ok(now) => {
                told = now.clone();
                Some(Ok(now))
            }
            Err(failure) => {
                drop(telling.send(Err(failure)).await);
                return;
            }
        };
    }
}
