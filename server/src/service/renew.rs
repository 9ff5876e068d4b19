//! A renewal: a certificate in hand + CSR -> the next certificate. One function for every door.
//!
//! The order is that of a claim: check, record the intent with its serial, sign, check the certificate, record it, and only
//! then answer. The certificate in hand stays good until the device comes with the next one, so a lost answer, a crash and
//! a device that cannot store what it got all end in another renewal.

use super::{ClaimAnswer, OrFault as _, Service, blocking, fresh_serial};
use crate::{
    ca::CertificationRequest,
    fault::Failure,
    mqtt::{bus::Down, registry::Registry as _},
    store::{ClaimBegun, DeviceQuery, RenewalStart},
};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    certificate::CertificateProfile,
    device::{ClaimIntent, DeviceField},
    filter::CheckedFilter,
    ids::DeviceId,
};
use std::{net::IpAddr, time::Duration};

/// Devices of one transaction of an order.
const ORDERED_AT_ONCE: usize = 512;
/// Devices looked at for it.
const SCANNED_AT_ONCE: usize = 20_000;

/// The place of a device in a span of time, by the random end of its id.
fn share(device: DeviceId, over: Duration) -> Duration {
    let [.., high, low] = device.as_u128().to_be_bytes();
    over * u32::from(u16::from_be_bytes([high, low])) / (u32::from(u16::MAX) + 1)
}

impl Service {
    /// The device that showed this certificate (DER) in its handshake. It may be past its end, within the grace of its model.
    ///
    /// # Errors
    /// [`Code::DeviceBarred`]; or a fault.
    pub async fn device_of(&self, leaf: &[u8], source: IpAddr) -> Result<DeviceId, Failure> {
        Ok(self.admit(leaf, source).await?.device)
    }

    /// The next certificate of a device, which showed that it holds one.
    ///
    /// # Errors
    /// [`Code::DeviceBarred`], those of a request, [`Code::KeyInUse`], [`Code::ClockBehind`]; or a fault.
    pub async fn renew(
        &self,
        device: DeviceId,
        csr: Vec<u8>,
        source: IpAddr,
    ) -> Result<ClaimAnswer, Failure> {
        let now = self.clock.now();
        // 1. The request proves possession of its key; nothing else in it counts.
        let request = blocking("check a CSR", move || CertificationRequest::parse(&csr)).await?;
        let request = request.map_err(|refusal| refusal.at("csr"))?;
        let profile = self.certificate_profile(device).await?;
        let ca = self.ca();
        let (not_before, not_after) = ca.validity(profile, now);
        let fresh = ClaimIntent {
            spki: request.digest(),
            certificate: fresh_serial(&ca, now)?,
            profile,
            issuer: Some(ca.issuer(profile, now)),
            not_before,
            not_after,
            source: Some(source),
        };
        let start = RenewalStart {
            device,
            fresh,
            now,
            source,
        };
        // 2. The intent is durable before anything is signed.
        match self
            .store
            .begin_renewal(start)
            .await
            .or_fault("begin a renewal")?
        {
            ClaimBegun::Refused(refusal) => Err(refusal.into()),
            ClaimBegun::Repeat { device, certificate } => Ok(self.answer(&device, certificate.der)),
            ClaimBegun::Issue { permit, device } => {
                let record = self.sign(permit, *device, request).await?;
                // 3. The certificate is durable before it is handed out.
                let finished = self
                    .store
                    .finish_renewal(record, now, source)
                    .await
                    .or_fault("finish a renewal")??;
                tracing::info!(device = %finished.device.id, certificate = %finished.certificate.serial, "renewed");
                Ok(self.answer(&finished.device, finished.certificate.der))
            }
        }
    }

    /// Asks every device that matches, and has a certificate, for a renewal at an instant of its own within `over`: the
    /// instants are spread by the ids, so that not all come at once, and the same order gives the same ones. A device hears of
    /// it at once if that is now and it is connected, any other at its next hello.
    ///
    /// # Errors
    /// A fault; what was ordered stays ordered.
    pub async fn order_renewals(
        &self,
        permit: &Permit,
        filter: Option<CheckedFilter<DeviceField>>,
        over: Duration,
    ) -> Result<u64, Failure> {
        let (now, actor) = (self.clock.now(), super::actor(permit)?);
        let mut query = DeviceQuery {
            filter,
            after: None,
            limit: ORDERED_AT_ONCE,
            scan_limit: SCANNED_AT_ONCE,
        };
        let mut ordered = 0;
        loop {
            let page = self.store.list_devices(query.clone()).await;
            let page = page.or_fault("list devices")?;
            let due: Vec<_> = page
                .devices
                .iter()
                .filter(|device| device.lifecycle.identity().is_some())
                .map(|device| (device.id, now.plus(share(device.id, over))))
                .collect();
            let at_once: Vec<_> = due
                .iter()
                .filter(|(_, from)| *from <= now)
                .map(|(id, _)| *id)
                .collect();
            let written = self.store.order_renewals(due, actor.clone(), now).await;
            ordered += written.or_fault("order renewals")?;
            self.ask_to_renew(at_once.into_iter());
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(ordered),
            }
        }
    }

    /// Tells devices that are connected to renew their certificates; nothing is put on record.
    pub fn ask_to_renew(&self, devices: impl Iterator<Item = DeviceId>) {
        for device in devices {
            self.tell(Down::RenewalOrdered(device));
        }
    }

    /// The form of a device's certificates, by its model.
    async fn certificate_profile(&self, device: DeviceId) -> Result<CertificateProfile, Failure> {
        let device = self.store.device(device).await.or_fault("load a device")?;
        let device =
            device.ok_or_else(|| Refusal::new(Code::DeviceBarred, "the device is not registered"))?;
        Ok(self.store.catalog().certificate_profile(&device.model))
    }
}
