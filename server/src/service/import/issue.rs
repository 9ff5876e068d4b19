//! New devices' identities: codes from the seed of their part, certificates for the keys that rows brought or that are
//! made here.
//!
//! The seed is on record before its part is made (I1), and serials follow from it. A certificate leaves only after it was
//! committed with its device; one that was signed for a part that never was is forgotten with it.

use super::{
    credentials::{RowKey, on_all_cores},
    part::Secrets,
};
use crate::{
    ca::{Ca, CaError, CertificationRequest, DeviceKey, HandoverFormat, Recipient},
    fault::Fault,
    service::OrFault as _,
    store::{PartRow, Store},
};
use muster_domain::{
    Refusal, Timestamp,
    activation::Seed,
    batch::{BatchSpec, CredentialKind, KeyFormat},
    certificate::{AuthorityId, CertificateProfile, CertificateRecord, CertificateSerial, SpkiDigest},
    claim,
    device::{ClaimIntent, ClaimWindow, Device, Identity},
    manifest::{FreshCredential, Holders, Intake, Limits, RowOutcome},
};
use std::sync::Arc;

/// How the new devices of a batch come to their identity.
#[derive(Clone)]
pub(super) struct Issuing {
    kind: CredentialKind,
    handover: Option<(Recipient, HandoverFormat)>,
    /// When activation codes end.
    code_expires: Option<Timestamp>,
}

/// What rows are measured by when it is seen which of them make a device.
pub(super) struct Deciding {
    pub(super) store: Store,
    pub(super) intake: Arc<Intake>,
    pub(super) limits: Limits,
}

/// A row of a part, and the key it brought.
pub(super) struct Waiting {
    pub(super) row: PartRow,
    pub(super) key: Option<RowKey>,
    failed: Option<CaError>,
}

impl Waiting {
    pub(super) const fn new(row: PartRow, key: Option<RowKey>) -> Self {
        Self {
            row,
            key,
            failed: None,
        }
    }
}

impl Issuing {
    /// As a batch asks for it.
    ///
    /// # Errors
    /// The recipient of keys is missing or none ([`muster_domain::Code::RecipientInvalid`]).
    pub(super) fn of(spec: &BatchSpec, now: Timestamp) -> Result<Self, Refusal> {
        let handover = match spec.credential {
            CredentialKind::Key => {
                let recipient = spec.key_recipient.parse();
                let format = match spec.key_format {
                    KeyFormat::Pem => HandoverFormat::Pem,
                    KeyFormat::Pkcs12 => HandoverFormat::Pkcs12,
                };
                Some((
                    recipient.map_err(|refusal: Refusal| refusal.at("spec.key_recipient"))?,
                    format,
                ))
            }
            CredentialKind::Code | CredentialKind::Csr | CredentialKind::Pinned => None,
        };
        let ttl = spec.code_ttl;
        Ok(Self {
            kind: spec.credential,
            handover,
            code_expires: (!ttl.is_zero()).then(|| now.plus(ttl)),
        })
    }

    /// What a row's device would get, as far as that is known before anything is signed or made.
    pub(super) fn credential(
        &self,
        ca: &Ca,
        secrets: &Secrets,
        row: u32,
        key: Option<&RowKey>,
        profile: CertificateProfile,
        now: Timestamp,
    ) -> FreshCredential {
        let code = || {
            let code_key = ca.code_key();
            // A plan does not depend on codes: one for all will do, and is never written.
            let code = match secrets {
                Secrets::Seed(seed) => code_key.code(seed, row),
                Secrets::None => code_key.code(&Seed::from_bytes([0; 16]), 0),
            };
            FreshCredential::Code {
                hash: code.hash(code_key),
                window: ClaimWindow::until(self.code_expires),
            }
        };
        let certified = |spki, not_after| {
            FreshCredential::Certified(Identity {
                certificate: serial(ca, secrets, row, now),
                spki,
                not_after,
                spent: None,
                source: None,
                successor: None,
            })
        };
        let (_, end) = ca.validity(profile, now);
        match (self.kind, key, secrets) {
            (CredentialKind::Csr | CredentialKind::Pinned, Some(RowKey::Pinned(key)), _) => {
                FreshCredential::Pinned(*key)
            }
            (
                CredentialKind::Csr | CredentialKind::Pinned,
                Some(RowKey::Certified { spki, not_after, .. }),
                _,
            ) => certified(*spki, *not_after),
            (CredentialKind::Csr | CredentialKind::Pinned, Some(RowKey::Requested(request)), _) => {
                certified(request.digest(), end)
            }
            // The key is made once it is known that the device is new.
            (CredentialKind::Key, _, Secrets::Seed(_)) => certified(SpkiDigest([0; 32]), end),
            // A valid row has its key wherever one is asked for.
            (CredentialKind::Csr | CredentialKind::Pinned, None, _)
            | (CredentialKind::Key, _, Secrets::None)
            | (CredentialKind::Code, ..) => code(),
        }
    }

    /// Signs, and makes what is to be made, for those rows that make a device. Blocks every core.
    pub(super) fn issue(
        &self,
        ca: &Ca,
        deciding: &Deciding,
        rows: &mut [Waiting],
        now: Timestamp,
    ) -> Result<(), Fault> {
        match self.kind {
            CredentialKind::Code => return Ok(()),
            CredentialKind::Csr | CredentialKind::Key | CredentialKind::Pinned => {}
        }
        on_all_cores(rows, |waiting| {
            if let Err(error) = self.issue_row(ca, deciding, waiting, now) {
                waiting.failed = Some(error);
            }
        });
        match rows.iter_mut().find_map(|waiting| waiting.failed.take()) {
            Some(error) => Err(error).or_fault("issue a certificate"),
            None => Ok(()),
        }
    }

    fn issue_row(
        &self,
        ca: &Ca,
        deciding: &Deciding,
        waiting: &mut Waiting,
        now: Timestamp,
    ) -> Result<(), CaError> {
        let FreshCredential::Certified(identity) = waiting.row.fresh.credential else {
            return Ok(());
        };
        // A row of a device that exists needs nothing. Should it be gone by the time of the commit, the row is refused there.
        if deciding
            .store
            .has_serial(waiting.row.row.row.serial.as_str())
            .unwrap_or(false)
        {
            return Ok(());
        }
        let profile = deciding.profile(waiting);
        let (not_before, _) = ca.validity(profile, now);
        let issued = match &waiting.key {
            Some(RowKey::Certified { der, not_before, .. }) => {
                Some((identity, *not_before, der.clone(), None))
            }
            Some(RowKey::Requested(request)) => {
                let request = request.request();
                deciding
                    .sign(ca, waiting, identity, not_before, &request, now)?
                    .map(|der| (identity, not_before, der, None))
            }
            Some(RowKey::Pinned(_)) => None,
            None => self.make(ca, deciding, waiting, identity, not_before, now)?,
        };
        let Some((identity, not_before, der, key)) = issued else {
            return Ok(());
        };
        waiting.row.fresh.credential = FreshCredential::Certified(identity);
        let issuer = match &waiting.key {
            Some(RowKey::Certified { .. }) => None,
            Some(RowKey::Requested(_) | RowKey::Pinned(_)) | None => Some(ca.issuer(profile, now)),
        };
        let intent = intent(identity, profile, issuer, not_before);
        waiting.row.certificate =
            Some(CertificateRecord::intended(waiting.row.fresh.id, &intent).signed(der));
        waiting.row.key = key;
        Ok(())
    }

    /// A key, its certificate, and both sealed to whoever may have them.
    fn make(
        &self,
        ca: &Ca,
        deciding: &Deciding,
        waiting: &Waiting,
        identity: Identity,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Issued>, CaError> {
        let Some((recipient, format)) = &self.handover else {
            return Ok(None);
        };
        let key = DeviceKey::generate()?;
        let request = key.request();
        let identity = Identity {
            spki: request.digest(),
            ..identity
        };
        let Some(der) = deciding.sign(ca, waiting, identity, not_before, &request, now)? else {
            return Ok(None);
        };
        let chain = ca.with_chain(der.clone());
        let name = waiting.row.row.row.serial.to_string();
        let sealed = key.seal(*format, &chain, &name, recipient)?;
        Ok(Some((identity, not_before, der, Some(sealed))))
    }
}

/// Identity, start of validity, certificate, sealed key.
type Issued = (Identity, Timestamp, Vec<u8>, Option<Vec<u8>>);

impl Deciding {
    /// The form of the certificate of a row's device, by its model.
    fn profile(&self, waiting: &Waiting) -> CertificateProfile {
        self.intake.certificate_profile(&waiting.row.row.row.model)
    }

    /// The device as the row would create it with this identity, if it does.
    fn created(&self, waiting: &Waiting, identity: Identity) -> Option<Device> {
        let nobody = Holders {
            serial: None,
            mac: None,
        };
        let mut fresh = waiting.row.fresh;
        fresh.credential = FreshCredential::Certified(identity);
        match self.intake.decide(&waiting.row.row, nobody, &fresh, &self.limits) {
            RowOutcome::Created(device) => Some(*device),
            RowOutcome::Updated { .. } | RowOutcome::Unchanged(_) | RowOutcome::Refused(_) => None,
        }
    }

    fn sign(
        &self,
        ca: &Ca,
        waiting: &Waiting,
        identity: Identity,
        not_before: Timestamp,
        request: &CertificationRequest,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, CaError> {
        let Some(device) = self.created(waiting, identity) else {
            return Ok(None);
        };
        let profile = self.profile(waiting);
        let intent = intent(identity, profile, Some(ca.issuer(profile, now)), not_before);
        let permit = claim::enroll(&device, intent).ok_or(CaError::Permit)?;
        ca.issue_device_in_bulk(permit, &device, request).map(Some)
    }
}

/// What a certificate that comes with an import is of.
const fn intent(
    identity: Identity,
    profile: CertificateProfile,
    issuer: Option<AuthorityId>,
    not_before: Timestamp,
) -> ClaimIntent {
    ClaimIntent {
        spki: identity.spki,
        certificate: identity.certificate,
        profile,
        issuer,
        not_before,
        not_after: identity.not_after,
        source: None,
    }
}

fn serial(ca: &Ca, secrets: &Secrets, row: u32, now: Timestamp) -> CertificateSerial {
    match secrets {
        Secrets::Seed(seed) => ca.code_key().certificate_serial(seed, row, now),
        Secrets::None => CertificateSerial::from_u128(0),
    }
}
