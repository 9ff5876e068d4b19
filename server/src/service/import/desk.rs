//! Batches under way in this process: what their drivers, uploaders and watchers share.

use super::{
    Phase,
    files::{Files, Kind},
    growing::Arrival,
    understand::Understood,
};
use crate::fault::Failure;
use muster_domain::{Code, Refusal, ids::BatchId};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Batches under way at once, most of them waiting for bytes: each costs a few kilobytes.
const OPEN_LIMIT: usize = 256;
/// Bytes hashed at once when a file is taken up again.
const BLOCK: usize = 1 << 18;

/// What watchers are told between results.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pub(super) phase: Phase,
    pub(super) done: u64,
    /// 0 where it is not known yet.
    pub(super) total: u64,
    pub(super) understood: Option<Arc<Understood>>,
    /// Why the batch stays where it is, when its driver could not go on.
    pub(super) failure: Option<Failure>,
}

/// The file of a batch, open for writing.
#[derive(Debug)]
pub(super) struct Writer {
    file: Arc<File>,
    hash: Sha256,
    written: u64,
}

/// A batch under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: BatchId,
    pub(super) attempt: u32,
    pub(super) arrival: Arc<Arrival>,
    pub(super) notes: watch::Sender<Notes>,
    /// Somebody sends it.
    pub(super) begun: CancellationToken,
    /// The file is whole, and the record says so.
    pub(super) whole: CancellationToken,
    /// An operator does not want it any more.
    pub(super) cancelled: CancellationToken,
    /// Held by whoever uploads.
    pub(super) writer: Arc<tokio::sync::Mutex<Option<Writer>>>,
    /// Cancelled when a newer call goes on with the upload.
    uploader: Mutex<CancellationToken>,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    running: Arc<Mutex<BTreeMap<BatchId, Arc<Running>>>>,
    /// Their drivers, so that a stop can wait for them.
    pub(super) tasks: TaskTracker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// The file as it is on record; what lies behind is cut off, the rest is hashed again. Blocks.
    pub(super) fn open(files: &Files, id: BatchId, attempt: u32, durable: u64) -> io::Result<Self> {
        let file = files.manifest(id, attempt, durable)?;
        let mut writer = Self {
            file: Arc::new(file),
            hash: Sha256::new(),
            written: durable,
        };
        let mut known = files.read(id, attempt, Kind::Manifest)?;
        let mut block = vec![0; BLOCK];
        loop {
            match known.read(&mut block)? {
                0 => break,
                read => writer.hash.update(&block[..read]),
            }
        }
        // Behind what was hashed: the place of the handle itself is at the beginning.
        io::Seek::seek(&mut &*writer.file, io::SeekFrom::Start(durable))?;
        Ok(writer)
    }

    /// Appends. Blocks.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)?;
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// For making it durable while more is written.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

impl Running {
    fn new(id: BatchId, attempt: u32, received: u64) -> Self {
        let notes = Notes {
            phase: Phase::Receiving,
            done: received,
            total: 0,
            understood: None,
            failure: None,
        };
        Self {
            id,
            attempt,
            arrival: Arrival::new(received),
            notes: watch::Sender::new(notes),
            begun: CancellationToken::new(),
            whole: CancellationToken::new(),
            cancelled: CancellationToken::new(),
            writer: Arc::default(),
            uploader: Mutex::default(),
        }
    }

    /// Tells the uploader before to let go; the token says when somebody newer wants it.
    pub(super) fn take_over(&self) -> CancellationToken {
        let mine = CancellationToken::new();
        std::mem::replace(&mut *lock(&self.uploader), mine.clone()).cancel();
        mine
    }

    /// Ends waiting for bytes and rows.
    pub(super) fn cancel(&self, why: Refusal) {
        self.arrival.break_off(why);
        self.cancelled.cancel();
    }

    /// Notes how far it is.
    pub(super) fn progress(&self, phase: Phase, done: u64, total: u64) {
        self.notes.send_modify(|notes| {
            (notes.phase, notes.done, notes.total) = (phase, done, total);
        });
    }

    /// Wakes watchers: the record changed.
    pub(super) fn wake(&self) {
        self.notes.send_modify(|_| {});
    }
}

impl Desk {
    /// Takes a batch up; `false` in the second place when it is under way already.
    ///
    /// # Errors
    /// [`Code::Busy`] when there are too many.
    pub(super) fn open(
        &self,
        id: BatchId,
        attempt: u32,
        received: u64,
    ) -> Result<(Arc<Running>, bool), Refusal> {
        let mut running = lock(&self.running);
        if let Some(known) = running.get(&id).filter(|known| known.attempt == attempt) {
            return Ok((Arc::clone(known), false));
        }
        if running.len() >= OPEN_LIMIT {
            return Err(Refusal::new(
                Code::Busy,
                format!("{OPEN_LIMIT} batches are under way"),
            ));
        }
        let fresh = Arc::new(Running::new(id, attempt, received));
        running.insert(id, Arc::clone(&fresh));
        Ok((fresh, true))
    }

    pub(super) fn find(&self, id: BatchId) -> Option<Arc<Running>> {
        lock(&self.running).get(&id).map(Arc::clone)
    }

    /// Its driver ended.
    pub(super) fn close(&self, running: &Arc<Running>) {
        let mut all = lock(&self.running);
        if all
            .get(&running.id)
            .is_some_and(|known| Arc::ptr_eq(known, running))
        {
            all.remove(&running.id);
        }
    }
}
