//! What rows bring for the identity of new devices, verified on every core: checking a request costs as much as all the
//! rest of a row ten times over.

use super::check::Entry;
use crate::ca::{CertificationRequest, KeptRequest, certificate_validity};
use muster_domain::{
    Code, Refusal, Timestamp,
    certificate::SpkiDigest,
    device::PinnedKey,
    manifest::{Problem, RowCredential},
};
use serde::{Deserialize, Serialize};
use std::{num::NonZero, thread};

/// Most threads for one block: more would find no work.
const THREADS: usize = 16;

/// The key of a row, verified. It waits on the spool with its row: signing needs no second look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RowKey {
    /// A request proved that the device holds it.
    Requested(KeptRequest),
    /// The device will prove it with its claim.
    Pinned(PinnedKey),
    /// The device has a certificate for it, of somebody else's authority.
    Certified {
        /// The certificate.
        der: Vec<u8>,
        /// Its key.
        spki: SpkiDigest,
        /// Its validity.
        not_before: Timestamp,
        /// ... and its end.
        not_after: Timestamp,
    },
}

impl RowKey {
    fn verify(credential: RowCredential, now: Timestamp) -> Result<Self, Refusal> {
        match credential {
            RowCredential::Request { der, .. } => {
                let request = CertificationRequest::parse(&der)?;
                Ok(Self::Requested(request.keep()))
            }
            RowCredential::PublicKey { spki, .. } => Ok(Self::Pinned(PinnedKey {
                spki,
                certificate: None,
            })),
            RowCredential::Certificate {
                der, spki, not_after, ..
            } => {
                let wrong = |why: &str| Refusal::new(Code::CredentialMalformed, why);
                let (not_before, _) =
                    certificate_validity(&der).map_err(|_| wrong("is not a certificate that can be read"))?;
                if not_after <= now {
                    return Err(wrong("is a certificate that has ended"));
                }
                Ok(Self::Certified {
                    der,
                    spki,
                    not_before,
                    not_after,
                })
            }
        }
    }
}

/// How many threads to use.
pub(super) fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS)
}

/// Does `work` on every item, on all cores. Blocks.
pub(super) fn on_all_cores<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let each = items.len().div_ceil(threads()).max(1);
    thread::scope(|scope| {
        for part in items.chunks_mut(each) {
            let work = &work;
            scope.spawn(move || part.iter_mut().for_each(work));
        }
    });
}

/// Verifies the credential of a row, which stands in this column. What is wrong is added to what is wrong with the row.
pub(super) fn verify(entry: &mut Entry, credential: RowCredential, column: &str, now: Timestamp) {
    match RowKey::verify(credential, now) {
        Ok(key) => entry.key = Some(key),
        Err(refusal) => {
            let problem = Problem::new(refusal.at("credential")).in_column(column);
            let row = entry.row;
            entry.refuse(problem.in_row(row));
        }
    }
}
