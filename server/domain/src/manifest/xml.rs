//! XML manifests: elements that repeat, one a device.
//!
//! Attributes and child elements are cells; what is within others is named with dots, as in JSON. Names are local,
//! declarations of namespaces and of schemas are no data.

use super::{
    CELL_LIMIT, ROW_LIMIT, ReadError, ReadOptions,
    input::Input,
    markup::{Markup, Tag, Token},
    record::{CellKind, Draft, Fault, Record},
    rows::Rows,
};
use crate::{Code, Refusal};
use std::{collections::BTreeMap, io::Read};

/// How deep the elements of a record may nest, as the objects of JSON.
const DEPTH_LIMIT: usize = 4;
/// Most different paths that are counted while looking for the records.
const PATH_LIMIT: usize = 1024;

/// The elements of a file that are records.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    /// Names from the root.
    Whole(Vec<String>),
    /// The last names.
    End(Vec<String>),
}

impl Path {
    fn is(&self, open: &[String]) -> bool {
        match self {
            Self::Whole(path) => path == open,
            Self::End(path) => open.ends_with(path),
        }
    }
}

/// An XML file that is being read.
#[derive(Debug)]
pub(super) struct Xml<R> {
    markup: Markup<Input<R>>,
    path: Path,
    /// The elements around the reader.
    open: Vec<String>,
    rows: Rows,
    draft: Draft,
}

impl<R: Read> Xml<R> {
    pub(super) fn open(input: Input<R>, options: &ReadOptions) -> Result<Self, ReadError> {
        let path = match options.record_path.as_deref().map(str::trim) {
            Some(given) if !given.is_empty() => given_path(given),
            Some(_) | None => find(input.text())?,
        };
        Ok(Self {
            markup: Markup::new(input),
            path,
            open: Vec::new(),
            rows: Rows::default(),
            draft: Draft::default(),
        })
    }

    /// The next record, or `false` at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            match self.markup.next()? {
                Token::Open(tag) => {
                    self.open.push(tag.name().to_owned());
                    if self.path.is(&self.open) {
                        let row = self.rows.count()?;
                        self.draft.clear();
                        let mut element = Element::new(&mut self.draft);
                        element.open(&tag, true)?;
                        element.read(&mut self.markup)?;
                        self.open.pop();
                        self.draft.finish(row, &[], record);
                        return Ok(true);
                    }
                }
                Token::Close(_) => {
                    self.open.pop();
                }
                Token::Text(_) => {}
                Token::End if self.rows.passed() == 0 => {
                    return Err(refused("has no element that is a record; name it").into());
                }
                Token::End => return Ok(false),
            }
        }
    }
}

impl<R> Xml<R> {
    /// Where the records are, as a user would say it.
    pub(super) fn path(&self) -> String {
        match &self.path {
            Path::Whole(path) => format!("/{}", path.join("/")),
            Path::End(path) => path.join("/"),
        }
    }

    pub(super) const fn input(&self) -> &Input<R> {
        self.markup.source()
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

/// `/manifest/devices/device`, or its end.
fn given_path(given: &str) -> Path {
    let steps = given.split('/').map(str::trim).filter(|step| !step.is_empty());
    let steps = steps.map(str::to_owned).collect();
    if given.starts_with('/') {
        Path::Whole(steps)
    } else {
        Path::End(steps)
    }
}

/// The path that repeats in the beginning of a file: the outermost, of these the most frequent, of these the first. If
/// nothing repeats, there is one record: the first element within the root.
fn find(text: &[u8]) -> Result<Path, ReadError> {
    let mut markup = Markup::new(text);
    let mut open: Vec<String> = Vec::new();
    let mut paths: BTreeMap<Vec<String>, (usize, usize)> = BTreeMap::new();
    loop {
        match markup.next() {
            Ok(Token::Open(tag)) => {
                open.push(tag.name().to_owned());
                let order = paths.len();
                if order < PATH_LIMIT {
                    paths.entry(open.clone()).or_insert((0, order)).0 += 1;
                }
            }
            Ok(Token::Close(_)) => {
                open.pop();
            }
            Ok(Token::Text(_)) => {}
            Ok(Token::End) => break,
            // The beginning is cut off somewhere; what is really wrong is found again by whoever reads on.
            Err(_) if paths.len() > 1 => break,
            Err(error) => return Err(error),
        }
    }
    let within = || paths.iter().filter(|(path, _)| path.len() > 1);
    let rank = |path: &[String], count: usize, order: usize| (path.len(), usize::MAX - count, order);
    let repeated = within().filter(|(_, (count, _))| *count > 1);
    let best = repeated.min_by_key(|(path, (count, order))| rank(path, *count, *order));
    let best = best.or_else(|| within().min_by_key(|(path, (_, order))| (path.len(), *order)));
    let path = best.map(|(path, _)| path.clone());
    Ok(Path::Whole(path.ok_or_else(|| {
        refused("has no element that is a record; name it")
    })?))
}

/// Collects the cells of one record.
struct Element<'d> {
    draft: &'d mut Draft,
    /// The names of the elements that are open, with dots between.
    name: String,
    /// For each of them: how long the name was before, its text, and whether it has children or attributes.
    open: Vec<(usize, String, bool)>,
    bytes: usize,
}

impl<'d> Element<'d> {
    fn new(draft: &'d mut Draft) -> Self {
        Self {
            draft,
            name: String::new(),
            open: Vec::new(),
            bytes: 0,
        }
    }

    /// Begins an element. The record itself gives its name to nothing within.
    fn open(&mut self, tag: &Tag<'_>, is_record: bool) -> Result<(), ReadError> {
        if let Some((_, _, is_parent)) = self.open.last_mut() {
            *is_parent = true;
        }
        let before = self.name.len();
        if !is_record {
            self.extend(tag.name());
        }
        let mut has_attributes = false;
        for attribute in tag.own_attributes() {
            let (name, value) = attribute?;
            has_attributes = true;
            let outside = self.name.len();
            self.extend(name);
            self.cell(&value);
            self.name.truncate(outside);
        }
        self.open
            .push((before, String::new(), is_record || has_attributes));
        if self.open.len() > DEPTH_LIMIT {
            self.refuse(&format!("elements nest deeper than {DEPTH_LIMIT}"));
        }
        Ok(())
    }

    /// Reads to the end of the record.
    fn read<R: Read>(&mut self, markup: &mut Markup<Input<R>>) -> Result<(), ReadError> {
        while !self.open.is_empty() {
            match markup.next()? {
                Token::Open(tag) => self.open(&tag, false)?,
                Token::Text(text) => self.text(&text),
                Token::Close(tag) => self.close(tag.name()),
                Token::End => break,
            }
        }
        if self.bytes > ROW_LIMIT {
            self.draft.clear();
            self.draft.fault = Some(Fault::TooLong);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some((_, known, _)) = self.open.last_mut() {
            let room = (CELL_LIMIT + 1).saturating_sub(known.len());
            known.push_str(text.get(..text.ceil_char_boundary(room)).unwrap_or(text));
        }
    }

    fn close(&mut self, name: &str) {
        let Some((before, text, is_parent)) = self.open.pop() else {
            return;
        };
        // Blanks between elements are layout.
        if !is_parent || !text.trim().is_empty() {
            if self.open.is_empty() {
                self.extend(name);
            }
            self.cell(&text);
        }
        self.name.truncate(before);
    }

    fn extend(&mut self, name: &str) {
        let room = (CELL_LIMIT + 1).saturating_sub(self.name.len());
        if !self.name.is_empty() {
            self.name.push('.');
        }
        self.name
            .push_str(name.get(..name.floor_char_boundary(room)).unwrap_or(name));
    }

    fn cell(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(self.name.len() + text.len());
        if self.bytes > ROW_LIMIT || self.draft.fault.is_some() {
            return;
        }
        if self.name.len() > CELL_LIMIT {
            return self.refuse("a name is longer than 4096 bytes");
        }
        if self.draft.names().any(|known| known == self.name.as_bytes()) {
            return self.refuse(&format!("{:?} stands twice", self.name));
        }
        let name = self.draft.bytes.len();
        self.draft.bytes.extend_from_slice(self.name.as_bytes());
        let start = self.draft.bytes.len();
        self.draft.bytes.extend_from_slice(text.as_bytes());
        self.draft.end_cell(name, start, CellKind::Text);
    }

    /// The record cannot be used; its cells are not kept.
    fn refuse(&mut self, why: &str) {
        if self.draft.fault.is_none() {
            self.draft.clear();
            self.draft.fault = Some(Fault::Xml(why.to_owned()));
        }
    }
}
