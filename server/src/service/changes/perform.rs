//! Changes are performed: step by step, each durable before the next, so that a server that comes back goes on where it was.

use super::{
    super::{OrFault as _, Service},
    turns::Goal,
};
use crate::{
    fault::Failure,
    mqtt::bus::Down,
    store::{Advance, Began, Turn},
};
use muster_domain::{
    change::{Action, ChangeRecord},
    ids::{ChangeId, DeviceId},
};
use std::{collections::BTreeMap, sync::atomic::Ordering};

/// Targets that are begun together: many, since each commit costs its syncs, and few enough that a halt comes within a second after
/// what caused it, also where they lie far apart (42,000 a second in a fleet of a million; close together, 99,000 to 127,000).
pub const WAVE_PART: usize = 16_384;
/// Parts of a change that are begun before another change has its turn.
const PARTS: usize = 8;

/// Changes that are not worked on before the next time, each with its fault.
pub(super) type Broken = BTreeMap<ChangeId, Failure>;

impl Service {
    /// Does all that can be done for changes now. For the worker that does so all the time, and for whoever cannot wait for it.
    ///
    /// # Errors
    /// Faults of the store; what was done is done. A fault of one change holds up no other: it is given when the others
    /// can go no further.
    pub async fn work_changes(&self) -> Result<(), Failure> {
        let mut lookout = self.turns.performing.lock().await;
        let mut broken = Broken::new();
        loop {
            let now = self.clock.now();
            let passed = self.store.pass_time(now).await;
            let mut stirred = passed.or_fault("time targets out")? > 0;
            let open = self.store.open_changes().await.or_fault("look for changes")?;
            stirred |= self.let_late_join(&mut lookout, &open, &mut broken).await?;
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
            Advance::Begin(most) => self.begin(id, most).await,
            Advance::Revert => self.revert(id).await,
            Advance::Wait => Ok(false),
        }
    }

    /// Begins targets of the first stage of which any can be: what fell back in a stage that has passed may wait for a window, and
    /// holds up nobody behind it.
    async fn begin(&self, id: ChangeId, most: u32) -> Result<bool, Failure> {
        let record = self.change(id).await?;
        for stage in record.begins() {
            if self.begin_stage(&record, stage, most).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins targets of a stage, part by part: while one part is made durable, the next one is rendered.
    async fn begin_stage(&self, record: &ChangeRecord, stage: u16, most: u32) -> Result<bool, Failure> {
        let id = record.change.id;
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        // Room at sites, and whose window is open, is only known once the part before is on record.
        let is_bounded = record.change.strategy.in_flight_per_site.is_some() || record.is_zoned;
        let parts = if is_bounded { 1 } else { PARTS };
        let action = record.change.action.clone();
        let coder = self.coder(&record.change).await?;
        if action.gives_codes() && coder.is_none() {
            // It ended meanwhile.
            return Ok(false);
        }
        let goal = Goal::Action(action, coder);
        let mut part = self.part((record, stage), &goal, left, None).await?;
        let mut moved = 0;
        for number in 1..=parts {
            let Some(last) = part.last().map(|turn| turn.target.device) else {
                break;
            };
            left = left.saturating_sub(part.len());
            let begin = async {
                let began = self.store.begin_targets(id, part, self.clock.now()).await;
                Ok(began.or_fault("begin targets")?)
            };
            let next = async {
                match number < parts {
                    true => self.part((record, stage), &goal, left, Some(last)).await,
                    false => Ok(Vec::new()),
                }
            };
            let (began, next) = tokio::try_join!(begin, next)?;
            moved += began.moved;
            let begun = u64::try_from(began.devices.len()).unwrap_or(u64::MAX);
            self.changes_done().begun.fetch_add(begun, Ordering::Relaxed);
            for device in began.devices {
                self.tell_of(&record.change.action, device);
            }
            part = next;
        }
        Ok(moved > 0)
    }

    /// The next targets of a stage behind this one, rendered.
    async fn part(
        &self,
        (record, stage): (&ChangeRecord, u16),
        goal: &Goal,
        most: usize,
        behind: Option<DeviceId>,
    ) -> Result<Vec<Turn>, Failure> {
        let most = most.min(WAVE_PART);
        let now = self.clock.now();
        let found = self
            .store
            .next_turns(record.clone(), stage, most, behind, now)
            .await;
        let found = found.or_fault("look for targets")?;
        self.turns(record.change.id, goal.clone(), found).await
    }

    async fn revert(&self, id: ChangeId) -> Result<bool, Failure> {
        let record = self.change(id).await?;
        let action = record.change.action.clone();
        let found = self.store.next_reverts(record, WAVE_PART).await;
        let turns = self
            .turns(id, Goal::Former, found.or_fault("look for targets")?)
            .await?;
        let reverted = self.store.revert_targets(id, turns, self.clock.now()).await;
        let Began { devices, moved } = reverted.or_fault("give devices back what they had")?;
        for device in devices {
            match action {
                // It was let in, and is shut out again.
                Action::Resume => self.tell(Down::Kick(device)),
                Action::Suspend(_)
                | Action::Retire(_)
                | Action::RotateCertificate
                | Action::ReissueCodes { .. } => {}
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
            Action::Suspend(_) | Action::Retire(_) | Action::ReissueCodes { claimed: true, .. } => {
                self.tell(Down::Kick(device));
            }
            Action::RotateCertificate => self.tell(Down::RenewalOrdered(device)),
            // Whoever has no certificate has no session.
            Action::Resume | Action::ReissueCodes { claimed: false, .. } => {}
        }
    }
}
