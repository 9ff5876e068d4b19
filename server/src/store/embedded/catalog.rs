//! The catalog: loaded whole when the store opens, replaced whole when something is applied.

use super::{
    Store,
    record::{MappingText, PolicyText, ProfileText, Record, Replaceable, load_named},
    secrets,
    tables::{Tables, View},
    txn::Txn,
};
use crate::store::StoreError;
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    catalog::{
        Applied, Catalog, Channels, ChannelsSource, Group, GroupSource, ModelSource, NamingRuleSource,
        Profile, ProfileSource, Resource, Revision, RevisionNumber, Site, SiteSource,
    },
    manifest::{CheckedMapping, MappingSource},
    names::{ModelName, OperatorName},
};
use redb::{ReadableTable as _, Table};
use std::{collections::BTreeSet, sync::Arc};

impl Store {
    /// Everything in the catalog as of the last commit.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.live().catalog()
    }

    /// Creates or replaces resources, all or none; the inner error lists every mistake, at `resources[i]`. `messages`
    /// has one entry a resource, for its revision.
    pub async fn apply_catalog(
        &self,
        resources: Vec<Resource>,
        author: OperatorName,
        messages: Vec<String>,
        now: Timestamp,
        validate_only: bool,
    ) -> Result<Result<Vec<Applied>, Vec<Refusal>>, StoreError> {
        let request = Request {
            resources,
            author,
            messages,
            now,
        };
        self.write(move |txn| {
            // Here, where no other revision of a secret can come in between.
            let request = match secrets::pin(&request.resources, &txn.catalog) {
                Ok(resources) => Request {
                    resources,
                    ..request.clone()
                },
                Err(refusals) => return Ok(Err(refusals)),
            };
            let (next, applied) = match plan(txn, &request)? {
                Ok(plan) => plan,
                Err(refusals) => return Ok(Err(refusals)),
            };
            if !validate_only
                && applied
                    .iter()
                    .any(|applied| !matches!(applied, Applied::Unchanged(_)))
            {
                record(txn, &request, &applied)?;
                txn.replace_catalog(next);
            }
            Ok(Ok(applied))
        })
        .await
    }
}

#[derive(Clone)]
struct Request {
    resources: Vec<Resource>,
    author: OperatorName,
    messages: Vec<String>,
    now: Timestamp,
}

impl Request {
    fn revision<T>(&self, place: usize, number: RevisionNumber, content: T) -> Revision<T> {
        Revision {
            number,
            author: self.author.clone(),
            created: self.now,
            message: self.messages.get(place).cloned().unwrap_or_default(),
            content,
        }
    }
}

type Planned = Result<(Catalog, Vec<Applied>), Vec<Refusal>>;

/// The catalog as it will be, and what happens to each resource.
fn plan(txn: &Txn<'_>, request: &Request) -> Result<Planned, StoreError> {
    let mut next = Catalog::clone(&txn.catalog);
    let mut applied = Vec::with_capacity(request.resources.len());
    for (place, resource) in request.resources.iter().enumerate() {
        applied.push(add(txn.tables(), &mut next, request, place, resource)?);
    }
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (place, resource) in request.resources.iter().enumerate() {
        let mut wrong = |code, field: &str, why: String| {
            problems.push(Refusal::new(code, why).at(format!("resources[{place}].{field}")));
        };
        if !seen.insert(resource.name()) {
            wrong(
                Code::RequestInvalid,
                "name",
                format!("{} stands twice in this request", resource.name()),
            );
        }
        references(&next, resource, &mut wrong);
        if let Resource::Group(group) = resource
            && let Some(why) = has_members(txn.tables(), group)?
        {
            wrong(Code::GroupInvalid, "filter", why);
        }
    }
    Ok(if problems.is_empty() {
        Ok((next, applied))
    } else {
        Err(problems)
    })
}

/// Adds one resource to the catalog to come.
fn add(
    tables: &Tables<'_>,
    next: &mut Catalog,
    request: &Request,
    place: usize,
    resource: &Resource,
) -> Result<Applied, StoreError> {
    Ok(match resource {
        Resource::Model(model) => {
            let before = next.models.insert(model.name.clone(), Arc::new(model.clone()));
            let changes = changes::<ModelSource>(&tables.models, model.name.as_str())?;
            replaced(before.map(|before| *before == *model), changes)
        }
        Resource::Site(site) => {
            let before = next.sites.insert(site.code.clone(), Arc::new(site.clone()));
            let changes = changes::<SiteSource>(&tables.sites, site.code.as_str())?;
            replaced(before.map(|before| *before == *site), changes)
        }
        Resource::Group(group) => {
            let before = next.groups.insert(group.name.clone(), Arc::new(group.clone()));
            let changes = changes::<GroupSource>(&tables.groups, group.name.as_str())?;
            replaced(before.map(|before| *before == *group), changes)
        }
        Resource::Profile(profile) => {
            let revisions = next.profiles.entry(profile.name.clone()).or_default();
            revised(revisions, profile, |number| {
                request.revision(place, number, profile.clone())
            })
        }
        Resource::FirmwarePolicy(name, policy) => {
            let revisions = next.policies.entry(name.clone()).or_default();
            revised(revisions, policy, |number| {
                request.revision(place, number, policy.clone())
            })
        }
        Resource::Mapping(mapping) => {
            let revisions = next.mappings.entry(mapping.name().clone()).or_default();
            revised(revisions, mapping, |number| {
                request.revision(place, number, mapping.clone())
            })
        }
        Resource::NamingRule(rule) => {
            let before = next
                .naming_rules
                .insert(rule.name.clone(), Arc::new(rule.clone()));
            let changes = changes::<NamingRuleSource>(&tables.naming_rules, rule.name.as_str())?;
            replaced(before.map(|before| *before == *rule), changes)
        }
    })
}

fn changes<S>(table: &Table<'_, &'static str, &'static [u8]>, name: &str) -> Result<u32, StoreError>
where
    Replaceable<S>: Record,
{
    Ok(load_named::<Replaceable<S>>(table, name)?.map_or(0, |record| record.changes))
}

/// `same` tells whether what was there says the same; `None` when nothing was.
const fn replaced(same: Option<bool>, changes: u32) -> Applied {
    match same {
        None => Applied::Created(1),
        Some(true) => Applied::Unchanged(changes),
        Some(false) => Applied::Updated(changes + 1),
    }
}

/// Revisions are immutable: a new content is appended, an equal one is not.
fn revised<T: PartialEq>(
    revisions: &mut Vec<Arc<Revision<T>>>,
    content: &T,
    revision: impl FnOnce(RevisionNumber) -> Revision<T>,
) -> Applied {
    let applied = match revisions.last() {
        None => Applied::Created(1),
        Some(last) if last.content == *content => return Applied::Unchanged(last.number),
        Some(last) => Applied::Updated(last.number + 1),
    };
    revisions.push(Arc::new(revision(number(applied))));
    applied
}

const fn number(applied: Applied) -> RevisionNumber {
    match applied {
        Applied::Created(number) | Applied::Updated(number) | Applied::Unchanged(number) => number,
    }
}

/// Nothing is ever removed from the catalog, so only what is applied can refer to what is not there.
fn references(next: &Catalog, resource: &Resource, wrong: &mut impl FnMut(Code, &str, String)) {
    let missing = |name: &dyn std::fmt::Display| format!("there is no {name}");
    match resource {
        Resource::Model(model) => {
            if let Some(profile) = &model.profile
                && !next.profiles.contains_key(profile)
            {
                wrong(
                    Code::ReferenceMissing,
                    "profile",
                    missing(&format_args!("profiles/{profile}")),
                );
            }
            if let Some(policy) = &model.firmware_policy
                && !next.policies.contains_key(policy)
            {
                wrong(
                    Code::ReferenceMissing,
                    "firmware_policy",
                    missing(&format_args!("firmwarePolicies/{policy}")),
                );
            }
        }
        Resource::Site(site) => match &site.parent {
            Some(parent) if !next.sites.contains_key(parent) => {
                wrong(
                    Code::ReferenceMissing,
                    "parent",
                    missing(&format_args!("sites/{parent}")),
                );
            }
            Some(_) if circles(next, site) => {
                wrong(
                    Code::SiteInvalid,
                    "parent",
                    format!("{} would be part of itself", site.code),
                );
            }
            Some(_) | None => {}
        },
        Resource::NamingRule(rule) => models_exist(next, &rule.models, wrong),
        Resource::Mapping(mapping) => models_exist(next, mapping.models(), wrong),
        Resource::Profile(profile) => {
            for refusal in next.values_fit(profile).err().unwrap_or_default() {
                wrong(refusal.code, &refusal.field, refusal.message);
            }
        }
        Resource::Group(_) | Resource::FirmwarePolicy(..) => {}
    }
}

fn models_exist(next: &Catalog, models: &[ModelName], wrong: &mut impl FnMut(Code, &str, String)) {
    let named = models.iter().enumerate();
    for (place, model) in named.filter(|(_, model)| !next.models.contains_key(*model)) {
        let why = format!("there is no models/{model}");
        wrong(Code::ReferenceMissing, &format!("models[{place}]"), why);
    }
}

/// Why a group cannot go by a filter: devices are in it that operators added.
fn has_members(tables: &Tables<'_>, group: &Group) -> Result<Option<String>, StoreError> {
    let name = group.name.as_str();
    let mut members = tables.by_group.range((name, 0)..=(name, u128::MAX))?;
    let is_kept = group.rule.is_some() && members.next().is_some();
    Ok(
        is_kept
            .then(|| "cannot be given to a group that devices were added to; remove them first".to_owned()),
    )
}

/// Does the way up from this site come back to it?
fn circles(next: &Catalog, site: &Site) -> bool {
    let mut at = site.parent.as_ref();
    // A circle that does not hold this site is another one's mistake; the bound ends the walk in it.
    for _ in 0..next.sites.len() {
        match at {
            None => return false,
            Some(code) if *code == site.code => return true,
            Some(code) => at = next.sites.get(code).and_then(|site| site.parent.as_ref()),
        }
    }
    false
}

fn record(txn: &mut Txn<'_>, request: &Request, applied: &[Applied]) -> Result<(), StoreError> {
    for (place, (resource, applied)) in request.resources.iter().zip(applied).enumerate() {
        let number = match applied {
            Applied::Created(number) | Applied::Updated(number) => *number,
            Applied::Unchanged(_) => continue,
        };
        let tables = txn.write();
        match resource {
            Resource::Model(model) => {
                let record = Replaceable {
                    changes: number,
                    source: ModelSource::from(model),
                };
                tables
                    .models
                    .insert(model.name.as_str(), record.encode()?.as_slice())?;
            }
            Resource::Site(site) => {
                let record = Replaceable {
                    changes: number,
                    source: SiteSource::from(site),
                };
                tables
                    .sites
                    .insert(site.code.as_str(), record.encode()?.as_slice())?;
            }
            Resource::Group(group) => {
                let record = Replaceable {
                    changes: number,
                    source: GroupSource::from(group),
                };
                tables
                    .groups
                    .insert(group.name.as_str(), record.encode()?.as_slice())?;
            }
            Resource::Profile(profile) => {
                let text = ProfileText::of(&ProfileSource::from(profile));
                let record = request.revision(place, number, text);
                tables
                    .profiles
                    .insert((profile.name.as_str(), number), record.encode()?.as_slice())?;
            }
            Resource::FirmwarePolicy(name, policy) => {
                let text = PolicyText::of(&ChannelsSource::from(policy));
                let record = request.revision(place, number, text);
                tables
                    .policies
                    .insert((name.as_str(), number), record.encode()?.as_slice())?;
            }
            Resource::Mapping(mapping) => {
                let record = request.revision(place, number, mapping_text(mapping)?);
                tables
                    .mappings
                    .insert((mapping.name().as_str(), number), record.encode()?.as_slice())?;
            }
            Resource::NamingRule(rule) => {
                let record = Replaceable {
                    changes: number,
                    source: NamingRuleSource::from(rule),
                };
                tables
                    .naming_rules
                    .insert(rule.name.as_str(), record.encode()?.as_slice())?;
            }
        }
        let actor = Actor::Operator(request.author.clone());
        let event = Event::new(request.now, actor, Action::CatalogApplied, resource.name());
        txn.audit(&event.with("revision", number))?;
    }
    Ok(())
}

/// The catalog on record. What was checked when it came in is checked again: compiled patterns and templates
/// are not kept, and a program that checks more must notice.
pub(super) fn load(view: &View) -> Result<Catalog, StoreError> {
    let mut catalog = Catalog::default();
    for entry in view.models.iter()? {
        let record = Replaceable::<ModelSource>::from_guard(entry?.1)?;
        let model = record.source.check().map_err(|why| unsound("models", &why))?;
        catalog.models.insert(model.name.clone(), Arc::new(model));
    }
    for entry in view.sites.iter()? {
        let record = Replaceable::<SiteSource>::from_guard(entry?.1)?;
        let site = record.source.check().map_err(|why| unsound("sites", &why))?;
        catalog.sites.insert(site.code.clone(), Arc::new(site));
    }
    for entry in view.groups.iter()? {
        let record = Replaceable::<GroupSource>::from_guard(entry?.1)?;
        let group = record.source.check().map_err(|why| unsound("groups", &why))?;
        catalog.groups.insert(group.name.clone(), Arc::new(group));
    }
    for entry in view.naming_rules.iter()? {
        let record = Replaceable::<NamingRuleSource>::from_guard(entry?.1)?;
        let rule = record
            .source
            .check()
            .map_err(|why| unsound("naming_rules", &why))?;
        catalog.naming_rules.insert(rule.name.clone(), Arc::new(rule));
    }
    for entry in view.profiles.iter()? {
        let Revision {
            number,
            author,
            created,
            message,
            content,
        } = Revision::<ProfileText>::from_guard(entry?.1)?;
        let content = profile(&content)?;
        let revisions = catalog.profiles.entry(content.name.clone()).or_default();
        revisions.push(Arc::new(Revision {
            number,
            author,
            created,
            message,
            content,
        }));
    }
    for entry in view.policies.iter()? {
        let (key, value) = entry?;
        let name = key
            .value()
            .0
            .parse()
            .map_err(|why| StoreError::damaged("policies", why))?;
        let Revision {
            number,
            author,
            created,
            message,
            content,
        } = Revision::<PolicyText>::from_guard(value)?;
        let content = policy(&content)?;
        let revisions = catalog.policies.entry(name).or_default();
        revisions.push(Arc::new(Revision {
            number,
            author,
            created,
            message,
            content,
        }));
    }
    for entry in view.mappings.iter()? {
        let Revision {
            number,
            author,
            created,
            message,
            content,
        } = Revision::<MappingText>::from_guard(entry?.1)?;
        let content = mapping(&content)?;
        let revisions = catalog.mappings.entry(content.name().clone()).or_default();
        revisions.push(Arc::new(Revision {
            number,
            author,
            created,
            message,
            content,
        }));
    }
    catalog.secrets = secrets::load(view)?;
    Ok(catalog)
}

/// A revision that was accepted by an older program's rules is one still.
fn profile(text: &ProfileText) -> Result<Profile, StoreError> {
    let source: ProfileSource =
        serde_json::from_str(&text.0).map_err(|why| StoreError::damaged("profiles", why))?;
    source.restore().map_err(|why| unsound("profiles", &why))
}

fn policy(text: &PolicyText) -> Result<Channels, StoreError> {
    let source: ChannelsSource =
        serde_json::from_str(&text.0).map_err(|why| StoreError::damaged("policies", why))?;
    source.check().map_err(|why| unsound("policies", &why))
}

fn mapping_text(mapping: &CheckedMapping) -> Result<MappingText, StoreError> {
    serde_json::to_string(mapping.source())
        .map(MappingText)
        .map_err(|why| StoreError::Unencodable {
            table: "mappings",
            why: why.to_string(),
        })
}

fn mapping(text: &MappingText) -> Result<CheckedMapping, StoreError> {
    let source: MappingSource =
        serde_json::from_str(&text.0).map_err(|why| StoreError::damaged("mappings", why))?;
    source.check().map_err(|why| unsound("mappings", &why))
}

fn unsound(table: &'static str, why: &[Refusal]) -> StoreError {
    StoreError::damaged(
        table,
        why.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; "),
    )
}
