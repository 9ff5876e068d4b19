//! Listings of devices: the filter says which index to walk.

use super::{
    Store,
    index::{state_key, verification_key},
    presence::Presences,
    record::load,
    tables::View,
};
use crate::store::{Counts, DevicePage, DeviceQuery, StoreError};
use muster_domain::{
    batch::Batch,
    device::{Device, DeviceField, LifecycleState, VerificationState},
    filter::{self, Bound as Bounds, CheckedFilter, Conjunct, Target, Value},
    ids::{BatchId, DeviceId},
    mac::Mac,
};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Most devices whose serials have a prefix that are found through the index of serials: some milliseconds a page.
const PREFIX_LIMIT: usize = 10_000;

impl Store {
    /// One page of devices in the order of their ids. A filter that leaves almost nothing ends the page at its scan
    /// limit, perhaps empty, with where to go on.
    pub async fn list_devices(&self, query: DeviceQuery) -> Result<DevicePage, StoreError> {
        let (store, counts) = (self.clone(), self.counts());
        self.blocking(move |txn| page(&View::open(txn)?, &counts, &store.shared.presences, &query))
            .await
    }
}

/// The devices to look at: all that can match are among them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan<'q> {
    /// These alone, ascending.
    Few(Vec<u128>),
    /// Those that are connected.
    Online,
    Model(&'q str),
    Site(&'q str),
    Group(&'q str),
    State(LifecycleState),
    Verification(VerificationState),
    Batch(BatchId),
    All,
}

type Ids<'v> = Box<dyn Iterator<Item = Result<u128, StoreError>> + 'v>;

fn page(
    view: &View,
    counts: &Counts,
    presences: &Presences,
    query: &DeviceQuery,
) -> Result<DevicePage, StoreError> {
    page_where(view, counts, presences, query, |_| true)
}

/// One page of those that are wanted besides.
pub(super) fn page_where(
    view: &View,
    counts: &Counts,
    presences: &Presences,
    query: &DeviceQuery,
    is_wanted: impl Fn(&Device) -> bool,
) -> Result<DevicePage, StoreError> {
    let plan = match &query.filter {
        Some(filter) => plan(view, counts, presences, filter)?,
        None => Plan::All,
    };
    let mut page = DevicePage {
        devices: Vec::new(),
        next: None,
    };
    let mut last = None;
    for (scanned, id) in ids(view, presences, &plan, query)?.enumerate() {
        if scanned == query.scan_limit || page.devices.len() == query.limit.max(1) {
            page.next = last;
            return Ok(page);
        }
        let id = DeviceId::from_u128(id?);
        last = Some(id);
        let mut device = match load::<Device>(&view.devices, id.as_u128())? {
            Some(device) => device,
            // It was registered after this view, or taken back.
            None if matches!(plan, Plan::Online) => continue,
            None => return Err(StoreError::missing("devices", id)),
        };
        device.presence = presences.of(&view.presence, id)?;
        if query
            .filter
            .as_ref()
            .is_none_or(|filter| filter::evaluate(filter, &device))
            && is_wanted(&device)
        {
            page.devices.push(device);
        }
    }
    Ok(page)
}

/// The index that leaves the fewest devices, by the counts.
fn plan<'q>(
    view: &View,
    counts: &Counts,
    presences: &Presences,
    filter: &'q CheckedFilter<DeviceField>,
) -> Result<Plan<'q>, StoreError> {
    let mut best = (counts.devices, Plan::All);
    for Conjunct { target, bound } in filter.conjuncts() {
        let (Target::Field(field) | Target::Label(field @ DeviceField::Group, _)) = target else {
            continue;
        };
        let text = match bound {
            Bounds::Equal(Value::Text(text) | Value::Enum(text)) => text,
            Bounds::Prefix(prefix) if *field == DeviceField::Serial => {
                if let Some(ids) = by_prefix(view, prefix)?
                    && len(&ids) <= best.0
                {
                    best = (len(&ids), Plan::Few(ids));
                }
                continue;
            }
            Bounds::Equal(Value::Bool(true)) if *field == DeviceField::Online => {
                let size = presences.online();
                if size <= best.0 {
                    best = (size, Plan::Online);
                }
                continue;
            }
            Bounds::Prefix(_) | Bounds::Equal(_) | Bounds::Since(_) | Bounds::Until(_) => continue,
        };
        let (size, candidate) = match field {
            DeviceField::Id => (1, few(present(view, text)?)),
            DeviceField::Serial => (1, few(view.serials.get(text)?.map(|id| id.value()))),
            DeviceField::Mac => (1, few(by_mac(view, text)?)),
            DeviceField::Model => (counts.models.get(text).copied().unwrap_or(0), Plan::Model(text)),
            DeviceField::Site => (counts.sites.get(text).copied().unwrap_or(0), Plan::Site(text)),
            DeviceField::Group => (counts.groups.get(text).copied().unwrap_or(0), Plan::Group(text)),
            DeviceField::State => {
                let state = LifecycleState::ALL
                    .into_iter()
                    .find(|state| state.as_str() == text);
                let Some(state) = state else { continue };
                (
                    counts.states.get(&state).copied().unwrap_or(0),
                    Plan::State(state),
                )
            }
            DeviceField::Verification => {
                let state = VerificationState::ALL
                    .into_iter()
                    .find(|state| state.as_str() == text);
                let Some(state) = state else { continue };
                (
                    counts.verifications.get(&state).copied().unwrap_or(0),
                    Plan::Verification(state),
                )
            }
            DeviceField::Batch => match text.parse() {
                Ok(id) => (batch_size(view, id)?, Plan::Batch(id)),
                Err(_) => (0, few(None)),
            },
            DeviceField::TrustVersion
            | DeviceField::Online
            | DeviceField::PresenceTime
            | DeviceField::Hardware
            | DeviceField::Firmware
            | DeviceField::FactoryFirmware
            | DeviceField::Position
            | DeviceField::Row
            | DeviceField::Generation
            | DeviceField::CreateTime
            | DeviceField::UpdateTime
            | DeviceField::CloneSuspected
            | DeviceField::CertificateNotAfter
            | DeviceField::Labels
            | DeviceField::Variables => continue,
        };
        if size <= best.0 {
            best = (size, candidate);
        }
    }
    Ok(best.1)
}

fn by_mac(view: &View, text: &str) -> Result<Option<u128>, StoreError> {
    let Ok(mac) = text.parse::<Mac>() else {
        return Ok(None);
    };
    Ok(view.macs.get(mac.key())?.map(|id| id.value()))
}

fn batch_size(view: &View, id: BatchId) -> Result<u64, StoreError> {
    Ok(load::<Batch>(&view.batches, id.as_u128())?.map_or(0, |batch| batch.tally.created))
}

/// The ids of a plan behind those of the page before, ascending.
fn ids<'v>(
    view: &'v View,
    presences: &Presences,
    plan: &Plan<'_>,
    query: &DeviceQuery,
) -> Result<Ids<'v>, StoreError> {
    let after = query.after;
    let from = after.map_or(Unbounded, |after| Excluded(after.as_u128()));
    let behind = after.map_or(Included(0), |after| Excluded(after.as_u128()));
    macro_rules! range {
        ($index:ident, $value:expr) => {{
            let range = view
                .$index
                .range((behind.map(|id| ($value, id)), Included(($value, u128::MAX))))?;
            Box::new(range.map(|entry| Ok(entry?.0.value().1)))
        }};
    }
    Ok(match plan {
        Plan::Few(ids) => Box::new(
            ids.clone()
                .into_iter()
                .filter(move |id| after.is_none_or(|after| *id > after.as_u128()))
                .map(Ok),
        ),
        Plan::Online => {
            // One more than are looked at, to know that there are more.
            let limit = query.scan_limit.saturating_add(1);
            Box::new(presences.online_after(after, limit).into_iter().map(Ok))
        }
        Plan::Model(model) => range!(by_model, *model),
        Plan::Site(site) => range!(by_site, *site),
        Plan::Group(group) => range!(by_group, *group),
        Plan::State(state) => range!(by_state, state_key(*state)),
        Plan::Verification(state) => range!(by_verification, verification_key(*state)),
        Plan::Batch(batch) => range!(by_batch, batch.as_u128()),
        Plan::All => Box::new(
            view.devices
                .range((from, Unbounded))?
                .map(|entry| Ok(entry?.0.value())),
        ),
    })
}

fn few(id: Option<u128>) -> Plan<'static> {
    Plan::Few(id.into_iter().collect())
}

fn len(ids: &[u128]) -> u64 {
    u64::try_from(ids.len()).unwrap_or(u64::MAX)
}

/// The id, if there is such a device: one from a filter may be of none.
fn present(view: &View, text: &str) -> Result<Option<u128>, StoreError> {
    let Ok(id) = text.parse::<DeviceId>() else {
        return Ok(None);
    };
    Ok(view.devices.get(id.as_u128())?.map(|_| id.as_u128()))
}

/// The devices whose serials begin like this, unless they are too many: pages go by id, so all of them are
/// collected for each page.
fn by_prefix(view: &View, prefix: &str) -> Result<Option<Vec<u128>>, StoreError> {
    let mut ids = Vec::new();
    for entry in view.serials.range(prefix..)? {
        let (serial, id) = entry?;
        if !serial.value().starts_with(prefix) {
            break;
        }
        if ids.len() == PREFIX_LIMIT {
            return Ok(None);
        }
        ids.push(id.value());
    }
    ids.sort_unstable();
    Ok(Some(ids))
}
