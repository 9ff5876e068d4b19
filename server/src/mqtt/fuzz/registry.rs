//! A registry that takes everything, and remembers nothing.

use crate::{
    fault::Failure,
    mqtt::registry::{Admitted, AdmittedOperator, Arrival, ClaimAttempt, Needs, Registry, RenewalAttempt},
};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal, Timestamp,
    access::Role,
    audit::Entry,
    certificate::SpkiDigest,
    device::{Departure, Presence},
    ids::DeviceId,
};
use muster_proto::{
    payload::{CertificateIssued, ClaimAccepted, Hello, Report, TrustBundle, Trusted},
    topic::Encoding,
};
use std::{net::IpAddr, sync::OnceLock, time::Duration};
use tokio::sync::watch;

/// The one device; the corpus knows its id.
const DEVICE: DeviceId = DeviceId::from_u128(0x1234);

#[derive(Debug, Clone, Copy)]
pub(super) struct Anything;

impl Registry for Anything {
    async fn admit(&self, _: &[u8], _: IpAddr) -> Result<Admitted, Failure> {
        Ok(Admitted {
            device: DEVICE,
            good_for: Duration::MAX,
            issuer: None,
        })
    }

    async fn admit_operator(&self, _: &[u8]) -> Result<AdmittedOperator, Failure> {
        let unnamed = |_| Refusal::new(Code::RequestInvalid, "is no name");
        Ok(AdmittedOperator {
            name: "ines".parse().map_err(unnamed)?,
            role: Role::Integrator,
            key: SpkiDigest([7; 32]),
            good_for: Duration::MAX,
        })
    }

    fn audit_size(&self) -> watch::Receiver<u64> {
        static SIZE: OnceLock<watch::Sender<u64>> = OnceLock::new();
        SIZE.get_or_init(|| watch::Sender::new(0)).subscribe()
    }

    async fn audit(&self, _: u64, _: usize) -> Result<Vec<Entry>, Failure> {
        Ok(Vec::new())
    }

    fn arrived(&self, _: DeviceId, source: IpAddr) -> Arrival {
        Arrival {
            session: 1,
            presence: Presence::online(Timestamp::from_seconds(1), source),
        }
    }

    fn departed(&self, _: DeviceId, _: u64, _: Departure) -> Option<Presence> {
        None
    }

    fn received(&self, _: DeviceId) {}

    async fn trust(&self, _: DeviceId) -> Result<Option<TrustBundle>, Failure> {
        Ok(None)
    }

    async fn claim(&self, attempt: ClaimAttempt) -> Result<ClaimAccepted, Failure> {
        if attempt.csr.is_empty() {
            return Err(Refusal::new(Code::CsrMalformed, "is empty").into());
        }
        Ok(ClaimAccepted {
            device_id: DEVICE.to_string(),
            chain: Vec::new(),
            roots: Vec::new(),
        })
    }

    async fn renew(&self, attempt: RenewalAttempt) -> Result<CertificateIssued, Failure> {
        if attempt.csr.is_empty() {
            return Err(Refusal::new(Code::CsrMalformed, "is empty").into());
        }
        Ok(CertificateIssued { chain: Vec::new() })
    }

    async fn hello(&self, _: DeviceId, _: Hello) -> Result<Needs, Failure> {
        Ok(Needs {
            desired: true,
            sealed: true,
            renewal: true,
        })
    }

    async fn report(&self, _: DeviceId, report: Report) -> Result<(), Failure> {
        if report.generation == 666 {
            return Err(Refusal::new(Code::GenerationUnknown, "was never issued").into());
        }
        Ok(())
    }

    async fn trusted(&self, _: DeviceId, _: Trusted) -> Result<Option<TrustBundle>, Failure> {
        Ok(None)
    }

    async fn sealed(&self, _: DeviceId, _: Encoding) -> Result<Option<Bytes>, Failure> {
        Ok(Some(Bytes::from_static(b"sealed secrets")))
    }

    async fn desired(&self, _: DeviceId, _: Encoding) -> Result<Option<Bytes>, Failure> {
        Ok(Some(Bytes::from_static(b"desired state")))
    }
}
