//! A disk that remembers every write and sync, and can say what it might hold after the power failed.

use redb::StorageBackend;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

/// What disks write in one go.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Event {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    /// What a read sees.
    content: Vec<u8>,
    /// Content at the start, before the events.
    first: Vec<u8>,
    events: Vec<Event>,
    /// Fails every sync from now on.
    failing: bool,
}

/// Clones are one disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// A small generator (xorshift64*, Vigna 2016): seeds in failures reproduce them.
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap();
        usize::try_from((self.next() >> 16) % limit.max(1)).unwrap()
    }
}

impl Disk {
    pub(super) fn holding(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            first: content.clone(),
            content,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Events so far: a place in the disk's history.
    pub(super) fn now(&self) -> usize {
        self.state().events.len()
    }

    pub(super) fn syncs(&self) -> usize {
        self.state()
            .events
            .iter()
            .filter(|event| matches!(event, Event::Sync))
            .count()
    }

    pub(super) fn fail(&self) {
        self.state().failing = true;
    }

    /// What may be found after the power failed at `place`: everything up to the last sync, and of the writes
    /// behind it each one whole, torn, or not at all, in any order.
    pub(super) fn image(&self, place: usize, random: &mut Seeded) -> Vec<u8> {
        let state = self.state();
        let past = &state.events[..place];
        let synced = past
            .iter()
            .rposition(|event| matches!(event, Event::Sync))
            .map_or(0, |last| last + 1);
        let mut image = state.first.clone();
        for event in &past[..synced] {
            apply(&mut image, event);
        }
        let mut unsynced: Vec<Event> = past[synced..].to_vec();
        // One image in four keeps the order, as a disk without a cache does.
        if random.below(4) > 0 {
            for last in (1..unsynced.len()).rev() {
                unsynced.swap(last, random.below(last + 1));
            }
        }
        for event in &unsynced {
            match (random.below(4), event) {
                (0, _) => {}
                (1, Event::Write { offset, data }) => tear(&mut image, *offset, data, random),
                _ => apply(&mut image, event),
            }
        }
        image
    }
}

fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if image.len() < offset + data.len() {
        image.resize(offset + data.len(), 0);
    }
    image[offset..offset + data.len()].copy_from_slice(data);
}

fn apply(image: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write { offset, data } => write(image, *offset, data),
        Event::Length(length) => image.resize(*length, 0),
        Event::Sync => {}
    }
}

/// Some sectors of a write, not others.
fn tear(image: &mut Vec<u8>, offset: usize, data: &[u8], random: &mut Seeded) {
    for (number, sector) in data.chunks(SECTOR).enumerate() {
        if random.below(2) == 0 {
            write(image, offset + number * SECTOR, sector);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().content.len().try_into().unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let state = self.state();
        let data = state
            .content
            .get(start..start + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.record(Event::Length(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.state().failing {
            return Err(io::Error::other("the disk is gone"));
        }
        self.record(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.record(Event::Write {
            offset: usize::try_from(offset).unwrap(),
            data: data.to_vec(),
        });
        Ok(())
    }
}

impl Disk {
    fn record(&self, event: Event) {
        let mut state = self.state();
        apply(&mut state.content, &event);
        state.events.push(event);
    }
}
