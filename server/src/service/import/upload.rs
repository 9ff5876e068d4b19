//! The file as it arrives, for code that reads: bytes from a channel, hashed on the way.

use super::Input;
use bytes::{Buf as _, Bytes};
use muster_domain::{Code, Refusal};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, SeekFrom};
use tokio::sync::mpsc;

/// Blocks on its channel: only for threads that may.
pub(super) struct Upload {
    input: mpsc::Receiver<Input>,
    chunk: Bytes,
    hash: Sha256,
    bytes: u64,
    ended: bool,
}

impl Upload {
    pub(super) fn new(input: mpsc::Receiver<Input>) -> Self {
        Self {
            input,
            chunk: Bytes::new(),
            hash: Sha256::new(),
            bytes: 0,
            ended: false,
        }
    }

    /// Bytes and SHA-256 of the whole file. Reads what the parser left.
    pub(super) fn finish(mut self) -> io::Result<(u64, [u8; 32])> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.bytes, self.hash.finalize().into()))
    }
}

/// The refusal behind an error of [`Upload`], if it is one.
pub(super) fn cause(error: &io::Error) -> Option<Refusal> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Refusal>())
        .cloned()
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.input.blocking_recv() {
                Some(Input::Chunk(chunk)) => {
                    self.hash.update(&chunk);
                    self.bytes += chunk.len() as u64;
                    self.chunk = chunk;
                }
                Some(Input::End) => self.ended = true,
                Some(Input::Cut(refusal)) => return Err(io::Error::other(refusal)),
                None => {
                    return Err(io::Error::other(Refusal::new(
                        Code::RequestInvalid,
                        "the upload was cut",
                    )));
                }
            }
        }
        let taken = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

/// A stream cannot go back, and text need not.
impl Seek for Upload {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::Error::other(Refusal::new(
            Code::ManifestUnreadable,
            "is no text: archives and workbooks cannot be read while they arrive",
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(inputs: Vec<Input>) -> Upload {
        let (sender, receiver) = mpsc::channel(inputs.len().max(1));
        for input in inputs {
            sender.try_send(input).unwrap();
        }
        Upload::new(receiver)
    }

    #[test]
    fn a_whole_file_is_read_and_hashed() {
        let chunks = ["ab", "", "c"].map(|text| Input::Chunk(Bytes::from_static(text.as_bytes())));
        let mut whole = upload(chunks.into_iter().chain([Input::End]).collect());
        let mut first = [0; 1];
        whole.read_exact(&mut first).unwrap();
        let (bytes, hash) = whole.finish().unwrap();
        assert_eq!((first, bytes), (*b"a", 3));
        assert_eq!(
            hash[..4],
            [0xba, 0x78, 0x16, 0xbf],
            "SHA-256 of abc (FIPS 180-2, B.1)"
        );
    }

    #[test]
    fn a_cut_file_never_looks_whole() {
        let because = Refusal::new(Code::TooLarge, "x");
        for (inputs, code) in [
            (
                vec![Input::Chunk(Bytes::from_static(b"a")), Input::Cut(because)],
                Code::TooLarge,
            ),
            (vec![Input::Chunk(Bytes::from_static(b"a"))], Code::RequestInvalid),
            (vec![], Code::RequestInvalid),
        ] {
            let error = upload(inputs).finish().unwrap_err();
            assert_eq!(cause(&error).map(|refusal| refusal.code), Some(code));
        }
    }
}
