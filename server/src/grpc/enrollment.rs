//! The `Enrollment` service: open to anybody, since a claim proves its right by itself.

use super::{
    Api,
    peer::Peer,
    status::{failed, refused},
};
use crate::service::ClaimInput;
use muster_domain::{Code, Refusal};
use muster_proto::v1::{self, enrollment_server::Enrollment};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

fn throttled(wait: Duration) -> Status {
    let seconds = wait.as_secs().max(1);
    refused(&Refusal::new(
        Code::ClaimThrottled,
        format!("try again in {seconds} seconds"),
    ))
}

impl Api {
    fn trust_bundle(&self) -> v1::TrustBundle {
        v1::TrustBundle {
            roots: self.service.roots(),
        }
    }
}

#[tonic::async_trait]
impl Enrollment for Api {
    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Result<Response<v1::ClaimResponse>, Status> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
        let source = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let asked = request.into_inner();
        let attempt = self.claims.admit(source, &asked.serial);
        attempt.map_err(throttled)?;
        let input = ClaimInput {
            serial: asked.serial,
            code: Zeroizing::new(asked.activation_code),
            csr: asked.csr,
            source,
        };
        let answer = self
            .service
            .claim(input)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::ClaimResponse {
            device: format!("devices/{}", answer.device),
            chain: answer.chain,
            trust_bundle: Some(self.trust_bundle()),
        }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let shown = request.extensions().get::<Peer>();
        let shown = shown.and_then(|peer| Some((peer.leaf.clone()?, peer.address.ip())));
        let Some((leaf, source)) = shown else {
            return Err(refused(&Refusal::new(
                Code::DeviceBarred,
                "the connection has no certificate of a device",
            )));
        };
        let device = self.service.device_of(&leaf, source).await;
        let device = device.map_err(|failure| failed(&failure))?;
        self.claims.admit_renewal(device).map_err(throttled)?;
        let renewed = self.service.renew(device, request.into_inner().csr, source).await;
        let renewed = renewed.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::RenewResponse {
            device: format!("devices/{}", renewed.device),
            chain: renewed.chain,
        }))
    }

    async fn get_trust_bundle(
        &self,
        _: Request<v1::GetTrustBundleRequest>,
    ) -> Result<Response<v1::TrustBundle>, Status> {
        Ok(Response::new(self.trust_bundle()))
    }
}
