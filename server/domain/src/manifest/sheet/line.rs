//! A row of a sheet on its way into a record.

use crate::manifest::{
    CELL_LIMIT, COLUMN_LIMIT, ROW_LIMIT, ReadError,
    carried::too_large,
    record::{CellKind, Draft, Fault, Record},
};

/// Most bytes of all cells of a sheet. Cells can refer to shared texts and be repeated, so that a small file says much.
const TEXT_LIMIT: usize = 2 << 30;

/// Collects the cells of one row. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Line {
    draft: Draft,
    cells: usize,
    is_long: bool,
    /// Bytes of all rows.
    total: usize,
}

impl Line {
    pub(super) fn begin(&mut self) {
        self.draft.clear();
        self.cells = 0;
        self.is_long = false;
    }

    /// Puts a cell, from the left to the right; those between that are not put are empty. Empty ones at the end are
    /// left away, so that a row of a million formatted cells is as short as it looks.
    pub(super) fn put(&mut self, column: usize, text: &str, kind: CellKind) {
        if text.is_empty() {
            return;
        }
        while self.cells < column.min(COLUMN_LIMIT) {
            self.end_cell(CellKind::Text);
        }
        let text = text
            .get(..text.ceil_char_boundary(CELL_LIMIT + 1))
            .unwrap_or(text);
        if self.draft.bytes.len() + text.len() > ROW_LIMIT {
            self.is_long = true;
            return;
        }
        let start = self.draft.bytes.len();
        self.draft.bytes.extend_from_slice(text.as_bytes());
        self.draft.end_cell(start, start, kind);
        self.cells += 1;
    }

    fn end_cell(&mut self, kind: CellKind) {
        let start = self.draft.bytes.len();
        self.draft.end_cell(start, start, kind);
        self.cells += 1;
    }

    /// Ends the row.
    ///
    /// # Errors
    /// [`Code::ManifestTooLarge`](crate::Code::ManifestTooLarge) when the sheet says too much.
    pub(super) fn end(&mut self, row: u32, record: &mut Record) -> Result<(), ReadError> {
        self.total = self.total.saturating_add(self.draft.bytes.len());
        if self.total > TEXT_LIMIT {
            return Err(too_large(format!("has more than {TEXT_LIMIT} bytes of text in its cells")).into());
        }
        if self.is_long {
            self.draft.clear();
            self.draft.fault = Some(Fault::TooLong);
        }
        self.draft.finish(row, &[], record);
        Ok(())
    }
}

/// Adds to a cell's text what a cell can hold, and one byte more, so that it is seen to be too long.
pub(super) fn add(text: &mut String, more: &str) {
    let room = (CELL_LIMIT + 1).saturating_sub(text.len());
    text.push_str(more.get(..more.ceil_char_boundary(room)).unwrap_or(more));
}
