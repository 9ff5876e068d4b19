//! Results of XML: the user's document copied as it is, with elements of ours at the end of each record.

use super::{Added, Sink, text};
use crate::import::{
    OWN_PREFIX,
    ours::{marks, prefix},
};
use muster_domain::manifest::Encoding;
use quick_xml::{
    Reader, Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Write as _},
    path::Path,
};

/// Bytes of a record that are held to find ours in it. Longer ones are refused by the registry anyway; they are copied
/// as they come.
const RECORD_LIMIT: usize = 1 << 20;
/// Bytes that are decoded at once.
const BLOCK: usize = 64 << 10;

/// A file as UTF-8, whatever it is written in.
struct Utf8 {
    file: File,
    encoding: Encoding,
    raw: Vec<u8>,
    text: Vec<u8>,
    used: usize,
}

impl Read for Utf8 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.text.len() {
            self.text.clear();
            self.used = 0;
            let kept = self.raw.len();
            self.raw.resize(kept + BLOCK, 0);
            let read = self.file.read(&mut self.raw[kept..])?;
            self.raw.truncate(kept + read);
            if read == 0 {
                return Ok(0);
            }
            let decoded = self.encoding.decode(&self.raw, &mut self.text);
            self.raw.drain(..decoded);
        }
        let read = (&self.text[self.used..]).read(buffer)?;
        self.used += read;
        Ok(read)
    }
}

/// The user's document, and where in it we are.
pub(in crate::import) struct XmlWriter {
    source: Reader<BufReader<Utf8>>,
    out: Writer<Sink>,
    /// Names of the elements that are records, the last steps of their paths or all of them.
    record: Vec<String>,
    is_whole: bool,
    /// The elements around the place that is read, without their namespaces.
    open: Vec<String>,
    /// Records that are not pushed are left out.
    only_pushed: bool,
    /// Records passed.
    passed: u32,
    buffer: Vec<u8>,
}

/// A record up to its end tag, as far as it is held.
struct Record {
    start: BytesStart<'static>,
    inner: Vec<Event<'static>>,
    /// It was longer than is held, and is written up to its end tag.
    is_written: bool,
}

impl XmlWriter {
    /// Copies the document `path`, whose records are where `record` says: `/lot/devices/device`, or the end of that.
    pub(in crate::import) fn begin(
        out: Sink,
        path: &Path,
        (record, encoding): (&str, Encoding),
        only_pushed: bool,
    ) -> io::Result<Self> {
        let source = Utf8 {
            file: File::open(path)?,
            encoding,
            raw: Vec::new(),
            text: Vec::new(),
            used: 0,
        };
        let steps = record.split('/').map(str::trim).filter(|step| !step.is_empty());
        Ok(Self {
            source: Reader::from_reader(BufReader::new(source)),
            out: Writer::new(out),
            record: steps.map(str::to_owned).collect(),
            is_whole: record.starts_with('/'),
            open: Vec::new(),
            only_pushed,
            passed: 0,
            buffer: Vec::new(),
        })
    }

    /// Copies up to the end of the record of this number, and adds to it. One that the document does not have is left
    /// out.
    pub(super) fn push(&mut self, number: u32, added: &Added<'_>) -> io::Result<()> {
        while self.passed < number {
            let Some(start) = self.next_record()? else {
                return Ok(());
            };
            self.passed += 1;
            let added = (self.passed == number).then_some(added);
            self.copy_record(start, added)?;
        }
        Ok(())
    }

    fn event(&mut self) -> io::Result<Event<'static>> {
        self.buffer.clear();
        let event = self.source.read_event_into(&mut self.buffer);
        event.map(Event::into_owned).map_err(io::Error::other)
    }

    /// Is an element of this name, at this place, a record?
    fn is_record(&self, start: &BytesStart<'_>) -> bool {
        let Some((name, around)) = self.record.split_last() else {
            return false;
        };
        let is_around = if self.is_whole {
            self.open == around
        } else {
            self.open.ends_with(around)
        };
        is_around && start.local_name().as_ref() == name
    }

    /// Copies what is between records; gives the start of the next, and whether it is empty; `None` at the end.
    fn next_record(&mut self) -> io::Result<Option<(BytesStart<'static>, bool)>> {
        loop {
            match self.event()? {
                Event::Start(start) if self.is_record(&start) => return Ok(Some((start, false))),
                Event::Empty(start) if self.is_record(&start) => return Ok(Some((start, true))),
                Event::Eof => return Ok(None),
                // What is written is UTF-8.
                Event::Decl(decl) => {
                    let standalone = decl.standalone().and_then(Result::ok);
                    let decl = BytesDecl::new("1.0", Some("UTF-8"), standalone.as_deref());
                    self.out.write_event(Event::Decl(decl))?;
                }
                // The blanks around a record that is left out go with it.
                Event::Text(text) if self.only_pushed && self.passed > 0 && is_blank(&text) => {}
                other => {
                    match &other {
                        Event::Start(start) => self.open.push(start.local_name().as_ref().to_owned()),
                        Event::End(_) => drop(self.open.pop()),
                        _ => {}
                    }
                    self.out.write_event(other)?;
                }
            }
        }
    }

    /// Copies a record; without `added` as it is, or not at all.
    fn copy_record(
        &mut self,
        (start, is_empty): (BytesStart<'static>, bool),
        added: Option<&Added<'_>>,
    ) -> io::Result<()> {
        let keeps = added.is_some() || !self.only_pushed;
        let mut record = Record {
            start,
            inner: Vec::new(),
            is_written: false,
        };
        if !is_empty {
            self.read_record(&mut record, keeps)?;
        }
        if !keeps {
            return Ok(());
        }
        let mut names = names(&record.inner);
        if !record.is_written {
            let ours = marks(&names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
            let mut ours = ours.iter();
            names.retain(|_| ours.next().is_some_and(Option::is_none));
            record.inner = without_ours(record.inner);
        }
        let namespace = record
            .start
            .name()
            .prefix()
            .map_or_else(String::new, |prefix| format!("{}:", prefix.as_ref()));
        let indent = record.inner.first().and_then(blank_text);
        // The line break before the end tag stays there.
        let last = (record.inner.len() > 1)
            .then(|| record.inner.pop_if(|event| blank_text(event).is_some()))
            .flatten();
        self.write_record(&mut record)?;
        let prefix = prefix(names.iter().map(|(name, _)| name.as_str()));
        for (name, value) in added.unwrap_or_default() {
            // Names of refused rows have the prefix already.
            let prefix = if name.starts_with(OWN_PREFIX) { "" } else { prefix };
            let mut element = indent.clone().unwrap_or_default();
            let name = format!("{namespace}{prefix}{name}");
            element.push_str(&format!("<{name}>"));
            text::push(&mut element, value);
            element.push_str(&format!("</{name}>"));
            self.out.get_mut().write_all(element.as_bytes())?;
        }
        if let Some(last) = last {
            self.out.write_event(last)?;
        }
        let end = BytesEnd::new(record.start.name().as_ref().to_owned());
        self.out.write_event(Event::End(end))
    }

    /// Reads up to the record's end tag.
    fn read_record(&mut self, record: &mut Record, keeps: bool) -> io::Result<()> {
        let mut depth = 0_u32;
        let mut held = 0;
        loop {
            let event = self.event()?;
            held += event.len();
            match &event {
                Event::Start(_) => depth += 1,
                Event::End(_) if depth == 0 => return Ok(()),
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(io::Error::other("the document ends within a record")),
                _ => {}
            }
            record.inner.push(event);
            if held > RECORD_LIMIT {
                held = 0;
                if keeps {
                    self.write_record(record)?;
                }
                record.inner.clear();
                record.is_written = true;
            }
        }
    }

    /// Writes what is held of a record.
    fn write_record(&mut self, record: &mut Record) -> io::Result<()> {
        if !record.is_written {
            if self.only_pushed {
                self.out.get_mut().write_all(b"\n")?;
            }
            self.out.write_event(Event::Start(record.start.borrow()))?;
        }
        for event in record.inner.drain(..) {
            self.out.write_event(event)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.get_mut().flush()
    }

    /// Copies the rest.
    pub(super) fn finish(mut self) -> io::Result<Sink> {
        while let Some(start) = self.next_record()? {
            self.passed += 1;
            self.copy_record(start, None)?;
        }
        Ok(self.out.into_inner())
    }
}

fn is_blank(text: &BytesText<'_>) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

fn blank_text(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Text(text) if is_blank(text) => Some((**text).to_owned()),
        _ => None,
    }
}

/// The elements right in a record: their names, and the places of their events.
fn names(inner: &[Event<'_>]) -> Vec<(String, std::ops::Range<usize>)> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    let mut start = 0;
    for (place, event) in inner.iter().enumerate() {
        let local = |tag: &BytesStart<'_>| tag.local_name().as_ref().to_owned();
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    names.push((local(tag), place..place + 1));
                    start = place;
                }
                depth += 1;
            }
            Event::Empty(tag) if depth == 0 => names.push((local(tag), place..place + 1)),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if let (0, Some((_, range))) = (depth, names.last_mut()) {
                    *range = start..place + 1;
                }
            }
            _ => {}
        }
    }
    names
}

/// The record without the elements that an earlier import added, and without the blanks before them.
fn without_ours(inner: Vec<Event<'static>>) -> Vec<Event<'static>> {
    let names = names(&inner);
    let ours = marks(&names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let mut drop = vec![false; inner.len()];
    for ((_, range), _) in names.iter().zip(&ours).filter(|(_, mark)| mark.is_some()) {
        drop[range.clone()].fill(true);
        let before = range.start.checked_sub(1);
        if let Some(before) = before.filter(|&before| blank_text(&inner[before]).is_some()) {
            drop[before] = true;
        }
    }
    let mut drop = drop.into_iter();
    let kept = inner.into_iter().filter(|_| drop.next() == Some(false));
    kept.collect()
}

#[cfg(test)]
mod tests;
