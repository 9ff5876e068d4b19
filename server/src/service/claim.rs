//! A claim: device + code + CSR -> certificate. One function for every door.
//!
//! The order is the point (I1, I6): check, record the intent with its serial, sign, check the certificate, record
//! it, and only then answer. A crash at any step is finished by the claim's repetition.

use super::{OrFault as _, Service, blocking, fresh_serial};
use crate::{
    ca::{self, CertificationRequest},
    fault::{Failure, Fault},
    store::{ClaimBegun, ClaimStart},
};
use muster_domain::{
    activation::ActivationCode,
    certificate::{CertificateProfile, CertificateRecord},
    claim::{self, Presented},
    device::{ClaimIntent, Device},
    ids::DeviceId,
};
use std::{fmt, net::IpAddr};
use zeroize::Zeroizing;

/// What a device presents.
pub struct ClaimInput {
    /// Its serial, as typed or burnt in.
    pub serial: String,
    /// The code from its label.
    pub code: Zeroizing<String>,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
    /// Where it came from, for the audit log.
    pub source: IpAddr,
}

impl fmt::Debug for ClaimInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimInput")
            .field("serial", &self.serial)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The identity a device earned.
#[derive(Debug)]
pub struct ClaimAnswer {
    /// Its id from now on.
    pub device: DeviceId,
    /// DER; its own certificate first.
    pub chain: Vec<Vec<u8>>,
}

impl Service {
    /// Decides a claim and issues the certificate.
    pub async fn claim(&self, input: ClaimInput) -> Result<ClaimAnswer, Failure> {
        let now = self.clock.now();
        // 1. The CSR proves possession of its key; nothing else in it counts.
        let csr = input.csr;
        let request = blocking("check a CSR", move || CertificationRequest::parse(&csr)).await?;
        let request = request.map_err(|refusal| refusal.at("csr"))?;
        // 2. A mistyped code cannot be right; it gets the answer that a wrong one gets, after the same look-up.
        let code = input
            .code
            .parse::<ActivationCode>()
            .unwrap_or_else(|_| ActivationCode::from_random([0; 15]));
        let ca = self.ca();
        let presented = Presented {
            code: code.hash(ca.code_key()),
            spki: request.digest(),
        };
        let (not_before, not_after) = ca.validity(CertificateProfile::Device, now);
        let fresh = ClaimIntent {
            spki: presented.spki,
            certificate: fresh_serial(&ca, now)?,
            profile: CertificateProfile::Device,
            issuer: Some(ca.issuer(CertificateProfile::Device, now)),
            not_before,
            not_after,
            source: Some(input.source),
        };
        let start = ClaimStart {
            serial: input.serial,
            presented,
            fresh,
            gateway: ca.validity(CertificateProfile::Gateway, now),
            now,
            source: input.source,
        };
        // 3. The decision and its intent are durable before anything is signed.
        match self.store.begin_claim(start).await.or_fault("begin a claim")? {
            ClaimBegun::Refused(refusal) => Err(refusal.into()),
            ClaimBegun::Repeat { device, certificate } => Ok(self.answer(&device, certificate.der)),
            ClaimBegun::Issue { permit, device } => {
                let record = self.sign(permit, *device, request).await?;
                // 4. The certificate is durable before it is handed out. Of two that raced, the first recorded counts.
                let finished = self
                    .store
                    .finish_claim(record, now, input.source)
                    .await
                    .or_fault("finish a claim")??;
                tracing::info!(device = %finished.device.id, certificate = %finished.certificate.serial, "claimed");
                Ok(self.answer(&finished.device, finished.certificate.der))
            }
        }
    }

    pub(super) async fn sign(
        &self,
        permit: claim::ClaimPermit,
        device: Device,
        request: CertificationRequest,
    ) -> Result<CertificateRecord, Fault> {
        let ca = self.ca();
        let signed = blocking("sign a certificate", move || {
            let intent = *permit.intent();
            let id = device.id;
            ca.issue_device(permit, &device, &request)
                .map(|der| (intent, id, der))
        });
        let (intent, device, der) = signed.await?.or_fault("sign a certificate")?;
        // Who signed, should the one that was meant be gone.
        let intent = ClaimIntent {
            issuer: ca::issuer(&der),
            ..intent
        };
        Ok(CertificateRecord::intended(device, &intent).signed(der))
    }

    pub(super) fn answer(&self, device: &Device, certificate: Vec<u8>) -> ClaimAnswer {
        ClaimAnswer {
            device: device.id,
            // Of the authority that signed it: a repeated claim may be older than today's.
            chain: self.ca().with_chain(certificate),
        }
    }
}
