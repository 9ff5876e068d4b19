//! The cells of one row, gathered by field.
//!
//! Cells that are a field as they stand are borrowed from the record; computed fields are made here, step by step.

use super::{CELL_LIMIT, CellKind, Field, Mapping, Record, cell, mapping::Fill};
use crate::{Code, Refusal};
use std::{borrow::Cow, collections::BTreeMap};

/// A value of a field, without blanks around it; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value<'r> {
    /// The text, after all steps.
    pub(super) text: Cow<'r, str>,
    /// What the cell was in the file. Text for constants and defaults.
    pub(super) kind: CellKind,
    /// The place of its column in the mapping; `None` for constants and defaults.
    pub(super) column: Option<usize>,
}

/// What a row has for a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Found<'r> {
    /// No cell, or an empty one.
    #[default]
    Nothing,
    /// A cell that was refused already.
    Bad,
    /// A value.
    Value(Value<'r>),
}

impl<'r> Found<'r> {
    /// The value, if there is one and it is sound so far.
    pub(super) const fn value(&self) -> Option<&Value<'r>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing | Self::Bad => None,
        }
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&str> {
        self.value().map(|value| value.text.as_ref())
    }

    /// Its text, to keep.
    pub(super) fn owned(self) -> Option<String> {
        match self {
            Self::Value(value) => Some(value.text.into_owned()),
            Self::Nothing | Self::Bad => None,
        }
    }
}

/// The cells of a row, by field.
#[derive(Debug, Default)]
pub(super) struct Cells<'r> {
    pub(super) serial: Found<'r>,
    pub(super) mac: Found<'r>,
    pub(super) model: Found<'r>,
    pub(super) hardware: Found<'r>,
    pub(super) firmware: Found<'r>,
    pub(super) site: Found<'r>,
    pub(super) position: Found<'r>,
    pub(super) credential: Found<'r>,
    pub(super) etag: Found<'r>,
    pub(super) spki_sha256: Found<'r>,
    pub(super) claim_not_before: Found<'r>,
    pub(super) claim_not_after: Found<'r>,
    pub(super) retry_row: Found<'r>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) variables: BTreeMap<String, String>,
    /// Columns that are kept as they are, by name.
    pub(super) kept: BTreeMap<String, String>,
}

/// A cell that its field cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Why, at the field's name.
    pub(super) refusal: Refusal,
    /// The place of its column, where it has one.
    pub(super) column: Option<usize>,
    /// The cell's text.
    pub(super) value: String,
    /// The rule that it breaks, for people; may be empty.
    pub(super) rule: String,
}

/// A cell that takes part in a computed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    fill: usize,
    place: usize,
    /// Its place in the record.
    cell: usize,
    column: usize,
}

/// Gathers the cells of one row after the other; keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    /// Objects: the columns of the current record's cells.
    places: Vec<usize>,
    pieces: Vec<Piece>,
    misfits: Vec<Misfit>,
}

impl Gatherer {
    /// The cells of a row by field, and those that their fields cannot hold.
    pub(super) fn gather<'r>(
        &mut self,
        mapping: &mut Mapping,
        record: &'r Record,
    ) -> (Cells<'r>, Vec<Misfit>) {
        let is_named = record.is_named();
        if is_named {
            mapping.places(record, &mut self.places);
        }
        self.pieces.clear();
        let is_plain = cell::is_plain(record.text());
        let mut cells = Cells::default();
        for (place, text) in record.cells().enumerate() {
            let column = if is_named {
                self.places.get(place).copied().unwrap_or(place)
            } else {
                place
            };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let Some(meaning) = mapping.column(column) else {
                self.foreign(is_named);
                continue;
            };
            if !meaning.fills.is_empty() {
                self.pieces.extend(meaning.fills.iter().map(|part| Piece {
                    fill: part.fill,
                    place: part.place,
                    cell: place,
                    column,
                }));
                continue;
            }
            if meaning.is_unwanted {
                self.misfits.push(unwanted(&meaning.name, column, text));
            }
            let value = Value {
                text: composed(text, &meaning.field),
                kind: record.kind(place),
                column: Some(column),
            };
            self.put(&mut cells, &meaning.field, value, is_plain);
        }
        if !mapping.fills().is_empty() {
            self.compute(mapping.fills(), record, &mut cells);
        }
        (cells, core::mem::take(&mut self.misfits))
    }

    /// A cell behind the header's last column is refused with the row's width; an object's key over the limit is here.
    fn foreign(&mut self, is_named: bool) {
        if is_named && self.misfits.is_empty() {
            let limit = super::KEY_LIMIT;
            self.misfits.push(Misfit {
                refusal: Refusal::new(
                    Code::RowWidth,
                    format!("the file has more than {limit} different keys"),
                ),
                column: None,
                value: String::new(),
                rule: format!("at most {limit} keys"),
            });
        }
    }

    /// Keeps a value, unless no field can hold it or its field has one already.
    fn put<'r>(&mut self, cells: &mut Cells<'r>, field: &Field, value: Value<'r>, is_plain: bool) {
        // What we do not act on is not refused; certificates have lines, and a reader of their own.
        let is_free = matches!(field, Field::Ignored | Field::Kept(_) | Field::Credential);
        let problem = if is_free || (is_plain && !cell::is_suspect(&value.text)) {
            None
        } else {
            cell::problem(&value.text)
        };
        let column = value.column;
        let misfit = |refusal: Refusal, value: &str| Misfit {
            refusal: refusal.at(field.to_string()),
            column,
            value: value.to_owned(),
            rule: String::new(),
        };
        let found = match problem {
            Some(refusal) => {
                self.misfits.push(misfit(refusal, &value.text));
                Found::Bad
            }
            None => Found::Value(value),
        };
        if !cells.put(field, found) {
            let why = "two keys of the object mean this field";
            self.misfits
                .push(misfit(Refusal::new(Code::HeaderAmbiguous, why), ""));
        }
    }

    fn compute<'r>(&mut self, fills: &[Fill], record: &'r Record, cells: &mut Cells<'r>) {
        self.pieces.sort_unstable();
        let mut pieces = core::mem::take(&mut self.pieces);
        let mut rest = pieces.as_slice();
        for (number, fill) in fills.iter().enumerate() {
            let count = rest.iter().take_while(|piece| piece.fill == number).count();
            let (own, others) = rest.split_at(count);
            rest = others;
            match computed(fill, own, record) {
                Ok(Some(value)) => self.put(cells, fill.field(), value, false),
                Ok(None) => {}
                Err(misfit) => {
                    self.misfits.push(misfit);
                    cells.put(fill.field(), Found::Bad);
                }
            }
        }
        pieces.clear();
        self.pieces = pieces;
    }
}

fn unwanted(name: &str, column: usize, text: &str) -> Misfit {
    Misfit {
        refusal: Refusal::new(
            Code::MappingUnusable,
            format!("the mapping has no place for {name:?}"),
        ),
        column: Some(column),
        value: text.to_owned(),
        rule: "every column must be mapped".to_owned(),
    }
}

/// What is kept as it came keeps its characters, too.
fn composed<'r>(text: &'r str, field: &Field) -> Cow<'r, str> {
    match field {
        Field::Kept(_) | Field::Credential | Field::Ignored | Field::RetryBatch => Cow::Borrowed(text),
        Field::Serial
        | Field::Mac
        | Field::Model
        | Field::Hardware
        | Field::Firmware
        | Field::Site
        | Field::Position
        | Field::Etag
        | Field::SpkiSha256
        | Field::ClaimNotBefore
        | Field::ClaimNotAfter
        | Field::RetryRow
        | Field::Label(_)
        | Field::Variable(_) => cell::composed(text),
    }
}

/// The value of a computed field; `None` when the row has none and needs none.
fn computed<'r>(fill: &Fill, pieces: &[Piece], record: &'r Record) -> Result<Option<Value<'r>>, Misfit> {
    let constant = |text: &str| Value {
        text: Cow::Owned(text.to_owned()),
        kind: CellKind::Text,
        column: None,
    };
    if let Some(text) = fill.constant() {
        return Ok(Some(constant(text)));
    }
    if let Some(value) = joined(fill, pieces, record)? {
        return Ok(Some(value));
    }
    match fill.default() {
        Some(text) => Ok(Some(constant(text))),
        None if fill.is_required() => {
            let refusal = Refusal::new(Code::ValueMissing, format!("the row has no {}", fill.field()));
            Err(Misfit {
                refusal: refusal.at(fill.field().to_string()),
                column: pieces.first().map(|piece| piece.column),
                value: String::new(),
                rule: "required by the mapping".to_owned(),
            })
        }
        None => Ok(None),
    }
}

/// The row's own cells, joined and transformed.
fn joined<'r>(fill: &Fill, pieces: &[Piece], record: &'r Record) -> Result<Option<Value<'r>>, Misfit> {
    let text = |piece: &Piece| record.cell(piece.cell).unwrap_or_default().trim();
    let (first, raw) = match (pieces, fill.join()) {
        ([], _) => return Ok(None),
        ([only], _) => (only, cell::composed(text(only))),
        ([first, ..], Some(between)) => {
            let texts: Vec<_> = pieces.iter().map(text).collect();
            (
                first,
                Cow::Owned(cell::composed(&texts.join(between)).into_owned()),
            )
        }
        ([first, second, ..], None) => {
            let refusal = Refusal::new(Code::HeaderAmbiguous, "two keys of the object mean this field");
            return Err(Misfit {
                refusal: refusal.at(fill.field().to_string()),
                column: Some(second.column),
                value: text(first).to_owned(),
                rule: String::new(),
            });
        }
    };
    let misfit = |refusal: Refusal, rule: String| Misfit {
        refusal: refusal.at(fill.field().to_string()),
        column: Some(first.column),
        value: text(first).to_owned(),
        rule,
    };
    if raw.len() > CELL_LIMIT {
        let why = format!("the joined cells are longer than {CELL_LIMIT} bytes");
        return Err(misfit(Refusal::new(Code::CellMalformed, why), String::new()));
    }
    let text = fill
        .transform()
        .run(raw)
        .map_err(|unfit| misfit(unfit.refusal, unfit.rule))?;
    let read = record.kind(first.cell);
    let is_whole = read == CellKind::Number && fill.transform().pads();
    let kind = if is_whole { CellKind::Text } else { read };
    Ok(Some(text).filter(|text| !text.is_empty()).map(|text| Value {
        text,
        kind,
        column: Some(first.column),
    }))
}

impl<'r> Cells<'r> {
    /// Keeps a cell; `false` when its field has one already.
    fn put(&mut self, field: &Field, found: Found<'r>) -> bool {
        let keep = |into: &mut BTreeMap<String, String>, name: &str, found: Found<'r>| {
            found
                .owned()
                .is_none_or(|text| into.insert(name.to_owned(), text).is_none())
        };
        let slot = match field {
            Field::Serial => &mut self.serial,
            Field::Mac => &mut self.mac,
            Field::Model => &mut self.model,
            Field::Hardware => &mut self.hardware,
            Field::Firmware => &mut self.firmware,
            Field::Site => &mut self.site,
            Field::Position => &mut self.position,
            Field::Credential => &mut self.credential,
            Field::Etag => &mut self.etag,
            Field::SpkiSha256 => &mut self.spki_sha256,
            Field::ClaimNotBefore => &mut self.claim_not_before,
            Field::ClaimNotAfter => &mut self.claim_not_after,
            Field::RetryRow => &mut self.retry_row,
            Field::Label(key) => return keep(&mut self.labels, key, found),
            Field::Variable(name) => return keep(&mut self.variables, name, found),
            Field::Kept(name) => return keep(&mut self.kept, name, found),
            Field::RetryBatch | Field::Ignored => return true,
        };
        let is_free = matches!(slot, Found::Nothing);
        *slot = found;
        is_free
    }
}
