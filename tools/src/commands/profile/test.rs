//! `muster profile test`.

use super::from_file;
use crate::{
    cli::Session,
    context::read_small,
    exit::Exit,
    failure::Failure,
    output::{Format, Listing, text},
    profile::test::{ENDING, Outcome, TestFile},
    render::profile_of,
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Largest file of tests.
const FILE_LIMIT: u64 = 4 << 20;

/// Run tests of profiles: which files a device gets, or what is refused. No server is needed.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Test {
    /// Files of tests; a directory stands for the files in it whose names end in .test.toml.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
}

const HELP: &str = "\
A file of tests, gateway.test.toml, is kept beside the profile in git; `muster apply -f DIR` passes over it:

  profile = \"gateway.toml\"               # as `muster apply` reads it, seen from here; name = \"...\" if it holds several
  [given.device]                         # what all cases have: serial, mac, model, hardware, firmware, position, labels
  serial = \"GW2-7000001\"
  model = \"GW-200\"
  [given.site]                           # code, name, country, latitude, longitude, time_zone
  code = \"MUC-01\"

  [[cases]]
  name = \"reports every minute\"
  given.variables = { report_seconds = 60 }
  files.\"services.json\".values = { \"telemetry.report_seconds\" = 60 }    # what the file says, by path
  files.\"network.toml\" = { contains = ['code = \"MUC-01\"'], lacks = [\"TODO\"] }
  files.\"motd.txt\".text = \"Welcome\\n\"                                  # the whole text

  [[cases]]
  name = \"cannot report more often than every ten seconds\"
  given.variables = { report_seconds = 5 }
  refused = \"parameters.report_seconds\"                                 # or a list; \"files.KEY\" for a file

Exits with 0 when every case ends as expected, with 9 otherwise.";

impl Test {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let mut outcomes = Vec::new();
        for path in &self.files {
            for file in test_files(path)? {
                outcomes.extend(run_file(&file)?);
            }
        }
        print(session, &outcomes)?;
        let is_good = outcomes.iter().all(|outcome| outcome.passed);
        Ok(if is_good { Exit::Done } else { Exit::Found })
    }
}

fn run_file(path: &Path) -> Result<Vec<Outcome>, Failure> {
    let shown = path.display().to_string();
    let wrong = |why: String| {
        Failure::usage(
            format!("{shown}: {why}"),
            "`muster profile test --help` shows an example.",
        )
    };
    let text =
        String::from_utf8(read_small(path, FILE_LIMIT)?).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    let tests = TestFile::read(&text).map_err(wrong)?;
    let beside = path
        .parent()
        .unwrap_or_else(|| Path::new(""))
        .join(&tests.profile);
    let profile = profile_of(from_file(&beside, tests.name.as_deref())?)?;
    Ok(tests.run(&shown, &profile))
}

/// The file, or the files of a directory in order of name.
fn test_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| Failure::file("list", path, &error);
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = paths.map_err(failed)?;
    files.retain(|file| file.is_file() && file.to_string_lossy().ends_with(ENDING));
    files.sort_unstable();
    if files.is_empty() {
        return Err(Failure::usage(
            format!("{} holds no file *{ENDING}", path.display()),
            "",
        ));
    }
    Ok(files)
}

fn print(session: &mut Session<'_>, outcomes: &[Outcome]) -> Result<(), Failure> {
    if session.format != Format::Table {
        let mut listing = Listing::of::<Outcome>(session.out, session.format, &[])?;
        for outcome in outcomes {
            listing.push(outcome)?;
        }
        return listing.finish();
    }
    let mut last = "";
    for outcome in outcomes {
        if outcome.file != last {
            writeln!(session.out, "{}", text::line(&outcome.file))?;
            last = &outcome.file;
        }
        let word = if outcome.passed { "ok    " } else { "FAILED" };
        writeln!(session.out, "  {word} {}", text::line(&outcome.case))?;
        for line in outcome.problems.iter().flat_map(|problem| problem.lines()) {
            writeln!(session.out, "         {}", text::clean(line))?;
        }
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    let failed = outcomes.len() - passed;
    writeln!(
        session.out,
        "{} cases: {passed} passed, {failed} failed",
        outcomes.len()
    )?;
    Ok(())
}
