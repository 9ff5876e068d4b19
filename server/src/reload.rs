//! Opens the certificate authority again while the server serves, and puts it in the place of the one before: whole, or not at
//! all.

use crate::{
    ca::{Ca, CaError, Issuance, Passphrase},
    config::Settings,
    service::Service,
    tls::{Ports, TlsError},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Why the authority was not replaced; the one before works on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be opened.
    #[error("cannot open the certificate authority")]
    Ca(#[from] CaError),
    /// TLS cannot be set up with it.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}

/// What another authority changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// A line for each; none, when the authority is the same.
    pub changes: Vec<String>,
    /// Sessions of devices that ended with the authority of their certificate.
    pub ended: usize,
}

/// Opens the authority of a serving server again. Cheap to clone; one reload is done at a time.
#[derive(Debug, Clone)]
pub struct Reloader {
    directory: PathBuf,
    issuance: Issuance,
    service: Service,
    ports: Ports,
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    pub(crate) fn new(settings: &Settings, service: Service, ports: Ports) -> Self {
        Self {
            directory: settings.directory().to_owned(),
            issuance: settings.issuance().clone(),
            service,
            ports,
            turn: Arc::default(),
        }
    }

    /// Replaces the authority: what issues and signs, whom the ports believe, the server's own certificate, and what devices are
    /// told to trust. Connections go on, but for those of devices whose authority is gone. Blocks for as long as keys take to
    /// open.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; nothing changed.
    pub fn reload(&self, passphrase: &Passphrase) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // 1. All that can fail.
        let former = self.service.ca();
        let ca = Ca::open(&self.directory, passphrase)?
            .issuing(self.issuance.clone())
            .following(&former);
        let derived = self.ports.derive(&ca)?;
        let changes = ca.changes_since(&former, self.service.clock.now());
        // 2. The registry's judgement first: from then on nothing is issued that the ports would not believe, for they ask the
        // registry of what they do not know.
        let ca = Arc::new(ca);
        self.service.ca.replace(Arc::clone(&ca));
        self.ports.take(derived);
        // 3. Sessions, and watches, that could not begin any more. One that begins meanwhile is judged once more after it has its seat.
        let ended = self
            .service
            .bus
            .shut_out(|authority| ca.trusts_devices_of(authority));
        self.service.store.wake_watchers();
        if ca.trust_version() != former.trust_version() {
            self.service.bus.trust_changed();
        }
        Ok(Reloaded { changes, ended })
    }
}
