//! Listings: many records of one kind, printed as they come.

use super::{Column, Format, Look, Record, formula::neutralise, value};
use crate::failure::Failure;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use std::io::Write;

/// Rows of one table. A longer listing is printed as several, so that it needs bounded memory.
const TABLE_ROWS: usize = 1000;

/// A column as chosen for one listing.
#[derive(Debug, Clone)]
struct Chosen {
    path: String,
    title: String,
    look: Look,
}

/// Prints records of one kind, one by one.
pub struct Listing<'a> {
    out: &'a mut dyn Write,
    format: Format,
    columns: Vec<Chosen>,
    table: Vec<Vec<String>>,
    printed: u64,
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing")
            .field("format", &self.format)
            .field("printed", &self.printed)
            .finish_non_exhaustive()
    }
}

fn choose(all: &[Column], format: Format, asked: &[String]) -> Result<Vec<Chosen>, Failure> {
    let known = |column: &Column| Chosen {
        path: column.path.to_owned(),
        title: if column.title.is_empty() {
            column.path.to_uppercase()
        } else {
            column.title.to_owned()
        },
        look: column.look,
    };
    if asked.is_empty() {
        let wanted = all
            .iter()
            .filter(|column| format != Format::Table || !column.title.is_empty());
        return Ok(wanted.map(known).collect());
    }
    let pick = |path: &String| -> Result<Chosen, Failure> {
        if let Some(column) = all.iter().find(|column| column.path == path) {
            return Ok(known(column));
        }
        // One entry of a map, such as labels.rack.
        let inside = path
            .split_once('.')
            .filter(|(map, _)| all.iter().any(|column| column.path == *map));
        match inside {
            Some((_, key)) if !key.is_empty() => Ok(Chosen {
                path: path.clone(),
                title: path.to_uppercase(),
                look: Look::Plain,
            }),
            _ => {
                let names: Vec<_> = all.iter().map(|column| column.path).collect();
                Err(Failure::usage(
                    format!("there is no column {path:?}"),
                    format!("Columns: {}.", names.join(", ")),
                ))
            }
        }
    };
    asked.iter().map(pick).collect()
}

impl<'a> Listing<'a> {
    /// A listing of `R`s; `asked` names columns for table and CSV, none means the usual ones.
    pub fn of<R: Record>(out: &'a mut dyn Write, format: Format, asked: &[String]) -> Result<Self, Failure> {
        let columns = choose(R::COLUMNS, format, asked)?;
        Ok(Self {
            out,
            format,
            columns,
            table: Vec::new(),
            printed: 0,
        })
    }

    /// Prints the next record; a table may wait until its widths are known.
    pub fn push(&mut self, record: &impl Record) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let separator = if self.printed == 0 { "[\n  " } else { ",\n  " };
                self.out.write_all(separator.as_bytes())?;
                self.json(record)?;
            }
            Format::Jsonl => {
                self.json(record)?;
                self.out.write_all(b"\n")?;
            }
            Format::Csv => {
                if self.printed == 0 {
                    self.csv_header()?;
                }
                let record = plain(record)?;
                let cells = self
                    .columns
                    .iter()
                    .map(|column| value::data(value::at(&record, &column.path)));
                let line = csv_line(cells.map(|cell| neutralise(&cell).into_owned()))?;
                self.out.write_all(&line)?;
            }
            Format::Table => {
                let record = plain(record)?;
                let cells = self
                    .columns
                    .iter()
                    .map(|column| value::human(value::at(&record, &column.path), column.look));
                self.table.push(cells.collect());
                if self.table.len() == TABLE_ROWS {
                    self.flush_table()?;
                }
            }
        }
        self.printed += 1;
        Ok(())
    }

    /// Prints what is left; an empty listing is a whole document too.
    pub fn finish(mut self) -> Result<(), Failure> {
        match self.format {
            Format::Json if self.printed == 0 => self.out.write_all(b"[]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Csv if self.printed == 0 => self.csv_header()?,
            Format::Table if self.printed == 0 => self.out.write_all(b"nothing to list\n")?,
            Format::Table if !self.table.is_empty() => self.flush_table()?,
            Format::Jsonl | Format::Csv | Format::Table => {}
        }
        Ok(self.out.flush()?)
    }

    fn json(&mut self, record: &impl Record) -> Result<(), Failure> {
        let text = serde_json::to_string(record).map_err(anyhow::Error::new)?;
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn csv_header(&mut self) -> Result<(), Failure> {
        let line = csv_line(self.columns.iter().map(|column| column.path.clone()))?;
        Ok(self.out.write_all(&line)?)
    }

    fn flush_table(&mut self) -> Result<(), Failure> {
        let titles = self.columns.iter().map(|column| column.title.clone()).collect();
        let looks: Vec<_> = self.columns.iter().map(|column| column.look).collect();
        let text = table(titles, std::mem::take(&mut self.table), &looks);
        Ok(self.out.write_all(text.as_bytes())?)
    }
}

fn plain(record: &impl Record) -> Result<Value, Failure> {
    Ok(serde_json::to_value(record).map_err(anyhow::Error::new)?)
}

/// One line of CSV, with the line end of RFC 4180's more common reading.
pub(super) fn csv_line(cells: impl Iterator<Item = String>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(cells).map_err(anyhow::Error::new)?;
    Ok(writer
        .into_inner()
        .map_err(|error| anyhow::anyhow!("cannot write CSV: {error}"))?)
}

/// A compact table: headings, then rows, columns two blanks apart.
pub(crate) fn table(titles: Vec<String>, rows: Vec<Vec<String>>, looks: &[Look]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !titles.is_empty() {
        table.set_header(titles);
    }
    table.add_rows(rows);
    for (column, look) in table.column_iter_mut().zip(looks) {
        column.set_padding((0, 2));
        if *look == Look::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Thing {
        name: &'static str,
        count: u64,
        labels: BTreeMap<&'static str, &'static str>,
        secret: &'static str,
    }

    impl Record for Thing {
        const COLUMNS: &'static [Column] = &[
            Column::shown("name", "NAME", Look::Name),
            Column::shown("count", "COUNT", Look::Number),
            Column::extra("labels", Look::Plain),
            Column::extra("secret", Look::Plain),
        ];
    }

    fn things() -> Vec<Thing> {
        vec![
            Thing {
                name: "things/a",
                count: 7,
                labels: BTreeMap::from([("k.x", "v")]),
                secret: "=1+1",
            },
            Thing {
                name: "things/long-name",
                count: 1234,
                labels: BTreeMap::new(),
                secret: "a,\"b\"",
            },
        ]
    }

    fn check(format: Format, columns: &[&str], things: &[Thing], expected: &str) {
        let mut out = Vec::new();
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        let mut listing = Listing::of::<Thing>(&mut out, format, &columns).unwrap();
        for thing in things {
            listing.push(thing).unwrap();
        }
        listing.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn each_form_is_exactly_so() {
        let all = things();
        check(
            Format::Table,
            &[],
            &all,
            "NAME       COUNT\na              7\nlong-name   1234\n",
        );
        check(
            Format::Json,
            &[],
            &all,
            "[\n  {\"name\":\"things/a\",\"count\":7,\"labels\":{\"k.x\":\"v\"},\"secret\":\"=1+1\"},\n  \
             {\"name\":\"things/long-name\",\"count\":1234,\"labels\":{},\"secret\":\"a,\\\"b\\\"\"}\n]\n",
        );
        check(
            Format::Jsonl,
            &[],
            &all[..1],
            "{\"name\":\"things/a\",\"count\":7,\"labels\":{\"k.x\":\"v\"},\"secret\":\"=1+1\"}\n",
        );
        check(
            Format::Csv,
            &[],
            &all,
            "name,count,labels,secret\nthings/a,7,\"{\"\"k.x\"\":\"\"v\"\"}\",'=1+1\nthings/long-name,1234,,\"a,\"\"b\"\"\"\n",
        );
        check(
            Format::Table,
            &["labels.k.x", "secret"],
            &all,
            "LABELS.K.X  SECRET\nv           =1+1\n            a,\"b\"\n",
        );
        check(
            Format::Csv,
            &["count", "labels.k.x"],
            &all,
            "count,labels.k.x\n7,v\n1234,\n",
        );
    }

    #[test]
    fn nothing_is_a_whole_document() {
        check(Format::Table, &[], &[], "nothing to list\n");
        check(Format::Json, &[], &[], "[]\n");
        check(Format::Jsonl, &[], &[], "");
        check(Format::Csv, &["count"], &[], "count\n");
    }

    #[test]
    fn an_unknown_column_names_the_known_ones() {
        let mut out = Vec::new();
        for wrong in ["nmae", "labels.", "", "x.y"] {
            let failure = Listing::of::<Thing>(&mut out, Format::Csv, &[wrong.to_owned()]).unwrap_err();
            assert!(
                failure
                    .to_string()
                    .contains("Columns: name, count, labels, secret."),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_long_table_is_printed_in_blocks() {
        let mut out = Vec::new();
        let mut listing = Listing::of::<Thing>(&mut out, Format::Table, &[]).unwrap();
        for _ in 0..=TABLE_ROWS {
            listing.push(&things()[0]).unwrap();
        }
        listing.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), TABLE_ROWS + 1 + 2);
        assert_eq!(text.lines().filter(|line| line.starts_with("NAME")).count(), 2);
    }
}
