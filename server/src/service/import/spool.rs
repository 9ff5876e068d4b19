//! Checked rows between checking and applying, in a file without a name: a manifest of any size needs bounded
//! memory, and nothing is left behind, whatever happens. Rows hold no secrets; codes are made later.

use muster_domain::{Refusal, manifest::ValidRow};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _},
    path::Path,
};

/// Most bytes of one entry: a row of 64 KiB with a refusal for each of its cells stays far below.
const ENTRY_LIMIT: usize = 4 << 20;
const BUFFER: usize = 1 << 18;

/// One row of the file, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "valid rows are the rule: a box would be an allocation for each"
)]
pub(super) enum Entry {
    Valid(ValidRow),
    Refused(u32, Vec<Refusal>),
}

pub(super) struct SpoolWriter {
    file: BufWriter<File>,
    entry: Vec<u8>,
}

pub(super) struct SpoolReader {
    file: BufReader<File>,
    entry: Vec<u8>,
}

impl SpoolWriter {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(directory)?),
            entry: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.entry);
        bytes.clear();
        bytes = postcard::to_extend(entry, bytes).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&bytes)?;
        self.entry = bytes;
        Ok(())
    }

    pub(super) fn into_reader(self) -> io::Result<SpoolReader> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(SpoolReader {
            file: BufReader::with_capacity(BUFFER, file),
            entry: self.entry,
        })
    }
}

impl SpoolReader {
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut length = [0; 4];
        // The writer flushed whole entries, so an end can only be between two of them.
        match self.file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > ENTRY_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "spool entry is over its limit",
            ));
        }
        self.entry.resize(length, 0);
        self.file.read_exact(&mut self.entry)?;
        postcard::from_bytes(&self.entry)
            .map(Some)
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::Code;

    #[test]
    fn entries_come_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let entries: Vec<_> = (0..1000)
            .map(|row| {
                Entry::Refused(
                    row,
                    vec![Refusal::new(Code::SerialMissing, "x".repeat(row as usize % 7))],
                )
            })
            .collect();
        let mut writer = SpoolWriter::new(directory.path()).unwrap();
        for entry in &entries {
            writer.push(entry).unwrap();
        }
        let mut reader = writer.into_reader().unwrap();
        let mut read = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            read.push(entry);
        }
        assert_eq!(read, entries);
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            0,
            "the spool has no name"
        );
    }
}
