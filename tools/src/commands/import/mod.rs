//! `muster import`.

mod arguments;
mod progress;
mod report;

pub(crate) use arguments::{PlanHash, Ttl};
pub(crate) use progress::Progress;
use report::{Told, describe};

use crate::{
    cli::Session,
    exit::Exit,
    failure::Failure,
    import::{ImportEvent, ImportOptions, ImportSummary, Recipient, pending, run_until, ticket_path},
    output::{Format, print_one},
    records::{ImportReport, RowReport, hex},
};
use arguments::{Credential, FileFormat, KeyForm, mapping, retyped, signers};
use clap::Args;
use muster_proto::v1::{ImportMapping, RowResult, Writes};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Import a manifest of devices, sent as it is.
///
/// The server reads, maps and checks the whole file, then applies its valid rows. From the moment that it has the file, the
/// import goes on by itself: it survives the end of this program, of the network and of the server. The same
/// command again goes on where it was broken off, and ends with the same results file.
///
/// The results file holds the same columns in the same order, and status, code, message, device and activation_code
/// behind them. Activation codes are shown there and nowhere else. Importing the same file again changes nothing; the file
/// of results can be imported too.
///
/// The manifest may be UTF-8, UTF-16 or Windows-1252. The results are UTF-8 with the manifest's delimiter and line
/// ends; CSV begins with a byte order mark, which spreadsheets look for, unless the manifest is UTF-8 without one.
/// Cells that a spreadsheet would run as a formula get an apostrophe in front.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  muster import gateways.csv --dry-run
  muster import gateways.csv --out results.csv --failed failed.csv
  muster import failed.csv --out results-2.csv          after mending its rows: into the same batch
  muster import sensors.ndjson --model TS-10 --code-ttl 30d -o json
  muster import line-2.xlsx --sheet Gateways --mapping line-2@3
  muster import trust.json --signer log-signer.crt --credential pinned
  muster import requests.csv --credential csr --certificates issued/
  muster import sensors.csv --credential key --key-recipient age1... --keys keys/

With -o json: one object that sums up. With -o jsonl: one object a row: row (as the file counts it), status (created, updated,
unchanged, refused; in a dry run create, update, unchanged, refused), code, column and message of its first problem,
problems and warnings (each with code, reason, column, value, rule, message, fix), device, changes. Activation codes
are in the results file only.

Exit code 3: rows were refused; the others are imported.")]
pub(crate) struct Import {
    /// The manifest, or a directory of certificates.
    file: PathBuf,
    /// Check every row as the import would, change nothing, print the plan.
    #[arg(long, conflicts_with_all = ["plan", "no_wait"])]
    dry_run: bool,
    /// Apply exactly the plan that --dry-run printed, or nothing because file, options or registry differ.
    #[arg(long, value_name = "HASH")]
    plan: Option<PlanHash>,
    /// Where the results go. Without it, beside the manifest: devices.csv gives devices.results.csv.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where refused rows go, in their own columns, to be mended and sent again.
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// Where everything that is wrong or odd goes, a line each: CSV, or by its name .jsonl or .xlsx.
    #[arg(long, value_name = "FILE")]
    problems: Option<PathBuf>,
    /// Where the encrypted keys of new devices go (--credential key), a file each: SERIAL.pem.age or SERIAL.p12.age.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where the certificates of new devices go, with those above them, a file each: SERIAL.pem.
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Encrypt the results to this age recipient; they get the ending .age, and nothing plain is written.
    #[arg(long, value_name = "age1...")]
    encrypt_to: Option<Recipient>,
    /// Replace results that are there already; they may hold the only copy of activation codes.
    #[arg(long)]
    replace: bool,
    /// The model of rows that name none.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What the file is written in; without it, the server decides by name and content.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// The sheet of a spreadsheet; without it, the first that holds a header.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// The row that names the columns, as the file shows it; without it, it is found.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    header_row: Option<u32>,
    /// The XML element, or the key of the JSON list, that holds the records; without it, it is found.
    #[arg(long, value_name = "NAME")]
    record_path: Option<String>,
    /// A certificate that may have signed the entries of a Microchip manifest, PEM or DER, or a directory of them.
    #[arg(long, value_name = "FILE")]
    signer: Vec<PathBuf>,
    /// What the columns mean: a mapping, or one of its revisions; without it, one is found or proposed.
    #[arg(long, value_name = "NAME[@REV]", value_parser = mapping)]
    mapping: Option<String>,
    /// Keep the mapping that is used under this name.
    #[arg(long, value_name = "NAME")]
    save_mapping: Option<String>,
    /// How new devices come to their identity; without it, by an activation code.
    #[arg(long, value_enum, value_name = "KIND")]
    credential: Option<Credential>,
    /// What the server makes of the keys that it makes (--credential key); without it, pem.
    #[arg(long, value_enum, value_name = "FORMAT")]
    key_format: Option<KeyForm>,
    /// The age recipient to whom the server encrypts keys that it makes.
    #[arg(long, value_name = "age1...")]
    key_recipient: Option<Recipient>,
    /// Of devices that exist, change only these fields, such as site,labels.rack,variables.extension.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    update_mask: Vec<String>,
    /// Refuse rows whose serial is registered.
    #[arg(long, conflicts_with = "update_only")]
    create_only: bool,
    /// Refuse rows whose serial is not registered.
    #[arg(long)]
    update_only: bool,
    /// Apply nothing when one row is refused; for files of up to 262,144 rows.
    #[arg(long)]
    all_or_nothing: bool,
    /// How long activation codes last, such as 30d or 12h; without it, until used.
    #[arg(long, value_name = "TIME")]
    code_ttl: Option<Ttl>,
    /// The batch whose refused rows these are, mended. Found by itself in a file that --failed made.
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// End when the file is sent; the same command without this fetches the answers.
    #[arg(long)]
    no_wait: bool,
    /// How long to try again while the server does not answer.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    retry_for: Ttl,
}

/// The first name beside the manifest that is free.
fn beside(manifest: &Path) -> PathBuf {
    let stem = manifest.file_stem().unwrap_or_default().to_string_lossy();
    let ending = crate::import::results_ending(manifest);
    let numbered = (2..).map(|number| manifest.with_file_name(format!("{stem}.results-{number}.{ending}")));
    let mut names =
        std::iter::once(manifest.with_file_name(format!("{stem}.results.{ending}"))).chain(numbered);
    // The names do not end before the file system does.
    names.find(|path| !path.exists()).unwrap_or_default()
}

impl Import {
    fn options(self) -> Result<ImportOptions, Failure> {
        // A dry run has no codes to lose, and nothing to go on with.
        let ticket = (!self.dry_run).then(|| ticket_path(&self.file, self.out.as_deref()));
        let earlier = || pending(ticket.as_ref()?)?.results;
        let results = match self.out {
            Some(out) => Some(out),
            None if self.dry_run => None,
            None => Some(earlier().unwrap_or_else(|| beside(&self.file))),
        };
        let named = |name: String| match name.starts_with("mappings/") {
            true => name,
            false => format!("mappings/{name}"),
        };
        Ok(ImportOptions {
            signers: signers(&self.signer)?,
            file: self.file,
            format: self.format.map(Into::into),
            sheet: self.sheet,
            header_row: self.header_row,
            record_path: self.record_path,
            mapping: self.mapping,
            save_mapping: self.save_mapping.map(named),
            dry_run: self.dry_run,
            plan: self.plan.map(|hash| hash.0),
            model: self.model,
            writes: match (self.create_only, self.update_only) {
                (true, _) => Writes::CreateOnly,
                (false, true) => Writes::UpdateOnly,
                (false, false) => Writes::Unspecified,
            },
            update_mask: self.update_mask,
            credential: self.credential.map(Into::into).unwrap_or_default(),
            key_format: self.key_format.map(Into::into).unwrap_or_default(),
            key_recipient: self.key_recipient.map(|recipient| recipient.to_string()),
            code_ttl: self.code_ttl.map(|ttl| ttl.0),
            all_or_nothing: self.all_or_nothing,
            retry_of: self.batch.map(|batch| super::resource("batches", &batch)),
            results,
            failed: self.failed,
            problems: self.problems,
            keys: self.keys,
            certificates: self.certificates,
            recipient: self.encrypt_to,
            replace: self.replace,
            ticket,
            patience: self.retry_for.0,
            no_wait: self.no_wait,
        })
    }

    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let options = self.options()?;
        let (is_dry, no_wait) = (options.dry_run, options.no_wait);
        let client = session.client().await?;
        let mut progress = Progress::new();
        let mut mapping = None;
        let mut partial = None;
        let mut went_on = None;
        let mut rows = RowPrinter::new(session.format, options.all_or_nothing, is_dry);
        let on_event = |event: ImportEvent<'_>| match event {
            ImportEvent::Batch { name, is_new } => went_on = (!is_new).then(|| name.to_owned()),
            ImportEvent::Mapping(found) => mapping = Some(found.clone()),
            ImportEvent::Progress { phase, done, total } => progress.show(phase, done, total),
            ImportEvent::Sent => {}
            ImportEvent::Results(found) => progress.hidden(|| rows.take(session.out, found)),
            ImportEvent::Partial(path) => partial = Some(path.to_owned()),
        };
        let ended = run_until(&client, options, on_event, pressed()).await;
        progress.clear();
        if let Some(name) = went_on {
            let id = name.trim_start_matches("batches/");
            session.note(&format!(
                "note: this went on with batch {id}, which was begun before"
            ));
        }
        if let Some(path) = partial {
            session.note(&format!(
                "note: the answers that came, with their activation codes, are in {}",
                path.display()
            ));
        }
        let summary = ended?;
        if no_wait && summary.results.is_none() && !summary.is_applied {
            let id = summary.name.trim_start_matches("batches/").to_owned();
            session.note(&format!(
                "note: batch {id} goes on at the server; {} fetches its answers",
                retyped(&session.arguments, &["--no-wait"], &[])
            ));
            print_summary(session, &summary, None, false)?;
            return Ok(Exit::Done);
        }
        rows.finish(session.out, summary.is_applied)?;
        print_summary(session, &summary, mapping.as_ref(), is_dry)?;
        Ok(if summary.refused > 0 {
            Exit::RowsRefused
        } else {
            Exit::Done
        })
    }
}

/// What there is to say at the end; nothing where the rows were printed.
pub(crate) fn print_summary(
    session: &mut Session<'_>,
    summary: &ImportSummary,
    mapping: Option<&ImportMapping>,
    is_dry: bool,
) -> Result<(), Failure> {
    let apply = || {
        let hash = hex(&summary.plan_hash);
        retyped(&session.arguments, &["--dry-run"], &["--plan", &hash])
    };
    let told = Told {
        mapping,
        is_dry,
        apply: (!summary.plan_hash.is_empty()).then(apply),
    };
    match session.format {
        Format::Table => session.out.write_all(describe(summary, &told).as_bytes())?,
        Format::Jsonl => {}
        Format::Json | Format::Csv => {
            let report = ImportReport::new(summary, is_dry, mapping);
            print_one(session.out, session.format, &report)?;
        }
    }
    Ok(())
}

/// Prints rows as they come, where one object a row is asked for.
pub(crate) struct RowPrinter {
    /// Whether rows are printed at all.
    is_asked: bool,
    is_dry: bool,
    /// Of an import of all rows or none: the rows, until it is known which. The server limits how many.
    held: Option<Vec<RowResult>>,
    failed: Option<std::io::Error>,
}

impl RowPrinter {
    pub(crate) fn new(format: Format, all_or_nothing: bool, is_dry: bool) -> Self {
        Self {
            is_asked: format == Format::Jsonl,
            is_dry,
            held: (all_or_nothing && !is_dry).then(Vec::new),
            failed: None,
        }
    }

    /// The first error is kept for the end: a reader that went away does not end the import.
    pub(crate) fn take(&mut self, out: &mut dyn Write, rows: &[RowResult]) {
        if !self.is_asked || self.failed.is_some() {
            return;
        }
        match &mut self.held {
            Some(held) => held.extend(rows.iter().map(|row| RowResult {
                activation_code: String::new(),
                key: Vec::new(),
                ..row.clone()
            })),
            None => self.failed = print(out, rows, !self.is_dry).err(),
        }
    }

    pub(crate) fn finish(mut self, out: &mut dyn Write, is_applied: bool) -> Result<(), Failure> {
        if let Some(held) = self.held.take() {
            self.failed = print(out, &held, is_applied).err();
        }
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn print(out: &mut dyn Write, rows: &[RowResult], is_applied: bool) -> std::io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, &RowReport::new(row, is_applied))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Ready when the user presses Ctrl-C.
async fn pressed() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
