//! The user's file, read again: rows as they stand there, read and counted by the server's own reader.

use super::{OWN_PREFIX, RESULT_COLUMNS};
use crate::failure::{Answer, Failure};
use muster_domain::manifest::{Encoding, Format, ReadError, ReadOptions, Reader, Record};
use muster_proto::v1::ManifestFormat;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Style {
    /// Cells between delimiters, under a header.
    Csv {
        /// Between the cells.
        delimiter: u8,
        /// The user's own columns.
        header: Vec<String>,
    },
    /// One JSON object a line.
    Ndjson,
}

/// How its text is written, as far as the results follow it. They are UTF-8 whatever the manifest is: messages may hold
/// any character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TextForm {
    /// Results of CSV begin with a byte order mark, unless the manifest is UTF-8 without one: whatever program wrote
    /// it may take unmarked text for its own encoding.
    pub(super) has_mark: bool,
    /// Lines end with CR LF.
    pub(super) has_returns: bool,
}

impl TextForm {
    /// The form of a file that begins with `block`.
    fn of(block: &[u8], encoding: Encoding) -> Self {
        // UTF-16 of these two characters has a zero beside each.
        let mut text = block.iter().filter(|&&byte| byte != 0);
        let mut before = None;
        let ends_with_return = text.find_map(|&byte| {
            let end = (byte == b'\n').then_some(before == Some(b'\r'));
            before = Some(byte);
            end
        });
        Self {
            has_mark: encoding != Encoding::Utf8 || block.starts_with(b"\xEF\xBB\xBF"),
            has_returns: ends_with_return == Some(true),
        }
    }
}

/// The beginning of a file; shorter where the file is.
fn first_block(path: &Path) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    File::open(path)?.take(FIRST_BLOCK).read_to_end(&mut block)?;
    Ok(block)
}

/// Where the first line end is looked for: no header is longer.
const FIRST_BLOCK: u64 = 64 << 10;

/// One row of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// As the file counts.
    pub(super) number: u32,
    /// Of CSV: the user's own cells.
    pub(super) cells: Vec<String>,
    /// Of NDJSON: the user's own object.
    pub(super) source: String,
    /// The activation code of an earlier import, where this file is its results.
    pub(super) earlier_code: String,
}

/// The rows of a file, in order.
pub(super) struct Rows {
    path: PathBuf,
    style: Style,
    form: TextForm,
    reader: Reader<Hashed<File>>,
    record: Record,
    hash: Arc<Mutex<Sha256>>,
    /// The file is the results of an earlier import: this many columns at its end are ours.
    ours: usize,
}

/// A reader that hashes what passes. The hash is shared, because the manifest's reader keeps what it reads from.
struct Hashed<R> {
    inner: R,
    hash: Arc<Mutex<Sha256>>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .update(&buffer[..read]);
        Ok(read)
    }
}

impl<R> Seek for Hashed<R> {
    /// Text is read in one go, so that its hash is the file's.
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Our fields at the end of an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    #[serde(rename = "status", alias = "muster_status")]
    _status: String,
    #[serde(rename = "code", alias = "muster_code")]
    _code: String,
    #[serde(rename = "message", alias = "muster_message")]
    _message: String,
    #[serde(rename = "device", alias = "muster_device")]
    _device: String,
    #[serde(alias = "muster_activation_code")]
    activation_code: String,
}

/// The object without our fields, and the code that was among them.
fn without_ours(source: &str) -> Option<(String, String)> {
    let first = ["\"status\": \"", "\"muster_status\": \""];
    let at = first.iter().filter_map(|first| source.rfind(first)).max()?;
    let ours: Ours = serde_json::from_str(&format!("{{{}", &source[at..])).ok()?;
    let own = source[..at].trim_end().trim_end_matches(',').trim_end();
    Some((format!("{own}}}"), ours.activation_code))
}

impl Rows {
    /// Opens the file and reads its header. A file that the server could not read is refused here.
    pub(super) fn open(path: &Path, format: Option<ManifestFormat>) -> Result<Self, Failure> {
        let inner = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let name = path.file_name().unwrap_or_default();
        let options = ReadOptions {
            file_name: name.to_string_lossy().into_owned(),
            format: match format {
                Some(ManifestFormat::Csv) => Some(Format::Csv),
                Some(ManifestFormat::Ndjson) => Some(Format::Ndjson),
                Some(ManifestFormat::Json) => Some(Format::Json),
                Some(ManifestFormat::Xml) => Some(Format::Xml),
                Some(ManifestFormat::Xlsx) => Some(Format::Xlsx),
                Some(ManifestFormat::Xls) => Some(Format::Xls),
                Some(ManifestFormat::Ods) => Some(Format::Ods),
                Some(ManifestFormat::Microchip) => Some(Format::Microchip),
                Some(ManifestFormat::Certificates) => Some(Format::Certificates),
                Some(ManifestFormat::Unspecified) | None => None,
            },
            ..ReadOptions::default()
        };
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let reader = Reader::new(
            Hashed {
                inner,
                hash: Arc::clone(&hash),
            },
            &options,
        );
        let reader = reader.map_err(|error| failed(path, error))?;
        let columns = reader.columns();
        let is_ours = ["", OWN_PREFIX]
            .iter()
            .any(|prefix| columns.ends_with(&RESULT_COLUMNS.map(|name| format!("{prefix}{name}"))));
        let ours = if is_ours { RESULT_COLUMNS.len() } else { 0 };
        let style = match reader.delimiter() {
            Some(delimiter) => Style::Csv {
                delimiter,
                header: columns[..columns.len() - ours].to_vec(),
            },
            None => Style::Ndjson,
        };
        let block = first_block(path).map_err(|error| Failure::file("read", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            style,
            form: TextForm::of(&block, reader.encoding()),
            reader,
            record: Record::default(),
            hash,
            ours,
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
        let number = self.record.row();
        match &self.style {
            Style::Csv { header, .. } => {
                let mut cells: Vec<_> = self.record.cells().map(str::to_owned).collect();
                let mut earlier_code = String::new();
                if self.ours > 0 && cells.len() > header.len() {
                    earlier_code = cells.drain(header.len()..).nth(self.ours - 1).unwrap_or_default();
                }
                Row {
                    number,
                    cells,
                    earlier_code,
                    ..Row::default()
                }
            }
            Style::Ndjson => {
                let source = self.record.source().unwrap_or_default();
                let (source, earlier_code) =
                    without_ours(source).unwrap_or_else(|| (source.to_owned(), String::new()));
                Row {
                    number,
                    source,
                    earlier_code,
                    ..Row::default()
                }
            }
        }
    }

    /// SHA-256 of the file as far as it was read: of all of it, behind the last row.
    pub(super) fn hash(&self) -> Vec<u8> {
        self.hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .finalize()
            .to_vec()
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
mod tests {
    use super::*;

    fn rows(name: &str, bytes: &[u8]) -> Result<Rows, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Rows::open(&path, None)
    }

    fn all(mut rows: Rows) -> Vec<Row> {
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push(row);
        }
        all
    }

    #[test]
    fn rows_are_the_users_own_and_counted_like_the_server_counts() {
        let text = "Serial No.;Note\nGW2-1;\"a\nb\"\n\nGW2-2;S\u{e3}o\n";
        let found = rows("x.csv", text.as_bytes()).unwrap();
        let header = vec!["Serial No.".to_owned(), "Note".to_owned()];
        assert_eq!(
            *found.style(),
            Style::Csv {
                delimiter: b';',
                header
            }
        );
        let found: Vec<_> = all(found)
            .into_iter()
            .map(|row| (row.number, row.cells.join("|")))
            .collect();
        assert_eq!(
            found,
            [(2, "GW2-1|a\nb".to_owned()), (4, "GW2-2|S\u{e3}o".to_owned())]
        );
    }

    #[test]
    fn the_form_of_the_text_is_known_from_its_beginning() {
        let check = |bytes: &[u8], has_mark: bool, has_returns: bool| {
            let found = rows("x.csv", bytes).unwrap().form();
            assert_eq!(
                (found.has_mark, found.has_returns),
                (has_mark, has_returns),
                "{bytes:?}"
            );
        };
        let utf16 = |text: &str| {
            let mut bytes = vec![0xff, 0xfe];
            bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            bytes
        };
        check(b"serial,note\na,b\r\n", false, false);
        check("serial,note\r\na,\u{e3}\n".as_bytes(), false, true);
        check(b"\xEF\xBB\xBFserial,note\na,b\n", true, false);
        check(b"serial,note\r\na,B\xFCro\r\n", true, true);
        check(&utf16("serial,note\r\na,b\r\n"), true, true);
        check(&utf16("serial,note\na,b\n"), true, false);
    }

    #[test]
    fn objects_keep_their_text() {
        let found = rows("x.ndjson", b"{\"b\":1.50,  \"a\":2}\n\n{\"b\": 2}\n").unwrap();
        assert_eq!(*found.style(), Style::Ndjson);
        let found: Vec<_> = all(found)
            .into_iter()
            .map(|row| (row.number, row.source))
            .collect();
        assert_eq!(
            found,
            [
                (1, "{\"b\":1.50,  \"a\":2}".to_owned()),
                (3, "{\"b\": 2}".to_owned())
            ]
        );
    }

    #[test]
    fn results_that_come_back_lose_our_columns_and_keep_their_codes() {
        let text = "serial,status,code,message,device,activation_code\nGW2-1,created,,,id,SECRET\nGW2-2,refused,M2111,why\n";
        let found = rows("x.csv", text.as_bytes()).unwrap();
        assert_eq!(
            *found.style(),
            Style::Csv {
                delimiter: b',',
                header: vec!["serial".into()]
            }
        );
        let found: Vec<_> = all(found)
            .into_iter()
            .map(|row| (row.cells, row.earlier_code))
            .collect();
        assert_eq!(
            found,
            [
                (vec!["GW2-1".to_owned()], "SECRET".to_owned()),
                (vec!["GW2-2".to_owned()], String::new())
            ]
        );
        let tail = "\"status\": \"created\", \"code\": \"\", \"message\": \"\", \"device\": \"id\", \"activation_code\": \"SECRET\"}";
        for (own, expected) in [
            ("{\"a\": 1, ", "{\"a\": 1}"),
            ("{", "{}"),
            ("{\"status\": 7, ", "{\"status\": 7}"),
        ] {
            assert_eq!(
                without_ours(&format!("{own}{tail}")),
                Some((expected.into(), "SECRET".into()))
            );
        }
        let tail = tail
            .replace("\", \"", "\", \"muster_")
            .replace("{\"status", "{\"muster_status");
        let tail = tail.replacen("\"status", "\"muster_status", 1);
        assert_eq!(
            without_ours(&format!("{{\"status\": \"new\", {tail}")),
            Some(("{\"status\": \"new\"}".into(), "SECRET".into()))
        );
        for other in ["{\"status\": \"new\"}", "{}", "\"status\": \""] {
            assert_eq!(without_ours(other), None);
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_before_it_is_sent() {
        let failure = rows("x.xlsx", b"PK\x03\x04....").err().unwrap();
        assert_eq!(failure.answer().unwrap().number, Some(2001));
        assert_eq!(failure.exit(), crate::exit::Exit::Refused);
        assert!(
            failure.to_string().contains("x.xlsx is a zip archive"),
            "{failure}"
        );
    }
}
