//! One batch from its first byte to its end, in a task of its own that no client holds up or ends.
//!
//! Whatever happens, the record says where the batch is: after a restart the same task goes on from there.

use super::{
    check::{Checked, Job, Stop, check},
    desk::Running,
    growing::cancelled,
};
use crate::{
    fault::Failure,
    service::{OrFault as _, Service, stopping},
};
use muster_domain::{
    Code, Refusal,
    audit::Actor,
    batch::{Batch, BatchState, BatchStep, PlanHash},
    ids::BatchId,
    manifest::{Intake, Limits, UpdateMask},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// How long a batch without bytes stays in memory; an upload or a watcher brings it back.
const IDLE: Duration = Duration::from_secs(600);

/// What works at a batch.
pub(super) struct Driver {
    pub(super) service: Service,
    pub(super) running: Arc<Running>,
    /// In whose name it works.
    pub(super) actor: Actor,
}

/// A file that is checked, and the right to work at it.
pub(super) struct Ready {
    pub(super) checked: Checked,
    pub(super) intake: Arc<Intake>,
    pub(super) limits: Limits,
    /// What was planned for it in this process.
    pub(super) plan: Option<PlanHash>,
    /// Given back when the work is done.
    _place: OwnedSemaphorePermit,
}

impl Service {
    /// Makes sure that somebody works at a batch.
    ///
    /// # Errors
    /// [`Code::Busy`] when too many are under way.
    pub(super) fn take_up(&self, batch: &Batch) -> Result<Arc<Running>, Refusal> {
        if self.stopping.is_cancelled() {
            return Err(stopping());
        }
        let (running, is_new) = self.desk.open(batch.id, batch.attempt, batch.received)?;
        if is_new {
            let driver = Driver {
                service: self.clone(),
                running: Arc::clone(&running),
                actor: Actor::Operator(batch.author.clone()),
            };
            self.desk.tasks.spawn(driver.run());
        }
        Ok(running)
    }

    /// The record of a batch that must be there.
    pub(super) async fn known_batch(&self, id: BatchId) -> Result<Batch, Failure> {
        let found = self.store.batch(id).await.or_fault("load a batch")?;
        found.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no batches/{id}"))
                .at("name")
                .into()
        })
    }

    /// Puts a step on record.
    pub(super) async fn step(&self, id: BatchId, step: BatchStep, actor: &Actor) -> Result<Batch, Failure> {
        let stepped = self.store.step_batch(id, step, actor.clone(), self.clock.now());
        Ok(stepped.await.or_fault("record a step of a batch")??)
    }

    /// Ends a batch for a reason that lies in its file or its options.
    pub(super) async fn fail_batch(
        &self,
        running: &Running,
        refusal: Refusal,
        actor: Actor,
    ) -> Result<(), Failure> {
        running.arrival.break_off(refusal.clone());
        self.step(running.id, BatchStep::Failed(refusal), &actor).await?;
        running.cancelled.cancel();
        running.wake();
        Ok(())
    }
}

impl Driver {
    async fn run(self) {
        let outcome = self.go_on().await;
        match outcome {
            Ok(()) => {}
            // The batch stays where it is: the next start, or the next upload, takes it up again.
            Err(Failure::Refused(refusal))
                if matches!(refusal.code, Code::Stopping | Code::UploadMismatch) =>
            {
                self.note(Failure::Refused(refusal));
            }
            Err(Failure::Refused(refusal)) => self.fail(refusal).await,
            Err(failure) => self.note(failure),
        }
        self.service.desk.close(&self.running);
        self.running.wake();
        self.look_back().await;
    }

    /// Somebody may have given the batch more to do while this task was about to end.
    async fn look_back(&self) {
        let Ok(batch) = self.service.known_batch(self.running.id).await else {
            return;
        };
        match batch.state {
            BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } if self.is_idle() => {
                drop(self.service.take_up(&batch));
            }
            BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } => {}
            BatchState::Uploading | BatchState::Planned { .. } => {}
            BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undone(_) => drop(self.service.forget_files(&batch).await),
        }
    }

    /// It came to a rest, and was not broken off.
    fn is_idle(&self) -> bool {
        self.running.notes.borrow().failure.is_none()
    }

    /// A stop of the server ends the work between two parts.
    pub(super) fn check_stop(&self) -> Result<(), Refusal> {
        if self.service.stopping.is_cancelled() {
            return Err(stopping());
        }
        if self.running.cancelled.is_cancelled() {
            return Err(cancelled());
        }
        Ok(())
    }

    async fn fail(&self, refusal: Refusal) {
        let id = self.running.id;
        tracing::info!(batch = %id, code = refusal.code.number(), "a batch failed");
        let failed = self
            .service
            .fail_batch(&self.running, refusal, Actor::System)
            .await;
        match failed {
            Ok(()) => {}
            // Cancelled meanwhile, or failed already.
            Err(Failure::Refused(refusal)) => {
                tracing::debug!(batch = %id, %refusal, "a batch ended before it failed")
            }
            Err(failure) => self.note(failure),
        }
    }

    /// Tells watchers why nothing moves.
    fn note(&self, failure: Failure) {
        self.running
            .notes
            .send_modify(|notes| notes.failure = Some(failure));
    }

    /// From wherever the batch is to its end.
    async fn go_on(&self) -> Result<(), Failure> {
        let mut ready = None;
        loop {
            if self.service.stopping.is_cancelled() {
                return Err(stopping().into());
            }
            let batch = self.service.known_batch(self.running.id).await?;
            if batch.attempt != self.running.attempt {
                return Ok(());
            }
            match batch.state {
                BatchState::Uploading => {
                    // 1. Rows are checked while bytes arrive, where there is room for it.
                    if !self.begun().await? {
                        return Ok(());
                    }
                    ready = self.check_early(&batch).await?;
                    if !self.whole().await? {
                        return Ok(());
                    }
                }
                BatchState::Checking => {
                    // 2. A plan, or the decision to apply.
                    let checked = self.ready(&batch, ready.take()).await?;
                    ready = self.decide(batch, checked).await?;
                }
                BatchState::Applying => {
                    // 3. Part after part.
                    let ready = self.ready(&batch, ready.take()).await?;
                    self.apply(batch, ready).await?;
                }
                BatchState::Undoing { .. } => return self.service.finish_undo(&batch).await,
                BatchState::Planned { .. }
                | BatchState::Done(_)
                | BatchState::Cancelled(_)
                | BatchState::Failed { .. }
                | BatchState::Undone(_) => return Ok(()),
            }
        }
    }

    /// Waits for one of the events of an upload; `false` when nothing came for long.
    async fn wait_for(&self, event: &CancellationToken) -> Result<bool, Failure> {
        tokio::select! {
            biased;
            () = event.cancelled() => Ok(true),
            () = self.running.cancelled.cancelled() => Ok(true),
            () = self.service.stopping.cancelled() => Err(stopping().into()),
            () = self.idle() => Ok(false),
        }
    }

    async fn begun(&self) -> Result<bool, Failure> {
        self.wait_for(&self.running.begun).await
    }

    async fn whole(&self) -> Result<bool, Failure> {
        self.wait_for(&self.running.whole).await
    }

    /// Ends when no byte came for long.
    async fn idle(&self) {
        let mut seen = None;
        loop {
            let written = self.running.arrival.written();
            if seen == Some(written) {
                return;
            }
            seen = Some(written);
            tokio::time::sleep(IDLE).await;
        }
    }

    /// Checks while the file arrives, unless others need the machine.
    async fn check_early(&self, batch: &Batch) -> Result<Option<Ready>, Failure> {
        let Ok(place) = Arc::clone(&self.service.imports).try_acquire_owned() else {
            return Ok(None);
        };
        match self.check(batch, place).await {
            Ok(ready) => Ok(Some(ready)),
            Err(Stop::Silent) => Ok(None),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    /// What was checked, or is checked now that its turn comes.
    async fn ready(&self, batch: &Batch, ready: Option<Ready>) -> Result<Ready, Failure> {
        if let Some(ready) = ready {
            return Ok(ready);
        }
        self.running.arrival.end();
        self.running.whole.cancel();
        let turn = Arc::clone(&self.service.imports).acquire_owned();
        let place = tokio::select! {
            biased;
            () = self.running.cancelled.cancelled() => return Err(cancelled().into()),
            () = self.service.stopping.cancelled() => return Err(stopping().into()),
            place = turn => place.or_fault("wait for a turn")?,
        };
        match self.check(batch, place).await {
            Ok(ready) => Ok(ready),
            // A whole file is never silent.
            Err(Stop::Silent) => Err(stopping().into()),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    async fn check(&self, batch: &Batch, place: OwnedSemaphorePermit) -> Result<Ready, Stop> {
        let intake = Arc::new(Intake::new(self.service.store.catalog()));
        let job = Job {
            running: Arc::clone(&self.running),
            spec: batch.spec.clone(),
            intake: Arc::clone(&intake),
            files: self.service.files.clone(),
            spool: Arc::clone(&self.service.spool),
            now: self.service.clock.now(),
        };
        let mut checking = tokio::task::spawn_blocking(move || check(&job));
        let checked = tokio::select! {
            checked = &mut checking => checked,
            () = self.service.stopping.cancelled() => {
                self.running.arrival.break_off(stopping());
                checking.await
            }
        };
        let mask = UpdateMask::parse(&batch.spec.update_mask);
        let first = |refusals: Vec<Refusal>| {
            let first = refusals.into_iter().next();
            first.unwrap_or_else(|| Refusal::new(Code::RequestInvalid, "is no mask").at("spec.update_mask"))
        };
        let limits = Limits {
            writes: batch.spec.writes,
            mask: mask.map_err(first)?,
        };
        Ok(Ready {
            checked: checked.or_fault("check a manifest")??,
            intake,
            limits,
            plan: None,
            _place: place,
        })
    }
}
