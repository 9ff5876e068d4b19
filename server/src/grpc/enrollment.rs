//! The `Enrollment` service: open to anybody, since a claim proves its right by itself.

use super::{
    Api,
    status::{failed, refused, throttled},
};
use crate::{
    service::ClaimInput,
    tls::{Peer, Shown},
};
use muster_domain::{Code, Refusal};
use muster_proto::{
    payload::TrustVersion,
    v1::{self, enrollment_server::Enrollment},
};
use std::net::{IpAddr, Ipv4Addr};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

impl Api {
    fn trust_bundle(&self) -> v1::TrustBundle {
        let bundle = self.service.trust_above(0);
        let version = |one: TrustVersion| v1::TrustVersion {
            version: one.version,
            roots: one.roots.iter().map(|root| root.0.to_vec()).collect(),
            signer: one.signer.0.to_vec(),
            signature: one.signature.0,
        };
        v1::TrustBundle {
            roots: self.service.roots(),
            version: bundle.versions.last().map_or(0, |newest| newest.version),
            versions: bundle.versions.into_iter().map(version).collect(),
            certificates: bundle.certificates.into_iter().map(|der| der.0).collect(),
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

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let Some((Shown::Device(leaf), source)) = peer.map(|peer| (peer.shown.clone(), peer.source())) else {
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
