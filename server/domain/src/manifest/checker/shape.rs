//! Records that cannot even be looked at cell by cell.

use super::super::{Fault, Field, Record, cells::Misfit};
use super::Checker;
use crate::Code;

impl Checker {
    /// Why a record is refused as a whole.
    pub(super) fn broken(&self, record: &Record) -> Option<Misfit> {
        let whole = |code, why: String| Some(Misfit::new(code, "", why));
        match record.fault() {
            Some(Fault::TooLong) => whole(Code::CellMalformed, "the row is longer than 65536 bytes".into()),
            Some(Fault::Signature(why)) => whole(Code::EntrySignature, why.clone()),
            Some(Fault::Entry { code, why }) => whole(*code, why.clone()),
            Some(Fault::OpenQuote) => whole(
                Code::CellMalformed,
                "a quote is opened and not closed within 4096 bytes".into(),
            ),
            Some(Fault::TooWide) => whole(Code::RowWidth, "the row has more than 256 cells".into()),
            Some(Fault::Json(why)) => whole(
                Code::CellMalformed,
                format!("the line is no object of plain values: {why}"),
            ),
            Some(Fault::Xml(why)) => whole(
                Code::CellMalformed,
                format!("the element is no list of plain values: {why}"),
            ),
            Some(Fault::Cell { column, why }) => {
                let field = self.mapping.field(*column);
                let field = field
                    .filter(|field| **field != Field::Ignored)
                    .map(Field::to_string);
                Some(Misfit {
                    column: Some(*column).filter(|_| !record.is_named()),
                    ..Misfit::new(Code::CellMalformed, &field.unwrap_or_default(), *why)
                })
            }
            None => self.too_wide(record),
        }
    }

    fn too_wide(&self, record: &Record) -> Option<Misfit> {
        let width = self.mapping.width();
        let extra = || record.cells().skip(width).find(|cell| !cell.trim().is_empty());
        let extra = (!record.is_named()).then(extra).flatten()?;
        let why = format!("the row has {} cells and the header {width}", record.len());
        Some(Misfit {
            value: extra.to_owned(),
            ..Misfit::new(Code::RowWidth, "", why)
        })
    }
}
