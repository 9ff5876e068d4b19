//! What EST asks beyond a claim: whose certificate this is, and whether a device is of a model.

use super::{ClaimAnswer, ClaimInput, OrFault as _, Service};
use crate::{fault::Failure, mqtt::registry::Registry as _};
use muster_domain::{claim, device::Device, names::ModelName};
use std::net::IpAddr;
use zeroize::Zeroizing;

impl Service {
    /// Is there such a model?
    pub fn has_model(&self, model: &ModelName) -> bool {
        self.store.catalog().models.contains_key(model)
    }

    /// What a device needs to check the certificates of others: the roots, and the authorities that issue to devices. DER.
    pub fn authorities(&self) -> Vec<Vec<u8>> {
        [self.ca.roots(), self.ca.device_chain()].concat()
    }

    /// Decides a claim by a device of a given model. One of another model gets the answer of one that does not exist,
    /// after the same work.
    pub async fn claim_of_model(
        &self,
        model: Option<&ModelName>,
        mut input: ClaimInput,
    ) -> Result<ClaimAnswer, Failure> {
        if let Some(model) = model {
            // A device never changes its model, so what holds here holds at the decision.
            let device = self.store.device_by_serial(&input.serial).await;
            let device = device.or_fault("look up a device")?;
            if device.is_none_or(|device| device.model != *model) {
                // Nobody's serial.
                input.serial.clear();
            }
        }
        self.claim(input).await
    }

    /// The device that may connect with this certificate, DER, which the handshake showed to be the peer's. It must be of
    /// the model, if one is given; the refusal is that of a wrong code.
    pub async fn bearer(&self, leaf: &[u8], model: Option<&ModelName>) -> Result<Device, Failure> {
        let id = match self.admit(leaf).await {
            Ok(id) => id,
            Err(Failure::Refused(_)) => return Err(claim::refusal().into()),
            Err(failure @ Failure::Broken(_)) => return Err(failure),
        };
        let device = self.store.device(id).await.or_fault("load a device")?;
        let fits = |device: &Device| model.is_none_or(|model| device.model == *model);
        Ok(device.filter(fits).ok_or_else(claim::refusal)?)
    }

    /// Decides a claim by a device whose key proved itself in the handshake: it needs no code.
    pub async fn claim_by_certificate(
        &self,
        device: Device,
        csr: Vec<u8>,
        source: IpAddr,
    ) -> Result<ClaimAnswer, Failure> {
        let input = ClaimInput {
            serial: device.serial.to_string(),
            code: Zeroizing::default(),
            csr,
            source,
        };
        self.claim(input).await
    }
}
