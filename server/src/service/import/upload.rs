//! A manifest as it arrives: written by one thread, made durable while more comes, readable at once.

use super::{
    FILE_LIMIT, Phase,
    desk::{Running, Writer},
    files::Files,
};
use crate::{
    fault::{Failure, Fault},
    service::{OrFault as _, Service, blocking},
};
use bytes::Bytes;
use muster_domain::{Code, Refusal, audit::Actor, batch::BatchStep};
use std::{fs::File, sync::Arc};
use tokio::{
    sync::{OwnedMutexGuard, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Bytes between two moments of durability: a cut connection loses at most these, and a sync is felt by nobody.
const SYNC_EVERY: u64 = 8 << 20;
/// Chunks received and not yet written.
const CHUNKS_AHEAD: usize = 8;

type Guard = OwnedMutexGuard<Option<Writer>>;

/// One call that sends bytes of a manifest.
#[derive(Debug)]
pub struct Upload {
    service: Service,
    running: Arc<Running>,
    actor: Actor,
    file: Arc<File>,
    chunks: mpsc::Sender<Bytes>,
    /// Gives the file back when `chunks` is dropped.
    written: JoinHandle<Result<Guard, Failure>>,
    syncing: Option<JoinHandle<Result<u64, Failure>>>,
    sync_begun: u64,
    sent: u64,
    taken_over: CancellationToken,
}

fn wrong_offset(offset: u64, right: u64) -> Failure {
    let why = format!("goes on at {offset}; {right} bytes are there");
    Refusal::new(Code::UploadOffset, why).at("start.offset").into()
}

/// Why nothing more is taken: whoever reads the file knows.
fn ended(running: &Running) -> Failure {
    running.arrival.broken().map_or_else(
        || Refusal::new(Code::BatchState, "the batch takes no more bytes").into(),
        Failure::from,
    )
}

/// Writes chunks until there are no more. Blocks.
fn write(
    mut guard: Guard,
    mut chunks: mpsc::Receiver<Bytes>,
    files: &Files,
    running: &Running,
) -> Result<Guard, Failure> {
    let Some(writer) = guard.as_mut() else {
        return Err(ended(running));
    };
    while let Some(chunk) = chunks.blocking_recv() {
        if let Some(why) = running.arrival.broken() {
            return Err(why.into());
        }
        let bytes = chunk.len() as u64;
        if bytes > FILE_LIMIT.saturating_sub(writer.written()) {
            let why = format!("is over {FILE_LIMIT} bytes");
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        files.reserve(bytes)?;
        writer.push(&chunk).or_fault("write a manifest")?;
        running.arrival.wrote(writer.written());
    }
    Ok(guard)
}

impl Upload {
    /// Goes on with a file. `offset` must be where it ended; a call before this one lets go of it.
    pub(super) async fn begin(
        service: Service,
        running: Arc<Running>,
        actor: Actor,
        offset: u64,
        durable: u64,
    ) -> Result<Self, Failure> {
        let taken_over = running.take_over();
        let mut guard = Arc::clone(&running.writer).lock_owned().await;
        let (files, id, attempt) = (service.files.clone(), running.id, running.attempt);
        if guard.is_none() {
            let open = blocking("open a manifest", move || {
                Writer::open(&files, id, attempt, durable)
            });
            *guard = Some(open.await?.or_fault("open a manifest")?);
        }
        let (right, file) = match &*guard {
            Some(writer) => (writer.written(), writer.file()),
            None => return Err(ended(&running)),
        };
        if durable < right {
            // A call before this one ended in the middle.
            let (service, running) = (service.clone(), Arc::clone(&running));
            sync(service, running, actor.clone(), Arc::clone(&file)).await?;
        }
        if offset != right {
            return Err(wrong_offset(offset, right));
        }
        running.begun.cancel();
        let (chunks, arriving) = mpsc::channel(CHUNKS_AHEAD);
        let (files, shared) = (service.files.clone(), Arc::clone(&running));
        let written = tokio::task::spawn_blocking(move || write(guard, arriving, &files, &shared));
        Ok(Self {
            service,
            running,
            actor,
            file,
            chunks,
            written,
            syncing: None,
            sync_begun: offset,
            sent: offset,
            taken_over,
        })
    }

    /// Done when a newer call goes on with the file, or nobody wants it any more.
    pub fn taken_over(&self) -> CancellationToken {
        self.taken_over.clone()
    }

    /// Appends bytes; how much is durable, when there is news.
    ///
    /// # Errors
    /// The file is over a limit, or nobody wants it any more.
    pub async fn push(&mut self, chunk: Bytes) -> Result<Option<u64>, Failure> {
        self.sent += chunk.len() as u64;
        if self.chunks.send(chunk).await.is_err() {
            return Err(self.failure().await);
        }
        let news = match self.syncing.take_if(|syncing| syncing.is_finished()) {
            Some(done) => Some(done.await.or_fault("sync a manifest")??),
            None => None,
        };
        if self.syncing.is_none() && self.sent - self.sync_begun >= SYNC_EVERY {
            self.sync_begun = self.sent;
            let (service, running) = (self.service.clone(), Arc::clone(&self.running));
            let (actor, file) = (self.actor.clone(), Arc::clone(&self.file));
            self.syncing = Some(tokio::spawn(sync(service, running, actor, file)));
        }
        Ok(news)
    }

    /// What ended the writing.
    async fn failure(&mut self) -> Failure {
        match (&mut self.written).await {
            Ok(Err(failure)) => failure,
            Ok(Ok(_)) => ended(&self.running),
            Err(error) => Fault::log("write a manifest", &error).into(),
        }
    }

    /// Ends the call before the file is whole: what came is durable, and the next call goes on there.
    ///
    /// # Errors
    /// As [`Upload::push`].
    pub async fn cut(self) -> Result<u64, Failure> {
        self.close().await.map(|(_, durable)| durable)
    }

    /// Everything that came is durable, and on record.
    async fn close(self) -> Result<(Guard, u64), Failure> {
        let Self {
            service,
            running,
            actor,
            file,
            chunks,
            written,
            syncing,
            ..
        } = self;
        drop(chunks);
        let guard = written.await.or_fault("write a manifest")??;
        if let Some(syncing) = syncing {
            syncing.await.or_fault("sync a manifest")??;
        }
        let durable = sync(service, running, actor, file).await?;
        Ok((guard, durable))
    }

    /// The file is whole, says the caller; what came is compared.
    ///
    /// # Errors
    /// [`Code::UploadMismatch`]: what came is worth nothing, and the file begins again.
    pub async fn end(self, bytes: u64, sha256: &[u8]) -> Result<u64, Failure> {
        let (service, running, actor) = (
            self.service.clone(),
            Arc::clone(&self.running),
            self.actor.clone(),
        );
        let (guard, durable) = self.close().await?;
        let found = guard.as_ref().map_or([0; 32], Writer::sha256);
        if bytes != durable || sha256 != found {
            let what = if bytes == durable {
                "the SHA-256 is another".to_owned()
            } else {
                format!("{durable} bytes came, not {bytes}")
            };
            let refusal = Refusal::new(Code::UploadMismatch, what).at("end");
            service.begin_again(&running, refusal.clone(), &actor).await?;
            return Err(refusal.into());
        }
        let step = BatchStep::UploadEnded { bytes, sha256: found };
        let batch = service.step(running.id, step, &actor).await?;
        running.arrival.end();
        running.progress(Phase::Receiving, durable, durable);
        running.whole.cancel();
        // Somebody works at it already, unless the upload paused for so long that they left.
        service.take_up(&batch)?;
        Ok(durable)
    }
}

/// Makes durable and puts on record what is written now.
async fn sync(
    service: Service,
    running: Arc<Running>,
    actor: Actor,
    file: Arc<File>,
) -> Result<u64, Failure> {
    let written = running.arrival.written();
    blocking("sync a manifest", move || file.sync_data())
        .await?
        .or_fault("sync a manifest")?;
    service
        .step(running.id, BatchStep::Received(written), &actor)
        .await?;
    running.progress(Phase::Receiving, written, 0);
    Ok(written)
}

impl Service {
    /// What came of a file is worth nothing: it begins again.
    async fn begin_again(&self, running: &Arc<Running>, why: Refusal, actor: &Actor) -> Result<(), Failure> {
        self.step(running.id, BatchStep::Received(0), actor).await?;
        running.arrival.break_off(why);
        running.cancelled.cancel();
        self.desk.close(running);
        Ok(())
    }
}
