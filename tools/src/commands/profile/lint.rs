//! `muster profile lint`.

use super::{all_of_file, of_server};
use crate::{
    cli::Session,
    exit::Exit,
    failure::Failure,
    output::{Format, Listing, text},
    profile::{Finding, Lint, lint},
    render::source_of,
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Look through profiles for what `muster apply` refuses, and for what will go wrong later. With -f, no server is needed.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct Lints {
    /// Its name, or NAME@N. With a file, the one in it; without, all of the file.
    #[arg(required_unless_present = "files")]
    name: Option<String>,
    /// Take profiles from these files of resources, as `muster apply` reads them.
    #[arg(short, long = "file", value_name = "FILE|DIR", num_args = 1..)]
    files: Vec<PathBuf>,
    /// What fails the run beside errors.
    #[arg(long, value_enum, value_name = "LEVEL")]
    deny: Option<Level>,
    /// Do not look for these warnings.
    #[arg(long, value_enum, value_name = "LINT")]
    allow: Vec<Lint>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Everything that is found.
    Warnings,
}

fn help() -> String {
    format!(
        "{}\n\nExits with 0 when nothing is found that fails the run, with 9 otherwise.\n\nExamples:\n  \
         muster profile lint -f gateway.toml --deny warnings --allow required-parameter\n  muster profile lint gateway -o json",
        Lint::table()
    )
}

impl Lints {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let mut profiles = Vec::new();
        for file in &self.files {
            profiles.extend(all_of_file(file, self.name.as_deref())?);
        }
        if self.files.is_empty() {
            let name = self.name.as_deref().unwrap_or_default();
            profiles.push(of_server(session, name).await?);
        }
        let count = profiles.len();
        let found = profiles.into_iter().flat_map(|profile| lint(&source_of(profile)));
        let found: Vec<_> = found
            .filter(|finding| finding.is_error() || !self.allow.contains(&finding.lint))
            .collect();
        print(session, &found, count)?;
        let fails = |finding: &Finding| finding.is_error() || self.deny == Some(Level::Warnings);
        Ok(if found.iter().any(fails) {
            Exit::Found
        } else {
            Exit::Done
        })
    }
}

fn print(session: &mut Session<'_>, found: &[Finding], profiles: usize) -> Result<(), Failure> {
    if session.format != Format::Table {
        let mut listing = Listing::of::<Finding>(session.out, session.format, &[])?;
        for finding in found {
            listing.push(finding)?;
        }
        return listing.finish();
    }
    for Finding {
        profile,
        level,
        lint,
        field,
        message,
    } in found
    {
        let line = format!("{profile}: {level}[{}] {field}: {message}", lint.as_str());
        writeln!(session.out, "{}", text::clean(&line))?;
    }
    let errors = found.iter().filter(|finding| finding.is_error()).count();
    let warnings = found.len() - errors;
    writeln!(
        session.out,
        "{profiles} profiles looked through: {errors} errors, {warnings} warnings"
    )?;
    Ok(())
}
