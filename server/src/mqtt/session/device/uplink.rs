//! What a device says: heard, recorded, and acknowledged or refused.

use super::{
    super::{
        super::{
            access,
            bus::{Spoken, Uplink},
            codec::{Outgoing, Publish, QoS, Reason, Version},
            registry::{Registry, RenewalAttempt},
        },
        RECEIVE_MAXIMUM,
        claim::{CSR_LIMIT, refused_message},
        feeds::Key,
        is_barred, malformed, reason_of,
        talk::End,
    },
    Session,
};
use crate::fault::Failure;
use muster_domain::{Code, Refusal};
use muster_proto::{
    payload::{self, CertificateUpdate, Hello, Renew, Report},
    topic::{Channel, Direction, Encoding},
};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

/// The answer to a device whose certificate is only good for its renewal.
fn ended() -> Refusal {
    Refusal::new(
        Code::CertificateEnded,
        "the certificate has ended; it can be renewed, and nothing else",
    )
}

fn read<T: DeserializeOwned>(publish: &Publish, encoding: Encoding) -> Result<T, Failure> {
    Ok(payload::decode(&publish.payload, encoding).map_err(malformed)?)
}

impl<R: Registry, S: AsyncRead + AsyncWrite + Unpin> Session<'_, R, S> {
    pub(super) async fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if publish.retain && self.talk.version() == Version::V5 {
            return Err(End::misbehaved(
                Reason::RetainNotSupported,
                "messages are not retained",
            ));
        }
        if publish.qos == QoS::ExactlyOnce && self.held.contains(&publish.packet_id) {
            return self
                .say(Outgoing::PubRec(publish.packet_id, Reason::Success, ""))
                .await;
        }
        if self.held.len() >= usize::from(RECEIVE_MAXIMUM) && self.counts(publish.qos) {
            return Err(End::misbehaved(
                Reason::ReceiveMaximumExceeded,
                "too many messages are not released",
            ));
        }
        let own = access::device(&publish.topic, self.device, Direction::Up);
        let verdict = self.accept(&publish, own).await?;
        self.parts
            .bus
            .meter()
            .hears(own.map(|(channel, _)| channel), &verdict);
        match verdict {
            Ok(()) => self.acknowledge(&publish).await,
            Err(failure) => self.refuse(&publish, &failure).await,
        }
    }

    /// Whether a message counts towards the receive maximum `[5: 3.3.4]`, which is not told in 3.1.1; there it only
    /// bounds what is held.
    const fn counts(&self, qos: QoS) -> bool {
        match qos {
            QoS::AtMostOnce => false,
            QoS::AtLeastOnce => matches!(self.talk.version(), Version::V5),
            QoS::ExactlyOnce => true,
        }
    }

    /// Passes a message on one of its own topics on to the registry. `Ok(Ok(()))` means that it is durable.
    async fn accept(&mut self, publish: &Publish, own: Option<Key>) -> Result<Result<(), Failure>, End> {
        let Some((channel, encoding)) = own else {
            return Ok(Err(access::forbidden().into()));
        };
        let accepted = match channel {
            Channel::Renew => return self.renew(publish, encoding).await,
            Channel::Hello | Channel::Report | Channel::Trusted if self.has_ended() => Err(ended().into()),
            Channel::Hello => self.hello(publish, encoding).await?,
            Channel::Report => self.report(publish, encoding).await?,
            Channel::Trusted => return self.trusted(publish, encoding).await,
            Channel::Desired
            | Channel::Sealed
            | Channel::Certificate
            | Channel::Trust
            | Channel::Presence => Err(access::forbidden().into()),
        };
        if accepted.is_ok()
            && let Some(spoken) = Spoken::on(channel)
        {
            self.parts.bus.send_up(|| Uplink {
                device: self.device,
                spoken,
                json: encoding == Encoding::Json,
                payload: publish.payload.clone(),
            });
        }
        Ok(accepted)
    }

    async fn hello(&mut self, publish: &Publish, encoding: Encoding) -> Result<Result<(), Failure>, End> {
        let hello: Hello = match read(publish, encoding) {
            Ok(hello) => hello,
            Err(failure) => return Ok(Err(failure)),
        };
        let answer = self.ask(self.parts.registry.hello(self.device, hello)).await?;
        let Ok(needs) = answer else {
            return Ok(answer.map(|_| ()));
        };
        if needs.sealed {
            self.feeds.refresh(Channel::Sealed);
        }
        if needs.desired {
            self.feeds.refresh(Channel::Desired);
        }
        if needs.renewal {
            self.tell(CertificateUpdate::Due);
        }
        Ok(Ok(()))
    }

    async fn trusted(&mut self, publish: &Publish, encoding: Encoding) -> Result<Result<(), Failure>, End> {
        let trusted = match read(publish, encoding) {
            Ok(trusted) => trusted,
            Err(failure) => return Ok(Err(failure)),
        };
        match self
            .ask(self.parts.registry.trusted(self.device, trusted))
            .await?
        {
            Ok(None) => {}
            Ok(Some(bundle)) => {
                self.trust = Some(Box::new(bundle));
                self.feeds.refresh(Channel::Trust);
            }
            Err(failure) => return Ok(Err(failure)),
        }
        Ok(Ok(()))
    }

    /// A renewal is answered on the topic of certificates: with one, or with why there is none. Only a breakage leaves the
    /// request unacknowledged, to be repeated.
    async fn renew(&mut self, publish: &Publish, encoding: Encoding) -> Result<Result<(), Failure>, End> {
        let renew: Renew = match read(publish, encoding) {
            Ok(renew) => renew,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Err(wait) = self.parts.throttle.admit_renewal(self.device) {
            let refusal = Refusal::new(Code::ClaimThrottled, "too many renewals of this device");
            self.tell(CertificateUpdate::Refused(refused_message(&refusal, Some(wait))));
            return Ok(Ok(()));
        }
        if renew.csr.0.len() > CSR_LIMIT {
            let refusal = Refusal::new(Code::CsrMalformed, format!("is over {CSR_LIMIT} bytes")).at("csr");
            self.tell(CertificateUpdate::Refused(refused_message(&refusal, None)));
            return Ok(Ok(()));
        }
        let attempt = RenewalAttempt {
            device: self.device,
            csr: renew.csr.0,
            source: self.source,
        };
        let decide = async {
            let _turn = self.parts.claims.acquire().await;
            self.parts.registry.renew(attempt).await
        };
        match self.ask(decide).await? {
            Ok(issued) => self.tell(CertificateUpdate::Issued(issued)),
            Err(failure) if is_barred(&failure) => return Ok(Err(failure)),
            Err(Failure::Refused(refusal)) => {
                self.tell(CertificateUpdate::Refused(refused_message(&refusal, None)));
            }
            Err(failure @ Failure::Broken(_)) => return Ok(Err(failure)),
        }
        Ok(Ok(()))
    }

    async fn report(&mut self, publish: &Publish, encoding: Encoding) -> Result<Result<(), Failure>, End> {
        let report: Report = match read(publish, encoding) {
            Ok(report) => report,
            Err(failure) => return Ok(Err(failure)),
        };
        if report.device_id.parse() != Ok(self.device) {
            let refusal = Refusal::new(Code::PayloadMalformed, "is not the device of this connection");
            return Ok(Err(refusal.at("device_id").into()));
        }
        self.ask(self.parts.registry.report(self.device, report)).await
    }

    async fn acknowledge(&mut self, publish: &Publish) -> Result<(), End> {
        match publish.qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => {
                self.say(Outgoing::PubAck(publish.packet_id, Reason::Success, ""))
                    .await
            }
            QoS::ExactlyOnce => {
                self.held.push(publish.packet_id);
                self.say(Outgoing::PubRec(publish.packet_id, Reason::Success, ""))
                    .await
            }
        }
    }

    /// 5.0 has an acknowledgement that says no. 3.1.1 has none, and silence would be repeated for ever: there the
    /// connection ends.
    async fn refuse(&mut self, publish: &Publish, failure: &Failure) -> Result<(), End> {
        tracing::info!(device = %self.device, %failure, "message refused");
        let forbidden = matches!(
            failure,
            Failure::Refused(Refusal {
                code: Code::TopicForbidden,
                ..
            })
        );
        let silent = publish.qos == QoS::AtMostOnce;
        if is_barred(failure) || self.talk.version() == Version::V4 || forbidden && silent {
            return Err(End::failed(failure));
        }
        let (reason, text) = (reason_of(failure), failure.to_string());
        match publish.qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.say(Outgoing::PubAck(publish.packet_id, reason, &text)).await,
            QoS::ExactlyOnce => self.say(Outgoing::PubRec(publish.packet_id, reason, &text)).await,
        }
    }

    pub(super) async fn release(&mut self, id: u16) -> Result<(), End> {
        let known = self.held.iter().position(|&held| held == id);
        let reason = match known {
            Some(place) => {
                self.held.swap_remove(place);
                Reason::Success
            }
            None => Reason::PacketIdentifierNotFound,
        };
        self.say(Outgoing::PubComp(id, reason)).await
    }
}
