//! The `Fleet` service.

use super::{Api, peer::permit};
use muster_proto::v1::{self, fleet_server::Fleet};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl Fleet for Api {
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
