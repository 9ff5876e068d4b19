//! A plan: what would become of each row, written down beside the manifest, under one hash.

use super::{
    Phase,
    apply::{Sources, make},
    drive::{Driver, Ready},
    files::Kind,
    issue::{Deciding, Issuing},
    part::{Made, Maker, PLAN_PART, Secrets},
    spool::SpoolWriter,
};
use crate::{
    fault::Failure,
    service::{OrFault as _, blocking},
    store::PreviewedPart,
};
use muster_domain::{
    activation::Seed,
    batch::{Batch, PlanHash, PlanHasher, RowDigest, Slot, SlotOutcome, Tally},
    manifest::{Problem, RowOutcome},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One row of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedRow {
    pub(super) slot: Slot,
    /// What it is held to when it is applied.
    pub(super) digest: RowDigest,
}

/// A plan as a whole.
pub(super) struct Planned {
    pub(super) hash: PlanHash,
    pub(super) tally: Tally,
}

/// Counts one more row.
const fn count(tally: &mut Tally, outcome: &SlotOutcome) {
    match outcome {
        SlotOutcome::Created { .. } => tally.created += 1,
        SlotOutcome::Updated { .. } => tally.updated += 1,
        SlotOutcome::Unchanged { .. } => tally.unchanged += 1,
        SlotOutcome::Refused(_) => tally.refused += 1,
    }
}

/// The rows of a part in the order of the file, as they would end.
fn planned(made: Settling, previewed: PreviewedPart) -> Vec<PlannedRow> {
    let mut valid = made
        .valid
        .into_iter()
        .zip(previewed.outcomes)
        .zip(previewed.digests);
    let mut settled = made.settled.into_iter().peekable();
    let mut rows = Vec::with_capacity(made.all);
    for place in 0..made.all {
        if let Some((_, slot)) = settled.next_if(|(at, _)| *at == place) {
            let problems = match &slot.outcome {
                SlotOutcome::Refused(problems) => problems.as_slice(),
                SlotOutcome::Created { .. } | SlotOutcome::Updated { .. } | SlotOutcome::Unchanged { .. } => {
                    &[]
                }
            };
            let digest = RowDigest::refused(slot.row, problems);
            rows.push(PlannedRow { slot, digest });
        } else if let Some((((row, warnings), outcome), digest)) = valid.next() {
            let outcome = match outcome {
                RowOutcome::Created(_) => SlotOutcome::Created { offset: 0 },
                RowOutcome::Updated { device, changes } => SlotOutcome::Updated {
                    device: device.id,
                    changes,
                },
                RowOutcome::Unchanged(device) => SlotOutcome::Unchanged { device },
                RowOutcome::Refused(problems) => SlotOutcome::Refused(problems),
            };
            let slot = Slot {
                row,
                outcome,
                warnings,
            };
            rows.push(PlannedRow { slot, digest });
        }
    }
    rows
}

/// What the preview does not need of a part.
struct Settling {
    all: usize,
    valid: Vec<(u32, Vec<Problem>)>,
    settled: Vec<(usize, Slot)>,
}

impl Settling {
    fn of(made: &mut Made) -> Self {
        Self {
            all: made.len(),
            valid: made
                .rows
                .iter_mut()
                .map(|row| (row.fresh.origin.row, std::mem::take(&mut row.warnings)))
                .collect(),
            settled: std::mem::take(&mut made.settled),
        }
    }
}

impl Driver {
    /// Makes parts of so many rows.
    pub(super) fn maker(&self, batch: &Batch, ready: &Ready, rows: usize) -> Result<Maker, Failure> {
        let deciding = Deciding {
            store: self.service.store.clone(),
            intake: Arc::clone(&ready.intake),
            limits: ready.limits.clone(),
        };
        Ok(Maker {
            ca: self.service.ca.clone(),
            batch: batch.id,
            issuing: Issuing::of(&batch.spec, self.service.clock.now())?,
            deciding: Arc::new(deciding),
            rows,
        })
    }

    /// Decides about every row as things are now, and writes it down. Changes nothing else.
    pub(super) async fn plan(&self, batch: &Batch, ready: &Ready) -> Result<Planned, Failure> {
        let maker = self.maker(batch, ready, PLAN_PART)?;
        let file = self.service.files.write(batch.id, batch.attempt, Kind::Plan);
        let mut writer = SpoolWriter::<PlannedRow>::new(file.or_fault("write a plan")?);
        let sha256 = batch.file_sha256.unwrap_or_default();
        let mut hasher = PlanHasher::new(&batch.spec, &sha256, &ready.checked.mapping);
        let mut tally = Tally::default();
        let sources = Sources {
            spool: ready.checked.spool.reader().or_fault("read a spool")?,
            planned: None,
            refused: self.service.refused(batch).await?,
        };
        let now = self.service.clock.now();
        let mut next = make(maker.clone(), sources, Secrets::None, now);
        loop {
            let (sources, made) = next.await.or_fault("make a part")??;
            let Some(mut made) = made else { break };
            self.check_stop()?;
            next = make(maker.clone(), sources, Secrets::None, now);
            let settling = Settling::of(&mut made);
            let part = self.part(batch, ready, made, Seed::from_bytes([0; 16]), now);
            let previewed = self.service.store.preview_import_part(part).await;
            let rows = planned(settling, previewed.or_fault("preview rows")?);
            let write = blocking("write a plan", move || {
                for row in &rows {
                    count(&mut tally, &row.slot.outcome);
                    hasher.row(row.digest);
                    writer.push(row)?;
                }
                Ok::<_, std::io::Error>((writer, hasher, tally))
            });
            (writer, hasher, tally) = write.await?.or_fault("write a plan")?;
            self.running
                .progress(Phase::Checking, tally.rows(), ready.checked.rows);
        }
        let finished = blocking("write a plan", move || writer.finish()).await?;
        finished.or_fault("write a plan")?;
        let hash = hasher.finish();
        Ok(Planned { hash, tally })
    }
}
