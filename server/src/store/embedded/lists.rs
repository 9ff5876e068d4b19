//! Revocation lists as they were published, and which of them are behind.

use super::{
    Store,
    tables::{LIST_BYTES, LISTS, View},
    txn::Txn,
};
use crate::store::{ListDraft, ListEntry, ListInfo, PublishedList, StoreError};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CRL_SHARDS, CertificateSerial, RevocationReason},
};
use redb::ReadableTable as _;
use std::ops::Bound::Included;

impl Store {
    /// What is known of the published lists of an authority, by shard.
    pub async fn lists(&self, authority: AuthorityId) -> Result<Vec<ListInfo>, StoreError> {
        let txn = self.read()?;
        let table = txn.open_table(LISTS)?;
        let mut found = Vec::new();
        for shard in 0..CRL_SHARDS {
            if let Some(entry) = table.get((&authority.0, shard))? {
                found.push(info(authority, shard, entry.value()));
            }
        }
        Ok(found)
    }

    /// A list as it was published.
    pub async fn list(&self, authority: AuthorityId, shard: u8) -> Result<Option<PublishedList>, StoreError> {
        let txn = self.read()?;
        let Some(entry) = txn.open_table(LISTS)?.get((&authority.0, shard))? else {
            return Ok(None);
        };
        let bytes = txn.open_table(LIST_BYTES)?.get((&authority.0, shard))?;
        let bytes = bytes.ok_or_else(|| StoreError::missing("list_bytes", authority))?;
        Ok(Some(PublishedList {
            info: info(authority, shard, entry.value()),
            der: bytes.value().to_vec(),
        }))
    }

    /// What the next list of an authority and shard says, if there is a reason to make it: none is published, something was
    /// revoked since, or `is_stale` says so of the one that is.
    pub async fn draft_lists(
        &self,
        authority: AuthorityId,
        now: Timestamp,
        is_stale: impl Fn(&ListInfo) -> bool + Send + 'static,
    ) -> Result<Vec<ListDraft>, StoreError> {
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            let mut drafts = Vec::new();
            for shard in 0..CRL_SHARDS {
                let place = (&authority.0, shard);
                let mark = view.lists_due.get(place)?.map(|mark| mark.value());
                let last = view.lists.get(place)?;
                let last = last.map(|entry| info(authority, shard, entry.value()));
                if mark.is_some() || last.as_ref().is_none_or(&is_stale) {
                    drafts.push(draft(&view, (authority, shard), last, mark, now)?);
                }
            }
            Ok(drafts)
        })
        .await
    }

    /// Puts lists in the place of the ones before; all or none. What was revoked since a list was drafted leaves it due.
    pub async fn publish_lists(&self, lists: Vec<(ListDraft, PublishedList)>) -> Result<(), StoreError> {
        self.write(move |txn| {
            lists
                .iter()
                .try_for_each(|(draft, list)| publish(txn, draft, list))
        })
        .await
    }
}

fn info(authority: AuthorityId, shard: u8, (number, this_update, next_update): (u64, u64, u64)) -> ListInfo {
    ListInfo {
        authority,
        shard,
        number,
        this_update: Timestamp::from_millis(this_update),
        next_update: Timestamp::from_millis(next_update),
    }
}

fn draft(
    view: &View,
    (authority, shard): (AuthorityId, u8),
    last: Option<ListInfo>,
    mark: Option<u64>,
    now: Timestamp,
) -> Result<ListDraft, StoreError> {
    let mut draft = ListDraft {
        authority,
        shard,
        number: last.as_ref().map_or(1, |last| last.number + 1),
        mark,
        entries: Vec::new(),
        over: Vec::new(),
    };
    // An entry stays until a list was made after its certificate ended (RFC 5280, 5).
    let seen = last.map_or(now, |last| last.this_update.min(now)).millis();
    let bounds = ((&authority.0, shard, 0), (&authority.0, shard, u128::MAX));
    for entry in view.revoked.range((Included(bounds.0), Included(bounds.1)))? {
        let (key, value) = entry?;
        let serial = CertificateSerial::from_u128(key.value().2);
        let (not_after, at, code) = value.value();
        if not_after < seen {
            draft.over.push(serial);
            continue;
        }
        let reason = RevocationReason::from_code(code);
        draft.entries.push(ListEntry {
            serial,
            at: Timestamp::from_millis(at),
            reason: reason.ok_or_else(|| StoreError::damaged("revoked", format!("the reason {code}")))?,
        });
    }
    Ok(draft)
}

fn publish(txn: &mut Txn<'_>, draft: &ListDraft, list: &PublishedList) -> Result<(), StoreError> {
    let (authority, shard) = (draft.authority.0, draft.shard);
    let place = (&authority, shard);
    let mark = txn.tables().lists_due.get(place)?.map(|mark| mark.value());
    let tables = txn.write();
    let info = &list.info;
    let times = (info.number, info.this_update.millis(), info.next_update.millis());
    tables.lists.insert(place, times)?;
    tables.list_bytes.insert(place, list.der.as_slice())?;
    if mark == draft.mark {
        tables.lists_due.remove(place)?;
    }
    for serial in &draft.over {
        tables.revoked.remove((&authority, shard, serial.as_u128()))?;
    }
    Ok(())
}
