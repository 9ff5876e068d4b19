//! What can be told of a file's columns from their names and from the values in its first rows.

use super::{Field, known, results};
use crate::{
    catalog::{Catalog, Model},
    mac::Mac,
    manifest::{COLUMN_LIMIT, Record},
    names::{ModelName, Serial},
};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Most records that are looked at.
pub const SAMPLE_LIMIT: usize = 100;

/// One column, as far as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen<'s> {
    /// As the file calls it.
    pub(super) name: &'s str,
    /// Its values, without blanks around them and without empty ones.
    pub(super) values: Vec<&'s str>,
}

/// The columns of a file with the values of its first rows.
#[derive(Debug, Clone)]
pub struct Survey<'s> {
    /// The user's own columns, in the order of the file.
    pub(super) columns: Vec<Seen<'s>>,
}

impl<'s> Survey<'s> {
    /// Looks at the names of the columns, and at the first [`SAMPLE_LIMIT`] records. Objects may bring columns of their
    /// own. Columns of our results are passed over.
    pub fn new(columns: &'s [String], sample: &'s [Record]) -> Self {
        let mut seen: Vec<Seen<'s>> = Vec::new();
        let mut places: BTreeMap<&'s str, usize> = BTreeMap::new();
        for name in columns {
            places.insert(name, seen.len());
            seen.push(Seen {
                name,
                values: Vec::new(),
            });
        }
        for record in sample
            .iter()
            .take(SAMPLE_LIMIT)
            .filter(|record| record.fault().is_none())
        {
            let is_named = record.is_named();
            for (place, (name, value)) in record.fields().enumerate() {
                let place = match places.get(name) {
                    Some(&known) if is_named => known,
                    None if is_named && seen.len() < COLUMN_LIMIT => {
                        places.insert(name, seen.len());
                        seen.push(Seen {
                            name,
                            values: Vec::new(),
                        });
                        seen.len() - 1
                    }
                    None if is_named => continue,
                    Some(_) | None => place,
                };
                let value = value.trim();
                if let Some(column) = seen.get_mut(place).filter(|_| !value.is_empty()) {
                    column.values.push(value);
                }
            }
        }
        let prefix = results::prefix(seen.iter().map(|column| column.name));
        seen.retain(|column| results::field(column.name, prefix).is_none() && !column.name.trim().is_empty());
        Self { columns: seen }
    }

    /// The models of the catalog that the sample names in a column of models.
    pub fn models(&self, catalog: &Catalog) -> BTreeSet<ModelName> {
        let named = self.columns.iter().filter(|column| {
            known::field(column.name) == Some(Field::Model) || column.fits(&Field::Model, catalog, None)
        });
        let known = named
            .flat_map(|column| &column.values)
            .filter_map(|value| catalog.models.get_key_value(*value));
        known.map(|(name, _)| name.clone()).collect()
    }
}

impl Seen<'_> {
    /// Are all values what this field holds? Never without a value, and never for fields that hold any text.
    pub(super) fn fits(&self, field: &Field, catalog: &Catalog, model: Option<&Model>) -> bool {
        let all =
            |is: &dyn Fn(&str) -> bool| !self.values.is_empty() && self.values.iter().all(|value| is(value));
        match field {
            Field::Serial => {
                let is_own = |model: &Model| all(&|value| is_serial(model, value));
                let distinct: BTreeSet<_> = self.values.iter().collect();
                distinct.len() == self.values.len()
                    && model.map_or_else(|| catalog.models.values().any(|model| is_own(model)), is_own)
            }
            // Twelve digits alone may be anything.
            Field::Mac => {
                all(&|value| value.parse::<Mac>().is_ok()) && self.values.iter().any(|value| is_spelt(value))
            }
            Field::Model => all(&|value| catalog.models.contains_key(value)),
            Field::Site => all(&|value| catalog.sites.contains_key(value)),
            Field::Firmware => all(&is_version),
            Field::Credential => all(&|value| value.starts_with("-----BEGIN ")),
            Field::Hardware
            | Field::Position
            | Field::Etag
            | Field::SpkiSha256
            | Field::ClaimNotBefore
            | Field::ClaimNotAfter
            | Field::Label(_)
            | Field::Variable(_)
            | Field::Kept(_)
            | Field::RetryBatch
            | Field::RetryRow
            | Field::Ignored => false,
        }
    }
}

/// A model without a rule allows every serial, which says nothing.
fn is_serial(model: &Model, value: &str) -> bool {
    let rule = model.serial_pattern.as_ref();
    rule.is_some_and(|rule| {
        value
            .parse::<Serial>()
            .is_ok_and(|serial| rule.matches(serial.as_str()))
    })
}

/// Does an address have a separator, or a digit beyond 9?
fn is_spelt(address: &str) -> bool {
    address.bytes().any(|byte| !byte.is_ascii_digit())
}

fn is_version(value: &str) -> bool {
    Version::parse(value.strip_prefix(['v', 'V']).unwrap_or(value)).is_ok()
}
