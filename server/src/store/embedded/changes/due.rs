//! Time passes for targets: what is silent for too long is timed out, what has soaked is done.

use super::{
    PART,
    book::{self, Book},
};
use crate::store::{
    StoreError,
    embedded::{Store, tables::DUES, txn::Txn},
};
use muster_domain::{Timestamp, ids::ChangeId};
use redb::ReadableTable as _;
use std::collections::BTreeMap;

impl Store {
    /// Takes targets that are due further, as many as fit into a transaction; says how many those were. A look alone costs no
    /// commit.
    pub async fn pass_time(&self, now: Timestamp) -> Result<usize, StoreError> {
        let first = self
            .read()?
            .open_table(DUES)?
            .first()?
            .map(|(key, _)| key.value().0);
        if first.is_none_or(|first| first > now.millis()) {
            return Ok(0);
        }
        self.write_rows(PART, move |txn| pass(txn, now)).await
    }
}

fn pass(txn: &mut Txn<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let mut due = Vec::new();
    let range = ..=(now.millis(), u128::MAX, u128::MAX);
    for entry in txn.tables().dues.range(range)?.take(PART) {
        let (key, value) = entry?;
        let ((_, change, device), (stage, standing)) = (key.value(), value.value());
        due.push((change, stage, standing, device));
    }
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for place in &due {
        let target = book::target(&txn.tables().targets, *place)?;
        found
            .entry(ChangeId::from_u128(place.0))
            .or_default()
            .push(target);
    }
    let mut book = Book::default();
    for (id, targets) in found {
        let strategy = book.record(txn.tables(), id)?.change.strategy.clone();
        book.moved_all(txn, id, &targets, |target| {
            let stage = strategy.stages.get(usize::from(target.stage));
            let missing = || StoreError::damaged("targets", format!("{} has no stage", target.device));
            Ok(target
                .state
                .clone()
                .passed(stage.ok_or_else(missing)?, &strategy, now))
        })?;
    }
    book.close(txn)?;
    Ok(due.len())
}
