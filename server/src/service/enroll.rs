//! What EST asks beyond a claim: whose certificate this is, and whether a device is of a model.

use super::{ClaimAnswer, ClaimInput, OrFault as _, Service};
use crate::fault::Failure;
use muster_domain::{Code, Refusal, device::Device, ids::DeviceId, names::ModelName};
use std::net::IpAddr;

impl Service {
    /// Is there such a model?
    pub fn has_model(&self, model: &ModelName) -> bool {
        self.store.catalog().models.contains_key(model)
    }

    /// What a device needs to check the certificates of others: the roots, and the authorities that issue to devices. DER.
    pub fn authorities(&self) -> Vec<Vec<u8>> {
        let ca = self.ca();
        [ca.roots(), ca.device_anchors()].concat()
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

    /// The device that showed this certificate (DER) in its handshake, be it only to renew it. It must be of the model, if one
    /// is given.
    ///
    /// # Errors
    /// [`Code::DeviceBarred`]; or a fault.
    pub async fn bearer(
        &self,
        leaf: &[u8],
        model: Option<&ModelName>,
        source: IpAddr,
    ) -> Result<DeviceId, Failure> {
        let id = self.device_of(leaf, source).await?;
        let device = self.store.device(id).await.or_fault("load a device")?;
        let fits = |device: &Device| model.is_none_or(|model| device.model == *model);
        let barred = || Refusal::new(Code::DeviceBarred, "the device is of another model");
        Ok(device.filter(fits).ok_or_else(barred)?.id)
    }
}
