//! Targets whose turn it is: what each is to be is rendered before the transaction that says so.

use super::super::{Service, blocking};
use crate::{fault::Failure, store::Turn};
use muster_domain::{
    Refusal,
    catalog::Catalog,
    change::{Action, Target},
    desired::Digests,
    device::Device,
};
use std::sync::Arc;

/// What a target is to become.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// What the change wants.
    Action(Action),
    /// What it had.
    Former,
}

impl Goal {
    /// The device with what it is to pin; none where its content stays.
    fn pins(&self, target: &Target, device: &Device) -> Option<Device> {
        match self {
            Self::Action(action) => action.pins(device),
            Self::Former => target.former.pins(device),
        }
    }
}

impl Service {
    /// Renders what these targets are to become, on two threads.
    pub(super) async fn turns(
        &self,
        goal: Goal,
        mut found: Vec<(Target, Option<Device>)>,
    ) -> Result<Vec<Turn>, Failure> {
        let catalog = self.store.catalog();
        let rest = found.split_off(found.len() / 2);
        let half = |part| {
            let (catalog, goal) = (Arc::clone(&catalog), goal.clone());
            blocking("render what a change wants", move || {
                rendered(&catalog, &goal, part)
            })
        };
        let (mut turns, more) = tokio::try_join!(half(found), half(rest))?;
        turns.extend(more);
        Ok(turns)
    }
}

fn rendered(catalog: &Catalog, goal: &Goal, part: Vec<(Target, Option<Device>)>) -> Vec<Turn> {
    let mut digests = Digests::new(catalog);
    let turn = |(target, device): (Target, Option<Device>)| match device {
        Some(device) => {
            let content = match goal.pins(&target, &device) {
                Some(pinned) => digests.of(&pinned).map_err(|refusals| reasons(&refusals)),
                None => Ok(device.target.digest),
            };
            let becomes = match goal {
                Goal::Action(action) if action.has_content() => Some(digests.part(action.facets())),
                Goal::Action(_) | Goal::Former => None,
            };
            Turn {
                target,
                revision: device.revision,
                content,
                becomes,
            }
        }
        // The transaction finds that it is gone.
        None => Turn {
            target,
            revision: 0,
            content: Err("it is not registered any more".into()),
            becomes: None,
        },
    };
    part.into_iter().map(turn).collect()
}

fn reasons(refusals: &[Refusal]) -> String {
    let reasons: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    reasons.join("; ")
}
