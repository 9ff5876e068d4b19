//! What the gate asks: who is this, what does it say, what must it hear; and what integrators are told.

use super::{ClaimInput, OrFault as _, Service};
use crate::{
    ca,
    fault::Failure,
    mqtt::registry::{Admitted, AdmittedOperator, Arrival, ClaimAttempt, Needs, Registry, RenewalAttempt},
    store::Holder,
};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal, Timestamp,
    access::may_listen,
    audit::Entry,
    certificate::CertificateSerial,
    device::{Departure, Facet, FacetState, FacetStatus, Hello, HelloAnswer, Presence, Report, Verification},
    ids::DeviceId,
    renewal::{self, Admission},
};
use muster_proto::{
    payload::{self, Binary, ClaimAccepted, Digest, TrustBundle, Trusted},
    topic::Encoding,
};
use semver::Version;
use std::{net::IpAddr, time::Duration};
use tokio::sync::watch;

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
    /// The device that may connect with this certificate, DER, which the handshake showed to be the peer's, be it only to
    /// renew it.
    ///
    /// All that there is to judge is judged here, where every connection comes by, and not in the handshake alone: in one that
    /// resumes a session (RFC 8446, 2.2) no certificate is shown, and its ticket tells what was shown when it was made.
    fn holder(&self, leaf: &[u8]) -> Result<Option<Holder>, Failure> {
        let spki = ca::spki_digest(leaf).or_fault("read the key of a device certificate")?;
        let holder = self.store.holder(spki, leaf).or_fault("look up a certificate")?;
        let now = self.clock.now();
        let holder = holder.filter(|holder| match self.admission(holder, now) {
            Admission::Full | Admission::RenewOnly => holder.not_before <= now,
            Admission::Over => false,
        });
        match holder {
            Some(holder) if self.is_of_authority(leaf)? => Ok(Some(holder)),
            Some(_) | None => Ok(None),
        }
    }

    /// What an authority of ours signed ends with that authority: after its removal it is no certificate any more. One that was
    /// pinned needs none.
    fn is_of_authority(&self, leaf: &[u8]) -> Result<bool, Failure> {
        Ok(self.ca().device_issuer_of(leaf).is_some() || !self.is_own(leaf)?)
    }

    /// What a certificate on record is good for, by the grace of its device's model.
    fn admission(&self, holder: &Holder, now: Timestamp) -> Admission {
        let catalog = self.store.catalog();
        let grace = catalog
            .models
            .get(&holder.model)
            .map(|model| model.renewal_grace());
        renewal::admission(holder.not_after, grace.unwrap_or_default(), now)
    }

    /// Is it on record as a certificate with which a device may connect, be it only to renew it? For the handshake, which
    /// waits: a look into the cache of the store.
    pub(crate) fn is_current(&self, leaf: &[u8]) -> bool {
        self.holder(leaf).is_ok_and(|holder| holder.is_some())
    }

    /// How a device comes to the newest version of trust; `None` when it is there.
    fn untrusted(&self, held: u64) -> Option<TrustBundle> {
        let ca = self.ca();
        (held < ca.trust_version()).then(|| ca.trust_above(held))
    }

    /// Is it the registry's own, and not one that was pinned?
    fn is_own(&self, leaf: &[u8]) -> Result<bool, Failure> {
        let serial = ca::certificate_serial(leaf).or_fault("read the serial of a device certificate")?;
        let serial = CertificateSerial::from_bytes(&serial);
        let known = serial.map(|serial| self.store.is_certificate(serial, leaf));
        let known = known.transpose().or_fault("look up a certificate")?;
        Ok(known.unwrap_or(false))
    }
}

impl Registry for Service {
    async fn admit(&self, leaf: &[u8], source: IpAddr) -> Result<Admitted, Failure> {
        let barred = || Refusal::new(Code::DeviceBarred, "the certificate is not current");
        let holder = self.holder(leaf)?.ok_or_else(barred)?;
        let now = self.clock.now();
        if holder.is_successor {
            self.store
                .promote(holder.device, holder.serial, now, source)
                .await
                .or_fault("note a renewed certificate")?;
        }
        let left = holder.not_after.millis().saturating_sub(now.millis());
        Ok(Admitted {
            device: holder.device,
            good_for: Duration::from_millis(left),
            issuer: self.ca().device_issuer_of(leaf),
        })
    }

    async fn renew(&self, attempt: RenewalAttempt) -> Result<payload::CertificateIssued, Failure> {
        let RenewalAttempt { device, csr, source } = attempt;
        let renewed = Self::renew(self, device, csr, source).await?;
        Ok(payload::CertificateIssued {
            chain: renewed.chain.into_iter().map(Binary).collect(),
        })
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
            roots: self.ca().roots().into_iter().map(Binary).collect(),
        })
    }

    async fn admit_operator(&self, leaf: &[u8]) -> Result<AdmittedOperator, Failure> {
        let operator = may_listen(self.operator_of(leaf).await?)?;
        let (now, (_, end)) = (
            self.clock.now(),
            ca::certificate_validity(leaf).or_fault("read the validity of an operator certificate")?,
        );
        Ok(AdmittedOperator {
            name: operator.name,
            role: operator.role,
            key: operator.key,
            good_for: Duration::from_millis(end.millis().saturating_sub(now.millis())),
        })
    }

    fn audit_size(&self) -> watch::Receiver<u64> {
        self.store.audit_size()
    }

    async fn audit(&self, first: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
        let (entries, _) = self
            .store
            .list_audit(first, limit)
            .await
            .or_fault("read the audit log")?;
        Ok(entries)
    }

    fn arrived(&self, device: DeviceId, source: IpAddr) -> Arrival {
        let now = self.clock.now();
        Arrival {
            session: self.store.arrived(device, source, now),
            presence: Presence::online(now, source),
        }
    }

    fn departed(&self, device: DeviceId, session: u64, departure: Departure) -> Option<Presence> {
        self.store.departed(device, session, departure, self.clock.now())
    }

    fn received(&self, device: DeviceId) {
        self.deliveries.acknowledged(device);
    }

    async fn hello(&self, device: DeviceId, hello: payload::Hello) -> Result<Needs, Failure> {
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
        let desired = match answer {
            HelloAnswer::Send => true,
            HelloAnswer::UpToDate => self.is_outdated(&device).await?,
        };
        let renewal = device.renew_from.is_some_and(|from| from <= self.clock.now());
        let sealed = !self.secrets_of(&device).is_empty();
        Ok(Needs {
            desired,
            sealed,
            renewal,
        })
    }

    async fn report(&self, device: DeviceId, wire: payload::Report) -> Result<(), Failure> {
        let heard = self
            .store
            .record_report(device, report(wire)?, self.clock.now())
            .await
            .or_fault("record a report")??;
        if !matches!(heard.verification, Verification::Pending) {
            self.deliveries.confirmed(device);
        }
        tracing::debug!(%device, state = %heard.lifecycle.state(), verification = %heard.verification.state(), "report");
        Ok(())
    }

    async fn trusted(&self, device: DeviceId, trusted: Trusted) -> Result<Option<TrustBundle>, Failure> {
        let noted = self.store.record_trust(device, trusted.version).await;
        noted.or_fault("record what a device trusts")??;
        Ok(self.untrusted(trusted.version))
    }

    async fn trust(&self, device: DeviceId) -> Result<Option<TrustBundle>, Failure> {
        let device = self.store.device(device).await.or_fault("load a device")?;
        Ok(device.and_then(|device| self.untrusted(device.trust)))
    }

    async fn sealed(&self, device: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        Self::sealed(self, device, encoding).await
    }

    async fn desired(&self, device: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        Self::desired(self, device, encoding).await
    }
}
