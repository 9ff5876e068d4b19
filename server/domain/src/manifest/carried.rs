//! Our answers inside [`io::Error`], on their way through readers that know no other errors.

use super::ReadError;
use crate::{Code, Refusal};
use core::fmt;
use std::io;

#[derive(Debug)]
struct Carried(ReadError);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Carried {}

/// Wraps what must come out again at the other end.
pub(super) fn carry(error: impl Into<ReadError>) -> io::Error {
    io::Error::other(Carried(error.into()))
}

/// What was carried; any other error is the unpacker's, and means that the file is damaged.
pub(super) fn arrive(error: io::Error) -> ReadError {
    match error.downcast::<Carried>() {
        Ok(Carried(error)) => error,
        Err(error) => damaged(&format!("cannot be unpacked: {error}")).into(),
    }
}

/// A refusal of a file that is not what its own structure says.
pub(super) fn damaged(why: &str) -> Refusal {
    Refusal::new(
        Code::ManifestUnreadable,
        format!("is damaged, open and save it again: it {why}"),
    )
}

/// A refusal of a file that is over a limit.
pub(super) fn too_large(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::ManifestTooLarge, why)
}
