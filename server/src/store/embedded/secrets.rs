//! Secrets: revisions whose values come sealed and go as they came. The catalog tells of them without their values.

use super::{
    Store,
    record::{Record as _, SecretRecord},
    tables::{DEVICES, SECRETS, View},
    txn::Txn,
};
use crate::store::{NewSecret, SecretRetirement, SecretUse, StoreError};
use muster_domain::{
    Code, Refusal,
    audit::{Action, Actor, Event},
    catalog::{Catalog, Resource, Revision, RevisionNumber, Secret},
    device::{Device, LifecycleState},
    names::{ProfileName, SecretName},
};
use redb::ReadableTable as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl Store {
    /// Adds a revision. `None` when it is not the next one any more: its value is sealed for its number, so the caller seals
    /// it anew for another.
    pub async fn put_secret(&self, fresh: NewSecret) -> Result<Option<Arc<Revision<Secret>>>, StoreError> {
        self.write(move |txn| put(txn, &fresh)).await
    }

    /// The sealed value of a revision; `None` when there is none, or it is retired.
    pub fn sealed_secret(
        &self,
        name: &SecretName,
        number: RevisionNumber,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.read()?.open_table(SECRETS)?;
        let Some(record) = table.get((name.as_str(), number))? else {
            return Ok(None);
        };
        Ok(Revision::<SecretRecord>::from_guard(record)?.content.value)
    }

    /// Who has a revision of a secret. Reads every device.
    pub async fn secret_use(
        &self,
        name: SecretName,
        number: RevisionNumber,
    ) -> Result<SecretUse, StoreError> {
        let catalog = self.catalog();
        self.blocking(move |txn| {
            let pinning = pinning(&catalog, &name, number);
            let mut devices = 0;
            for entry in txn.open_table(DEVICES)?.iter()? {
                let device = Device::from_guard(entry?.1)?;
                let is_retired = device.lifecycle.state() == LifecycleState::Retired;
                let target = device.target.profile.filter(|_| !is_retired);
                devices += u64::from(target.is_some_and(|target| pinning.contains(&target)));
            }
            Ok(SecretUse { devices })
        })
        .await
    }

    /// Erases the value of a revision, for good. Refused while the newest revision of a profile pins it, unless it is forced;
    /// done before, nothing changes.
    pub async fn retire_secret(
        &self,
        retirement: SecretRetirement,
    ) -> Result<Result<Arc<Revision<Secret>>, Refusal>, StoreError> {
        self.write(move |txn| retire(txn, &retirement)).await
    }
}

/// The same resources, with profiles that pin the secrets they name.
pub(super) fn pin(resources: &[Resource], catalog: &Catalog) -> Result<Vec<Resource>, Vec<Refusal>> {
    let mut problems = Vec::new();
    let mut pinned = resources.to_vec();
    for (place, resource) in pinned.iter_mut().enumerate() {
        let Resource::Profile(profile) = resource else {
            continue;
        };
        match catalog.pinned(profile) {
            Ok(found) => *profile = found,
            Err(found) => problems.extend(found.into_iter().map(|refusal| {
                let field = format!("resources[{place}].{}", refusal.field);
                refusal.at(field)
            })),
        }
    }
    if problems.is_empty() {
        Ok(pinned)
    } else {
        Err(problems)
    }
}

/// The revisions of profiles that pin a revision of a secret.
fn pinning(catalog: &Catalog, name: &SecretName, number: RevisionNumber) -> BTreeSet<(ProfileName, u32)> {
    let profiles = catalog.profiles.iter();
    profiles
        .flat_map(|(profile, revisions)| {
            let pinning = revisions
                .iter()
                .filter(|revision| revision.content.secrets.get(name) == Some(&number));
            pinning.map(|revision| (profile.clone(), revision.number))
        })
        .collect()
}

fn put(txn: &mut Txn<'_>, fresh: &NewSecret) -> Result<Option<Arc<Revision<Secret>>>, StoreError> {
    let known = txn.catalog.secrets.get(&fresh.name);
    let last = known.and_then(|revisions| revisions.last());
    if last.map_or(1, |last| last.number + 1) != fresh.number {
        return Ok(None);
    }
    let record = Revision {
        number: fresh.number,
        author: fresh.author.clone(),
        created: fresh.now,
        message: fresh.message.clone(),
        content: SecretRecord {
            is_tame: fresh.is_tame,
            value: Some(fresh.sealed.clone()),
        },
    };
    let added = Arc::new(told(&record));
    let mut next = Catalog::clone(&txn.catalog);
    next.secrets
        .entry(fresh.name.clone())
        .or_default()
        .push(Arc::clone(&added));
    txn.write()
        .secrets
        .insert((fresh.name.as_str(), fresh.number), record.encode()?.as_slice())?;
    txn.replace_catalog(next);
    let actor = Actor::Operator(fresh.author.clone());
    let event = Event::new(fresh.now, actor, Action::SecretPut, subject(&fresh.name));
    txn.audit(&event.with("revision", fresh.number))?;
    Ok(Some(added))
}

fn subject(name: &SecretName) -> String {
    format!("secrets/{name}")
}

fn retire(
    txn: &mut Txn<'_>,
    retirement: &SecretRetirement,
) -> Result<Result<Arc<Revision<Secret>>, Refusal>, StoreError> {
    let SecretRetirement {
        name, number, actor, ..
    } = retirement;
    let known = txn.catalog.secrets.get(name).into_iter().flatten();
    let Some(before) = known.into_iter().find(|revision| revision.number == *number) else {
        let why = format!("there is no secrets/{name}@{number}");
        return Ok(Err(Refusal::new(Code::NotFound, why).at("name")));
    };
    if !before.content.is_held {
        return Ok(Ok(Arc::clone(before)));
    }
    if !retirement.is_forced
        && let Some(profile) = newest_pinning(&txn.catalog, name, *number)
    {
        let why = format!("the newest revision of profiles/{profile} pins secrets/{name}@{number}");
        return Ok(Err(Refusal::new(Code::SecretPinned, why)));
    }
    let record = txn.tables().secrets.get((name.as_str(), *number))?;
    let record = record.map(Revision::<SecretRecord>::from_guard).transpose()?;
    let mut record = record.ok_or_else(|| StoreError::missing("secrets", format!("{name}@{number}")))?;
    record.content.value = None;
    let retired = Arc::new(told(&record));
    let mut next = Catalog::clone(&txn.catalog);
    let revisions = next.secrets.get_mut(name).into_iter().flatten();
    for revision in revisions.filter(|revision| revision.number == *number) {
        *revision = Arc::clone(&retired);
    }
    txn.write()
        .secrets
        .insert((name.as_str(), *number), record.encode()?.as_slice())?;
    txn.replace_catalog(next);
    let event = Event::new(
        retirement.now,
        actor.clone(),
        Action::SecretRetired,
        subject(name),
    );
    let event = event.with("revision", number).with("devices", retirement.devices);
    txn.audit(&event)?;
    Ok(Ok(retired))
}

/// A profile whose newest revision pins it: the next device to be rendered would lack it.
fn newest_pinning<'c>(
    catalog: &'c Catalog,
    name: &SecretName,
    number: RevisionNumber,
) -> Option<&'c ProfileName> {
    let newest = catalog.profiles.iter();
    let mut newest = newest.filter_map(|(profile, revisions)| Some((profile, revisions.last()?)));
    newest
        .find(|(_, revision)| revision.content.secrets.get(name) == Some(&number))
        .map(|(profile, _)| profile)
}

/// What the catalog tells of a record.
fn told(record: &Revision<SecretRecord>) -> Revision<Secret> {
    Revision {
        number: record.number,
        author: record.author.clone(),
        created: record.created,
        message: record.message.clone(),
        content: Secret {
            is_tame: record.content.is_tame,
            is_held: record.content.value.is_some(),
        },
    }
}

/// Every revision of every secret, oldest first.
type Known = BTreeMap<SecretName, Vec<Arc<Revision<Secret>>>>;

/// The secrets on record, without their values.
pub(super) fn load(view: &View) -> Result<Known, StoreError> {
    let mut secrets = Known::new();
    for entry in view.secrets.iter()? {
        let (key, value) = entry?;
        let name = key.value().0.parse();
        let name = name.map_err(|why| StoreError::damaged("secrets", why))?;
        let record = Revision::<SecretRecord>::from_guard(value)?;
        secrets.entry(name).or_default().push(Arc::new(told(&record)));
    }
    Ok(secrets)
}

/// What is wrong with secrets, and with what profiles pin of them.
pub(super) fn problems(catalog: &Catalog) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, revisions) in &catalog.secrets {
        let counted = (1..).zip(revisions);
        if let Some((number, _)) = { counted }.find(|(number, revision)| revision.number != *number) {
            problems.push(format!("secrets/{name}: revision {number} is missing"));
        }
    }
    for revision in catalog.profiles.values().flatten() {
        let profile = &revision.content;
        for (name, number) in &profile.secrets {
            let known = catalog.secrets.get(name).into_iter().flatten();
            if !known.into_iter().any(|known| known.number == *number) {
                let at = format!("profiles/{}@{}", profile.name, revision.number);
                problems.push(format!("{at}: pins secrets/{name}@{number}, which is not there"));
            }
        }
    }
    problems
}
