//! Importing a manifest: the file goes up as it is, answers come back row by row, and the user gets their own file with
//! answers beside it.
//!
//! An import is a batch at the server, which goes on by itself once it has the whole file. [`run`] makes it, sends what is
//! missing, watches it and acknowledges the answers when they are on disk; wherever that breaks off, the same call
//! with the same [`ImportOptions::ticket`] goes on. [`follow`] watches a batch that somebody else sent.

mod answers;
mod away;
mod cause;
mod directory;
mod follow;
mod identities;
mod members;
mod ours;
mod pair;
mod problems;
mod recipient;
mod refusal;
mod results;
mod retry;
#[cfg(test)]
mod round_trip;
mod rows;
mod run;
mod source;
mod spec;
mod ticket;
mod upload;
mod watch;
mod write;

pub(crate) use away::Patience;
pub use cause::Cause;
pub use directory::zip_directory;
pub use follow::{FollowOptions, follow, is_plan};
pub use problems::ProblemsFile;
pub use recipient::Recipient;
pub use refusal::failed;
pub use results::RESULT_COLUMNS;
pub(crate) use results::results_ending;
pub use run::{run, run_until};
pub use ticket::{Pending, pending, ticket_path};
pub(crate) use write::Sink;

use muster_proto::v1::{
    self, CredentialKind, KeyFormat, ManifestFormat, RowResult, Writes, batch::State, import_progress::Phase,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What the added columns begin with where the user has one of them already.
const OWN_PREFIX: &str = "muster_";

/// What to import, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The manifest, or a directory of certificates.
    pub file: PathBuf,
    /// What it is written in; `None`: the server decides by name and content.
    pub format: Option<ManifestFormat>,
    /// The sheet of a spreadsheet; `None`: the first that holds a header.
    pub sheet: Option<String>,
    /// The row that names the columns, as the file shows it; `None`: found.
    pub header_row: Option<u32>,
    /// The XML element, or the key of the JSON list, that holds the records; `None`: found.
    pub record_path: Option<String>,
    /// DER certificates of which one must have signed each entry of a Microchip manifest.
    pub signers: Vec<Vec<u8>>,
    /// Resource name of the mapping, or of one of its revisions; `None`: found or proposed.
    pub mapping: Option<String>,
    /// Resource name under which the mapping that is used is kept; `None`: the server chooses.
    pub save_mapping: Option<String>,
    /// Check everything, change nothing.
    pub dry_run: bool,
    /// Apply exactly the plan with this hash, or nothing.
    pub plan: Option<Vec<u8>>,
    /// The model of rows that name none: a name such as `GW-200`.
    pub model: Option<String>,
    /// What rows may do.
    pub writes: Writes,
    /// Of devices that exist, change only these fields; empty: whatever the file has.
    pub update_mask: Vec<String>,
    /// How new devices come to their identity.
    pub credential: CredentialKind,
    /// What the server makes of the keys that it makes.
    pub key_format: KeyFormat,
    /// The age recipient to whom the server encrypts the keys that it makes.
    pub key_recipient: Option<String>,
    /// How long activation codes last; `None`: until used.
    pub code_ttl: Option<Duration>,
    /// Apply nothing when one row is refused.
    pub all_or_nothing: bool,
    /// Resource name of the batch whose refused rows these are, mended; `None`: that which the file names in a column
    /// `muster_batch`, if it has one.
    pub retry_of: Option<String>,
    /// Where the results go. `None`: nowhere, **and nothing is acknowledged**: the caller's own event handler gets the
    /// codes.
    pub results: Option<PathBuf>,
    /// Where refused rows go, in the user's own columns, to be mended and sent again.
    pub failed: Option<PathBuf>,
    /// Where everything that is wrong or odd goes, a line each: CSV, or by its name `.jsonl` or `.xlsx`.
    pub problems: Option<PathBuf>,
    /// A directory for the sealed keys of new devices: `SERIAL.pem.age` or `SERIAL.p12.age`.
    pub keys: Option<PathBuf>,
    /// A directory for the certificates of new devices, with those above them: `SERIAL.pem`.
    pub certificates: Option<PathBuf>,
    /// To whom the results are encrypted, under their name with `.age` behind; `None`: they are plain.
    pub recipient: Option<Recipient>,
    /// Whether files that are there already may be replaced. They may hold the only copy of codes.
    pub replace: bool,
    /// Where a run keeps what another one needs to go on after it was killed; removed at the end. `None`: a run
    /// that breaks off can be followed by the name of its batch only.
    pub ticket: Option<PathBuf>,
    /// How long to try again while the server does not answer.
    pub patience: Duration,
    /// End when the whole file is sent. The ticket stays: the same again without this fetches the answers.
    pub no_wait: bool,
}

impl ImportOptions {
    /// A plain import of a file.
    pub fn of(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            ..Self::default()
        }
    }
}

/// What happens while an import runs.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportEvent<'a> {
    /// The batch, `batches/{id}`; `is_new` is false when an earlier run made it and this one goes on.
    Batch {
        /// Its resource name.
        name: &'a str,
        /// Whether this run made it.
        is_new: bool,
    },
    /// How the columns were understood.
    Mapping(&'a v1::ImportMapping),
    /// How far it is: bytes received, or rows done; `total` is 0 where it is not known.
    Progress {
        /// What the server is at.
        phase: Phase,
        /// Done in this phase.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// The whole file is sent: from here on the batch goes on without us.
    Sent,
    /// Answers to the next rows, in the order of the file. The rows are applied and durable.
    Results(&'a [RowResult]),
    /// The import broke off; the answers that came are kept in this file.
    Partial(&'a Path),
}

/// How an import ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    /// `batches/{id}`; empty when nothing was applied: in a dry run, or when one row of an all-or-nothing import was
    /// refused.
    pub batch: String,
    /// `batches/{id}`, whether it was applied or not.
    pub name: String,
    /// Reaches to the end of the answers: to acknowledge them with, where no results file was written.
    pub token: String,
    /// The state in which the batch ended.
    pub state: State,
    /// Was anything done? Not in a dry run, nor when one row of an all-or-nothing import was refused.
    pub is_applied: bool,
    /// Rows that made a device, or would.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows that said the same already.
    pub unchanged: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// SHA-256 of the file.
    pub file_sha256: Vec<u8>,
    /// Names what was planned or applied.
    pub plan_hash: Vec<u8>,
    /// `mappings/{name}/revisions/{number}`, as used; empty when it was not kept.
    pub mapping: String,
    /// Why rows were refused, the most frequent first.
    pub causes: Vec<Cause>,
    /// What is odd about rows that were accepted, the most frequent first.
    pub warnings: Vec<Cause>,
    /// Where the results are.
    pub results: Option<PathBuf>,
    /// Where the refused rows are.
    pub failed: Option<PathBuf>,
    /// Where all problems are; `None` where there are none.
    pub problems: Option<PathBuf>,
}
