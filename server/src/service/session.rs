//! What the gate asks: who is this, what does it say, what must it hear.

use super::{ClaimInput, OrFault as _, Service};
use crate::{
    ca,
    fault::Failure,
    mqtt::registry::{ClaimAttempt, Registry},
};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal,
    certificate::CertificateSerial,
    device::{Facet, FacetState, FacetStatus, Hello, HelloAnswer, Report},
    ids::DeviceId,
};
use muster_proto::{
    payload::{self, Binary, ClaimAccepted, Digest},
    topic::Encoding,
};
use semver::Version;

/// Longest text a device may give as a reason or version, in bytes; more is cut.
const TEXT_LIMIT: usize = 512;

/// The text, at most `limit` bytes of it.
pub(super) fn cut(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}

fn short(mut text: String) -> String {
    cut(&mut text, TEXT_LIMIT);
    text
}

fn firmware(text: Option<&str>) -> Result<Option<Version>, Refusal> {
    let wrong = |_| Refusal::new(Code::PayloadMalformed, "is not a semantic version").at("firmware");
    text.map(|text| Version::parse(text).map_err(wrong)).transpose()
}

fn facet(status: payload::FacetStatus) -> FacetStatus {
    let facet = match status.facet {
        payload::Facet::Config => Facet::Config,
        payload::Facet::Location => Facet::Location,
        payload::Facet::Firmware => Facet::Firmware,
    };
    let state = match status.state {
        payload::FacetState::Applied => FacetState::Applied,
        payload::FacetState::Failed { reason } => FacetState::Failed(short(reason)),
        payload::FacetState::Drifted { reason } => FacetState::Drifted(short(reason)),
        payload::FacetState::Waiting { reason } => FacetState::Waiting(short(reason)),
    };
    FacetStatus { facet, state }
}

fn report(wire: payload::Report) -> Result<Report, Refusal> {
    if wire.facets.len() > 3 {
        return Err(Refusal::new(Code::PayloadMalformed, "has more than one status a facet").at("facets"));
    }
    let Digest(digest) = wire.digest;
    Ok(Report {
        generation: wire.generation,
        digest,
        facets: wire.facets.into_iter().map(facet).collect(),
        firmware: firmware(wire.firmware.as_deref())?,
    })
}

impl Service {
    /// The device that may connect with this certificate, DER, which the handshake showed to be the peer's.
    fn holder(&self, leaf: &[u8]) -> Result<Option<DeviceId>, Failure> {
        let spki = ca::spki_digest(leaf).or_fault("read the key of a device certificate")?;
        Ok(self.store.holder(spki, leaf).or_fault("look up a certificate")?)
    }

    /// Is it the certificate of somebody else, pinned to a device that may connect? For the handshake, which waits: a look
    /// into the cache of the store.
    ///
    /// What the registry signed itself is let in by its authority alone: when that is removed, so is what it signed.
    pub(crate) fn is_pinned(&self, leaf: &[u8]) -> bool {
        let own = || -> Result<bool, Failure> {
            let serial = ca::certificate_serial(leaf).or_fault("read the serial of a device certificate")?;
            let serial = CertificateSerial::from_bytes(&serial);
            let known = serial.map(|serial| self.store.is_certificate(serial, leaf));
            Ok(known
                .transpose()
                .or_fault("look up a certificate")?
                .unwrap_or(false))
        };
        self.holder(leaf).is_ok_and(|holder| holder.is_some()) && own().is_ok_and(|own| !own)
    }
}

impl Registry for Service {
    async fn admit(&self, leaf: &[u8]) -> Result<DeviceId, Failure> {
        let barred = || Refusal::new(Code::DeviceBarred, "the certificate is not current");
        Ok(self.holder(leaf)?.ok_or_else(barred)?)
    }

    async fn claim(&self, attempt: ClaimAttempt) -> Result<ClaimAccepted, Failure> {
        let input = ClaimInput {
            serial: attempt.serial,
            code: attempt.code,
            csr: attempt.csr,
            source: attempt.source,
        };
        let answer = Self::claim(self, input).await?;
        Ok(ClaimAccepted {
            device_id: answer.device.to_string(),
            chain: answer.chain.into_iter().map(Binary).collect(),
            roots: self.ca.roots().into_iter().map(Binary).collect(),
        })
    }

    async fn hello(&self, device: DeviceId, hello: payload::Hello) -> Result<HelloAnswer, Failure> {
        let hello = Hello {
            generation: hello.generation,
            digest: hello.digest.0,
            agent_version: short(hello.agent_version),
            firmware: firmware(hello.firmware.as_deref())?,
            boot_id: hello.boot_id,
        };
        let (device, answer) = self
            .store
            .record_hello(device, hello, self.clock.now())
            .await
            .or_fault("record a hello")??;
        match answer {
            HelloAnswer::UpToDate if self.is_outdated(&device).await? => Ok(HelloAnswer::Send),
            HelloAnswer::UpToDate | HelloAnswer::Send => Ok(answer),
        }
    }

    async fn report(&self, device: DeviceId, wire: payload::Report) -> Result<(), Failure> {
        let heard = self
            .store
            .record_report(device, report(wire)?, self.clock.now())
            .await
            .or_fault("record a report")??;
        tracing::debug!(%device, state = %heard.lifecycle.state(), verification = %heard.verification.state(), "report");
        Ok(())
    }

    async fn desired(&self, device: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        Self::desired(self, device, encoding).await
    }
}
