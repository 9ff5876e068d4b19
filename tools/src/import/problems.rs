//! The full list of what is wrong with a file, as a file: one line a problem.

use super::{
    rows::{Cell, Row, Table, TextForm},
    write::{Book, CsvWriter, SHEET_ROWS, SheetWriter, Sink, Writer},
};
use crate::failure::Failure;
use muster_domain::manifest::CellKind;
use muster_proto::v1::{Refusal, RowResult};
use serde::Serialize;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The first column: a count, which a sheet can sort by.
const ROW: &str = "row";
/// The columns behind it, texts all of them.
const COLUMNS: [&str; 8] = [
    "column", "value", "code", "reason", "rule", "message", "fix", "level",
];

/// One line.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    /// As the file counts.
    row: u32,
    /// As the file names it; where the file has none, the field.
    column: &'a str,
    /// What the cell holds.
    value: &'a str,
    code: String,
    reason: &'a str,
    rule: &'a str,
    message: &'a str,
    fix: &'a str,
    /// `error`: the row is refused; `warning`: it is not.
    level: &'static str,
}

impl<'a> Problem<'a> {
    fn of(row: u32, refusal: &'a Refusal, level: &'static str) -> Self {
        let field = refusal.field.strip_prefix("rows[");
        let field = field
            .and_then(|rest| rest.split_once("]."))
            .map(|(_, field)| field);
        Self {
            row,
            column: match refusal.column.as_str() {
                "" => field.unwrap_or_default(),
                column => column,
            },
            value: &refusal.value,
            code: format!("M{}", refusal.code),
            reason: &refusal.reason,
            rule: &refusal.rule,
            message: &refusal.message,
            fix: &refusal.help,
            level,
        }
    }

    fn texts(&self) -> [(&'static str, String); 8] {
        let texts = [
            self.column,
            self.value,
            &self.code,
            self.reason,
            self.rule,
            self.message,
            self.fix,
            self.level,
        ];
        let mut texts = texts.into_iter();
        COLUMNS.map(|name| (name, texts.next().unwrap_or_default().to_owned()))
    }
}

enum Kind {
    Table(Writer),
    Lines(Sink),
}

/// The list of problems of one import: CSV, or by its name `.jsonl` or `.xlsx`. It appears under its name whole.
pub struct ProblemsFile {
    kind: Kind,
    path: PathBuf,
    temporary: PathBuf,
    written: u64,
    /// What a sheet had no room for.
    left_out: u64,
}

impl std::fmt::Debug for ProblemsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProblemsFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ProblemsFile {
    /// Begins the file beside its later place.
    pub fn begin(path: &Path, replace: bool) -> Result<Self, Failure> {
        let sink = Sink::begin(path, replace, None)?;
        let temporary = sink.temporary().to_owned();
        let kind = Kind::of(path, sink).map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self {
            kind,
            path: path.to_owned(),
            temporary,
            written: 0,
            left_out: 0,
        })
    }

    /// Adds the refusals and warnings of a row.
    pub fn push(&mut self, answer: &RowResult) -> Result<(), Failure> {
        let errors = answer.refusals.iter().map(|refusal| (refusal, "error"));
        let warnings = answer.warnings.iter().map(|refusal| (refusal, "warning"));
        for (refusal, level) in errors.chain(warnings) {
            self.line(&Problem::of(answer.row, refusal, level))
                .map_err(|error| Failure::file("write", &self.path, &error))?;
            self.written += 1;
        }
        Ok(())
    }

    fn line(&mut self, problem: &Problem<'_>) -> io::Result<()> {
        match &mut self.kind {
            Kind::Lines(sink) => {
                serde_json::to_writer(&mut *sink, problem)?;
                sink.write_all(b"\n")
            }
            // The last row says what is missing.
            Kind::Table(Writer::Sheet(sheet)) if sheet.next() >= SHEET_ROWS => {
                self.left_out += 1;
                Ok(())
            }
            Kind::Table(writer) => {
                let number = first(problem.row.to_string(), CellKind::Number);
                writer.push(&number, &problem.texts())
            }
        }
    }

    /// Where it is until it gets its name.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// How many problems there are so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Makes the file durable and gives it its name, which is returned.
    pub fn finish(self) -> Result<PathBuf, Failure> {
        let ended = match self.kind {
            Kind::Lines(sink) => sink.finish(),
            Kind::Table(mut writer) => {
                let note = format!("{} more; write .csv or .jsonl for all", self.left_out);
                let rest = if self.left_out > 0 {
                    writer.push(&first(note, CellKind::Text), &[])
                } else {
                    Ok(())
                };
                rest.and_then(|()| writer.finish())
            }
        };
        ended.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

/// A row with its first cell only.
fn first(text: String, kind: CellKind) -> Row {
    Row {
        cells: vec![Cell { text, kind }],
        ..Row::default()
    }
}

impl Kind {
    fn of(path: &Path, sink: Sink) -> io::Result<Self> {
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        let names = COLUMNS.map(str::to_owned);
        let table = Table {
            header_row: 1,
            header: vec![ROW.to_owned()],
            ..Table::default()
        };
        Ok(match ending.as_str() {
            "jsonl" | "ndjson" => Self::Lines(sink),
            "xlsx" => Self::Table(Writer::Sheet(SheetWriter::begin(
                sink,
                (&table, Book::Xlsx, "Problems"),
                &names,
            )?)),
            // Programs that read CSV look for a mark.
            _ => {
                let form = TextForm {
                    has_mark: true,
                    has_returns: false,
                };
                Self::Table(Writer::Csv(CsvWriter::begin(sink, (&table, b',', form), &names)?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::manifest::{ReadOptions, Reader, Record};

    fn answer() -> RowResult {
        let refusal = |code, column: &str, value: &str| Refusal {
            code,
            reason: "MAC_MALFORMED".into(),
            field: "rows[5].mac".into(),
            message: "contains 'G'".into(),
            help: "Write 12 digits.".into(),
            column: column.into(),
            value: value.into(),
            rule: String::new(),
        };
        RowResult {
            row: 5,
            refusals: vec![refusal(2111, "MAC Address", "00:0G"), refusal(2131, "", "=1+1")],
            warnings: vec![refusal(2112, "MAC", "02:00")],
            ..RowResult::default()
        }
    }

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let mut file = ProblemsFile::begin(&path, false).unwrap();
        file.push(&answer()).unwrap();
        file.push(&RowResult::default()).unwrap();
        assert_eq!(file.written(), 3);
        assert_eq!(file.finish().unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn each_problem_is_a_line() {
        check(
            "p.csv",
            "\u{feff}row,column,value,code,reason,rule,message,fix,level\n\
             5,MAC Address,00:0G,M2111,MAC_MALFORMED,,contains 'G',Write 12 digits.,error\n\
             5,mac,'=1+1,M2131,MAC_MALFORMED,,contains 'G',Write 12 digits.,error\n\
             5,MAC,02:00,M2112,MAC_MALFORMED,,contains 'G',Write 12 digits.,warning\n",
        );
        let line = |column: &str, value: &str, code: &str, level: &str| {
            format!(
                "{{\"row\":5,\"column\":\"{column}\",\"value\":\"{value}\",\"code\":\"{code}\",\"reason\":\"MAC_MALFORMED\",\
                 \"rule\":\"\",\"message\":\"contains 'G'\",\"fix\":\"Write 12 digits.\",\"level\":\"{level}\"}}\n"
            )
        };
        let lines = [
            line("MAC Address", "00:0G", "M2111", "error"),
            line("mac", "=1+1", "M2131", "error"),
            line("MAC", "02:00", "M2112", "warning"),
        ];
        check("p.jsonl", &lines.concat());
    }

    #[test]
    fn rows_are_numbers_in_a_sheet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.xlsx");
        let mut file = ProblemsFile::begin(&path, false).unwrap();
        file.push(&answer()).unwrap();
        file.finish().unwrap();
        let options = ReadOptions::default();
        let mut reader = Reader::new(std::fs::File::open(&path).unwrap(), &options).unwrap();
        assert_eq!(reader.columns()[..2], ["row", "column"]);
        let mut record = Record::default();
        assert!(reader.read(&mut record).unwrap());
        let first = |place| (record.cell(place), record.kind(place));
        assert_eq!(first(0), (Some("5"), CellKind::Number));
        assert_eq!(first(1), (Some("MAC Address"), CellKind::Text));
    }
}
