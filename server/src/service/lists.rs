//! Revocation lists: made when something was revoked and before the last ones grow old, signed, kept, then served.

use super::{OrFault as _, Service, blocking};
use crate::{
    ca::{CaError, ListOrder, Revoked},
    fault::{Failure, Fault},
    store::{ListDraft, ListInfo, PublishedList},
};
use muster_domain::{Code, Refusal, Timestamp, certificate::AuthorityId};
use std::time::Duration;

/// Life of a list: under ten days, so that nobody hides a revocation for longer by keeping an old list from being replaced.
const LIFE: Duration = Duration::from_secs(8 * 24 * 3600);
/// A list is replaced at a quarter of its life: for three quarters nothing can be made, and nobody notices.
const REFRESH: Duration = Duration::from_secs(2 * 24 * 3600);

fn is_stale(list: &ListInfo, now: Timestamp) -> bool {
    // A list from the future was made before the clock was set back; nobody would take it.
    now >= list.this_update.plus(REFRESH) || now < list.this_update.minus(REFRESH)
}

fn missing(authority: &str, shard: impl std::fmt::Display) -> Refusal {
    let why = format!("there is no revocation list {shard} of authority {authority}");
    Refusal::new(Code::NotFound, why).at("name")
}

impl Service {
    /// Makes and publishes the lists that are due; says how many.
    pub async fn publish_lists(&self) -> Result<usize, Failure> {
        let ca = self.ca();
        if !ca.names_lists() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut drafts = Vec::new();
        for authority in ca.issuers() {
            let due = self
                .store
                .draft_lists(authority, now, move |list| is_stale(list, now));
            drafts.extend(due.await.or_fault("look for revocation lists that are due")?);
        }
        if drafts.is_empty() {
            return Ok(0);
        }
        let make = move || -> Result<Vec<_>, CaError> {
            let made = drafts.into_iter().map(|draft| {
                let info = ListInfo {
                    authority: draft.authority,
                    shard: draft.shard,
                    number: draft.number,
                    this_update: now,
                    next_update: now.plus(LIFE),
                };
                let der = ca.revocation_list(draft.authority, order(&draft, &info))?;
                Ok((draft, PublishedList { info, der }))
            });
            made.collect()
        };
        let made = blocking("make revocation lists", make).await?;
        let made = made.or_fault("make revocation lists")?;
        let count = made.len();
        self.store
            .publish_lists(made)
            .await
            .or_fault("record revocation lists")?;
        Ok(count)
    }

    /// What is known of every published list.
    pub async fn revocation_lists(&self) -> Result<Vec<ListInfo>, Fault> {
        let mut lists = Vec::new();
        for authority in self.ca().issuers() {
            let found = self.store.lists(authority).await;
            lists.extend(found.or_fault("look up revocation lists")?);
        }
        Ok(lists)
    }

    /// A published list, by the name of its authority and its shard as they stand in addresses.
    pub async fn revocation_list(&self, authority: &str, shard: &str) -> Result<PublishedList, Failure> {
        let known = self
            .ca()
            .issuers()
            .into_iter()
            .find(|id| id.to_string() == authority);
        let found = match (known, shard.parse()) {
            (Some(id), Ok(number)) => self
                .store
                .list(id, number)
                .await
                .or_fault("look up a revocation list")?,
            _ => None,
        };
        Ok(found.ok_or_else(|| missing(authority, shard))?)
    }

    /// The certificate of an issuing authority, DER, by its name.
    pub fn issuer_certificate(&self, authority: &str) -> Option<Vec<u8>> {
        let ca = self.ca();
        let issuers: Vec<AuthorityId> = ca.issuers();
        let known = issuers.into_iter().find(|id| id.to_string() == authority)?;
        ca.issuer_certificate(known).ok()
    }
}

fn order(draft: &ListDraft, info: &ListInfo) -> ListOrder {
    let entries = draft.entries.iter().map(|entry| Revoked {
        serial: entry.serial,
        at: entry.at,
        reason: entry.reason,
    });
    ListOrder {
        shard: info.shard,
        number: info.number,
        this_update: info.this_update,
        next_update: info.next_update,
        entries: entries.collect(),
    }
}
