//! Proposing a mapping for a file.

use super::{
    ALIAS_LIMIT, COLUMN_NAME_LIMIT, CheckedMapping, Field, FieldSource, MappingSource, known,
    source::key,
    survey::{Seen, Survey},
};
use crate::{
    catalog::{Catalog, Model, Revision},
    names::{MappingName, ModelName},
};
use std::{collections::BTreeSet, sync::Arc};

/// The name of a proposal for no model in particular.
const UNNAMED: &str = "proposed";
/// Fields that values alone can tell, in the order in which they choose their columns.
const TOLD_BY_VALUES: [Field; 6] = [
    Field::Credential,
    Field::Mac,
    Field::Model,
    Field::Site,
    Field::Serial,
    Field::Firmware,
];

impl Survey<'_> {
    /// What the columns most likely mean: by their usual names, by the parameters of profiles, and else by their values.
    /// What nothing is known of is kept as it is. Where several columns may be one field and their values do not
    /// settle it, all of them are proposed, and the file is refused until a person chooses.
    pub fn propose(&self, catalog: &Catalog, default_model: Option<&ModelName>) -> MappingSource {
        let models = self.models(catalog);
        let model = only(default_model, &models);
        let parameters = parameters(catalog);
        let rules = model.and_then(|name| catalog.models.get(name)).map(Arc::as_ref);
        let mut chosen: Vec<Option<Field>> = self
            .columns
            .iter()
            .map(|column| by_name(column, catalog, default_model, &parameters))
            .collect();
        self.settle(&mut chosen, catalog, rules);
        self.tell_by_values(&mut chosen, catalog, rules);
        MappingSource {
            name: suggested_name(default_model, &models)
                .map_or_else(|| UNNAMED.to_owned(), |name| name.to_string()),
            models: model.iter().map(|name| name.to_string()).collect(),
            fields: self.fields(&chosen),
            ..MappingSource::default()
        }
    }

    /// Of columns whose names mean the same, the values may fit in one only; the others are nothing known then.
    fn settle(&self, chosen: &mut [Option<Field>], catalog: &Catalog, model: Option<&Model>) {
        for field in &TOLD_BY_VALUES {
            let is_it = |found: &Option<Field>| found.as_ref() == Some(field);
            if chosen.iter().filter(|found| is_it(found)).count() < 2 {
                continue;
            }
            let fits = |column: &Seen<'_>| column.fits(field, catalog, model);
            let mut named = self
                .columns
                .iter()
                .zip(chosen.iter_mut())
                .filter(|(_, found)| is_it(found));
            let (fitting, others): (Vec<_>, Vec<_>) = named.by_ref().partition(|(column, _)| fits(column));
            if fitting.len() == 1 {
                for (_, found) in others {
                    *found = None;
                }
            }
        }
    }

    /// Columns of unknown names whose values are unmistakable; never one of several.
    fn tell_by_values(&self, chosen: &mut [Option<Field>], catalog: &Catalog, model: Option<&Model>) {
        for field in &TOLD_BY_VALUES {
            if chosen.iter().flatten().any(|found| found == field) {
                continue;
            }
            let fits = |(place, column): (usize, &Seen<'_>)| {
                let is_open = matches!(chosen.get(place), Some(None));
                (is_open && column.fits(field, catalog, model)).then_some(place)
            };
            let mut fitting = self.columns.iter().enumerate().filter_map(fits);
            let (first, second) = (fitting.next(), fitting.next());
            drop(fitting);
            if let (Some(place), None) = (first, second)
                && let Some(found) = chosen.get_mut(place)
            {
                *found = Some(field.clone());
            }
        }
    }

    /// The entries, in the order of the file; last, the columns that are kept.
    fn fields(&self, chosen: &[Option<Field>]) -> Vec<FieldSource> {
        let mut entries: Vec<(Field, Vec<String>)> = Vec::new();
        let mut kept = Vec::new();
        let mut named = BTreeSet::new();
        for (column, found) in self.columns.iter().zip(chosen) {
            let name = column.name.trim();
            if name.is_empty() || name.len() > COLUMN_NAME_LIMIT || !named.insert((found, key(name))) {
                continue;
            }
            let entry = found
                .as_ref()
                .map(|field| (field, entries.iter_mut().find(|(known, _)| known == field)));
            match entry {
                None => kept.push(name.to_owned()),
                Some((_, Some((_, columns)))) if columns.len() == ALIAS_LIMIT => kept.push(name.to_owned()),
                Some((_, Some((_, columns)))) => columns.push(name.to_owned()),
                Some((field, None)) => entries.push((field.clone(), vec![name.to_owned()])),
            }
        }
        let kept = kept.chunks(ALIAS_LIMIT).map(|names| FieldSource {
            field: "kept".to_owned(),
            columns: names.to_vec(),
            ..FieldSource::default()
        });
        let filled = entries.into_iter().map(|(field, columns)| FieldSource {
            field: field.to_string(),
            columns,
            ..FieldSource::default()
        });
        filled.chain(kept).collect()
    }

    /// The mapping of the catalog that was made for such files: its newest revision is for one of these models, or for
    /// any; the file has every column it needs; and it leaves out no column that we would understand. Of several, the
    /// one that names most columns of the file, then the newest.
    pub fn find<'c>(
        &self,
        catalog: &'c Catalog,
        default_model: Option<&ModelName>,
    ) -> Option<&'c Arc<Revision<CheckedMapping>>> {
        let models = match default_model {
            Some(model) => BTreeSet::from([model.clone()]),
            None => self.models(catalog),
        };
        let parameters = parameters(catalog);
        let newest = catalog.mappings.values().filter_map(|revisions| revisions.last());
        let fitting = newest.filter_map(|revision| {
            let mapping = &revision.content;
            let is_for =
                mapping.models().is_empty() || mapping.models().iter().any(|model| models.contains(model));
            let named = is_for.then(|| self.named_by(mapping, default_model, catalog, &parameters))??;
            Some(((named, revision.created), revision))
        });
        fitting
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, revision)| revision)
    }

    /// How many of the columns a mapping names; `None` when it is not for this file.
    fn named_by(
        &self,
        mapping: &CheckedMapping,
        default_model: Option<&ModelName>,
        catalog: &Catalog,
        parameters: &BTreeSet<&str>,
    ) -> Option<usize> {
        let has = |name: &String| self.columns.iter().any(|column| key(column.name) == key(name));
        let lacks = mapping.entries().any(|(field, entry)| {
            let is_vital = *field == Field::Serial || (*field == Field::Model && default_model.is_none());
            let is_needed = entry.value.is_none() && entry.default.is_none() && (entry.required || is_vital);
            let is_there = if entry.join.is_some() {
                entry.columns.iter().all(has)
            } else {
                entry.columns.iter().any(has)
            };
            is_needed && !is_there
        });
        if lacks {
            return None;
        }
        let names: BTreeSet<String> = mapping
            .entries()
            .flat_map(|(_, entry)| entry.columns.iter().map(|name| key(name)))
            .collect();
        let (named, others): (Vec<_>, Vec<_>) = self
            .columns
            .iter()
            .partition(|column| names.contains(&key(column.name)));
        let is_missed = |column: &&Seen<'_>| {
            !mapping.source().known_names && by_name(column, catalog, default_model, parameters).is_some()
        };
        let is_for = !named.is_empty() && !others.iter().any(is_missed);
        is_for.then_some(named.len())
    }
}

/// The name under which a mapping is kept: that of the model it is for, where there is one only.
pub fn suggested_name(
    default_model: Option<&ModelName>,
    models: &BTreeSet<ModelName>,
) -> Option<MappingName> {
    only(default_model, models)?.as_str().parse().ok()
}

/// The model of a whole file, if it has one only.
fn only<'m>(default_model: Option<&'m ModelName>, models: &'m BTreeSet<ModelName>) -> Option<&'m ModelName> {
    match default_model {
        Some(model) => Some(model),
        None => models.first().filter(|_| models.len() == 1),
    }
}

/// Every value that some profile takes: a column of that name is meant for it.
fn parameters(catalog: &Catalog) -> BTreeSet<&str> {
    let newest = catalog.profiles.values().filter_map(|revisions| revisions.last());
    newest
        .flat_map(|revision| revision.content.parameters.keys().map(String::as_str))
        .collect()
}

fn by_name(
    column: &Seen<'_>,
    catalog: &Catalog,
    default_model: Option<&ModelName>,
    parameters: &BTreeSet<&str>,
) -> Option<Field> {
    let usual = known::field(column.name).filter(|field| match field {
        // `Type` may be anything; where the model is given, and no value is one of ours, it is something else.
        Field::Model => {
            default_model.is_none()
                || column
                    .values
                    .iter()
                    .any(|value| catalog.models.contains_key(*value))
        }
        Field::Label(_) | Field::Variable(_) => field.to_string().parse::<Field>().is_ok(),
        Field::Kept(_) | Field::Ignored => false,
        Field::Serial
        | Field::Mac
        | Field::Hardware
        | Field::Firmware
        | Field::Site
        | Field::Position
        | Field::Credential
        | Field::Etag
        | Field::SpkiSha256
        | Field::ClaimNotBefore
        | Field::ClaimNotAfter
        | Field::RetryBatch
        | Field::RetryRow => true,
    });
    usual.or_else(|| {
        let name = known::snake(column.name);
        parameters
            .contains(name.as_str())
            .then_some(Field::Variable(name))
    })
}
