//! The user's file, read again: rows as they stand there, read and counted by the server's own reader.

mod style;

pub(super) use style::{Cell, Row, Style, Table, TextForm};

use super::{
    members,
    ours::{Earlier, Mark, marks},
};
use crate::failure::{Answer, Failure};
use muster_domain::manifest::{Format, ReadError, ReadOptions, Reader, Record};
use muster_proto::v1::ManifestFormat;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The column that names the file of a certificate.
const FILE_COLUMN: &str = "file";

/// The rows of a file, in order.
pub(super) struct Rows {
    path: PathBuf,
    style: Style,
    form: TextForm,
    reader: Reader<Hashed<File>>,
    record: Record,
    hash: Arc<Mutex<Passed>>,
    /// Which columns are ours: the file is the results of an earlier import, or its refused rows.
    marks: Vec<Option<Mark>>,
}

/// What was read of a file.
#[derive(Debug, Default)]
struct Passed {
    sha256: Sha256,
    /// It was not read from its beginning to its end.
    is_sought: bool,
}

/// A reader that hashes what passes. The hash is shared, because the manifest's reader keeps what it reads from.
struct Hashed<R> {
    inner: R,
    hash: Arc<Mutex<Passed>>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let mut passed = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        if !passed.is_sought {
            passed.sha256.update(&buffer[..read]);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Hashed<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).is_sought = true;
        self.inner.seek(to)
    }
}

/// The format that a user chose, as the reader knows it.
pub(super) fn format(format: ManifestFormat) -> Option<Format> {
    match format {
        ManifestFormat::Csv => Some(Format::Csv),
        ManifestFormat::Ndjson => Some(Format::Ndjson),
        ManifestFormat::Json => Some(Format::Json),
        ManifestFormat::Xml => Some(Format::Xml),
        ManifestFormat::Xlsx => Some(Format::Xlsx),
        ManifestFormat::Xls => Some(Format::Xls),
        ManifestFormat::Ods => Some(Format::Ods),
        ManifestFormat::Microchip => Some(Format::Microchip),
        ManifestFormat::Certificates => Some(Format::Certificates),
        ManifestFormat::Unspecified => None,
    }
}

impl Rows {
    /// Opens the file and reads its header; `options` are what the server is told of it, but for the name. A file that
    /// the server could not read is refused here.
    pub(super) fn open(path: &Path, options: ReadOptions) -> Result<Self, Failure> {
        let inner = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let name = path.file_name().unwrap_or_default();
        let options = ReadOptions {
            file_name: name.to_string_lossy().into_owned(),
            ..options
        };
        let hash = Arc::new(Mutex::new(Passed::default()));
        let reader = Reader::new(
            Hashed {
                inner,
                hash: Arc::clone(&hash),
            },
            &options,
        );
        let reader = reader.map_err(|error| failed(path, error))?;
        let names: Vec<_> = reader.columns().iter().map(String::as_str).collect();
        let marks = marks(&names);
        let style = style::of(path, &reader, &marks);
        let form =
            TextForm::of(path, reader.encoding()).map_err(|error| Failure::file("read", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            style,
            form,
            reader,
            record: Record::default(),
            hash,
            marks,
        })
    }

    pub(super) const fn style(&self) -> &Style {
        &self.style
    }

    pub(super) const fn form(&self) -> TextForm {
        self.form
    }

    /// The next row that holds anything; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Failure> {
        let found = self
            .reader
            .read(&mut self.record)
            .map_err(|error| failed(&self.path, error))?;
        Ok(found.then(|| self.row()))
    }

    fn row(&self) -> Row {
        let mut row = match &self.style {
            Style::Csv { .. } if self.reader.format() == Format::Certificates => self.certificate(),
            Style::Csv { .. } | Style::Sheet { .. } => self.cells(),
            Style::Ndjson | Style::Json | Style::Microchip => {
                let (source, earlier) = members::take_apart(self.record.source().unwrap_or_default());
                Row {
                    source,
                    earlier,
                    ..Row::default()
                }
            }
            Style::Xml { .. } => self.element(),
        };
        row.number = self.record.row();
        row
    }

    /// The user's own cells, in order.
    fn cells(&self) -> Row {
        let mut row = Row::default();
        row.cells.reserve(self.record.len());
        for (place, text) in self.record.cells().enumerate() {
            match self.marks.get(place).copied().flatten() {
                Some(mark) => row.earlier.keep(mark, text),
                None => row.cells.push(Cell {
                    text: text.to_owned(),
                    kind: self.record.kind(place),
                }),
            }
        }
        row
    }

    /// Of a certificate, the user knows the file.
    fn certificate(&self) -> Row {
        let mut fields = self.record.fields();
        let file = fields.find(|(name, _)| *name == FILE_COLUMN);
        let cells = file.map(|(_, text)| Cell::of(text)).into_iter().collect();
        Row {
            cells,
            ..Row::default()
        }
    }

    /// Of XML, the document itself is copied; what counts is what an earlier import said.
    fn element(&self) -> Row {
        let names: Vec<_> = self.record.fields().map(|(name, _)| name).collect();
        let mut earlier = Earlier::default();
        for (mark, (_, text)) in marks(&names).into_iter().zip(self.record.fields()) {
            if let Some(mark) = mark {
                earlier.keep(mark, text);
            }
        }
        Row {
            earlier,
            ..Row::default()
        }
    }

    /// SHA-256 of the file. Of lines, of as much as was read, which is all of it behind the last row. Other formats end
    /// before their files do, or are not read in order: of the file as it is now.
    pub(super) fn hash(&self) -> Vec<u8> {
        let is_lines = matches!(self.reader.format(), Format::Csv | Format::Ndjson);
        let passed = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        if is_lines && !passed.is_sought {
            return passed.sha256.clone().finalize().to_vec();
        }
        // A file that cannot be read is not the one that was sent: no hash is equal to none.
        file_hash(&self.path).unwrap_or_default()
    }
}

fn file_hash(path: &Path) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut block = vec![0; 64 << 10];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hash.finalize().to_vec()),
            read => hash.update(&block[..read]),
        }
    }
}

fn failed(path: &Path, error: ReadError) -> Failure {
    match error {
        ReadError::Input(error) => Failure::file("read", path, &error),
        ReadError::Refused(mut refusal) => {
            refusal.message = format!("{} {}", path.display(), refusal.message);
            Failure::Refused(Box::new(Answer::local(&refusal)))
        }
    }
}

#[cfg(test)]
mod tests;
