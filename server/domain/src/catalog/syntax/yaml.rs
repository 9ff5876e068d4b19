//! YAML 1.2 with the core schema: from the events of a parser, without recursion.

use super::DEPTH_LIMIT;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most values of a document, those that aliases repeat counted each time: a few lines of aliases can mean billions.
const NODE_LIMIT: usize = 1 << 16;

pub(super) fn read(text: &str) -> Result<Value, (usize, String)> {
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| (error.marker().line().max(1), error.info().to_owned()))?;
        reader
            .event(event)
            .map_err(|why| (span.start.line().max(1), why))?;
    }
    let mut documents = reader.documents;
    Ok(match documents.len() {
        0 => Value::Null,
        1 => documents.swap_remove(0),
        _ => Value::Array(documents),
    })
}

#[derive(Default)]
struct Reader {
    documents: Vec<Value>,
    /// What is open, with its anchor.
    open: Vec<(Open, usize)>,
    /// Anchored values, and how many values each holds.
    anchored: BTreeMap<usize, (Value, usize)>,
    nodes: usize,
}

enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchored.clear();
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.start(Open::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(Open::Map(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                if let Some((Open::Map(map, key @ None), _)) = self.open.last_mut() {
                    if map.contains_key(text.as_ref()) {
                        return Err(format!("the key {text:?} stands twice"));
                    }
                    *key = Some(text.clone().into_owned());
                    if anchor != 0 {
                        self.anchored.insert(anchor, (Value::from(text), 1));
                    }
                    return Ok(());
                }
                self.value(scalar(&text, style, tag.as_deref()), anchor)
            }
            Event::Alias(anchor) => {
                let (value, nodes) = self.anchored.get(&anchor).cloned().ok_or("an alias of itself")?;
                self.count(nodes)?;
                self.value(value, 0)
            }
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > NODE_LIMIT {
            return Err("its aliases repeat too much".to_owned());
        }
        Ok(())
    }

    fn start(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if matches!(self.open.last(), Some((Open::Map(_, None), _))) {
            return Err("a key that is not plain".to_owned());
        }
        if self.open.len() == DEPTH_LIMIT {
            return Err(format!("nested deeper than {DEPTH_LIMIT}"));
        }
        self.open.push((open, anchor));
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some((Open::List(list), anchor)) => self.value(Value::Array(list), anchor),
            Some((Open::Map(map, _), anchor)) => self.value(Value::Object(map), anchor),
            None => Ok(()),
        }
    }

    /// A whole value takes its place.
    fn value(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let nodes = size(&value);
            self.anchored.insert(anchor, (value.clone(), nodes));
        }
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some((Open::List(list), _)) => list.push(value),
            Some((Open::Map(map, key), _)) => {
                let key = key.take().ok_or("a key that is not plain")?;
                map.insert(key, value);
            }
        }
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// The core schema (YAML 1.2.2, section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::from(true),
        "false" | "False" | "FALSE" => return Value::from(false),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::from(text))
}

fn number(text: &str) -> Option<Value> {
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_alphanumeric());
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| is_digits(digits)) {
        return i64::from_str_radix(digits, 16).ok().map(Value::from);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| is_digits(digits)) {
        return i64::from_str_radix(digits, 8).ok().map(Value::from);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let decimal = text.bytes().all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c));
    let float = decimal.then(|| text.parse::<f64>().ok())??;
    float.is_finite().then(|| Value::from(float))
}
