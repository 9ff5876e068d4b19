//! The bytes of a manifest as UTF-8 text, a window at a time.

use super::{Encoding, FILE_LIMIT, ReadError, carried::carry};
use crate::{Code, Refusal};
use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes asked for at once. Blocks are filled before they are used, so what is decided by the first block does not
/// depend on how the bytes arrive.
const BLOCK: usize = 64 << 10;

/// A byte stream behind a window of decoded text.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    encoding: Encoding,
    /// Bytes as sent that are not decoded yet: a block, with the cut character of the block before in front.
    raw: Vec<u8>,
    /// Decoded text; what lies before `start` is used.
    window: Vec<u8>,
    start: usize,
    /// Bytes as sent, so far.
    total: u64,
    ended: bool,
}

impl<R: Read> Input<R> {
    /// Reads the first block, which says what the file is.
    pub(super) fn new(source: R) -> Result<Self, ReadError> {
        let mut input = Self {
            source,
            encoding: Encoding::Utf8,
            raw: Vec::new(),
            window: Vec::new(),
            start: 0,
            total: 0,
            ended: false,
        };
        input.load()?;
        if input.raw.is_empty() {
            return Err(unreadable("is empty").into());
        }
        Ok(input)
    }

    /// The file as text: decides on the encoding.
    pub(super) fn decoded(mut self) -> Result<Self, ReadError> {
        let (encoding, mark) = Encoding::detect(&self.raw).map_err(unreadable)?;
        self.encoding = encoding;
        self.raw.drain(..mark);
        self.decode();
        Ok(self)
    }

    /// One more block of bytes, whole unless the file ends.
    fn load(&mut self) -> Result<(), ReadError> {
        let kept = self.raw.len();
        self.raw.resize(kept + BLOCK, 0);
        let mut filled = kept;
        while filled < self.raw.len() && !self.ended {
            match self.source.read(&mut self.raw[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled = (filled + read).min(self.raw.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Input(error)),
            }
        }
        self.raw.truncate(filled);
        self.total += u64::try_from(filled - kept).unwrap_or(u64::MAX);
        if self.total > FILE_LIMIT {
            let why = format!("is over {FILE_LIMIT} bytes");
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        Ok(())
    }

    fn decode(&mut self) {
        let used = self.encoding.decode(&self.raw, &mut self.window);
        self.raw.drain(..used);
        if self.ended {
            Encoding::decode_rest(&self.raw, &mut self.window);
            self.raw.clear();
        }
    }

    /// Brings more text into the window; `false` when there is no more.
    pub(super) fn grow(&mut self) -> Result<bool, ReadError> {
        if self.ended {
            return Ok(false);
        }
        self.window.drain(..self.start);
        self.start = 0;
        self.load()?;
        self.decode();
        Ok(true)
    }

    /// Moves past text that is used.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.window.len());
    }
}

/// XML is read through this; everything else takes the window as it is.
impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.text().is_empty() && self.grow().map_err(carry)? {}
        Ok(self.text())
    }

    fn consume(&mut self, bytes: usize) {
        self.advance(bytes);
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(buffer)?;
        self.advance(taken);
        Ok(taken)
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

impl<R> Input<R> {
    /// The first block as sent, before it is decoded.
    pub(super) fn head(&self) -> &[u8] {
        &self.raw
    }

    /// The stream, for files that are not read from their beginning.
    pub(super) fn into_source(self) -> R {
        self.source
    }

    /// The text not used yet, as far as it is loaded.
    pub(super) fn text(&self) -> &[u8] {
        self.window.get(self.start..).unwrap_or_default()
    }

    /// Is the end of the file loaded?
    pub(super) const fn is_whole(&self) -> bool {
        self.ended
    }

    pub(super) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes as sent, so far.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }
}
