//! A mapping set against the columns of one file.

use super::{
    CheckedMapping, Column, Field, FieldSource, Fill, Mapping, Part, Target, Unmapped, known, results,
    source::key,
};
use crate::{Code, Refusal, manifest::Format};
use std::collections::BTreeMap;

/// Most columns that a message lists.
const LISTED_COLUMNS: usize = 16;
/// Longest name under which a column is kept, in bytes: it is stored with each device.
const KEPT_NAME_LIMIT: usize = super::COLUMN_NAME_LIMIT;

impl Mapping {
    /// What a mapping makes of a file with these columns. `has_model` says that a model was given for the whole file. In
    /// formats whose rows name their own fields, nothing is wrong before the rows are.
    ///
    /// # Errors
    /// [`Code::MappingUnusable`] for each field whose column the file does not have, [`Code::HeaderMissing`] when
    /// nothing is said of the serial or model, [`Code::HeaderAmbiguous`] for columns that mean the same; each at
    /// `header.FIELD`.
    pub fn resolve(
        mapping: &CheckedMapping,
        columns: &[String],
        format: Format,
        has_model: bool,
    ) -> Result<Self, Vec<Refusal>> {
        let unusable = |why: String| vec![Refusal::new(Code::MappingUnusable, why)];
        let (targets, fills) = targets(mapping).map_err(unusable)?;
        let mut resolved = Self {
            columns: Vec::with_capacity(columns.len()),
            index: BTreeMap::new(),
            fills,
            targets,
            known_names: mapping.source().known_names,
            unmapped: mapping.source().unmapped,
            results: results::prefix(columns.iter().map(String::as_str)),
        };
        for column in columns {
            resolved.add(column);
        }
        let problems = match format {
            Format::Csv | Format::Xlsx | Format::Xls | Format::Ods => resolved.problems(mapping, has_model),
            Format::Ndjson | Format::Json | Format::Xml | Format::Microchip | Format::Certificates => {
                Vec::new()
            }
        };
        if problems.is_empty() {
            Ok(resolved)
        } else {
            Err(problems)
        }
    }

    /// One more column.
    pub(super) fn add(&mut self, name: &str) {
        let column = |field| Column {
            name: name.to_owned(),
            field,
            fills: Vec::new(),
            is_unwanted: false,
        };
        let column = match (results::field(name, self.results), self.targets.get(&key(name))) {
            (Some(ours), _) => column(ours),
            (None, Some(Target::Plain(Field::Kept(_)))) => column(self.kept(name)),
            (None, Some(Target::Plain(field))) => column(field.clone()),
            (None, Some(Target::Parts(parts))) => Column {
                fills: parts.clone(),
                ..column(Field::Ignored)
            },
            (None, None) => self.unnamed(name, column(Field::Ignored)),
        };
        self.index.insert(name.to_owned(), self.columns.len());
        self.columns.push(column);
    }

    /// A column that no field of the mapping names.
    fn unnamed(&self, name: &str, nothing: Column) -> Column {
        let by_name = if self.known_names {
            known::field(name)
        } else {
            known::prefixed(name).filter(|_| !matches!(self.unmapped, Unmapped::Ignore | Unmapped::Refuse))
        };
        let is_free = |field: &Field| *field != Field::Ignored && !self.fills_by_name(field);
        let chosen = by_name.filter(is_free).unwrap_or_else(|| {
            let chosen = match self.unmapped {
                Unmapped::Keep => return self.kept(name),
                Unmapped::Variables => known::named(&known::snake(name), Field::Variable),
                Unmapped::Labels => known::named(name.trim(), Field::Label),
                Unmapped::Ignore | Unmapped::Refuse => Field::Ignored,
            };
            if self.fills_by_name(&chosen) {
                self.kept(name)
            } else {
                chosen
            }
        });
        let is_unwanted =
            self.unmapped == Unmapped::Refuse && chosen == Field::Ignored && !name.trim().is_empty();
        Column {
            field: chosen,
            is_unwanted,
            ..nothing
        }
    }

    /// Does the mapping itself name a column for this field, or compute it?
    fn fills_by_name(&self, field: &Field) -> bool {
        *field != Field::Ignored
            && (self.fills.iter().any(|fill| fill.field() == field)
                || self.targets.values().any(|target| match target {
                    Target::Plain(plain) => plain == field,
                    Target::Parts(_) => false,
                }))
    }

    /// Columns are kept under their own names; of several of one name, the later ones with their places.
    fn kept(&self, name: &str) -> Field {
        let name = name.trim();
        if name.is_empty() || name.len() > KEPT_NAME_LIMIT {
            return Field::Ignored;
        }
        let is_taken = |name: &str| {
            self.columns
                .iter()
                .any(|column| matches!(&column.field, Field::Kept(kept) if kept == name))
        };
        let numbered = || format!("{name} (column {})", self.columns.len() + 1);
        if !is_taken(name) {
            return Field::Kept(name.to_owned());
        }
        Some(numbered())
            .filter(|name| !is_taken(name))
            .map_or(Field::Ignored, Field::Kept)
    }

    fn problems(&self, mapping: &CheckedMapping, has_model: bool) -> Vec<Refusal> {
        let mut problems = self.doubled();
        for column in self.columns.iter().filter(|column| column.is_unwanted) {
            problems.push(
                Refusal::new(
                    Code::MappingUnusable,
                    format!("the mapping has no place for the column {:?}", column.name),
                )
                .at(format!("header.{}", column.name)),
            );
        }
        for (field, entry) in mapping.entries().filter(|(_, entry)| entry.value.is_none()) {
            let is_vital = *field == Field::Serial || (*field == Field::Model && !has_model);
            let needed = entry.default.is_none() && (entry.required || is_vital);
            if needed && !self.has(entry) {
                let joint = if entry.join.is_some() { "and" } else { "or" };
                let names: Vec<_> = entry.columns.iter().map(|name| format!("{name:?}")).collect();
                let names = names.join(&format!(" {joint} "));
                let why = format!(
                    "the mapping takes the {field} from {names}; there are {}",
                    self.listed()
                );
                problems.push(Refusal::new(Code::MappingUnusable, why).at(format!("header.{field}")));
            }
        }
        let needed = [(Field::Serial, true), (Field::Model, !has_model)];
        for (field, _) in needed
            .iter()
            .filter(|(field, needed)| *needed && !self.says(field))
        {
            let why = format!("no column holds the {field}; there are {}", self.listed());
            problems.push(Refusal::new(Code::HeaderMissing, why).at(format!("header.{field}")));
        }
        problems
    }

    /// Columns that mean the same.
    fn doubled(&self) -> Vec<Refusal> {
        let plain = self.columns.iter().filter(|column| column.fills.is_empty());
        let plain = plain
            .filter(|column| column.field != Field::Ignored)
            .map(|column| ((&column.field, 0), column));
        let computed = self.columns.iter().flat_map(|column| {
            let of = move |part: &Part| {
                let fill = self.fills.get(part.fill)?;
                let place = if fill.join().is_some() { part.place } else { 0 };
                Some(((fill.field(), place), column))
            };
            column.fills.iter().filter_map(of)
        });
        let mut sorted: Vec<_> = plain.chain(computed).collect();
        // By field, then in the order of the file: sorting is stable.
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let pairs = sorted.windows(2).filter_map(|pair| match pair {
            [first, second] if first.0 == second.0 => Some((first.0.0, &first.1.name, &second.1.name)),
            _ => None,
        });
        pairs
            .map(|(field, first, second)| {
                Refusal::new(
                    Code::HeaderAmbiguous,
                    format!("the columns {first:?} and {second:?} mean the same"),
                )
                .at(format!("header.{field}"))
            })
            .collect()
    }

    /// Does the file have what an entry needs: one of its columns, or each that it joins?
    fn has(&self, entry: &FieldSource) -> bool {
        let there = |name: &String| self.columns.iter().any(|column| key(&column.name) == key(name));
        if entry.join.is_some() {
            entry.columns.iter().all(there)
        } else {
            entry.columns.iter().any(there)
        }
    }

    /// Does anything fill this field, or would with the right columns?
    fn says(&self, field: &Field) -> bool {
        self.fills_by_name(field) || self.columns.iter().any(|column| column.field == *field)
    }

    fn listed(&self) -> String {
        let names = self.columns.iter().take(LISTED_COLUMNS);
        names
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Where each name of a column leads. A column that fills one field as it stands costs nothing more than that.
fn targets(mapping: &CheckedMapping) -> Result<(BTreeMap<String, Target>, Vec<Fill>), String> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for (_, entry) in mapping.entries() {
        for column in &entry.columns {
            *uses.entry(key(column)).or_default() += 1;
        }
    }
    let mut targets = BTreeMap::new();
    let mut fills: Vec<Fill> = Vec::new();
    for (field, entry) in mapping.entries() {
        let is_shared = entry
            .columns
            .iter()
            .any(|column| uses.get(&key(column)) > Some(&1));
        if is_plain(entry) && !is_shared {
            for column in &entry.columns {
                targets.insert(key(column), Target::Plain(field.clone()));
            }
            continue;
        }
        if matches!(field, Field::Kept(_) | Field::Ignored) {
            // What else fills from the same column wins: the user sees it there.
            continue;
        }
        for (place, column) in entry.columns.iter().enumerate() {
            let part = Part {
                fill: fills.len(),
                place,
            };
            match targets
                .entry(key(column))
                .or_insert_with(|| Target::Parts(Vec::new()))
            {
                Target::Parts(parts) => parts.push(part),
                plain @ Target::Plain(_) => *plain = Target::Parts(vec![part]),
            }
        }
        fills.push(Fill::new(field, entry)?);
    }
    Ok((targets, fills))
}

const fn is_plain(entry: &FieldSource) -> bool {
    entry.value.is_none()
        && !entry.required
        && entry.default.is_none()
        && entry.join.is_none()
        && entry.steps.is_empty()
}
