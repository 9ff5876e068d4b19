//! The second half of an import: parts of the spool, committed one after the other.

use super::{
    Event, Events, Gone, Input, Phase, Request, RowLine, RowStatus,
    check::{Checked, check},
    send,
    spool::{Entry, SpoolReader},
    upload::Upload,
};
use crate::{
    fault::{Failure, Fault},
    mqtt::bus::Down,
    random,
    service::{OrFault as _, Service, blocking, stopping},
    store::ImportPart,
};
use muster_domain::{
    Code, Refusal, Timestamp,
    activation::{ActivationCode, CodeHash},
    audit::{Action, Actor, Event as AuditEvent},
    batch::{Batch, BatchState, Tally},
    device::{Origin, Verification},
    ids::{BatchId, DeviceId},
    manifest::{Fresh, Intake, RowOutcome, ValidRow},
    names::OperatorName,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows of one part: one commit. Larger parts cost less a row and more memory (`anchors.md`: commits of tens of
/// thousands of rows).
const PART: usize = 1 << 15;
/// Most rows of an all-or-nothing import, which is one part: its rows are in memory together.
const WHOLE_LIMIT: usize = 1 << 18;
/// Answers in one message: about 100 bytes each, so that a message stays far below the 4 MiB that clients accept.
const LINES: usize = 4096;

/// A running import.
pub(super) struct Import {
    pub(super) service: Service,
    pub(super) author: OperatorName,
    pub(super) actor: Actor,
    pub(super) request: Request,
    pub(super) events: Events,
}

/// Where new devices get their ids and codes.
#[derive(Clone)]
struct Minting {
    service: Service,
    /// Ids count up from here, so that inserts append.
    first: DeviceId,
    batch: BatchId,
    expires: Option<Timestamp>,
    now: Timestamp,
    /// A dry run makes no codes.
    dry: Option<CodeHash>,
    rows: usize,
}

/// How an import ended.
struct Ended {
    tally: Tally,
    /// False when nothing was written.
    applied: bool,
}

/// A place in the file's order.
enum Slot {
    Valid(u32),
    Refused(u32, Vec<Refusal>),
}

/// Rows ready to commit.
struct Part {
    slots: Vec<Slot>,
    rows: Vec<(ValidRow, Fresh)>,
    /// One a valid row; none in a dry run.
    codes: Vec<ActivationCode>,
}

impl Minting {
    /// `count` codes and what to store of them.
    fn codes(&self, count: usize) -> Result<Vec<(Option<ActivationCode>, CodeHash)>, Fault> {
        if let Some(hash) = self.dry {
            return Ok(vec![(None, hash); count]);
        }
        let key = self.service.ca.code_key();
        let mint = || {
            let code = ActivationCode::from_random(random::bytes()?);
            let hash = code.hash(key);
            Ok((Some(code), hash))
        };
        (0..count)
            .map(|_| mint())
            .collect::<Result<_, random::NoRandom>>()
            .or_fault("make activation codes")
    }

    /// The next part of the spool, of at most `self.rows` rows; `None` at its end. `minted` is how many ids are taken.
    fn part(&self, spool: &mut SpoolReader, minted: u32) -> Result<Option<Part>, Fault> {
        let mut part = Part {
            slots: Vec::new(),
            rows: Vec::new(),
            codes: Vec::new(),
        };
        let mut valid = Vec::new();
        while part.slots.len() < self.rows {
            match spool.next().or_fault("read a spool")? {
                None => break,
                Some(Entry::Refused(row, refusals)) => part.slots.push(Slot::Refused(row, refusals)),
                Some(Entry::Valid(row)) => {
                    part.slots.push(Slot::Valid(row.row.row));
                    valid.push(row);
                }
            }
        }
        let codes = self.codes(valid.len())?;
        for ((row, (code, hash)), offset) in valid.into_iter().zip(codes).zip(minted..) {
            let origin = Origin {
                batch: self.batch,
                row: row.row.row,
            };
            let id = self.first.offset(offset);
            part.rows.push((
                row,
                Fresh {
                    id,
                    code: hash,
                    code_expires: self.expires,
                    origin,
                    now: self.now,
                },
            ));
            part.codes.extend(code);
        }
        Ok((!part.slots.is_empty()).then_some(part))
    }
}

fn line(row: u32, status: RowStatus) -> RowLine {
    RowLine {
        row,
        status,
        refusals: Vec::new(),
        device: None,
        code: None,
    }
}

/// Outcomes in the order of the file, and their count.
fn lines(
    slots: Vec<Slot>,
    codes: Vec<ActivationCode>,
    outcomes: Vec<RowOutcome>,
    tally: &mut Tally,
) -> Vec<RowLine> {
    let dry = codes.is_empty();
    let mut done = outcomes
        .into_iter()
        .zip(codes.into_iter().map(Some).chain(std::iter::repeat(None)));
    let mut lines = Vec::with_capacity(slots.len());
    for slot in slots {
        let row = match slot {
            Slot::Refused(row, refusals) => {
                tally.refused += 1;
                lines.push(RowLine {
                    refusals,
                    ..line(row, RowStatus::Refused)
                });
                continue;
            }
            Slot::Valid(row) => row,
        };
        // The store answers every row it is given.
        let Some((outcome, code)) = done.next() else {
            continue;
        };
        lines.push(match outcome {
            RowOutcome::Created(device) => {
                tally.created += 1;
                RowLine {
                    device: (!dry).then_some(device.id),
                    code,
                    ..line(row, RowStatus::Created)
                }
            }
            RowOutcome::Updated { device, .. } => {
                tally.updated += 1;
                RowLine {
                    device: Some(device.id),
                    ..line(row, RowStatus::Updated)
                }
            }
            RowOutcome::Unchanged(device) => {
                tally.unchanged += 1;
                RowLine {
                    device: Some(device),
                    ..line(row, RowStatus::Unchanged)
                }
            }
            RowOutcome::Refused(problems) => {
                tally.refused += 1;
                RowLine {
                    refusals: problems.into_iter().map(|problem| problem.refusal).collect(),
                    ..line(row, RowStatus::Refused)
                }
            }
        });
    }
    lines
}

impl Import {
    /// The story of an import. A caller that goes away ends it without a word.
    pub(super) async fn run(self, input: mpsc::Receiver<Input>) -> Result<(), Failure> {
        // 1. The whole file is received and checked; nothing has changed yet.
        let intake = Arc::new(Intake::new(self.service.store.catalog()));
        let Some(checked) = self.checked(input, Arc::clone(&intake)).await? else {
            return Ok(());
        };
        let sha256 = checked.sha256;
        // 2. A dry run, and a file that must be right as a whole, are decided without writing.
        if self.request.all_or_nothing && checked.rows > WHOLE_LIMIT as u64 {
            let why = format!(
                "has {} rows; all-or-nothing imports have at most {WHOLE_LIMIT}",
                checked.rows
            );
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        let only_look = self.request.validate_only || (self.request.all_or_nothing && checked.refused > 0);
        let mut minting = self.minting(only_look)?;
        let ended = if only_look {
            self.parts(checked, &intake, &minting, None).await?
        } else {
            // 3. The batch is on record before its first part.
            minting.rows = if self.request.all_or_nothing {
                WHOLE_LIMIT
            } else {
                PART
            };
            let batch = self.begin(&checked, &minting).await?;
            // From here on there are codes that the caller must not miss.
            let (phase, done, total) = (Phase::Applying, 0, checked.rows);
            if let Err(Gone) = send(&self.events, Event::Progress { phase, done, total }).await {
                Self::gone(Some(batch));
                return Ok(());
            }
            self.parts(checked, &intake, &minting, Some(batch)).await?
        };
        let Some(Ended { tally, applied }) = ended else {
            return Ok(());
        };
        // 4. Every row has its outcome.
        if !only_look {
            let now = self.service.clock.now();
            self.service
                .store
                .finish_batch(minting.batch, now, self.actor.clone())
                .await
                .or_fault("finish a batch")?;
        }
        let batch = applied.then_some(minting.batch);
        tracing::info!(created = tally.created, refused = tally.refused, "import done");
        match send(
            &self.events,
            Event::Summary {
                batch,
                tally,
                file_sha256: sha256,
            },
        )
        .await
        {
            Ok(()) | Err(Gone) => Ok(()),
        }
    }

    async fn checked(
        &self,
        input: mpsc::Receiver<Input>,
        intake: Arc<Intake>,
    ) -> Result<Option<Checked>, Failure> {
        let (request, events, spool) = (
            self.request.clone(),
            self.events.clone(),
            Arc::clone(&self.service.spool),
        );
        blocking("check a manifest", move || {
            check(Upload::new(input), &request, intake, &spool, &events)
        })
        .await?
    }

    fn minting(&self, dry: bool) -> Result<Minting, Fault> {
        let now = self.service.clock.now();
        let number = || random::number().or_fault("make an id");
        let ttl = self.request.code_ttl;
        let nothing = || ActivationCode::from_random([0; 15]).hash(self.service.ca.code_key());
        Ok(Minting {
            service: self.service.clone(),
            first: DeviceId::new(now, number()?),
            batch: BatchId::new(now, number()?),
            expires: (!ttl.is_zero()).then(|| now.plus(ttl)),
            now,
            dry: dry.then(nothing),
            rows: PART,
        })
    }

    async fn begin(&self, checked: &Checked, minting: &Minting) -> Result<BatchId, Fault> {
        let batch = Batch {
            id: minting.batch,
            file_name: self.request.file_name.clone(),
            file_sha256: checked.sha256,
            file_bytes: checked.bytes,
            author: self.author.clone(),
            created: minting.now,
            state: BatchState::Applying,
            tally: Tally::default(),
            parts: 0,
        };
        let event = AuditEvent::new(
            minting.now,
            self.actor.clone(),
            Action::BatchStarted,
            format!("batches/{}", batch.id),
        )
        .with("file_name", &batch.file_name)
        .with("file_sha256", muster_proto::payload::Digest(batch.file_sha256))
        .with("rows", checked.rows)
        .with("refused", checked.refused);
        self.service
            .store
            .create_batch(batch, event)
            .await
            .or_fault("record a batch")?;
        Ok(minting.batch)
    }

    /// Commits (or, without a batch, only decides) part after part; while one commits, the next is made.
    async fn parts(
        &self,
        checked: Checked,
        intake: &Arc<Intake>,
        minting: &Minting,
        batch: Option<BatchId>,
    ) -> Result<Option<Ended>, Failure> {
        let (total, mut tally, mut minted, mut applied) =
            (checked.rows, Tally::default(), 0, batch.is_some());
        let mut next = make(minting.clone(), checked.spool, minted);
        for number in 0.. {
            let (spool, part) = next.await.or_fault("make a part")??;
            let Some(part) = part else { break };
            if self.service.stopping.is_cancelled() {
                return Err(stopping().into());
            }
            minted += u32::try_from(part.rows.len()).unwrap_or(u32::MAX);
            next = make(minting.clone(), spool, minted);
            let Part {
                slots,
                rows,
                mut codes,
            } = part;
            let refused = (slots.len() - rows.len()) as u64;
            let part = ImportPart {
                batch: minting.batch,
                number,
                intake: Arc::clone(intake),
                rows,
                refused,
                whole: self.request.all_or_nothing,
                actor: self.actor.clone(),
                now: self.service.clock.now(),
            };
            let outcomes = match batch {
                Some(_) => self
                    .service
                    .store
                    .commit_import_part(part)
                    .await
                    .or_fault("commit rows")?,
                None => self
                    .service
                    .store
                    .preview_import_part(part)
                    .await
                    .or_fault("preview rows")?,
            };
            if self.request.all_or_nothing
                && outcomes
                    .iter()
                    .any(|outcome| matches!(outcome, RowOutcome::Refused(_)))
            {
                // The registry moved between check and commit: nothing was written, so these codes open nothing.
                (applied, codes) = (false, Vec::new());
            }
            if applied {
                self.tell_changed(&outcomes);
            }
            let mut lines = lines(slots, codes, outcomes, &mut tally);
            while !lines.is_empty() {
                let rest = lines.split_off(lines.len().min(LINES));
                let results = Event::Results(std::mem::replace(&mut lines, rest));
                if send(&self.events, results).await.is_err() {
                    Self::gone(batch);
                    return Ok(None);
                }
            }
            let progress = Event::Progress {
                phase: Phase::Applying,
                done: tally.rows(),
                total,
            };
            if send(&self.events, progress).await.is_err() {
                Self::gone(batch);
                return Ok(None);
            }
        }
        Ok(Some(Ended { tally, applied }))
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

    fn gone(batch: Option<BatchId>) {
        if let Some(batch) = batch {
            tracing::warn!(%batch, "the caller of an import went away; the same file again finishes it");
        }
    }
}

type Made = tokio::task::JoinHandle<Result<(SpoolReader, Option<Part>), Fault>>;

fn make(minting: Minting, mut spool: SpoolReader, minted: u32) -> Made {
    tokio::task::spawn_blocking(move || {
        let part = minting.part(&mut spool, minted)?;
        Ok((spool, part))
    })
}
