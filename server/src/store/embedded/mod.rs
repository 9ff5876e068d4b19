//! The embedded store, on redb.

mod audit;
mod bare;
mod batches;
mod catalog;
mod certificates;
mod changes;
mod check;
mod check_batches;
mod check_changes;
mod claims;
mod counts;
mod decide;
mod devices;
mod file;
mod former;
mod groups;
mod imports;
mod index;
mod inventory;
mod keys;
mod listing;
mod lists;
mod live;
mod operators;
mod parts;
mod presence;
#[cfg(test)]
mod probe;
mod record;
mod registry;
mod renewals;
mod requests;
mod revocations;
mod rules;
mod secrets;
mod survey;
mod tables;
mod txn;
mod undo;
mod watched;
mod writer;

pub use changes::{RETRY_PART, Seen, Turn};
pub use registry::FORMAT;
#[cfg(test)]
pub(super) use {
    record::{MappingText, PolicyText, ProfileText, Record, Replaceable, SecretRecord},
    requests::Asked,
};

use super::{Counts, StoreError, Work};
use live::Live;
use presence::Presences;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTableMetadata as _, StorageBackend,
    backends::InMemoryBackend,
};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::{self, JoinHandle},
};
use tables::{Tables, View};
use tokio::sync::{mpsc, watch};
use txn::Txn;
use writer::{Job, QUEUE_LIMIT, Writer};

/// Memory for pages of the file, in bytes. New devices come in the order of their keys and need little: a million rows
/// took as long with 64 MiB as with 256. Looking up a million known devices in random order took 13.0 s with 64 or 96 MiB
/// and 10.4 s with 256, which is not worth 190 MB of every server's memory.
const CACHE_BYTES: usize = 96 << 20;

/// What the registry remembers. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` once closed.
    database: RwLock<Option<Arc<Database>>>,
    live: Arc<Live>,
    presences: Presences,
    queue: mpsc::Sender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file, or makes it. Only one process can have it open.
    ///
    /// # Errors
    /// The file cannot be opened, is damaged, or was written by a newer program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            file::make(path)?;
        }
        Self::start(builder().open(path)?)
    }

    /// A store that is gone with its process.
    ///
    /// # Errors
    /// None that could be expected.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with_backend(InMemoryBackend::new())
    }

    pub(super) fn with_backend(backend: impl StorageBackend) -> Result<Self, StoreError> {
        Self::start(builder().create_with_backend(backend)?)
    }

    fn start(database: Database) -> Result<Self, StoreError> {
        prepare(&database)?;
        let view = View::open(&database.begin_read()?)?;
        let audit = view.audit.len()?;
        let live = Arc::new(Live::new(
            catalog::load(&view)?,
            counts::load(&view.counts)?,
            rules::load(&view.registry)?,
            audit,
        ));
        drop(view);
        let database = Arc::new(database);
        let (queue, commands) = mpsc::channel(QUEUE_LIMIT);
        let writer = Writer {
            database: Arc::clone(&database),
            live: Arc::clone(&live),
            queue: commands,
            broken: None,
        };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(|| writer.run())?;
        let shared = Shared {
            database: RwLock::new(Some(database)),
            live,
            presences: Presences::default(),
            queue,
            writer: Mutex::new(Some(writer)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Finishes what is queued, then closes the file. Every clone answers [`StoreError::Closed`] from then on;
    /// closing again does nothing.
    ///
    /// # Errors
    /// The file could not be closed in order; it opens again as after a crash.
    pub async fn close(&self) -> Result<(), StoreError> {
        let writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else { return Ok(()) };
        // A queue that is closed already has stopped.
        drop(self.shared.queue.send(Job::Stop).await);
        let database = self
            .shared
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let closed = tokio::task::spawn_blocking(move || {
            let joined = writer.join().map_err(|_| StoreError::Panicked);
            // A read that is still running has its own handle; the last one closes the file.
            match database.and_then(Arc::into_inner) {
                Some(database) => joined.and_then(|()| Ok(database.close()?)),
                None => joined,
            }
        });
        closed.await.map_err(|_| StoreError::Panicked)?
    }

    /// Counts of devices as of the last commit.
    pub fn counts(&self) -> Arc<Counts> {
        self.shared.live.counts()
    }

    /// What was written since the store was opened.
    pub fn work(&self) -> Work {
        self.shared.live.work()
    }

    /// False after a commit failed (a full or broken disk): reads go on, but nothing is written until the store is
    /// opened again. For the readiness probe.
    pub fn is_writable(&self) -> bool {
        !self.shared.live.is_broken()
    }

    /// Grows when something about changes did: whoever waits for that looks again.
    pub fn changes_moved(&self) -> watch::Receiver<u64> {
        self.shared.live.changes_moved()
    }

    fn live(&self) -> &Live {
        &self.shared.live
    }

    /// A snapshot of everything committed.
    fn read(&self) -> Result<ReadTransaction, StoreError> {
        let database = self
            .shared
            .database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(database.ok_or(StoreError::Closed)?.begin_read()?)
    }

    /// Reads that may take long run where they block nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let txn = self.read()?;
        tokio::task::spawn_blocking(move || read(&txn))
            .await
            .map_err(|_| StoreError::Panicked)?
    }

    async fn write<T: Send + 'static>(
        &self,
        run: impl Fn(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_rows(1, run).await
    }

    async fn write_rows<T: Send + 'static>(
        &self,
        rows: usize,
        run: impl Fn(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        writer::submit(&self.shared.queue, rows, run).await
    }
}

/// Makes the tables that are not there; refuses a file of a newer program before it touches it.
fn prepare(database: &Database) -> Result<(), StoreError> {
    registry::check_format(&database.begin_read()?)?;
    let txn = txn::begin(database)?;
    registry::mark(&txn)?;
    certificates::index_all(&mut Tables::open(&txn)?)?;
    Ok(txn.commit()?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
