//! One record: field by field for people, one document for programs.

use super::{Format, Listing, Look, Record, listing, value};
use crate::failure::Failure;
use serde_json::Value;
use std::io::Write;

/// Prints one record.
pub fn print_one<R: Record>(out: &mut dyn Write, format: Format, record: &R) -> Result<(), Failure> {
    match format {
        Format::Table => {
            let value = serde_json::to_value(record).map_err(anyhow::Error::new)?;
            let mut rows = Vec::new();
            // Columns give the order that the map of a JSON value has lost.
            for column in R::COLUMNS {
                // What a table of many shows of an object is shown with all of it here.
                let is_part = R::COLUMNS.iter().any(|whole| {
                    column
                        .path
                        .strip_prefix(whole.path)
                        .is_some_and(|rest| rest.starts_with('.'))
                });
                if is_part {
                    continue;
                }
                fields(
                    column.path,
                    value::at(&value, column.path),
                    column.look,
                    &mut rows,
                );
            }
            out.write_all(listing::table(Vec::new(), rows, &[Look::Plain, Look::Plain]).as_bytes())?;
        }
        Format::Json => {
            let text = serde_json::to_string_pretty(record).map_err(anyhow::Error::new)?;
            out.write_all(text.as_bytes())?;
            out.write_all(b"\n")?;
        }
        Format::Jsonl | Format::Csv => {
            let mut listing = Listing::of::<R>(out, format, &[])?;
            listing.push(record)?;
            return listing.finish();
        }
    }
    Ok(out.flush()?)
}

/// A line for each value; what is empty is left out.
fn fields(path: &str, value: Option<&Value>, look: Look, rows: &mut Vec<Vec<String>>) {
    match value {
        Some(Value::Object(map)) => {
            for (key, value) in map {
                fields(&format!("{path}.{key}"), Some(value), Look::Plain, rows);
            }
        }
        Some(Value::Array(list)) if list.iter().any(Value::is_object) => {
            for (place, value) in list.iter().enumerate() {
                fields(&format!("{path}[{place}]"), Some(value), Look::Plain, rows);
            }
        }
        Some(Value::String(text)) if text.contains('\n') => {
            // A template: its lines below each other.
            for (place, line) in text.lines().enumerate() {
                let label = if place == 0 { path } else { "" };
                rows.push(vec![label.to_owned(), super::text::line(line).into_owned()]);
            }
        }
        other => {
            let shown = value::human(other, look);
            if !shown.is_empty() {
                rows.push(vec![path.to_owned(), shown]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Column;
    use serde::Serialize;
    use serde_json::json;

    #[derive(Serialize)]
    #[serde(transparent)]
    struct Thing(Value);

    impl Record for Thing {
        const COLUMNS: &'static [Column] = &[
            Column::shown("name", "NAME", Look::Name),
            Column::extra("time", Look::Time),
            Column::extra("labels", Look::Plain),
            Column::extra("parts", Look::Plain),
            Column::extra("absent", Look::Plain),
        ];
    }

    #[test]
    fn one_record_is_printed_field_by_field() {
        let thing = Thing(json!({
            "name": "things/a",
            "time": "2026-08-21T09:30:00.5Z",
            "labels": {"b": "2", "a": "x\ny"},
            "parts": [{"id": 1}, {"id": 2}],
            "absent": null,
        }));
        let mut out = Vec::new();
        print_one(&mut out, Format::Table, &thing).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "name         a\ntime         2026-08-21 09:30:00Z\nlabels.a     x\n             y\nlabels.b     2\n\
             parts[0].id  1\nparts[1].id  2\n"
        );
        let mut out = Vec::new();
        print_one(&mut out, Format::Jsonl, &Thing(json!({"name": "n"}))).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"name\":\"n\"}\n");
    }
}
