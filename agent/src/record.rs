//! Records of the state directory: a version, the content, a checksum; replaced as a whole.

use crate::disk::{Disk, Place, replace};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::io;

/// First byte of every record; an agent that does not know it leaves the record alone.
const VERSION: u8 = 1;
/// A record holds one envelope at most, of [`muster_proto::payload::LIMIT`] bytes, and a little beside it.
const LIMIT: usize = muster_proto::payload::LIMIT + (64 << 10);
/// Bytes of the checksum, SHA-256, at the end.
const CHECKSUM: usize = 32;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system said no.
    #[error("cannot {action} {place}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what, below the directory.
        place: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A file is not as it was written. It is left as it is: what it kept the agent from must not become possible.
    #[error("{0} is damaged")]
    Damaged(String),
    /// A newer agent wrote it.
    #[error("{place} has version {version}, this agent knows {VERSION}")]
    Version {
        /// Below the directory.
        place: String,
        /// The version found.
        version: u8,
    },
    /// Another agent works in the directory.
    #[error("another agent uses this state directory")]
    Locked,
    /// The operating system gives no random bytes.
    #[error("no random bytes to be had")]
    Random,
}

impl StateError {
    pub(crate) fn io(action: &'static str, place: &Place, source: io::Error) -> Self {
        Self::Io {
            action,
            place: place.to_string(),
            source,
        }
    }

    pub(crate) fn damaged(place: &Place) -> Self {
        Self::Damaged(place.to_string())
    }
}

/// Reads a record; `None` when there is none.
pub(crate) fn load<T: DeserializeOwned>(disk: &dyn Disk, place: &Place) -> Result<Option<T>, StateError> {
    let read = disk
        .read(place, LIMIT)
        .map_err(|error| StateError::io("read", place, error))?;
    let Some(bytes) = read else { return Ok(None) };
    let damaged = || StateError::damaged(place);
    let (content, checksum) = bytes
        .len()
        .checked_sub(CHECKSUM)
        .map(|at| bytes.split_at(at))
        .ok_or_else(damaged)?;
    if Sha256::digest(content)[..] != *checksum {
        return Err(damaged());
    }
    let (&version, body) = content.split_first().ok_or_else(damaged)?;
    if version != VERSION {
        return Err(StateError::Version {
            place: place.to_string(),
            version,
        });
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Ok(Some(record)),
        _ => Err(damaged()),
    }
}

/// Writes a record; durable on return, and after a crash before it the old one is there, whole.
pub(crate) fn save<T: Serialize>(disk: &dyn Disk, place: &Place, record: &T) -> Result<(), StateError> {
    let failed = |error| StateError::io("write", place, error);
    let mut bytes =
        postcard::to_extend(record, vec![VERSION]).map_err(|error| failed(io::Error::other(error)))?;
    bytes.extend(Sha256::digest(&bytes));
    replace(disk, place, &bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_record_is_whole_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        let place = Place::fixed("record");
        assert_eq!(load::<String>(&disk, &place).unwrap(), None);
        save(&disk, &place, &"content").unwrap();
        assert_eq!(load::<String>(&disk, &place).unwrap().as_deref(), Some("content"));
        let good = std::fs::read(disk.path(&place)).unwrap();
        let check = |bytes: &[u8]| {
            std::fs::write(disk.path(&place), bytes).unwrap();
            load::<String>(&disk, &place).unwrap_err()
        };
        for cut in 0..good.len() {
            assert!(
                matches!(check(&good[..cut]), StateError::Damaged(_)),
                "cut at {cut}"
            );
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(check(&bytes), StateError::Damaged(_)), "bit {bit}");
        }
        let mut newer = vec![VERSION + 1];
        newer.extend(Sha256::digest(&newer));
        assert!(matches!(check(&newer), StateError::Version { version: 2, .. }));
    }
}
