//! Codes that changes give out: what they follow from, who got one, and that somebody has all of them.
//!
//! A seed is on record before the first code is made from it, and each code is numbered in the transaction that gives it to its
//! device: whoever has the codes up to a number has all of these, whatever becomes of the devices and their targets.

use super::{book::Book, create::find};
use crate::store::{
    IssuedCode, StoreError,
    embedded::{
        Store,
        index::insert_sorted,
        record::load,
        tables::{CHANGES, CODE_SEEDS, CODES, View},
        txn::Txn,
    },
};
use muster_domain::{
    Code, Refusal, Timestamp,
    activation::Seed,
    audit::{Action, Actor, Event},
    change::{ChangeRecord, ChangeState, Codes},
    device::Device,
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;

impl Store {
    /// What the codes of a change follow from: `fresh`, durable, where there is none yet. None of a change that is not running, which
    /// gives out none.
    pub async fn code_seed(&self, id: ChangeId, fresh: Seed) -> Result<Option<Seed>, StoreError> {
        if let Some(known) = seed(&self.read()?.open_table(CODE_SEEDS)?, id)? {
            return Ok(Some(known));
        }
        self.write(move |txn| sow(txn, id, &fresh)).await
    }

    /// How far the codes of a change are. Two reads by key, as of a device.
    pub fn codes(&self, id: ChangeId) -> Result<Codes, StoreError> {
        let txn = self.read()?;
        codes(&txn.open_table(CODE_SEEDS)?, &txn.open_table(CODES)?, id)
    }

    /// Codes of a change from this number on, with what they follow from.
    pub async fn issued_codes(
        &self,
        id: ChangeId,
        from: u32,
        limit: usize,
    ) -> Result<Result<(Seed, Vec<IssuedCode>), Refusal>, StoreError> {
        self.blocking(move |txn| page(&View::open(txn)?, id, from, limit))
            .await
    }

    /// Erases what the codes of a change follow from, for whoever has the first `kept` of them; none: for nobody. Doing so again
    /// changes nothing.
    pub async fn acknowledge_codes(
        &self,
        id: ChangeId,
        kept: Option<u32>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<(), Refusal>, StoreError> {
        self.write(move |txn| acknowledge(txn, id, kept, &actor, now))
            .await
    }

    /// Changes whose codes nobody acknowledged in time.
    pub async fn expired_codes(&self, now: Timestamp) -> Result<Vec<ChangeId>, StoreError> {
        self.blocking(move |txn| {
            let (seeds, changes) = (txn.open_table(CODE_SEEDS)?, txn.open_table(CHANGES)?);
            let mut found = Vec::new();
            for entry in seeds.iter()? {
                let id = ChangeId::from_u128(entry?.0.value());
                let record = load::<ChangeRecord>(&changes, id.as_u128())?;
                let record = record.ok_or_else(|| StoreError::missing("changes", id))?;
                let at = record.change.codes_expire();
                found.extend(at.filter(|at| *at <= now).map(|_| id));
            }
            Ok(found)
        })
        .await
    }
}

fn seed(
    seeds: &impl ReadableTable<u128, &'static [u8; 16]>,
    id: ChangeId,
) -> Result<Option<Seed>, StoreError> {
    let found = seeds.get(id.as_u128())?;
    Ok(found.map(|seed| Seed::from_bytes(*seed.value())))
}

/// How far the codes of a change are. They are numbered without a gap.
fn codes(
    seeds: &impl ReadableTable<u128, &'static [u8; 16]>,
    codes: &impl ReadableTable<(u128, u32), (u128, u64)>,
    id: ChangeId,
) -> Result<Codes, StoreError> {
    let all = (id.as_u128(), 0)..=(id.as_u128(), u32::MAX);
    let last = codes.range(all)?.next_back().transpose()?;
    Ok(Codes {
        issued: last.map_or(0, |(key, _)| key.value().1.saturating_add(1)),
        seed: seed(seeds, id)?,
    })
}

fn sow(txn: &mut Txn<'_>, id: ChangeId, fresh: &Seed) -> Result<Option<Seed>, StoreError> {
    if let Some(known) = seed(&txn.tables().code_seeds, id)? {
        return Ok(Some(known));
    }
    // Of a change that has ended, a seed may have been erased: another one would give other codes than devices have.
    let record = Book::default().record(txn.tables(), id)?.clone();
    if !matches!(record.change.state, ChangeState::Running { .. }) {
        return Ok(None);
    }
    txn.write().code_seeds.insert(id.as_u128(), &fresh.to_bytes())?;
    Ok(Some(fresh.clone()))
}

/// Devices got their codes.
pub(super) fn issued(
    txn: &mut Txn<'_>,
    id: ChangeId,
    devices: &[DeviceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let tables = txn.tables();
    let first = codes(&tables.code_seeds, &tables.codes, id)?.issued;
    let row = |(number, device): (u32, &DeviceId)| {
        let key = (id.as_u128(), first.saturating_add(number));
        (key, (device.as_u128(), now.millis()))
    };
    let rows: Vec<_> = (0..).zip(devices).map(row).collect();
    insert_sorted("codes", &mut txn.write().codes, &rows)
}

fn page(
    view: &View,
    id: ChangeId,
    from: u32,
    limit: usize,
) -> Result<Result<(Seed, Vec<IssuedCode>), Refusal>, StoreError> {
    let Some(record) = load::<ChangeRecord>(&view.changes, id.as_u128())? else {
        let refusal = Refusal::new(Code::NotFound, format!("no change has the id {id}"));
        return Ok(Err(refusal.at("name")));
    };
    let known = codes(&view.code_seeds, &view.codes, id)?;
    let seed = match known.shown(&record.change) {
        Ok(seed) => seed.clone(),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let rows = view
        .codes
        .range((id.as_u128(), from)..=(id.as_u128(), u32::MAX))?;
    let issued = rows.take(limit).map(|entry| {
        let (key, value) = entry?;
        let (device, at) = value.value();
        let known = load::<Device>(&view.devices, device)?;
        Ok(IssuedCode {
            number: key.value().1,
            device: DeviceId::from_u128(device),
            serial: known.map(|device| device.serial),
            at: Timestamp::from_millis(at),
        })
    });
    let issued = issued.collect::<Result<_, StoreError>>()?;
    Ok(Ok((seed, issued)))
}

fn acknowledge(
    txn: &mut Txn<'_>,
    id: ChangeId,
    kept: Option<u32>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<(), Refusal>, StoreError> {
    let record = match find(txn, id)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let tables = txn.tables();
    let known = codes(&tables.code_seeds, &tables.codes, id)?;
    match known.acknowledged(&record.change, kept.unwrap_or(known.issued)) {
        Ok(true) => {}
        Ok(false) => return Ok(Ok(())),
        Err(refusal) => return Ok(Err(refusal)),
    }
    txn.write().code_seeds.remove(id.as_u128())?;
    let event = Event::new(
        now,
        actor.clone(),
        Action::CodesAcknowledged,
        record.change.name(),
    );
    txn.audit(&event.with("codes", known.issued))?;
    Ok(Ok(()))
}
