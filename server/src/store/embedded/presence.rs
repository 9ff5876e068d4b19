//! Who is connected, without a commit for each connection: what happens is noted in memory, and written together now and
//! then. After a crash the table may lag behind by that much; of who is connected it cannot be wrong, since nobody is.

use super::{
    Store,
    record::{Record as _, load},
    tables::{DEVICES, PRESENCE},
    txn::Txn,
};
use crate::store::{StoreError, UnconfirmedPage};
use muster_domain::{
    Refusal, Timestamp,
    device::{Departure, Device, Presence, Verification},
    ids::DeviceId,
};
use redb::{ReadTransaction, ReadableTable};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::Bound::{Excluded, Unbounded},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most devices of one transaction: a tenth of a second in which nobody else writes.
const FLUSH_PART: usize = 1 << 16;

/// Arrivals of a server count up from the second of its start, shifted by this much: those of the next server are higher, as long
/// as fewer than a million come a second, and all stay below 2^53, which JSON readers with doubles can tell apart.
const ARRIVAL_BITS: u32 = 20;

/// A device that is connected.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// Of its last arrival: grows with every arrival of any device, also from server to server.
    number: u64,
    presence: Presence,
}

#[derive(Debug, Default)]
struct Roll {
    arrivals: u64,
    online: BTreeMap<u128, Session>,
    /// What the table does not say yet. No larger than the registry: one entry a device.
    unwritten: BTreeMap<u128, Presence>,
    /// What the last flush wrote. Kept until the next one, for those who read the table as it was before.
    written: BTreeMap<u128, Presence>,
}

/// What is known of connections and not, or not only, on record.
#[derive(Debug, Default)]
pub(super) struct Presences {
    roll: Mutex<Roll>,
    /// When this server started, in milliseconds.
    started: AtomicU64,
    /// One flush at a time.
    flushing: tokio::sync::Mutex<()>,
}

impl Presences {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        // A panic elsewhere cannot leave it half changed: nothing in these sections panics.
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many devices are connected.
    pub(super) fn online(&self) -> u64 {
        self.roll().online.len() as u64
    }

    /// Ids of connected devices behind `after`, ascending, at most so many. Some may be of devices that are on no record, or not
    /// yet as of an older snapshot.
    pub(super) fn online_after(&self, after: Option<DeviceId>, limit: usize) -> Vec<u128> {
        let from = after.map_or(Unbounded, |after| Excluded(after.as_u128()));
        let roll = self.roll();
        roll.online
            .range((from, Unbounded))
            .map(|(id, _)| *id)
            .take(limit)
            .collect()
    }

    /// A device's presence: what is known here, or what the table says.
    pub(super) fn of(
        &self,
        table: &impl ReadableTable<u128, &'static [u8]>,
        id: DeviceId,
    ) -> Result<Option<Presence>, StoreError> {
        let id = id.as_u128();
        let known = {
            let roll = self.roll();
            let online = roll.online.get(&id).map(|session| session.presence);
            online.or_else(|| roll.unwritten.get(&id).or_else(|| roll.written.get(&id)).copied())
        };
        if known.is_some() {
            return Ok(known);
        }
        let started = Timestamp::from_millis(self.started.load(Ordering::Relaxed));
        let recorded = load::<Presence>(table, id)?;
        // Whoever is connected to this server was found above.
        Ok(recorded.map(|presence| presence.after_restart(started)))
    }

    fn arrived(&self, id: DeviceId, presence: Presence) -> u64 {
        let mut roll = self.roll();
        roll.arrivals += 1;
        let number = roll.arrivals;
        roll.online.insert(id.as_u128(), Session { number, presence });
        roll.unwritten.insert(id.as_u128(), presence);
        number
    }

    fn departed(&self, id: DeviceId, number: u64, departure: Departure, now: Timestamp) -> Option<Presence> {
        let (mut roll, id) = (self.roll(), id.as_u128());
        let session = roll.online.get(&id).filter(|session| session.number == number)?;
        let presence = session.presence.departed(now, departure);
        roll.online.remove(&id);
        roll.unwritten.insert(id, presence);
        Some(presence)
    }

    fn to_write(&self) -> Vec<(u128, Presence)> {
        let roll = self.roll();
        let entries = roll.unwritten.iter().take(FLUSH_PART);
        entries.map(|(id, presence)| (*id, *presence)).collect()
    }

    fn wrote(&self, entries: &[(u128, Presence)]) {
        let mut roll = self.roll();
        for (id, presence) in entries {
            // Unless it came or went meanwhile.
            if roll.unwritten.get(id) == Some(presence) {
                roll.unwritten.remove(id);
            }
            roll.written.insert(*id, *presence);
        }
    }
}

impl Store {
    /// From then on, devices that an earlier server left as connected count as gone since `now`, when this one started.
    pub fn note_start(&self, now: Timestamp) {
        let started = &self.shared.presences.started;
        started.store(now.millis(), Ordering::Relaxed);
        let mut roll = self.shared.presences.roll();
        roll.arrivals = roll.arrivals.max(now.seconds() << ARRIVAL_BITS);
    }

    /// Notes that a device is connected; its former connection, if it has one, counts no more. Not durable, and costs nothing. The
    /// number goes to [`Store::departed`].
    pub fn arrived(&self, device: DeviceId, source: IpAddr, now: Timestamp) -> u64 {
        let number = self
            .shared
            .presences
            .arrived(device, Presence::online(now, source));
        self.live().watches.mark(&[device.as_u128()]);
        number
    }

    /// Notes that the connection of that number ended; how the device is since. Where it has a newer one, it stays online: `None`.
    pub fn departed(
        &self,
        device: DeviceId,
        number: u64,
        departure: Departure,
        now: Timestamp,
    ) -> Option<Presence> {
        let presence = self.shared.presences.departed(device, number, departure, now);
        self.live().watches.mark(&[device.as_u128()]);
        presence
    }

    /// How many devices are connected.
    pub fn online(&self) -> u64 {
        self.shared.presences.online()
    }

    /// Of the connected devices behind `after`, at most so many looked at: those that have not confirmed their desired state.
    pub async fn unconfirmed(
        &self,
        after: Option<DeviceId>,
        limit: usize,
    ) -> Result<UnconfirmedPage, StoreError> {
        let online = self.shared.presences.online_after(after, limit);
        self.blocking(move |txn| unconfirmed(&txn.open_table(DEVICES)?, &online, limit))
            .await
    }

    /// Writes who came and went since the last flush; says how many devices that were. What cannot be written stays for the next
    /// one.
    pub async fn flush_presence(&self) -> Result<u64, StoreError> {
        let presences = &self.shared.presences;
        let _turn = presences.flushing.lock().await;
        presences.roll().written.clear();
        let mut flushed = 0;
        loop {
            let entries: Arc<[_]> = presences.to_write().into();
            if entries.is_empty() {
                return Ok(flushed);
            }
            let rows = Arc::clone(&entries);
            self.write_rows(entries.len(), move |txn| write(txn, &rows))
                .await?;
            presences.wrote(&entries);
            flushed += entries.len() as u64;
            // What came behind it waits for the next flush: busy devices must not keep this one going.
            if entries.len() < FLUSH_PART {
                return Ok(flushed);
            }
        }
    }

    /// The device with its presence, to be looked at.
    pub(super) fn present(
        &self,
        txn: &ReadTransaction,
        device: Option<Device>,
    ) -> Result<Option<Device>, StoreError> {
        let Some(mut device) = device else {
            return Ok(None);
        };
        device.presence = self.shared.presences.of(&txn.open_table(PRESENCE)?, device.id)?;
        Ok(Some(device))
    }

    /// The same, of a device that a transaction changed.
    pub(super) fn changed(
        &self,
        answer: Result<Device, Refusal>,
    ) -> Result<Result<Device, Refusal>, StoreError> {
        let mut device = match answer {
            Ok(device) => device,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let table = self.read()?.open_table(PRESENCE)?;
        device.presence = self.shared.presences.of(&table, device.id)?;
        Ok(Ok(device))
    }
}

/// Looks through these devices; fewer than `limit` are the last ones.
fn unconfirmed(
    table: &impl ReadableTable<u128, &'static [u8]>,
    online: &[u128],
    limit: usize,
) -> Result<UnconfirmedPage, StoreError> {
    let mut devices = Vec::new();
    for &id in online {
        // A device that was taken back is on no record any more; its session ends.
        let Some(device) = load::<Device>(table, id)? else {
            continue;
        };
        if matches!(device.verification, Verification::Pending) {
            devices.push((device.id, device.target.generation));
        }
    }
    let last = online.last().filter(|_| online.len() == limit);
    Ok(UnconfirmedPage {
        devices,
        next: last.copied().map(DeviceId::from_u128),
    })
}

/// In the order of the keys. A device that was taken back since is on no record any more.
fn write(txn: &mut Txn<'_>, entries: &[(u128, Presence)]) -> Result<(), StoreError> {
    let tables = txn.write();
    for (id, presence) in entries {
        if tables.devices.get(*id)?.is_some() {
            tables.presence.insert(*id, presence.encode()?.as_slice())?;
        }
    }
    Ok(())
}
