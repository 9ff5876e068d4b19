//! Changes: described, found again.

use super::book;
use crate::store::{
    StoreError,
    embedded::{
        Store,
        record::{Record as _, load},
        tables::{CHANGES, OPEN_CHANGES},
        txn::Txn,
    },
};
use muster_domain::{
    Code, Refusal,
    audit::{Action, Actor, Event},
    change::{Change, ChangeRecord},
    ids::ChangeId,
};
use redb::ReadableTable as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a request id was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct ChangeRequest {
    /// The change that came of it.
    pub(in crate::store) change: ChangeId,
    /// SHA-256 of everything else that was asked for: the same again is answered, anything else refused.
    pub(in crate::store) digest: [u8; 32],
}

impl ChangeRequest {
    fn new(change: &Change) -> Result<Self, StoreError> {
        let asked = (
            &change.title,
            &change.action,
            &change.filter,
            &change.strategy,
            change.priority,
            change.approvals_needed,
        );
        let asked = postcard::to_allocvec(&asked).map_err(|why| StoreError::Unencodable {
            table: "change_requests",
            why: why.to_string(),
        })?;
        Ok(Self {
            change: change.id,
            digest: Sha256::digest(asked).into(),
        })
    }
}

impl Store {
    /// Makes a change, or answers with the one that its author made with the same request id, which may be empty. Another
    /// request with that id is refused.
    pub async fn create_change(
        &self,
        change: Change,
        request_id: String,
    ) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
        self.write(move |txn| create(txn, &change, &request_id)).await
    }

    /// The record of a change.
    pub async fn change(&self, id: ChangeId) -> Result<Option<ChangeRecord>, StoreError> {
        load(&self.read()?.open_table(CHANGES)?, id.as_u128())
    }

    /// Changes older than `before`, newest first.
    pub async fn list_changes(
        &self,
        before: Option<ChangeId>,
        limit: usize,
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        self.blocking(move |txn| {
            let table = txn.open_table(CHANGES)?;
            let range = match before {
                Some(before) => table.range(..before.as_u128())?,
                None => table.range::<u128>(..)?,
            };
            range
                .rev()
                .take(limit)
                .map(|entry| ChangeRecord::from_guard(entry?.1))
                .collect()
        })
        .await
    }

    /// Changes that a worker has to look at. Urgent ones come first, then older ones.
    pub async fn open_changes(&self) -> Result<Vec<ChangeRecord>, StoreError> {
        self.blocking(|txn| {
            let (open, changes) = (txn.open_table(OPEN_CHANGES)?, txn.open_table(CHANGES)?);
            let mut found = Vec::new();
            for entry in open.iter()? {
                let id = entry?.0.value();
                let record = load::<ChangeRecord>(&changes, id)?;
                found.push(record.ok_or_else(|| StoreError::missing("changes", ChangeId::from_u128(id)))?);
            }
            found.sort_by_key(|record| (std::cmp::Reverse(record.change.priority), record.change.id));
            Ok(found)
        })
        .await
    }
}

/// The change, or that there is none.
pub(super) fn find(txn: &Txn<'_>, id: ChangeId) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
    let record = load::<ChangeRecord>(&txn.tables().changes, id.as_u128())?;
    let missing = || Refusal::new(Code::NotFound, format!("no change has the id {id}")).at("name");
    Ok(record.ok_or_else(missing))
}

fn create(
    txn: &mut Txn<'_>,
    change: &Change,
    request_id: &str,
) -> Result<Result<ChangeRecord, Refusal>, StoreError> {
    let request = ChangeRequest::new(change)?;
    let key = (change.author.as_str(), request_id);
    if !request_id.is_empty()
        && let Some(known) = txn.tables().change_requests.get(key)?
    {
        let known = ChangeRequest::from_guard(known)?;
        if known.digest != request.digest {
            let why = format!(
                "{request_id:?} was used for changes/{}, in another request",
                known.change
            );
            return Ok(Err(Refusal::new(Code::RequestIdReused, why).at("request_id")));
        }
        return find(txn, known.change);
    }
    if txn.tables().changes.get(change.id.as_u128())?.is_some() {
        return Err(StoreError::duplicate("changes", change.id));
    }
    let record = ChangeRecord::new(change.clone());
    if !request_id.is_empty() {
        let bytes = request.encode()?;
        txn.write().change_requests.insert(key, bytes.as_slice())?;
    }
    book::put(txn, &record)?;
    let actor = Actor::Operator(change.author.clone());
    let event = Event::new(change.created, actor, Action::ChangeCreated, change.name());
    txn.audit(
        &event
            .with("title", &change.title)
            .with("action", &change.action)
            .with("filter", &change.filter)
            .with("priority", change.priority),
    )?;
    Ok(Ok(record))
}
