//! The bus between gates, and from gates to integrators: rumqttd, in process, out of reach of any device.
//!
//! Topics are few and fixed, and the device id travels inside the message: rumqttd keeps every distinct topic for
//! ever and scans all filters for each new one. Messages are joined into batches, because its log counts only
//! topic and payload, not the hundred bytes it spends on each message. All its calls block, so they are made by three
//! threads of ours; nothing async ever waits for the router. Uplinks come back on a link of their own: a flood of them holds up
//! no kick.
//!
//! The bus is lossy by design: what is full or dead loses messages, truth is in the store.

mod ear;
mod pump;

use super::{
    hub::Hub,
    meter::{Lost, Meter},
};
use bytes::Bytes;
use ear::Ear;
use muster_domain::{
    certificate::{AuthorityId, SpkiDigest},
    ids::DeviceId,
};
use muster_proto::topic::Channel;
use pump::{Outbox, Pump};
use rumqttd::{Broker, Config, RouterConfig, SegmentConfig, local::LinkError};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt, sync::Arc};
use tokio::sync::watch;

/// To the gates.
pub(in crate::mqtt) const DOWN: &str = "muster/bus/down";
/// From the gates, to integrators.
pub(in crate::mqtt) const UP: &str = "muster/bus/up";
/// From this process to itself, to see that the router lives.
const PROBE: &str = "muster/bus/probe";

/// What the log keeps of a topic: four segments of this size. Measured by an earlier prototype: 16 MB x 4 lost nothing
/// in a burst, 2 kB x 2 lost 96 %. Memory is taken as messages come.
const SEGMENT_BYTES: usize = 16 << 20;
const SEGMENTS: usize = 4;
/// Messages to gates are 20 bytes each, but for the few about operators: 4 MiB are 200,000 of them, four segments 800,000.
const DOWN_SEGMENT_BYTES: usize = 4 << 20;
/// Probes are not worth keeping; 1 KiB is the least rumqttd takes.
const PROBE_SEGMENT_BYTES: usize = 1 << 10;
/// Links: two of ours, and room for tests.
const LINKS: usize = 16;
/// Messages that the router hands to a link at once; its own channel holds 200.
const FORWARD_AT_ONCE: u64 = 100;

/// What gates are told about a device, or about an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// It was shut out: its session ends at once.
    Kick(DeviceId),
    /// It must be something else now: it is sent its desired state.
    DesiredChanged(DeviceId),
    /// Its certificate should be renewed: it is told.
    RenewalOrdered(DeviceId),
    /// The operator with this key was shut out: their sessions end at once.
    OperatorOut(SpkiDigest),
}

/// What integrators hear of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::mqtt) enum Spoken {
    /// What it applied.
    Report,
    /// What it has.
    Hello,
    /// That it came, or went; said by the gate.
    Presence,
}

impl Spoken {
    /// What is spoken on a channel, if integrators hear that.
    pub(in crate::mqtt) const fn on(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Report => Some(Self::Report),
            Channel::Hello => Some(Self::Hello),
            Channel::Presence => Some(Self::Presence),
            Channel::Desired
            | Channel::Sealed
            | Channel::Renew
            | Channel::Certificate
            | Channel::Trusted
            | Channel::Trust => None,
        }
    }

    /// Where it is spoken.
    pub(in crate::mqtt) const fn channel(self) -> Channel {
        match self {
            Self::Report => Channel::Report,
            Self::Hello => Channel::Hello,
            Self::Presence => Channel::Presence,
        }
    }
}

/// What a device said or did, and the registry recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::mqtt) struct Uplink {
    /// Who.
    pub(in crate::mqtt) device: DeviceId,
    /// What kind of message it is.
    pub(in crate::mqtt) spoken: Spoken,
    /// In JSON; otherwise postcard.
    pub(in crate::mqtt) json: bool,
    /// As it came.
    pub(in crate::mqtt) payload: Bytes,
}

/// Why the bus did not do it.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// rumqttd gave no link.
    #[error("the bus gives no link")]
    Link(#[source] Box<LinkError>),
    /// A thread of ours could not be started.
    #[error("cannot start a thread for the bus")]
    Thread(#[from] std::io::Error),
    /// The router did not answer its first probe.
    #[error("the bus does not answer")]
    Silent,
    /// More messages wait than may; this one is lost.
    #[error("the bus is full; a message was dropped")]
    Full,
    /// The router is gone.
    #[error("the bus is dead")]
    Dead,
}

impl From<LinkError> for BusError {
    fn from(error: LinkError) -> Self {
        // It carries a whole event of the router.
        Self::Link(Box::new(error))
    }
}

struct Inner {
    hub: Arc<Hub>,
    meter: Meter,
    outbox: Outbox,
    dead: watch::Receiver<bool>,
    #[cfg(test)]
    broker: Broker,
}

/// The bus, and the hub of this process's sessions at its end. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("sessions", &self.inner.hub.len())
            .finish_non_exhaustive()
    }
}

fn router() -> RouterConfig {
    let segment = |max_segment_size, max_segment_count| SegmentConfig {
        max_segment_size,
        max_segment_count,
    };
    let custom = HashMap::from([
        (DOWN.to_owned(), segment(DOWN_SEGMENT_BYTES, SEGMENTS)),
        (PROBE.to_owned(), segment(PROBE_SEGMENT_BYTES, 1)),
    ]);
    RouterConfig {
        max_connections: LINKS,
        max_outgoing_packet_count: FORWARD_AT_ONCE,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        custom_segment: Some(custom),
        ..RouterConfig::default()
    }
}

impl Bus {
    /// Starts the router and the threads that feed and empty it; four threads in all. Returns when a first message
    /// has gone round.
    pub fn start() -> Result<Self, BusError> {
        let broker = Broker::new(Config {
            router: router(),
            ..Config::default()
        });
        let hub = Arc::<Hub>::default();
        // Before anything is published: whoever is listening from then on misses nothing.
        let (sender, receiver) = broker.link("audience")?;
        let ear = Ear::new(sender, receiver, Arc::clone(hub.audience()))?;
        let (sender, receiver) = broker.link("gate")?;
        let Pump { outbox, dead } = Pump::start(sender, receiver, Arc::clone(&hub), ear)?;
        Ok(Self {
            inner: Arc::new(Inner {
                hub,
                meter: Meter::default(),
                outbox,
                dead,
                #[cfg(test)]
                broker,
            }),
        })
    }

    /// Tells every gate, this process's too. Never waits. What the bus has no room for still reaches the sessions of this
    /// process, where it is a bell that rings; an error says that other gates do not hear of it.
    pub fn send_down(&self, down: &Down) -> Result<(), BusError> {
        self.inner.outbox.down(*down).inspect_err(|_| {
            self.inner.meter.drops(Lost::Down);
            self.inner.hub.deliver(*down);
        })
    }

    /// Tells integrators, as far as there is room. The uplink is made only if somebody wants to hear devices, who can only be here:
    /// no other process is on this bus.
    pub(in crate::mqtt) fn send_up(&self, uplink: impl FnOnce() -> Uplink) {
        if !self.inner.hub.audience().is_listening() {
            return;
        }
        if let Err(error) = self.inner.outbox.up(uplink()) {
            self.inner.meter.drops(Lost::Up);
            tracing::debug!(%error, "uplink not forwarded");
        }
    }

    /// Whether the device has a session at this gate.
    pub fn is_connected(&self, device: DeviceId) -> bool {
        self.inner.hub.is_connected(device)
    }

    /// Ends every session at this gate whose certificate is of an authority that is trusted no more; says how many. Each gate
    /// has its own authority opened, and looks after its own sessions.
    pub fn shut_out(&self, is_trusted: impl Fn(AuthorityId) -> bool) -> usize {
        self.inner.hub.audience().judge_anew();
        self.inner.hub.shut_out(is_trusted)
    }

    /// Devices at this gate are to trust other roots: each is told.
    pub fn trust_changed(&self) {
        self.inner.hub.trust_changed();
    }

    /// Device sessions at this gate.
    pub fn sessions(&self) -> usize {
        self.inner.hub.len()
    }

    /// Resolves when the router is dead, within five seconds of its death. The process should then end with an error: its
    /// supervisor starts a new one, and devices reconnect.
    pub async fn dead(&self) {
        let mut dead = self.inner.dead.clone();
        // An error says that the thread that watches is gone, which is no better.
        drop(dead.wait_for(|&dead| dead).await);
    }

    /// What is counted at this gate.
    pub(crate) fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    pub(in crate::mqtt) fn hub(&self) -> &Arc<Hub> {
        &self.inner.hub
    }

    /// A further link to the router. Its calls block.
    #[cfg(test)]
    pub(in crate::mqtt) fn link(
        &self,
        name: &str,
    ) -> Result<(rumqttd::local::LinkTx, rumqttd::local::LinkRx), BusError> {
        Ok(self.inner.broker.link(name)?)
    }
}
