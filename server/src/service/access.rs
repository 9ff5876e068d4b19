//! Operators: who they are, and how they come and go.

use super::{OrFault as _, Service, actor, blocking, fresh_serial};
use crate::{
    ca::{CertificationRequest, operator_record},
    fault::Failure,
    mqtt::bus::Down,
    store::NewOperator,
};
use muster_domain::{
    access::{Operator, Permit, Role},
    audit::{Action, Event},
    certificate::{CertificateProfile, CertificateRecord},
    names::OperatorName,
};
use std::sync::Arc;

/// A new operator and their certificate.
#[derive(Debug)]
pub struct CreatedOperator {
    /// As registered.
    pub operator: Operator,
    /// DER; their own certificate first.
    pub chain: Vec<Vec<u8>>,
}

impl Service {
    /// The operator who holds this certificate's key, if registered and of an authority that is trusted still. Disabled ones are
    /// returned: the access rules refuse them by name.
    pub(crate) async fn operator_of(&self, leaf: &[u8]) -> Result<Option<Operator>, Failure> {
        // The handshake may be as old as its connection: what it took ends with the authority that signed it.
        if !self.ca().has_operator_issuer_of(leaf) {
            return Ok(None);
        }
        let key = crate::ca::spki_digest(leaf).or_fault("read the key of an operator certificate")?;
        Ok(self
            .store
            .operator_by_key(key)
            .await
            .or_fault("look up an operator")?)
    }

    /// Registers an operator and certifies the key of the request.
    pub async fn create_operator(
        &self,
        permit: &Permit,
        name: OperatorName,
        role: Role,
        csr: Vec<u8>,
    ) -> Result<CreatedOperator, Failure> {
        let (now, actor) = (self.clock.now(), actor(permit)?);
        let ca = self.ca();
        let signing = Arc::clone(&ca);
        let signed_name = name.clone();
        let signed = blocking(
            "certify an operator",
            move || -> Result<CertificateRecord, Failure> {
                let request = CertificationRequest::parse(&csr).map_err(|refusal| refusal.at("csr"))?;
                let serial = fresh_serial(&signing, now)?;
                let certificate = signing
                    .issue_operator(CertificateProfile::Operator, &signed_name, &request, now, serial)
                    .or_fault("certify an operator")?;
                Ok(operator_record(
                    signed_name,
                    signing.issuer(CertificateProfile::Operator, now),
                    certificate,
                )
                .or_fault("read the certificate of an operator")?)
            },
        );
        // The certificate opens nothing until the operator is on record, so signing may come first.
        let certificate = signed.await??;
        let operator = Operator {
            name,
            role,
            key: certificate.spki,
            enabled: true,
            certificate: Some(certificate.serial),
        };
        let event = Event::new(
            now,
            actor,
            Action::OperatorCreated,
            format!("operators/{}", operator.name),
        )
        .with("role", role)
        .with("key", operator.key)
        .with("certificate", certificate.serial);
        let der = certificate.der.clone();
        let fresh = NewOperator {
            operator: operator.clone(),
            certificate,
        };
        self.store
            .create_operator(fresh, event)
            .await
            .or_fault("record an operator")??;
        let chain = ca.with_chain(der);
        Ok(CreatedOperator { operator, chain })
    }

    /// Shuts an operator out for good; what they hear over MQTT ends.
    pub async fn disable_operator(&self, permit: &Permit, name: OperatorName) -> Result<Operator, Failure> {
        let event = Event::new(
            self.clock.now(),
            actor(permit)?,
            Action::OperatorDisabled,
            format!("operators/{name}"),
        );
        let disabled = self.store.disable_operator(name, event).await;
        let disabled = disabled.or_fault("disable an operator")??;
        self.store.wake_watchers();
        self.tell(Down::OperatorOut(disabled.key));
        Ok(disabled)
    }
}
