//! Claims of devices that cannot make a key: the registry makes one and hands it out (EST's `serverkeygen`).
//!
//! A code is bound to its first key, so an answer that got lost can only be repeated with the same key. It is not derived
//! from anything: a key that follows from the code would belong to whoever reads the label, one that follows from a
//! secret of ours would be in our hands for ever. So the key is random and kept in memory for a few minutes, under a name
//! that only serial and code together give, and never longer than until the device's first report: then it has arrived. After
//! that, or after a restart in between, a repetition is what a second key always is: refused, and told to the operators,
//! one of whom issues a new code. Until then, who has the code gets the key; the setting is off for a reason.

use super::{ClaimAnswer, ClaimInput, OrFault as _, Service, kept_keys::KeptKeys};
use crate::{ca::DeviceKey, fault::Failure, random::NoRandom};
use muster_domain::{claim, device::LifecycleState, names::ModelName};
use std::{fmt, net::IpAddr, sync::Arc};
use zeroize::Zeroizing;

/// Makes keys for devices.
#[derive(Debug, Clone)]
pub struct Keygen {
    service: Service,
    keys: KeptKeys,
}

/// What a device presents that needs a key.
pub struct KeygenInput {
    /// The model that it must be of, if one is given.
    pub model: Option<ModelName>,
    /// Its serial, as typed or burnt in.
    pub serial: String,
    /// The code from its label.
    pub code: Zeroizing<String>,
    /// Where it came from, for the audit log.
    pub source: IpAddr,
}

impl fmt::Debug for KeygenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeygenInput")
            .field("serial", &self.serial)
            .field("source", &self.source)
            .finish_non_exhaustive()
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

impl Keygen {
    /// Over a service.
    ///
    /// # Errors
    ///
    /// When the machine gives no random bytes.
    pub fn new(service: Service) -> Result<Self, NoRandom> {
        let keys = KeptKeys::new()?;
        Ok(Self { service, keys })
    }

    /// Decides a claim for a key that is made for it.
    pub async fn claim(&self, input: KeygenInput) -> Result<MadeIdentity, Failure> {
        // In a task of its own: when the caller hangs up, it is still decided whether the key is kept.
        let deciding = tokio::spawn(self.clone().decide(input));
        deciding.await.or_fault("make a key for a device")?
    }

    async fn decide(self, input: KeygenInput) -> Result<MadeIdentity, Failure> {
        let name = self.keys.name(&input.serial, &input.code);
        let key = self.keys.key(name).or_fault("make a key for a device")??;
        let claim = ClaimInput {
            serial: input.serial,
            code: input.code,
            csr: key.csr().or_fault("write a request for a device's key")?,
            source: input.source,
        };
        let stop = self.service.stopping.clone();
        match self.service.claim_of_model(input.model.as_ref(), claim).await {
            Ok(answer) if self.has_reported(&answer).await? => {
                self.keys.forget(name);
                Err(claim::refusal().into())
            }
            Ok(answer) => {
                self.keys.settle(name, &key, stop);
                Ok(MadeIdentity { key, answer })
            }
            Err(failure @ Failure::Refused(_)) => {
                self.keys.forget(name);
                Err(failure)
            }
            // What broke may have been recorded before: the repetition finishes it.
            Err(failure @ Failure::Broken(_)) => {
                self.keys.settle(name, &key, stop);
                Err(failure)
            }
        }
    }

    /// A device whose first report was verified has its key.
    async fn has_reported(&self, answer: &ClaimAnswer) -> Result<bool, Failure> {
        let device = self.service.store.device(answer.device).await;
        let device = device.or_fault("load a device")?;
        Ok(device.is_some_and(|device| device.lifecycle.state() == LifecycleState::Active))
    }
}
