//! An image: what a policy says of it.

use crate::failure::Failure;
use muster_firmware_policy::Sha256Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Read as _},
    num::NonZeroU64,
    path::Path,
};

/// Bytes that are read at once; an image itself never is in memory.
const PIECE: usize = 64 << 10;

/// Digest and size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) sha256: Sha256Digest,
    pub(super) size: NonZeroU64,
}

/// Reads an image once, from its begin to its end.
pub(super) fn measure(path: &Path) -> Result<Measured, Failure> {
    let (sha256, size) = read(path).map_err(|error| Failure::file("read", path, &error))?;
    match NonZeroU64::new(size) {
        Some(size) => Ok(Measured { sha256, size }),
        None => Err(Failure::usage(
            format!("{} is empty", path.display()),
            "There is nothing in it to install.",
        )),
    }
}

fn read(path: &Path) -> io::Result<(Sha256Digest, u64)> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    let (mut hash, mut size) = (Sha256::new(), 0);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((Sha256Digest::from_bytes(hash.finalize().into()), size)),
            Ok(length) => {
                hash.update(piece.get(..length).unwrap_or_default());
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
