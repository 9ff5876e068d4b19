//! The `Enrollment` service: open to anybody, since a claim proves its right by itself.

use super::{
    Api,
    status::{failed, throttled},
};
use crate::{service::ClaimInput, tls::Peer};
use muster_proto::v1::{self, enrollment_server::Enrollment};
use std::net::{IpAddr, Ipv4Addr};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

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
        let peer = request.extensions().get::<Peer>().map(Peer::source);
        let source = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let asked = request.into_inner();
        self.claims.admit(source, &asked.serial).map_err(throttled)?;
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

    async fn get_trust_bundle(
        &self,
        _: Request<v1::GetTrustBundleRequest>,
    ) -> Result<Response<v1::TrustBundle>, Status> {
        Ok(Response::new(self.trust_bundle()))
    }
}
