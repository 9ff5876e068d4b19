//! One part of an archive, unpacked as it is read.

use super::{
    ReadError,
    archive::Entry,
    carried::{carry, damaged},
};
use flate2::{Crc, bufread::DeflateDecoder};
use std::io::{self, BufReader, Read, Take};

/// Packed bytes asked for at once.
const BLOCK: usize = 32 << 10;

/// A stream whose failures are told from those of unpacking.
#[derive(Debug)]
pub(super) struct Tagged<R>(pub(super) R);

impl<R: Read> Read for Tagged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                error
            } else {
                carry(ReadError::Input(error))
            }
        })
    }
}

#[derive(Debug)]
enum Unpacker<R> {
    Stored(Take<Tagged<R>>),
    Deflated(Box<DeflateDecoder<BufReader<Take<Tagged<R>>>>>),
}

/// The bytes of a part. They are never more than its entry says, and at the end exactly as many and with the same
/// checksum, or reading fails.
#[derive(Debug)]
pub(super) struct Part<R> {
    unpacker: Unpacker<R>,
    sum: Crc,
    checksum: u32,
    left: u64,
}

impl<R: Read> Part<R> {
    /// The part behind this entry; `source` stands at its first byte.
    pub(super) fn new(source: R, entry: &Entry) -> Result<Self, ReadError> {
        if !entry.is_deflated && entry.packed != entry.size {
            return Err(damaged("has a part of another size than its directory says").into());
        }
        let packed = Tagged(source).take(entry.packed);
        let unpacker = if entry.is_deflated {
            let packed = BufReader::with_capacity(BLOCK, packed);
            Unpacker::Deflated(Box::new(DeflateDecoder::new(packed)))
        } else {
            Unpacker::Stored(packed)
        };
        Ok(Self {
            unpacker,
            sum: Crc::new(),
            checksum: entry.checksum,
            left: entry.size,
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.left > 0 {
            Err(carry(damaged("has a part that ends early")))
        } else if self.sum.sum() != self.checksum {
            Err(carry(damaged("has a part whose checksum is wrong")))
        } else {
            Ok(())
        }
    }
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.unpacker {
            Unpacker::Stored(source) => source.read(buffer),
            Unpacker::Deflated(source) => source.read(buffer),
        }?;
        if read == 0 {
            self.check()?;
        }
        self.left = self
            .left
            .checked_sub(u64::try_from(read).unwrap_or(u64::MAX))
            .ok_or_else(|| carry(damaged("has a part that is larger than its directory says")))?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
