//! Devices that are there: each a task, which is its agent and the server's session with it.

use super::{
    cast::Role,
    host::{Host, Member, PROFILE},
};
use anyhow::Context as _;
use muster_agent::{AgentEvent, BareAgent, BareTrust, DeviceId, Judge};
use muster_proto::payload::Desired;
use muster_server::{mqtt::door::Door, service::Service};
use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

/// Devices between their CONNECT and their first report. More would wait for the store all the same.
const JOINING: usize = 2000;
/// Most bytes under way in one direction: the largest part of a desired state. Taken only when they are.
const PIPE: usize = 1024;
/// Bytes read at once, on the stack.
const READ: usize = 1024;
/// If nobody proves anything for so long, nobody will.
const PATIENCE: Duration = Duration::from_secs(60);
/// The revision that failing devices cannot apply.
const NEW: u32 = 2;

/// What all devices say together.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Reports that the registry has, durably.
    pub(super) reports: AtomicU64,
    /// Devices that had their first report acknowledged.
    proved: AtomicUsize,
    someone: Notify,
    /// Connections that ended, and why the last one did.
    lost: Mutex<(usize, String)>,
    /// Envelopes that were not believed, or not applied, by devices whose role that is not.
    refused: AtomicU64,
}

/// All devices that are there.
pub(super) struct Crowd {
    door: Door<Service>,
    trust: BareTrust,
    healthy: Judge,
    failing: Judge,
    running: JoinSet<()>,
    joining: Arc<Semaphore>,
    pub(super) heard: Arc<Heard>,
    start: Instant,
}

/// One that is connected, or is about to be.
struct Device {
    agent: BareAgent,
    stream: DuplexStream,
    heard: Arc<Heard>,
    start: Instant,
    /// Given back with its first report.
    joining: Option<OwnedSemaphorePermit>,
    /// It may fail: that is its role.
    may_fail: bool,
}

fn failing(desired: &Desired) -> Result<(), String> {
    if desired.profile.as_deref() == Some(&format!("{PROFILE}@{NEW}")) {
        return Err("the new settings do not suit this device".to_owned());
    }
    Ok(())
}

impl Crowd {
    pub(super) fn new(host: &Host) -> anyhow::Result<Self> {
        let millis = Arc::clone(&host.millis);
        let time = Arc::new(move || millis.load(Ordering::Relaxed) / 1000);
        Ok(Self {
            door: host.door.clone(),
            trust: BareTrust::from_pem(&host.roots, time)?,
            healthy: Arc::new(|_| Ok(())),
            failing: Arc::new(failing),
            running: JoinSet::new(),
            joining: Arc::new(Semaphore::new(JOINING)),
            heard: Arc::new(Heard::default()),
            start: Instant::now(),
        })
    }

    /// A device connects.
    pub(super) async fn join(
        &mut self,
        members: &mut [Member],
        place: u32,
        role: Role,
    ) -> anyhow::Result<()> {
        let member = members
            .get_mut(super::index(place)?)
            .context("a device of the fleet")?;
        let leaf = member.leaf.take().context("it is there already")?;
        let device = DeviceId::parse(&member.id).context("the registry named no device")?;
        let judge = match role {
            Role::Healthy | Role::Offline => &self.healthy,
            Role::Failing => &self.failing,
        };
        let joining = Arc::clone(&self.joining).acquire_owned();
        let joining = timeout(PATIENCE, joining)
            .await
            .context("nobody gets anywhere")??;
        let (near, far) = duplex(PIPE);
        let device = Device {
            agent: BareAgent::new(device, self.trust.clone(), Arc::clone(judge)),
            stream: near,
            heard: Arc::clone(&self.heard),
            start: self.start,
            joining: Some(joining),
            may_fail: role == Role::Failing,
        };
        let door = self.door.clone();
        let [_, high, middle, low] = place.to_be_bytes();
        let source = IpAddr::from(Ipv4Addr::new(10, high, middle, low));
        self.running.spawn(async move {
            tokio::join!(door.serve(far, leaf, source), device.live());
        });
        Ok(())
    }

    /// Devices that proved what they were to be when they came.
    pub(super) fn proved(&self) -> usize {
        self.heard.proved.load(Ordering::Acquire)
    }

    /// Waits until so many have.
    pub(super) async fn all_proved(&self, count: usize) -> anyhow::Result<()> {
        let mut known = self.proved();
        while known < count {
            let someone = self.heard.someone.notified();
            let waited = timeout(PATIENCE, someone).await;
            let now = self.proved();
            anyhow::ensure!(
                waited.is_ok() || now > known,
                "{now} of {count} devices proved what they were to be, and then nobody for {PATIENCE:?}; {}",
                self.complaints().join("; ")
            );
            known = now;
        }
        Ok(())
    }

    /// What went wrong that never should.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let lost = self.heard.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.0 > 0 {
            complaints.push(format!(
                "{} connections were lost, the last one because {}",
                lost.0, lost.1
            ));
        }
        let refused = self.heard.refused.load(Ordering::Relaxed);
        if refused > 0 {
            complaints.push(format!(
                "{refused} envelopes were refused by devices that are well"
            ));
        }
        complaints
    }

    /// All go at once.
    pub(super) async fn leave(mut self) {
        self.running.shutdown().await;
    }
}

impl Device {
    /// To the end of its connection, which only comes with the end of the simulation.
    async fn live(mut self) {
        if let Err(error) = self.talk().await {
            let mut lost = self.heard.lost.lock().unwrap_or_else(PoisonError::into_inner);
            *lost = (lost.0 + 1, format!("{error:#}"));
        }
    }

    async fn talk(&mut self) -> anyhow::Result<()> {
        let (mut out, mut said) = (Vec::new(), Vec::new());
        self.agent.connect(self.start.elapsed(), &mut out)?;
        loop {
            exchange(&mut self.stream, &mut out, &mut said).await?;
            anyhow::ensure!(!said.is_empty(), "the server closed the connection");
            let told = self.agent.hear(self.start.elapsed(), &said, &mut out)?;
            // An idle device holds no buffer.
            said = Vec::new();
            for event in told {
                self.tell(&event);
            }
        }
    }

    fn tell(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Reported { .. } => {
                self.heard.reports.fetch_add(1, Ordering::Relaxed);
                if self.joining.take().is_some() {
                    self.heard.proved.fetch_add(1, Ordering::AcqRel);
                    self.heard.someone.notify_one();
                }
            }
            AgentEvent::Failed { .. } if !self.may_fail => {
                self.heard.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Writes what there is to say while it waits for what comes.
async fn exchange(stream: &mut DuplexStream, out: &mut Vec<u8>, said: &mut Vec<u8>) -> io::Result<()> {
    poll_fn(|context| poll(Pin::new(stream), context, out, said)).await
}

fn poll(
    mut stream: Pin<&mut DuplexStream>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
    said: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        match stream.as_mut().poll_write(context, out)? {
            Poll::Ready(written) => drop(out.drain(..written)),
            Poll::Pending => break,
        }
    }
    if out.is_empty() {
        *out = Vec::new();
    }
    let mut room = [0; READ];
    let mut came = ReadBuf::new(&mut room);
    ready!(stream.poll_read(context, &mut came))?;
    said.extend_from_slice(came.filled());
    Poll::Ready(Ok(()))
}
