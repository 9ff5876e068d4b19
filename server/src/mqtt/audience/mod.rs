//! The integrators' sessions at this gate: who sits where, what each wants to hear, and what waits for it.
//!
//! Whoever speaks here never waits: a message goes into the queue of each session that wants it, or is one too many for that
//! session, which then ends.

mod interest;
mod queue;
mod render;
mod wants;

pub(super) use interest::Interest;
pub(super) use queue::Message;

use super::{bus::Uplink, codec::QoS, hub::Cut};
use muster_domain::{Code, Refusal, certificate::SpkiDigest, names::OperatorName};
use muster_proto::topic::Encoding;
use queue::Queue;
use render::Rendered;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;
use wants::Wants;

/// Sessions of one operator: a program on a few machines, its tests, and a person who looks on.
const SESSIONS_EACH: usize = 16;
/// Sessions of all operators. With what may wait for each, they can hold half a gigabyte.
const SESSIONS: usize = 64;
/// Longest client id.
const ID_LIMIT: usize = 128;

const SHUT_OUT: u8 = 1;
const TAKEN_OVER: u8 = 2;
const JUDGED: u8 = 4;

#[derive(Debug, Default)]
struct Inner {
    wants: Wants,
    queue: Queue,
}

#[derive(Debug)]
struct Chair {
    key: SpkiDigest,
    rung: AtomicU8,
    inner: Mutex<Inner>,
    notify: Notify,
}

impl Chair {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave it half changed: nothing in these sections panics.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, why: u8) {
        self.rung.fetch_or(why, Ordering::AcqRel);
        self.notify.notify_one();
    }
}

#[derive(Debug, Default)]
struct Roll {
    /// By client id, which begins with the operator's name.
    chairs: HashMap<Arc<str>, Arc<Chair>>,
    /// Client ids that were assigned.
    assigned: u64,
}

/// All integrators.
#[derive(Debug, Default)]
pub(super) struct Audience {
    roll: Mutex<Roll>,
    /// Sessions that want to hear devices.
    listening: AtomicUsize,
}

/// A session's place; leaving is by drop.
#[derive(Debug)]
pub(super) struct Seat {
    audience: Arc<Audience>,
    id: Arc<str>,
    chair: Arc<Chair>,
}

/// What a session hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// End.
    Cut(Cut),
    /// End: that many messages waited, and one more had no room.
    Overrun(usize),
    /// Ask once more whether the operator is let in.
    Judge,
    /// Send this.
    Message(Arc<Message>, QoS),
}

/// May an operator of this name use this client id? Their name, alone or with a slash and more behind it: no name has a slash.
pub(super) fn is_own_id(name: &OperatorName, id: &str) -> bool {
    let rest = id.strip_prefix(name.as_str());
    let is_own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // It is shown to whoever looks for a slow one.
    is_own && id.len() <= ID_LIMIT && !id.contains(char::is_control)
}

fn crowd(whose: &str, limit: usize) -> Refusal {
    let why = format!("{whose} has {limit} connections, which is as many as may be");
    Refusal::new(Code::SubscriberCrowd, why)
}

impl Roll {
    /// An id that nobody has.
    fn assign(&mut self, name: &OperatorName) -> String {
        loop {
            self.assigned += 1;
            let id = format!("{name}/{}", self.assigned);
            if !self.chairs.contains_key(id.as_str()) {
                return id;
            }
        }
    }

    fn room(&self, key: SpkiDigest, id: &str) -> Result<(), Refusal> {
        if self.chairs.contains_key(id) {
            return Ok(());
        }
        if self.chairs.len() >= SESSIONS {
            return Err(crowd("the gate", SESSIONS));
        }
        let own = self.chairs.values().filter(|chair| chair.key == key).count();
        if own >= SESSIONS_EACH {
            return Err(crowd("the operator", SESSIONS_EACH));
        }
        Ok(())
    }
}

impl Audience {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat under this client id, or under one that is assigned when it is empty. A session that had it is cut.
    pub(super) fn enter(
        self: &Arc<Self>,
        name: &OperatorName,
        key: SpkiDigest,
        id: &str,
    ) -> Result<Seat, Refusal> {
        let mut roll = self.roll();
        let id = if id.is_empty() {
            roll.assign(name)
        } else {
            id.to_owned()
        };
        roll.room(key, &id)?;
        let (id, chair) = (Arc::<str>::from(id), Arc::new(Chair::new(key)));
        if let Some(former) = roll.chairs.insert(Arc::clone(&id), Arc::clone(&chair)) {
            former.ring(TAKEN_OVER);
        }
        drop(roll);
        Ok(Seat {
            audience: Arc::clone(self),
            id,
            chair,
        })
    }

    /// Ends every session of the operator with this key.
    pub(super) fn shut_out(&self, key: SpkiDigest) {
        let roll = self.roll();
        let own = roll.chairs.values().filter(|chair| chair.key == key);
        own.for_each(|chair| chair.ring(SHUT_OUT));
    }

    /// Has every session ask once more whether its operator is let in: their authorities are others now.
    pub(super) fn judge_anew(&self) {
        self.roll().chairs.values().for_each(|chair| chair.ring(JUDGED));
    }

    /// Whether anybody wants to hear devices. If not, nothing of what they say has to be written for anybody.
    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire) > 0
    }

    /// Passes uplinks on to every session that wants them, a message for each topic name. Never waits, and holds no lock while it
    /// writes a message: sessions share their threads with those of devices.
    pub(super) fn hear(&self, uplinks: &[Uplink]) {
        let chairs: Vec<_> = self.roll().chairs.values().cloned().collect();
        for uplink in uplinks {
            let mut rendered = Rendered::new(uplink);
            for chair in &chairs {
                chair.hear(&mut rendered);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.roll().chairs.len()
    }
}

impl Chair {
    fn new(key: SpkiDigest) -> Self {
        Self {
            key,
            rung: AtomicU8::new(0),
            inner: Mutex::default(),
            notify: Notify::new(),
        }
    }

    fn hear(&self, rendered: &mut Rendered<'_>) {
        let mut heard = false;
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let wanted = self.inner().wants.highest(rendered.interests(encoding));
            let Some(qos) = wanted else { continue };
            if let Some(message) = rendered.message(encoding) {
                self.inner().queue.push(message, qos);
                heard = true;
            }
        }
        if heard {
            self.notify.notify_one();
        }
    }
}

impl Seat {
    /// The client id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Subscribes; `false` when there are too many subscriptions.
    pub(super) fn subscribe(&self, interest: Interest, qos: QoS) -> bool {
        self.change(|wants| wants.add(interest, qos))
    }

    /// Whether it was subscribed.
    pub(super) fn unsubscribe(&self, interest: Interest) -> bool {
        self.change(|wants| wants.remove(interest))
    }

    /// Changes what is wanted, and counts who is listening: under one lock, so that the count is right.
    fn change(&self, change: impl FnOnce(&mut Wants) -> bool) -> bool {
        let mut inner = self.chair.inner();
        let before = inner.wants.hears_devices();
        let changed = change(&mut inner.wants);
        match (before, inner.wants.hears_devices()) {
            (false, true) => self.audience.listening.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.audience.listening.fetch_sub(1, Ordering::AcqRel),
            (false, false) | (true, true) => 0,
        };
        changed
    }

    /// At which QoS one of these is subscribed.
    pub(super) fn wanted(&self, interests: [Interest; 2]) -> Option<QoS> {
        self.chair.inner().wants.highest(interests)
    }

    /// Whether anything of the audit log is wanted.
    pub(super) fn hears_events(&self) -> bool {
        self.chair.inner().wants.hears_events()
    }

    fn cut_now(&self) -> Option<Cut> {
        let rung = self.chair.rung.load(Ordering::Acquire);
        if rung & SHUT_OUT != 0 {
            Some(Cut::Kicked)
        } else if rung & TAKEN_OVER != 0 {
            Some(Cut::TakenOver)
        } else {
            None
        }
    }

    /// How many messages waited when there were too many.
    pub(super) fn overrun(&self) -> Option<usize> {
        self.chair.inner().queue.overrun()
    }

    /// Waits for a cut only. What else there is stays for [`Seat::signal`].
    pub(super) async fn cut(&self) -> Cut {
        loop {
            if let Some(cut) = self.cut_now() {
                return cut;
            }
            self.chair.notify.notified().await;
        }
    }

    /// Waits for anything; for messages of QoS 1 only if `may_wait_for_ack`. Cancel safe: a message is taken only when it
    /// is given.
    pub(super) async fn signal(&self, may_wait_for_ack: bool) -> Signal {
        loop {
            if let Some(cut) = self.cut_now() {
                return Signal::Cut(cut);
            }
            if let Some(waited) = self.overrun() {
                return Signal::Overrun(waited);
            }
            if self.chair.rung.fetch_and(!JUDGED, Ordering::AcqRel) & JUDGED != 0 {
                return Signal::Judge;
            }
            let message = self.chair.inner().queue.pop(may_wait_for_ack);
            if let Some((message, qos)) = message {
                return Signal::Message(message, qos);
            }
            self.chair.notify.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.change(|wants| {
            *wants = Wants::default();
            true
        });
        let mut roll = self.audience.roll();
        let own = roll.chairs.get(&self.id);
        if own.is_some_and(|chair| Arc::ptr_eq(chair, &self.chair)) {
            roll.chairs.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
