//! What a firmware policy would make of the fleet, told before anything moves.

use super::{OrFault as _, Service, blocking, stopping};
use crate::{fault::Failure, store::DeviceQuery, zone::utc_offset};
use muster_domain::{
    Code, Refusal, Timestamp,
    catalog::{Catalog, Channels, RevisionNumber},
    device::{Device, DeviceField},
    filter::CheckedFilter,
    forecast::{Forecast, Foretold, foretell},
    names::{PolicyName, SiteCode},
};
use muster_firmware_policy::{self as policy, UtcOffset};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{Semaphore, mpsc};

/// Devices of one look; those that are told individually fit into a message.
const PAGE: usize = 4096;
/// Devices looked at for them.
const SCANNED: usize = 16_384;
/// Forecasts at once; each takes both cores of a small machine, the others wait their turn.
const AT_ONCE: usize = 1;

/// Which policy is asked.
#[derive(Debug, Clone)]
pub enum Asked {
    /// One on record: this revision of it, or the newest.
    OnRecord(PolicyName, Option<RevisionNumber>),
    /// One that is not.
    Draft(Box<Channels>),
}

/// What is to be foretold.
#[derive(Debug)]
pub struct ForecastInput {
    /// By which policy.
    pub policy: Asked,
    /// Of which devices.
    pub filter: Option<CheckedFilter<DeviceField>>,
    /// For which moment; now, if none is given.
    pub at: Option<Timestamp>,
    /// Whether each device is told too.
    pub each: bool,
}

/// A part of what is told.
#[derive(Debug)]
pub enum ForecastPart {
    /// So many devices were looked at.
    LookedAt(u64),
    /// Devices, in the order of their ids.
    Devices(Vec<Foretold>),
    /// All of it, for this moment.
    Done(Forecast, Timestamp),
}

/// Who has a turn.
#[derive(Debug, Clone)]
pub(super) struct Forecasts(Arc<Semaphore>);

impl Default for Forecasts {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// What every device of a forecast is judged by.
struct Judge {
    policy: Channels,
    /// How far the time of each site is ahead of UTC then.
    offsets: BTreeMap<SiteCode, UtcOffset>,
    at: policy::Timestamp,
    each: bool,
}

impl Judge {
    fn judge(&self, devices: &[Device]) -> (Forecast, Vec<Foretold>) {
        let (mut forecast, mut told) = (Forecast::default(), Vec::new());
        for device in devices {
            let offset = device.site.as_ref().and_then(|site| self.offsets.get(site));
            let Some(foretold) = foretell(&self.policy, device, offset.copied(), self.at) else {
                continue;
            };
            forecast.add(&foretold);
            if self.each {
                told.push(foretold);
            }
        }
        (forecast, told)
    }
}

fn wanted(catalog: &Catalog, asked: Asked) -> Result<Channels, Refusal> {
    let (name, number) = match asked {
        Asked::Draft(policy) => return Ok(*policy),
        Asked::OnRecord(name, number) => (name, number),
    };
    let found = match number {
        None => catalog.policy(&name),
        Some(number) => catalog.policy_at(&name, number),
    };
    let missing = || {
        let revision = number.map_or_else(String::new, |number| format!(" revision {number}"));
        Refusal::new(
            Code::NotFound,
            format!("there is no firmware policy {name}{revision}"),
        )
        .at("name")
    };
    found.map(|revision| revision.content.clone()).ok_or_else(missing)
}

fn offsets(catalog: &Catalog, at: Timestamp) -> BTreeMap<SiteCode, UtcOffset> {
    let offset = |(code, site): (&SiteCode, &Arc<muster_domain::catalog::Site>)| {
        let seconds = utc_offset(&site.time_zone, at);
        Some((code.clone(), UtcOffset::from_seconds(seconds).ok()?))
    };
    catalog.sites.iter().filter_map(offset).collect()
}

impl Service {
    /// Tells what a policy would make of devices, part by part.
    ///
    /// # Errors
    /// [`Code::NotFound`] where there is no such policy. What fails later is told as the last part.
    pub async fn forecast_firmware(
        &self,
        input: ForecastInput,
        telling: mpsc::Sender<Result<ForecastPart, Failure>>,
    ) -> Result<(), Failure> {
        let (catalog, at) = (self.store.catalog(), input.at.unwrap_or_else(|| self.clock.now()));
        let judge = Judge {
            policy: wanted(&catalog, input.policy)?,
            offsets: offsets(&catalog, at),
            at: policy::Timestamp::from_unix_seconds(i64::try_from(at.seconds()).unwrap_or(i64::MAX)),
            each: input.each,
        };
        let (service, filter) = (self.clone(), input.filter);
        tokio::spawn(async move {
            let last = match service.foretell_all(judge, filter, &telling).await {
                Ok(forecast) => Ok(ForecastPart::Done(forecast, at)),
                Err(failure) => Err(failure),
            };
            // Nobody is there any more who could mind.
            drop(telling.send(last).await);
        });
        Ok(())
    }

    async fn foretell_all(
        &self,
        judge: Judge,
        filter: Option<CheckedFilter<DeviceField>>,
        telling: &mpsc::Sender<Result<ForecastPart, Failure>>,
    ) -> Result<Forecast, Failure> {
        let Ok(_turn) = self.forecasts.0.acquire().await else {
            return Err(stopping().into());
        };
        let judge = Arc::new(judge);
        let mut query = DeviceQuery {
            filter,
            after: None,
            limit: PAGE,
            scan_limit: SCANNED,
        };
        let mut forecast = Forecast::default();
        loop {
            if self.stopping.is_cancelled() {
                return Err(stopping().into());
            }
            let page = self.store.list_devices(query.clone()).await;
            let page = page.or_fault("list devices")?;
            let by = Arc::clone(&judge);
            let judged = blocking("foretell firmware", move || by.judge(&page.devices)).await?;
            forecast.append(judged.0);
            let word = if judge.each && !judged.1.is_empty() {
                ForecastPart::Devices(judged.1)
            } else {
                ForecastPart::LookedAt(forecast.devices())
            };
            // A caller that went away needs no more.
            if telling.send(Ok(word)).await.is_err() || page.next.is_none() {
                return Ok(forecast);
            }
            query.after = page.next;
        }
    }
}
