//! The `Audit` service.

use super::{
    Api, page,
    peer::{broken, permit},
    status::refused,
};
use muster_proto::v1::{self, audit_server::Audit};
use tonic::{Request, Response, Status};

const LISTING: &str = "audit";

#[tonic::async_trait]
impl Audit for Api {
    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let size = page::size(asked.page_size).map_err(|refusal| refused(&refusal))?;
        let cursor = self
            .pages
            .number(&asked.page_token, LISTING)
            .map_err(|refusal| refused(&refusal))?;
        let first = cursor
            .and_then(|cursor| u64::try_from(cursor).ok())
            .unwrap_or(asked.first_index);
        let found = self.service.store().list_audit(first, size).await;
        let (entries, total) = found.map_err(|error| broken("list audit entries", &error))?;
        let next = entries
            .last()
            .map(|last| last.index + 1)
            .filter(|&next| next < total);
        let next_page_token = next
            .map(|next| self.pages.token(&u128::from(next).to_be_bytes(), LISTING))
            .unwrap_or_default();
        let entries = entries.into_iter().map(|entry| v1::AuditEntry {
            index: entry.index,
            leaf: entry.leaf,
            leaf_hash: entry.hash.to_vec(),
        });
        Ok(Response::new(v1::ListEntriesResponse {
            entries: entries.collect(),
            next_page_token,
            size: total,
        }))
    }
}
