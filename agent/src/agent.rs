//! An agent as a library: open it, listen to it, run it.

use crate::{
    apply,
    authors::{AuthorError, Authors},
    clock::Clock,
    config::Settings,
    disk::{Disk, RealDisk},
    driver::Driver,
    enroll,
    event::AgentEvent,
    identity::{DeviceId, DeviceKey, Identity, Next, Origin, Sessions, Trust, TrustError},
    ledger::Ledger,
    machine::{Machine, Memory, Pace},
    record::StateError,
    worker::Worker,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::{
    fmt,
    fs::{File, TryLockError},
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::broadcast;

/// Events that wait for a slow listener; it is told how many it missed.
const EVENTS: usize = 64;

/// Why an agent cannot start. Once it runs, it does not give up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The file of pinned roots cannot be read.
    #[error("cannot read the pinned roots")]
    Roots(#[source] io::Error),
    /// The pinned roots are none.
    #[error("cannot use the pinned roots")]
    Trust(#[from] TrustError),
    /// A directory cannot be opened.
    #[error("cannot open the directory {0}")]
    Directory(PathBuf, #[source] io::Error),
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[from] StateError),
    /// A key of the firmware's authors cannot be used.
    #[error("cannot use the firmware key {0}")]
    Author(PathBuf, #[source] AuthorError),
    /// There is no identity yet, and no key that the registry could know.
    #[error("this device has no key to claim with; give it one with `muster-agent adopt`")]
    Key,
    /// There is no identity yet, and no code to earn one.
    #[error("cannot read the activation code")]
    Code(#[source] io::Error),
}

/// A device's agent, opened and not yet running.
pub struct Agent {
    settings: Settings,
    trust: Trust,
    authors: Authors,
    identity: Option<Identity>,
    next: Option<Next>,
    ledger: Ledger,
    state: Arc<dyn Disk>,
    target: Arc<dyn Disk>,
    events: broadcast::Sender<AgentEvent>,
    /// Held as long as the agent lives.
    _lock: File,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The state directory, held by this process alone, and the roots that the device trusts.
pub(crate) struct Locked {
    pub(crate) state: Arc<dyn Disk>,
    pub(crate) trust: Trust,
    clock: Clock,
    lock: File,
}

impl Locked {
    pub(crate) fn open(settings: &Settings) -> Result<Self, AgentError> {
        let clock = Clock::new(settings.clock());
        let pem = settings.roots().map_err(AgentError::Roots)?;
        let trust = Trust::from_pem(&pem, clock.clone())?;
        let state = open(settings.state_directory())?;
        let lock = lock(settings.state_directory())?;
        let trust = trust.remembered(&*state)?;
        Ok(Self {
            state,
            trust,
            clock,
            lock,
        })
    }
}

impl Agent {
    /// Opens the keys of the firmware's authors, the state directory and the pinned roots. Makes the directories when they are
    /// not there; connects to nothing, and makes no key yet.
    pub fn new(settings: Settings) -> Result<Self, AgentError> {
        let authors = Authors::load(&settings)?;
        let Locked {
            state,
            trust,
            clock,
            lock,
        } = Locked::open(&settings)?;
        let target = open(&settings.apply_directory())?;
        // First, for a renewal that a power loss cut is finished here.
        let next = Next::load(&*state)?;
        let identity = Identity::load(&*state)?;
        let mut ledger = Ledger::open(Arc::clone(&state), &clock)?;
        match &identity {
            Some(identity) => {
                clock.raise(identity.not_before());
                ledger.revive(identity.device(), &trust);
            }
            None if settings.code().is_key() => {
                DeviceKey::load(&*state)?.ok_or(AgentError::Key)?;
            }
            None => drop(enroll::code(settings.code()).map_err(AgentError::Code)?),
        }
        let (events, _) = broadcast::channel(EVENTS);
        Ok(Self {
            settings,
            trust,
            authors,
            identity,
            next,
            ledger,
            state,
            target,
            events,
            _lock: lock,
        })
    }

    /// What happens from now on. Ask before [`Agent::run`]; a listener that falls behind by more than 64 events is
    /// told so by its receiver.
    pub fn events(&self) -> broadcast::Receiver<AgentEvent> {
        self.events.subscribe()
    }

    /// The id of this device; `None` until its claim was granted.
    pub fn device_id(&self) -> Option<&DeviceId> {
        self.identity.as_ref().map(Identity::device)
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs until `shutdown` is ready: claims when there is no identity, connects, applies, reports, and starts over
    /// when the connection breaks. Errors only for what no repetition mends.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
        let (state, code) = (Arc::clone(&self.state), self.settings.code().clone());
        let claimed = self.identity.is_some();
        let unproven = self.ledger.desired().is_none().then(|| Arc::clone(&self.target));
        let made = tokio::task::spawn_blocking(move || {
            unproven.map_or(Ok(()), |target| apply::withdraw(&*target))?;
            if claimed {
                // A power loss may have come between the identity and this.
                enroll::wipe(&code);
            }
            DeviceKey::load_or_make(&*state)
        });
        let made = made.await;
        let (key, origin) = match made {
            Ok(made) => made?,
            Err(_stopped) => return Ok(()),
        };
        if origin == Origin::Made {
            tracing::info!("key made");
            let _listeners = self.events.send(AgentEvent::KeyMade);
        }
        // A generation that is not believed any more counts as none here, so that the registry's next word about it is
        // heard; the ledger bars older ones all the same.
        let memory = Memory {
            claimed: self.identity.is_some(),
            held: self.ledger.desired().and_then(|_| self.ledger.held()),
            applied: self.ledger.applied().map(|applied| applied.mark),
        };
        let pace = Pace {
            reconnect: self.settings.reconnect(),
            inspect_every: self.settings.inspect_every(),
            seed: random()?,
        };
        let key = Arc::new(key);
        let worker = Worker {
            ledger: Arc::new(Mutex::new(self.ledger)),
            state: Arc::clone(&self.state),
            key: Arc::clone(&key),
            target: self.target,
            clock: self.trust.clock().clone(),
            firmware: self.settings.firmware().clone(),
            authors: Arc::new(self.authors),
            hook: self.settings.hook().cloned().map(Arc::new),
        };
        let driver = Driver {
            machine: Machine::new(memory, pace),
            settings: self.settings,
            trust: self.trust,
            key,
            identity: self.identity,
            on_next: self.next.as_ref().is_some_and(|next| next.identity().is_some()),
            next: self.next,
            sessions: Sessions::default(),
            worker,
            events: self.events,
            boot_id: random()?,
            state: self.state,
        };
        driver.run(shutdown).await;
        Ok(())
    }
}

fn open(directory: &Path) -> Result<Arc<dyn Disk>, AgentError> {
    let disk = RealDisk::open(directory).map_err(|error| AgentError::Directory(directory.into(), error))?;
    Ok(Arc::new(disk))
}

/// Two agents in one directory would each believe in a ledger of their own.
fn lock(directory: &Path) -> Result<File, AgentError> {
    let failed = |error| AgentError::Directory(directory.into(), error);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join("lock"));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::Locked.into()),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn random() -> Result<u64, StateError> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| StateError::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}
