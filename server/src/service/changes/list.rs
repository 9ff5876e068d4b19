//! The devices of a change as somebody listed them: taken in parts, and looked at when the change is planned.

use super::{
    super::{OrFault as _, Service},
    plan::{PAGE, filter},
    survey::Survey,
};
use crate::{fault::Failure, store::ListedRow};
use muster_domain::{
    Code, Refusal, Timestamp,
    change::{Change, ChangeRecord, DeviceList, Exclusion, LIST_PART, LISTED_LIMIT, Listed, settled},
    device::Device,
    filter::evaluate,
    ids::{ChangeId, DeviceId},
};
use std::{collections::BTreeMap, sync::Arc};

/// Rows that are looked at together.
const ROWS: usize = 32_768;
/// Most mistakes that one answer names.
const NAMED: usize = 100;

/// What a list comes to.
pub(super) struct Settled {
    /// Its devices, in the order of their ids.
    pub(super) devices: Vec<DeviceId>,
    /// Its counts.
    pub(super) list: DeviceList,
}

impl Service {
    /// Adds rows to the list of a change. The change then, and of these rows those that name no device. The inner error lists every
    /// row that can name none.
    ///
    /// # Errors
    /// [`Code::ChangeState`] when it has a plan, or has no list; or a fault.
    pub async fn add_targets(
        &self,
        id: ChangeId,
        rows: Vec<(u32, String)>,
    ) -> Result<Result<(ChangeRecord, Vec<u32>), Vec<Refusal>>, Failure> {
        let problems = check(&rows);
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let added = self.store.add_listed(id, rows).await;
        Ok(Ok(added.or_fault("add to the list of a change")??))
    }

    /// Rows of the list of a change behind `after`, each with what became of its device.
    ///
    /// # Errors
    /// [`Code::NotFound`]; or a fault.
    pub async fn list_rows(
        &self,
        id: ChangeId,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, Failure> {
        self.change(id).await?;
        let rows = self.store.list_rows(id, after, limit).await;
        Ok(rows.or_fault("list rows of a change")?)
    }

    /// Works out which devices a list names. What no device had when it was added is looked for again.
    pub(super) async fn settle(
        &self,
        id: ChangeId,
        attempt: u32,
        list: DeviceList,
    ) -> Result<Settled, Failure> {
        let mut rows: Vec<(u32, Listed)> = Vec::new();
        let mut moved = BTreeMap::new();
        loop {
            let after = rows.last().map(|(row, _)| *row);
            let part = self.store.listed(id, after, ROWS).await;
            let mut part = part.or_fault("read the list of a change")?;
            if part.is_empty() {
                break;
            }
            self.look_again(&mut part, &mut moved).await?;
            rows.append(&mut part);
        }
        let (devices, settled) = settled(&rows);
        moved.extend(settled);
        let moved: Vec<_> = moved.into_iter().collect();
        for part in moved.chunks(ROWS) {
            let written = self.store.settle_listed(id, attempt, part.to_vec()).await;
            written.or_fault("settle the list of a change")??;
        }
        let named = rows
            .iter()
            .filter(|(_, listed)| listed.device().is_some())
            .count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Settled {
            list: DeviceList {
                unknown: count(rows.len() - named),
                repeated: count(named - devices.len()),
                ..list
            },
            devices: devices.into_iter().map(|(device, _)| device).collect(),
        })
    }

    /// Looks for devices that were not there when their rows came.
    async fn look_again(
        &self,
        part: &mut [(u32, Listed)],
        moved: &mut BTreeMap<u32, Listed>,
    ) -> Result<(), Failure> {
        let text = |(_, listed): &(u32, Listed)| match listed {
            Listed::Unknown(text) => Some(text.clone()),
            Listed::Device(_) | Listed::Repeated(..) => None,
        };
        let texts: Vec<_> = part.iter().filter_map(text).collect();
        let found = self.store.look_up(texts).await;
        let mut found = found.or_fault("look devices up")?.into_iter();
        for (row, listed) in part {
            if listed.device().is_none()
                && let Some(device) = found.next().flatten()
            {
                *listed = Listed::Device(device);
                moved.insert(*row, listed.clone());
            }
        }
        Ok(())
    }

    /// Looks at every device that is listed; how many of them are gone since, too.
    pub(super) async fn survey_listed(
        &self,
        change: &Arc<Change>,
        attempt: u32,
        devices: Vec<DeviceId>,
        now: Timestamp,
    ) -> Result<(Survey, u32), Failure> {
        let (mut survey, mut gone, catalog) = (Survey::new(), 0, self.store.catalog());
        let filter = filter(&change.filter, &catalog)?;
        for part in devices.chunks(PAGE) {
            if self.stopping.is_cancelled() {
                return Err(super::super::stopping().into());
            }
            let found = self.store.devices_of(part.to_vec()).await;
            let found = found.or_fault("load devices")?;
            let found: Vec<_> = found.into_iter().filter_map(|(_, device)| device).collect();
            gone += part.len() - found.len();
            let matches = |device: &Device| filter.as_ref().is_none_or(|filter| evaluate(filter, device));
            let (matching, others): (Vec<_>, Vec<_>) = found.into_iter().partition(matches);
            let judged = self.judge(change, &catalog, matching, now).await?;
            let mut excluded = survey.note(judged);
            let others = others.iter().map(|device| (device.id, Exclusion::Unmatched));
            excluded.extend(survey.leave_out(others));
            excluded.sort_unstable_by_key(|(device, _)| *device);
            self.write_excluded(change.id, attempt, excluded).await?;
        }
        survey.sort();
        Ok((survey, u32::try_from(gone).unwrap_or(u32::MAX)))
    }
}

/// Rows that can name no device, whatever is registered.
fn check(rows: &[(u32, String)]) -> Vec<Refusal> {
    let wrong = |why: String, field: String| Refusal::new(Code::ChangeInvalid, why).at(field);
    if rows.len() > LIST_PART {
        let why = format!("are over {LIST_PART}: send them in parts");
        return vec![wrong(why, "rows".into())];
    }
    let mut before = 0;
    let problem = |(place, (row, text)): (usize, &(u32, String))| {
        let is_next = *row > before;
        before = *row;
        if !is_next {
            let why = format!("row {row} does not come behind the one before it");
            return Some(wrong(why, format!("rows[{place}].row")));
        }
        let why = match text.as_str() {
            "" => "names nothing".to_owned(),
            text if text.len() > LISTED_LIMIT => format!("is longer than {LISTED_LIMIT} bytes"),
            text if text.chars().any(char::is_control) => "has control characters".to_owned(),
            _ => return None,
        };
        Some(wrong(format!("row {row} {why}"), format!("rows[{place}].device")))
    };
    rows.iter().enumerate().filter_map(problem).take(NAMED).collect()
}
