//! A device's session. Who it is was settled by its certificate; what it may do is `access.rs`, what it says `uplink.rs`.

mod uplink;

use super::{
    super::{
        access,
        bucket::Bucket,
        codec::{Connect, Outgoing, Packet, QoS, Reason, Subscribe, Unsubscribe},
        hub::{Seat, Signal},
        places::Place,
        registry::{Admitted, Registry},
    },
    ACK_DEADLINE, DEVICE_LIMIT, HORIZON, Parts, departure_of,
    feeds::{Feeds, Key},
    is_barred,
    stay::Stay,
    talk::{End, Talk},
    terms, turn_away,
};
use crate::fault::{Failure, Fault};
use bytes::Bytes;
use muster_domain::{Code, Refusal, ids::DeviceId};
use muster_proto::{
    payload::{self, CertificateUpdate, PayloadError, TrustBundle},
    topic::{Channel, Direction, Topic},
};
use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

struct Session<'a, R, S> {
    parts: &'a Parts<R>,
    talk: &'a mut Talk<S>,
    device: DeviceId,
    seat: Seat,
    feeds: Feeds,
    /// Messages of QoS 1 that the client takes unacknowledged.
    window: u16,
    /// Packet identifiers of QoS 2 that are recorded and not yet released.
    held: Vec<u16>,
    /// From then on its certificate is only good for its renewal.
    ends: Instant,
    source: IpAddr,
    /// What there is to say of its certificate.
    update: Option<Box<CertificateUpdate>>,
    /// How it comes to the roots of today.
    trust: Option<Box<TrustBundle>>,
    pace: Bucket,
    idle: Duration,
    heard: Instant,
}

enum Event {
    Signal(Signal),
    Stop,
    Late,
    Heard(Packet, usize),
}

/// Serves a device to the end of its session.
pub(super) async fn run<R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &Parts<R>,
    talk: &mut Talk<S>,
    peer: (Arc<[u8]>, IpAddr),
    connect: Connect,
    place: &mut Place,
) -> End {
    let (leaf, source) = peer;
    // In a box, and with what it needs: certificate and CONNECT are not kept for the life of the session.
    let entered = match Box::pin(enter(parts, talk, (leaf, source), connect, place)).await {
        Ok(entered) => entered,
        Err(end) => return end,
    };
    let now = Instant::now();
    let mut session = Session {
        parts,
        talk,
        device: entered.device,
        seat: entered.seat,
        feeds: Feeds::default(),
        window: entered.window,
        held: Vec::new(),
        ends: entered.ends,
        source,
        update: None,
        trust: None,
        pace: Bucket::new(now),
        idle: entered.idle,
        heard: now,
    };
    let end = session.run().await;
    let unacknowledged = i64::try_from(session.feeds.under_way()).unwrap_or(0);
    parts.bus.meter().departs(end.departure(), unacknowledged);
    entered.stay.ends(end.departure());
    end
}

/// A device that was let in.
struct Entered<'a, R: Registry> {
    stay: Stay<'a, R>,
    device: DeviceId,
    ends: Instant,
    seat: Seat,
    window: u16,
    idle: Duration,
}

async fn enter<'a, R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &'a Parts<R>,
    talk: &mut Talk<S>,
    (leaf, source): (Arc<[u8]>, IpAddr),
    connect: Connect,
    place: &mut Place,
) -> Result<Entered<'a, R>, End> {
    // 1. Who it is.
    let Admitted {
        device,
        good_for,
        issuer,
    } = match parts.registry.admit(&leaf, source).await {
        Ok(admitted) => admitted,
        Err(failure) => return Err(turn_away(talk, &failure).await),
    };
    let foreign = !connect.client_id.is_empty() && connect.client_id.parse() != Ok(device);
    if foreign {
        let refusal = Refusal::new(
            Code::ClientIdForeign,
            "the client id is not the device id of the certificate",
        );
        return Err(turn_away(talk, &refusal.into()).await);
    }
    if !place.settle() {
        let text = "the gate holds as many devices as it may";
        return Err(talk.refuse(Reason::QuotaExceeded, text).await);
    }
    // 2. Its seat, which cuts a former session, and from which on it is online; then once more whether it is let in: a device
    // that was shut out between the first look and the seat was not there to be kicked.
    let arrive = || parts.registry.arrived(device, source);
    let (seat, arrival) = parts.bus.hub().enter(device, issuer, arrive);
    let stay = Stay::new(parts, device, arrival);
    if let Err(failure) = parts.registry.admit(&leaf, source).await {
        stay.ends(departure_of(&failure));
        return Err(turn_away(talk, &failure).await);
    }
    // 3. The terms.
    let id = device.to_string();
    let (connack, idle) = terms(&connect, Some(&id), DEVICE_LIMIT);
    if let Err(end) = talk.welcome(connack, DEVICE_LIMIT).await {
        stay.ends(end.departure());
        return Err(end);
    }
    parts.bus.meter().arrives(connect.version);
    Ok(Entered {
        stay,
        device,
        ends: Instant::now() + good_for.min(HORIZON),
        seat,
        window: connect.receive_maximum,
        idle,
    })
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

    /// When the session ends unless something happens before.
    fn deadline(&self) -> Instant {
        let silent = self.heard + self.idle;
        self.feeds
            .waiting_since()
            .map_or(silent, |since| silent.min(since + ACK_DEADLINE))
    }

    async fn next(&mut self) -> Result<Event, End> {
        // Nothing is read before its time: a flood waits in the sender's own buffers, and is not silence.
        let ready = self.pace.ready();
        self.heard = self.heard.max(ready);
        let deadline = self.deadline();
        let talk = &mut *self.talk;
        let hear = async {
            sleep_until(ready).await;
            talk.hear().await
        };
        tokio::select! {
            biased;
            signal = self.seat.signal() => Ok(Event::Signal(signal)),
            () = self.parts.stop.cancelled() => Ok(Event::Stop),
            heard = hear => heard.map(|(packet, bytes)| Event::Heard(packet, bytes)),
            () = sleep_until(deadline) => Ok(Event::Late),
        }
    }

    async fn step(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Signal(Signal::Cut(cut)) => return Err(cut.into()),
            Event::Signal(Signal::DesiredChanged) => {
                self.feeds.refresh(Channel::Sealed);
                self.feeds.refresh(Channel::Desired);
            }
            Event::Signal(Signal::RenewalOrdered) => self.tell(CertificateUpdate::Due),
            Event::Signal(Signal::TrustChanged) => self.trust_changed().await?,
            Event::Stop => return Err(End::stopping()),
            Event::Late => return Err(End::silent()),
            Event::Heard(packet, bytes) => {
                self.heard = Instant::now();
                self.pace.charge(self.heard, bytes);
                self.heard_packet(packet).await?;
            }
        }
        self.feed().await
    }

    async fn heard_packet(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => Box::pin(self.publish(publish)).await,
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe).await,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe).await,
            Packet::PubAck(id) => {
                self.acknowledged(id);
                Ok(())
            }
            Packet::PubRel(id) => self.release(id).await,
            Packet::PingReq => self.say(Outgoing::PingResp).await,
            Packet::Disconnect => Err(End::Left),
            Packet::Connect => Err(End::misbehaved(Reason::ProtocolError, "a second CONNECT")),
        }
    }

    fn acknowledged(&mut self, id: u16) {
        let Some(channel) = self.feeds.acknowledged(id) else {
            return;
        };
        self.parts.bus.meter().is_acknowledged(channel);
        if channel == Channel::Desired {
            self.parts.registry.received(self.device);
        }
    }

    /// Sends, unless the session is cut meanwhile: a client that does not read must not keep its session open.
    async fn say(&mut self, packet: Outgoing<'_>) -> Result<(), End> {
        tokio::select! {
            biased;
            cut = self.seat.cut() => Err(cut.into()),
            said = self.talk.say(packet) => said,
        }
    }

    /// Waits for the registry, unless the session is cut meanwhile. A stop does wait: what is under way is committed
    /// and acknowledged.
    async fn ask<T>(&self, question: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            cut = self.seat.cut() => Err(cut.into()),
            // In a box, so that an idle session is not as large as a busy one.
            answer = Box::pin(question) => Ok(answer),
        }
    }

    /// Roots became others while the device is here. Who fails to hear of it is told after its next connection.
    async fn trust_changed(&mut self) -> Result<(), End> {
        if self.has_ended() {
            return Ok(());
        }
        match self.ask(self.parts.registry.trust(self.device)).await? {
            Ok(Some(bundle)) => {
                self.trust = Some(Box::new(bundle));
                self.feeds.refresh(Channel::Trust);
            }
            Ok(None) => {}
            Err(failure) => tracing::warn!(device = %self.device, %failure, "no roots to send"),
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.ends <= Instant::now()
    }

    /// Says something of the certificate, as soon as the client listens; what was said before is void.
    fn tell(&mut self, update: CertificateUpdate) {
        self.update = Some(Box::new(update));
        self.feeds.refresh(Channel::Certificate);
    }

    async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), End> {
        let grant = |wanted: &super::super::codec::SubscribeFilter| {
            let key = access::device(&wanted.filter, self.device, Direction::Down)?;
            Some(self.feeds.subscribe(key, wanted.qos))
        };
        let granted: Vec<_> = subscribe.filters.iter().map(grant).collect();
        let refused = granted.iter().any(Option::is_none);
        if refused {
            tracing::info!(device = %self.device, "subscription refused");
        }
        let text = if refused {
            access::forbidden().to_string()
        } else {
            String::new()
        };
        self.say(Outgoing::SubAck(subscribe.packet_id, &granted, &text))
            .await
    }

    async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<(), End> {
        let leave = |filter: &String| {
            access::device(filter, self.device, Direction::Down)
                .is_some_and(|key| self.feeds.unsubscribe(key))
        };
        let known: Vec<_> = unsubscribe.filters.iter().map(leave).collect();
        self.say(Outgoing::UnsubAck(unsubscribe.packet_id, &known)).await
    }

    /// Sends what is due. What fails is not tried again here: the next hello or change asks anew.
    async fn feed(&mut self) -> Result<(), End> {
        while let Some((key, qos)) = self.feeds.next_due(self.window) {
            self.feeds.fetch(key);
            let (channel, encoding) = key;
            match (channel, &self.update, &self.trust) {
                (Channel::Certificate, Some(update), _) => {
                    let said = payload::encode(&**update, encoding);
                    self.send_own(key, qos, said).await?;
                    continue;
                }
                (Channel::Trust, _, Some(trust)) => {
                    let said = payload::encode(&**trust, encoding);
                    self.send_own(key, qos, said).await?;
                    continue;
                }
                (Channel::Desired | Channel::Sealed, ..) if !self.has_ended() => {}
                _ => continue,
            }
            // A session is idle nearly always, and is not to hold room for what it does now and then.
            match self.ask(Box::pin(self.fetched(key))).await? {
                Ok(Some(envelope)) => {
                    // As long as the client takes to read it.
                    let _room = self.ask(self.parts.outbound.extend(None, envelope.len())).await?;
                    self.send(key, qos, &envelope).await?;
                }
                Ok(None) => {}
                Err(failure) if is_barred(&failure) => return Err(End::failed(&failure)),
                Err(failure) => tracing::warn!(device = %self.device, %failure, "no desired state to send"),
            }
        }
        Ok(())
    }

    /// What the device must be, or the secrets of that. A device that hears nothing of secrets would write placeholders into its
    /// files, so it is not told what needs them.
    async fn fetched(&self, (channel, encoding): Key) -> Result<Option<Bytes>, Failure> {
        let _turn = self.parts.seals.acquire().await;
        let registry = &self.parts.registry;
        if channel == Channel::Sealed {
            return registry.sealed(self.device, encoding).await;
        }
        let hears = self.feeds.subscribed((Channel::Sealed, encoding)).is_some();
        if !hears && registry.sealed(self.device, encoding).await?.is_some() {
            tracing::warn!(device = %self.device, "it has secrets, and is not subscribed to them: nothing is sent");
            return Ok(None);
        }
        registry.desired(self.device, encoding).await
    }

    /// Sends what this session made itself: what cannot be written is our breakage.
    async fn send_own(&mut self, key: Key, qos: QoS, said: Result<Vec<u8>, PayloadError>) -> Result<(), End> {
        match said {
            Ok(bytes) => self.send(key, qos, &bytes).await,
            Err(error) => Err(End::failed(&Fault::log("encode a message", &error).into())),
        }
    }

    async fn send(&mut self, key: Key, qos: QoS, payload: &[u8]) -> Result<(), End> {
        let (channel, encoding) = key;
        let topic = Topic::Device(&self.device.to_string(), channel, encoding).to_string();
        // Fixed header, two lengths, packet identifier, no properties: 10 bytes at most.
        if !self.talk.takes(payload.len() + topic.len() + 10) {
            tracing::warn!(device = %self.device, bytes = payload.len(), ?channel, "a message is over the device's limit");
            return Ok(());
        }
        let packet_id = (qos == QoS::AtLeastOnce).then(|| self.feeds.sent(key, Instant::now()));
        self.parts.bus.meter().sends(channel, packet_id.is_some());
        self.say(Outgoing::Publish {
            topic: &topic,
            packet_id,
            payload,
        })
        .await
    }
}
