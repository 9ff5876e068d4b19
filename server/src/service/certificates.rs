//! Certificates on record: finding them, how long they live, and ending one before its time.

use super::{OrFault as _, REASON_LIMIT, Service, actor, operator};
use crate::{fault::Failure, mqtt::bus::Down, store::Revocation};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::{Permit, Role},
    certificate::{CertificateHolder, CertificateRecord, CertificateSerial, Expiry, RevocationReason},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How old a count of expiries may be. Counting reads every certificate (200,000 in 0.35 s, `muster bench import --credential
/// csr`), and a dashboard asks far more often than the answer changes.
const EXPIRY_AGE: Duration = Duration::from_secs(60);

/// The last count, and the right to make the next: one at a time, whoever asks.
#[derive(Debug, Clone)]
pub(super) struct ExpiryCount {
    last: Arc<Mutex<Option<(Timestamp, Expiry)>>>,
    turn: Arc<Semaphore>,
}

impl Default for ExpiryCount {
    fn default() -> Self {
        Self {
            last: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl ExpiryCount {
    fn recent(&self, now: Timestamp) -> Option<(Timestamp, Expiry)> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| *at <= now && now < at.plus(EXPIRY_AGE))
    }

    fn keep(&self, counted: (Timestamp, Expiry)) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }
}

impl Service {
    /// The certificate of that serial.
    pub async fn certificate(&self, serial: CertificateSerial) -> Result<CertificateRecord, Failure> {
        let found = self
            .store
            .certificate(serial)
            .await
            .or_fault("load a certificate")?;
        let missing = || Refusal::new(Code::NotFound, format!("there is no certificate {serial}")).at("name");
        Ok(found.ok_or_else(missing)?)
    }

    /// How much of their lives current certificates have left, and when they were counted.
    pub async fn certificate_expiry(&self) -> Result<(Timestamp, Expiry), Failure> {
        if let Some(recent) = self.expiry.recent(self.clock.now()) {
            return Ok(recent);
        }
        let _turn = self.expiry.turn.acquire().await.or_fault("wait for a count")?;
        let now = self.clock.now();
        if let Some(recent) = self.expiry.recent(now) {
            return Ok(recent);
        }
        let counted = self.store.certificate_expiry(now).await;
        let counted = (now, counted.or_fault("count expiries")?);
        self.expiry.keep(counted);
        Ok(counted)
    }

    /// Accepts a certificate no longer. The session that it opened ends; the gate asks the registry for each connection
    /// anyway.
    pub async fn revoke_certificate(
        &self,
        permit: &Permit,
        serial: CertificateSerial,
        reason: RevocationReason,
        comment: String,
    ) -> Result<CertificateRecord, Failure> {
        if comment.len() > REASON_LIMIT {
            let why = format!("is longer than {REASON_LIMIT} bytes");
            return Err(Refusal::new(Code::RequestInvalid, why).at("comment").into());
        }
        self.may_revoke(permit, serial).await?;
        let revocation = Revocation {
            serial,
            reason,
            comment,
            actor: actor(permit)?,
            now: self.clock.now(),
        };
        let revoked = self
            .store
            .revoke_certificate(revocation)
            .await
            .or_fault("revoke a certificate")??;
        for device in revoked.devices {
            self.tell(Down::Kick(device));
        }
        // A key that is known to others opens nothing for an operator either.
        let is_operators = matches!(revoked.certificate.holder, CertificateHolder::Operator(_));
        if is_operators || reason == RevocationReason::KeyCompromise {
            self.tell(Down::OperatorOut(revoked.certificate.spki));
        }
        tracing::info!(certificate = %serial, holder = %revoked.certificate.holder, %reason, "revoked");
        Ok(revoked.certificate)
    }

    /// Whoever revokes an operator's certificate shuts them out, which is for admins (D1).
    async fn may_revoke(&self, permit: &Permit, serial: CertificateSerial) -> Result<(), Failure> {
        let role = operator(permit)?.role;
        match self.certificate(serial).await?.holder {
            CertificateHolder::Operator(name) if role != Role::Admin => {
                let why = format!(
                    "the certificate is of operators/{name}, which takes role admin; yours is {role}"
                );
                Err(Refusal::new(Code::NotPermitted, why).into())
            }
            CertificateHolder::Operator(_) | CertificateHolder::Device(_) => Ok(()),
        }
    }
}
