//! XML as tokens, in bounded memory: what sheets and XML manifests have in common.
//!
//! Document types are refused, and with them every entity but the five of XML itself: no manifest needs them, and they
//! can make gigabytes of nothing. Names are local, without the prefix of their namespace.

use super::{
    ReadError,
    carried::{arrive, carry, too_large},
};
use crate::{Code, Refusal};
use quick_xml::{
    Error, Reader, XmlVersion,
    events::{BytesEnd, BytesRef, BytesStart, Event, attributes::Attribute},
    name::QName,
};
use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
    sync::Arc,
};

/// Most bytes of one tag, text or comment; also the most that one token takes of memory.
const TOKEN_LIMIT: usize = 1 << 20;
/// How deep elements may nest. Workbooks take about ten levels.
const DEPTH_LIMIT: usize = 64;
/// Most attributes of an element.
const ATTRIBUTE_LIMIT: usize = 256;

/// A piece of XML.
#[derive(Debug)]
pub(super) enum Token<'t> {
    /// An element begins; one without content ends at once.
    Open(Tag<'t>),
    /// The innermost element ends; its name.
    Close(EndTag<'t>),
    /// Text, with references resolved; may come in pieces, and be empty.
    Text(Cow<'t, str>),
    /// The document is over.
    End,
}

/// The beginning of an element.
#[derive(Debug)]
pub(super) struct Tag<'t>(BytesStart<'t>);

/// The end of an element.
#[derive(Debug)]
pub(super) struct EndTag<'t>(BytesEnd<'t>);

impl EndTag<'_> {
    /// The name, without prefix.
    pub(super) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }
}

/// A document that is being read.
#[derive(Debug)]
pub(super) struct Markup<B> {
    reader: Reader<Metered<B>>,
    buffer: Vec<u8>,
    depth: usize,
}

impl<B: BufRead> Markup<B> {
    pub(super) fn new(source: B) -> Self {
        let mut reader = Reader::from_reader(Metered { source, left: 0 });
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            depth: 0,
        }
    }

    /// The next token. Comments and instructions count as empty text.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when the document is not well-formed or has a document type,
    /// [`Code::ManifestTooLarge`] when it is over a limit, and what the source fails with.
    pub(super) fn next(&mut self) -> Result<Token<'_>, ReadError> {
        self.buffer.clear();
        self.reader.get_mut().left = TOKEN_LIMIT;
        match self.reader.read_event_into(&mut self.buffer).map_err(failed)? {
            Event::Start(tag) | Event::Empty(tag) => {
                self.depth += 1;
                if self.depth > DEPTH_LIMIT {
                    return Err(too_large(format!("nests elements deeper than {DEPTH_LIMIT}")).into());
                }
                Ok(Token::Open(Tag(tag)))
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(Token::Close(EndTag(tag)))
            }
            Event::Text(text) => Ok(Token::Text(text.xml10_content())),
            Event::CData(text) => Ok(Token::Text(text.xml10_content())),
            Event::GeneralRef(reference) => resolve(&reference).map(|text| Token::Text(text.into())),
            Event::DocType(_) => Err(refused("declares a document type, which no manifest needs").into()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(Token::Text(Cow::Borrowed(""))),
            Event::Eof if self.depth > 0 => Err(refused("ends within an XML element").into()),
            Event::Eof => Ok(Token::End),
        }
    }

    /// Passes over what is left of the element that was opened last.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if matches!(self.next()?, Token::End) {
                break;
            }
        }
        Ok(())
    }
}

impl<B> Markup<B> {
    /// How many elements are open.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// Where the document comes from.
    pub(super) const fn source(&self) -> &B {
        &self.reader.get_ref().source
    }
}

impl Tag<'_> {
    /// The name, without prefix.
    pub(super) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The attributes, in order: local names and values.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Result<(&str, Cow<'_, str>), ReadError>> {
        self.qualified().map(|attribute| {
            let (name, value) = attribute?;
            Ok((name.local_name().into_inner(), value))
        })
    }

    /// The attributes that are data: not those that declare namespaces and schemas.
    pub(super) fn own_attributes(&self) -> impl Iterator<Item = Result<(&str, Cow<'_, str>), ReadError>> {
        self.qualified().filter_map(|attribute| match attribute {
            Ok((name, value)) => {
                let prefix = name.prefix().map_or("", |prefix| prefix.into_inner());
                let is_own = !matches!(prefix, "xmlns" | "xsi" | "xml") && name.into_inner() != "xmlns";
                is_own.then(|| Ok((name.local_name().into_inner(), value)))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn qualified(&self) -> impl Iterator<Item = Result<(QName<'_>, Cow<'_, str>), ReadError>> {
        // Looking for repeated names takes the square of their number.
        let mut attributes = self.0.attributes();
        attributes.with_checks(false);
        attributes.enumerate().map(|(place, attribute)| {
            if place == ATTRIBUTE_LIMIT {
                let why = format!("has an element of more than {ATTRIBUTE_LIMIT} attributes");
                return Err(too_large(why).into());
            }
            let attribute = attribute.map_err(|error| failed(error.into()))?;
            Ok((attribute.key, value(&attribute)?))
        })
    }

    /// The value of the first attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>, ReadError> {
        for attribute in self.attributes() {
            let (found, value) = attribute?;
            if found == name {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

fn value<'a>(attribute: &Attribute<'a>) -> Result<Cow<'a, str>, ReadError> {
    if attribute.value.bytes().all(|byte| byte >= b' ' && byte != b'&') {
        return Ok(attribute.value.clone());
    }
    attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(failed)
}

fn refused(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, ReadError> {
    if let Some(found) = reference.resolve_char_ref().map_err(failed)? {
        return Ok(found.to_string());
    }
    let found = match &**reference {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(refused("uses an XML entity that is not one of XML's own").into()),
    };
    Ok(found.to_owned())
}

fn failed(error: Error) -> ReadError {
    match error {
        Error::Io(error) => match Arc::try_unwrap(error) {
            Ok(error) => arrive(error),
            Err(shared) => arrive(io::Error::other(shared.to_string())),
        },
        Error::Syntax(_)
        | Error::IllFormed(_)
        | Error::InvalidAttr(_)
        | Error::Encoding(_)
        | Error::Escape(_)
        | Error::Namespace(_) => refused(&format!("is not well-formed XML: {error}")).into(),
    }
}

/// Gives no more bytes than one token may take.
#[derive(Debug)]
struct Metered<B> {
    source: B,
    left: usize,
}

impl<B: BufRead> BufRead for Metered<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(carry(too_large(format!(
                "holds a tag or text of more than {TOKEN_LIMIT} bytes"
            ))));
        }
        let bytes = self.source.fill_buf()?;
        Ok(bytes.get(..self.left).unwrap_or(bytes))
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.source.consume(bytes);
    }
}

impl<B: BufRead> Read for Metered<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let taken = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..taken), bytes.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.consume(taken);
        Ok(taken)
    }
}
