//! What the gate asks the registry: who is this, what does it say, what must it hear; and what integrators are told.

use crate::fault::Failure;
use bytes::Bytes;
use muster_domain::{
    access::Role,
    audit::Entry,
    certificate::{AuthorityId, SpkiDigest},
    device::{Departure, Presence},
    ids::DeviceId,
    names::OperatorName,
};
use muster_proto::{
    payload::{CertificateIssued, ClaimAccepted, Hello, Report, TrustBundle, Trusted},
    topic::Encoding,
};
use std::{fmt, future::Future, net::IpAddr, time::Duration};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// A claim as it came in over MQTT.
pub struct ClaimAttempt {
    /// User name of the connection: the device's serial.
    pub serial: String,
    /// Password of the connection: the activation code.
    pub code: Zeroizing<String>,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
    /// Where it came from.
    pub source: IpAddr,
}

impl fmt::Debug for ClaimAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimAttempt")
            .field("serial", &self.serial)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A device that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Which.
    pub device: DeviceId,
    /// For how long its certificate is good for everything; from then on it may renew it, and nothing else.
    pub good_for: Duration,
    /// The authority that it ends with; `None` when it was pinned, and needs none.
    pub issuer: Option<AuthorityId>,
}

/// An operator who is let in, to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedOperator {
    /// Who.
    pub name: OperatorName,
    /// What they may hear.
    pub role: Role,
    /// The key of their certificate.
    pub key: SpkiDigest,
    /// For how long their certificate is good.
    pub good_for: Duration,
}

/// A device's session as it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number. Newer sessions have higher ones.
    pub session: u64,
    /// What is known of the device since.
    pub presence: Presence,
}

/// A request for the next certificate.
#[derive(Debug, Clone)]
pub struct RenewalAttempt {
    /// Whose, by the certificate of its connection.
    pub device: DeviceId,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
    /// Where it came from.
    pub source: IpAddr,
}

/// What a device needs after its hello.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Its desired state is another than it has.
    pub desired: bool,
    /// Its desired state has secrets: they are sent anew, for its key may be another than they were sealed to.
    pub sealed: bool,
    /// It should renew its certificate now.
    pub renewal: bool,
}

/// The registry, seen from the gate. An answer means that what it says is durable.
pub trait Registry: Clone + Send + Sync + 'static {
    /// Whose certificate this is; refused when it is not current, its authority is gone, or its device is shut out. All of that is
    /// judged here: a session that was resumed shows what another handshake checked, hours ago.
    fn admit(&self, leaf: &[u8], source: IpAddr) -> impl Future<Output = Result<Admitted, Failure>> + Send;

    /// The operator whose certificate this is; refused when they are not registered or shut out.
    fn admit_operator(&self, leaf: &[u8]) -> impl Future<Output = Result<AdmittedOperator, Failure>> + Send;

    /// How many entries the audit log has, and how many it will have.
    fn audit_size(&self) -> watch::Receiver<u64>;

    /// Entries of the audit log from this index on, at most so many.
    fn audit(&self, first: u64, limit: usize) -> impl Future<Output = Result<Vec<Entry>, Failure>> + Send;

    /// Notes that a device is connected; the number of its session is for [`Registry::departed`]. Called under a lock, for
    /// every connection: it must not wait.
    fn arrived(&self, device: DeviceId, source: IpAddr) -> Arrival;

    /// Notes that a session ended; what is known of the device since. It must not wait, and a session that is not the device's
    /// newest says nothing of the device: `None`.
    fn departed(&self, device: DeviceId, session: u64, departure: Departure) -> Option<Presence>;

    /// Notes that a device acknowledged its desired state: it has it, and will say what becomes of it. It must not wait.
    fn received(&self, device: DeviceId);

    /// Decides a claim.
    fn claim(&self, attempt: ClaimAttempt) -> impl Future<Output = Result<ClaimAccepted, Failure>> + Send;

    /// Decides a renewal.
    fn renew(
        &self,
        attempt: RenewalAttempt,
    ) -> impl Future<Output = Result<CertificateIssued, Failure>> + Send;

    /// Notes what a device says on connect, and what it needs.
    fn hello(&self, device: DeviceId, hello: Hello) -> impl Future<Output = Result<Needs, Failure>> + Send;

    /// Records what a device says of itself.
    fn report(&self, device: DeviceId, report: Report) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Records by which roots a device trusts, and how it comes to those of today; `None` when it has.
    fn trusted(
        &self,
        device: DeviceId,
        trusted: Trusted,
    ) -> impl Future<Output = Result<Option<TrustBundle>, Failure>> + Send;

    /// How a device comes to the roots of today, from those by which it said that it trusts; `None` when it has.
    fn trust(&self, device: DeviceId) -> impl Future<Output = Result<Option<TrustBundle>, Failure>> + Send;

    /// The secrets of the device's desired state, sealed to its key: an encoded, signed envelope. `None` when it has none.
    fn sealed(
        &self,
        device: DeviceId,
        encoding: Encoding,
    ) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;

    /// The device's desired state: an encoded, signed envelope. `None` when there is none.
    fn desired(
        &self,
        device: DeviceId,
        encoding: Encoding,
    ) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}
