//! `muster change codes`: the codes that a change gave out, into a file.

use super::{Changes, Name, get, list::DeviceFile};
use crate::{
    cli::Session,
    failure::Failure,
    import::{Recipient, Sink},
    output::formula::neutralise,
    records::time,
};
use clap::Args;
use csv::Writer;
use muster_proto::v1::{self, GivenCode, change::State};
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

/// What `--out` says for the output of this command.
const OUTPUT: &str = "-";
const COLUMNS: [&str; 4] = ["serial", "device", "activation_code", "issued"];

/// Write the codes that a change gave out to a file; the server forgets them when the file is safe.
///
/// The file appears whole or not at all, and only its owner reads it. What was given out so far can be fetched at any time; it is
/// forgotten only when the change has ended and all of it is in the file.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The columns are serial, device, activation_code and issued; with --file, those of the file, and state, stage, reason, device and
activation_code behind them.

Examples:
  muster change codes 01h455vb4pex5vsknk084sn02q --out codes.csv
  muster change codes 01h455vb4pex5vsknk084sn02q --file unshipped.csv --out labels.csv
  muster change codes 01h455vb4pex5vsknk084sn02q --out codes.csv --encrypt-to age1...
  muster change codes 01h455vb4pex5vsknk084sn02q --out - | print-labels")]
pub(crate) struct Codes {
    #[command(flatten)]
    name: Name,
    /// Where they go; - for the output of this command, and the server keeps them then.
    #[arg(long, value_name = "CSV")]
    out: PathBuf,
    /// The file that the change was made from: its rows go to --out, each with its code.
    #[arg(long, value_name = "CSV")]
    file: Option<PathBuf>,
    /// Leave them at the server, to be fetched again: until seven days after the end of the change.
    #[arg(long)]
    keep: bool,
    /// Encrypt them to this age recipient; the file gets the ending .age, and nothing plain is written.
    #[arg(long, value_name = "age1...")]
    encrypt_to: Option<Recipient>,
    /// Replace a file that is there already.
    #[arg(long)]
    replace: bool,
}

/// What came.
struct Fetched {
    codes: usize,
    token: String,
}

impl Codes {
    pub(super) async fn run(self, session: &mut Session<'_>, changes: &mut Changes) -> Result<(), Failure> {
        let name = self.name.resource();
        let file = self.file.as_deref().map(DeviceFile::read).transpose()?;
        if self.out == Path::new(OUTPUT) {
            if self.encrypt_to.is_some() {
                let why = "what is printed is not encrypted";
                return Err(Failure::usage(why, "name a file with --out"));
            }
            let fetched = fetch(changes, &name, file.as_ref(), &mut *session.out).await?;
            session.note(&format!("note: {} codes; the server keeps them", fetched.codes));
            return Ok(());
        }
        let mut sink = Sink::begin(&self.out, self.replace, self.encrypt_to.as_ref())?;
        // Before the codes: what has ended by now gives out no more of them.
        let state = get(changes, &name).await?.state();
        let fetched = fetch(changes, &name, file.as_ref(), &mut sink).await?;
        let out = sink
            .finish()
            .map_err(|error| Failure::file("write", &self.out, &error))?;
        let kept = match state {
            State::Done | State::RolledBack | State::Aborted if self.keep => "the server keeps them",
            State::Done | State::RolledBack | State::Aborted => {
                let request = v1::AcknowledgeCodesRequest {
                    name,
                    resume_token: fetched.token,
                };
                changes.acknowledge_codes(request).await?;
                "the server has forgotten them"
            }
            _ => "the change has not ended and may give out more, so the server keeps them",
        };
        let (count, out) = (fetched.codes, out.display());
        session.note(&format!("note: {count} codes are in {out}; {kept}"));
        Ok(())
    }
}

/// Writes the codes as they come, or behind the rows of a file.
async fn fetch(
    changes: &mut Changes,
    name: &str,
    file: Option<&DeviceFile>,
    out: &mut dyn Write,
) -> Result<Fetched, Failure> {
    let Some(file) = file else {
        let mut writer = Writer::from_writer(&mut *out);
        writer.write_record(COLUMNS).map_err(broken)?;
        let fetched = each(changes, name, |given| line(&mut writer, &given)).await?;
        writer.flush()?;
        return Ok(fetched);
    };
    let mut codes = BTreeMap::new();
    let keep = |given: GivenCode| {
        codes.insert(given.device, given.activation_code);
        Ok(())
    };
    let fetched = each(changes, name, keep).await?;
    let (_, text) = file.results(changes, name, Some(&codes)).await?;
    out.write_all(&text)?;
    Ok(fetched)
}

fn broken(error: csv::Error) -> Failure {
    Failure::Fault(error.into())
}

fn line(writer: &mut Writer<impl Write>, given: &GivenCode) -> Result<(), Failure> {
    let issued = time(given.time.as_ref()).unwrap_or_default();
    let device = given.device.trim_start_matches("devices/");
    let cells = [given.serial.as_str(), device, &given.activation_code, &issued].map(neutralise);
    writer
        .write_record(cells.iter().map(|cell| cell.as_bytes()))
        .map_err(broken)
}

/// Takes every code that a change has given out so far.
async fn each(
    changes: &mut Changes,
    name: &str,
    mut take: impl FnMut(GivenCode) -> Result<(), Failure>,
) -> Result<Fetched, Failure> {
    let request = v1::ListCodesRequest {
        name: name.to_owned(),
        resume_token: String::new(),
    };
    let mut parts = changes.list_codes(request).await?.into_inner();
    let mut fetched = Fetched {
        codes: 0,
        token: String::new(),
    };
    while let Some(part) = parts.message().await? {
        fetched.codes += part.codes.len();
        fetched.token = part.resume_token;
        part.codes.into_iter().try_for_each(&mut take)?;
    }
    Ok(fetched)
}
