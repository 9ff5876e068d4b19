//! The command line: what there is, and how a command is run.

#[cfg(feature = "embedded")]
use crate::{bench, demo};
use crate::{
    client::Client,
    commands::{
        apply, audit, batch, catalog, certificate, change, context, device, firmware, fleet, group, import,
        manifest, mqtt, operator, profile, refusal, secret,
    },
    context::{Context, Contexts},
    exit::Exit,
    failure::Failure,
    output::{Format, Target, TargetParser},
};
use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, io::Write, path::PathBuf};

/// Where help puts the options that all commands have.
const GLOBAL: &str = "Options of every command";

const NAMING: &str = "\
Example, rooms.toml, for `muster naming apply -f rooms.toml`:
  [[naming_rules]]
  name = \"rooms\"
  description = \"As on the doors\"
  field = \"position\"                # or serial, hardware, site, labels.KEY, variables.NAME
  pattern = \"[A-Z]-[0-9]{3}\"        # must match the whole value
  example = \"B-017\"
  models = [\"GW-200\"]               # left out: all
  required = true

Rows that break a rule are refused with M2167, rows without a required value with M2165.";
const GROUP: &str = "\
Example, groups.toml, for `muster group apply -f groups.toml`:
  [[groups]]
  name = \"canary\"                 # static: `muster group add canary GW2-7000001`
  description = \"First to get anything\"
  rank = 100
  [[groups]]
  name = \"early-bavaria\"          # dynamic: whatever matches is in it, new devices too
  filter = 'site = \"MUC-*\" AND labels.ring = early'
  rank = 10

Filters of groups ask serial, mac, model, hardware, factory_firmware, site, position, batch, create_time, labels.KEY and
variables.KEY. Every filter of devices can name a group: `muster device list --filter 'group = canary'`. A profile has values
for groups (`muster profile --help`); of a device's groups, the one with the highest rank wins, of equal ranks the last by name.";
const PROFILE: &str = "\
Example, gateway.toml, for `muster profile apply -f gateway.toml`:
  name = \"gateway\"
  [parameters.ntp]
  type = \"string\"
  default = \"pool.example\"        # without it, and without a layer that gives one, every row needs a value
  [values.organisation]            # layers, each above the one before, all below the device's own value
  ntp = \"ntp.example\"
  [values.models.GW-200]
  ntp = \"gateways.example\"
  [values.sites.DE]                # for the sites in it, too; the nearer wins
  ntp = \"de.example\"
  [values.groups.canary]           # the higher rank wins
  ntp = \"next.example\"
  [files]
  \"network.toml\" = 'ntp = {{ ntp | tojson }}'";
const MAPPING: &str = "\
Example, line-7.toml, for `muster mapping apply -f line-7.toml`:
  name = \"line-7\"
  unmapped = \"keep\"                 # or variables, labels, ignore, refuse
  [[fields]]
  field = \"serial\"
  columns = [\"Serial No.\", \"SN\"]
  steps = [{ capture = \"SN:(.+)\" }, { pad = { width = 7, with = \"0\" } }, { prefix = \"GW2-\" }]
  [[fields]]
  field = \"site\"
  columns = [\"Plant\"]
  steps = [{ lookup = { MUNICH = \"MUC-01\" }, otherwise = \"refuse\" }]

An import proposes one and keeps it: `muster import FILE --save-mapping line-7`, then `muster mapping show line-7 -o json`, change
it, and apply it as the next revision. `muster import FILE --mapping line-7@2` uses one of them.";

/// Operate a Muster fleet registry.
#[derive(Debug, Parser)]
#[command(name = "muster", version, after_help = Exit::table(), propagate_version = true)]
struct Cli {
    /// Which server, and as whom: a context's name, its file, or a directory made by `musterd init`.
    ///
    /// Without it, MUSTER_CONTEXT is used, then the context chosen with `muster context use`.
    #[arg(long, global = true, value_name = "NAME|PATH", help_heading = GLOBAL)]
    context: Option<String>,

    /// How to print: `table` for people, the others with every field for programs. Where a command makes a file: its
    /// name.
    #[arg(
        short,
        long,
        global = true,
        value_parser = TargetParser,
        default_value = "table",
        value_name = "FORMAT",
        help_heading = GLOBAL
    )]
    output: Target,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(Box<import::Import>),

    /// Templates of manifests.
    #[command(subcommand, visible_alias = "manifests")]
    Manifest(manifest::Command),
    /// List, show, explain and change devices.
    #[command(subcommand, visible_alias = "devices")]
    Device(device::Command),
    /// List, show and revoke certificates; how long they live, and their revocation lists.
    #[command(subcommand, visible_alias = "certificates")]
    Certificate(certificate::Command),
    /// Changes of many devices: planned, begun in stages, proved by the devices, taken back.
    #[command(subcommand, visible_alias = "changes")]
    Change(change::Command),
    /// Imports, past and under way.
    #[command(subcommand, visible_alias = "batches")]
    Batch(batch::Command),
    Apply(apply::Apply),
    /// Hardware kinds.
    #[command(subcommand, visible_alias = "models")]
    Model(catalog::Command<catalog::Models>),
    /// Places.
    #[command(subcommand, visible_alias = "sites")]
    Site(catalog::Command<catalog::Sites>),
    /// Groups: devices under one name, by hand or by a filter.
    #[command(subcommand, visible_alias = "groups", after_long_help = GROUP)]
    Group(group::Command),
    /// Naming rules: what serials, positions, labels and other values look like.
    #[command(subcommand, visible_alias = "naming-rules", after_long_help = NAMING)]
    Naming(catalog::Command<catalog::NamingRules>),
    /// Mappings: what the columns of manifests mean.
    #[command(subcommand, visible_alias = "mappings", after_long_help = MAPPING)]
    Mapping(catalog::Command<catalog::Mappings>),
    /// Configuration templates: apply, compare, render, look through and test them.
    #[command(subcommand, visible_alias = "profiles", after_long_help = PROFILE)]
    Profile(profile::Command),
    /// Values that profiles name and only devices see.
    #[command(subcommand, visible_alias = "secrets")]
    Secret(secret::Command),
    /// Firmware policies: apply them, see what each would make of the fleet, and sign their images.
    #[command(subcommand)]
    Firmware(firmware::Command),
    /// The fleet in numbers.
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// The record of everything that happened, each entry checked against its hash.
    #[command(subcommand)]
    Audit(audit::Command),
    /// What goes over MQTT, for people.
    #[command(subcommand)]
    Mqtt(mqtt::Command),
    /// People and machines that operate the registry.
    #[command(subcommand, visible_alias = "operators")]
    Operator(operator::Command),
    /// Contexts: which server, and as whom.
    #[command(subcommand, visible_alias = "contexts")]
    Context(context::Command),
    /// Explain a refusal by its number, such as M2111; without one, list all. Needs no server.
    Refusal(refusal::Refusal),
    #[cfg(feature = "embedded")]
    Demo(demo::Demo),
    #[cfg(feature = "embedded")]
    Bench(bench::Bench),
    /// The server process of a benchmark.
    #[cfg(feature = "embedded")]
    #[command(hide = true)]
    BenchServer(bench::Serve),
}

/// Options of every listing.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// At most so many; 0 for all. Without it, 100 in a table and all in other forms.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Columns of table and CSV, such as serial,state,labels.rack.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) columns: Vec<String>,
}

/// Rows of a table when no limit is given: about what a person looks through.
const TABLE_LIMIT: u64 = 100;

impl ListArgs {
    /// The most items to list.
    pub(crate) fn limit(&self, format: Format) -> Option<u64> {
        match (self.limit, format) {
            (Some(0), _) | (None, Format::Json | Format::Jsonl | Format::Csv) => None,
            (None, Format::Table) => Some(TABLE_LIMIT),
            (limit, _) => limit,
        }
    }
}

/// What a command works with.
pub(crate) struct Session<'a> {
    /// The command line, to be shown again.
    pub(crate) arguments: Vec<OsString>,
    context: Option<String>,
    pub(crate) format: Format,
    /// The file that `-o` names, for a command that makes one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) out: &'a mut dyn Write,
    /// For notes beside the answer: warnings, summaries.
    pub(crate) notes: &'a mut dyn Write,
}

impl Session<'_> {
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        Contexts::of_user()?.load(self.context.as_deref())
    }

    pub(crate) fn context_path(&self) -> Result<PathBuf, Failure> {
        Contexts::of_user()?.resolve(self.context.as_deref())
    }

    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Client::connect(&self.context()?).await
    }

    /// A line of an answer that grows while the command runs.
    #[cfg(feature = "embedded")]
    pub(crate) fn say(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.out, "{}", crate::output::text::clean(line))?;
        self.out.flush()
    }

    /// A line beside the answer. Nobody reading it is no reason to fail.
    pub(crate) fn note(&mut self, text: &str) {
        if writeln!(self.notes, "{}", crate::output::text::clean(text)).is_err() {
            tracing::debug!("note could not be written");
        }
    }
}

/// Runs a command line, `muster` itself being its first word: answers go to `out`, everything else to `notes`.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut (dyn Write + Send),
    notes: &mut (dyn Write + Send),
) -> Exit {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return parse_failed(&error, out, notes),
    };
    let (format, file) = match cli.output {
        Target::Format(format) => (format, None),
        Target::File(file) => (Format::default(), Some(file)),
    };
    let mut session = Session {
        arguments,
        context: cli.context,
        format,
        file,
        out,
        notes,
    };
    let done = dispatch(cli.command, &mut session).await;
    let done = done.and_then(|exit| Ok(session.out.flush().map(|()| exit)?));
    match done {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_silent() {
                session.note(&failure.to_string());
            }
            failure.exit()
        }
    }
}

async fn dispatch(command: Command, session: &mut Session<'_>) -> Result<Exit, Failure> {
    if let (Some(file), false) = (&session.file, matches!(command, Command::Manifest(_))) {
        return Err(Failure::usage(
            format!("-o {}: this command makes no file", file.display()),
            "Give a format: table, json, jsonl or csv.",
        ));
    }
    // The demo logs into a file of its own.
    #[cfg(feature = "embedded")]
    let command = match command {
        Command::Demo(demo) => return Ok(demo.run(session).await.map(|()| Exit::Done)?),
        other => other,
    };
    crate::logs::to_stderr();
    match command {
        #[cfg(feature = "embedded")]
        Command::Demo(_) => {}
        Command::Import(command) => return command.run(session).await,
        Command::Manifest(command) => command.run(session).await?,
        Command::Device(command) => command.run(session).await?,
        Command::Certificate(command) => command.run(session).await?,
        Command::Change(command) => return command.run(session).await,
        Command::Batch(command) => return command.run(session).await,
        Command::Apply(command) => command.run(session).await?,
        Command::Model(command) => command.run(session).await?,
        Command::Site(command) => command.run(session).await?,
        Command::Group(command) => return command.run(session).await,
        Command::Naming(command) => command.run(session).await?,
        Command::Mapping(command) => command.run(session).await?,
        Command::Profile(command) => return command.run(session).await,
        Command::Firmware(command) => return command.run(session).await,
        Command::Fleet(command) => command.run(session).await?,
        Command::Audit(command) => command.run(session).await?,
        Command::Mqtt(command) => command.run(session).await?,
        Command::Secret(command) => command.run(session).await?,
        Command::Operator(command) => command.run(session).await?,
        Command::Context(command) => command.run(session)?,
        Command::Refusal(command) => command.run(session)?,
        #[cfg(feature = "embedded")]
        Command::Bench(command) => command.run(session).await?,
        #[cfg(feature = "embedded")]
        Command::BenchServer(command) => command.run(session).await?,
    }
    Ok(Exit::Done)
}

/// Help and version are answers; everything else is a mistake.
fn parse_failed(error: &clap::Error, out: &mut dyn Write, notes: &mut dyn Write) -> Exit {
    let text = error.render();
    let (exit, written) = if error.use_stderr() {
        (Exit::Usage, write!(notes, "{text}"))
    } else {
        (Exit::Done, write!(out, "{text}").and_then(|()| out.flush()))
    };
    if written.is_err() {
        tracing::debug!("help could not be written");
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    async fn check(arguments: &[&str], exit: Exit, out: &str, notes: &str) {
        let arguments = ["muster"].iter().chain(arguments).map(OsString::from);
        let (mut printed, mut noted) = (Vec::new(), Vec::new());
        assert_eq!(run(arguments, &mut printed, &mut noted).await, exit);
        let (printed, noted) = (
            String::from_utf8(printed).unwrap(),
            String::from_utf8(noted).unwrap(),
        );
        assert!(
            printed.contains(out) && (out.is_empty() == printed.is_empty()),
            "{printed}"
        );
        assert!(
            noted.contains(notes) && (notes.is_empty() == noted.is_empty()),
            "{noted}"
        );
    }

    #[tokio::test]
    async fn help_is_an_answer_and_a_typing_error_is_not() {
        check(&["--help"], Exit::Done, "Exit codes:\n  0  done", "").await;
        check(&["import", "--help"], Exit::Done, "Usage: muster import", "").await;
        check(
            &["--version"],
            Exit::Done,
            concat!("muster ", env!("CARGO_PKG_VERSION")),
            "",
        )
        .await;
        check(&["devize", "list"], Exit::Usage, "", "unrecognized subcommand").await;
        check(&[], Exit::Usage, "", "Usage: muster").await;
    }

    #[tokio::test]
    async fn a_context_that_is_not_there_is_a_mistake_of_usage() {
        check(
            &["--context", "/nowhere/x.toml", "fleet", "counts"],
            Exit::Usage,
            "",
            "cannot read /nowhere/x.toml",
        )
        .await;
    }

    #[tokio::test]
    async fn refusals_are_explained_without_a_server() {
        check(&["refusal", "M2111"], Exit::Done, "MAC_MALFORMED", "").await;
        check(
            &["refusal", "mac_malformed", "-o", "json"],
            Exit::Done,
            "\"code\": 2111",
            "",
        )
        .await;
        check(&["refusal", "9999"], Exit::NotFound, "", "no refusal").await;
    }

    #[test]
    fn only_tables_are_short_by_themselves() {
        let list = |limit| ListArgs {
            limit,
            columns: vec![],
        };
        assert_eq!(list(None).limit(Format::Table), Some(TABLE_LIMIT));
        assert_eq!(list(None).limit(Format::Csv), None);
        assert_eq!(list(Some(0)).limit(Format::Table), None);
        assert_eq!(list(Some(7)).limit(Format::Json), Some(7));
    }
}
