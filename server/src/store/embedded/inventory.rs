//! Listings of certificates, and how long they still live.

use super::{
    Store,
    record::{Record as _, load, load_named},
    tables::{CERTIFICATES, DEVICES, View},
};
use crate::store::{CertificatePage, CertificateQuery, KnownCertificate, StoreError};
use muster_domain::{
    Timestamp,
    access::Operator,
    certificate::{CertificateAt, CertificateField, CertificateRecord, CertificateSerial, Expiry},
    device::Device,
    filter::{self, Bound as Bounds, CheckedFilter, Conjunct, Target, Value},
    ids::DeviceId,
};
use redb::{AccessGuard, ReadableTable as _};
use std::ops::Bound::{Excluded, Included};

/// Digits of a serial.
const SERIAL_DIGITS: usize = 32;

impl Store {
    /// One page of certificates in the order of their serials. A filter that leaves almost nothing ends the page at its
    /// scan limit, perhaps empty, with where to go on.
    pub async fn list_certificates(&self, query: CertificateQuery) -> Result<CertificatePage, StoreError> {
        self.blocking(move |txn| page(&View::open(txn)?, &query)).await
    }

    /// Up to `limit` certificates behind `after`, each with the serial of its device.
    pub async fn known_certificates(
        &self,
        after: Option<CertificateSerial>,
        limit: usize,
    ) -> Result<Vec<KnownCertificate>, StoreError> {
        self.blocking(move |txn| {
            let (certificates, devices) = (txn.open_table(CERTIFICATES)?, txn.open_table(DEVICES)?);
            let from = after.map_or(Included(0), |after| Excluded(after.as_u128()));
            let range = certificates.range((from, Included(u128::MAX)))?;
            let known = |entry: Result<(AccessGuard<'_, u128>, AccessGuard<'_, &'static [u8]>), _>| {
                let (key, value) = entry?;
                let record = CertificateRecord::from_guard(value)?;
                let device = match record.holder.device() {
                    Some(id) => load::<Device>(&devices, id.as_u128())?,
                    None => None,
                };
                Ok(KnownCertificate {
                    key: CertificateSerial::from_u128(key.value()),
                    record,
                    device_serial: device.map(|device| device.serial),
                })
            };
            range.take(limit).map(known).collect()
        })
        .await
    }

    /// How much of their lives certificates have left. Reads all of them.
    pub async fn certificate_expiry(&self, now: Timestamp) -> Result<Expiry, StoreError> {
        self.blocking(move |txn| {
            let mut expiry = Expiry::default();
            for entry in txn.open_table(CERTIFICATES)?.iter()? {
                expiry.add(&CertificateRecord::from_guard(entry?.1)?, now);
            }
            Ok(expiry)
        })
        .await
    }
}

/// The certificates to look at: all that can match are among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// The smallest and the greatest serial.
    range: (u128, u128),
    /// Those of this device only.
    device: Option<DeviceId>,
}

type Serials<'v> = Box<dyn Iterator<Item = Result<u128, StoreError>> + 'v>;

fn page(view: &View, query: &CertificateQuery) -> Result<CertificatePage, StoreError> {
    let plan = match &query.filter {
        Some(filter) => plan(view, filter)?,
        None => Plan::ALL,
    };
    let mut page = CertificatePage {
        certificates: Vec::new(),
        next: None,
    };
    let mut last = None;
    for (scanned, serial) in serials(view, plan, query.after)?.enumerate() {
        if scanned == query.scan_limit || page.certificates.len() == query.limit.max(1) {
            page.next = last;
            return Ok(page);
        }
        let serial = CertificateSerial::from_u128(serial?);
        let record = load::<CertificateRecord>(&view.certificates, serial.as_u128())?;
        let record = record.ok_or_else(|| StoreError::missing("certificates", serial))?;
        let now = query.now;
        let seen = CertificateAt { record: &record, now };
        let fits = |filter| filter::evaluate(filter, &seen);
        if query.filter.as_ref().is_none_or(fits) {
            page.certificates.push(record);
        }
        last = Some(serial);
    }
    Ok(page)
}

impl Plan {
    const ALL: Self = Self {
        range: (0, u128::MAX),
        device: None,
    };

    fn within(&mut self, first: u128, last: u128) {
        self.range = (self.range.0.max(first), self.range.1.min(last));
    }

    fn exactly(&mut self, serial: Option<u128>) {
        match serial {
            Some(serial) => self.within(serial, serial),
            // No serial is 0.
            None => self.range = (0, 0),
        }
    }
}

/// Serials sort by age, so every bound of age, and every beginning of a serial, is a range.
fn plan(view: &View, filter: &CheckedFilter<CertificateField>) -> Result<Plan, StoreError> {
    let mut plan = Plan::ALL;
    for Conjunct { target, bound } in filter.conjuncts() {
        let Target::Field(field) = target else { continue };
        match (field, bound) {
            (CertificateField::Serial, Bounds::Equal(Value::Text(text))) => {
                plan.exactly(text.parse().ok().map(CertificateSerial::as_u128));
            }
            (CertificateField::Serial, Bounds::Prefix(digits)) => match prefixed(digits) {
                Some((first, last)) => plan.within(first, last),
                None => plan.exactly(None),
            },
            (CertificateField::Device, Bounds::Equal(Value::Text(text))) => match text.parse() {
                Ok(device) => plan.device = Some(device),
                Err(_) => plan.exactly(None),
            },
            (CertificateField::Operator, Bounds::Equal(Value::Text(name))) => {
                let operator = load_named::<Operator>(&view.operators, name)?;
                let serial = operator.and_then(|operator| operator.certificate);
                plan.exactly(serial.map(CertificateSerial::as_u128));
            }
            (CertificateField::CreateTime, Bounds::Equal(Value::Timestamp(at))) => {
                plan.within(first_at(at), last_at(at));
            }
            (CertificateField::CreateTime, Bounds::Since(at)) => plan.within(first_at(at), u128::MAX),
            (CertificateField::CreateTime, Bounds::Until(at)) => plan.within(0, last_at(at)),
            (
                CertificateField::Serial
                | CertificateField::Device
                | CertificateField::Operator
                | CertificateField::CreateTime
                | CertificateField::Profile
                | CertificateField::State
                | CertificateField::Reason
                | CertificateField::Issuer
                | CertificateField::Key
                | CertificateField::NotBefore
                | CertificateField::NotAfter
                | CertificateField::RevokeTime,
                _,
            ) => {}
        }
    }
    Ok(plan)
}

fn first_at(at: Timestamp) -> u128 {
    CertificateSerial::first_at(at).as_u128()
}

/// The greatest serial of an instant.
fn last_at(at: Timestamp) -> u128 {
    CertificateSerial::new(at, u128::MAX).as_u128()
}

/// The serials that begin with these digits.
fn prefixed(digits: &str) -> Option<(u128, u128)> {
    let lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if digits.len() > SERIAL_DIGITS || !digits.bytes().all(lower) {
        return None;
    }
    let fill = |with: &str| {
        let rest = with.repeat(SERIAL_DIGITS - digits.len());
        u128::from_str_radix(&format!("{digits}{rest}"), 16).ok()
    };
    Some((fill("0")?, fill("f")?))
}

/// The serials of a plan behind `after`, ascending.
fn serials(view: &View, plan: Plan, after: Option<CertificateSerial>) -> Result<Serials<'_>, StoreError> {
    let (first, last) = plan.range;
    let from = match after.map(CertificateSerial::as_u128) {
        Some(after) if after >= first => Excluded(after),
        Some(_) | None => Included(first),
    };
    let (Excluded(start) | Included(start)) = from else {
        return Ok(Box::new(std::iter::empty()));
    };
    if start > last {
        return Ok(Box::new(std::iter::empty()));
    }
    Ok(match plan.device {
        Some(device) => {
            let id = device.as_u128();
            let range = (from.map(|serial| (id, serial)), Included((id, last)));
            let range = view.certificates_by_device.range(range)?;
            Box::new(range.map(|entry| Ok(entry?.0.value().1)))
        }
        None => {
            let range = view.certificates.range((from, Included(last)))?;
            Box::new(range.map(|entry| Ok(entry?.0.value())))
        }
    })
}
