//! The two threads between the bus and rumqttd: one puts messages in, one takes them out and watches that they come.

use super::{super::hub::Hub, BusError, DOWN, Down, PROBE, UP, Uplink};
use rumqttd::{
    Notification,
    local::{LinkError, LinkRx, LinkTx},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Messages that wait for the router; more are dropped. Twenty bytes each, payloads aside.
const OUTBOX: usize = 64 << 10;
/// Bytes of uplinks that wait for the router; more are dropped.
const UPLINK_BYTES: usize = 16 << 20;
/// Messages of one batch.
const BATCH: usize = 512;
/// Bytes of one batch of uplinks, about.
const BATCH_BYTES: usize = 256 << 10;
/// Between two probes.
const BEAT: Duration = Duration::from_secs(1);
/// Without a sign of life for this long the router is dead.
const DEAD_AFTER: Duration = Duration::from_secs(4);

enum Out {
    Down(Down),
    Up(Uplink),
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
        let bytes = uplink.payload.len();
        if self.uplink_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > UPLINK_BYTES {
            self.uplink_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BusError::Full);
        }
        self.put(Out::Up(uplink)).inspect_err(|_| {
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
    /// Starts both threads. They end when the outbox is dropped.
    pub(super) fn start(sender: LinkTx, receiver: LinkRx, hub: Arc<Hub>) -> Result<Self, BusError> {
        let (queue, waiting) = sync_channel(OUTBOX);
        let (declare, dead) = watch::channel(false);
        let (alive, first_sign) = channel();
        let uplink_bytes = Arc::<AtomicUsize>::default();
        // Set by the outgoing thread when the bus is dropped: silence is then no death.
        let closed = Arc::<AtomicBool>::default();
        let inward = Inward {
            receiver,
            hub,
            seen: Instant::now(),
            closed: Arc::clone(&closed),
        };
        thread::Builder::new().name("bus-in".into()).spawn(move || {
            if let Some(why) = inward.run(&alive) {
                tracing::error!(why, "the bus is dead");
                declare.send_replace(true);
            }
        })?;
        let mut outward = Outward {
            sender,
            waiting,
            uplink_bytes: Arc::clone(&uplink_bytes),
            beat: Instant::now(),
        };
        thread::Builder::new()
            .name("bus-out".into())
            .spawn(move || match outward.run() {
                Ok(()) => closed.store(true, Ordering::Release),
                Err(error) => tracing::error!(%error, "the bus takes no more messages"),
            })?;
        first_sign
            .recv_timeout(DEAD_AFTER)
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
    beat: Instant,
}

impl Outward {
    fn run(&mut self) -> Result<(), LinkError> {
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

    fn probe(&mut self) -> Result<(), LinkError> {
        self.beat = Instant::now();
        // rumqttd takes an empty payload for the end of a retained message.
        self.sender.publish(PROBE, "?").map(|_| ())
    }

    fn batch(&mut self, first: Out) -> Result<(), LinkError> {
        let (mut downs, mut ups, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(out) = next {
            match out {
                Out::Down(down) => downs.push(down),
                Out::Up(uplink) => {
                    bytes += uplink.payload.len();
                    ups.push(uplink);
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

    fn publish(&mut self, topic: &str, batch: postcard::Result<Vec<u8>>) -> Result<(), LinkError> {
        match batch {
            Ok(batch) => self.sender.publish(topic.to_owned(), batch).map(|_| ()),
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
    seen: Instant,
    closed: Arc<AtomicBool>,
}

impl Inward {
    /// Runs until the router is dead, and says how that showed, or until the bus is dropped.
    fn run(mut self, alive: &Sender<()>) -> Option<String> {
        let mut first = Some(alive);
        while !self.closed.load(Ordering::Acquire) {
            let deadline = Instant::now() + BEAT;
            match self.receiver.recv_deadline(deadline) {
                Ok(Some(notification)) => {
                    self.seen = Instant::now();
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
                    if self.seen.elapsed() >= DEAD_AFTER {
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
