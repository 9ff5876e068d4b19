//! A disk in memory that stops after any operation, and then is what a killed process or a power loss leaves.
//!
//! A killed process loses nothing that was written. A power loss may lose, of what was not synced, any part: a file's
//! content may be missing or torn, and of the changes to a directory any may be missing, whatever their order.
//! Only that a rename is atomic is relied on.

use super::{Disk, Place};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

/// What a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Killed,
    /// With a seed for what is lost.
    PowerLoss(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(usize),
    Directory,
    Link(String),
}

#[derive(Debug, Clone)]
enum Change {
    Put(Place, Node),
    Remove(Place),
    /// The node goes along: what a rename moves is what stood there when it was asked for.
    Move(Place, Place, Node),
}

impl Change {
    fn directory(&self) -> Place {
        match self {
            Self::Put(place, _) | Self::Remove(place) | Self::Move(_, place, _) => place.parent(),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// As programs see it.
    seen: BTreeMap<Place, Node>,
    /// As the platter has it.
    kept: BTreeMap<Place, Node>,
    /// What is seen and not yet kept, oldest first.
    changes: Vec<Change>,
    files: Vec<Content>,
    /// How many operations are left before it stops.
    left: usize,
    done: usize,
}

/// The disk.
#[derive(Debug)]
pub(crate) struct SimulatedDisk(Mutex<State>);

fn apply(tree: &mut BTreeMap<Place, Node>, change: &Change) {
    match change {
        Change::Put(place, node) => drop(tree.insert(place.clone(), node.clone())),
        Change::Remove(place) => drop(tree.remove(place)),
        Change::Move(from, to, node) => {
            tree.remove(from);
            tree.insert(to.clone(), node.clone());
        }
    }
}

impl State {
    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.changes.push(change);
    }

    /// Counts an operation that changes something; an error once the disk has stopped.
    fn step(&mut self) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the disk stopped"))?;
        self.done += 1;
        Ok(())
    }

    fn taken(&self, place: &Place) -> io::Result<()> {
        if self.seen.contains_key(place) {
            Err(io::ErrorKind::AlreadyExists.into())
        } else {
            Ok(())
        }
    }

    fn in_directory(&self, place: &Place) -> io::Result<()> {
        let parent = place.parent();
        if parent == Place::root() || self.seen.get(&parent) == Some(&Node::Directory) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn below(&self, place: &Place) -> Vec<Place> {
        let prefix = format!("{place}/");
        self.seen
            .keys()
            .filter(|key| key.as_str().starts_with(&prefix))
            .cloned()
            .collect()
    }
}

impl SimulatedDisk {
    /// Stops after so many changing operations.
    pub(crate) fn stopping_after(operations: usize) -> Self {
        Self(Mutex::new(State {
            left: operations,
            ..State::default()
        }))
    }

    /// Never stops.
    pub(crate) fn new() -> Self {
        Self::stopping_after(usize::MAX)
    }

    /// The same, stopping after so many operations from now.
    pub(crate) fn stop_after(self, operations: usize) -> Self {
        self.state().left = operations;
        self
    }

    /// How many changing operations were done.
    pub(crate) fn operations(&self) -> usize {
        self.state().done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The disk as the next start finds it.
    pub(crate) fn crash(&self, crash: Crash) -> Self {
        let mut state = self.state().clone();
        if let Crash::PowerLoss(seed) = crash {
            let mut random = crate::machine::Jitter::new(seed);
            for change in std::mem::take(&mut state.changes) {
                if random.next().is_multiple_of(2) {
                    apply(&mut state.kept, &change);
                }
            }
            for file in &mut state.files {
                if file.written != file.synced {
                    // Torn: some of it, or room without content.
                    let length = random.next() as usize % (file.written.len() + 1);
                    file.written.truncate(length);
                    if random.next().is_multiple_of(2) {
                        file.written.fill(0);
                    }
                }
                file.synced.clone_from(&file.written);
            }
            let reachable = |tree: &BTreeMap<Place, Node>, place: &Place| {
                place.parent() == Place::root() || tree.get(&place.parent()) == Some(&Node::Directory)
            };
            let whole = state.kept.clone();
            state.kept.retain(|place, _| reachable(&whole, place));
            state.seen.clone_from(&state.kept);
        }
        state.left = usize::MAX;
        Self(Mutex::new(state))
    }
}

impl Disk for SimulatedDisk {
    fn read(&self, place: &Place, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        match state.seen.get(place) {
            None => Ok(None),
            Some(Node::File(number)) if state.files[*number].written.len() <= limit => {
                Ok(Some(state.files[*number].written.clone()))
            }
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn write_new(&self, place: &Place, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.taken(place)?;
        state.in_directory(place)?;
        // Two operations: the name, then the content.
        state.step()?;
        let number = state.files.len();
        state.files.push(Content::default());
        state.change(Change::Put(place.clone(), Node::File(number)));
        state.step()?;
        state.files[number].written = bytes.to_vec();
        Ok(())
    }

    fn link(&self, place: &Place, target: &str) -> io::Result<()> {
        let mut state = self.state();
        state.taken(place)?;
        state.in_directory(place)?;
        state.step()?;
        state.change(Change::Put(place.clone(), Node::Link(target.into())));
        Ok(())
    }

    fn link_target(&self, place: &Place) -> io::Result<Option<String>> {
        Ok(match self.state().seen.get(place) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        })
    }

    fn make_directory(&self, place: &Place) -> io::Result<()> {
        let mut state = self.state();
        match state.seen.get(place) {
            Some(Node::Directory) => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                state.step()?;
                state.change(Change::Put(place.clone(), Node::Directory));
                Ok(())
            }
        }
    }

    fn remove(&self, place: &Place) -> io::Result<()> {
        let mut state = self.state();
        if !state.seen.contains_key(place) {
            return Ok(());
        }
        for place in state.below(place).into_iter().chain([place.clone()]) {
            state.step()?;
            state.change(Change::Remove(place));
        }
        Ok(())
    }

    fn rename(&self, from: &Place, to: &Place) -> io::Result<()> {
        let mut state = self.state();
        assert_eq!(from.parent(), to.parent());
        let node = state.seen.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        if state.seen.get(to) == Some(&Node::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.step()?;
        state.change(Change::Move(from.clone(), to.clone(), node));
        Ok(())
    }

    fn sync(&self, place: &Place) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let node = if *place == Place::root() {
            Some(Node::Directory)
        } else {
            state.seen.get(place).cloned()
        };
        match node {
            Some(Node::File(number)) => {
                let file = &mut state.files[number];
                file.synced.clone_from(&file.written);
            }
            Some(Node::Directory) => {
                let changes = std::mem::take(&mut state.changes);
                let (synced, rest): (Vec<_>, _) = changes
                    .into_iter()
                    .partition(|change| change.directory() == *place);
                synced.iter().for_each(|change| apply(&mut state.kept, change));
                state.changes = rest;
            }
            Some(Node::Link(_)) | None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn path(&self, place: &Place) -> PathBuf {
        PathBuf::from("/simulated").join(place.as_str())
    }
}

mod tests {
    use super::*;
    use crate::disk::replace;

    /// The simulation itself: without a sync something is lost for some seed, with it for none.
    #[test]
    fn only_synced_content_under_a_synced_name_survives_a_power_loss() {
        let place = Place::fixed("file");
        let lost = |disk: &SimulatedDisk| {
            (0..64)
                .filter(|seed| {
                    let after = disk.crash(Crash::PowerLoss(*seed));
                    after.read(&place, 9).unwrap().as_deref() != Some(b"content")
                })
                .count()
        };
        let disk = SimulatedDisk::new();
        disk.write_new(&place, b"content").unwrap();
        assert!(lost(&disk) > 32);
        disk.sync(&place).unwrap();
        assert!((16..48).contains(&lost(&disk)), "the name");
        disk.sync(&Place::root()).unwrap();
        assert_eq!(lost(&disk), 0);
        assert_eq!(
            disk.crash(Crash::Killed).read(&place, 9).unwrap().as_deref(),
            Some(&b"content"[..])
        );
    }

    #[test]
    fn replacing_leaves_the_old_or_the_new_whole() {
        let place = Place::fixed("file");
        let run = |disk: &SimulatedDisk| {
            replace(disk, &place, b"old").unwrap();
            replace(disk, &place, b"new")
        };
        let whole = SimulatedDisk::new();
        run(&whole).unwrap();
        let (first, all) = (whole.operations() / 2, whole.operations());
        let mut both = [0, 0];
        for stop in first..all {
            let disk = SimulatedDisk::stopping_after(stop);
            run(&disk).unwrap_err();
            for crash in (0..64).map(Crash::PowerLoss).chain([Crash::Killed]) {
                let after = disk.crash(crash);
                match after.read(&place, 9).unwrap().as_deref() {
                    Some(b"old") => both[0] += 1,
                    Some(b"new") => both[1] += 1,
                    other => panic!("{other:?} after {stop} operations and {crash:?}"),
                }
                replace(&after, &place, b"newer").unwrap();
            }
        }
        assert!(both.iter().all(|count| *count > 0), "{both:?}");
    }
}
