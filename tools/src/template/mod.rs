//! Templates of manifests: an empty table for one model, with what each column may hold and an example that the
//! registry would take.
//!
//! The example stands above the header, under its columns. Whatever stands above the header is no row of a manifest, so
//! nobody has to remember to delete it, and it can stay.

mod column;
mod csv;
mod example;
mod xlsx;

pub use column::{Column, Kind};
pub(crate) use example::value;

use crate::failure::Failure;
use column::columns;
use muster_proto::v1;
use std::path::Path;

/// What the registry knows of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// The model.
    pub model: v1::Model,
    /// Its profile, where it has one.
    pub profile: Option<v1::Profile>,
    /// Names of all models.
    pub models: Vec<String>,
    /// Codes of all sites; empty when there are none, or too many for a list.
    pub sites: Vec<String>,
    /// Naming rules of all models.
    pub rules: Vec<v1::NamingRule>,
    /// Keys of labels that devices of this model have.
    pub labels: Vec<String>,
}

/// A table that is to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The name of the model.
    pub model: String,
    /// What stands above everything.
    pub title: String,
    /// In order.
    pub columns: Vec<Column>,
}

/// Rows above the first that is filled in: title, what each column wants, example, header.
const TITLE_ROW: u32 = 1;
const NEED_ROW: u32 = 2;
const EXAMPLE_ROW: u32 = 3;
const HEADER_ROW: u32 = 4;

/// What a template is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateFormat {
    /// A workbook with lists to choose from and a sheet that explains.
    Xlsx,
    /// Cells between commas.
    Csv,
}

impl TemplateFormat {
    /// By the ending of a name.
    ///
    /// # Errors
    /// When it is another.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_ascii_lowercase().as_str() {
            "xlsx" => Ok(Self::Xlsx),
            "csv" => Ok(Self::Csv),
            _ => Err(Failure::usage(
                format!("{}: templates are .xlsx or .csv", path.display()),
                "OpenDocument programs open and save .xlsx too.",
            )),
        }
    }
}

impl Template {
    /// The table for a model.
    pub fn of(sources: &Sources) -> Self {
        let model = last(&sources.model.name).to_owned();
        Self {
            title: format!(
                "Devices of model {model}. Fill in below row {HEADER_ROW}. Rows {TITLE_ROW} to {EXAMPLE_ROW} are not imported; row {EXAMPLE_ROW} is an example."
            ),
            columns: columns(sources),
            model,
        }
    }

    /// The file.
    ///
    /// # Errors
    /// When a text is too long for a workbook.
    pub fn write(&self, format: TemplateFormat) -> Result<Vec<u8>, Failure> {
        match format {
            TemplateFormat::Csv => csv::write(self),
            TemplateFormat::Xlsx => xlsx::write(self),
        }
    }
}

/// The last part of a resource name.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
