//! The `Certificates` service.

use super::{
    Api, convert,
    convert::certificate::{certificate, expiry, list, list_name, reason},
    page,
    peer::permit,
    status::{failed, refused},
};
use crate::{
    fault::{Failure, Fault},
    store::CertificateQuery,
};
use muster_domain::{
    Refusal,
    certificate::{CertificateSerial, schema},
};
use muster_proto::v1::{self, certificates_server::Certificates};
use tonic::{Request, Response, Status};

/// Certificates looked at for one page, as with devices.
const SCAN_LIMIT: usize = 20_000;

fn serial(name: &str) -> Result<CertificateSerial, Refusal> {
    convert::id(name, "certificates", "name")
}

impl Api {
    async fn page_of_certificates(
        &self,
        request: &v1::ListCertificatesRequest,
    ) -> Result<v1::ListCertificatesResponse, Failure> {
        let size = page::size(request.page_size)?;
        let filter = page::filter(&request.filter, schema())?;
        let arguments = format!("certificates|{}", request.filter.trim());
        let after = self
            .pages
            .number(&request.page_token, &arguments)?
            .map(CertificateSerial::from_u128);
        let now = self.service.clock.now();
        let query = CertificateQuery {
            filter,
            after,
            limit: size,
            scan_limit: SCAN_LIMIT,
            now,
        };
        let found = self.service.store().list_certificates(query).await;
        let found = found.map_err(|error| Fault::log("list certificates", &error))?;
        let token = found
            .next
            .map(|next| self.pages.token(&next.to_bytes(), &arguments));
        Ok(v1::ListCertificatesResponse {
            certificates: found
                .certificates
                .iter()
                .map(|record| certificate(record, now))
                .collect(),
            next_page_token: token.unwrap_or_default(),
        })
    }
}

#[tonic::async_trait]
impl Certificates for Api {
    async fn get_certificate(
        &self,
        request: Request<v1::GetCertificateRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        permit(&request)?;
        let serial = serial(&request.get_ref().name).map_err(|refusal| refused(&refusal))?;
        let record = self.service.certificate(serial).await;
        let record = record.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::Certificate {
            der: record.der.clone(),
            ..certificate(&record, self.service.clock.now())
        }))
    }

    async fn list_certificates(
        &self,
        request: Request<v1::ListCertificatesRequest>,
    ) -> Result<Response<v1::ListCertificatesResponse>, Status> {
        permit(&request)?;
        self.page_of_certificates(request.get_ref())
            .await
            .map(Response::new)
            .map_err(|failure| failed(&failure))
    }

    async fn revoke_certificate(
        &self,
        request: Request<v1::RevokeCertificateRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let permit = permit(&request)?;
        let asked = request.into_inner();
        let serial = serial(&asked.name).map_err(|refusal| refused(&refusal))?;
        let reason = reason(&asked.reason).map_err(|refusal| refused(&refusal))?;
        let record = self
            .service
            .revoke_certificate(&permit, serial, reason, asked.comment)
            .await;
        let record = record.map_err(|failure| failed(&failure))?;
        Ok(Response::new(certificate(&record, self.service.clock.now())))
    }

    async fn get_expiry(
        &self,
        request: Request<v1::GetExpiryRequest>,
    ) -> Result<Response<v1::Expiry>, Status> {
        permit(&request)?;
        let (at, counted) = self
            .service
            .certificate_expiry()
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(expiry(at, counted)))
    }

    async fn list_revocation_lists(
        &self,
        request: Request<v1::ListRevocationListsRequest>,
    ) -> Result<Response<v1::ListRevocationListsResponse>, Status> {
        permit(&request)?;
        let found = self.service.revocation_lists().await;
        let found = found.map_err(|fault| failed(&fault.into()))?;
        Ok(Response::new(v1::ListRevocationListsResponse {
            revocation_lists: found.iter().map(list).collect(),
        }))
    }

    async fn get_revocation_list(
        &self,
        request: Request<v1::GetRevocationListRequest>,
    ) -> Result<Response<v1::RevocationList>, Status> {
        permit(&request)?;
        let (authority, shard) = list_name(&request.get_ref().name).map_err(|refusal| refused(&refusal))?;
        let found = self.service.revocation_list(authority, shard).await;
        let found = found.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::RevocationList {
            der: found.der,
            ..list(&found.info)
        }))
    }
}
