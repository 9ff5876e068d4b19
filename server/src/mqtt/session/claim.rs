//! A claimant's session: no certificate yet, but a serial and an activation code. It may claim, hear the answer, and
//! nothing else. CONNECT succeeds whatever the credentials are, so that it tells nothing about them.

use super::{
    super::{
        access,
        codec::{Connect, Outgoing, Packet, Publish, QoS, Reason, Subscribe, SubscribeFilter, Version},
        places::Place,
        registry::{ClaimAttempt, Registry},
        throttle,
    },
    CLAIM_LIMIT, Parts,
    feeds::{self, Feeds},
    malformed,
    talk::{End, Talk},
    terms,
};
use crate::{
    fault::{Failure, Fault},
    retry,
};
use muster_domain::{Code, Refusal, device::Departure};
use muster_proto::{
    payload::{self, Claim, ClaimRefused, ClaimResult},
    topic::{Channel, Encoding, Topic},
};
use std::{net::IpAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use zeroize::Zeroizing;

/// Claims of one connection: a first try and two after a typing error or a throttle.
const CLAIMS: u32 = 3;
/// From CONNECT to a claim, and from an answer to what follows.
const PATIENCE: Duration = Duration::from_secs(30);
/// Packets of one connection; a claim needs half a dozen.
const PACKETS: u32 = 64;
/// PKCS#10 of a P-256 key is about 200 bytes; more than this is no request of ours.
pub(super) const CSR_LIMIT: usize = 4 << 10;

struct Session<'a, R, S> {
    parts: &'a Parts<R>,
    talk: &'a mut Talk<S>,
    source: IpAddr,
    serial: String,
    code: Zeroizing<String>,
    feeds: Feeds,
    answer: Option<Answer>,
    claims: u32,
    packets: u32,
    deadline: Instant,
}

/// The answer to a claim, until the client has it.
struct Answer {
    encoding: Encoding,
    payload: Vec<u8>,
    accepted: bool,
    sent_as: Option<u16>,
}

/// Serves a claimant to the end of its session.
pub(super) async fn run<R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &Parts<R>,
    talk: &mut Talk<S>,
    source: IpAddr,
    connect: Connect,
    place: &mut Place,
) -> End {
    let assigned = match assigned_id() {
        Ok(assigned) => assigned,
        Err(fault) => return talk.refuse(Reason::ServerUnavailable, &fault.to_string()).await,
    };
    let (connack, _) = terms(&connect, Some(&assigned), CLAIM_LIMIT);
    let Some(serial) = connect.username else {
        let text = "without a certificate, CONNECT carries a serial, and an activation code unless its key is pinned";
        return talk.refuse(Reason::NotAuthorized, text).await;
    };
    let password = connect.password.unwrap_or_default();
    if let Err(end) = talk.welcome(connack, CLAIM_LIMIT).await {
        return end;
    }
    // What is not UTF-8 is no code; it is refused with the answer that every wrong code gets.
    let code = Zeroizing::new(str::from_utf8(&password).unwrap_or_default().to_owned());
    drop(password);
    let mut session = Session {
        parts,
        talk,
        source,
        serial,
        code,
        feeds: Feeds::default(),
        answer: None,
        claims: 0,
        packets: 0,
        deadline: Instant::now() + PATIENCE,
    };
    tokio::select! {
        biased;
        () = place.evicted() => End::misbehaved(Reason::QuotaExceeded, "the gate is crowded"),
        end = session.run() => end,
    }
}

/// The client id of a claimant that gave none: nobody else's at this time `[5: MQTT-3.2.2-16]`.
fn assigned_id() -> Result<String, Failure> {
    let number = crate::random::bytes().map_err(|error| Fault::log("name a claimant", &error))?;
    Ok(format!("claim-{:016x}", u64::from_be_bytes(number)))
}

/// The feed of answers: a claimant has no other.
const fn answers(encoding: Encoding) -> feeds::Key {
    (Channel::Certificate, encoding)
}

/// A refusal as a message; `retry_after` is how long the way is closed at least.
pub(super) fn refused_message(refusal: &Refusal, retry_after: Option<Duration>) -> ClaimRefused {
    ClaimRefused {
        code: refusal.code.number(),
        reason: refusal.code.reason().to_owned(),
        message: refusal.to_string(),
        help: refusal.code.help().to_owned(),
        retry_after_seconds: retry_after.map(|wait| retry::seconds(retry::spread(wait))),
    }
}

fn refused(refusal: &Refusal, retry_after: Option<Duration>) -> ClaimResult {
    ClaimResult::Refused(refused_message(refusal, retry_after))
}

impl<R: Registry, S: AsyncRead + AsyncWrite + Unpin> Session<'_, R, S> {
    async fn run(&mut self) -> End {
        loop {
            let heard = tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => Err(End::stopping()),
                heard = self.talk.hear() => heard,
                () = sleep_until(self.deadline) => Err(End::silent()),
            };
            let step = match heard {
                Ok((packet, _)) => self.heard(packet).await,
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn heard(&mut self, packet: Packet) -> Result<(), End> {
        self.packets += 1;
        if self.packets > PACKETS {
            return Err(End::misbehaved(
                Reason::QuotaExceeded,
                "too many packets for a claim",
            ));
        }
        match packet {
            Packet::Publish(publish) => self.publish(publish).await?,
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe).await?,
            Packet::Unsubscribe(unsubscribe) => {
                let leave = |filter: &String| {
                    access::claim_result(filter)
                        .is_some_and(|encoding| self.feeds.unsubscribe(answers(encoding)))
                };
                let known: Vec<_> = unsubscribe.filters.iter().map(leave).collect();
                self.talk
                    .say(Outgoing::UnsubAck(unsubscribe.packet_id, &known))
                    .await?;
            }
            Packet::PubAck(id) => self.acknowledged(id)?,
            // The claim itself was answered at once, so there is nothing to release but the identifier.
            Packet::PubRel(id) => self.talk.say(Outgoing::PubComp(id, Reason::Success)).await?,
            Packet::PingReq => self.talk.say(Outgoing::PingResp).await?,
            Packet::Disconnect => return Err(End::Left),
            Packet::Connect => return Err(End::misbehaved(Reason::ProtocolError, "a second CONNECT")),
        }
        self.deliver().await
    }

    async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), End> {
        let grant = |wanted: &SubscribeFilter| {
            access::claim_result(&wanted.filter)
                .map(|encoding| self.feeds.subscribe(answers(encoding), wanted.qos))
        };
        let granted: Vec<_> = subscribe.filters.iter().map(grant).collect();
        let refused = granted.iter().any(Option::is_none);
        let text = if refused {
            access::forbidden().to_string()
        } else {
            String::new()
        };
        self.talk
            .say(Outgoing::SubAck(subscribe.packet_id, &granted, &text))
            .await
    }

    async fn publish(&mut self, publish: Publish) -> Result<(), End> {
        let Some(encoding) = access::claim(&publish.topic).filter(|_| !publish.retain) else {
            return self.forbid(&publish).await;
        };
        // The last answer ends the session, so this bounds the claims too.
        if self.answer.is_some() {
            return Err(End::misbehaved(Reason::QuotaExceeded, "one claim at a time"));
        }
        self.claims += 1;
        let result = self.decide(&publish, encoding).await?;
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.talk
                    .say(Outgoing::PubAck(publish.packet_id, Reason::Success, ""))
                    .await?
            }
            QoS::ExactlyOnce => {
                self.talk
                    .say(Outgoing::PubRec(publish.packet_id, Reason::Success, ""))
                    .await?
            }
        }
        let accepted = matches!(result, ClaimResult::Accepted(_));
        self.parts.bus.meter().claims(accepted);
        let payload = payload::encode(&result, encoding)
            .map_err(|error| End::failed(&Fault::log("encode the answer to a claim", &error).into()))?;
        self.answer = Some(Answer {
            encoding,
            payload,
            accepted,
            sent_as: None,
        });
        self.feeds.refresh(Channel::Certificate);
        self.deadline = Instant::now() + PATIENCE;
        Ok(())
    }

    async fn forbid(&mut self, publish: &Publish) -> Result<(), End> {
        let refusal = Failure::from(access::forbidden());
        if self.talk.version() == Version::V4 || publish.qos == QoS::AtMostOnce || publish.retain {
            return Err(End::failed(&refusal));
        }
        let (id, text) = (publish.packet_id, refusal.to_string());
        let answer = if publish.qos == QoS::AtLeastOnce {
            Outgoing::PubAck
        } else {
            Outgoing::PubRec
        };
        self.talk.say(answer(id, Reason::NotAuthorized, &text)).await
    }

    async fn decide(&self, publish: &Publish, encoding: Encoding) -> Result<ClaimResult, End> {
        // 1. The throttle, before anything costs.
        if let Err(wait) = self.parts.throttle.admit(self.source, &self.serial) {
            return Ok(refused(&throttle::refusal(), Some(wait)));
        }
        // 2. The message.
        let claim: Claim = match payload::decode(&publish.payload, encoding).map_err(malformed) {
            Ok(claim) => claim,
            Err(refusal) => return Ok(refused(&refusal, None)),
        };
        if claim.csr.0.len() > CSR_LIMIT {
            let refusal = Refusal::new(Code::CsrMalformed, format!("is over {CSR_LIMIT} bytes")).at("csr");
            return Ok(refused(&refusal, None));
        }
        // 3. The decision. Should the connection end meanwhile, the claim's repetition finishes what was begun.
        let attempt = ClaimAttempt {
            serial: self.serial.clone(),
            code: self.code.clone(),
            csr: claim.csr.0,
            source: self.source,
        };
        let _turn = self.parts.claims.acquire().await;
        match Box::pin(self.parts.registry.claim(attempt)).await {
            Ok(accepted) => Ok(ClaimResult::Accepted(accepted)),
            Err(Failure::Refused(refusal)) => Ok(refused(&refusal, None)),
            // No answer is the answer: the device comes back, and its claim is finished then.
            Err(failure @ Failure::Broken(_)) => Err(End::failed(&failure)),
        }
    }

    /// Sends the answer as soon as the client subscribed to it.
    async fn deliver(&mut self) -> Result<(), End> {
        let Some(answer) = self.answer.as_mut().filter(|answer| answer.sent_as.is_none()) else {
            return Ok(());
        };
        let Some(qos) = self.feeds.subscribed(answers(answer.encoding)) else {
            return Ok(());
        };
        let topic = Topic::ClaimResult(answer.encoding).to_string();
        let packet_id =
            (qos == QoS::AtLeastOnce).then(|| self.feeds.sent(answers(answer.encoding), Instant::now()));
        answer.sent_as = packet_id;
        self.talk
            .say(Outgoing::Publish {
                topic: &topic,
                packet_id,
                payload: &answer.payload,
            })
            .await?;
        match packet_id {
            Some(_) => Ok(()),
            // QoS 0: sent is all there is.
            None => self.settled(),
        }
    }

    fn acknowledged(&mut self, id: u16) -> Result<(), End> {
        let _the_only_channel = self.feeds.acknowledged(id);
        if self
            .answer
            .as_ref()
            .is_some_and(|answer| answer.sent_as == Some(id))
        {
            self.settled()
        } else {
            Ok(())
        }
    }

    /// The client has the answer. With an identity it comes back as a device; after the last refusal there is nothing
    /// more to say.
    fn settled(&mut self) -> Result<(), End> {
        let accepted = self.answer.take().is_some_and(|answer| answer.accepted);
        if accepted || self.claims == CLAIMS {
            return Err(End::Told(
                Departure::Left,
                Reason::Success,
                "the claim is answered".into(),
            ));
        }
        self.deadline = Instant::now() + PATIENCE;
        Ok(())
    }
}
