//! Changes: described, found again.

use super::book;
use crate::store::{
    StoreError,
    embedded::{
        Store,
        record::{Record as _, load},
        requests::Asked,
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
use redb::{ReadTransaction, ReadableTable as _};

/// All of a change that its author asked for.
fn request(change: &Change) -> Result<Asked<ChangeId>, StoreError> {
    let asked = (
        &change.title,
        &change.action,
        &change.filter,
        change.list.map(|list| list.announced),
        &change.strategy,
        change.priority,
        change.approvals_needed,
    );
    Asked::new(change.id, &asked)
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
        self.blocking(open).await
    }

    /// The same, for threads that may wait.
    pub fn open_changes_now(&self) -> Result<Vec<ChangeRecord>, StoreError> {
        open(&self.read()?)
    }
}

fn open(txn: &ReadTransaction) -> Result<Vec<ChangeRecord>, StoreError> {
    let (open, changes) = (txn.open_table(OPEN_CHANGES)?, txn.open_table(CHANGES)?);
    let mut found = Vec::new();
    for entry in open.iter()? {
        let id = entry?.0.value();
        let record = load::<ChangeRecord>(&changes, id)?;
        found.push(record.ok_or_else(|| StoreError::missing("changes", ChangeId::from_u128(id)))?);
    }
    found.sort_by_key(|record| (std::cmp::Reverse(record.change.priority), record.change.id));
    Ok(found)
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
    let (request, by) = (request(change)?, (&change.author, request_id));
    match request.before(&txn.tables().change_requests, by, "changes")? {
        None => {}
        Some(Ok(made)) => return find(txn, made),
        Some(Err(refusal)) => return Ok(Err(refusal)),
    }
    if txn.tables().changes.get(change.id.as_u128())?.is_some() {
        return Err(StoreError::duplicate("changes", change.id));
    }
    let record = ChangeRecord::new(change.clone());
    request.remember(&mut txn.write().change_requests, by)?;
    book::put(txn, &record)?;
    let actor = Actor::Operator(change.author.clone());
    let event = Event::new(change.created, actor, Action::ChangeCreated, change.name());
    txn.audit(
        &event
            .with("title", &change.title)
            .with("action", &change.action)
            .with("filter", &change.filter)
            .with("listed", change.list.map_or(0, |list| list.announced))
            .with("priority", change.priority),
    )?;
    Ok(Ok(record))
}
