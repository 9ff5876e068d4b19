//! What clients do to a server that may end under them, each deed until its answer. A deed without one is attempted again
//! at the next server.

use muster_domain::certificate::{CertificateSerial, RevocationReason};
use muster_proto::{
    payload::{Binary, CertificateUpdate, ClaimResult},
    v1::{self, certificate::State, enrollment_client::EnrollmentClient},
};
use muster_server::ca;
use muster_tests::{Key, Mqtt, Pair, grpc};
use muster_tools::{Client, records::AuditEntry};
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use std::{
    error::Error as _,
    io::{self, ErrorKind},
    iter,
    net::SocketAddr,
    sync::Arc,
};
use tonic::{Status, transport::Channel};

/// A server that runs, and its operator.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) grpc: SocketAddr,
    pub(super) mqtt: SocketAddr,
    pub(super) roots: Arc<Vec<u8>>,
    pub(super) operator: Client,
}

/// Where a device asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Mqtt,
    Grpc,
}

/// A certificate that a client was given.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) serial: String,
    pub(super) der: Vec<u8>,
    pair: Pair,
}

impl Given {
    fn new(key: &Key, chain: &[Vec<u8>]) -> Self {
        let serial = ca::certificate_serial(&chain[0]).unwrap();
        Self {
            serial: CertificateSerial::from_bytes(&serial).unwrap().to_string(),
            der: chain[0].clone(),
            pair: key.pair(chain),
        }
    }
}

/// A device that has claimed.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// `devices/{id}`
    pub(super) name: String,
    /// The certificate in use.
    pub(super) own: Given,
    /// One that it got and has not come with yet.
    pub(super) next: Option<Given>,
}

pub(super) enum Deed {
    Claim(Claim),
    Renew(Renewal),
    Revoke(Revocation),
    Look(Look),
}

/// A device earns its first certificate.
pub(super) struct Claim {
    pub(super) door: Door,
    pub(super) serial: String,
    pub(super) code: String,
    pub(super) key: Key,
    pub(super) device: Result<Device, Cut>,
}

/// A device gets its next certificate, and comes with it or leaves that for later.
pub(super) struct Renewal {
    pub(super) door: Door,
    pub(super) device: Device,
    pub(super) key: Key,
    pub(super) comes: bool,
    pub(super) has_come: bool,
}

/// An operator ends a certificate.
pub(super) struct Revocation {
    pub(super) device: Device,
    pub(super) reason: RevocationReason,
    pub(super) is_done: bool,
}

/// An operator reads the log from an entry on.
pub(super) struct Look {
    pub(super) first: u64,
    pub(super) entries: Vec<AuditEntry>,
}

/// How far a call had come when its server ended, as far as its client can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    /// There was no server any more.
    Before,
    InHandshake,
    /// Behind the handshake, or nobody knows: gRPC keeps it to itself.
    InCall,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum No {
    /// There is one, a refusal with this number.
    Refused(u16),
    Cut(Cut),
}

type Answer<T> = Result<T, No>;

/// The answer, or how the call was cut. Refusals are not what honest clients get.
#[track_caller]
fn granted<T>(answer: Answer<T>, who: &str) -> Result<T, Cut> {
    answer.map_err(|no| match no {
        No::Refused(code) => panic!("{who} is refused: {code}"),
        No::Cut(cut) => cut,
    })
}

fn answer<T>(answered: Result<tonic::Response<T>, Status>) -> Answer<T> {
    answered
        .map(tonic::Response::into_inner)
        .map_err(|status| match grpc::refusal(&status) {
            Some(code) => No::Refused(code.number()),
            None => No::Cut(cut(&status)),
        })
}

fn cut(status: &Status) -> Cut {
    let mut causes = iter::successors(status.source(), |&cause| cause.source());
    let is_refused = |cause: &io::Error| cause.kind() == ErrorKind::ConnectionRefused;
    if causes.any(|cause| cause.downcast_ref().is_some_and(is_refused)) {
        Cut::Before
    } else {
        Cut::InCall
    }
}

fn bytes(chain: Vec<Binary>) -> Vec<Vec<u8>> {
    chain.into_iter().map(|der| der.0).collect()
}

impl Server {
    async fn dial(&self, pair: Option<&Pair>) -> Answer<Mqtt> {
        let dialled = Mqtt::dial(self.mqtt, &self.roots, pair, None).await;
        dialled.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => No::Cut(Cut::Before),
            _ => No::Cut(Cut::InHandshake),
        })
    }

    fn enrollment(&self, pair: Option<&Pair>) -> EnrollmentClient<Channel> {
        EnrollmentClient::new(grpc::channel(self.grpc, &self.roots, pair, None))
    }

    /// The device's name and chain.
    pub(super) async fn claim(
        &self,
        door: Door,
        serial: &str,
        code: &str,
        key: &Key,
    ) -> Answer<(String, Vec<Vec<u8>>)> {
        if door == Door::Grpc {
            let request = v1::ClaimRequest {
                serial: serial.to_owned(),
                activation_code: code.to_owned(),
                csr: key.csr(),
            };
            let claimed = answer(self.enrollment(None).claim(request).await)?;
            return Ok((claimed.device, claimed.chain));
        }
        match self.dial(None).await?.claim(serial, code, key.csr()).await {
            Some(ClaimResult::Accepted(it)) => Ok((format!("devices/{}", it.device_id), bytes(it.chain))),
            Some(ClaimResult::Refused(refused)) => Err(No::Refused(refused.code)),
            None => Err(No::Cut(Cut::InCall)),
        }
    }

    async fn renew(&self, door: Door, device: &Device, key: &Key) -> Answer<Vec<Vec<u8>>> {
        let pair = Some(&device.own.pair);
        if door == Door::Grpc {
            let request = v1::RenewRequest { csr: key.csr() };
            return Ok(answer(self.enrollment(pair).renew(request).await)?.chain);
        }
        let id = device.name.trim_start_matches("devices/");
        match self.dial(pair).await?.renew(id, key.csr()).await {
            Some(CertificateUpdate::Issued(issued)) => Ok(bytes(issued.chain)),
            Some(CertificateUpdate::Refused(refused)) => Err(No::Refused(refused.code)),
            Some(CertificateUpdate::Due) => panic!("{id} was not asked to renew"),
            None => Err(No::Cut(Cut::InCall)),
        }
    }

    /// Is a device let in with this certificate?
    pub(super) async fn lets_in(&self, given: &Given) -> Answer<bool> {
        let mut mqtt = self.dial(Some(&given.pair)).await?;
        let ack = mqtt.connect("", None).await.ok_or(No::Cut(Cut::InCall))?;
        Ok(ack.code == ConnectReturnCode::Success)
    }

    /// What is on record of a certificate.
    pub(super) async fn record(&self, serial: &str) -> v1::Certificate {
        let request = v1::GetCertificateRequest {
            name: format!("certificates/{serial}"),
        };
        let certificates = &self.operator.certificates;
        let record = certificates.clone().get_certificate(request).await;
        record.unwrap().into_inner()
    }
}

impl Deed {
    /// Until the answer, or the end of the server.
    pub(super) async fn attempt(&mut self, server: &Server) {
        match self {
            Self::Claim(claim) => claim.attempt(server).await,
            Self::Renew(renewal) => renewal.attempt(server).await,
            Self::Revoke(revocation) => revocation.attempt(server).await,
            Self::Look(look) => look.attempt(server).await,
        }
    }

    /// Is there nothing left of it to do?
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Claim(claim) => claim.device.is_ok(),
            Self::Renew(renewal) => renewal.device.next.is_some() && renewal.comes == renewal.has_come,
            Self::Revoke(revocation) => revocation.is_done,
            Self::Look(look) => !look.entries.is_empty(),
        }
    }
}

impl Claim {
    pub(super) async fn attempt(&mut self, server: &Server) {
        let claimed = server.claim(self.door, &self.serial, &self.code, &self.key).await;
        self.device = granted(claimed, &self.serial).map(|(name, chain)| Device {
            name,
            own: Given::new(&self.key, &chain),
            next: None,
        });
    }
}

impl Renewal {
    pub(super) async fn attempt(&mut self, server: &Server) {
        let device = &mut self.device;
        if device.next.is_none() {
            let renewed = server.renew(self.door, device, &self.key).await;
            let chain = granted(renewed, &device.name).ok();
            device.next = chain.map(|chain| Given::new(&self.key, &chain));
        }
        if let Some(next) = &device.next
            && self.comes
            && !self.has_come
        {
            let is_in = granted(server.lets_in(next).await, &device.name);
            assert_ne!(
                is_in,
                Ok(false),
                "{} with certificate {}",
                device.name,
                next.serial
            );
            self.has_come = is_in.is_ok();
        }
    }
}

impl Revocation {
    pub(super) async fn attempt(&mut self, server: &Server) {
        let request = v1::RevokeCertificateRequest {
            name: format!("certificates/{}", self.device.own.serial),
            reason: self.reason.to_string(),
            comment: String::new(),
        };
        let certificates = &server.operator.certificates;
        let revoked = answer(certificates.clone().revoke_certificate(request).await);
        if let Ok(record) = granted(revoked, &self.device.name) {
            let told = (record.state(), record.reason);
            assert_eq!(told, (State::Revoked, self.reason.to_string()));
            self.is_done = true;
        }
    }
}

impl Look {
    async fn attempt(&mut self, server: &Server) {
        let request = v1::ListEntriesRequest {
            page_size: 1000,
            page_token: String::new(),
            first_index: self.first,
        };
        let entries = server.operator.audit.clone().list_entries(request).await;
        let entries = entries.map_or_else(|_| Vec::new(), |page| page.into_inner().entries);
        let verified = |entry| AuditEntry::verified(entry).unwrap();
        self.entries = entries.into_iter().map(verified).collect();
    }
}
