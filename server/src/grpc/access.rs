//! The `Access` service.

use super::{
    Api, convert,
    convert::access::{operator, role},
    page,
    peer::{broken, permit},
    status::{failed, refused},
};
use muster_domain::names::OperatorName;
use muster_proto::v1::{self, access_server::Access};
use tonic::{Request, Response, Status};

const LISTING: &str = "operators";

#[tonic::async_trait]
impl Access for Api {
    async fn create_operator(
        &self,
        request: Request<v1::CreateOperatorRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.into_inner();
        let name = convert::id(&asked.name, "operators", "name").map_err(|refusal| refused(&refusal))?;
        let role = role(asked.role).map_err(|refusal| refused(&refusal))?;
        let created = self
            .service
            .create_operator(&permit, name, role, asked.csr)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::CreateOperatorResponse {
            operator: Some(operator(&created.operator)),
            chain: created.chain,
        }))
    }

    async fn list_operators(
        &self,
        request: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let size = page::size(asked.page_size).map_err(|refusal| refused(&refusal))?;
        let cursor = self
            .pages
            .cursor(&asked.page_token, LISTING)
            .map_err(|refusal| refused(&refusal))?;
        let after = cursor
            .and_then(|cursor| String::from_utf8(cursor).ok())
            .and_then(|name| name.parse::<OperatorName>().ok());
        let found = self
            .service
            .store()
            .list_operators(after, size)
            .await
            .map_err(|error| broken("list operators", &error))?;
        let full = found.len() == size;
        let next_page_token = match found.last() {
            Some(last) if full => self.pages.token(last.name.as_str().as_bytes(), LISTING),
            _ => String::new(),
        };
        Ok(Response::new(v1::ListOperatorsResponse {
            operators: found.iter().map(operator).collect(),
            next_page_token,
        }))
    }

    async fn disable_operator(
        &self,
        request: Request<v1::DisableOperatorRequest>,
    ) -> Result<Response<v1::Operator>, Status> {
        let permit = permit(&request)?;
        let name =
            convert::id(&request.get_ref().name, "operators", "name").map_err(|refusal| refused(&refusal))?;
        let disabled = self
            .service
            .disable_operator(&permit, name)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(operator(&disabled)))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::Operator>, Status> {
        let permit = permit(&request)?;
        let known = permit
            .operator()
            .ok_or_else(|| Status::internal("permit without an operator"))?;
        Ok(Response::new(operator(known)))
    }
}
