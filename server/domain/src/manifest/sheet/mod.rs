//! Spreadsheets: cells at places of a sheet, as XLSX, ODS and XLS have them.

mod biff;
mod bytes;
mod compound;
mod date;
mod line;
mod number;
mod ods;
mod strings;
mod styles;
mod workbook;
mod xls;
mod xlsx;

pub(super) use ods::Ods;
pub(super) use xls::Xls;
pub(super) use xlsx::Xlsx;

use super::{ReadError, ReadOptions, header::Found};
use crate::{Code, Refusal};

/// Most parts of a workbook; one with many pictures has hundreds.
pub(super) const PART_LIMIT: u64 = 4096;
/// Most sheets of a workbook.
const SHEET_LIMIT: usize = 1024;
/// In how many sheets a header is looked for.
const SEARCHED_SHEETS: usize = 32;
/// How many sheets a refusal names.
const NAMED_SHEETS: usize = 16;

/// A sheet in the list of a workbook.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: String,
    is_hidden: bool,
}

/// The sheet to read: the one that the user names, else the first one shown that has a header, else the first with
/// anything in it. `look` says what is in a sheet.
fn choose(
    sheets: &[Listed],
    options: &ReadOptions,
    mut look: impl FnMut(usize) -> Result<Found, ReadError>,
) -> Result<usize, ReadError> {
    if let Some(wanted) = options.sheet.as_deref().map(str::trim) {
        let exact = sheets.iter().position(|sheet| sheet.name.trim() == wanted);
        let alike = || {
            let wanted = wanted.to_lowercase();
            sheets
                .iter()
                .position(|sheet| sheet.name.trim().to_lowercase() == wanted)
        };
        return exact.or_else(alike).ok_or_else(|| unknown(sheets, wanted).into());
    }
    let mut filled = None;
    let shown = (0..sheets.len()).filter(|&place| sheets.get(place).is_some_and(|sheet| !sheet.is_hidden));
    for place in shown.take(SEARCHED_SHEETS) {
        match look(place)? {
            Found::Header => return Ok(place),
            Found::Rows => filled = filled.or(Some(place)),
            Found::Nothing => {}
        }
    }
    filled.ok_or_else(|| Refusal::new(Code::SheetUnknown, "has no sheet with rows that is shown").into())
}

fn unknown(sheets: &[Listed], wanted: &str) -> Refusal {
    let names: Vec<_> = sheets
        .iter()
        .take(NAMED_SHEETS)
        .map(|sheet| format!("{:?}", sheet.name))
        .collect();
    let why = format!("has no sheet {wanted:?}; there are {}", names.join(", "));
    Refusal::new(Code::SheetUnknown, why)
}
