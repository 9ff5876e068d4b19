//! What the gate asks the registry: who is this, what does it say, what must it hear.

use crate::fault::Failure;
use bytes::Bytes;
use muster_domain::{certificate::AuthorityId, device::Departure, ids::DeviceId};
use muster_proto::{
    payload::{CertificateIssued, ClaimAccepted, Hello, Report, TrustBundle, Trusted},
    topic::Encoding,
};
use std::{fmt, future::Future, net::IpAddr, time::Duration};
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
    /// It should renew its certificate now.
    pub renewal: bool,
}

/// The registry, seen from the gate. An answer means that what it says is durable.
pub trait Registry: Clone + Send + Sync + 'static {
    /// Whose certificate this is; refused when it is not current, its authority is gone, or its device is shut out. All of that is
    /// judged here: a session that was resumed shows what another handshake checked, hours ago.
    fn admit(&self, leaf: &[u8], source: IpAddr) -> impl Future<Output = Result<Admitted, Failure>> + Send;

    /// Notes that a device is connected; the number of its session is for [`Registry::departed`]. Newer sessions have higher
    /// numbers. Called under a lock, for every connection: it must not wait.
    fn arrived(&self, device: DeviceId, source: IpAddr) -> u64;

    /// Notes that a session ended. It must not wait, and a session that is not the device's newest says nothing of the device.
    fn departed(&self, device: DeviceId, session: u64, departure: Departure);

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

    /// The device's desired state: an encoded, signed envelope. `None` when there is none.
    fn desired(
        &self,
        device: DeviceId,
        encoding: Encoding,
    ) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}
