//! The user's file, read again: rows as they stand there, counted as the server counts.

use crate::failure::Failure;
use muster_proto::v1::ManifestFormat;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Style {
    /// Cells between delimiters, under a header.
    Csv { delimiter: u8, header: Vec<String> },
    /// One JSON object a line.
    Ndjson,
}

/// One row of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// As the file counts.
    pub(super) number: u32,
    /// Of CSV.
    pub(super) cells: Vec<String>,
    /// Of NDJSON: the line.
    pub(super) source: String,
}

/// The rows of a file, in order.
pub(super) struct Rows {
    path: PathBuf,
    style: Style,
    source: Source,
    number: u32,
}

enum Source {
    Csv(Box<csv::Reader<Hashed<File>>>),
    Ndjson(BufReader<Hashed<File>>),
}

/// A reader that hashes what passes.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

impl Rows {
    /// Opens the file and reads its header.
    pub(super) fn open(path: &Path, format: Option<ManifestFormat>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("read", path, &error);
        let is_json = match format {
            Some(ManifestFormat::Ndjson) => true,
            Some(ManifestFormat::Csv) => false,
            Some(ManifestFormat::Unspecified) | None => {
                let mut first = [0; 1];
                let read = File::open(path)
                    .and_then(|mut file| file.read(&mut first))
                    .map_err(failed)?;
                read == 1 && first == *b"{"
            }
        };
        let hashed = || {
            File::open(path)
                .map(|inner| Hashed {
                    inner,
                    hash: Sha256::new(),
                })
                .map_err(failed)
        };
        let path = path.to_owned();
        if is_json {
            let source = Source::Ndjson(BufReader::new(hashed()?));
            return Ok(Self {
                path,
                style: Style::Ndjson,
                source,
                number: 0,
            });
        }
        let mut first = String::new();
        BufReader::new(File::open(&path).map_err(failed)?)
            .read_line(&mut first)
            .map_err(failed)?;
        let delimiter = [b',', b';', b'\t', b'|']
            .into_iter()
            .max_by_key(|delimiter| {
                (
                    first.bytes().filter(|byte| byte == delimiter).count(),
                    *delimiter == b',',
                )
            })
            .unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(hashed()?);
        let header = reader
            .headers()
            .map_err(|error| failed(io::Error::other(error)))?;
        let header = header.iter().map(str::to_owned).collect();
        Ok(Self {
            path,
            style: Style::Csv { delimiter, header },
            source: Source::Csv(Box::new(reader)),
            number: 1,
        })
    }

    pub(super) const fn style(&self) -> &Style {
        &self.style
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, Failure> {
        self.read()
            .map_err(|error| Failure::file("read", &self.path, &error))
    }

    fn read(&mut self) -> io::Result<Option<Row>> {
        self.number += 1;
        let mut row = Row {
            number: self.number,
            ..Row::default()
        };
        match &mut self.source {
            Source::Csv(reader) => {
                let mut record = csv::StringRecord::new();
                if !reader.read_record(&mut record).map_err(io::Error::other)? {
                    return Ok(None);
                }
                row.cells = record.iter().map(str::to_owned).collect();
            }
            Source::Ndjson(reader) => {
                if reader.read_line(&mut row.source)? == 0 {
                    return Ok(None);
                }
                row.source.truncate(row.source.trim_end().len());
            }
        }
        Ok(Some(row))
    }

    /// SHA-256 of the whole file, for after the last row.
    pub(super) fn hash(self) -> Vec<u8> {
        let hash = match self.source {
            Source::Csv(reader) => reader.into_inner().hash,
            Source::Ndjson(reader) => reader.into_inner().hash,
        };
        hash.finalize().to_vec()
    }
}
