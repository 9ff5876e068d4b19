//! What the columns of a manifest mean.
//!
//! A [`MappingSource`] is what a person writes or what was proposed for a file; checked, it is a resource with
//! immutable revisions. Set against the columns of one file it is a [`Mapping`]: the meaning of each column.

mod field;
mod fill;
mod known;
mod propose;
mod resolve;
mod results;
mod source;
mod step;
mod survey;
mod transform;

pub use field::{Field, NoField};
pub use propose::suggested_name;
pub use results::{CREDENTIAL_COLUMNS, RESULT_COLUMNS, RETRY_BATCH_COLUMN, RETRY_ROW_COLUMN};
pub use source::{
    ALIAS_LIMIT, COLUMN_NAME_LIMIT, CheckedMapping, FieldSource, MAPPED_FIELD_LIMIT, MAPPING_SOURCE_LIMIT,
    MODEL_LIMIT, MappingSource, PATTERN_COUNT_LIMIT, STEP_LIMIT, Unmapped,
};
pub use step::{LOOKUP_LIMIT, LetterCase, Otherwise, PAD_LIMIT, STEP_PATTERN_LIMIT, STEP_TEXT_LIMIT, Step};
pub use survey::{SAMPLE_LIMIT, Survey};

pub(super) use fill::Fill;
pub(super) use source::key as column_key;

use super::{Reader, Record};
use crate::Refusal;
use std::collections::BTreeMap;

/// Most different keys in all objects of one file: each becomes a column.
pub const KEY_LIMIT: usize = 1024;

/// One column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// As the file calls it, without blanks around it.
    pub(super) name: String,
    /// The field that its cells are, as they stand; with `fills`, the first field that they are made into.
    pub(super) field: Field,
    /// What its cells take part in, instead of being a field as they stand.
    pub(super) fills: Vec<Part>,
    /// The mapping has no place for it, and must have one.
    pub(super) is_unwanted: bool,
}

/// The part of a column in a field that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    /// Which [`Fill`].
    pub(super) fill: usize,
    /// Where it stands among the columns that are joined.
    pub(super) place: usize,
}

/// What a name of a column leads to, in a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// The field, as the cell stands.
    Plain(Field),
    /// Parts of computed fields.
    Parts(Vec<Part>),
}

/// The meaning of each column, in order. In NDJSON later objects can add columns.
#[derive(Debug, Clone)]
pub struct Mapping {
    columns: Vec<Column>,
    /// The place of each name, for objects; of several columns of one name, the last.
    index: BTreeMap<String, usize>,
    fills: Vec<Fill>,
    /// By the compared form of a column's name.
    targets: BTreeMap<String, Target>,
    known_names: bool,
    unmapped: Unmapped,
    /// The prefix of our results' columns, where they are there.
    results: Option<&'static str>,
}

/// Columns of a file of refused rows that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry<'m> {
    /// The column that names the batch; it may have been deleted.
    pub batch: Option<&'m str>,
    /// The column with each row's number in the first file.
    pub row: &'m str,
}

impl Mapping {
    /// The meaning of the columns of a file by their usual names alone; the others are variables. `has_model` says that
    /// a model was given for the whole file. In NDJSON each object names its own fields, so nothing is wrong before
    /// the rows are.
    ///
    /// # Errors
    /// [`Code::HeaderAmbiguous`](crate::Code::HeaderAmbiguous) for columns that mean the same,
    /// [`Code::HeaderMissing`](crate::Code::HeaderMissing) when no column holds the serial, or none the model; each at
    /// `header.FIELD`.
    pub fn of<R>(reader: &Reader<R>, has_model: bool) -> Result<Self, Vec<Refusal>> {
        let usual = MappingSource {
            name: "usual-names".to_owned(),
            known_names: true,
            unmapped: Unmapped::Variables,
            ..MappingSource::default()
        };
        Self::resolve(&usual.check()?, reader.columns(), reader.format(), has_model)
    }

    /// The columns as the user calls them, with the fields they fill: `serial`, `labels.KEY`, `variables.NAME`, `kept`,
    /// `ignored`. A column that fills several names them all.
    pub fn columns(&self) -> Vec<(String, String)> {
        let shown = |column: &Column| {
            let fields: Vec<_> = column
                .fills
                .iter()
                .filter_map(|part| self.fills.get(part.fill))
                .map(|fill| fill.field().to_string())
                .collect();
            let fields = if fields.is_empty() {
                column.field.to_string()
            } else {
                fields.join(", ")
            };
            (column.name.clone(), fields)
        };
        self.columns.iter().map(shown).collect()
    }

    /// The columns by which refused rows are known that come back; `None` for a file of its own.
    pub fn retry(&self) -> Option<Retry<'_>> {
        Some(Retry {
            batch: self.name_of(&Field::RetryBatch),
            row: self.name_of(&Field::RetryRow)?,
        })
    }

    /// The name of the (first) column of a field, as the file has it.
    pub(super) fn name_of(&self, field: &Field) -> Option<&str> {
        let fills = |column: &&Column| {
            let computed = |part: &Part| {
                self.fills
                    .get(part.fill)
                    .is_some_and(|fill| fill.field() == field)
            };
            column.field == *field || column.fills.iter().any(computed)
        };
        self.columns.iter().find(fills).map(|column| column.name.as_str())
    }

    /// Is this the name of a column that we know, rather than of one that only its user does?
    pub(super) fn knows(column: &str) -> bool {
        known::field(column)
            .is_some_and(|field| !matches!(field, Field::Variable(_) | Field::Ignored | Field::Kept(_)))
    }

    /// Is this the name of the column of serials?
    pub(super) fn is_serial(column: &str) -> bool {
        known::field(column) == Some(Field::Serial)
    }

    /// How many columns the header has.
    pub(super) const fn width(&self) -> usize {
        self.columns.len()
    }

    /// What the cells of a column are (first) made into, for messages.
    pub(super) fn field(&self, place: usize) -> Option<&Field> {
        let column = self.columns.get(place)?;
        let fill = column.fills.first().and_then(|part| self.fills.get(part.fill));
        Some(fill.map_or(&column.field, Fill::field))
    }

    /// A column, by its place.
    pub(super) fn column(&self, place: usize) -> Option<&Column> {
        self.columns.get(place)
    }

    /// Fields that are computed.
    pub(super) fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// Learns the keys of an object of NDJSON and says which column each of its cells is in; a place that no
    /// column has stands for a key over [`KEY_LIMIT`]. Objects mostly have the same keys in the same order, so the
    /// place of a cell is the first guess.
    pub(super) fn places(&mut self, record: &Record, places: &mut Vec<usize>) {
        places.clear();
        for (guess, (name, _)) in record.fields().enumerate() {
            let is_here = self.columns.get(guess).is_some_and(|known| known.name == name);
            let known = if is_here {
                Some(guess)
            } else {
                self.index.get(name).copied()
            };
            places.push(known.unwrap_or_else(|| {
                if self.columns.len() < KEY_LIMIT {
                    self.add(name);
                    self.columns.len() - 1
                } else {
                    usize::MAX
                }
            }));
        }
    }
}
