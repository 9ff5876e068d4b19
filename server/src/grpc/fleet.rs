//! The `Fleet` service.

use super::{
    Api,
    catalog::revisioned,
    convert::{self, forecast},
    page,
    peer::permit,
    status::{failed, refused_all},
};
use crate::{
    fault::Failure,
    service::{Asked, ForecastInput, ForecastPart},
};
use muster_domain::{Code, Refusal, device::schema};
use muster_proto::v1::{self, fleet_server::Fleet, forecast_firmware_request::Policy};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

/// Parts of a forecast that are made and not yet sent: a slow reader does not grow our memory.
const PARTS_AHEAD: usize = 4;

fn asked(wire: v1::ForecastFirmwareRequest) -> Result<ForecastInput, Vec<Refusal>> {
    let wrong = |field: &str, why: &str| vec![Refusal::new(Code::RequestInvalid, why).at(field)];
    let policy = match wire.policy {
        None => return Err(wrong("name", "names no policy, and none is given")),
        Some(Policy::Name(name)) => {
            let (name, number) = revisioned(&name, "firmwarePolicies").map_err(|refusal| vec![refusal])?;
            Asked::OnRecord(name, number)
        }
        Some(Policy::SourceJson(source)) => {
            Asked::Draft(Box::new(convert::catalog::policy_of_json(&source)?))
        }
    };
    let at = wire.time.as_ref().map(|time| {
        let at = convert::instant(time);
        at.ok_or_else(|| wrong("time", "is no time since 1970"))
    });
    Ok(ForecastInput {
        policy,
        filter: page::filter(&wire.filter, schema()).map_err(|refusal| vec![refusal])?,
        at: at.transpose()?,
        each: wire.each_device,
    })
}

#[tonic::async_trait]
impl Fleet for Api {
    type ForecastFirmwareStream =
        Pin<Box<dyn Stream<Item = Result<v1::ForecastFirmwareResponse, Status>> + Send>>;

    async fn forecast_firmware(
        &self,
        request: Request<v1::ForecastFirmwareRequest>,
    ) -> Result<Response<Self::ForecastFirmwareStream>, Status> {
        permit(&request)?;
        let input = asked(request.into_inner()).map_err(|refusals| refused_all(&refusals))?;
        let (telling, told) = mpsc::channel(PARTS_AHEAD);
        let begun = self.service.forecast_firmware(input, telling).await;
        begun.map_err(|failure| failed(&failure))?;
        let rendered = |part: Result<ForecastPart, Failure>| {
            part.map(forecast::part).map_err(|failure| failed(&failure))
        };
        Ok(Response::new(Box::pin(ReceiverStream::new(told).map(rendered))))
    }

    async fn get_counts(
        &self,
        request: Request<v1::GetCountsRequest>,
    ) -> Result<Response<v1::Counts>, Status> {
        permit(&request)?;
        let counts = self.service.store().counts();
        Ok(Response::new(v1::Counts {
            devices: counts.devices,
            states: counts
                .states
                .iter()
                .map(|(state, &count)| (state.to_string(), count))
                .collect(),
            verifications: counts
                .verifications
                .iter()
                .map(|(state, &count)| (state.to_string(), count))
                .collect(),
            models: counts
                .models
                .iter()
                .map(|(model, &count)| (model.to_string(), count))
                .collect(),
            sites: counts
                .sites
                .iter()
                .map(|(site, &count)| (site.to_string(), count))
                .collect(),
            connected: self.service.connected(),
            online: self.service.store().online(),
        }))
    }
}
