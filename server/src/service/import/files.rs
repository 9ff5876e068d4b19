//! Where the files of batches lie: `batches/ID.ATTEMPT` as it was sent, with what belongs to it beside it.
//!
//! Only this user may read them (0600 in a directory of 0700). They hold what the factory sent and no secret of ours;
//! they go when the batch has ended, and what watchers are told from them when its results are acknowledged or expired.

use muster_domain::{Code, Refusal, ids::BatchId};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most bytes of all manifests together: sixteen of the largest. A registry's disk must not be filled by uploads.
pub(super) const DISK_LIMIT: u64 = 32 << 30;

/// The directory of manifests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    directory: Arc<Path>,
    /// Bytes of all manifests.
    used: Arc<AtomicU64>,
}

/// What belongs to one attempt of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As sent.
    Manifest,
    /// What would become of each row.
    Plan,
    /// How the columns were understood.
    Columns,
}

impl Kind {
    /// Everything.
    pub(super) const ALL: &[Self] = &[Self::Manifest, Self::Plan, Self::Columns];
    /// What nobody needs once every row has its outcome.
    pub(super) const WORK: &[Self] = &[Self::Manifest, Self::Plan];

    const fn ending(self) -> &'static str {
        match self {
            Self::Manifest => "",
            Self::Plan => ".plan",
            Self::Columns => ".columns",
        }
    }
}

/// The batch and attempt in a file's name.
fn owner(name: &str) -> Option<(BatchId, u32, Kind)> {
    let (id, rest) = name.split_once('.')?;
    let (attempt, ending) = match rest.split_once('.') {
        Some((attempt, _)) => (attempt, &rest[attempt.len()..]),
        None => (rest, ""),
    };
    let kind = *Kind::ALL.iter().find(|kind| kind.ending() == ending)?;
    Some((id.parse().ok()?, attempt.parse().ok()?, kind))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Files {
    /// Opens the directory, or makes it, and counts what lies in it.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let files = Self {
            directory: directory.into(),
            used: Arc::default(),
        };
        let mut used = 0;
        for (name, kind) in files
            .list()?
            .into_iter()
            .map(|(id, attempt, kind)| ((id, attempt), kind))
        {
            used += fs::metadata(files.path(name.0, name.1, kind))?.len();
        }
        files.used.store(used, Ordering::Relaxed);
        Ok(files)
    }

    /// Everything that lies there and is ours.
    fn list(&self) -> io::Result<Vec<(BatchId, u32, Kind)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            found.extend(entry?.file_name().to_str().and_then(owner));
        }
        found.sort_unstable_by_key(|(id, attempt, _)| (*id, *attempt));
        Ok(found)
    }

    /// Batches that have files, each once, in the order of age.
    pub(super) fn owners(&self) -> io::Result<Vec<BatchId>> {
        let mut owners: Vec<_> = self.list()?.into_iter().map(|(id, ..)| id).collect();
        owners.dedup();
        Ok(owners)
    }

    pub(super) fn path(&self, id: BatchId, attempt: u32, kind: Kind) -> PathBuf {
        self.directory.join(format!("{id}.{attempt}{}", kind.ending()))
    }

    /// The manifest, made if need be, cut to what is on record as durable. The name is durable too.
    pub(super) fn manifest(&self, id: BatchId, attempt: u32, durable: u64) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(id, attempt, Kind::Manifest))?;
        let length = file.metadata()?.len();
        if length < durable {
            let why = "the manifest is shorter than what is on record as durable";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        file.set_len(durable)?;
        self.release(length - durable);
        File::open(&self.directory)?.sync_all()?;
        Ok(file)
    }

    /// The manifest, for reading.
    pub(super) fn read(&self, id: BatchId, attempt: u32, kind: Kind) -> io::Result<File> {
        File::open(self.path(id, attempt, kind))
    }

    /// A file beside the manifest, written from its beginning.
    pub(super) fn write(&self, id: BatchId, attempt: u32, kind: Kind) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(id, attempt, kind))
    }

    /// Takes room before bytes are written.
    ///
    /// # Errors
    /// [`Code::Busy`] when all manifests together would be over their limit.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), Refusal> {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&used| used <= DISK_LIMIT)
            });
        taken.map(drop).map_err(|_| {
            let why = format!("the manifests of batches under way fill their {DISK_LIMIT} bytes");
            Refusal::new(Code::Busy, why)
        })
    }

    fn release(&self, bytes: u64) {
        // Saturating: files that were not counted, such as plans, are no reason to wrap around.
        let lower = |used: u64| Some(used.saturating_sub(bytes));
        let lowered = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
        debug_assert!(lowered.is_ok(), "it never declines");
    }

    /// Removes files of these kinds of a batch, up to this attempt: the next one may have begun.
    pub(super) fn remove(&self, id: BatchId, newest: u32, kinds: &[Kind]) -> io::Result<()> {
        let is_meant = |(owner, attempt, kind): &(BatchId, u32, Kind)| {
            *owner == id && *attempt <= newest && kinds.contains(kind)
        };
        for (_, attempt, kind) in self.list()?.into_iter().filter(is_meant) {
            let path = self.path(id, attempt, kind);
            let length = fs::metadata(&path).map_or(0, |found| found.len());
            gone_is_fine(fs::remove_file(&path))?;
            if kind == Kind::Manifest {
                self.release(length);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    const ID: BatchId = BatchId::from_u128(7);

    #[test]
    fn a_manifest_is_private_and_cut_to_what_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(&directory.path().join("batches")).unwrap();
        files.reserve(5).unwrap();
        files.manifest(ID, 0, 0).unwrap().write_all(b"hello").unwrap();
        let path = files.path(ID, 0, Kind::Manifest);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        files.manifest(ID, 0, 4).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hell");
        assert!(files.manifest(ID, 0, 9).is_err(), "what was acknowledged is lost");
        assert_eq!(files.used.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn files_of_one_batch_go_together() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let other = BatchId::from_u128(8);
        for (id, attempt, kind) in [
            (ID, 0, Kind::Plan),
            (ID, 0, Kind::Columns),
            (ID, 12, Kind::Manifest),
            (other, 0, Kind::Manifest),
        ] {
            files.write(id, attempt, kind).unwrap();
        }
        fs::write(directory.path().join("notes.txt"), "not ours").unwrap();
        assert_eq!(files.owners().unwrap(), [ID, other]);
        files.remove(ID, 11, Kind::ALL).unwrap();
        assert_eq!(files.owners().unwrap(), [ID, other], "the newest attempt stays");
        files.write(ID, 12, Kind::Columns).unwrap();
        files.remove(ID, 12, Kind::WORK).unwrap();
        assert!(!files.path(ID, 12, Kind::Manifest).exists());
        assert!(files.path(ID, 12, Kind::Columns).exists());
        files.remove(ID, 12, Kind::ALL).unwrap();
        assert_eq!(files.owners().unwrap(), [other]);
        assert!(directory.path().join("notes.txt").exists());
    }

    #[test]
    fn uploads_do_not_fill_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        files.reserve(DISK_LIMIT - 1).unwrap();
        assert_eq!(files.reserve(2).unwrap_err().code, Code::Busy);
        files.reserve(1).unwrap();
    }
}
