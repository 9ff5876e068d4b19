//! Faults of the store.

use muster_domain::ids::BatchId;
use std::sync::Arc;

/// Our breakage: the caller answers with a reference, the log says more. One failed commit fails every command of
/// its group, so errors can be cloned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database or its disk failed. After a failed commit nothing more is written until the store is opened
    /// again: what a failed sync left behind is not known.
    #[error("database failed")]
    Database(#[source] Cause),
    /// The file cannot be made or opened.
    #[error("cannot open the file of the store")]
    File(#[source] Arc<std::io::Error>),
    /// A record does not decode, or not to what it must be.
    #[error("a record in table {table} is damaged: {why}")]
    Damaged {
        /// Where it is.
        table: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A value does not encode.
    #[error("a record for table {table} does not encode: {why}")]
    Unencodable {
        /// Where it should go.
        table: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A record that another one names is not there.
    #[error("table {table} lacks {key}")]
    Missing {
        /// Where it should be.
        table: &'static str,
        /// Its key.
        key: String,
    },
    /// An identifier that should be new is there already.
    #[error("table {table} has {key} already")]
    Duplicate {
        /// Where it is.
        table: &'static str,
        /// Its key.
        key: String,
    },
    /// A part of an import came out of turn.
    #[error("part {part} of {batch} came when part {expected} was due")]
    PartOutOfTurn {
        /// The import.
        batch: BatchId,
        /// What came.
        part: u32,
        /// What was due.
        expected: u32,
    },
    /// The file was written by a newer musterd.
    #[error("the store has format {found}; this musterd reads up to {known}: use the newer one")]
    Format {
        /// In the file.
        found: u32,
        /// Newest we know.
        known: u32,
    },
    /// A command panicked; it left no trace.
    #[error("a command panicked")]
    Panicked,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What the database said.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Cause(Arc<redb::Error>);

impl StoreError {
    pub(super) fn damaged(table: &'static str, why: impl ToString) -> Self {
        Self::Damaged {
            table,
            why: why.to_string(),
        }
    }

    pub(super) fn missing(table: &'static str, key: impl ToString) -> Self {
        Self::Missing {
            table,
            key: key.to_string(),
        }
    }

    pub(super) fn duplicate(table: &'static str, key: impl ToString) -> Self {
        Self::Duplicate {
            table,
            key: key.to_string(),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident)*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Database(Cause(Arc::new(error.into())))
            }
        })*
    };
}

from_redb! { StorageError TableError TransactionError CommitError DatabaseError CursorError }

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::File(Arc::new(error))
    }
}
