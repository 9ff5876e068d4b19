//! A file that may still be growing, for code that reads: checking runs while bytes arrive.

use muster_domain::{Code, Refusal};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a reader waits for one more byte before it gives its place to others. It begins anew when the file is whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Coming,
    Whole,
    /// No more will come, and what is there is of no use.
    Broken(Refusal),
}

#[derive(Debug)]
struct Inner {
    written: u64,
    state: State,
}

/// What is there of a file, told by its writer to its readers.
#[derive(Debug)]
pub(super) struct Arrival {
    inner: Mutex<Inner>,
    moved: Condvar,
    patience: Duration,
}

/// Why a reader got no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stalled {
    /// The writer was silent for too long.
    #[error("the upload pauses")]
    Silent,
    /// It will never come.
    #[error("{0}")]
    Broken(Refusal),
}

impl Arrival {
    /// A file of which so much is there.
    pub(super) fn new(written: u64) -> Arc<Self> {
        Self::with_patience(written, PATIENCE)
    }

    fn with_patience(written: u64, patience: Duration) -> Arc<Self> {
        let state = State::Coming;
        Arc::new(Self {
            inner: Mutex::new(Inner { written, state }),
            moved: Condvar::new(),
            patience,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much is in the file now.
    pub(super) fn wrote(&self, written: u64) {
        self.lock().written = written;
        self.moved.notify_all();
    }

    /// What is there is all of it.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        if inner.state == State::Coming {
            inner.state = State::Whole;
        }
        drop(inner);
        self.moved.notify_all();
    }

    /// Nothing more will come. The first reason stays.
    pub(super) fn break_off(&self, why: Refusal) {
        let mut inner = self.lock();
        if !matches!(inner.state, State::Broken(_)) {
            inner.state = State::Broken(why);
        }
        drop(inner);
        self.moved.notify_all();
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.lock().written
    }

    /// Why nothing more will come, if so.
    pub(super) fn broken(&self) -> Option<Refusal> {
        match &self.lock().state {
            State::Broken(why) => Some(why.clone()),
            State::Coming | State::Whole => None,
        }
    }

    /// Waits for a byte at `place`; the length so far, and whether that is all.
    fn wait_for(&self, place: u64) -> Result<(u64, bool), Stalled> {
        let mut inner = self.lock();
        let mut until = Instant::now() + self.patience;
        let mut seen = inner.written;
        loop {
            match &inner.state {
                State::Broken(why) => return Err(Stalled::Broken(why.clone())),
                State::Whole => return Ok((inner.written, true)),
                State::Coming if inner.written > place => return Ok((inner.written, false)),
                State::Coming => {}
            }
            if inner.written > seen {
                (seen, until) = (inner.written, Instant::now() + self.patience);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stalled::Silent);
            }
            inner = self
                .moved
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Reads a file up to its writer and waits there. Blocks: only for threads that may.
#[derive(Debug)]
pub(super) struct Growing {
    file: File,
    arrival: Arc<Arrival>,
    place: u64,
    /// What is known to be there without asking.
    known: u64,
}

impl Growing {
    pub(super) const fn new(file: File, arrival: Arc<Arrival>) -> Self {
        Self {
            file,
            arrival,
            place: 0,
            known: 0,
        }
    }
}

/// Why an error of [`Growing`] came, if the file is not at fault.
pub(super) fn stalled(error: &io::Error) -> Option<Stalled> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Stalled>())
        .cloned()
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place >= self.known {
            (self.known, _) = self.arrival.wait_for(self.place).map_err(io::Error::other)?;
        }
        let there = usize::try_from(self.known.saturating_sub(self.place)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(there);
        let read = self.file.read(&mut buffer[..wanted])?;
        self.place += read as u64;
        Ok(read)
    }
}

impl Seek for Growing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if matches!(to, SeekFrom::End(_)) {
            // The end is where it is once the file is whole.
            let (mut known, mut whole) = (0, false);
            while !whole {
                (known, whole) = self.arrival.wait_for(known).map_err(io::Error::other)?;
            }
            self.known = known;
        }
        self.place = self.file.seek(to)?;
        Ok(self.place)
    }
}

/// What an operator's cancel does to a file that is read.
pub(super) fn cancelled() -> Refusal {
    Refusal::new(Code::BatchState, "the batch was cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, thread};

    fn file() -> (File, File) {
        let named = tempfile::NamedTempFile::new().unwrap();
        (named.reopen().unwrap(), named.reopen().unwrap())
    }

    #[test]
    fn a_reader_follows_its_writer_to_the_end() {
        let (mut writer, reader) = file();
        let arrival = Arrival::new(0);
        let mut growing = Growing::new(reader, Arc::clone(&arrival));
        let read = thread::spawn(move || {
            let mut text = String::new();
            growing.read_to_string(&mut text).map(|_| text)
        });
        let mut written = 0;
        for piece in ["one,", "two,", "three"] {
            writer.write_all(piece.as_bytes()).unwrap();
            written += piece.len() as u64;
            arrival.wrote(written);
        }
        arrival.end();
        assert_eq!(read.join().unwrap().unwrap(), "one,two,three");
    }

    #[test]
    fn a_seek_to_the_end_waits_for_it() {
        let (mut writer, reader) = file();
        let arrival = Arrival::new(0);
        let mut growing = Growing::new(reader, Arc::clone(&arrival));
        let sought = thread::spawn(move || {
            let end = growing.seek(SeekFrom::End(-2))?;
            let mut last = String::new();
            growing.read_to_string(&mut last)?;
            Ok::<_, io::Error>((end, last))
        });
        writer.write_all(b"abc").unwrap();
        arrival.wrote(3);
        writer.write_all(b"def").unwrap();
        arrival.wrote(6);
        arrival.end();
        assert_eq!(sought.join().unwrap().unwrap(), (4, "ef".to_owned()));
    }

    #[test]
    fn a_broken_or_silent_file_never_looks_whole() {
        for (arrival, expected) in [
            {
                let arrival = Arrival::new(0);
                arrival.break_off(cancelled());
                arrival.end();
                (arrival, Stalled::Broken(cancelled()))
            },
            (Arrival::with_patience(0, Duration::ZERO), Stalled::Silent),
        ] {
            let mut growing = Growing::new(file().1, arrival);
            let error = growing.read(&mut [0; 8]).unwrap_err();
            assert_eq!(stalled(&error), Some(expected.clone()));
            let error = growing.seek(SeekFrom::End(0)).unwrap_err();
            assert_eq!(stalled(&error), Some(expected));
        }
    }
}
