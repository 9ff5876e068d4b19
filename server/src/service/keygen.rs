//! Claims of devices that cannot make a key: the registry makes one and hands it out (EST's `serverkeygen`).
//!
//! A code is bound to its first key, so an answer that got lost can only be repeated with the same key. It is not derived
//! from anything: a key that follows from the code would belong to whoever reads the label, one that follows from a
//! secret of ours would be in our hands for ever. So the key is random and kept in memory, under a name that only serial
//! and code together give, for [`KEPT_FOR`] and never longer than until the device's first report: then it has arrived. After
//! that, or after a restart in between, a repetition is what a second key always is: refused, and told to the operators,
//! one of whom issues a new code. Until then, who has the code gets the key; the setting is off for a reason.

use super::{ClaimAnswer, ClaimInput, OrFault as _, Service};
use crate::{ca::DeviceKey, fault::Failure, random};
use muster_domain::{
    Code, Refusal, activation::ActivationCode, claim, device::LifecycleState, names::ModelName,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// How long an answer can be repeated: a device that lost one comes back within a minute.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// Keys kept at once; about a kilobyte each. Wrong codes leave none.
const KEPT: usize = 16 << 10;

/// What a key is kept under: a salted hash of serial and code.
type Name = [u8; 32];

struct Kept {
    key: Arc<DeviceKey>,
    /// It was certified, and goes when its time is over.
    settled: bool,
}

/// Makes keys for devices.
#[derive(Clone)]
pub struct Keygen {
    service: Service,
    kept: Arc<Mutex<HashMap<Name, Kept>>>,
    /// Of this process: the names say nothing to anybody else. `None` where the machine gave no random bytes.
    salt: Option<[u8; 32]>,
}

impl fmt::Debug for Keygen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keygen").finish_non_exhaustive()
    }
}

/// A key and what was issued for it.
#[derive(Debug)]
pub struct MadeIdentity {
    key: Arc<DeviceKey>,
    answer: ClaimAnswer,
}

impl MadeIdentity {
    /// The key in the clear, PKCS#8 in DER: whoever takes it out wipes every copy.
    pub fn pkcs8(&self) -> &[u8] {
        self.key.pkcs8()
    }

    /// The device's own certificate, DER.
    pub fn certificate(&self) -> &[Vec<u8>] {
        &self.answer.chain[..1]
    }
}

/// A claim whose key is to be made.
struct Wanted {
    model: Option<ModelName>,
    serial: String,
    code: Zeroizing<String>,
    source: IpAddr,
}

impl Keygen {
    /// Over a service; keys that it keeps end with it.
    pub fn new(service: Service) -> Self {
        Self {
            service,
            kept: Arc::default(),
            salt: random::bytes().ok(),
        }
    }

    /// Decides a claim for a key that is made for it.
    pub async fn claim(
        &self,
        model: Option<ModelName>,
        serial: String,
        code: Zeroizing<String>,
        source: IpAddr,
    ) -> Result<MadeIdentity, Failure> {
        let wanted = Wanted {
            model,
            serial,
            code,
            source,
        };
        // In a task of its own: when the caller hangs up, it is still decided whether the key is kept.
        let deciding = tokio::spawn(self.clone().decide(wanted));
        deciding.await.or_fault("make a key for a device")?
    }

    async fn decide(self, wanted: Wanted) -> Result<MadeIdentity, Failure> {
        let name = self.name(&wanted)?;
        let key = self.key(name)?;
        let input = ClaimInput {
            serial: wanted.serial,
            code: wanted.code,
            csr: key.csr().or_fault("write a request for a device's key")?,
            source: wanted.source,
        };
        let claimed = self.service.claim_of_model(wanted.model.as_ref(), input).await;
        match claimed {
            Ok(answer) if self.has_reported(&answer).await? => {
                self.forget(&name);
                Err(claim::refusal().into())
            }
            Ok(answer) => {
                self.settle(name, &key);
                Ok(MadeIdentity { key, answer })
            }
            Err(failure @ Failure::Refused(_)) => {
                self.forget(&name);
                Err(failure)
            }
            // What broke may have been recorded before: the repetition finishes it.
            Err(failure @ Failure::Broken(_)) => {
                self.settle(name, &key);
                Err(failure)
            }
        }
    }

    /// However the code is typed, it is the same name.
    fn name(&self, wanted: &Wanted) -> Result<Name, Failure> {
        let salt = self.salt.ok_or(random::NoRandom).or_fault("keep a key")?;
        let code = wanted
            .code
            .parse::<ActivationCode>()
            .map(|code| Zeroizing::new(code.reveal()));
        let code = code.unwrap_or_else(|_| wanted.code.clone());
        let parts = [&salt[..], wanted.serial.as_bytes(), &[0], code.as_bytes()];
        let hash = parts
            .iter()
            .fold(Sha256::new(), |hash, part| hash.chain_update(part));
        Ok(hash.finalize().into())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Name, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of that name, or a fresh one. It is kept before anything is recorded of it, so that a repetition that overtakes
    /// the first try finds it.
    fn key(&self, name: Name) -> Result<Arc<DeviceKey>, Failure> {
        if let Some(known) = self.kept().get(&name) {
            return Ok(Arc::clone(&known.key));
        }
        let fresh = Arc::new(DeviceKey::generate().or_fault("make a key for a device")?);
        let mut kept = self.kept();
        if kept.len() >= KEPT && !kept.contains_key(&name) {
            return Err(Refusal::new(Code::Busy, "too many keys wait for their devices").into());
        }
        let known = kept.entry(name).or_insert(Kept {
            key: fresh,
            settled: false,
        });
        Ok(Arc::clone(&known.key))
    }

    /// A device whose first report was verified has its key.
    async fn has_reported(&self, answer: &ClaimAnswer) -> Result<bool, Failure> {
        let device = self
            .service
            .store
            .device(answer.device)
            .await
            .or_fault("load a device")?;
        Ok(device.is_some_and(|device| device.lifecycle.state() == LifecycleState::Active))
    }

    fn forget(&self, name: &Name) {
        self.kept().remove(name);
    }

    /// Keeps the key for its time, counted from the first time.
    fn settle(&self, name: Name, key: &Arc<DeviceKey>) {
        let mut kept = self.kept();
        let known = kept.entry(name).or_insert_with(|| Kept {
            key: Arc::clone(key),
            settled: false,
        });
        if std::mem::replace(&mut known.settled, true) {
            return;
        }
        let (keygen, stop) = (self.clone(), self.service.stopping.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(tokio::time::sleep(KEPT_FOR)).await;
            keygen.forget(&name);
        });
    }
}
