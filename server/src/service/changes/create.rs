//! A change as somebody describes it.

use super::super::{OrFault as _, REASON_LIMIT, Service, operator};
use crate::{fault::Failure, random};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    batch::REQUEST_ID_LIMIT,
    catalog::Catalog,
    change::{
        APPROVAL_LIMIT, Action, Change, ChangeRecord, ChangeState, Demands, DeviceList, LIST_LIMIT, Priority,
        Strategy, plain,
    },
    ids::ChangeId,
};

/// Longest title, in bytes.
const TITLE_LIMIT: usize = 200;

/// What a new change is made of.
#[derive(Debug, Clone)]
pub struct NewChange {
    /// Chosen by the caller; empty: not repeatable.
    pub request_id: String,
    /// What it is for.
    pub title: String,
    /// What every target becomes. Revision 0 means the newest there is now.
    pub action: Action,
    /// Which devices; a filter that was read.
    pub filter: String,
    /// How many rows a list of devices will have; 0: there is none, and the filter alone says.
    pub listed: u32,
    /// How it goes through them.
    pub strategy: Strategy,
    /// What it gives way to.
    pub priority: Priority,
    /// How many others must approve the plan.
    pub approvals_needed: u8,
}

impl Service {
    /// Makes a change, or only checks it. The same request again gives the same change. The inner error lists every mistake.
    ///
    /// # Errors
    /// [`Code::RequestIdReused`] when the request id stands for another one; or a fault.
    pub async fn create_change(
        &self,
        permit: &Permit,
        new: NewChange,
        validate_only: bool,
    ) -> Result<Result<ChangeRecord, Vec<Refusal>>, Failure> {
        let now = self.clock.now();
        let (action, problems) = check(&self.store.catalog(), &new);
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let change = Change {
            id: ChangeId::new(now, random::number().or_fault("make an id")?),
            title: new.title,
            author: operator(permit)?.name.clone(),
            created: now,
            action,
            filter: new.filter,
            list: (new.listed > 0).then(|| DeviceList::of(new.listed)),
            strategy: new.strategy,
            priority: new.priority,
            approvals_needed: new.approvals_needed,
            demands: Demands::default(),
            approvals: Vec::new(),
            accepted: Vec::new(),
            state: ChangeState::Draft,
            revision: 1,
        };
        if validate_only {
            return Ok(Ok(ChangeRecord::new(change)));
        }
        let created = self.store.create_change(change, new.request_id).await;
        Ok(Ok(created.or_fault("make a change")??))
    }
}

/// The action with the revision that it means, and everything that is wrong.
fn check(catalog: &Catalog, new: &NewChange) -> (Action, Vec<Refusal>) {
    let mut problems = new.strategy.check().err().unwrap_or_default();
    let mut wrong =
        |why: String, field: &str| problems.push(Refusal::new(Code::ChangeInvalid, why).at(field));
    if new.title.len() > TITLE_LIMIT || new.title.chars().any(char::is_control) {
        wrong(
            format!("is longer than {TITLE_LIMIT} bytes, or has control characters"),
            "title",
        );
    }
    if new.request_id.len() > REQUEST_ID_LIMIT {
        wrong(format!("is longer than {REQUEST_ID_LIMIT} bytes"), "request_id");
    }
    if new.listed > LIST_LIMIT {
        wrong(format!("is over {LIST_LIMIT}"), "listed");
    }
    if new.listed > 0 && new.strategy.dynamic.is_some() {
        let why = "is of changes without a list: a list names all of its devices";
        wrong(why.into(), "strategy.dynamic");
    }
    if new.approvals_needed > APPROVAL_LIMIT {
        wrong(format!("is over {APPROVAL_LIMIT}"), "approvals_needed");
    }
    if let Action::Suspend(reason) | Action::Retire(reason) = &new.action
        && reason.len() > REASON_LIMIT
    {
        wrong(format!("is longer than {REASON_LIMIT} bytes"), "action.reason");
    }
    if let Action::Relabel(relabel) = &new.action {
        problems.extend(relabel.check().err().unwrap_or_default());
    }
    if let Action::Place(Some(position)) = &new.action
        && let Err(why) = plain(position)
    {
        problems.push(Refusal::new(Code::ChangeInvalid, why).at("action.position"));
    }
    match resolved(catalog, &new.action) {
        Ok(action) => (action, problems),
        Err(refusal) => {
            problems.push(refusal);
            (new.action.clone(), problems)
        }
    }
}

/// What an action refers to is there.
fn resolved(catalog: &Catalog, action: &Action) -> Result<Action, Refusal> {
    let missing = |what: String, field: &str| {
        Refusal::new(Code::ReferenceMissing, format!("{what} is not in the catalog")).at(field)
    };
    match action {
        Action::Profile(name, 0) => match catalog.profile(name) {
            Some(newest) => Ok(Action::Profile(name.clone(), newest.number)),
            None => Err(missing(format!("profiles/{name}"), "action.profile")),
        },
        Action::Profile(name, number) if catalog.profile_at(name, *number).is_none() => {
            Err(missing(format!("profiles/{name}@{number}"), "action.profile"))
        }
        Action::FirmwarePolicy(name, 0) => match catalog.policy(name) {
            Some(newest) => Ok(Action::FirmwarePolicy(name.clone(), newest.number)),
            None => Err(missing(
                format!("firmwarePolicies/{name}"),
                "action.firmware_policy",
            )),
        },
        Action::FirmwarePolicy(name, number) if catalog.policy_at(name, *number).is_none() => Err(missing(
            format!("firmwarePolicies/{name}@{number}"),
            "action.firmware_policy",
        )),
        Action::Move(site) if !catalog.sites.contains_key(site) => {
            Err(missing(format!("sites/{site}"), "action.site"))
        }
        Action::Profile(..)
        | Action::FirmwarePolicy(..)
        | Action::Move(_)
        | Action::Suspend(_)
        | Action::Resume
        | Action::Retire(_)
        | Action::RotateCertificate
        | Action::ReissueCodes { .. }
        | Action::Relabel(_)
        | Action::Place(_) => Ok(action.clone()),
    }
}
