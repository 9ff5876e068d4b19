//! What a batch has to say, to anybody who asks, as often as they ask: the answers are made from what is on record.

use super::{
    Lines, Phase, RowLine, RowStatus, check,
    desk::Notes,
    files::Kind,
    plan::PlannedRow,
    spool::SpoolReader,
    token::{Place, invalid},
    understand::Understood,
};
use crate::{
    fault::Failure,
    service::{OrFault as _, Service, blocking, stopping},
    store::RecordedPart,
};
use muster_domain::{
    Refusal,
    activation::CodeKey,
    batch::{Batch, BatchState, CredentialKind, Slot, SlotOutcome},
    ids::BatchId,
};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Answers in one message: about 100 bytes each, so that a message stays far below the 4 MiB that clients accept.
const LINES: usize = 4096;
/// Bytes of one message after which it is full, whatever the number of its answers: rows can have many problems.
const LINES_BYTES: usize = 1 << 20;

/// What a watcher hears.
#[derive(Debug)]
pub enum Event {
    /// How the columns were understood.
    Mapping(Arc<Understood>),
    /// How far it is. `total` is 0 where it is not known yet.
    Progress {
        /// In which phase.
        phase: Phase,
        /// Bytes or rows done.
        done: u64,
        /// Rows in all.
        total: u64,
    },
    /// Answers to the next rows, in the order of the file.
    Results(Lines),
    /// The end.
    Summary(Box<Batch>),
}

/// An event, and the token that goes on behind it.
#[derive(Debug)]
pub struct Told {
    /// What.
    pub event: Event,
    /// Where.
    pub token: String,
}

/// Where watchers are told.
pub type Telling = mpsc::Sender<Result<Told, Failure>>;

/// Why a watcher hears no more.
enum Stop {
    /// It went away, so it needs no reason.
    Gone,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// One watcher.
struct Watcher {
    service: Service,
    id: BatchId,
    place: Place,
    told_mapping: bool,
    told_progress: Option<(Phase, u64, u64)>,
    telling: Telling,
}

impl Service {
    /// Tells everything about a batch from a token on, until it ends. Any number may watch; a slow one holds nothing up.
    ///
    /// # Errors
    /// There is no such batch, or the token is none of it.
    pub async fn watch_batch(&self, id: BatchId, token: &str, telling: Telling) -> Result<(), Failure> {
        let batch = self.known_batch(id).await?;
        let asked = Place::read(token)?;
        let place = start(&batch, asked)?;
        let watcher = Watcher {
            service: self.clone(),
            id,
            place,
            told_mapping: asked.is_some_and(|asked| asked == place && place != beginning(&batch)),
            told_progress: None,
            telling,
        };
        tokio::spawn(watcher.run());
        Ok(())
    }
}

/// Is what there is to tell applied, not only planned?
const fn is_applied(batch: &Batch) -> bool {
    match batch.state {
        BatchState::Uploading | BatchState::Checking | BatchState::Planned { .. } => false,
        BatchState::Applying
        | BatchState::Done(_)
        | BatchState::Cancelled(_)
        | BatchState::Failed { .. }
        | BatchState::Undoing { .. }
        | BatchState::Undone(_) => true,
    }
}

/// Is there nothing more to wait for?
const fn is_ended(batch: &Batch) -> bool {
    match batch.state {
        BatchState::Uploading | BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } => {
            false
        }
        BatchState::Planned { .. }
        | BatchState::Done(_)
        | BatchState::Cancelled(_)
        | BatchState::Failed { .. }
        | BatchState::Undone(_) => true,
    }
}

/// Where the results of the newest file begin.
const fn beginning(batch: &Batch) -> Place {
    let applied = is_applied(batch);
    Place {
        attempt: batch.attempt,
        applied,
        part: if applied { batch.first_part } else { 0 },
        slot: 0,
    }
}

/// Where to go on: at the token, unless it is of a plan or a file that another has replaced.
fn start(batch: &Batch, asked: Option<Place>) -> Result<Place, Refusal> {
    let first = beginning(batch);
    match asked {
        None => Ok(first),
        Some(asked) if asked.attempt > batch.attempt || asked.part > batch.parts => Err(invalid()),
        Some(asked) if (asked.attempt, asked.applied) != (first.attempt, first.applied) => Ok(first),
        Some(asked) => Ok(asked.max(first)),
    }
}

impl Watcher {
    async fn run(mut self) {
        match self.tell_all().await {
            Ok(()) | Err(Stop::Gone) => {}
            Err(Stop::Failed(failure)) => drop(self.telling.send(Err(failure)).await),
        }
    }

    async fn tell_all(&mut self) -> Result<(), Stop> {
        loop {
            // Listening begins before looking: what changes in between is heard.
            let running = self.service.desk.find(self.id);
            let mut notes = running.as_deref().map(|running| running.notes.subscribe());
            let noted = notes.as_ref().map(|notes| notes.borrow().clone());
            let batch = self.service.known_batch(self.id).await?;
            let first = beginning(&batch);
            if (first.attempt, first.applied) != (self.place.attempt, self.place.applied) {
                self.place = first;
            }
            self.tell_mapping(&batch, noted.as_ref()).await?;
            self.tell_results(&batch).await?;
            if is_ended(&batch) {
                return self.tell_end(batch).await;
            }
            let (Some(heard), Some(noted)) = (&mut notes, noted) else {
                // Nobody works at it: after a restart, or because its uploader was silent for long.
                self.service.take_up(&batch)?;
                continue;
            };
            self.tell_progress(&noted).await?;
            self.wait(heard).await?;
        }
    }

    async fn wait(&self, notes: &mut watch::Receiver<Notes>) -> Result<(), Stop> {
        let failure = notes.borrow().failure.clone();
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        tokio::select! {
            // An end of the sender is news as well: the record says which.
            _ = notes.changed() => Ok(()),
            () = self.service.stopping.cancelled() => Err(stopping().into()),
            () = self.telling.closed() => Err(Stop::Gone),
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Stop> {
        let token = self.place.token();
        self.telling
            .send(Ok(Told { event, token }))
            .await
            .map_err(|_| Stop::Gone)
    }

    async fn tell_mapping(&mut self, batch: &Batch, noted: Option<&Notes>) -> Result<(), Stop> {
        if self.told_mapping {
            return Ok(());
        }
        let understood = match noted {
            Some(noted) => noted.understood.clone(),
            None => {
                let (files, of) = (self.service.files.clone(), (batch.id, batch.attempt));
                let found = blocking("read the columns", move || check::understood(&files, of));
                found.await?.map(Arc::new)
            }
        };
        let Some(understood) = understood else {
            return Ok(());
        };
        self.told_mapping = true;
        self.tell(Event::Mapping(understood)).await
    }

    async fn tell_progress(&mut self, noted: &Notes) -> Result<(), Stop> {
        let now = (noted.phase, noted.done, noted.total);
        if self.told_progress == Some(now) {
            return Ok(());
        }
        self.told_progress = Some(now);
        let (phase, done, total) = now;
        self.tell(Event::Progress { phase, done, total }).await
    }

    /// Everything there is behind the place.
    async fn tell_results(&mut self, batch: &Batch) -> Result<(), Stop> {
        if let BatchState::Planned { .. } = batch.state {
            return self.tell_plan(batch).await;
        }
        if !is_applied(batch) {
            // Parts of former files were told to those who watched them.
            return Ok(());
        }
        while self.place.part < batch.parts {
            let (id, part) = (self.id, self.place.part);
            let record = self.service.store.batch_part(id, part).await;
            let Some(record) = record.or_fault("load a part")? else {
                // Parts of a batch that was undone or forgotten have nothing to say.
                self.place.part = batch.parts;
                return Ok(());
            };
            self.tell_part(batch, record).await?;
            (self.place.part, self.place.slot) = (part + 1, 0);
        }
        Ok(())
    }

    async fn tell_part(&mut self, batch: &Batch, part: RecordedPart) -> Result<(), Stop> {
        let (ca, from) = (self.service.ca(), self.place.slot);
        let has_codes = batch.spec.credential == CredentialKind::Code;
        let made = blocking("make the answers of a part", move || {
            let codes = has_codes.then(|| ca.code_key());
            let slots = part.record.slots.iter().skip(from as usize);
            messages(slots.map(|slot| line(slot, Some(&part), codes)))
        });
        for rows in made.await? {
            self.place.slot += u32::try_from(rows.len()).unwrap_or(u32::MAX);
            let issuers = self.issuers(batch, &rows);
            self.tell(Event::Results(Lines { rows, issuers })).await?;
        }
        Ok(())
    }

    /// What stands above the certificates of such a batch: those that it brought are of others. A part is signed by one authority,
    /// and may be asked for when another works.
    fn issuers(&self, batch: &Batch, rows: &[RowLine]) -> Vec<Vec<u8>> {
        match batch.spec.credential {
            CredentialKind::Csr | CredentialKind::Key => {
                let mut certificates = rows.iter().map(|row| &row.certificate);
                let one = certificates.find(|certificate| !certificate.is_empty());
                one.map_or_else(Vec::new, |one| {
                    self.service.ca().with_chain(one.clone()).split_off(1)
                })
            }
            CredentialKind::Code | CredentialKind::Pinned => Vec::new(),
        }
    }

    /// What a plan says of each row, from the file beside the manifest.
    async fn tell_plan(&mut self, batch: &Batch) -> Result<(), Stop> {
        let opened = self.service.files.read(self.id, batch.attempt, Kind::Plan);
        let file = opened.or_fault("open a plan")?;
        let from = self.place.slot;
        let mut reader = SpoolReader::<PlannedRow>::new(file);
        let mut skipped = false;
        loop {
            let read = blocking("read a plan", move || {
                if !skipped {
                    reader.skip(from)?;
                }
                let mut lines = Vec::new();
                while lines.len() < LINES
                    && let Some(row) = reader.next()?
                {
                    lines.push(line(&row.slot, None, None));
                }
                Ok::<_, std::io::Error>((reader, lines))
            });
            let read = read.await?;
            let (back, lines) = read.or_fault("read a plan")?;
            (reader, skipped) = (back, true);
            if lines.is_empty() {
                return Ok(());
            }
            for rows in messages(lines.into_iter()) {
                self.place.slot += u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let issuers = Vec::new();
                self.tell(Event::Results(Lines { rows, issuers })).await?;
            }
        }
    }

    async fn tell_end(&mut self, batch: Batch) -> Result<(), Stop> {
        if let BatchState::Failed { refusal, .. } = batch.state {
            return Err(refusal.into());
        }
        self.tell(Event::Summary(Box::new(batch))).await
    }
}

/// Cuts answers into messages.
fn messages(lines: impl Iterator<Item = RowLine>) -> Vec<Vec<RowLine>> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    let mut message = Vec::new();
    for line in lines {
        bytes += weight(&line);
        message.push(line);
        if message.len() >= LINES || bytes >= LINES_BYTES {
            messages.push(std::mem::take(&mut message));
            bytes = 0;
        }
    }
    if !message.is_empty() {
        messages.push(message);
    }
    messages
}

/// Bytes of an answer on the wire, about.
fn weight(line: &RowLine) -> usize {
    let problems = line.refusals.iter().chain(&line.warnings);
    let texts = problems.map(|problem| {
        256 + problem.refusal.message.len() + problem.value.len() + problem.rule.len() + problem.column.len()
    });
    100 + texts.sum::<usize>() + line.certificate.len() + line.key.len()
}

/// The answer to one row, as it is on record. `codes` makes the codes of new devices, where they get some.
fn line(slot: &Slot, part: Option<&RecordedPart>, codes: Option<&CodeKey>) -> RowLine {
    let mut line = RowLine {
        row: slot.row,
        status: RowStatus::Refused,
        refusals: Vec::new(),
        warnings: slot.warnings.clone(),
        device: None,
        code: None,
        changes: Vec::new(),
        certificate: Vec::new(),
        key: Vec::new(),
        serial: None,
    };
    match &slot.outcome {
        SlotOutcome::Created { offset } => {
            line.status = RowStatus::Created;
            line.device = part.map(|part| part.record.first.offset(*offset));
            let seed = part.and_then(|part| part.seed.as_ref());
            line.code = seed.zip(codes).map(|(seed, codes)| codes.code(seed, slot.row));
            let key = part.and_then(|part| part.keys.get(&slot.row));
            line.key = key.cloned().unwrap_or_default();
            let certificate = part.and_then(|part| part.certificates.get(&slot.row));
            line.certificate = certificate.cloned().unwrap_or_default();
            line.serial = part.and_then(|part| part.serials.get(&slot.row)).cloned();
        }
        SlotOutcome::Updated { device, changes } => {
            line.status = RowStatus::Updated;
            line.device = Some(*device);
            line.changes.clone_from(changes);
        }
        SlotOutcome::Unchanged { device } => {
            line.status = RowStatus::Unchanged;
            line.device = Some(*device);
        }
        SlotOutcome::Refused(problems) => line.refusals.clone_from(problems),
    }
    line
}
