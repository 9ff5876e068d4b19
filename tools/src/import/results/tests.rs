use super::*;
use crate::import::{
    ours::Earlier,
    rows::{Cell, Table},
};
use muster_proto::v1::{self, RowStatus};

fn csv_style(header: &[&str], delimiter: u8) -> Style {
    Style::Csv {
        delimiter,
        table: Table {
            header: header.iter().map(|&name| name.to_owned()).collect(),
            header_row: 1,
            ..Table::default()
        },
    }
}

fn row(cells: &[&str]) -> Row {
    Row {
        number: 2,
        cells: cells.iter().map(|&cell| Cell::of(cell)).collect(),
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
        ..RowResult::default()
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

const REPLACE: Keeping<'_> = Keeping {
    replace: true,
    recipient: None,
};

fn begin(path: &Path, style: &Style) -> Result<ResultsFile, Failure> {
    ResultsFile::begin(
        path,
        Keeping::default(),
        (style, TextForm::default()),
        Columns::PLAIN,
    )
}

#[track_caller]
fn check(style: &Style, columns: Columns, rows: &[(Row, Option<RowResult>)], expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let mut file =
        ResultsFile::begin(&path, Keeping::default(), (style, TextForm::default()), columns).unwrap();
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
        Columns::PLAIN,
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
    let mut file = ResultsFile::begin(&path, Keeping::default(), (&style, form), Columns::OfRefused).unwrap();
    file.batch = "batches/b1".into();
    file.push(&row(&["B\u{fc}ro", "x\ny"]), None).unwrap();
    file.finish().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "\u{feff}a;b;muster_batch;muster_row;muster_code;muster_message\r\nB\u{fc}ro;\"x\ny\";b1;2;;\r\n"
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
        Columns::PLAIN,
        &[(row(&["1"]), Some(created())), (row(&["1", "2", "3"]), None)],
        "a,b,status,code,message,device,activation_code\n\
         1,,created,,,01hzxk3v9q4t5y6w7e8r9t0a1b,ABCDE-FGHJK\n1,2,3,,,,,\n",
    );
}

#[test]
fn a_row_without_cells_is_known_by_its_number() {
    check(
        &csv_style(&["a", "b"], b','),
        Columns::PLAIN,
        &[(row(&[]), Some(refused()))],
        "a,b,status,code,message,device,activation_code\n\
         ,,refused,M2111; M2131,\"row 2: mac: contains 'G'; no site \"\"X\"\"; odd\",,\n",
    );
}

#[test]
fn an_object_that_was_not_kept_is_known_by_its_number() {
    let tail = "\"status\": \"refused\", \"code\": \"M2111; M2131\", \"message\": \"row 2: mac: contains 'G'; no site \\\"X\\\"; odd\", \
                \"device\": \"\", \"activation_code\": \"\"}\n";
    check(
        &Style::Ndjson,
        Columns::PLAIN,
        &[(line(""), Some(refused()))],
        &format!("{{\"line\": \"\", {tail}"),
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
        earlier: Earlier {
            activation_code: "OLD".into(),
            ..Earlier::default()
        },
        ..row(&["x"])
    };
    check(
        &csv_style(&["a"], b','),
        Columns::PLAIN,
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
        Columns::PLAIN,
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
        Columns::PLAIN,
        &[(row(&["x", "new"]), None)],
        "serial\tStatus \tmuster_status\tmuster_code\tmuster_message\tmuster_device\tmuster_activation_code\nx\tnew\t\t\t\t\t\n",
    );
}

#[test]
fn refused_rows_can_be_sent_again() {
    check(
        &csv_style(&["a", "b"], b'|'),
        Columns::OfRefused,
        &[(row(&["1", "x|y"]), Some(refused()))],
        "a|b|muster_batch|muster_row|muster_code|muster_message\n\
         1|\"x|y\"||2|M2111; M2131|\"mac: contains 'G'; no site \"\"X\"\"; odd\"\n",
    );
    check(
        &Style::Ndjson,
        Columns::OfRefused,
        &[(line("{\"a\": 1 }"), Some(refused()))],
        "{\"a\": 1, \"muster_batch\": \"\", \"muster_row\": \"1\", \"muster_code\": \"M2111; M2131\", \
         \"muster_message\": \"mac: contains 'G'; no site \\\"X\\\"; odd\"}\n",
    );
}

#[test]
fn ndjson_keeps_objects_as_they_were_written() {
    let tail = "\"status\": \"created\", \"code\": \"\", \"message\": \"\", \
                \"device\": \"01hzxk3v9q4t5y6w7e8r9t0a1b\", \"activation_code\": \"ABCDE-FGHJK\"}\n";
    let check_line = |source: &str, expected: &str| {
        check(
            &Style::Ndjson,
            Columns::PLAIN,
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
    drop(ResultsFile::begin(&path, REPLACE, (&style, TextForm::default()), Columns::PLAIN).unwrap());
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "codes",
        "an abandoned file replaces nothing"
    );
    ResultsFile::begin(&path, REPLACE, (&style, TextForm::default()), Columns::PLAIN)
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
