//! Ceremonies of the certificate authority under a server that runs.

use crate::{Key, Pair, World};
use muster_domain::certificate::{AuthorityId, CertificateProfile};
use muster_server::{
    ca::{self, AuthorityKind, AuthorityState, Ca, CertificationRequest, Installed, Offline, Passphrase},
    reload::{ReloadError, Reloaded},
};

impl World {
    /// The passphrase of the registry and of its root key.
    pub fn passphrase(&self) -> Passphrase {
        Passphrase::read(&self.path("passphrase")).expect("a passphrase")
    }

    /// Makes and installs the next generation of a kind; the server does not know yet.
    pub fn rotate(&self, kind: AuthorityKind) -> AuthorityId {
        let (directory, passphrase, now) = (self.registry(), self.passphrase(), self.now());
        let offline = Offline::open(&self.path("registry-offline"), &passphrase).expect("a root key");
        let request = ca::request(&directory, kind, &passphrase).expect("a request");
        let signed = offline.sign(&request, kind, now).expect("a signature");
        match ca::install(&directory, &signed, &passphrase, now).expect("an installation") {
            Installed::Authority(installed, id) if installed == kind => id,
            other => panic!("{kind}: {other:?}"),
        }
    }

    /// Another certificate of the authority over the key of an operator, under whatever name.
    pub fn certified_again(&self, pair: &Pair, name: &str) -> Pair {
        let (key, now) = (Key::of_pair(pair), self.now());
        let ca = Ca::open(&self.registry(), &self.passphrase()).expect("an authority");
        let request = CertificationRequest::parse(&key.csr()).expect("a request");
        let (name, serial) = (
            name.parse().expect("a name"),
            ca.fresh_serial(now).expect("a serial"),
        );
        let certified = ca.issue_operator(CertificateProfile::Operator, &name, &request, now, serial);
        key.pair(&ca.with_chain(certified.expect("a certificate")))
    }

    /// The generation of a kind that works, as the files have it.
    pub fn working(&self, kind: AuthorityKind) -> AuthorityId {
        let all = ca::list(&self.registry(), self.now()).expect("a list");
        let of_kind = |one: &&ca::Listed| one.kind == kind.as_str() && one.state == AuthorityState::Issuing;
        all.iter().find(of_kind).expect("one that works").id
    }

    /// Removes a generation, whatever it has signed; the server does not know yet.
    pub fn remove(&self, id: AuthorityId) {
        ca::remove(&self.registry(), &id.to_string(), self.now(), |_, _| Ok(0)).expect("a removal");
    }

    /// Makes the server open its authority again, as SIGHUP does.
    ///
    /// # Errors
    /// As [`muster_server::reload::Reloader::reload`].
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reload_with(self.passphrase()).await
    }

    /// The same with any passphrase.
    ///
    /// # Errors
    /// As [`muster_server::reload::Reloader::reload`].
    pub async fn reload_with(&self, passphrase: Passphrase) -> Result<Reloaded, ReloadError> {
        let reloader = self.reloader().clone();
        let reloaded = tokio::task::spawn_blocking(move || reloader.reload(&passphrase));
        reloaded.await.expect("no panic")
    }
}
