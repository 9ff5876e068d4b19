//! The `Secrets` service.

use super::{
    Api, convert, page,
    peer::permit,
    status::{failed, refused},
};
use muster_domain::{
    Code, Refusal,
    catalog::{Revision, Secret},
    names::SecretName,
};
use muster_proto::v1::{self, secrets_server::Secrets};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

const COLLECTION: &str = "secrets";

fn secret(name: &SecretName, revision: &Revision<Secret>) -> v1::Secret {
    let info = convert::catalog::revision_info(revision);
    v1::Secret {
        name: format!("{COLLECTION}/{name}"),
        revision: info.number,
        author: info.author,
        create_time: info.create_time,
        message: info.message,
        retired: !revision.content.is_held,
    }
}

fn named(text: &str) -> Result<SecretName, Status> {
    convert::id(text, COLLECTION, "name").map_err(|refusal| refused(&refusal))
}

#[tonic::async_trait]
impl Secrets for Api {
    async fn put_secret(
        &self,
        request: Request<v1::PutSecretRequest>,
    ) -> Result<Response<v1::Secret>, Status> {
        let permit = permit(&request)?;
        let v1::PutSecretRequest { name, value, message } = request.into_inner();
        let (name, value) = (named(&name)?, Zeroizing::new(value));
        let put = self
            .service
            .put_secret(&permit, name.clone(), value, message)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(secret(&name, &put)))
    }

    async fn list_secrets(
        &self,
        request: Request<v1::ListSecretsRequest>,
    ) -> Result<Response<v1::ListSecretsResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.secrets, COLLECTION, asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let newest = page
            .into_iter()
            .filter_map(|(name, revisions)| Some(secret(name, revisions.last()?)));
        Ok(Response::new(v1::ListSecretsResponse {
            secrets: newest.collect(),
            next_page_token,
        }))
    }

    async fn list_secret_revisions(
        &self,
        request: Request<v1::ListSecretRevisionsRequest>,
    ) -> Result<Response<v1::ListSecretRevisionsResponse>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let name = named(&asked.name)?;
        let known = self.service.store().catalog();
        let revisions = known.secrets.get(&name).ok_or_else(|| {
            refused(&Refusal::new(Code::NotFound, format!("there is no {}", asked.name)).at("name"))
        })?;
        let size = page::size(asked.page_size).map_err(|refusal| refused(&refusal))?;
        let listing = format!("{COLLECTION}/{name}/revisions");
        let below = self
            .pages
            .number(&asked.page_token, &listing)
            .map_err(|refusal| refused(&refusal))?;
        let mut rest = revisions
            .iter()
            .rev()
            .skip_while(|revision| below.is_some_and(|below| u128::from(revision.number) >= below));
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let next_page_token = match page.last() {
            Some(last) if rest.next().is_some() => {
                self.pages.token(&u128::from(last.number).to_be_bytes(), &listing)
            }
            _ => String::new(),
        };
        Ok(Response::new(v1::ListSecretRevisionsResponse {
            secrets: page.into_iter().map(|revision| secret(&name, revision)).collect(),
            next_page_token,
        }))
    }

    async fn retire_secret(
        &self,
        request: Request<v1::RetireSecretRequest>,
    ) -> Result<Response<v1::Secret>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let name = named(&asked.name)?;
        let retired = self
            .service
            .retire_secret(&permit, name.clone(), asked.revision, asked.force)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(secret(&name, &retired)))
    }
}
