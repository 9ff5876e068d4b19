//! A template of CSV. A spreadsheet that opens it drops leading zeros: the workbook is better for people.

use super::Template;
use crate::{failure::Failure, output::formula::neutralise};

pub(super) fn write(template: &Template) -> Result<Vec<u8>, Failure> {
    let columns = &template.columns;
    // As many cells as the header has, so that every row is of one width.
    let title = columns.iter().enumerate().map(|(place, _)| match place {
        0 => template.title.clone(),
        _ => String::new(),
    });
    let rows: [Vec<String>; 4] = [
        title.collect(),
        columns.iter().map(super::Column::need).collect(),
        columns.iter().map(|column| column.example.clone()).collect(),
        columns.iter().map(|column| column.name.clone()).collect(),
    ];
    // Programs that read CSV look for a mark.
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let broken = |error: csv::Error| Failure::Fault(error.into());
    for row in rows {
        let cells = row.iter().map(|cell| neutralise(cell).into_owned());
        writer.write_record(cells).map_err(broken)?;
    }
    writer
        .into_inner()
        .map_err(|error| Failure::Fault(anyhow::anyhow!("{error}")))
}
