//! A registry that takes everything, and remembers nothing.

use crate::{
    fault::Failure,
    mqtt::registry::{Admitted, ClaimAttempt, Needs, Registry, RenewalAttempt},
};
use bytes::Bytes;
use muster_domain::{Code, Refusal, device::Departure, ids::DeviceId};
use muster_proto::{
    payload::{CertificateIssued, ClaimAccepted, Hello, Report, TrustBundle, Trusted},
    topic::Encoding,
};
use std::{net::IpAddr, time::Duration};

/// The one device; the corpus knows its id.
const DEVICE: DeviceId = DeviceId::from_u128(0x1234);

#[derive(Debug, Clone, Copy)]
pub(super) struct Anything;

impl Registry for Anything {
    async fn admit(&self, _: &[u8], _: IpAddr) -> Result<Admitted, Failure> {
        Ok(Admitted {
            device: DEVICE,
            good_for: Duration::MAX,
        })
    }

    fn arrived(&self, _: DeviceId, _: IpAddr) -> u64 {
        1
    }

    fn departed(&self, _: DeviceId, _: u64, _: Departure) {}

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

    async fn desired(&self, _: DeviceId, _: Encoding) -> Result<Option<Bytes>, Failure> {
        Ok(Some(Bytes::from_static(b"desired state")))
    }
}
