//! Changes are performed: step by step, each durable before the next, so that a server that comes back goes on where it was.

use super::{
    super::{OrFault as _, Service},
    turns::Goal,
};
use crate::{
    fault::Failure,
    mqtt::bus::Down,
    store::{Advance, Began},
};
use muster_domain::{
    change::Action,
    ids::{ChangeId, DeviceId},
};
use std::{collections::BTreeMap, sync::atomic::Ordering};

/// Targets that are begun together: few enough that a halt comes soon after what caused it.
const AT_ONCE: usize = 2000;

impl Service {
    /// Does all that can be done for changes now. For the worker that does so all the time, and for whoever cannot wait for it.
    ///
    /// # Errors
    /// Faults of the store; what was done is done. A fault of one change holds up no other: it is given when the others
    /// can go no further.
    pub async fn work_changes(&self) -> Result<(), Failure> {
        let _turn = self.turns.performing.lock().await;
        let mut broken = BTreeMap::new();
        loop {
            let now = self.clock.now();
            let passed = self.store.pass_time(now).await;
            let mut stirred = passed.or_fault("time targets out")? > 0;
            let open = self.store.open_changes().await.or_fault("look for changes")?;
            for id in open.into_iter().map(|record| record.change.id) {
                if self.stopping.is_cancelled() {
                    return Ok(());
                }
                if broken.contains_key(&id) {
                    continue;
                }
                match self.perform(id).await {
                    Ok(did) => stirred |= did,
                    Err(failure) => drop(broken.insert(id, failure)),
                }
            }
            if !stirred {
                return broken.into_values().next().map_or(Ok(()), Err);
            }
        }
    }

    /// One step of a change; false when there is none.
    async fn perform(&self, id: ChangeId) -> Result<bool, Failure> {
        let advanced = self.store.advance_change(id, self.clock.now()).await;
        match advanced.or_fault("take a change further")? {
            Advance::Stepped => Ok(true),
            Advance::Halted => {
                self.changes_done().halts.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            Advance::Begin(stage, most) => self.begin(id, stage, most).await,
            Advance::Revert => self.revert(id).await,
            Advance::Wait => Ok(false),
        }
    }

    async fn begin(&self, id: ChangeId, stage: u16, most: u32) -> Result<bool, Failure> {
        let record = self.change(id).await?;
        let action = record.change.action.clone();
        let most = usize::try_from(most).unwrap_or(AT_ONCE).min(AT_ONCE);
        let found = self.store.next_turns(record, stage, most, self.clock.now()).await;
        let found = found.or_fault("look for targets")?;
        if found.is_empty() {
            return Ok(false);
        }
        let turns = self.turns(Goal::Action(action.clone()), found).await?;
        let began = self.store.begin_targets(id, turns, self.clock.now()).await;
        let Began { devices, moved } = began.or_fault("begin targets")?;
        let begun = u64::try_from(devices.len()).unwrap_or(u64::MAX);
        self.changes_done().begun.fetch_add(begun, Ordering::Relaxed);
        for device in devices {
            self.tell_of(&action, device);
        }
        Ok(moved > 0)
    }

    async fn revert(&self, id: ChangeId) -> Result<bool, Failure> {
        let record = self.change(id).await?;
        let action = record.change.action.clone();
        let found = self.store.next_reverts(record, AT_ONCE).await;
        let turns = self
            .turns(Goal::Former, found.or_fault("look for targets")?)
            .await?;
        let reverted = self.store.revert_targets(id, turns, self.clock.now()).await;
        let Began { devices, moved } = reverted.or_fault("give devices back what they had")?;
        for device in devices {
            match action {
                // It was let in, and is shut out again.
                Action::Resume => self.tell(Down::Kick(device)),
                Action::Suspend(_) | Action::Retire(_) | Action::RotateCertificate => {}
                Action::Profile(..)
                | Action::FirmwarePolicy(..)
                | Action::Move(_)
                | Action::Relabel(_)
                | Action::Place(_) => {
                    self.tell(Down::DesiredChanged(device));
                }
            }
        }
        Ok(moved > 0)
    }

    /// Tells the gates what a change made of a device.
    fn tell_of(&self, action: &Action, device: DeviceId) {
        match action {
            Action::Profile(..)
            | Action::FirmwarePolicy(..)
            | Action::Move(_)
            | Action::Relabel(_)
            | Action::Place(_) => {
                self.tell(Down::DesiredChanged(device));
            }
            Action::Suspend(_) | Action::Retire(_) => self.tell(Down::Kick(device)),
            Action::RotateCertificate => self.tell(Down::RenewalOrdered(device)),
            Action::Resume => {}
        }
    }
}
