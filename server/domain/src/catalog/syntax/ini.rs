//! INI, which nobody standardised: what the common readers agree on, and nothing that one of them would misread.
//!
//! A line is blank, a comment (`;` or `#` in front), a section (`[name]`) or a key with a value (`key = value`,
//! `key: value`). Sections and keys may repeat, as in the files of systemd and WireGuard.

use serde_json::{Map, Value, map::Entry};

pub(super) fn read(text: &str) -> Result<Value, (usize, String)> {
    let mut file = Map::new();
    let mut section = None;
    for (place, line) in text.lines().enumerate() {
        entry(&mut file, &mut section, line.trim()).map_err(|why| (place + 1, why.to_owned()))?;
    }
    Ok(Value::Object(file))
}

fn entry(
    file: &mut Map<String, Value>,
    section: &mut Option<String>,
    line: &str,
) -> Result<(), &'static str> {
    if line.is_empty() || line.starts_with([';', '#']) {
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix('[') {
        let name = rest
            .strip_suffix(']')
            .ok_or("a section that is not closed")?
            .trim();
        if name.is_empty() {
            return Err("a section that has no name");
        }
        let opened = file.entry(name).or_insert_with(|| Value::Object(Map::new()));
        *section = Some(name.to_owned());
        return opened
            .is_object()
            .then_some(())
            .ok_or("it names a key and a section");
    }
    let (key, value) = line
        .split_once(['=', ':'])
        .ok_or("it is neither a section, a comment nor `key = value`")?;
    let key = key.trim_end();
    if key.is_empty() {
        return Err("there is no key in front of the value");
    }
    let keys = match section {
        Some(name) => file.get_mut(name.as_str()).and_then(Value::as_object_mut),
        None => Some(file),
    };
    if let Some(keys) = keys {
        add(keys.entry(key), Value::from(value.trim_start()));
    }
    Ok(())
}

/// A key that stands again has all its values.
fn add(entry: Entry<'_>, value: Value) {
    match entry {
        Entry::Vacant(vacant) => {
            vacant.insert(value);
        }
        Entry::Occupied(mut occupied) => {
            let there = occupied.get_mut();
            if let Value::Array(values) = there {
                values.push(value);
            } else {
                *there = Value::Array(vec![there.take(), value]);
            }
        }
    }
}
