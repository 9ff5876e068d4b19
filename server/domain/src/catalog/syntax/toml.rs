//! TOML, as the crate of that name reads it; it bounds nesting itself.

use super::line_of;
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

type Failed = (usize, String);

pub(super) fn read(text: &str) -> Result<Value, Failed> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line_of(text, at), one_line(error.message()))
    })?;
    table(text, parsed.get_ref())
}

/// Its messages end in a list of what was expected, on lines of their own.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

fn table(text: &str, entries: &DeTable<'_>) -> Result<Value, Failed> {
    let mut map = Map::new();
    for (key, value) in entries {
        map.insert(key.get_ref().clone().into_owned(), node(text, value)?);
    }
    Ok(Value::Object(map))
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, Failed> {
    let wrong = |why: &str| (line_of(text, value.span().start), why.to_owned());
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| wrong("is not a whole number of 64 bits"))?,
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Value::from(float),
            // JSON has no such numbers.
            Ok(_) | Err(_) => Value::from(number.as_str()),
        },
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| node(text, item));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => table(text, entries)?,
    })
}
