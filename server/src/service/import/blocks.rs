//! Rows between the reader and the spool: blocks of them are finished on all cores while the next is read.

use super::{
    check::Entry,
    credentials::{threads, verify},
    retry::unnumbered,
    spool::{Spool, SpoolWriter, encode},
};
use crate::{fault::Fault, service::OrFault as _};
use muster_domain::{
    Timestamp,
    manifest::{Checker, Finisher, Looked, RowCheck},
};
use std::{
    collections::VecDeque,
    io,
    thread::{Builder, Scope, ScopedJoinHandle},
};

/// Most rows of a block. Verifying what so many bring takes a tenth of a second.
const ROWS: usize = 1024;
/// Bytes of rows after which a block is full, whatever their number: a block for each core is in memory.
const BYTES: usize = 4 << 20;

/// A row that waits for the rest of its check.
struct Row {
    looked: Looked,
    /// As the file counts.
    row: u32,
    /// As the first file of the batch counts; `None` when the row does not say.
    number: Option<u32>,
}

/// What the rows of a block are finished with.
struct Finish {
    finisher: Finisher,
    /// The column of credentials, for messages.
    column: String,
    now: Timestamp,
}

/// The blocks of one file, in order.
pub(super) struct Blocks<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    rows: Vec<Row>,
    bytes: usize,
    /// Being finished, the oldest first.
    under_way: VecDeque<ScopedJoinHandle<'s, io::Result<Vec<u8>>>>,
    spool: SpoolWriter<Entry>,
    now: Timestamp,
}

impl<'s, 'e> Blocks<'s, 'e> {
    /// On threads of this scope, for this spool.
    pub(super) fn new(scope: &'s Scope<'s, 'e>, spool: SpoolWriter<Entry>, now: Timestamp) -> Self {
        Self {
            scope,
            rows: Vec::with_capacity(ROWS),
            bytes: 0,
            under_way: VecDeque::new(),
            spool,
            now,
        }
    }

    /// One more row, of so many bytes.
    pub(super) fn push(
        &mut self,
        checker: &mut Checker,
        (looked, bytes): (Looked, usize),
        (row, number): (u32, Option<u32>),
    ) -> Result<(), Fault> {
        self.rows.push(Row { looked, row, number });
        self.bytes += bytes;
        if self.rows.len() >= ROWS || self.bytes >= BYTES {
            self.begin(checker)?;
        }
        Ok(())
    }

    /// Gives the block to a thread.
    fn begin(&mut self, checker: &mut Checker) -> Result<(), Fault> {
        if self.under_way.len() >= threads() {
            self.settle()?;
        }
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(ROWS));
        self.bytes = 0;
        let has_credentials = rows.iter().any(|row| row.looked.has_credential());
        let finish = Finish {
            finisher: checker.finisher(),
            column: match has_credentials {
                true => checker.column_of("credential"),
                false => String::new(),
            },
            now: self.now,
        };
        let begun = Builder::new().spawn_scoped(self.scope, move || finish.block(rows));
        self.under_way.push_back(begun.or_fault("check rows")?);
        Ok(())
    }

    /// Puts the oldest block on the spool.
    fn settle(&mut self) -> Result<(), Fault> {
        let Some(block) = self.under_way.pop_front() else {
            return Ok(());
        };
        let panicked = || io::Error::other("a thread that checks rows panicked");
        block
            .join()
            .unwrap_or_else(|_| Err(panicked()))
            .and_then(|entries| self.spool.append(&entries))
            .or_fault("write a spool")
    }

    /// All rows, on the spool.
    pub(super) fn finish(mut self, checker: &mut Checker) -> Result<Spool<Entry>, Fault> {
        self.begin(checker)?;
        while !self.under_way.is_empty() {
            self.settle()?;
        }
        self.spool.into_spool().or_fault("write a spool")
    }
}

impl Finish {
    /// The entries of a block as they lie on the spool.
    fn block(&self, rows: Vec<Row>) -> io::Result<Vec<u8>> {
        let (mut entries, mut scratch) = (Vec::with_capacity(rows.len() * 256), Vec::new());
        for row in rows {
            encode(&self.row(row, &mut scratch), &mut entries)?;
        }
        Ok(entries)
    }

    fn row(&self, row: Row, scratch: &mut Vec<u8>) -> Entry {
        let Row { looked, row, number } = row;
        let RowCheck {
            outcome,
            warnings,
            credential,
        } = self.finisher.finish(looked, scratch);
        let (row, outcome) = match number {
            Some(number) => (number, outcome),
            None => (row, Err(vec![unnumbered(row)])),
        };
        let mut entry = Entry {
            row,
            outcome,
            warnings,
            key: None,
        };
        if let Some(credential) = credential {
            verify(&mut entry, credential, &self.column, self.now);
        }
        entry
    }
}
