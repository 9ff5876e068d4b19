//! Mappings as people write them.

use super::{
    Field,
    known::bare,
    step::{STEP_TEXT_LIMIT, Step},
};
use crate::{
    Code, Refusal,
    catalog::check::Problems,
    manifest::{CELL_LIMIT, COLUMN_LIMIT, Format, ROW_COUNT_LIMIT, ReadOptions},
    names::{MappingName, ModelName},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a mapping's source as JSON.
pub const MAPPING_SOURCE_LIMIT: usize = 256 << 10;
/// Most fields of a mapping: a file has no more columns.
pub const MAPPED_FIELD_LIMIT: usize = COLUMN_LIMIT;
/// Most columns of one field: its names, or what it joins.
pub const ALIAS_LIMIT: usize = 64;
/// Longest name of a column in a mapping, in bytes.
pub const COLUMN_NAME_LIMIT: usize = 255;
/// Most steps of one field.
pub const STEP_LIMIT: usize = 16;
/// Most patterns of a mapping: compiled, each may take 256 KiB.
pub const PATTERN_COUNT_LIMIT: usize = 32;
/// Most models that a mapping is suggested for.
pub const MODEL_LIMIT: usize = 256;
/// Longest description, in bytes.
const DESCRIPTION_LIMIT: usize = 1024;
/// Longest name of a sheet or record, in bytes.
const PLACE_LIMIT: usize = 255;

/// Formats by the names that people give them.
const FORMATS: [(&str, Format); 9] = [
    ("csv", Format::Csv),
    ("ndjson", Format::Ndjson),
    ("json", Format::Json),
    ("xml", Format::Xml),
    ("xlsx", Format::Xlsx),
    ("xls", Format::Xls),
    ("ods", Format::Ods),
    ("microchip", Format::Microchip),
    ("certificates", Format::Certificates),
];

/// What becomes of columns that a mapping does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmapped {
    /// They are kept with the device, as the factory wrote them.
    #[default]
    Keep,
    /// They are variables, under their names in snake case.
    Variables,
    /// They are labels, under their names.
    Labels,
    /// They are passed over.
    Ignore,
    /// The file is refused.
    Refuse,
}

/// What the columns of a manifest mean, as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingSource {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Models for whose files it is suggested; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The format, where it cannot be told from the content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Spreadsheets: the sheet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sheet: String,
    /// The row that names the columns, as the file shows it; 0: find it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub header_row: u32,
    /// XML: the element that is a record; JSON: the key of the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub record_path: String,
    /// Columns that no field names are understood by their usual names, such as `MAC Address`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub known_names: bool,
    /// What becomes of the others.
    #[serde(default)]
    pub unmapped: Unmapped,
    /// What its columns fill.
    #[serde(default)]
    pub fields: Vec<FieldSource>,
}

/// One field, and how it comes to its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSource {
    /// `serial`, `mac`, `model`, `hardware`, `firmware`, `site`, `position`, `credential`, `etag`,
    /// `spki_sha256`, `claim_not_before`, `claim_not_after`, `labels.KEY`,
    /// `variables.NAME`; `kept` and `ignored` for columns that fill none.
    pub field: String,
    /// Names of its column, compared without case, accents, blanks and punctuation; a file has one of them. With
    /// `join`, all of them, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The value of every row, instead of a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Rows without a value are refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// The value of rows that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What stands between the cells of several columns, which are joined; empty ones are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    /// What is done to the cell's text, in this order. Empty cells come to none of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A mapping that was checked: every name, pattern and limit holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedMapping {
    name: MappingName,
    models: Vec<ModelName>,
    format: Option<Format>,
    /// The field of each entry of the source.
    fields: Vec<Field>,
    source: MappingSource,
}

impl CheckedMapping {
    /// Its name.
    pub const fn name(&self) -> &MappingName {
        &self.name
    }

    /// Models for whose files it is suggested; empty: any.
    pub fn models(&self) -> &[ModelName] {
        &self.models
    }

    /// The format, where it names one.
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Adds where in the file its rows are, for what is not given yet.
    pub fn complete(&self, options: &mut ReadOptions) {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        options.format = options.format.or(self.format);
        options.sheet = options.sheet.take().or_else(|| text(&self.source.sheet));
        let header_row = Some(self.source.header_row).filter(|&row| row > 0);
        options.header_row = options.header_row.or(header_row);
        options.record_path = options
            .record_path
            .take()
            .or_else(|| text(&self.source.record_path));
    }

    /// As it was written.
    pub const fn source(&self) -> &MappingSource {
        &self.source
    }

    /// Each field with the entry that fills it, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Field, &FieldSource)> {
        self.fields.iter().zip(&self.source.fields)
    }
}

impl MappingSource {
    /// Checks everything and reports every mistake, each at its field.
    ///
    /// # Errors
    /// [`Code::MappingInvalid`] at `name`, `models[I]`, `fields[I].columns[J]`, `fields[I].steps[J]` and so on.
    pub fn check(self) -> Result<CheckedMapping, Vec<Refusal>> {
        let mut problems = Problems::new(Code::MappingInvalid);
        let name = problems.take("name", self.name.parse());
        let models = self.check_models(&mut problems);
        let format = self.check_place(&mut problems);
        let fields = self.check_fields(&mut problems);
        let Some(name) = name else {
            return Err(problems.into());
        };
        problems.none_or(CheckedMapping {
            name,
            models,
            format,
            fields,
            source: self,
        })
    }

    fn check_models(&self, problems: &mut Problems) -> Vec<ModelName> {
        if self.models.len() > MODEL_LIMIT {
            problems.add("models", format!("has more than {MODEL_LIMIT} entries"));
        }
        let models = self.models.iter().take(MODEL_LIMIT).enumerate();
        models
            .filter_map(|(i, model)| problems.take(&format!("models[{i}]"), model.parse()))
            .collect()
    }

    /// Where in the file its rows are.
    fn check_place(&self, problems: &mut Problems) -> Option<Format> {
        let mut short = |field: &str, text: &str, limit: usize| {
            if text.len() > limit {
                problems.add(field, format!("is longer than {limit} bytes"));
            }
        };
        short("description", &self.description, DESCRIPTION_LIMIT);
        short("sheet", &self.sheet, PLACE_LIMIT);
        short("record_path", &self.record_path, PLACE_LIMIT);
        if self.header_row > ROW_COUNT_LIMIT {
            problems.add("header_row", format!("is over {ROW_COUNT_LIMIT}"));
        }
        let format = FORMATS.iter().find(|(name, _)| *name == self.format);
        if format.is_none() && !self.format.is_empty() {
            let names = FORMATS.map(|(name, _)| name).join(", ");
            problems.add("format", format!("{:?} is none of {names}", self.format));
        }
        format.map(|(_, format)| *format)
    }

    fn check_fields(&self, problems: &mut Problems) -> Vec<Field> {
        if self.fields.len() > MAPPED_FIELD_LIMIT {
            problems.add("fields", format!("has more than {MAPPED_FIELD_LIMIT} entries"));
            return Vec::new();
        }
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut first = BTreeMap::new();
        for (place, entry) in self.fields.iter().enumerate() {
            let at = format!("fields[{place}]");
            let field = problems.take(&format!("{at}.field"), entry.field.parse::<Field>());
            entry.check(&at, field.as_ref(), problems);
            let Some(field) = field else { continue };
            if !matches!(field, Field::Kept(_) | Field::Ignored)
                && let Some(earlier) = first.insert(field.clone(), place)
            {
                problems.add(
                    &format!("{at}.field"),
                    format!("{field} is filled by fields[{earlier}] already; list its columns there"),
                );
            }
            fields.push(field);
        }
        self.check_columns(problems);
        let steps = self.fields.iter().flat_map(|entry| &entry.steps);
        let patterns = steps.filter(|step| matches!(step, Step::Capture(_))).count();
        if patterns > PATTERN_COUNT_LIMIT {
            problems.add(
                "fields",
                format!("has more than {PATTERN_COUNT_LIMIT} steps that capture"),
            );
        }
        fields
    }

    /// A column may fill several fields, each with its own steps.
    fn check_columns(&self, problems: &mut Problems) {
        for (i, entry) in self.fields.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for (j, column) in entry.columns.iter().enumerate().take(ALIAS_LIMIT) {
                let at = format!("fields[{i}].columns[{j}]");
                if column.is_empty() || column.len() > COLUMN_NAME_LIMIT {
                    problems.add(&at, format!("has not 1 to {COLUMN_NAME_LIMIT} bytes"));
                } else if !seen.insert(key(column)) {
                    problems.add(&at, format!("{column:?} stands here twice"));
                }
            }
        }
    }
}

impl FieldSource {
    fn check(&self, at: &str, field: Option<&Field>, problems: &mut Problems) {
        let mut wrong = |part: &str, why: String| problems.add(&format!("{at}.{part}"), why);
        if self.columns.len() > ALIAS_LIMIT {
            wrong("columns", format!("has more than {ALIAS_LIMIT} entries"));
        }
        if self.steps.len() > STEP_LIMIT {
            wrong("steps", format!("has more than {STEP_LIMIT} entries"));
        }
        for (place, step) in self.steps.iter().enumerate().take(STEP_LIMIT) {
            if let Some(why) = step.problem() {
                wrong(&format!("steps[{place}]"), why);
            }
        }
        for (part, text, limit) in [
            ("value", &self.value, CELL_LIMIT),
            ("default", &self.default, CELL_LIMIT),
            ("join", &self.join, STEP_TEXT_LIMIT),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > limit) {
                wrong(part, format!("is longer than {limit} bytes"));
            }
        }
        for (part, text) in [("value", &self.value), ("default", &self.default)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                wrong(part, "is empty".to_owned());
            }
        }
        if self.value.is_none() && self.columns.is_empty() {
            wrong("columns", "is empty, and there is no value".to_owned());
        }
        let computes =
            self.required || self.default.is_some() || self.join.is_some() || !self.steps.is_empty();
        if self.value.is_some() && (computes || !self.columns.is_empty()) {
            wrong(
                "value",
                "stands alone: a constant needs no columns, steps, join, default or required".to_owned(),
            );
        }
        if matches!(field, Some(Field::Kept(_) | Field::Ignored)) && (computes || self.value.is_some()) {
            wrong(
                "field",
                "is no field of the device, so only columns can be given".to_owned(),
            );
        }
        if matches!(field, Some(Field::Serial | Field::Mac | Field::Credential)) && self.value.is_some() {
            wrong("value", "every device needs one of its own".to_owned());
        }
    }
}

/// What a name of a column is compared by. Names of punctuation alone, such as `#`, are compared as they are.
pub(in crate::manifest) fn key(column: &str) -> String {
    let bare = bare(column);
    if bare.is_empty() {
        column.trim().to_owned()
    } else {
        bare
    }
}
