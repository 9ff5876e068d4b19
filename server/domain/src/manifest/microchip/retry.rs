//! A file of refused entries that comes back: what its entries say of the first file.
//!
//! Nobody signed it, and it decides nothing: it tells only which row of a batch is sent again.

use crate::manifest::{RETRY_BATCH_COLUMN, RETRY_ROW_COLUMN};
use serde::Deserialize;

/// The member of an entry that holds all of ours: its other members are the maker's.
const MEMBER: &[u8] = b"\"muster\"";

#[derive(Deserialize)]
struct Entry {
    muster: Ours,
}

#[derive(Deserialize)]
struct Ours {
    muster_batch: Option<String>,
    muster_row: String,
}

/// The cells that it is, by the names of their columns; none in a file of its own.
pub(super) fn cells(source: &[u8]) -> impl Iterator<Item = (&'static str, String)> {
    let is_here = source.windows(MEMBER.len()).any(|window| window == MEMBER);
    let found = is_here.then(|| serde_json::from_slice::<Entry>(source).ok());
    found.flatten().into_iter().flat_map(|Entry { muster }| {
        let batch = muster.muster_batch.map(|batch| (RETRY_BATCH_COLUMN, batch));
        batch.into_iter().chain([(RETRY_ROW_COLUMN, muster.muster_row)])
    })
}
