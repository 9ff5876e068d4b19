//! The file that is sent: its size and hash, taken before anything is said to the server.

use crate::failure::Failure;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Read at once while hashing.
const BLOCK: usize = 256 << 10;

/// A file as it was when the import began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: Vec<u8>,
}

impl Source {
    /// Reads the file once.
    pub(super) async fn measure(path: &Path) -> Result<Self, Failure> {
        let path = path.to_owned();
        let measured = tokio::task::spawn_blocking(move || {
            let measured = measure(&path);
            measured
                .map(|(bytes, sha256)| Self {
                    path: path.clone(),
                    bytes,
                    sha256,
                })
                .map_err(|error| Failure::file("read", &path, &error))
        });
        measured.await.map_err(anyhow::Error::new)?
    }
}

fn measure(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((bytes, hash.finalize().to_vec())),
            read => {
                hash.update(&block[..read]);
                bytes += read as u64;
            }
        }
    }
}
