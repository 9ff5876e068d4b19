//! Refused rows that are sent again: their file says which batch they belong to.

use muster_domain::manifest::{ReadOptions, Reader, Record};
use std::{fs::File, path::Path};

/// The column of a file of refused rows that names their batch.
const BATCH_COLUMN: &str = "muster_batch";
/// Longest id of a batch that is believed.
const ID_LIMIT: usize = 64;

/// The batch that the first row of a file names, if it has a column for it. A file that cannot be read names none: why it
/// cannot is said by whoever reads all of it.
pub(super) fn batch_of(path: &Path, options: &ReadOptions) -> Option<String> {
    let mut reader = Reader::new(File::open(path).ok()?, options).ok()?;
    let place = reader.columns().iter().position(|name| name == BATCH_COLUMN)?;
    let mut record = Record::default();
    if !reader.read(&mut record).ok()? {
        return None;
    }
    // Objects name their keys themselves, and may leave some out.
    let named = record.fields().find(|(name, _)| *name == BATCH_COLUMN);
    let id = match named {
        Some((_, id)) => id,
        None if record.source().is_some() => return None,
        None => record.cell(place)?,
    };
    let is_id = !id.is_empty() && id.len() <= ID_LIMIT && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| format!("batches/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_refused_rows_names_its_batch() {
        let directory = tempfile::tempdir().unwrap();
        let check = |text: &str, expected: Option<&str>| {
            let path = directory.path().join("failed.csv");
            std::fs::write(&path, text).unwrap();
            let options = ReadOptions {
                file_name: "failed.csv".into(),
                ..ReadOptions::default()
            };
            assert_eq!(batch_of(&path, &options).as_deref(), expected, "{text:?}");
        };
        check(
            "serial,muster_batch,muster_row\nA1,0b1c,7\n",
            Some("batches/0b1c"),
        );
        check(
            "{\"serial\": \"A1\", \"muster_batch\": \"0b1c\"}\n",
            Some("batches/0b1c"),
        );
        for none in [
            "serial\nA1\n",
            "serial,muster_batch\nA1,\n",
            "serial,muster_batch\nA1,../x\n",
            "serial,muster_batch\nA1\n",
            "serial,muster_batch\n",
            "{\"serial\": \"A1\"}\n",
            "",
        ] {
            check(none, None);
        }
    }
}
