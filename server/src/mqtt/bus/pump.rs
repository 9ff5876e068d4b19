//! The threads between the bus and rumqttd: one puts messages in, one takes them out and watches that they come, one hears
//! uplinks.

use super::{super::hub::Hub, BusError, DOWN, Down, Ear, PROBE, UP, Uplink};
use rumqttd::{
    Notification,
    local::{LinkError, LinkRx, LinkTx},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Messages that wait for the router; more are dropped. Two megabytes, taken at the start.
const OUTBOX: usize = 32 << 10;
/// Bytes of uplinks that wait for the router; more are dropped.
const UPLINK_BYTES: usize = 16 << 20;
/// What each of them counts for beside its payload: with [`UPLINK_BYTES`], however short they are, half the outbox is left for
/// messages to gates.
const UPLINK_OVERHEAD: usize = 1 << 10;
/// Messages of one batch.
const BATCH: usize = 512;
/// Bytes of one batch of uplinks, about.
const BATCH_BYTES: usize = 256 << 10;
/// Between two probes.
const BEAT: Duration = Duration::from_secs(1);
/// A probe that is not back after this long, with nothing else coming either: the router is dead. Counted from the
/// probe and not from the last sign of life, so that a machine short of CPU is not taken for dead.
const DEAD_AFTER: Duration = Duration::from_secs(3);
/// How often that is looked at; with [`BEAT`] and [`DEAD_AFTER`] a death shows within five seconds.
const LOOK: Duration = Duration::from_millis(500);
/// For the first probe to come back.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// Since when a probe is on its way, in milliseconds from the start of the pump; 0 for none.
#[derive(Debug)]
struct Probe {
    start: Instant,
    since: AtomicU64,
}

impl Probe {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            since: AtomicU64::new(0),
        }
    }

    fn millis(&self) -> u64 {
        let millis = u64::try_from(self.start.elapsed().as_millis());
        millis.unwrap_or(u64::MAX).max(1)
    }

    /// A probe leaves; an older one that is still out counts on.
    fn is_sent(&self) {
        if self.since.load(Ordering::Acquire) == 0 {
            self.since.store(self.millis(), Ordering::Release);
        }
    }

    fn is_back(&self) {
        self.since.store(0, Ordering::Release);
    }

    fn is_overdue(&self) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let out = Duration::from_millis(self.millis().saturating_sub(since));
        since != 0 && out >= DEAD_AFTER
    }
}

/// What it counts for while it waits.
fn weight(uplink: &Uplink) -> usize {
    uplink.payload.len() + UPLINK_OVERHEAD
}

enum Out {
    Down(Down),
    /// In a box, or every message would take the room of the largest.
    Up(Box<Uplink>),
}

/// The end at which messages are put in.
pub(super) struct Outbox {
    queue: SyncSender<Out>,
    uplink_bytes: Arc<AtomicUsize>,
    dead: watch::Receiver<bool>,
}

/// What [`Pump::start`] sets going.
pub(super) struct Pump {
    pub(super) outbox: Outbox,
    pub(super) dead: watch::Receiver<bool>,
}

impl Outbox {
    pub(super) fn down(&self, down: Down) -> Result<(), BusError> {
        self.put(Out::Down(down))
    }

    pub(super) fn up(&self, uplink: Uplink) -> Result<(), BusError> {
        let bytes = weight(&uplink);
        if self.uplink_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > UPLINK_BYTES {
            self.uplink_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BusError::Full);
        }
        self.put(Out::Up(Box::new(uplink))).inspect_err(|_| {
            self.uplink_bytes.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    fn put(&self, out: Out) -> Result<(), BusError> {
        if *self.dead.borrow() {
            return Err(BusError::Dead);
        }
        self.queue.try_send(out).map_err(|error| match error {
            TrySendError::Full(_) => BusError::Full,
            TrySendError::Disconnected(_) => BusError::Dead,
        })
    }
}

impl Pump {
    /// Starts the threads. They end when the outbox is dropped.
    pub(super) fn start(sender: LinkTx, receiver: LinkRx, hub: Arc<Hub>, ear: Ear) -> Result<Self, BusError> {
        let (queue, waiting) = sync_channel(OUTBOX);
        let (declare, dead) = watch::channel(false);
        let (alive, first_sign) = channel();
        let uplink_bytes = Arc::<AtomicUsize>::default();
        // Set by the outgoing thread when the bus is dropped: silence is then no death.
        let closed = Arc::<AtomicBool>::default();
        let probe = Arc::new(Probe::new());
        let inward = Inward {
            receiver,
            hub,
            probe: Arc::clone(&probe),
            closed: Arc::clone(&closed),
        };
        thread::Builder::new().name("bus-in".into()).spawn(move || {
            if let Some(why) = inward.run(&alive) {
                tracing::error!(why, "the bus is dead");
                declare.send_replace(true);
            }
        })?;
        let until = Arc::clone(&closed);
        thread::Builder::new()
            .name("bus-ear".into())
            .spawn(move || ear.run(&until))?;
        let mut outward = Outward {
            sender,
            waiting,
            uplink_bytes: Arc::clone(&uplink_bytes),
            probe,
            beat: Instant::now(),
        };
        thread::Builder::new()
            .name("bus-out".into())
            .spawn(move || match outward.run() {
                Ok(()) => closed.store(true, Ordering::Release),
                Err(error) => tracing::error!(%error, "the bus takes no more messages"),
            })?;
        first_sign
            .recv_timeout(START_DEADLINE)
            .map_err(|_| BusError::Silent)?;
        Ok(Self {
            outbox: Outbox {
                queue,
                uplink_bytes,
                dead: dead.clone(),
            },
            dead,
        })
    }
}

struct Outward {
    sender: LinkTx,
    waiting: Receiver<Out>,
    uplink_bytes: Arc<AtomicUsize>,
    probe: Arc<Probe>,
    beat: Instant,
}

impl Outward {
    fn run(&mut self) -> Result<(), BusError> {
        self.sender.subscribe(DOWN)?;
        self.sender.subscribe(PROBE)?;
        // A message overtakes no subscription of its own link, so the first probe comes back.
        self.probe()?;
        loop {
            let first = match self
                .waiting
                .recv_timeout(BEAT.saturating_sub(self.beat.elapsed()))
            {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if self.beat.elapsed() >= BEAT {
                self.probe()?;
            }
            if let Some(first) = first {
                self.batch(first)?;
            }
        }
    }

    fn probe(&mut self) -> Result<(), BusError> {
        self.beat = Instant::now();
        // Before it leaves: a router that hangs may block even that.
        self.probe.is_sent();
        // rumqttd takes an empty payload for the end of a retained message.
        self.sender.publish(PROBE, "?")?;
        Ok(())
    }

    fn batch(&mut self, first: Out) -> Result<(), BusError> {
        let (mut downs, mut ups, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(out) = next {
            match out {
                Out::Down(down) => downs.push(down),
                Out::Up(uplink) => {
                    bytes += weight(&uplink);
                    ups.push(*uplink);
                }
            }
            let full = downs.len() + ups.len() >= BATCH || bytes >= BATCH_BYTES;
            next = if full { None } else { self.waiting.try_recv().ok() };
        }
        self.uplink_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if !downs.is_empty() {
            self.publish(DOWN, postcard::to_allocvec(&downs))?;
        }
        if !ups.is_empty() {
            self.publish(UP, postcard::to_allocvec(&ups))?;
        }
        Ok(())
    }

    fn publish(&mut self, topic: &str, batch: postcard::Result<Vec<u8>>) -> Result<(), BusError> {
        match batch {
            Ok(batch) => {
                self.sender.publish(topic.to_owned(), batch)?;
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, topic, "a batch cannot be encoded");
                Ok(())
            }
        }
    }
}

struct Inward {
    receiver: LinkRx,
    hub: Arc<Hub>,
    probe: Arc<Probe>,
    closed: Arc<AtomicBool>,
}

impl Inward {
    /// Runs until the router is dead, and says how that showed, or until the bus is dropped.
    fn run(mut self, alive: &Sender<()>) -> Option<String> {
        let mut first = Some(alive);
        while !self.closed.load(Ordering::Acquire) {
            let deadline = Instant::now() + LOOK;
            match self.receiver.recv_deadline(deadline) {
                Ok(Some(notification)) => {
                    self.probe.is_back();
                    if self.take(notification)
                        && let Some(alive) = first.take()
                        && alive.send(()).is_err()
                    {
                        tracing::warn!("the bus came alive too late");
                    }
                }
                Ok(None) => {}
                // Before its time this error means that the router dropped its end.
                Err(LinkError::RecvTimeout(_)) if Instant::now() >= deadline => {
                    if self.probe.is_overdue() {
                        return Some("the router does not answer".into());
                    }
                }
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    /// Whether this came by way of a subscription.
    fn take(&self, notification: Notification) -> bool {
        match notification {
            Notification::Forward(forward) => {
                if forward.publish.topic == DOWN {
                    self.deliver(&forward.publish.payload);
                }
                true
            }
            // The router filled our channel and waits for a word before it goes on; it counts the words, so each
            // notification gets one.
            Notification::Unschedule => {
                if let Err(error) = self.receiver.ready() {
                    tracing::error!(%error, "cannot ask the bus to go on");
                }
                false
            }
            _ => false,
        }
    }

    fn deliver(&self, batch: &[u8]) {
        match postcard::from_bytes::<Vec<Down>>(batch) {
            Ok(batch) => batch.into_iter().for_each(|down| self.hub.deliver(down)),
            Err(error) => tracing::error!(%error, "a batch on the bus cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Spoken, *};
    use muster_domain::ids::DeviceId;

    fn outbox() -> (Outbox, Receiver<Out>, watch::Sender<bool>) {
        let (queue, waiting) = sync_channel(OUTBOX);
        let (declare, dead) = watch::channel(false);
        let outbox = Outbox {
            queue,
            uplink_bytes: Arc::default(),
            dead,
        };
        (outbox, waiting, declare)
    }

    fn uplink(bytes: usize) -> Uplink {
        Uplink {
            device: DeviceId::from_u128(1),
            spoken: Spoken::Hello,
            json: false,
            payload: vec![0; bytes].into(),
        }
    }

    #[test]
    fn messages_that_wait_are_bounded() {
        let (outbox, _waiting, _declare) = outbox();
        let down = Down::Kick(DeviceId::from_u128(1));
        assert!((0..OUTBOX).all(|_| outbox.down(down).is_ok()));
        assert!(matches!(outbox.down(down), Err(BusError::Full)));
    }

    #[test]
    fn bytes_that_wait_are_bounded() {
        let (outbox, waiting, declare) = outbox();
        let bytes = (256 << 10) - UPLINK_OVERHEAD;
        assert!((0..64).all(|_| outbox.up(uplink(bytes)).is_ok()));
        assert!(matches!(outbox.up(uplink(1)), Err(BusError::Full)));
        // What was refused counts for nothing, and messages to gates have a bound of their own.
        assert!(outbox.down(Down::Kick(DeviceId::from_u128(1))).is_ok());
        assert_eq!(outbox.uplink_bytes.load(Ordering::Relaxed), UPLINK_BYTES);
        declare.send_replace(true);
        assert!(matches!(
            outbox.up(uplink(0)),
            Err(BusError::Full | BusError::Dead)
        ));
        assert_eq!(waiting.try_iter().count(), 65);
    }

    #[test]
    fn uplinks_leave_room_for_messages_to_gates() {
        let (outbox, _waiting, _declare) = outbox();
        let sent = (0..OUTBOX).filter(|_| outbox.up(uplink(1)).is_ok()).count();
        assert!((OUTBOX / 3..=OUTBOX / 2).contains(&sent), "{sent}");
        let down = Down::Kick(DeviceId::from_u128(1));
        assert!((0..OUTBOX / 2).all(|_| outbox.down(down).is_ok()));
    }

    #[test]
    fn a_probe_is_overdue_when_it_does_not_come_back() {
        let mut probe = Probe::new();
        assert!(!probe.is_overdue(), "none is out");
        probe.is_sent();
        assert!(!probe.is_overdue());
        probe.start -= DEAD_AFTER + Duration::from_millis(1);
        assert!(probe.is_overdue());
        probe.is_sent();
        assert!(probe.is_overdue(), "a later probe does not hide an earlier one");
        probe.is_back();
        assert!(!probe.is_overdue());
    }
}
