//! What a run keeps beside its results so that another one can go on after it was killed.
//!
//! A ticket is a file of lines, each the whole state as JSON; the last whole line counts. So a write that is cut leaves
//! the state before it, and the file stays the same file: its lock keeps a second run away.

use super::{pair::Written, source::Source};
use crate::{failure::Failure, records::hex};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// What tickets end with.
const ENDING: &str = ".muster-import";
/// Most bytes of a ticket that are read: a run writes a handful of lines below 2 KiB each.
const SIZE_LIMIT: u64 = 1 << 20;
/// Of the lines' form.
const VERSION: u32 = 1;

/// Where the ticket of an import lies: beside its results, or beside the manifest where it has none.
pub fn ticket_path(file: &Path, results: Option<&Path>) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(ENDING);
    match results {
        Some(results) => results.with_file_name(name),
        None => file.with_file_name(name),
    }
}

/// An import that was broken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its batch, if it came so far.
    pub batch: Option<String>,
    /// Where its results were to go.
    pub results: Option<PathBuf>,
}

/// The import that a ticket is of, if there is one that can be read.
pub fn pending(ticket: &Path) -> Option<Pending> {
    let state = last(&mut File::open(ticket).ok()?).ok()??;
    Some(Pending {
        batch: state.batch,
        results: state.outputs.into_iter().next().map(|output| output.path),
    })
}

/// One state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    /// Where the server is; empty when it is not known.
    server: String,
    file_sha256: String,
    /// SHA-256 of everything else that is asked for.
    request: String,
    /// Made once, so that a batch whose name never arrived is not made twice.
    request_id: String,
    batch: Option<String>,
    /// Is the whole file sent?
    is_sent: bool,
    /// Files that are written; the first are the results.
    outputs: Vec<Output>,
    /// The outputs are about to get their names, or have them.
    is_naming: bool,
    /// Paths that outputs of earlier runs got: this import may replace them.
    #[serde(default)]
    named: Vec<PathBuf>,
    /// Files that are whole and have their names. From here on the server may have been told to forget the codes, so
    /// they are never written again.
    #[serde(default)]
    written: Option<Written>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    pub(super) path: PathBuf,
    pub(super) temporary: PathBuf,
}

/// What a ticket is for.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    pub(super) server: &'a str,
    pub(super) source: &'a Source,
    /// Digest of the request.
    pub(super) request: &'a [u8],
}

/// The ticket of this run; held in memory only where the caller wants no file.
#[derive(Debug)]
pub(super) struct Ticket {
    file: Option<(PathBuf, File)>,
    state: State,
}

impl Ticket {
    /// Takes the ticket that is there, or begins one. What an earlier run left unfinished on disk is removed.
    pub(super) fn take(path: Option<&Path>, errand: &Errand<'_>) -> Result<Self, Failure> {
        let fresh = State {
            version: VERSION,
            server: errand.server.to_owned(),
            file_sha256: hex(&errand.source.sha256),
            request: hex(errand.request),
            request_id: request_id()?,
            batch: None,
            is_sent: false,
            outputs: Vec::new(),
            is_naming: false,
            named: Vec::new(),
            written: None,
        };
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                state: fresh,
            });
        };
        let mut file = open(path)?;
        let found = last(&mut file).map_err(|error| Failure::file("read", path, &error))?;
        let state = match found {
            Some(found) => going_on(found, fresh, path)?,
            None => fresh,
        };
        let ticket = Self {
            file: Some((path.to_owned(), file)),
            state,
        };
        ticket.save()?;
        Ok(ticket)
    }

    pub(super) fn request_id(&self) -> &str {
        &self.state.request_id
    }

    pub(super) fn batch(&self) -> Option<&str> {
        self.state.batch.as_deref()
    }

    pub(super) const fn is_sent(&self) -> bool {
        self.state.is_sent
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Did an earlier run of this ticket give this file its name? Then it may be replaced: it is made anew.
    pub(super) fn made(&self, path: &Path) -> bool {
        self.state.named.iter().any(|named| named == path) || self.named().any(|output| output.path == path)
    }

    /// Outputs that have their names.
    fn named(&self) -> impl Iterator<Item = &Output> {
        let outputs = self.state.is_naming.then_some(&self.state.outputs);
        let outputs = outputs.into_iter().flatten();
        outputs.filter(|output| !output.temporary.exists() && output.path.exists())
    }

    /// What an earlier run has written to its end, if its results are still there.
    pub(super) fn written(&self) -> Option<&Written> {
        let written = self.state.written.as_ref();
        written.filter(|written| written.results.as_ref().is_some_and(|path| path.exists()))
    }

    /// All files have their names. To be called before the server may forget what stands in them.
    pub(super) fn wrote(&mut self, written: &Written) -> Result<(), Failure> {
        self.state.written = Some(written.clone());
        self.save()
    }

    /// The files that this run writes, in the place of those of an earlier one.
    pub(super) fn writes(&mut self, outputs: Vec<Output>) -> Result<(), Failure> {
        // A run that is killed before it names its files must not forget whose the ones there are.
        let named: Vec<_> = self.named().map(|output| output.path.clone()).collect();
        self.state.named.extend(named);
        let earlier = std::mem::replace(&mut self.state.outputs, outputs);
        self.state.is_naming = false;
        self.state.written = None;
        for output in earlier {
            // They hold codes. One that is gone was named, or removed before.
            match std::fs::remove_file(&output.temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::file("remove", &output.temporary, &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.save()
    }

    pub(super) fn made_batch(&mut self, name: &str) -> Result<(), Failure> {
        self.state.batch = Some(name.to_owned());
        self.save()
    }

    pub(super) fn sent(&mut self) -> Result<(), Failure> {
        self.state.is_sent = true;
        self.save()
    }

    /// To be called before a file gets its name.
    pub(super) fn naming(&mut self) -> Result<(), Failure> {
        self.state.is_naming = true;
        self.save()
    }

    /// A durable line. Nothing goes on before it is written.
    fn save(&self) -> Result<(), Failure> {
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(&self.state).map_err(anyhow::Error::new)?;
        // A line that was cut before is closed first.
        line.insert(0, b'\n');
        line.push(b'\n');
        let mut file = file;
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        written.map_err(|error| Failure::file("write", path, &error))
    }

    /// The import is over.
    pub(super) fn remove(self) {
        if let Some((path, _)) = self.file
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "the ticket of an import that is over stays");
        }
    }
}

/// The earlier state, if it is of the same errand.
fn going_on(found: State, fresh: State, path: &Path) -> Result<State, Failure> {
    let differs = if found.file_sha256 != fresh.file_sha256 {
        "the file is another now"
    } else if found.request != fresh.request {
        "it had other options"
    } else if found.server != fresh.server {
        "it went to another server"
    } else {
        return Ok(found);
    };
    let Some(batch) = &found.batch else {
        // Nothing came of it.
        return Ok(State {
            outputs: found.outputs,
            ..fresh
        });
    };
    let id = batch.trim_start_matches("batches/");
    Err(Failure::usage(
        format!("an import of this file was broken off, and {differs}"),
        format!(
            "Its answers are still at the server {}: fetch them with `muster batch results {id} --out FILE`. Then remove \
             {} and import again.",
            found.server,
            path.display()
        ),
    ))
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(path)
        .map_err(|error| Failure::file("write", path, &error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Failure::usage(
            "this file is being imported by another process",
            format!("It holds {}.", path.display()),
        )),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// The state of the last whole line.
fn last(file: &mut File) -> io::Result<Option<State>> {
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT).read_to_end(&mut bytes)?;
    let lines = bytes.split(|&byte| byte == b'\n').rev();
    let mut states = lines.filter_map(|line| serde_json::from_slice::<State>(line).ok());
    match states.next() {
        Some(state) if state.version == VERSION => Ok(Some(state)),
        None if bytes.iter().all(u8::is_ascii_whitespace) || bytes.starts_with(b"\n{") => Ok(None),
        Some(_) | None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not the ticket of an import, or of a newer muster",
        )),
    }
}

/// 128 random bits.
fn request_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let filled = provider.secure_random.fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(sha256: u8) -> Source {
        Source {
            path: "gw.csv".into(),
            bytes: 7,
            sha256: vec![sha256; 32],
        }
    }

    fn take(path: &Path, sha256: u8, request: u8) -> Result<Ticket, Failure> {
        let errand = Errand {
            server: "https://a:1",
            source: &source(sha256),
            request: &[request],
        };
        Ticket::take(Some(path), &errand)
    }

    #[test]
    fn a_run_goes_on_with_what_it_began_and_with_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw.csv.muster-import");
        let first = take(&path, 1, 1).unwrap();
        let id = first.request_id().to_owned();
        assert_eq!(id.len(), 32);
        assert!(
            take(&path, 1, 1)
                .unwrap_err()
                .to_string()
                .contains("another process")
        );
        drop(first);
        // Nothing came of it: another file may take its place, under another id.
        let mut other = take(&path, 2, 1).unwrap();
        assert_ne!(other.request_id(), id);
        let id = other.request_id().to_owned();
        other.made_batch("batches/b1").unwrap();
        drop(other);
        for (sha256, request, why) in [(3, 1, "another now"), (2, 2, "other options")] {
            let failure = take(&path, sha256, request).unwrap_err().to_string();
            assert!(
                failure.contains(why) && failure.contains("results b1"),
                "{failure}"
            );
        }
        let same = take(&path, 2, 1).unwrap();
        assert_eq!((same.request_id(), same.batch()), (&*id, Some("batches/b1")));
        same.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_cut_line_leaves_the_state_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw.csv.muster-import");
        take(&path, 1, 1).unwrap().made_batch("batches/b1").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let ticket = take(&path, 1, 1).unwrap();
            let is_known = ticket.batch().is_some();
            assert!(!is_known || cut + 2 > whole.len(), "cut at {cut}");
        }
        std::fs::write(&path, "my own notes").unwrap();
        assert!(
            take(&path, 1, 1)
                .unwrap_err()
                .to_string()
                .contains("not the ticket")
        );
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_it_finished_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| directory.path().join(name);
        let path = named("gw.csv.muster-import");
        let output = |name: &str| Output {
            path: named(name),
            temporary: named(&format!(".{name}")),
        };
        let mut ticket = take(&path, 1, 1).unwrap();
        ticket.writes(vec![output("results"), output("failed")]).unwrap();
        for name in [".results", ".failed"] {
            std::fs::write(named(name), "codes").unwrap();
        }
        assert!(!ticket.made(&named("results")));
        ticket.naming().unwrap();
        std::fs::rename(named(".results"), named("results")).unwrap();
        drop(ticket);
        let mut ticket = take(&path, 1, 1).unwrap();
        assert!(ticket.made(&named("results")));
        assert!(!ticket.made(&named("failed")));
        assert!(!ticket.made(&named("other")));
        assert_eq!(pending(&path).unwrap().results, Some(named("results")));
        ticket.writes(vec![]).unwrap();
        assert!(!named(".failed").exists() && named("results").exists());
        // Killed again, before it named anything: the results are still its own.
        drop(ticket);
        assert!(take(&path, 1, 1).unwrap().made(&named("results")));
    }

    #[test]
    fn results_that_are_whole_are_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw.csv.muster-import");
        let results = directory.path().join("results");
        std::fs::write(&results, "codes").unwrap();
        let mut ticket = take(&path, 1, 1).unwrap();
        ticket.made_batch("batches/b1").unwrap();
        let written = Written {
            results: Some(results.clone()),
            ..Written::default()
        };
        assert!(ticket.written().is_none());
        ticket.wrote(&written).unwrap();
        drop(ticket);
        let ticket = take(&path, 1, 1).unwrap();
        assert_eq!(ticket.written(), Some(&written));
        std::fs::remove_file(&results).unwrap();
        assert_eq!(ticket.written(), None);
    }

    #[test]
    fn a_ticket_lies_beside_the_results() {
        let check = |results: Option<&str>, expected: &str| {
            assert_eq!(
                ticket_path(Path::new("in/gw.csv"), results.map(Path::new)),
                Path::new(expected)
            );
        };
        check(None, "in/gw.csv.muster-import");
        check(Some("out/r.csv"), "out/gw.csv.muster-import");
    }
}
