//! The results file: the user's own columns, and how each row ended.

use super::rows::{Row, Style, TextForm};
use crate::{
    failure::Failure,
    output::formula::{neutralise, neutralise_own},
};
use muster_proto::v1::{self, RowResult, RowStatus};
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The columns that are added, in order. Where the user has one of them, all get the prefix `muster_`.
pub const RESULT_COLUMNS: [&str; 5] = ["status", "code", "message", "device", "activation_code"];

/// Whether answers are written beside the user's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// The user's own and ours.
    WithAnswers,
    /// The user's own only, to be sent again.
    OwnOnly,
}

/// A file of rows that appears under its name whole, or not at all; readable by its owner only, since it may hold
/// activation codes.
pub(super) struct ResultsFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
    replace: bool,
    style: Style,
    form: TextForm,
    columns: Columns,
    pub(super) written: u64,
    /// False: what the answers say would be done, nothing was.
    pub(super) is_applied: bool,
}

/// `rows[5].mac` + `contains 'G'` -> `mac: contains 'G'`: the row is beside it.
pub(super) fn place_and_message(refusal: &v1::Refusal) -> String {
    let in_row = refusal
        .field
        .strip_prefix("rows[")
        .and_then(|rest| rest.split_once(']'));
    let field = in_row.map_or(refusal.field.as_str(), |(_, field)| field.trim_start_matches('.'));
    if field.is_empty() {
        refusal.message.clone()
    } else {
        format!("{field}: {}", refusal.message)
    }
}

/// The added cells of a row. The code of an earlier import stays: a device has one code, and that is it.
fn answers(row: &Row, result: Option<&RowResult>, is_applied: bool) -> [String; 5] {
    let earlier = row.earlier_code.clone();
    let Some(result) = result else {
        return [
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            earlier,
        ];
    };
    let status = match RowStatus::try_from(result.status) {
        Ok(RowStatus::Created) if is_applied => "created",
        Ok(RowStatus::Updated) if is_applied => "updated",
        Ok(RowStatus::Created) => "would be created",
        Ok(RowStatus::Updated) => "would be updated",
        Ok(RowStatus::Unchanged) => "unchanged",
        Ok(RowStatus::Refused) => "refused",
        Ok(RowStatus::Unspecified) | Err(_) => "unknown",
    };
    let joined = |each: fn(&v1::Refusal) -> String| {
        let all: Vec<_> = result.refusals.iter().map(each).collect();
        all.join("; ")
    };
    let device = result.device.strip_prefix("devices/").unwrap_or(&result.device);
    [
        status.to_owned(),
        joined(|refusal| format!("M{}", refusal.code)),
        // A row that could not be taken apart has no cells of its own to be known by.
        if row.cells.is_empty() && row.source.is_empty() && !result.refusals.is_empty() {
            format!("row {}: {}", result.row, joined(place_and_message))
        } else {
            joined(place_and_message)
        },
        device.to_owned(),
        if result.activation_code.is_empty() {
            earlier
        } else {
            result.activation_code.clone()
        },
    ]
}

fn names(style: &Style) -> [String; 5] {
    let taken = |name: &str| match style {
        Style::Csv { header, .. } => header.iter().any(|own| own.trim().eq_ignore_ascii_case(name)),
        // The keys of objects may differ from line to line, so they cannot be compared beforehand.
        Style::Ndjson => false,
    };
    let prefix = if RESULT_COLUMNS.iter().any(|name| taken(name)) {
        "muster_"
    } else {
        ""
    };
    RESULT_COLUMNS.map(|name| format!("{prefix}{name}"))
}

impl ResultsFile {
    /// Begins the file beside its later place, so that a full disk or a missing directory is found before
    /// anything is sent.
    pub(super) fn begin(
        path: &Path,
        replace: bool,
        (style, form): (&Style, TextForm),
        columns: Columns,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("write", path, &error);
        if !replace && path.exists() {
            return Err(Failure::usage(
                format!("{} is there already", path.display()),
                "It may hold activation codes that exist nowhere else. Choose another name, or give --replace.",
            ));
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        if !parent.is_dir() {
            return Err(Failure::usage(
                format!(
                    "cannot write {}: {} is no directory",
                    path.display(),
                    parent.display()
                ),
                "",
            ));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".muster-results-")
            .tempfile_in(parent)
            .map_err(failed)?;
        let names = names(style);
        let mut file = Self {
            out: BufWriter::new(temporary),
            path: path.to_owned(),
            replace,
            style: style.clone(),
            form,
            columns,
            written: 0,
            is_applied: true,
        };
        // Only the header needs the names: in NDJSON each object decides for itself.
        if let Style::Csv { header, .. } = style {
            let ours = match columns {
                Columns::WithAnswers => names.as_slice(),
                Columns::OwnOnly => &[],
            };
            let own: Vec<_> = header.iter().map(String::as_str).collect();
            let ours: Vec<_> = ours.iter().map(String::as_str).collect();
            let mark = if form.has_mark { "\u{feff}" } else { "" };
            file.out.write_all(mark.as_bytes()).map_err(failed)?;
            file.csv(&own, &ours).map_err(failed)?;
        }
        Ok(file)
    }

    /// Adds a row; without an answer where none came.
    pub(super) fn push(&mut self, row: &Row, result: Option<&RowResult>) -> Result<(), Failure> {
        let written = match &self.style {
            Style::Csv { header, .. } => {
                let answers = answers(row, result, self.is_applied);
                let mut own: Vec<_> = row.cells.iter().map(String::as_str).collect();
                let answers: Vec<_> = answers.iter().map(String::as_str).collect();
                match self.columns {
                    Columns::WithAnswers => {
                        // A short row is filled up, or the answers would stand under the user's headings.
                        own.resize(own.len().max(header.len()), "");
                        self.csv(&own, &answers)
                    }
                    Columns::OwnOnly => self.csv(&own, &[]),
                }
            }
            Style::Ndjson => self.json(row, result),
        };
        self.written += 1;
        written.map_err(|error| Failure::file("write", &self.path, &error))
    }

    fn csv(&mut self, own: &[&str], ours: &[&str]) -> io::Result<()> {
        let Style::Csv { delimiter, .. } = self.style else {
            return Ok(());
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .terminator(match self.form.has_returns {
                true => csv::Terminator::CRLF,
                false => csv::Terminator::Any(b'\n'),
            })
            .from_writer(&mut self.out);
        let own = own.iter().map(|cell| neutralise_own(cell));
        let ours = ours.iter().map(|cell| neutralise(cell));
        writer
            .write_record(own.chain(ours).map(std::borrow::Cow::into_owned))
            .map_err(io::Error::other)?;
        writer.flush()
    }

    /// The user's object with our fields at its end; a line that is no object stands as text in one.
    fn json(&mut self, row: &Row, result: Option<&RowResult>) -> io::Result<()> {
        let source = row.source.trim();
        let end = if self.form.has_returns { "\r\n" } else { "\n" };
        if self.columns == Columns::OwnOnly {
            return write!(self.out, "{source}{end}");
        }
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(source).ok();
        let (own, is_bare, taken) = match &object {
            // An object ends with its brace, whatever it holds.
            Some(map) => {
                let own = source.strip_suffix('}').unwrap_or(source).trim_end();
                let taken = RESULT_COLUMNS.iter().any(|name| map.contains_key(*name));
                (own.to_owned(), map.is_empty(), taken)
            }
            None => (
                format!("{{\"line\": {}", serde_json::to_string(source)?),
                false,
                false,
            ),
        };
        write!(self.out, "{own}")?;
        let prefix = if taken { "muster_" } else { "" };
        let answers = answers(row, result, self.is_applied);
        for (place, (name, value)) in RESULT_COLUMNS.iter().zip(answers).enumerate() {
            let separator = if is_bare && place == 0 { "" } else { ", " };
            write!(
                self.out,
                "{separator}\"{prefix}{name}\": {}",
                serde_json::to_string(&value)?
            )?;
        }
        write!(self.out, "}}{end}")
    }

    /// Brings what was pushed to the file, still under its temporary name: codes survive the end of this process.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out
            .flush()
            .map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Makes the file durable and gives it its name.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        let (path, replace) = (self.path, self.replace);
        let named = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|temporary| {
                temporary.as_file().sync_all()?;
                let named = if replace {
                    temporary.persist(&path)
                } else {
                    temporary.persist_noclobber(&path)
                };
                named.map(drop).or_else(|error| {
                    // Better a file with an odd name than codes that nobody has.
                    let (cause, temporary) = (error.error, error.file);
                    let (_, kept) = temporary.keep().map_err(|error| error.error)?;
                    Err(io::Error::new(
                        cause.kind(),
                        format!("{cause}; the results are in {}", kept.display()),
                    ))
                })
            });
        named.map_err(|error| Failure::file("write", &path, &error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv_style(header: &[&str], delimiter: u8) -> Style {
        Style::Csv {
            delimiter,
            header: header.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn row(cells: &[&str]) -> Row {
        Row {
            number: 2,
            cells: cells.iter().map(|&cell| cell.to_owned()).collect(),
            ..Row::default()
        }
    }

    fn line(source: &str) -> Row {
        Row {
            number: 1,
            source: source.into(),
            ..Row::default()
        }
    }

    fn created() -> RowResult {
        RowResult {
            row: 2,
            status: RowStatus::Created.into(),
            refusals: vec![],
            device: "devices/01hzxk3v9q4t5y6w7e8r9t0a1b".into(),
            activation_code: "ABCDE-FGHJK".into(),
        }
    }

    fn refused() -> RowResult {
        let refusal = |code, field: &str, message: &str| v1::Refusal {
            code,
            field: field.into(),
            message: message.into(),
            ..v1::Refusal::default()
        };
        RowResult {
            row: 2,
            status: RowStatus::Refused.into(),
            refusals: vec![
                refusal(2111, "rows[2].mac", "contains 'G'"),
                refusal(2131, "rows[2]", "no site \"X\"; odd"),
            ],
            ..RowResult::default()
        }
    }

    fn begin(path: &Path, style: &Style) -> Result<ResultsFile, Failure> {
        ResultsFile::begin(path, false, (style, TextForm::default()), Columns::WithAnswers)
    }

    #[track_caller]
    fn check(style: &Style, columns: Columns, rows: &[(Row, Option<RowResult>)], expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = ResultsFile::begin(&path, false, (style, TextForm::default()), columns).unwrap();
        for (row, result) in rows {
            file.push(row, result.as_ref()).unwrap();
        }
        assert!(!path.exists(), "nothing has the name before it is whole");
        assert_eq!(file.finish().unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn csv_keeps_columns_order_and_delimiter() {
        check(
            &csv_style(&["Serial No.", "Note"], b';'),
            Columns::WithAnswers,
            &[
                (row(&["GW2-1", "a;b"]), Some(created())),
                (row(&["GW2-2", "say \"x\""]), Some(refused())),
            ],
            "Serial No.;Note;status;code;message;device;activation_code\n\
             GW2-1;\"a;b\";created;;;01hzxk3v9q4t5y6w7e8r9t0a1b;ABCDE-FGHJK\n\
             GW2-2;\"say \"\"x\"\"\";refused;M2111; M2131;mac: contains 'G'; no site \"\"X\"\"; odd;;\n"
                .replace("M2111; M2131", "\"M2111; M2131\"")
                .replace(
                    "mac: contains 'G'; no site \"\"X\"\"; odd",
                    "\"mac: contains 'G'; no site \"\"X\"\"; odd\"",
                )
                .as_str(),
        );
    }

    #[test]
    fn csv_is_marked_and_ends_its_lines_as_the_manifest_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let form = TextForm {
            has_mark: true,
            has_returns: true,
        };
        let style = csv_style(&["a", "b"], b';');
        let mut file = ResultsFile::begin(&path, false, (&style, form), Columns::OwnOnly).unwrap();
        file.push(&row(&["B\u{fc}ro", "x\ny"]), None).unwrap();
        file.finish().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "\u{feff}a;b\r\nB\u{fc}ro;\"x\ny\"\r\n"
        );
    }

    #[test]
    fn what_was_not_done_is_not_said_to_be_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = begin(&path, &csv_style(&["a"], b',')).unwrap();
        file.is_applied = false;
        let status = |status: RowStatus| RowResult {
            status: status.into(),
            ..RowResult::default()
        };
        for each in [RowStatus::Created, RowStatus::Updated, RowStatus::Unchanged] {
            file.push(&row(&["x"]), Some(&status(each))).unwrap();
        }
        file.finish().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "a,status,code,message,device,activation_code\nx,would be created,,,,\nx,would be updated,,,,\nx,unchanged,,,,\n"
        );
    }

    #[test]
    fn short_long_and_unanswered_rows_stay_under_their_headings() {
        check(
            &csv_style(&["a", "b"], b','),
            Columns::WithAnswers,
            &[(row(&["1"]), Some(created())), (row(&["1", "2", "3"]), None)],
            "a,b,status,code,message,device,activation_code\n\
             1,,created,,,01hzxk3v9q4t5y6w7e8r9t0a1b,ABCDE-FGHJK\n1,2,3,,,,,\n",
        );
    }

    #[test]
    fn a_row_without_cells_is_known_by_its_number() {
        check(
            &csv_style(&["a", "b"], b','),
            Columns::WithAnswers,
            &[(row(&[]), Some(refused()))],
            "a,b,status,code,message,device,activation_code\n\
             ,,refused,M2111; M2131,\"row 2: mac: contains 'G'; no site \"\"X\"\"; odd\",,\n",
        );
    }

    #[test]
    fn an_earlier_code_stays_until_there_is_a_new_one() {
        let unchanged = RowResult {
            status: RowStatus::Unchanged.into(),
            activation_code: String::new(),
            ..created()
        };
        let earlier = Row {
            earlier_code: "OLD".into(),
            ..row(&["x"])
        };
        check(
            &csv_style(&["a"], b','),
            Columns::WithAnswers,
            &[
                (earlier.clone(), Some(unchanged)),
                (earlier.clone(), Some(created())),
                (earlier, None),
            ],
            "a,status,code,message,device,activation_code\n\
             x,unchanged,,,01hzxk3v9q4t5y6w7e8r9t0a1b,OLD\n\
             x,created,,,01hzxk3v9q4t5y6w7e8r9t0a1b,ABCDE-FGHJK\nx,,,,,OLD\n",
        );
    }

    #[test]
    fn formulas_in_any_column_are_neutralised() {
        check(
            &csv_style(&["=cmd", "b"], b','),
            Columns::WithAnswers,
            &[
                (row(&["=HYPERLINK(\"http://x\")", "-23.5"]), None),
                (row(&["'=1", "+49 89 1"]), None),
            ],
            "'=cmd,b,status,code,message,device,activation_code\n\"'=HYPERLINK(\"\"http://x\"\")\",-23.5,,,,,\n'=1,+49 89 1,,,,,\n",
        );
    }

    #[test]
    fn our_columns_step_aside_for_the_users() {
        check(
            &csv_style(&["serial", "Status "], b'\t'),
            Columns::WithAnswers,
            &[(row(&["x", "new"]), None)],
            "serial\tStatus \tmuster_status\tmuster_code\tmuster_message\tmuster_device\tmuster_activation_code\nx\tnew\t\t\t\t\t\n",
        );
    }

    #[test]
    fn refused_rows_can_be_sent_again() {
        check(
            &csv_style(&["a", "b"], b'|'),
            Columns::OwnOnly,
            &[(row(&["1", "x|y"]), Some(refused()))],
            "a|b\n1|\"x|y\"\n",
        );
        check(
            &Style::Ndjson,
            Columns::OwnOnly,
            &[(line("{\"a\": 1 }"), Some(refused()))],
            "{\"a\": 1 }\n",
        );
    }

    #[test]
    fn ndjson_keeps_objects_as_they_were_written() {
        let tail = "\"status\": \"created\", \"code\": \"\", \"message\": \"\", \
                    \"device\": \"01hzxk3v9q4t5y6w7e8r9t0a1b\", \"activation_code\": \"ABCDE-FGHJK\"}\n";
        let check_line = |source: &str, expected: &str| {
            check(
                &Style::Ndjson,
                Columns::WithAnswers,
                &[(line(source), Some(created()))],
                expected,
            );
        };
        check_line(
            "{\"b\": 1.50, \"a\": {\"x\": {}}}",
            &format!("{{\"b\": 1.50, \"a\": {{\"x\": {{}}}}, {tail}"),
        );
        check_line("{ }", &format!("{{{tail}"));
        check_line(
            "{\"a\" oops",
            &format!("{{\"line\": \"{{\\\"a\\\" oops\", {tail}"),
        );
        check_line(
            "{\"code\": 7}",
            &format!(
                "{{\"code\": 7, {}",
                tail.replace("\"s", "\"muster_s")
                    .replace("\"code", "\"muster_code")
                    .replace("\"m", "\"muster_m")
                    .replace("muster_muster_", "muster_")
                    .replace("\"device", "\"muster_device")
                    .replace("\"activation", "\"muster_activation")
            ),
        );
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        std::fs::write(&path, "codes").unwrap();
        let style = csv_style(&["a"], b',');
        assert!(begin(&path, &style).is_err());
        drop(ResultsFile::begin(&path, true, (&style, TextForm::default()), Columns::WithAnswers).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "codes",
            "an abandoned file replaces nothing"
        );
        ResultsFile::begin(&path, true, (&style, TextForm::default()), Columns::WithAnswers)
            .unwrap()
            .finish()
            .unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("a,status"));
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept_and_so_are_the_results() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let style = csv_style(&["a"], b',');
        let file = begin(&path, &style).unwrap();
        std::fs::write(&path, "other").unwrap();
        let failure = file.finish().unwrap_err();
        assert!(failure.to_string().contains(".muster-results-"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_codes() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let file = begin(&path, &csv_style(&["a"], b',')).unwrap();
        file.finish().unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
