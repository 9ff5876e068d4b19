//! The devices of a change from somebody's own file, and what became of each of its rows.

use super::Changes;
use crate::{
    cli::Session,
    client::pages,
    failure::Failure,
    output::formula::{neutralise, neutralise_own},
};
use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};
use muster_proto::v1::{self, ChangeTarget, TargetRow, change_target::State};
use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

/// Rows of one call: the server takes up to 10,000.
const PART: usize = 5000;
/// Rows named of those that name no device.
const NAMED: usize = 10;
/// Names of the column that holds the devices, the better ones first.
const COLUMNS: [&str; 5] = ["serial", "device", "id", "name", "serial_number"];

/// The rows of a file, as its author sees them.
#[derive(Debug)]
pub(super) struct DeviceFile {
    header: Option<StringRecord>,
    /// The number of each as the file counts its lines, and its cells.
    rows: Vec<(u32, StringRecord)>,
    /// Which of the cells names the device.
    column: usize,
    delimiter: u8,
}

impl DeviceFile {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
        let text = String::from_utf8(text).map_err(|_| {
            Failure::usage(format!("{} is not UTF-8", path.display()), "save it as CSV UTF-8")
        })?;
        Self::parse(&text).map_err(|why| {
            let help = "give a CSV file with a column `serial`, or with the serials in its first column";
            Failure::usage(format!("{}: {why}", path.display()), help)
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let first = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let delimiter = [b';', b'\t']
            .into_iter()
            .find(|one| first.as_bytes().contains(one));
        let delimiter = delimiter.unwrap_or(b',');
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        let (mut header, mut column, mut rows) = (None, 0, Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let line = record.position().map_or(0, |place| line(text, place));
            let row = u32::try_from(line).map_err(|_| "it has too many lines".to_owned())?;
            if header.is_none()
                && rows.is_empty()
                && let Some(named) = column_of(&record)
            {
                (header, column) = (Some(record), named);
            } else if record.get(column).is_some_and(|cell| !cell.is_empty()) {
                rows.push((row, record));
            } else if record.iter().any(|cell| !cell.is_empty()) {
                return Err(format!("line {row} names no device"));
            }
        }
        if rows.is_empty() {
            return Err("it has no rows".into());
        }
        Ok(Self {
            header,
            rows,
            column,
            delimiter,
        })
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// What a row says is its device, as it was before a spreadsheet's apostrophe.
    fn device<'r>(&self, record: &'r StringRecord) -> &'r str {
        record
            .get(self.column)
            .unwrap_or_default()
            .trim_start_matches('\'')
    }

    /// Adds the rows to the list of a change; those that are there already stay.
    pub(super) async fn send(
        &self,
        session: &mut Session<'_>,
        changes: &mut Changes,
        name: &str,
    ) -> Result<(), Failure> {
        let mut unknown = Vec::new();
        for part in self.rows.chunks(PART) {
            let rows = part.iter().map(|(row, record)| TargetRow {
                row: *row,
                device: self.device(record).to_owned(),
            });
            let request = v1::AddTargetsRequest {
                name: name.to_owned(),
                rows: rows.collect(),
            };
            unknown.extend(changes.add_targets(request).await?.into_inner().unknown);
        }
        if !unknown.is_empty() {
            let lines: Vec<_> = unknown.iter().take(NAMED).map(u32::to_string).collect();
            let more = if unknown.len() > NAMED { ", ..." } else { "" };
            session.note(&format!(
                "note: {} rows name no device that is registered: lines {}{more}",
                unknown.len(),
                lines.join(", ")
            ));
        }
        Ok(())
    }

    /// How many rows there are, and all of them with what became of them in columns behind the user's own; with a last one for
    /// `codes`, by the names of their devices, where there are some.
    pub(super) async fn results(
        &self,
        changes: &mut Changes,
        name: &str,
        codes: Option<&BTreeMap<String, String>>,
    ) -> Result<(usize, Vec<u8>), Failure> {
        let mut told = BTreeMap::new();
        let fetch = async |page_size, page_token| {
            let request = v1::ListTargetRowsRequest {
                name: name.to_owned(),
                page_size,
                page_token,
            };
            let page = changes.list_target_rows(request).await?.into_inner();
            Ok((page.rows, page.next_page_token))
        };
        let keep = |row: v1::TargetRowResult| {
            told.insert(row.row, row.target.unwrap_or_default());
            Ok(())
        };
        pages(None, fetch, keep).await?;
        if told.len() != self.rows.len() {
            let why = format!(
                "the list of {name} has {} rows, this file has {}",
                told.len(),
                self.rows.len()
            );
            return Err(Failure::usage(why, "give the file that the change was made from"));
        }
        Ok((told.len(), self.answered(&told, codes)?))
    }

    fn answered(
        &self,
        told: &BTreeMap<u32, ChangeTarget>,
        codes: Option<&BTreeMap<String, String>>,
    ) -> Result<Vec<u8>, Failure> {
        let broken = |error: csv::Error| Failure::Fault(error.into());
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .from_writer(Vec::new());
        let width = self.header.as_ref().map_or(0, StringRecord::len);
        if let Some(header) = &self.header {
            let own = header.iter().map(neutralise_own);
            let ours = ["state", "stage", "reason", "device"].into_iter();
            let ours = ours.chain(codes.map(|_| "activation_code")).map(Cow::Borrowed);
            let line: Vec<_> = own.chain(ours).collect();
            writer
                .write_record(line.iter().map(|cell| cell.as_bytes()))
                .map_err(broken)?;
        }
        for (row, record) in &self.rows {
            let Some(target) = told.get(row) else {
                let why = format!("line {row} is no row of the list of the change");
                return Err(Failure::usage(why, "give the file that the change was made from"));
            };
            self.check_same(*row, record, target)?;
            let state = State::try_from(target.state).unwrap_or_default().as_str_name();
            let stage = match target.stage {
                0 => String::new(),
                stage => stage.to_string(),
            };
            let device = target.device.trim_start_matches("devices/");
            let own = record.iter().map(neutralise_own);
            // A short row is filled up, or the answers would stand under the user's headings.
            let own = own.chain(std::iter::repeat_n(
                Cow::Borrowed(""),
                width.saturating_sub(record.len()),
            ));
            let ours = [state.trim_start_matches("STATE_"), &stage, &target.reason, device].into_iter();
            // One label a device, however often it is listed.
            let code = codes.map(|codes| match target.state() {
                State::Repeated => "",
                _ => codes.get(&target.device).map_or("", String::as_str),
            });
            let line: Vec<_> = own.chain(ours.chain(code).map(neutralise)).collect();
            writer
                .write_record(line.iter().map(|cell| cell.as_bytes()))
                .map_err(broken)?;
        }
        writer
            .into_inner()
            .map_err(|error| Failure::Fault(error.into_error().into()))
    }

    /// Answers under the rows of another file would be worse than none.
    fn check_same(&self, row: u32, record: &StringRecord, target: &ChangeTarget) -> Result<(), Failure> {
        let named = self.device(record);
        let bare = named.trim_start_matches("devices/");
        if target.serial.is_empty() || named == target.serial || target.device.ends_with(bare) {
            return Ok(());
        }
        let why = format!(
            "line {row} names {named}; the list of the change names {} there",
            target.serial
        );
        Err(Failure::usage(why, "give the file that the change was made from"))
    }
}

/// The line on which a record begins. Its position is before the empty lines that lead to it.
fn line(text: &str, place: &csv::Position) -> u64 {
    let start = usize::try_from(place.byte()).unwrap_or(usize::MAX);
    let behind = text.as_bytes().get(start..).unwrap_or_default().iter();
    let empty = behind.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    place.line() + empty.filter(|byte| **byte == b'\n').count() as u64
}

/// The column of a header that names devices; none when the line is no header.
fn column_of(record: &StringRecord) -> Option<usize> {
    let place = |name: &&str| record.iter().position(|cell| cell.eq_ignore_ascii_case(name));
    COLUMNS.iter().find_map(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_named_or_the_first() {
        let check = |text: &str, expected: Result<&[(u32, &str)], &str>| {
            let read = DeviceFile::parse(text);
            let rows = read.as_ref().map(|file| {
                let rows = file.rows.iter();
                rows.map(|(row, record)| (*row, file.device(record)))
                    .collect::<Vec<_>>()
            });
            let rows = rows.as_deref().map_err(|why| why.as_str());
            assert_eq!(rows, expected, "{text:?}");
        };
        check("GW-1\nGW-2\n", Ok(&[(1, "GW-1"), (2, "GW-2")]));
        check(
            "\u{feff}rack;Serial\n7;GW-1\n\n8;GW-2\n",
            Ok(&[(2, "GW-1"), (4, "GW-2")]),
        );
        check("id,serial\n1,GW-1\n", Ok(&[(2, "GW-1")]));
        check("serial\n'=GW-1\n", Ok(&[(2, "=GW-1")]));
        check("GW-1,Hall 1\n,Hall 2\n", Err("line 2 names no device"));
        check("serial\n", Err("it has no rows"));
        check("", Err("it has no rows"));
    }

    #[test]
    fn answers_stand_behind_the_rows_they_are_of() {
        let file = DeviceFile::parse("serial,note\nGW-1\nGW-2,\"a, b\"\n").unwrap();
        let target = |serial: &str, state: State, reason: &str| ChangeTarget {
            serial: serial.into(),
            state: state.into(),
            reason: reason.into(),
            device: "devices/01h455vb4pex5vsknk084sn02q".into(),
            ..ChangeTarget::default()
        };
        let mut told = BTreeMap::from([
            (2, target("GW-1", State::Repeated, "duplicate of row 1")),
            (3, target("GW-2", State::Done, "")),
        ]);
        let text = String::from_utf8(file.answered(&told, None).unwrap()).unwrap();
        assert_eq!(
            text,
            "serial,note,state,stage,reason,device\n\
             GW-1,,REPEATED,,duplicate of row 1,01h455vb4pex5vsknk084sn02q\n\
             GW-2,\"a, b\",DONE,,,01h455vb4pex5vsknk084sn02q\n"
        );
        let codes = BTreeMap::from([("devices/01h455vb4pex5vsknk084sn02q".into(), "=7Q2RK".into())]);
        let text = String::from_utf8(file.answered(&told, Some(&codes)).unwrap()).unwrap();
        assert_eq!(
            text,
            "serial,note,state,stage,reason,device,activation_code\n\
             GW-1,,REPEATED,,duplicate of row 1,01h455vb4pex5vsknk084sn02q,\n\
             GW-2,\"a, b\",DONE,,,01h455vb4pex5vsknk084sn02q,'=7Q2RK\n"
        );
        told.insert(3, target("GW-9", State::Done, ""));
        assert!(
            file.answered(&told, None)
                .unwrap_err()
                .to_string()
                .contains("line 3 names GW-2")
        );
    }
}
