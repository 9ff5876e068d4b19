//! Devices: finding them, and what operators do to one of them.

use super::{OrFault as _, Service, actor};
use crate::{
    fault::Failure,
    mqtt::bus::Down,
    random,
    store::{AlarmChange, DeviceChange, DeviceName},
};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    activation::ActivationCode,
    device::{ClaimWindow, Device, KeyChoice, Transition},
};
use std::time::Duration;

/// Longest reason an operator may give, in bytes.
pub(super) const REASON_LIMIT: usize = 512;

impl Service {
    /// The device of that name.
    pub async fn device(&self, name: &DeviceName) -> Result<Device, Failure> {
        let found = match name {
            DeviceName::Id(id) => self.store.device(*id).await,
            DeviceName::Serial(serial) => self.store.device_by_serial(serial).await,
        };
        Ok(found
            .or_fault("load a device")?
            .ok_or_else(|| name.missing().at("name"))?)
    }

    /// Suspends, resumes or retires a device. Shutting out cuts its session before this returns to the caller's
    /// next request: the gate asks the registry for each message anyway.
    pub async fn change_device(
        &self,
        permit: &Permit,
        name: &DeviceName,
        transition: Transition,
        expected_revision: Option<u64>,
    ) -> Result<Device, Failure> {
        if let Transition::Suspend(reason) | Transition::Retire(reason) = &transition
            && reason.len() > REASON_LIMIT
        {
            return Err(Refusal::new(
                Code::RequestInvalid,
                format!("is longer than {REASON_LIMIT} bytes"),
            )
            .at("reason")
            .into());
        }
        let cut = matches!(
            transition,
            Transition::Suspend(_) | Transition::Retire(_) | Transition::Reissue { .. }
        );
        let id = self.device(name).await?.id;
        let change = DeviceChange {
            transition,
            expected_revision,
            actor: actor(permit)?,
            now: self.clock.now(),
        };
        let device = self
            .store
            .transition(id, change)
            .await
            .or_fault("change a device")??;
        if cut {
            self.tell(Down::Kick(id));
        }
        Ok(device)
    }

    /// Notes that somebody has looked into a possible clone.
    pub async fn clear_clone_alarm(
        &self,
        permit: &Permit,
        name: &DeviceName,
        expected_revision: Option<u64>,
        reason: String,
    ) -> Result<Device, Failure> {
        if reason.len() > REASON_LIMIT {
            let why = format!("is longer than {REASON_LIMIT} bytes");
            return Err(Refusal::new(Code::RequestInvalid, why).at("reason").into());
        }
        let change = AlarmChange {
            reason,
            expected_revision,
            actor: actor(permit)?,
            now: self.clock.now(),
        };
        let id = self.device(name).await?.id;
        Ok(self
            .store
            .clear_clone_alarm(id, change)
            .await
            .or_fault("clear a clone alarm")??)
    }

    /// Gives a device a new code, with which it claims anew: an identity that it had is void, its session is cut. `ttl` of
    /// zero lasts until it is used. `key` says with which key the device claims then.
    pub async fn reissue_code(
        &self,
        permit: &Permit,
        name: &DeviceName,
        expected_revision: Option<u64>,
        ttl: Duration,
        key: KeyChoice,
    ) -> Result<(Device, ActivationCode), Failure> {
        let code = ActivationCode::from_random(random::bytes().or_fault("make an activation code")?);
        let hash = code.hash(self.ca().code_key());
        let closes = (!ttl.is_zero()).then(|| self.clock.now().plus(ttl));
        let window = ClaimWindow::until(closes);
        let device = self
            .change_device(
                permit,
                name,
                Transition::Reissue { hash, window, key },
                expected_revision,
            )
            .await?;
        Ok((device, code))
    }

    /// Tells the gates. The bus is lossy by design: what is lost here is found when the device next speaks, or by
    /// [`Service::redeliver`].
    pub(super) fn tell(&self, message: Down) {
        if let Err(error) = self.bus.send_down(&message) {
            tracing::debug!(%error, ?message, "message to other gates was lost");
        }
    }
}
