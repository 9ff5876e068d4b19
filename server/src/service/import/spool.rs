//! Rows between two steps of a batch, in a file: a manifest of any size needs bounded memory. Checked rows lie in a file
//! without a name, so that nothing is left behind, whatever happens; what a plan says of each row lies beside the
//! manifest. Neither holds a secret: codes are made later.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _},
    marker::PhantomData,
    path::Path,
};

/// Most bytes of one entry: a row of 64 KiB with a problem for each of its cells stays far below.
const ENTRY_LIMIT: usize = 4 << 20;
const BUFFER: usize = 1 << 18;
/// Bytes of an entry's length.
const LENGTH: usize = 4;

/// Writes entries one behind the other.
pub(super) struct SpoolWriter<T> {
    file: BufWriter<File>,
    entry: Vec<u8>,
    of: PhantomData<fn(T)>,
}

/// A file of entries without a name, to be read as often as need be: one reader at a time.
pub(super) struct Spool<T> {
    file: File,
    of: PhantomData<fn() -> T>,
}

/// Reads them in the same order.
pub(super) struct SpoolReader<T> {
    file: BufReader<File>,
    entry: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

/// Appends an entry as it lies in a file: its length in four bytes, then itself.
pub(super) fn encode<T: Serialize>(entry: &T, into: &mut Vec<u8>) -> io::Result<()> {
    let start = into.len();
    into.extend_from_slice(&[0; LENGTH]);
    let bytes = postcard::to_extend(entry, std::mem::take(into)).map_err(io::Error::other)?;
    *into = bytes;
    let length = into.len() - start - LENGTH;
    let length = u32::try_from(length).map_err(io::Error::other)?;
    into[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

impl<T: Serialize> SpoolWriter<T> {
    /// In a file without a name.
    pub(super) fn nameless(directory: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(directory).map(Self::new)
    }

    /// In this file.
    pub(super) fn new(file: File) -> Self {
        Self {
            file: BufWriter::with_capacity(BUFFER, file),
            entry: Vec::new(),
            of: PhantomData,
        }
    }

    pub(super) fn push(&mut self, entry: &T) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.entry);
        bytes.clear();
        encode(entry, &mut bytes)?;
        self.file.write_all(&bytes)?;
        self.entry = bytes;
        Ok(())
    }

    /// Entries that are encoded already.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        self.file.write_all(entries)
    }

    fn into_file(self) -> io::Result<File> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// What was written, to be read.
    pub(super) fn into_spool(self) -> io::Result<Spool<T>> {
        let (file, of) = (self.into_file()?, PhantomData);
        Ok(Spool { file, of })
    }

    /// Makes it durable.
    pub(super) fn finish(self) -> io::Result<()> {
        self.into_file()?.sync_data()
    }
}

impl<T: DeserializeOwned> Spool<T> {
    /// From its beginning. Readers share one place in the file, so the one before must not be used any more.
    pub(super) fn reader(&self) -> io::Result<SpoolReader<T>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(SpoolReader::new(file))
    }
}

impl<T: DeserializeOwned> SpoolReader<T> {
    pub(super) fn new(file: File) -> Self {
        Self {
            file: BufReader::with_capacity(BUFFER, file),
            entry: Vec::new(),
            of: PhantomData,
        }
    }

    /// The length of the next entry; `None` at the end.
    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut length = [0; LENGTH];
        // The writer flushed whole entries, so an end can only be between two of them.
        match self.file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > ENTRY_LIMIT {
            let why = "spool entry is over its limit";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(Some(length))
    }

    pub(super) fn next(&mut self) -> io::Result<Option<T>> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        self.entry.resize(length, 0);
        self.file.read_exact(&mut self.entry)?;
        postcard::from_bytes(&self.entry)
            .map(Some)
            .map_err(io::Error::other)
    }

    /// Passes over entries.
    pub(super) fn skip(&mut self, entries: u32) -> io::Result<()> {
        for _ in 0..entries {
            let Some(length) = self.length()? else {
                return Ok(());
            };
            self.file
                .seek_relative(i64::try_from(length).map_err(io::Error::other)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let entries: Vec<(u32, String)> = (0..1000).map(|row| (row, "x".repeat(row as usize % 7))).collect();
        let mut writer = SpoolWriter::nameless(directory.path()).unwrap();
        for entry in &entries {
            writer.push(entry).unwrap();
        }
        let spool = writer.into_spool().unwrap();
        for time in ["first", "second"] {
            let mut reader = spool.reader().unwrap();
            let mut read = Vec::new();
            while let Some(entry) = reader.next().unwrap() {
                read.push(entry);
            }
            assert_eq!(read, entries, "the {time} time");
        }
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 0, "the spool has no name");
    }

    #[test]
    fn entries_are_passed_over() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let mut writer = SpoolWriter::new(named.reopen().unwrap());
        for entry in ["a", "bcd", "", "ef"] {
            writer.push(&entry.to_owned()).unwrap();
        }
        writer.finish().unwrap();
        for (skipped, next) in [(0, Some("a")), (3, Some("ef")), (4, None), (9, None)] {
            let mut reader = SpoolReader::<String>::new(named.reopen().unwrap());
            reader.skip(skipped).unwrap();
            assert_eq!(reader.next().unwrap().as_deref(), next);
        }
    }

    #[test]
    fn damage_is_an_error_and_no_allocation() {
        for bytes in [&[255, 255, 255, 255, 1][..], &[3, 0, 0, 0, 1]] {
            let named = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(named.path(), bytes).unwrap();
            assert!(
                SpoolReader::<String>::new(named.reopen().unwrap())
                    .next()
                    .is_err()
            );
        }
    }
}
