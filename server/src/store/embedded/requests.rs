//! Request ids: the same request again is answered with what came of it, another one under the same id is refused.

use super::record::Record;
use crate::store::StoreError;
use muster_domain::{Code, Refusal, names::OperatorName};
use redb::{ReadableTable, Table};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Display;

/// What a request id was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Asked<Id> {
    /// What came of it.
    pub(in crate::store) made: Id,
    /// SHA-256 of everything else that was asked for: the same again is answered, anything else refused.
    pub(in crate::store) digest: [u8; 32],
}

impl<Id: Copy + Display> Asked<Id>
where
    Self: Record,
{
    pub(super) fn new(made: Id, asked: &impl Serialize) -> Result<Self, StoreError> {
        let asked = postcard::to_allocvec(asked).map_err(|why| StoreError::Unencodable {
            table: Self::TABLE,
            why: why.to_string(),
        })?;
        Ok(Self {
            made,
            digest: Sha256::digest(asked).into(),
        })
    }

    /// What came of this request before, if its author made it; refused when the id stands for another. `kind` is what such
    /// things are called in names. An empty id is never remembered.
    pub(super) fn before(
        &self,
        table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
        (author, request_id): (&OperatorName, &str),
        kind: &str,
    ) -> Result<Option<Result<Id, Refusal>>, StoreError> {
        let Some(known) = table.get((author.as_str(), request_id))? else {
            return Ok(None);
        };
        let known = Self::from_guard(known)?;
        if known.digest == self.digest {
            return Ok(Some(Ok(known.made)));
        }
        let why = format!(
            "{request_id:?} was used for {kind}/{}, in another request",
            known.made
        );
        Ok(Some(Err(
            Refusal::new(Code::RequestIdReused, why).at("request_id")
        )))
    }

    pub(super) fn remember(
        &self,
        table: &mut Table<'_, (&'static str, &'static str), &'static [u8]>,
        (author, request_id): (&OperatorName, &str),
    ) -> Result<(), StoreError> {
        if !request_id.is_empty() {
            table.insert((author.as_str(), request_id), self.encode()?.as_slice())?;
        }
        Ok(())
    }
}
