//! Whose certificate a client showed.

use super::{TlsError, own_certificates};
use crate::{ca::Ca, clock::Clock};
use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
    time_provider::TimeProvider as _,
};
use std::{fmt, sync::Arc};

/// The certificate that a client showed, DER, and by which authority the handshake let it in. What a device shows can never
/// pass for an operator's, even over an operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// None.
    Nothing,
    /// One of the operator CA.
    Operator(Arc<[u8]>),
    /// One of the device CA, or one that is pinned to a device.
    Device(Arc<[u8]>),
}

/// Tells operators from devices, on every port where both may come.
#[derive(Clone)]
pub struct Whose {
    operators: Arc<dyn ClientCertVerifier>,
    clock: Clock,
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whose").finish_non_exhaustive()
    }
}

impl Whose {
    /// By the authorities of today.
    ///
    /// # Errors
    ///
    /// [`TlsError`], when the authority's certificates cannot be used.
    pub fn new(ca: &Ca, clock: &Clock) -> Result<Self, TlsError> {
        Self::under(ca.operator_anchors(), clock)
    }

    /// Operators are those with certificates under these authorities.
    pub(crate) fn under(anchors: Vec<Vec<u8>>, clock: &Clock) -> Result<Self, TlsError> {
        Ok(Self {
            operators: own_certificates(anchors)?,
            clock: clock.clone(),
        })
    }

    /// The handshake took the chain; here it is asked once more by which authority. Whatever is not plainly an operator's is
    /// a device's, which opens less.
    pub fn shown(&self, chain: &[CertificateDer<'_>]) -> Shown {
        let Some((leaf, above)) = chain.split_first() else {
            return Shown::Nothing;
        };
        let now = self.clock.current_time().unwrap_or_else(UnixTime::now);
        let judged = self.operators.verify_client_cert(leaf, above, now);
        let leaf = Arc::from(leaf.as_ref());
        if judged.is_ok() {
            Shown::Operator(leaf)
        } else {
            Shown::Device(leaf)
        }
    }
}
