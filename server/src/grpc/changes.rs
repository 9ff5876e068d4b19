//! The `Changes` service.

use super::{
    Api,
    convert::{self, approval, change, spec},
    page,
    peer::permit,
    status::{failed, refused, refused_all},
};
use crate::{
    fault::{Failure, Fault},
    service::{CodesPart, NewChange},
    store::{ChangeOrder, TargetCursor, TargetQuery},
};
use futures_util::{Stream, StreamExt as _};
use muster_domain::{
    Code, Refusal,
    batch::PlanHash,
    catalog::Catalog,
    change::{ChangeRecord, Standing},
    ids::ChangeId,
};
use muster_proto::v1::{self, change_target::State, changes_server::Changes};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Parts of codes that wait for a slow reader.
const CODES_AHEAD: usize = 1;
/// Words about a change that wait for a slow reader: it gets the newest soon enough.
const WORDS_AHEAD: usize = 1;

fn change_id(name: &str) -> Result<ChangeId, Status> {
    convert::id(name, "changes", "name").map_err(|refusal| refused(&refusal))
}

/// The revision behind an etag of a change, or of the approval rules; empty means any.
fn revision(etag: &str) -> Result<Option<u64>, Status> {
    if etag.is_empty() {
        return Ok(None);
    }
    let number = etag.strip_prefix('r').and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| {
        let why = format!("{etag:?} is no etag of ours");
        refused(&Refusal::new(Code::EtagMismatch, why).at("etag"))
    })
}

/// The plan that the caller has looked at.
fn plan(hash: &[u8]) -> Result<PlanHash, Status> {
    let plan = spec::plan_hash(hash, "plan_hash").map_err(|refusal| refused(&refusal))?;
    plan.ok_or_else(|| {
        let why = "is missing: name the plan that you looked at";
        refused(&Refusal::new(Code::RequestInvalid, why).at("plan_hash"))
    })
}

/// What is asked for, if all of it can be read.
fn new_change(asked: &v1::CreateChangeRequest, catalog: &Catalog) -> Result<NewChange, Refusal> {
    page::device_filter(&asked.filter, catalog)?;
    let strategy = change::strategy(asked.strategy.as_ref())?;
    page::device_filter(strategy.canary.as_deref().unwrap_or_default(), catalog)
        .map_err(|refusal| refusal.at("strategy.canary"))?;
    Ok(NewChange {
        request_id: asked.request_id.clone(),
        title: asked.title.clone(),
        action: change::action(asked.action.as_ref())?,
        filter: asked.filter.trim().to_owned(),
        listed: asked.listed,
        strategy,
        priority: change::priority(asked.priority()),
        approvals_needed: u8::try_from(asked.approvals_needed).unwrap_or(u8::MAX),
    })
}

impl Api {
    fn shown_change(&self, record: &ChangeRecord) -> v1::Change {
        let codes = self.service.codes_of(&record.change);
        let record = self.service.under_rules(record);
        change::change(&record, codes.as_ref(), self.service.now())
    }

    async fn order<T>(
        &self,
        request: &Request<T>,
        name: &str,
        etag: &str,
        order: ChangeOrder,
    ) -> Result<(v1::Change, u32), Status> {
        let permit = permit(request)?;
        let (id, revision) = (change_id(name)?, revision(etag)?);
        let ordered = self.service.order_change(&permit, id, order, revision).await;
        let (record, retried) = ordered.map_err(|failure| failed(&failure))?;
        Ok((self.shown_change(&record), retried))
    }

    async fn page_of_changes(
        &self,
        asked: &v1::ListChangesRequest,
    ) -> Result<v1::ListChangesResponse, Failure> {
        let size = page::size(asked.page_size)?;
        let before = self.pages.number(&asked.page_token, "changes")?;
        let found = self
            .service
            .store()
            .list_changes(before.map(ChangeId::from_u128), size + 1)
            .await;
        let mut found = found.map_err(|error| Fault::log("list changes", &error))?;
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more);
        let token = last.map(|last| {
            self.pages
                .token(&last.change.id.as_u128().to_be_bytes(), "changes")
        });
        Ok(v1::ListChangesResponse {
            changes: found.iter().map(|record| self.shown_change(record)).collect(),
            next_page_token: token.unwrap_or_default(),
        })
    }

    async fn page_of_rows(
        &self,
        id: ChangeId,
        asked: &v1::ListTargetRowsRequest,
    ) -> Result<v1::ListTargetRowsResponse, Failure> {
        let arguments = format!("target rows|{id}");
        let size = page::size(asked.page_size)?;
        let after = self.pages.number(&asked.page_token, &arguments)?;
        let after = after.map(|row| u32::try_from(row).unwrap_or(u32::MAX));
        let mut rows = self.service.list_rows(id, after, size + 1).await?;
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more);
        let token = last.map(|last| self.pages.token(&u128::from(last.row).to_be_bytes(), &arguments));
        Ok(v1::ListTargetRowsResponse {
            rows: rows.iter().map(change::row).collect(),
            next_page_token: token.unwrap_or_default(),
        })
    }

    async fn page_of_targets(
        &self,
        id: ChangeId,
        asked: &v1::ListTargetsRequest,
    ) -> Result<v1::ListTargetsResponse, Failure> {
        let states: Vec<_> = asked.states().collect();
        let arguments = format!("targets|{id}|{states:?}|{}", asked.stage);
        let excluded = asked.stage == 0 && (states.is_empty() || states.contains(&State::Excluded));
        let standings = if states.is_empty() {
            Standing::ALL.to_vec()
        } else {
            states.into_iter().filter_map(change::standing).collect()
        };
        let token = self.pages.cursor(&asked.page_token, &arguments)?;
        let query = TargetQuery {
            change: id,
            stage: asked
                .stage
                .checked_sub(1)
                .map(|stage| u16::try_from(stage).unwrap_or(u16::MAX)),
            standings,
            excluded,
            after: token.as_deref().map(cursor).transpose()?,
            limit: page::size(asked.page_size)?,
        };
        let found = self.service.list_targets(query).await?;
        let token = found.next.map(|next| self.pages.token(&bytes(next), &arguments));
        Ok(v1::ListTargetsResponse {
            targets: found.targets.iter().map(change::target).collect(),
            next_page_token: token.unwrap_or_default(),
        })
    }
}

/// A place in a listing of targets, as it stands in a token.
fn bytes((stage, standing, device): TargetCursor) -> Vec<u8> {
    [&stage.to_be_bytes()[..], &[standing], &device.to_be_bytes()].concat()
}

fn cursor(bytes: &[u8]) -> Result<TargetCursor, Refusal> {
    let read = || {
        let ([high, low, standing], device) = bytes.split_first_chunk()?;
        let device = <[u8; 16]>::try_from(device).ok()?;
        Some((
            u16::from_be_bytes([*high, *low]),
            *standing,
            u128::from_be_bytes(device),
        ))
    };
    read().ok_or_else(|| Refusal::new(Code::PageTokenInvalid, "is of another listing").at("page_token"))
}

#[tonic::async_trait]
impl Changes for Api {
    type WatchChangeStream = Pin<Box<dyn Stream<Item = Result<v1::Change, Status>> + Send>>;
    type ListCodesStream = Pin<Box<dyn Stream<Item = Result<v1::ListCodesResponse, Status>> + Send>>;

    async fn create_change(
        &self,
        request: Request<v1::CreateChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let catalog = self.service.store().catalog();
        let new = new_change(asked, &catalog).map_err(|refusal| refused(&refusal))?;
        let created = self
            .service
            .create_change(&permit, new, asked.validate_only)
            .await;
        let record = created
            .map_err(|failure| failed(&failure))?
            .map_err(|refusals| refused_all(&refusals))?;
        Ok(Response::new(self.shown_change(&record)))
    }

    async fn add_targets(
        &self,
        request: Request<v1::AddTargetsRequest>,
    ) -> Result<Response<v1::AddTargetsResponse>, Status> {
        permit(&request)?;
        let v1::AddTargetsRequest { name, rows } = request.into_inner();
        let id = change_id(&name)?;
        let rows = rows
            .into_iter()
            .map(|row| (row.row, row.device.trim().to_owned()));
        let added = self.service.add_targets(id, rows.collect()).await;
        let (record, unknown) = added
            .map_err(|failure| failed(&failure))?
            .map_err(|refusals| refused_all(&refusals))?;
        Ok(Response::new(v1::AddTargetsResponse {
            change: Some(self.shown_change(&record)),
            unknown,
        }))
    }

    async fn plan_change(
        &self,
        request: Request<v1::PlanChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let (id, revision) = (change_id(&asked.name)?, revision(&asked.etag)?);
        let planned = self.service.plan_change(&permit, id, revision).await;
        let planned = planned.map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown_change(&planned)))
    }

    async fn get_change(
        &self,
        request: Request<v1::GetChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        permit(&request)?;
        let found = self.service.change(change_id(&request.get_ref().name)?).await;
        let found = found.map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown_change(&found)))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        permit(&request)?;
        let page = self.page_of_changes(request.get_ref()).await;
        page.map(Response::new).map_err(|failure| failed(&failure))
    }

    async fn list_targets(
        &self,
        request: Request<v1::ListTargetsRequest>,
    ) -> Result<Response<v1::ListTargetsResponse>, Status> {
        permit(&request)?;
        let id = change_id(&request.get_ref().name)?;
        let page = self.page_of_targets(id, request.get_ref()).await;
        page.map(Response::new).map_err(|failure| failed(&failure))
    }

    async fn list_target_rows(
        &self,
        request: Request<v1::ListTargetRowsRequest>,
    ) -> Result<Response<v1::ListTargetRowsResponse>, Status> {
        permit(&request)?;
        let id = change_id(&request.get_ref().name)?;
        let page = self.page_of_rows(id, request.get_ref()).await;
        page.map(Response::new).map_err(|failure| failed(&failure))
    }

    async fn approve_change(
        &self,
        request: Request<v1::ApproveChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let (id, plan) = (change_id(&asked.name)?, plan(&asked.plan_hash)?);
        let approved = self.service.approve_change(&permit, id, plan).await;
        let approved = approved.map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown_change(&approved)))
    }

    async fn start_change(
        &self,
        request: Request<v1::StartChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let asked = request.get_ref();
        permit(&request)?;
        let order = ChangeOrder::Start(plan(&asked.plan_hash)?, asked.targets);
        let (change, _) = self.order(&request, &asked.name, "", order).await?;
        Ok(Response::new(change))
    }

    async fn pause_change(
        &self,
        request: Request<v1::PauseChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let v1::PauseChangeRequest { name, etag } = request.get_ref();
        let (change, _) = self.order(&request, name, etag, ChangeOrder::Pause).await?;
        Ok(Response::new(change))
    }

    async fn resume_change(
        &self,
        request: Request<v1::ResumeChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let v1::ResumeChangeRequest { name, etag } = request.get_ref();
        let (change, _) = self.order(&request, name, etag, ChangeOrder::Resume).await?;
        Ok(Response::new(change))
    }

    async fn abort_change(
        &self,
        request: Request<v1::AbortChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let v1::AbortChangeRequest { name, etag } = request.get_ref();
        let (change, _) = self.order(&request, name, etag, ChangeOrder::Abort).await?;
        Ok(Response::new(change))
    }

    async fn roll_back_change(
        &self,
        request: Request<v1::RollBackChangeRequest>,
    ) -> Result<Response<v1::Change>, Status> {
        let v1::RollBackChangeRequest { name, etag } = request.get_ref();
        let (change, _) = self.order(&request, name, etag, ChangeOrder::RollBack).await?;
        Ok(Response::new(change))
    }

    async fn retry_change(
        &self,
        request: Request<v1::RetryChangeRequest>,
    ) -> Result<Response<v1::RetryChangeResponse>, Status> {
        let v1::RetryChangeRequest { name, etag } = request.get_ref();
        let (change, retried) = self.order(&request, name, etag, ChangeOrder::Retry).await?;
        Ok(Response::new(v1::RetryChangeResponse {
            change: Some(change),
            retried,
        }))
    }

    async fn get_approval_rules(
        &self,
        request: Request<v1::GetApprovalRulesRequest>,
    ) -> Result<Response<v1::ApprovalRules>, Status> {
        permit(&request)?;
        let kept = self.service.store().approval_rules();
        Ok(Response::new(approval::wire_rules(&kept)))
    }

    async fn update_approval_rules(
        &self,
        request: Request<v1::UpdateApprovalRulesRequest>,
    ) -> Result<Response<v1::ApprovalRules>, Status> {
        let (permit, asked) = (permit(&request)?, request.get_ref());
        let rules = approval::rules(&asked.rules).map_err(|refusal| refused(&refusal))?;
        let revision = revision(&asked.etag)?;
        let updated = self
            .service
            .update_approval_rules(&permit, rules, revision, asked.validate_only)
            .await;
        let kept = updated
            .map_err(|failure| failed(&failure))?
            .map_err(|refusals| refused_all(&refusals))?;
        Ok(Response::new(approval::wire_rules(&kept)))
    }

    async fn watch_change(
        &self,
        request: Request<v1::WatchChangeRequest>,
    ) -> Result<Response<Self::WatchChangeStream>, Status> {
        permit(&request)?;
        let id = change_id(&request.get_ref().name)?;
        let (telling, told) = mpsc::channel(WORDS_AHEAD);
        let watched = self.service.watch_change(id, telling).await;
        watched.map_err(|failure| failed(&failure))?;
        let api = self.clone();
        let rendered = move |word: Result<ChangeRecord, Failure>| match word {
            Ok(record) => Ok(api.shown_change(&record)),
            Err(failure) => Err(failed(&failure)),
        };
        Ok(Response::new(Box::pin(ReceiverStream::new(told).map(rendered))))
    }

    async fn list_codes(
        &self,
        request: Request<v1::ListCodesRequest>,
    ) -> Result<Response<Self::ListCodesStream>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let id = change_id(&asked.name)?;
        let (telling, told) = mpsc::channel(CODES_AHEAD);
        let listed = self.service.list_codes(&permit, id, &asked.resume_token, telling);
        listed.await.map_err(|failure| failed(&failure))?;
        let rendered =
            |part: Result<CodesPart, Failure>| part.map(change::codes).map_err(|failure| failed(&failure));
        Ok(Response::new(Box::pin(ReceiverStream::new(told).map(rendered))))
    }

    async fn acknowledge_codes(
        &self,
        request: Request<v1::AcknowledgeCodesRequest>,
    ) -> Result<Response<v1::AcknowledgeCodesResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let id = change_id(&asked.name)?;
        let kept = self.service.acknowledge_codes(&permit, id, &asked.resume_token);
        kept.await.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::AcknowledgeCodesResponse {}))
    }
}
