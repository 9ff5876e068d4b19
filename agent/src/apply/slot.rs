//! The two slots and the switch between them.

use super::{Applied, ApplyError};
use crate::{
    disk::{Disk, Name, Place, relink},
    machine::Mark,
    sealed::Secrets,
};
use muster_proto::payload::{Desired, Digest, LIMIT};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, io, path::PathBuf};
use zeroize::Zeroizing;

/// Most files of one desired state.
pub(super) const FILES_LIMIT: usize = 64;
/// Where the location stands, beside the files of the profile.
pub(super) const LOCATION: &str = "location.json";
/// Largest file: an envelope carries no more.
pub(super) const FILE_LIMIT: usize = LIMIT;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    A,
    B,
}

impl Slot {
    const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    pub(super) fn place(self) -> Place {
        Place::fixed(self.name())
    }

    const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The one in use; `None` when nothing was applied yet, or the link is not the agent's.
    pub(super) fn current(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let target = disk.link_target(&current())?;
        Ok([Self::A, Self::B]
            .into_iter()
            .find(|slot| target.as_deref() == Some(slot.name())))
    }
}

fn current() -> Place {
    Place::fixed("current")
}

/// A slot that is written and read back, and not yet in use. Only [`stage`] makes one.
#[derive(Debug)]
pub(crate) struct Staged {
    slot: Slot,
    applied: Applied,
    path: PathBuf,
}

impl Staged {
    /// Where it is, for the hook.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Writes desired state into the slot that is not in use, durably, and reads it back.
pub(crate) fn stage(
    disk: &dyn Disk,
    desired: &Desired,
    mark: Mark,
    secrets: &Secrets,
) -> Result<Staged, ApplyError> {
    let files = plan(desired, secrets)?;
    let io = |action| move |error| ApplyError::Io(action, error);
    let slot = Slot::current(disk)
        .map_err(io("read the current slot"))?
        .map_or(Slot::A, Slot::other);
    let place = slot.place();
    disk.remove(&place).map_err(io("clear a slot"))?;
    disk.make_directory(&place).map_err(io("make a slot"))?;
    for (name, content) in &files {
        let file = place.file(name);
        disk.write_new(&file, content).map_err(io("write a file"))?;
        disk.sync(&file).map_err(io("sync a file"))?;
    }
    disk.sync(&place).map_err(io("sync a slot"))?;
    // The slot itself must be durable before `current` may name it.
    disk.sync(&Place::root())
        .map_err(io("sync the apply directory"))?;
    let mut written = Vec::new();
    for (name, content) in &files {
        let read = disk
            .read(&place.file(name), FILE_LIMIT)
            .map_err(io("read a file back"))?;
        if read.map(Zeroizing::new).as_ref() != Some(content) {
            return Err(ApplyError::ReadBack(name.as_str().into()));
        }
        written.push((name.as_str().into(), digest(content)));
    }
    Ok(Staged {
        slot,
        applied: Applied { mark, files: written },
        path: disk.path(&place),
    })
}

/// Switches to a staged slot: afterwards it is what runs, also after a power loss.
pub(crate) fn commit(disk: &dyn Disk, staged: Staged) -> Result<Applied, ApplyError> {
    let place = current();
    let switch = |error| ApplyError::Io("switch slots", error);
    // Something else than a link in its place, a directory say, would stop the rename for ever.
    if disk.link_target(&place).map_err(switch)?.is_none() {
        disk.remove(&place).map_err(switch)?;
    }
    relink(disk, &place, staged.slot.name()).map_err(switch)?;
    Ok(staged.applied)
}

/// Every file of a slot by its name, all names checked, before anything is touched.
fn plan(desired: &Desired, secrets: &Secrets) -> Result<BTreeMap<Name, Zeroizing<Vec<u8>>>, ApplyError> {
    if desired.files.len() > FILES_LIMIT {
        return Err(ApplyError::TooMany(desired.files.len()));
    }
    let mut files = BTreeMap::new();
    for (at, file) in desired.files.iter().enumerate() {
        let name = Name::parse(&file.key).filter(|name| name.as_str() != LOCATION);
        let name = name.ok_or(ApplyError::Name(at))?;
        let content = secrets.fill(&file.content)?;
        if content.len() > FILE_LIMIT {
            return Err(ApplyError::TooLarge(file.key.clone()));
        }
        if files.insert(name, content).is_some() {
            return Err(ApplyError::Twice(file.key.clone()));
        }
    }
    if let Some(location) = &desired.location {
        let name = Name::parse(LOCATION).ok_or(ApplyError::Location)?;
        let text = serde_json::to_vec_pretty(location).map_err(|_| ApplyError::Location)?;
        files.insert(name, Zeroizing::new(text));
    }
    Ok(files)
}
