//! Carries out what the machine decides: one loop, one connection, one piece of work.

use crate::{
    config::Settings,
    desired::{self, ENCODING},
    enroll::{self, Answer, Update},
    event::AgentEvent,
    identity::{self, DeviceKey, Identity, Next, Sessions, Trust},
    link::{Heard, Link, LinkError, Target},
    machine::{Action, Event, Machine, Mark, Outcome, Role, Sent, Status, Term, Work},
    sealed,
    worker::{self, Worker, chain},
};
use muster_proto::{
    payload::{self, Digest, Hello, Report, TrustBundle, Trusted},
    topic::{Channel, Topic},
};
use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until, timeout},
};

/// How long work that is under way may take to end when the agent stops: an fsync, not a hook.
const STOP_LIMIT: Duration = Duration::from_secs(3);

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The parts of a running agent.
pub(crate) struct Driver {
    pub(crate) settings: Settings,
    pub(crate) trust: Trust,
    pub(crate) key: Arc<DeviceKey>,
    pub(crate) identity: Option<Identity>,
    /// What is to take the place of key and identity.
    pub(crate) next: Option<Next>,
    /// The connection, open or being made, is with the next identity; the one after a failure is with the other.
    pub(crate) on_next: bool,
    /// What connections leave for the next.
    pub(crate) sessions: Sessions,
    pub(crate) worker: Worker,
    pub(crate) machine: Machine,
    pub(crate) events: broadcast::Sender<AgentEvent>,
    pub(crate) boot_id: u64,
    pub(crate) state: Arc<dyn crate::disk::Disk>,
}

/// What is under way.
#[derive(Default)]
struct UnderWay {
    opening: Pending<Result<Link, LinkError>>,
    link: Option<Link>,
    work: Pending<Outcome>,
}

/// One turn of the loop.
enum Turn {
    Stop,
    Woke,
    Opened(Result<Link, LinkError>),
    Heard(Result<Heard, LinkError>),
    Worked(Outcome),
}

impl Driver {
    /// Runs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = core::pin::pin!(shutdown);
        let start = Instant::now();
        let mut way = UnderWay::default();
        self.handle(start, &mut way, Event::Started).await;
        loop {
            let deadline = self.machine.deadline().map(|after| start + after);
            let turn = tokio::select! {
                () = &mut shutdown => Turn::Stop,
                heard = heard(&mut way.link) => Turn::Heard(heard),
                opened = finished(&mut way.opening) => Turn::Opened(opened),
                outcome = finished(&mut way.work) => Turn::Worked(outcome),
                () = until(deadline) => Turn::Woke,
            };
            let event = match turn {
                Turn::Stop => break,
                Turn::Woke => Some(Event::Woke),
                Turn::Worked(outcome) => {
                    way.work = None;
                    Some(Event::Done(outcome))
                }
                Turn::Opened(result) => {
                    way.opening = None;
                    Some(match result {
                        Ok(link) => {
                            way.link = Some(link);
                            self.promote().await;
                            Event::Opened
                        }
                        Err(error) => {
                            self.sessions.forget();
                            // By turns: nobody knows whether it was for the certificate.
                            self.on_next = !self.on_next;
                            Event::Lost(chain(&error))
                        }
                    })
                }
                Turn::Heard(Ok(Heard::Acknowledged(sent))) => Some(Event::Acknowledged(sent)),
                Turn::Heard(Ok(Heard::Message { topic, payload })) => self.hear(&topic, payload).await,
                Turn::Heard(Err(error)) => {
                    way.link = None;
                    Some(Event::Lost(chain(&error)))
                }
            };
            if let Some(event) = event {
                self.handle(start, &mut way, event).await;
            }
        }
        stop(way).await;
    }

    async fn handle(&mut self, start: Instant, way: &mut UnderWay, event: Event) {
        let mut events = VecDeque::from([event]);
        // What is left of the certificate is counted anew at each connection: the clock may have learnt the time.
        if matches!(events.front(), Some(Event::Opened))
            && let Some(term) = self.term()
        {
            events.push_front(Event::Term(term));
        }
        // An action that fails at once is an event itself; each such event ends the connection, so this ends too.
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(start.elapsed(), event) {
                if let Err(error) = self.act(way, action).await {
                    way.link = None;
                    events.push_back(Event::Lost(error));
                }
            }
        }
    }

    async fn act(&mut self, way: &mut UnderWay, action: Action) -> Result<(), String> {
        match action {
            Action::Open(role) => {
                let target = self.target(role)?;
                way.opening = Some(Box::pin(Link::open(target)));
            }
            Action::SendRenewal => {
                let key = self.next_key().await?;
                let renewal = enroll::renewal(&key).map_err(|error| chain(&error))?;
                publish(way, &self.topic(Channel::Renew)?, &renewal, Sent::Renewal)?;
            }
            Action::SendClaim => {
                let claim = enroll::claim(&self.key).map_err(|error| chain(&error))?;
                publish(way, &Topic::Claim(ENCODING), &claim, Sent::Claim)?;
            }
            Action::SendTrusted => {
                let version = self.trust.version();
                let trusted = encode(&Trusted { version })?;
                publish(way, &self.topic(Channel::Trusted)?, &trusted, Sent::Trusted)?;
            }
            Action::SendHello(have) => {
                let hello = encode(&self.hello(have))?;
                publish(way, &self.topic(Channel::Hello)?, &hello, Sent::Hello)?;
            }
            Action::SendReport(status) => {
                let report = encode(&self.report(&status)?)?;
                publish(way, &self.topic(Channel::Report)?, &report, Sent::Report)?;
            }
            Action::Close => {
                if let Some(link) = way.link.take() {
                    // Beside the loop: a server that does not listen must not hold up the next connection.
                    tokio::spawn(link.close());
                }
            }
            Action::Work(work) => way.work = Some(self.work(work)),
            Action::Tell(event) => self.tell(event),
        }
        Ok(())
    }

    fn work(&self, work: Work) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        Box::pin(self.worker.clone().run(work))
    }

    /// What a message means. Which topic it came on was settled by the subscription, of which there is one.
    async fn hear(&mut self, topic: &str, payload: Vec<u8>) -> Option<Event> {
        match (Topic::parse(topic), &self.identity) {
            (Some(Topic::ClaimResult(ENCODING)), None) => Some(self.answered(&payload).await),
            (Some(Topic::Device(id, Channel::Desired, ENCODING)), Some(identity))
                if id == identity.device().as_str() =>
            {
                let now = self.trust.clock().now();
                Some(
                    match desired::prove(&payload, identity.device(), &self.trust, now) {
                        Ok(proven) => Event::Offered(Box::new(proven)),
                        Err(error) => Event::Disbelieved(chain(&error)),
                    },
                )
            }
            (Some(Topic::Device(id, Channel::Sealed, ENCODING)), Some(identity))
                if id == identity.device().as_str() =>
            {
                Some(match sealed::prove(&payload, identity.device(), &self.trust) {
                    Ok(proven) => Event::Sealed(Box::new(proven)),
                    Err(error) => Event::Disbelieved(chain(&error)),
                })
            }
            (Some(Topic::Device(id, Channel::Certificate, ENCODING)), Some(identity))
                if id == identity.device().as_str() =>
            {
                let next = self.next.as_ref().map(|next| next.key().as_ref());
                let update = enroll::update(&payload, identity.device(), next, &self.trust);
                Some(self.updated(update).await)
            }
            (Some(Topic::Device(id, Channel::Trust, ENCODING)), Some(identity))
                if id == identity.device().as_str() =>
            {
                self.trusting(&payload).await
            }
            _ => {
                tracing::debug!(topic, "message on a topic that was not asked for");
                None
            }
        }
    }

    /// Follows a bundle. It is durable before it counts: a device that forgot it could be led back.
    async fn trusting(&mut self, payload: &[u8]) -> Option<Event> {
        let bundle: Result<TrustBundle, _> = payload::decode(payload, ENCODING);
        let disbelieved = |why: String| Some(Event::Disbelieved(format!("roots are not believed: {why}")));
        let trust = match bundle.map(|bundle| self.trust.advance(&bundle)) {
            Ok(Ok(Some(trust))) => trust,
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => return disbelieved(error.to_string()),
            Err(error) => return disbelieved(error.to_string()),
        };
        let (state, kept) = (Arc::clone(&self.state), trust.clone());
        match tokio::task::spawn_blocking(move || kept.save(&*state)).await {
            Ok(Ok(())) => {
                self.trust = trust;
                Some(Event::Trusting(self.trust.version()))
            }
            Ok(Err(error)) => disbelieved(format!("they cannot be kept: {}", chain(&error))),
            Err(_cancelled) => disbelieved("the agent stops".into()),
        }
    }

    async fn answered(&mut self, payload: &[u8]) -> Event {
        let identity = match enroll::answer(payload, &self.key, &self.trust) {
            Answer::Granted(identity) => identity,
            Answer::Refused { reason, retry_after } => return Event::Refused { reason, retry_after },
            Answer::Disbelieved(reason) => return Event::Disbelieved(reason),
        };
        let (state, code, granted) = (
            Arc::clone(&self.state),
            self.settings.code().clone(),
            identity.clone(),
        );
        // The identity is durable before the code is wiped, and before anything is told.
        let stored = tokio::task::spawn_blocking(move || {
            granted.save(&*state)?;
            enroll::wipe(&code);
            Ok::<_, crate::record::StateError>(())
        });
        match stored.await {
            Ok(Ok(())) => {
                self.settings.forget_code();
                self.trust.clock().raise(identity.not_before());
                let device = identity.device().clone();
                self.identity = Some(identity);
                Event::Granted(device)
            }
            Ok(Err(error)) => Event::Disbelieved(format!("the identity cannot be kept: {}", chain(&error))),
            Err(_cancelled) => Event::Disbelieved("the identity cannot be kept: the agent stops".into()),
        }
    }

    /// The key to renew with: of a renewal whose answer was lost, the same again. One that was issued, and that the registry
    /// did not let in, makes room for another.
    async fn next_key(&mut self) -> Result<Arc<DeviceKey>, String> {
        if let Some(next) = self.next.as_ref().filter(|next| next.identity().is_none()) {
            return Ok(Arc::clone(next.key()));
        }
        let state = Arc::clone(&self.state);
        let made = tokio::task::spawn_blocking(move || Next::begin(&*state));
        let next = made.await.map_err(|_| "the agent stops")?;
        let next = next.map_err(|error| chain(&error))?;
        let key = Arc::clone(next.key());
        self.next = Some(next);
        Ok(key)
    }

    async fn updated(&mut self, update: Update) -> Event {
        let identity = match update {
            Update::Issued(identity) => identity,
            Update::NotIssued { reason, retry_after } => {
                return Event::NotReissued { reason, retry_after };
            }
            Update::Wanted => return Event::RenewalWanted,
        };
        let failed = |reason| Event::NotReissued {
            reason,
            retry_after: None,
        };
        // The same again, after the device has it.
        let Some(next) = self.next.clone() else {
            return failed("a certificate came that was not asked for".into());
        };
        let (state, not_before) = (Arc::clone(&self.state), identity.not_before());
        let kept = tokio::task::spawn_blocking(move || next.granted(identity, &*state));
        match kept.await {
            Ok(Ok(next)) => {
                self.trust.clock().raise(not_before);
                self.next = Some(next);
                self.on_next = true;
                Event::Reissued
            }
            Ok(Err(error)) => failed(format!("the next identity cannot be kept: {}", chain(&error))),
            Err(_cancelled) => failed("the next identity cannot be kept: the agent stops".into()),
        }
    }

    /// The registry let the device in: if with its next identity, that is its own from now on.
    async fn promote(&mut self) {
        if !self.on_next {
            return;
        }
        let Some(next) = self.next.clone().filter(|next| next.identity().is_some()) else {
            return;
        };
        let (state, promoted) = (Arc::clone(&self.state), next.clone());
        let kept = tokio::task::spawn_blocking(move || promoted.promote(&*state)).await;
        // In memory it counts all the same; the next start finishes what the disk refused.
        if let Ok(Err(error)) = kept {
            tracing::error!(error = chain(&error), "the next identity is not kept as the own");
        }
        self.key = Arc::clone(next.key());
        self.worker.key = Arc::clone(next.key());
        self.identity = next.identity().cloned();
        self.next = None;
        self.on_next = false;
    }

    /// Key and identity to connect with.
    fn shown(&self) -> Option<(&Arc<DeviceKey>, &Identity)> {
        let next = self.next.as_ref().filter(|_| self.on_next);
        let next = next.and_then(|next| Some((next.key(), next.identity()?)));
        next.or_else(|| Some((&self.key, self.identity.as_ref()?)))
    }

    /// How long the certificate is good that the device would connect with now.
    fn term(&self) -> Option<Term> {
        let (_, identity) = self.shown()?;
        let (from, end) = identity.renewal()?;
        let now = self.trust.clock().now().for_certificates([]);
        Some(Term {
            renew_in: Duration::from_secs(from.saturating_sub(now)),
            ended: now > end,
        })
    }

    fn target(&mut self, role: Role) -> Result<Target, String> {
        let shown = self
            .shown()
            .map(|(key, identity)| (Arc::clone(key), identity.clone()));
        let (tls, client_id, login, filters) = match (role, shown) {
            (Role::Device, Some((key, identity))) => {
                let tls = self.sessions.device(&self.trust, &identity, &key);
                let filters = [
                    Channel::Desired,
                    Channel::Sealed,
                    Channel::Certificate,
                    Channel::Trust,
                ]
                .map(|channel| Topic::Device(identity.device().as_str(), channel, ENCODING).to_string());
                (tls, identity.device().to_string(), None, filters.to_vec())
            }
            (Role::Claimant | Role::Device, _) => {
                let code = enroll::code(self.settings.code())
                    .map_err(|error| format!("cannot read the activation code: {error}"))?;
                let login = (self.settings.serial().to_owned(), code);
                (
                    identity::claimant(&self.trust),
                    String::new(),
                    Some(login),
                    vec![Topic::ClaimResult(ENCODING).to_string()],
                )
            }
        };
        Ok(Target {
            address: self.settings.server().to_owned(),
            name: self.settings.server_name().clone(),
            tls: tls.map_err(|error| format!("cannot set up TLS: {error}"))?,
            client_id,
            login,
            filters,
        })
    }

    fn topic(&self, channel: Channel) -> Result<Topic<'_>, String> {
        let identity = self.identity.as_ref().ok_or("no identity yet")?;
        Ok(Topic::Device(identity.device().as_str(), channel, ENCODING))
    }

    fn hello(&self, have: Option<Mark>) -> Hello {
        Hello {
            generation: have.map_or(0, |mark| mark.generation),
            digest: have.map_or(Digest([0; 32]), |mark| mark.digest),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            firmware: crate::apply::reported(&worker::running(self.settings.firmware())),
            boot_id: self.boot_id,
        }
    }

    fn report(&self, status: &Status) -> Result<Report, String> {
        let identity = self.identity.as_ref().ok_or("no identity yet")?;
        Ok(Report {
            device_id: identity.device().to_string(),
            generation: status.mark.generation,
            digest: status.mark.digest,
            facets: status.facets(),
            firmware: status.running.clone(),
        })
    }

    fn tell(&self, event: AgentEvent) {
        match &event {
            AgentEvent::KeyMade => tracing::info!("key made"),
            AgentEvent::Claiming => tracing::info!(serial = self.settings.serial(), "claiming"),
            AgentEvent::Claimed { device_id } => tracing::info!(%device_id, "claimed"),
            AgentEvent::Renewed => tracing::info!("certificate renewed"),
            AgentEvent::Connected => tracing::info!("connected"),
            AgentEvent::DesiredReceived { generation } => {
                tracing::info!(generation, "desired state received")
            }
            AgentEvent::Applied { generation } => tracing::info!(generation, "applied"),
            AgentEvent::Trusting { version } => tracing::info!(version, "other roots are trusted"),
            AgentEvent::Reported { generation, ok } => tracing::info!(generation, ok, "reported"),
            AgentEvent::Drifted { reason } => tracing::warn!(reason, "drifted"),
            AgentEvent::Failed { reason } => tracing::warn!(reason, "failed"),
            AgentEvent::Disconnected { reason, retry_in } => {
                tracing::warn!(reason, retry_in_seconds = retry_in.as_secs(), "not connected");
            }
        }
        // An error says that nobody listens.
        let _listeners = self.events.send(event);
    }
}

fn encode<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, String> {
    payload::encode(message, ENCODING).map_err(|error| error.to_string())
}

fn publish(way: &mut UnderWay, topic: &Topic<'_>, payload: &[u8], sent: Sent) -> Result<(), String> {
    let link = way.link.as_mut().ok_or("the connection is gone")?;
    link.publish(&topic.to_string(), payload, sent)
        .map_err(|error| chain(&error))
}

/// What the link hears; never, when there is none.
async fn heard(link: &mut Option<Link>) -> Result<Heard, LinkError> {
    match link {
        Some(link) => link.next().await,
        None => pending().await,
    }
}

async fn finished<T>(under_way: &mut Pending<T>) -> T {
    match under_way {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Says farewell and lets work end; a hook that still runs then is killed, and its slot is not switched to.
async fn stop(mut way: UnderWay) {
    let farewell = async {
        if let Some(link) = way.link.take() {
            link.close().await;
        }
    };
    let work = async {
        if let Some(work) = way.work.take() {
            let _unfinished = timeout(STOP_LIMIT, work).await;
        }
    };
    tokio::join!(farewell, work);
}
