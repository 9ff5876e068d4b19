//! `muster import`.

use crate::{
    cli::Session,
    exit::Exit,
    failure::Failure,
    import::{Cause, ImportEvent, ImportOptions, ImportSummary, results_ending, run_until},
    output::{Format, print_one, text},
    records::ImportReport,
};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use muster_proto::v1::{ManifestFormat, MappedColumn, import_progress::Phase};
use std::{
    cell::Cell,
    fmt::Write as _,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// Import a manifest of devices: CSV, TSV or newline-delimited JSON, sent as it is.
///
/// The results file holds the same columns in the same order, and status, code, message, device and activation_code
/// behind them. Activation codes are shown there and nowhere else, so it is written even when the import
/// breaks off. Importing the same file again changes nothing and finishes what was broken off; the file of
/// results can be imported too.
///
/// The manifest may be UTF-8, UTF-16 or Windows-1252. The results are UTF-8 with the manifest's delimiter and line
/// ends; CSV begins with a byte order mark, which spreadsheets look for, unless the manifest is UTF-8 without one.
/// Cells that a spreadsheet would run as a formula get an apostrophe in front.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  muster import gateways.csv --dry-run
  muster import gateways.csv --out results.csv --failed failed.csv
  muster import failed.csv --out results-2.csv          after mending its rows
  muster import sensors.ndjson --model TS-10 --code-ttl 30d -o json

Exit code 3: rows were refused; the others are imported.")]
pub(crate) struct Import {
    /// The manifest.
    file: PathBuf,
    /// Check every row as the import would, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the results go. Without it, beside the manifest: devices.csv gives devices.results.csv.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where refused rows go, in their own columns, to be mended and sent again.
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// Replace results that are there already; they may hold the only copy of activation codes.
    #[arg(long)]
    replace: bool,
    /// The model of rows that name none.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What the file is written in; without it, the server decides by name and content.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Apply nothing when one row is refused; for files of up to 262,144 rows.
    #[arg(long)]
    all_or_nothing: bool,
    /// How long activation codes last, such as 30d or 12h; without it, until used.
    #[arg(long, value_name = "TIME")]
    code_ttl: Option<Ttl>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// Cells between commas, semicolons, tabs or bars.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A length of time such as `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ttl(pub(crate) Duration);

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time such as 90m, 12h, 30d or 2w");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let count: u64 = text[..text.len() - unit.len_utf8()]
            .parse()
            .map_err(|_| wrong())?;
        let seconds = count
            .checked_mul(seconds)
            .filter(|&seconds| seconds > 0)
            .ok_or_else(wrong)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// The first name beside the manifest that is free.
fn beside(manifest: &Path) -> PathBuf {
    let stem = manifest.file_stem().unwrap_or_default().to_string_lossy();
    let ending = results_ending(manifest);
    let numbered = (2..).map(|number| manifest.with_file_name(format!("{stem}.results-{number}.{ending}")));
    let mut names =
        std::iter::once(manifest.with_file_name(format!("{stem}.results.{ending}"))).chain(numbered);
    // The names do not end before the file system does.
    names.find(|path| !path.exists()).unwrap_or_default()
}

impl Import {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let results = match self.out {
            Some(out) => Some(out),
            // A dry run has no codes to lose.
            None if self.dry_run => None,
            None => Some(beside(&self.file)),
        };
        let options = ImportOptions {
            file: self.file,
            format: self.format.map(|format| match format {
                FileFormat::Csv => ManifestFormat::Csv,
                FileFormat::Ndjson => ManifestFormat::Ndjson,
            }),
            dry_run: self.dry_run,
            model: self.model,
            code_ttl: self.code_ttl.map(|ttl| ttl.0),
            all_or_nothing: self.all_or_nothing,
            results,
            failed: self.failed,
            replace: self.replace,
        };
        let is_dry = options.dry_run;
        let client = session.client().await?;
        let mut progress = Progress::new();
        let mut mapping = Vec::new();
        let mut partial = None;
        // The server does not say when it begins to apply, only how far it is.
        let may_apply = Cell::new(false);
        let on_event = |event: ImportEvent<'_>| match event {
            ImportEvent::Mapping(columns) => mapping = columns.to_vec(),
            ImportEvent::Progress { phase, done, total } => progress.show(phase, done, total),
            ImportEvent::Sent => may_apply.set(!is_dry),
            ImportEvent::Results(_) => {}
            ImportEvent::Partial(path) => partial = Some(path.to_owned()),
        };
        let warn = || {
            session.note(
                "\nnote: the file is sent and its rows are being applied; breaking off now loses activation codes that are on \
                 their way; \
                 press Ctrl-C again to do it",
            );
        };
        let stop = interrupted(pressed, || may_apply.get(), warn);
        let ended = run_until(&client, options, on_event, stop).await;
        progress.clear();
        if let Some(path) = partial {
            session.note(&format!(
                "note: the answers that came, with their activation codes, are in {}",
                path.display()
            ));
        }
        let summary = ended?;
        if session.format == Format::Table {
            session
                .out
                .write_all(describe(&summary, &mapping, is_dry).as_bytes())?;
        } else {
            print_one(session.out, session.format, &ImportReport::new(&summary))?;
        }
        Ok(if summary.refused > 0 {
            Exit::RowsRefused
        } else {
            Exit::Done
        })
    }
}

/// Ready when the import is to be broken off: at once while nothing can be lost, at the second press while codes can.
async fn interrupted(press: impl AsyncFn(), is_risky: impl Fn() -> bool, warn: impl FnOnce()) {
    press().await;
    if is_risky() {
        warn();
        press().await;
    }
}

/// Ready when the user presses Ctrl-C.
async fn pressed() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself.
        std::future::pending::<()>().await;
    }
}

/// A bar on standard error; nothing where that is no terminal.
struct Progress {
    bar: ProgressBar,
    phase: Option<Phase>,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        Self { bar, phase: None }
    }

    fn show(&mut self, phase: Phase, done: u64, total: u64) {
        if self.phase != Some(phase) {
            let (name, unit) = match phase {
                Phase::Receiving => ("sending", "{bytes}"),
                Phase::Checking => ("checking", "{human_pos} rows"),
                Phase::Applying => ("applying", "{human_pos}/{human_len} rows"),
                Phase::Unspecified => ("working", "{human_pos}"),
            };
            let bar = if total > 0 { "{bar:32}" } else { "{spinner}" };
            let template = format!("{name:<9} {bar} {unit}  {{per_sec}}  {{elapsed}}");
            self.bar.set_style(
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.reset();
            self.phase = Some(phase);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn describe(summary: &ImportSummary, mapping: &[MappedColumn], is_dry: bool) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{args}");
    };
    if !mapping.is_empty() {
        let pairs: Vec<_> = mapping
            .iter()
            .map(|one| format!("{} -> {}", text::line(&one.column), one.field))
            .collect();
        line(format_args!("columns: {}", pairs.join(", ")));
    }
    let would = match summary.batch.is_empty() {
        _ if is_dry => " (dry run: nothing was changed)",
        true => " (all or nothing: nothing was changed)",
        false => "",
    };
    let ImportSummary {
        created,
        updated,
        unchanged,
        refused,
        ..
    } = summary;
    line(format_args!(
        "{created} created, {updated} updated, {unchanged} unchanged, {refused} refused{would}"
    ));
    for cause in &summary.causes {
        line(format_args!("{}", describe_cause(cause)));
    }
    if !summary.batch.is_empty() {
        line(format_args!(
            "batch:   {}",
            summary.batch.trim_start_matches("batches/")
        ));
    }
    if let Some(path) = &summary.results {
        line(format_args!("results: {}", path.display()));
    }
    if let Some(path) = &summary.failed {
        line(format_args!(
            "refused: {}  (mend these rows and import them alone)",
            path.display()
        ));
    }
    text
}

fn describe_cause(cause: &Cause) -> String {
    let rows: Vec<_> = cause.first_rows.iter().map(ToString::to_string).collect();
    let more = if cause.rows > rows.len() as u64 {
        ", ..."
    } else {
        ""
    };
    let word = if cause.rows == 1 { "row" } else { "rows" };
    let example = text::line(&cause.example);
    format!(
        "  M{} {} {word} ({}{more}): {example}\n        {}",
        cause.code,
        cause.rows,
        rows.join(", "),
        text::line(&cause.help)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(
                text.parse::<Ttl>().ok(),
                seconds.map(|seconds| Ttl(Duration::from_secs(seconds))),
                "{text:?}"
            );
        };
        check("90m", Some(5400));
        check("30d", Some(2_592_000));
        check("2w", Some(1_209_600));
        for wrong in [
            "",
            "d",
            "30",
            "-1d",
            "1.5h",
            "0d",
            "30é",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            check(wrong, None);
        }
    }

    #[tokio::test]
    async fn codes_on_their_way_are_not_lost_by_one_key() {
        let check = async |is_risky: bool, presses: u32, warnings: u32| {
            let (pressed, warned) = (Cell::new(0), Cell::new(0));
            let press = async || pressed.set(pressed.get() + 1);
            interrupted(press, || is_risky, || warned.set(warned.get() + 1)).await;
            assert_eq!((pressed.get(), warned.get()), (presses, warnings));
        };
        check(false, 1, 0).await;
        check(true, 2, 1).await;
    }

    #[test]
    fn results_lie_beside_the_manifest_under_a_free_name() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("gateways.csv");
        let named = |name: &str| directory.path().join(name);
        assert_eq!(beside(&manifest), named("gateways.results.csv"));
        std::fs::write(named("gateways.results.csv"), "").unwrap();
        assert_eq!(beside(&manifest), named("gateways.results-2.csv"));
        assert_eq!(beside(&named("list")), named("list.results.csv"));
        assert_eq!(beside(&named("old.xls")), named("old.results.xlsx"));
        assert_eq!(beside(&named("s.ndjson")), named("s.results.ndjson"));
    }

    #[test]
    fn the_summary_says_what_and_why() {
        let summary = ImportSummary {
            batch: "batches/b1".into(),
            dry_run: false,
            created: 998,
            updated: 0,
            unchanged: 0,
            refused: 7,
            file_sha256: vec![],
            causes: vec![Cause {
                code: 2111,
                reason: "MAC_MALFORMED".into(),
                rows: 7,
                first_rows: vec![5, 9, 12, 13, 14],
                example: "mac: contains 'G'".into(),
                help: "Write 12 digits.".into(),
            }],
            results: Some("results.csv".into()),
            failed: Some("failed.csv".into()),
        };
        let mapping = [MappedColumn {
            column: "Serial No.".into(),
            field: "serial".into(),
        }];
        assert_eq!(
            describe(&summary, &mapping, false),
            "columns: Serial No. -> serial\n998 created, 0 updated, 0 unchanged, 7 refused\n  \
             M2111 7 rows (5, 9, 12, 13, 14, ...): mac: contains 'G'\n        Write 12 digits.\n\
             batch:   b1\nresults: results.csv\nrefused: failed.csv  (mend these rows and import them alone)\n"
        );
        assert!(describe(&summary, &[], true).contains("(dry run: nothing was changed)"));
        let nothing = ImportSummary {
            batch: String::new(),
            ..summary
        };
        assert!(describe(&nothing, &[], false).contains("(all or nothing: nothing was changed)"));
    }
}
