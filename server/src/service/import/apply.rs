//! The second half of a batch: parts of the spool, committed one after the other. While one commits, the next is made.

use super::{
    Phase,
    check::Entry,
    drive::{Driver, Ready},
    files::Kind,
    part::{Made, Maker, Secrets, rows_of_part},
    plan::PlannedRow,
    retry::Refused,
    spool::SpoolReader,
};
use crate::{
    fault::{Failure, Fault},
    mqtt::bus::Down,
    random,
    service::{OrFault as _, blocking},
    store::{CommittedPart, ImportPart},
};
use muster_domain::{
    Code, Refusal, Timestamp,
    activation::Seed,
    batch::{Batch, BatchState, BatchStep, CheckedFile, PLAN_KEPT},
    device::Verification,
    manifest::RowOutcome,
};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What parts are made from.
pub(super) struct Sources {
    pub(super) spool: SpoolReader<Entry>,
    /// What each row is held to.
    pub(super) planned: Option<SpoolReader<PlannedRow>>,
    /// Of mended rows, which run.
    pub(super) refused: Option<Refused>,
}

pub(super) type Making = JoinHandle<Result<(Sources, Option<Made>), Fault>>;

/// Makes the next part, on a thread that may block.
pub(super) fn make(maker: Maker, mut sources: Sources, secrets: Secrets, now: Timestamp) -> Making {
    tokio::task::spawn_blocking(move || {
        let made = maker.part(&mut sources, &secrets, now)?;
        Ok((sources, made))
    })
}

fn seed() -> Result<Seed, Fault> {
    random::bytes().map(Seed::from_bytes).or_fault("make a seed")
}

fn moved(why: &str) -> Failure {
    Refusal::new(Code::PlanMoved, why).into()
}

/// Rows of parts that are committed.
fn rows_done(batch: &Batch) -> u32 {
    let rows = u32::try_from(rows_of_part(&batch.spec)).unwrap_or(u32::MAX);
    (batch.parts - batch.first_part).saturating_mul(rows)
}

impl Driver {
    /// Puts on record what was read, and decides: a plan that waits, or parts at once. `None` when there is nothing
    /// more to do.
    pub(super) async fn decide(&self, batch: Batch, mut ready: Ready) -> Result<Option<Ready>, Failure> {
        let (rows, understood) = (ready.checked.rows, &ready.checked.understood);
        let limit = rows_of_part(&batch.spec);
        if batch.spec.all_or_nothing && rows > limit as u64 {
            let why = format!("has {rows} rows; all-or-nothing imports like this one have at most {limit}");
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        let file = CheckedFile {
            format: understood.format,
            sheet: understood.sheet.clone().unwrap_or_default(),
            mapping: understood.mapping.kept.clone(),
            rows,
        };
        let batch = self.step(BatchStep::Checked(file)).await?;
        let spec = &batch.spec;
        // Mended rows of a batch that was planned and applied are to be applied as well.
        let only_look = spec.validate_only && batch.attempt == 0;
        let mut plan = None;
        if only_look || spec.all_or_nothing || spec.plan_hash.is_some() {
            let planned = self.plan(&batch, &ready).await?;
            if only_look || (spec.all_or_nothing && planned.tally.refused > 0) {
                // Nothing was changed, so an import that must be right as a whole can be looked at like a dry run.
                let (plan, tally) = (planned.hash, planned.tally);
                let until = self.service.clock.now().plus(PLAN_KEPT);
                self.step(BatchStep::Planned { plan, tally, until }).await?;
                return Ok(None);
            }
            plan = spec.plan_hash.map(|_| planned.hash);
            ready.plan = plan;
        }
        self.step(BatchStep::ApplyBegun { plan }).await?;
        Ok(Some(ready))
    }

    /// Puts a step on record, in the name of whoever made the batch.
    pub(super) async fn step(&self, step: BatchStep) -> Result<Batch, Failure> {
        self.service.step(self.running.id, step, &self.actor).await
    }

    /// Commits every part that is not committed yet.
    pub(super) async fn apply(&self, batch: Batch, mut ready: Ready) -> Result<(), Failure> {
        let mut batch = self.keep_mapping(batch, &ready).await?;
        let maker = self.maker(&batch, &ready, rows_of_part(&batch.spec))?;
        let sources = self.sources(&batch, &mut ready).await?;
        let secrets = Secrets::Seed(batch.next_seed.clone());
        let mut now = self.service.clock.now();
        let mut next = make(maker.clone(), sources, secrets, now);
        let mut done = u64::from(rows_done(&batch));
        loop {
            let (sources, made) = next.await.or_fault("make a part")??;
            let Some(made) = made else { break };
            self.check_stop()?;
            let (rows, made_at, next_seed) = (made.len() as u64, now, seed()?);
            now = self.service.clock.now();
            next = make(maker.clone(), sources, Secrets::Seed(next_seed.clone()), now);
            let part = self.part(&batch, &ready, made, next_seed, made_at);
            let Some(committed) = self.commit(part).await? else {
                return Ok(());
            };
            self.tell_changed(&committed.outcomes);
            done += rows;
            batch = committed.batch;
            self.running.progress(Phase::Applying, done, ready.checked.rows);
        }
        self.step(BatchStep::Finished).await?;
        tracing::info!(batch = %batch.id, created = batch.tally.created, refused = batch.tally.refused, "a batch is done");
        Ok(())
    }

    /// What the columns were taken for is remembered once it is used, also where a plan of it waited.
    async fn keep_mapping(&self, batch: Batch, ready: &Ready) -> Result<Batch, Failure> {
        if batch.mapping.is_some() {
            return Ok(batch);
        }
        let used = &ready.checked.understood.mapping;
        let (author, file_name) = (batch.author.clone(), &batch.spec.file_name);
        match self.service.keep_mapping(used, author, file_name).await? {
            Some((name, revision)) => self.step(BatchStep::MappingKept(name, revision)).await,
            None => Ok(batch),
        }
    }

    /// The rows that are not committed yet, each with what it is held to where there is a plan.
    async fn sources(&self, batch: &Batch, ready: &mut Ready) -> Result<Sources, Failure> {
        if let Some(plan) = batch.plan
            && batch.parts == batch.first_part
            && ready.plan != Some(plan)
        {
            // The plan was shown to somebody; since then the registry may have moved.
            let planned = self.plan(batch, ready).await?;
            if planned.hash != plan {
                return Err(moved("what would be done now is not what was planned"));
            }
            ready.plan = Some(plan);
        }
        let (files, id, attempt, done) = (
            self.service.files.clone(),
            batch.id,
            batch.attempt,
            rows_done(batch),
        );
        let (spool, has_plan) = (ready.checked.spool.reader(), batch.plan.is_some());
        let refused = self.service.refused(batch).await?;
        let open = move || {
            let mut spool = spool?;
            spool.skip(done)?;
            let mut planned = match has_plan {
                true => Some(SpoolReader::new(files.read(id, attempt, Kind::Plan)?)),
                false => None,
            };
            if let Some(planned) = &mut planned {
                planned.skip(done)?;
            }
            Ok::<_, std::io::Error>(Sources {
                spool,
                planned,
                refused,
            })
        };
        Ok(blocking("open a plan", open).await?.or_fault("open a plan")?)
    }

    /// A part as the store takes it.
    pub(super) fn part(
        &self,
        batch: &Batch,
        ready: &Ready,
        made: Made,
        next_seed: Seed,
        now: Timestamp,
    ) -> ImportPart {
        ImportPart {
            batch: batch.id,
            number: batch.parts,
            attempt: batch.attempt,
            intake: Arc::clone(&ready.intake),
            limits: ready.limits.clone(),
            columns: ready.checked.understood.columns.clone().into(),
            first: made.first,
            rows: made.rows,
            settled: made.settled,
            whole: batch.spec.all_or_nothing,
            next_seed,
            actor: self.actor.clone(),
            now,
        }
    }

    /// `None` when the batch was cancelled meanwhile.
    async fn commit(&self, part: ImportPart) -> Result<Option<CommittedPart>, Failure> {
        let committed = self.service.store.commit_import_part(part).await;
        let committed = match committed.or_fault("commit rows")? {
            Ok(committed) => committed,
            Err(refusal) => {
                let now = self.service.known_batch(self.running.id).await?;
                return match now.state {
                    BatchState::Applying => Err(refusal.into()),
                    BatchState::Uploading
                    | BatchState::Checking
                    | BatchState::Planned { .. }
                    | BatchState::Done(_)
                    | BatchState::Cancelled(_)
                    | BatchState::Failed { .. }
                    | BatchState::Undoing { .. }
                    | BatchState::Undone(_) => Ok(None),
                };
            }
        };
        if !committed.written {
            return Err(moved("a row is refused now, so nothing was applied"));
        }
        Ok(Some(committed))
    }

    /// Devices that must be something else now hear of it at once where they are connected, others when they say hello.
    fn tell_changed(&self, outcomes: &[RowOutcome]) {
        for outcome in outcomes {
            if let RowOutcome::Updated { device, .. } = outcome
                && device.verification == Verification::Pending
            {
                self.service.tell(Down::DesiredChanged(device.id));
            }
        }
    }
}
