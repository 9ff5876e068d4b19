//! Manifests of the Microchip Trust Platform: the secure elements of a reel, each entry signed by the maker.
//!
//! A JSON list of JSON Web Signatures in flattened form (RFC 7515, 7.2.2), versions 1 to 3 of the maker's format. What is
//! inside an entry is looked at only once its signature is found to be that of a certificate which the user named: keys
//! and algorithms that the file offers choose among those, and never add to them.

mod element;
mod entry;
mod retry;
mod signer;

pub(super) use element::COLUMNS;

use super::{
    ReadError, ReadOptions,
    input::Input,
    list::List,
    record::{Draft, Record},
};
use signer::Signers;
use std::io::Read;

/// A manifest of secure elements.
#[derive(Debug)]
pub(super) struct Microchip<R> {
    list: List<R>,
    signers: Signers,
}

/// Does a text that begins a list look like such a manifest? Its first entry must, as far as it is here.
pub(super) fn is_manifest(text: &[u8]) -> bool {
    text.strip_prefix(b"[").is_some_and(entry::begins)
}

impl<R: Read> Microchip<R> {
    /// # Errors
    /// [`Code::ManifestUnreadable`](crate::Code::ManifestUnreadable) when no certificate of a signer is given, or one
    /// cannot be used, or the file is no JSON list.
    pub(super) fn open(input: Input<R>, options: &ReadOptions) -> Result<Self, ReadError> {
        Ok(Self {
            signers: Signers::new(&options.signers)?,
            list: List::open(input, options)?,
        })
    }

    /// The next entry, or `false` at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        let signers = &self.signers;
        self.list
            .read_as(record, |source, draft| fill(source, signers, draft))
    }
}

impl<R> Microchip<R> {
    pub(super) const fn input(&self) -> &Input<R> {
        self.list.input()
    }
}

/// Makes cells of an entry.
fn fill(source: &[u8], signers: &Signers, draft: &mut Draft) {
    draft.clear();
    match entry::read(source, signers) {
        Ok(element) => {
            for (column, value) in COLUMNS.into_iter().zip(element.cells()) {
                draft.add(column, value);
            }
        }
        Err(fault) => draft.fault = Some(fault),
    }
    for (column, value) in retry::cells(source) {
        draft.add(column, &value);
    }
}
