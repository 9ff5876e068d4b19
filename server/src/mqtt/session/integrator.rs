//! An integrator's session. Who it is was settled by an operator's certificate; it hears what its role may hear, and says
//! nothing.

use super::{
    super::{
        access,
        audience::{Interest, Message, Seat, Signal, is_own_id},
        bucket::Bucket,
        codec::{Connect, Outgoing, Packet, Publish, QoS, Reason, Subscribe, Unsubscribe, Version},
        hub::Cut,
        places::Place,
        registry::{AdmittedOperator, Registry},
    },
    ACK_DEADLINE, HORIZON, INTEGRATOR_LIMIT, Parts,
    events::{Follower, PAGE},
    reason_of,
    talk::{End, Talk},
    terms, turn_away,
    window::Window,
};
use crate::fault::Failure;
use muster_domain::{Code, Refusal, audit::Entry, device::Departure};
use muster_proto::topic::Topic;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

struct Session<'a, R, S> {
    parts: &'a Parts<R>,
    talk: &'a mut Talk<S>,
    leaf: Arc<[u8]>,
    operator: AdmittedOperator,
    seat: Seat,
    /// There while anything of the audit log is subscribed.
    events: Option<Follower>,
    window: Window,
    /// When its certificate ends, and the session with it.
    ends: Instant,
    pace: Bucket,
    idle: Duration,
    heard: Instant,
}

enum Event {
    Signal(Signal),
    /// The audit log goes on.
    News,
    Stop,
    Late,
    Heard(Packet, usize),
}

/// Serves an integrator to the end of its session.
pub(super) async fn run<R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &Parts<R>,
    talk: &mut Talk<S>,
    leaf: Arc<[u8]>,
    connect: Connect,
    place: &mut Place,
) -> End {
    let (operator, seat, idle) = match Box::pin(enter(parts, talk, &leaf, &connect, place)).await {
        Ok(entered) => entered,
        Err(end) => return end,
    };
    let now = Instant::now();
    let mut session = Session {
        parts,
        talk,
        leaf,
        ends: now + operator.good_for.min(HORIZON),
        operator,
        seat,
        events: None,
        window: Window::new(connect.receive_maximum),
        pace: Bucket::new(now),
        idle,
        heard: now,
    };
    let end = session.run().await;
    // Whatever it died of: a write that failed, too, failed because the client did not read.
    match session.seat.overrun() {
        Some(waited) => session.slow(format!("{waited} messages waited to be read")),
        None => end,
    }
}

async fn enter<R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &Parts<R>,
    talk: &mut Talk<S>,
    leaf: &[u8],
    connect: &Connect,
    place: &mut Place,
) -> Result<(AdmittedOperator, Seat, Duration), End> {
    // 1. Who it is.
    let operator = match parts.registry.admit_operator(leaf).await {
        Ok(operator) => operator,
        Err(failure) => return Err(turn_away(talk, &failure).await),
    };
    let id = &connect.client_id;
    if !id.is_empty() && !is_own_id(&operator.name, id) {
        let why = "the client id is neither the operator's name nor begins with it and a slash";
        return Err(turn_away(talk, &Refusal::new(Code::ClientIdForeign, why).into()).await);
    }
    if !place.settle() {
        let text = "the gate holds as many connections as it may";
        return Err(talk.refuse(Reason::QuotaExceeded, text).await);
    }
    // 2. Its seat; then once more whether it is let in, as for a device: whoever was shut out in between was not there to hear.
    let audience = parts.bus.hub().audience();
    let seat = match audience.enter(&operator.name, operator.key, id) {
        Ok(seat) => seat,
        Err(refusal) => return Err(turn_away(talk, &refusal.into()).await),
    };
    if let Err(failure) = parts.registry.admit_operator(leaf).await {
        return Err(turn_away(talk, &failure).await);
    }
    // 3. The terms.
    let (mut connack, idle) = terms(connect, Some(seat.id()), INTEGRATOR_LIMIT);
    connack.wildcards = true;
    talk.welcome(connack, INTEGRATOR_LIMIT).await?;
    Ok((operator, seat, idle))
}

fn cut(cut: Cut) -> End {
    let (reason, why) = match cut {
        Cut::Kicked => (Reason::AdministrativeAction, "the operator was shut out"),
        Cut::TakenOver => (Reason::SessionTakenOver, "the client id has a newer connection"),
    };
    End::Told(Departure::ShutOut, reason, why.into())
}

impl<R: Registry, S: AsyncRead + AsyncWrite + Unpin> Session<'_, R, S> {
    async fn run(&mut self) -> End {
        loop {
            let step = match self.next().await {
                Ok(event) => self.step(event).await,
                Err(end) => return end,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Ends the session of a client that is too slow, and says so in the log, once.
    fn slow(&self, why: String) -> End {
        tracing::warn!(operator = %self.operator.name, client = self.seat.id(), why, "an integrator is too slow and is cut");
        End::failed(&Refusal::new(Code::SubscriberSlow, why).into())
    }

    fn deadline(&self) -> Instant {
        let silent = (self.heard + self.idle).min(self.ends);
        self.window
            .waiting_since()
            .map_or(silent, |since| silent.min(since + ACK_DEADLINE))
    }

    async fn next(&mut self) -> Result<Event, End> {
        // As for a device: a flood waits in the sender's own buffers.
        let ready = self.pace.ready();
        self.heard = self.heard.max(ready);
        let (deadline, room) = (self.deadline(), self.window.has_room());
        let talk = &mut *self.talk;
        let hear = async {
            sleep_until(ready).await;
            talk.hear().await
        };
        let news = async {
            match &mut self.events {
                Some(events) if room => events.news().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        // In no order: of devices and the audit log, neither holds up the other.
        tokio::select! {
            signal = self.seat.signal(room) => Ok(Event::Signal(signal)),
            () = news => Ok(Event::News),
            () = self.parts.stop.cancelled() => Ok(Event::Stop),
            heard = hear => heard.map(|(packet, bytes)| Event::Heard(packet, bytes)),
            () = sleep_until(deadline) => Ok(Event::Late),
        }
    }

    async fn step(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Signal(Signal::Cut(why)) => Err(cut(why)),
            Event::Signal(Signal::Overrun(waited)) => Err(End::Lost(format!("{waited} messages waited"))),
            Event::Signal(Signal::Judge) => self.look_again().await,
            Event::Signal(Signal::Message(message, qos)) => self.pass_on(&message, qos).await,
            Event::News => self.tell_events().await,
            Event::Stop => Err(End::stopping()),
            Event::Late if self.ends <= Instant::now() => {
                let why = Refusal::new(Code::CertificateEnded, "the operator's certificate has ended");
                Err(End::failed(&why.into()))
            }
            Event::Late => Err(End::silent()),
            Event::Heard(packet, bytes) => {
                self.heard = Instant::now();
                self.heard_packet(packet, bytes).await
            }
        }
    }

    async fn heard_packet(&mut self, packet: Packet, bytes: usize) -> Result<(), End> {
        if let Packet::PubAck(id) = packet
            && self.window.acknowledged(id)
        {
            // There are no more of these than messages.
            return Ok(());
        }
        self.pace.charge(self.heard, bytes);
        match packet {
            Packet::Publish(publish) => self.refuse(&publish).await,
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe).await,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe).await,
            // Of a message that is not under way: it is nothing to us.
            Packet::PubAck(_) => Ok(()),
            Packet::PubRel(id) => {
                self.say(Outgoing::PubComp(id, Reason::PacketIdentifierNotFound))
                    .await
            }
            Packet::PingReq => {
                self.look_again().await?;
                self.say(Outgoing::PingResp).await
            }
            Packet::Disconnect => Err(End::Left),
            Packet::Connect => Err(End::misbehaved(Reason::ProtocolError, "a second CONNECT")),
        }
    }

    /// Sends, unless the session is cut meanwhile. Too many messages are no reason to break off: whoever reads on hears why.
    async fn say(&mut self, packet: Outgoing<'_>) -> Result<(), End> {
        tokio::select! {
            biased;
            why = self.seat.cut() => Err(cut(why)),
            said = self.talk.say(packet) => said,
        }
    }

    async fn ask<T>(&self, question: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            why = self.seat.cut() => Err(cut(why)),
            answer = question => Ok(answer),
        }
    }

    /// Whether the operator is still let in. The bus may lose the word that ends the session; the next ping notices.
    async fn look_again(&mut self) -> Result<(), End> {
        let admitted = self.ask(self.parts.registry.admit_operator(&self.leaf)).await?;
        match admitted {
            Ok(operator) => self.operator.role = operator.role,
            Err(failure @ Failure::Refused(_)) => return Err(End::failed(&failure)),
            // A breakage shuts nobody out.
            Err(Failure::Broken(_)) => {}
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), End> {
        self.look_again().await?;
        let mut refused = None;
        let mut granted = Vec::with_capacity(subscribe.filters.len());
        for filter in &subscribe.filters {
            let grant = self.grant(&filter.filter, filter.qos.min(QoS::AtLeastOnce));
            granted.push(grant.map_err(|refusal| refused = Some(refusal)).ok());
        }
        self.follow();
        let text = refused.map(|refusal| refusal.to_string()).unwrap_or_default();
        self.say(Outgoing::SubAck(subscribe.packet_id, &granted, &text))
            .await
    }

    fn grant(&self, filter: &str, qos: QoS) -> Result<QoS, Refusal> {
        let role = self.operator.role;
        let interest = access::interest(filter, role).ok_or_else(|| access::unheard(role))?;
        if self.seat.subscribe(interest, qos) {
            Ok(qos)
        } else {
            let why = "the connection has as many subscriptions as it may";
            Err(Refusal::new(Code::SubscriberCrowd, why))
        }
    }

    /// Begins to follow the audit log, or ends it.
    fn follow(&mut self) {
        if !self.seat.hears_events() {
            self.events = None;
        } else if self.events.is_none() {
            self.events = Some(Follower::new(self.parts.registry.audit_size()));
        }
    }

    async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<(), End> {
        let leave =
            |filter: &String| Interest::parse(filter).is_some_and(|interest| self.seat.unsubscribe(interest));
        let known: Vec<_> = unsubscribe.filters.iter().map(leave).collect();
        self.follow();
        self.say(Outgoing::UnsubAck(unsubscribe.packet_id, &known)).await
    }

    /// An integrator publishes nothing. As for a device: 3.1.1 has no acknowledgement that says no.
    async fn refuse(&mut self, publish: &Publish) -> Result<(), End> {
        let failure = Failure::from(access::silent());
        tracing::info!(operator = %self.operator.name, %failure, "message refused");
        let (reason, text) = (reason_of(&failure), failure.to_string());
        match publish.qos {
            QoS::AtLeastOnce if self.talk.version() == Version::V5 => {
                self.say(Outgoing::PubAck(publish.packet_id, reason, &text)).await
            }
            QoS::ExactlyOnce if self.talk.version() == Version::V5 => {
                self.say(Outgoing::PubRec(publish.packet_id, reason, &text)).await
            }
            QoS::AtMostOnce | QoS::AtLeastOnce | QoS::ExactlyOnce => Err(End::failed(&failure)),
        }
    }

    /// Sends what is due of the audit log, as far as the client takes it.
    async fn tell_events(&mut self) -> Result<(), End> {
        let Some(events) = &self.events else { return Ok(()) };
        if let Some(lag) = events.lag() {
            return Err(self.slow(format!("{lag} entries of the audit log are not told yet")));
        }
        if let Some(first) = events.due() {
            let read = self.ask(self.parts.registry.audit(first, PAGE)).await?;
            let entries = read.map_err(|failure| End::failed(&failure))?;
            if let Some(events) = &mut self.events {
                events.read(entries);
            }
        }
        while self.window.has_room() {
            let Some(entry) = self.events.as_mut().and_then(Follower::pop) else {
                break;
            };
            self.tell_event(entry).await?;
        }
        Ok(())
    }

    async fn tell_event(&mut self, entry: Entry) -> Result<(), End> {
        // What a newer program wrote has a name, too, and is told to whoever hears all.
        let Some(kind) = entry.kind() else { return Ok(()) };
        let all = Interest::Events(None);
        let one = kind.parse().map_or(all, |kind| Interest::Events(Some(kind)));
        let Some(qos) = self.seat.wanted([all, one]) else {
            return Ok(());
        };
        let message = Message {
            topic: Topic::Event(&kind).to_string(),
            payload: entry.leaf.into_bytes(),
        };
        self.pass_on(&message, qos).await
    }

    async fn pass_on(&mut self, message: &Message, qos: QoS) -> Result<(), End> {
        let Message { topic, payload } = message;
        // Fixed header, two lengths, packet identifier, no properties: 10 bytes at most.
        if !self.talk.takes(payload.len() + topic.len() + 10) {
            tracing::info!(operator = %self.operator.name, bytes = payload.len(), "a message is over the client's limit");
            return Ok(());
        }
        let packet_id = (qos != QoS::AtMostOnce).then(|| self.window.sent(Instant::now()));
        self.say(Outgoing::Publish {
            topic,
            packet_id,
            payload,
        })
        .await
    }
}
