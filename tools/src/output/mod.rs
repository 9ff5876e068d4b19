//! What commands print: the same records as table, JSON, JSON lines or CSV.
//!
//! Tables are for people: few columns, short names, times to the second. The other forms are for programs: every field,
//! whole resource names, RFC 3339 times in UTC, digests in hexadecimal.

pub mod formula;
mod listing;
mod single;
mod target;
pub(crate) mod text;
mod value;

pub use listing::Listing;
pub(crate) use listing::table;
pub use single::print_one;
pub(crate) use target::{Target, TargetParser};

use clap::ValueEnum;
use serde::Serialize;

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One document: an array for listings.
    Json,
    /// One object a line.
    Jsonl,
    /// Comma-separated (RFC 4180), cells that a spreadsheet would run made harmless.
    Csv,
}

/// How a column looks in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    Plain,
    /// A resource name without its collection.
    Name,
    /// A time, to the second.
    Time,
    /// A number, to the right.
    Number,
}

/// A column of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Where the value is in the record, such as `verification.state`; also its name in CSV.
    pub path: &'static str,
    /// Its heading in a table; empty when tables leave it out unless asked.
    pub title: &'static str,
    /// How it looks in a table.
    pub look: Look,
}

impl Column {
    /// A column that tables show.
    pub const fn shown(path: &'static str, title: &'static str, look: Look) -> Self {
        Self { path, title, look }
    }

    /// A column that only CSV shows.
    pub const fn extra(path: &'static str, look: Look) -> Self {
        Self {
            path,
            title: "",
            look,
        }
    }
}

/// Something that can be listed. Its JSON form is its [`Serialize`].
pub trait Record: Serialize {
    /// Every column, in the order of CSV.
    const COLUMNS: &'static [Column];
}
