//! Targets whose turn it is: what each is to be is rendered before the transaction that says so.

use super::{
    super::{OrFault as _, Service, blocking},
    codes::Coder,
};
use crate::{
    fault::Failure,
    store::{Seen, StoreError, Turn},
};
use muster_domain::{
    Refusal, Timestamp,
    activation::CodeHash,
    catalog::Catalog,
    change::{Action, Target},
    desired::Digests,
    device::Device,
    ids::ChangeId,
};
use std::sync::Arc;

/// What a target is to become.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// What the change wants, with what makes its codes if it gives out any.
    Action(Action, Option<Coder>),
    /// What it had.
    Former,
}

impl Goal {
    /// The device with what it is to pin; none where its content stays.
    fn pins(&self, target: &Target, device: &Device) -> Option<Device> {
        match self {
            Self::Action(action, _) => action.pins(device),
            Self::Former => target.former.pins(device),
        }
    }

    /// What is kept of the code that the device gets; none where it gets none.
    fn code(&self, target: &Target) -> Option<CodeHash> {
        match self {
            Self::Action(_, coder) => coder.as_ref().map(|coder| coder.hash(target.device)),
            Self::Former => None,
        }
    }
}

impl Service {
    /// Renders what these targets of a change are to become, on two threads.
    pub(super) async fn turns(
        &self,
        change: ChangeId,
        goal: Goal,
        mut found: Vec<(Target, Option<Seen>)>,
    ) -> Result<Vec<Turn>, Failure> {
        let (catalog, now) = (self.store.catalog(), self.clock.now());
        let rest = found.split_off(found.len() / 2);
        let half = |part| {
            let (catalog, goal) = (Arc::clone(&catalog), goal.clone());
            blocking("render what a change wants", move || {
                rendered(&catalog, change, &goal, part, now)
            })
        };
        let (turns, more) = tokio::try_join!(half(found), half(rest))?;
        let doing = "render what a change wants";
        let mut turns = turns.or_fault(doing)?;
        turns.extend(more.or_fault(doing)?);
        Ok(turns)
    }
}

fn rendered(
    catalog: &Catalog,
    change: ChangeId,
    goal: &Goal,
    part: Vec<(Target, Option<Seen>)>,
    now: Timestamp,
) -> Result<Vec<Turn>, StoreError> {
    let mut digests = Digests::new(catalog);
    let turn = |(target, seen): (Target, Option<Seen>)| {
        let pinned = seen.as_ref().and_then(|seen| goal.pins(&target, &seen.device));
        let content = match (&seen, &pinned) {
            (Some(_), Some(pinned)) => digests.of(pinned).map_err(|refusals| reasons(&refusals)),
            (Some(seen), None) => Ok(seen.device.target.digest),
            // The transaction finds that it is gone.
            (None, _) => Err("it is not registered any more".into()),
        };
        let becomes = match goal {
            Goal::Action(action, _) if action.has_content() && seen.is_some() => {
                Some(digests.part(action.facets()))
            }
            Goal::Action(..) | Goal::Former => None,
        };
        let code = goal.code(&target);
        let turn = Turn::new(change, target, seen, pinned, content, becomes, now)?;
        Ok(match code {
            Some(code) => turn.with_code(code),
            None => turn,
        })
    };
    part.into_iter().map(turn).collect()
}

fn reasons(refusals: &[Refusal]) -> String {
    let reasons: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    reasons.join("; ")
}
