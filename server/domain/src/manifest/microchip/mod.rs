//! Manifests of the Microchip Trust Platform: the secure elements of a reel, each entry signed by the maker.
//!
//! A JSON list of JSON Web Signatures in flattened form (RFC 7515, 7.2.2), versions 1 to 3 of the maker's format. What is
//! inside an entry is looked at only once its signature is found to be that of a certificate which the user named: keys
//! and algorithms that the file offers choose among those, and never add to them.

mod element;
mod entry;
mod list;
mod signer;

pub(super) use element::COLUMNS;

use super::{
    ReadError, ReadOptions,
    input::Input,
    record::{CellKind, Draft, Fault, Record},
};
use core::fmt;
use element::Element;
use list::{Item, List};
use signer::Signers;
use std::io::Read;

/// A manifest of secure elements.
#[derive(Debug)]
pub(super) struct Microchip<R> {
    list: List<R>,
    signers: Signers,
    draft: Draft,
}

/// Does this beginning of a file look like such a manifest? The first entry must be one, as far as it is here.
pub(super) fn is_manifest(text: &[u8]) -> bool {
    list::first(text).is_some_and(entry::is_entry)
}

impl<R: Read> Microchip<R> {
    /// # Errors
    /// [`Code::ManifestUnreadable`](crate::Code::ManifestUnreadable) when no certificate of a signer is given, or one
    /// cannot be used, or the file is no JSON list.
    pub(super) fn new(input: Input<R>, options: &ReadOptions) -> Result<Self, ReadError> {
        Ok(Self {
            signers: Signers::new(&options.signers)?,
            list: List::new(input)?,
            draft: Draft::default(),
        })
    }

    /// The next entry, or `false` at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        let Some((row, item)) = self.list.next()? else {
            return Ok(false);
        };
        self.draft.clear();
        match item {
            Item::TooLong => {
                self.draft.fault = Some(Fault::TooLong);
                self.draft.finish(row, &[], record);
            }
            Item::Entry(source) => {
                match entry::read(source, &self.signers) {
                    Ok(element) => fill(&mut self.draft, &element),
                    Err(fault) => self.draft.fault = Some(fault),
                }
                self.draft.finish(row, source, record);
            }
        }
        Ok(true)
    }
}

impl<R> Microchip<R> {
    pub(super) const fn input(&self) -> &Input<R> {
        self.list.input()
    }
}

fn fill(draft: &mut Draft, element: &Element) {
    for (column, value) in COLUMNS.into_iter().zip(element.cells()) {
        add(draft, column, value);
    }
}

/// A cell with the name of its column.
pub(super) fn add(draft: &mut Draft, column: &str, value: impl fmt::Display) {
    let name = draft.bytes.len();
    draft.bytes.extend_from_slice(column.as_bytes());
    let start = draft.bytes.len();
    draft.bytes.extend_from_slice(value.to_string().as_bytes());
    draft.end_cell(name, start, CellKind::Text);
}
