//! A template as a workbook: text columns, lists to choose from, and a sheet that explains.

use super::{Column, EXAMPLE_ROW, HEADER_ROW, Kind, NEED_ROW, TITLE_ROW, Template};
use crate::failure::Failure;
use rust_xlsxwriter::{
    Color, DataValidation, DataValidationErrorStyle, DataValidationRule, DocProperties, ExcelDateTime,
    Format, FormatAlign, Formula, Workbook, Worksheet, XlsxError,
};

/// The last row of a sheet, from 0.
const LAST_ROW: u32 = 1_048_575;
/// Characters of a list within a validation, and of the texts that a cell shows when it is chosen: Excel's limits.
const LIST_LIMIT: usize = 255;
const MESSAGE_LIMIT: usize = 255;
const TITLE_LIMIT: usize = 32;
/// The sheet that holds longer lists.
const LISTS: &str = "Lists";

/// Rows and columns count from 0 in a workbook, rows from 1 for people.
const fn line(row: u32) -> u32 {
    row - 1
}

fn place(index: usize) -> Result<u16, XlsxError> {
    u16::try_from(index).map_err(|_| XlsxError::RowColumnLimitError)
}

pub(super) fn write(template: &Template) -> Result<Vec<u8>, Failure> {
    build(template).map_err(|error| Failure::Fault(anyhow::Error::new(error).context("making a workbook")))
}

fn build(template: &Template) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    // The same template is the same file, whenever it is made.
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    book.set_properties(
        &DocProperties::new()
            .set_title(&template.title)
            .set_creation_datetime(&created),
    );
    let mut lists = Lists::default();
    let mut devices = Worksheet::new();
    devices.set_name("Devices")?;
    table(&mut devices, template, &mut lists)?;
    let mut read_me = Worksheet::new();
    read_me.set_name("Read me")?;
    explain(&mut read_me, template)?;
    book.push_worksheet(devices);
    book.push_worksheet(read_me);
    if !lists.columns.is_empty() {
        book.push_worksheet(lists.sheet()?);
    }
    book.save_to_buffer()
}

fn text() -> Format {
    Format::new().set_num_format("@")
}

/// The sheet that is filled in.
fn table(sheet: &mut Worksheet, template: &Template, lists: &mut Lists) -> Result<(), XlsxError> {
    let grey = Color::RGB(0x0080_8080);
    let heading = text().set_bold().set_background_color(Color::RGB(0x00DD_EBF7));
    let example = text().set_italic().set_font_color(grey);
    let need = Format::new().set_font_color(grey).set_font_size(9);
    for (index, column) in template.columns.iter().enumerate() {
        let place = place(index)?;
        let format = match column.kind {
            Kind::Text | Kind::Choice(_) | Kind::Boolean => text(),
            Kind::Integer | Kind::Number => Format::new(),
        };
        sheet.set_column_format(place, &format)?;
        sheet.set_column_width(place, width(column))?;
        sheet.write_string_with_format(line(NEED_ROW), place, column.need(), &need)?;
        sheet.write_string_with_format(line(EXAMPLE_ROW), place, &column.example, &example)?;
        sheet.write_string_with_format(line(HEADER_ROW), place, &column.name, &heading)?;
        let validation = validation(column, lists)?;
        sheet.add_data_validation(line(HEADER_ROW) + 1, place, LAST_ROW, place, &validation)?;
    }
    let title = Format::new().set_bold().set_font_size(12);
    sheet.write_string_with_format(line(TITLE_ROW), 0, &template.title, &title)?;
    sheet.set_freeze_panes(line(HEADER_ROW) + 1, 1)?;
    Ok(())
}

/// Wide enough for heading and example, in characters.
fn width(column: &Column) -> f64 {
    let longest = [&column.name, &column.example, &column.need()]
        .iter()
        .map(|text| text.chars().count())
        .max();
    f64::from(u8::try_from(longest.unwrap_or_default().clamp(12, 40)).unwrap_or(40)) + 2.0
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// What a column allows, and what a person sees who fills it in.
fn validation(column: &Column, lists: &mut Lists) -> Result<DataValidation, XlsxError> {
    let rule = match &column.kind {
        Kind::Text => DataValidation::new().allow_any_value(),
        Kind::Boolean => DataValidation::new().allow_list_strings(&["true", "false"])?,
        Kind::Choice(choices) => choice(choices, lists)?,
        Kind::Integer => {
            DataValidation::new().allow_whole_number(DataValidationRule::Between(i32::MIN, i32::MAX))
        }
        Kind::Number => {
            DataValidation::new().allow_decimal_number(DataValidationRule::Between(f64::MIN, f64::MAX))
        }
    };
    let mut message = format!("{} ({})", column.meaning, column.need());
    if !column.rule.is_empty() {
        message.push_str(&format!(" Rule: {}.", column.rule));
    }
    let wrong = match column.rule.as_str() {
        "" => "Choose from the list.",
        rule => rule,
    };
    rule.set_input_title(cut(&column.name, TITLE_LIMIT))?
        .set_input_message(cut(&message, MESSAGE_LIMIT))?
        .set_error_title("Not a value of this column")?
        .set_error_message(cut(wrong, MESSAGE_LIMIT))
        // The registry decides; sites and models may be new since this was made.
        .map(|rule| rule.set_error_style(DataValidationErrorStyle::Warning))
}

fn choice(choices: &[String], lists: &mut Lists) -> Result<DataValidation, XlsxError> {
    let length = choices
        .iter()
        .map(|choice| choice.chars().count() + 1)
        .sum::<usize>();
    // A comma would end a choice.
    if length <= LIST_LIMIT && !choices.iter().any(|choice| choice.contains(',')) {
        return DataValidation::new().allow_list_strings(choices);
    }
    Ok(DataValidation::new().allow_list_formula(Formula::new(lists.add(choices))))
}

/// Lists that are too long to stand in a validation.
#[derive(Default)]
struct Lists {
    columns: Vec<Vec<String>>,
}

impl Lists {
    /// Keeps a list; gives the formula that names it.
    fn add(&mut self, choices: &[String]) -> String {
        let found = self.columns.iter().position(|known| known == choices);
        let index = found.unwrap_or_else(|| {
            self.columns.push(choices.to_vec());
            self.columns.len() - 1
        });
        // There are two lists at most: models and sites.
        let letter = char::from(b'A' + u8::try_from(index).unwrap_or_default());
        format!("={LISTS}!${letter}$1:${letter}${}", choices.len())
    }

    fn sheet(&self) -> Result<Worksheet, XlsxError> {
        let mut sheet = Worksheet::new();
        sheet.set_name(LISTS)?.set_hidden(true);
        for (index, choices) in self.columns.iter().enumerate() {
            for (row, choice) in (0..).zip(choices) {
                sheet.write_string(row, place(index)?, choice)?;
            }
        }
        Ok(sheet)
    }
}

/// What the sheet says above its table.
fn notes(template: &Template) -> [String; 5] {
    [
        format!("How to fill in devices of model {}", template.model),
        format!(
            "One device a row, on the sheet Devices, below row {HEADER_ROW}. Rows {TITLE_ROW} to {EXAMPLE_ROW} are not imported and can stay."
        ),
        "Columns may be moved, left out if they are not required, and added: what the registry does not know is kept with the device's row.".to_owned(),
        "Cells are text, so that serials keep their zeros. Paste values only, or the format of what you copy comes along.".to_owned(),
        "Check the file with: muster import FILE --dry-run".to_owned(),
    ]
}

fn explain(sheet: &mut Worksheet, template: &Template) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    let wrapped = text().set_text_wrap().set_align(FormatAlign::Top);
    let heading = text().set_bold().set_background_color(Color::RGB(0x00DD_EBF7));
    for ((row, note), format) in (0..)
        .zip(notes(template))
        .zip([&bold, &text(), &text(), &text(), &text()])
    {
        sheet.write_string_with_format(row, 0, note, format)?;
    }
    let first = 6;
    for (column, (name, width)) in (0..).zip([
        ("Column", 24),
        ("Needed", 20),
        ("What it is", 44),
        ("Rule", 44),
        ("Default", 16),
        ("Example", 24),
    ]) {
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(first, column, name, &heading)?;
    }
    for (row, column) in (first + 1..).zip(&template.columns) {
        let needed = if column.required { "required" } else { "optional" };
        let cells = [
            &column.name,
            needed,
            &column.meaning,
            &column.rule,
            &column.default,
            &column.example,
        ];
        for (place, cell) in (0..).zip(cells) {
            sheet.write_string_with_format(row, place, cell, &wrapped)?;
        }
    }
    sheet.set_freeze_panes(first + 1, 1)?;
    Ok(())
}
