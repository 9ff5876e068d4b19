//! `muster audit`.

use super::cut;
use crate::{
    cli::{ListArgs, Session},
    client::pages,
    failure::Failure,
    output::{Format, Listing},
    records::AuditEntry,
};
use clap::Subcommand;
use muster_proto::v1;

/// The record of everything that happened.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List entries. Each is checked against its hash, and none may be missing between them.
    #[command(visible_alias = "ls")]
    List {
        /// Start at this index.
        #[arg(long, default_value_t = 0, value_name = "INDEX")]
        first: u64,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self::List { first, list } = self;
        let mut audit = session.client().await?.audit;
        let limit = list.limit(session.format);
        let mut expected = first;
        let mut listing = Listing::of::<AuditEntry>(session.out, session.format, &list.columns)?;
        let fetch = async |page_size, page_token| {
            let request = v1::ListEntriesRequest {
                page_size,
                page_token,
                first_index: first,
            };
            let page = audit.list_entries(request).await?.into_inner();
            Ok((page.entries, page.next_page_token))
        };
        let each = |entry: v1::AuditEntry| {
            let entry = in_place(entry, expected)?;
            expected += 1;
            listing.push(&entry)
        };
        let listed = pages(limit, fetch, each).await?;
        listing.finish()?;
        cut(session, listed, limit);
        if session.format == Format::Table {
            session.note(&match expected - first {
                0 => "no entries from there on".to_owned(),
                1 => "1 entry, its hash right".to_owned(),
                count => format!("{count} entries, every hash right and none missing between them"),
            });
        }
        Ok(())
    }
}

fn in_place(entry: v1::AuditEntry, expected: u64) -> Result<AuditEntry, Failure> {
    if entry.index != expected {
        let why = format!(
            "audit entry {expected} is missing: the server gave {} in its place",
            entry.index
        );
        return Err(Failure::Fault(anyhow::anyhow!(why)));
    }
    AuditEntry::verified(entry)
}
