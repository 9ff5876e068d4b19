//! Does everything that must hold, hold?

use super::{
    Store, catalog, certificates, counts,
    counts::{Count, Deltas},
    index::{state_key, verification_key},
    record::{Record as _, load, load_named},
    registry, secrets,
    tables::View,
};
use crate::store::{Counts, StoreError};
use muster_domain::{
    access::Operator,
    audit::{Entry, leaf_hash},
    certificate::{CertificateHolder, CertificateRecord, CertificateState},
    device::{Device, Presence},
    ids::{BatchId, DeviceId},
};
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use std::collections::BTreeMap;

/// Most problems reported; a store with more is not mended by reading on.
const PROBLEM_LIMIT: usize = 100;

impl Store {
    /// Walks everything on record and names what is broken: the invariants I1 to I6 and I8 of the design, every
    /// index in both directions, the counts. Reads the whole store; for tests, drills and doubts.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|txn| {
            let view = View::open(txn)?;
            let mut check = Check {
                view: &view,
                problems: Vec::new(),
                expected: Expected::default(),
            };
            let format = registry::format(&view.registry)?;
            check.expect(format == Some(registry::FORMAT), || {
                format!("the format is {format:?}")
            });
            // Loading checks every resource again.
            let catalog = catalog::load(&view)?;
            for problem in secrets::problems(&catalog) {
                check.expect(false, || problem);
            }
            check.devices()?;
            check.sizes()?;
            check.presence()?;
            check.certificates()?;
            check.batches()?;
            check.changes()?;
            check.operators()?;
            check.audit()?;
            Ok(check.problems)
        })
        .await
    }
}

pub(super) struct Check<'v> {
    pub(super) view: &'v View,
    problems: Vec<String>,
    pub(super) expected: Expected,
}

/// What the devices on record make every other table hold. An index that has an entry for each device, and no more
/// entries than that, is right in both directions.
#[derive(Default)]
pub(super) struct Expected {
    counts: Deltas,
    macs: u64,
    sites: u64,
    groups: u64,
    keys: u64,
    identities: u64,
    pub(super) batches: BTreeMap<BatchId, u64>,
}

impl Check<'_> {
    pub(super) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.problems.len() < PROBLEM_LIMIT {
            self.problems.push(what());
        }
    }

    fn devices(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        for entry in view.devices.iter()? {
            let (key, value) = entry?;
            let device = Device::from_guard(value)?;
            let id = key.value();
            self.expect(device.id.as_u128() == id, || {
                format!("{} stands under another id", device.id)
            });
            self.indexed(&device)?;
            self.identity(&device)?;
            Count::of(&device).for_each(|count| self.expected.counts.add(count, 1));
            *self.expected.batches.entry(device.origin.batch).or_default() += 1;
        }
        Ok(())
    }

    fn indexed(&mut self, device: &Device) -> Result<(), StoreError> {
        let (view, id) = (self.view, device.id.as_u128());
        let holder = view.serials.get(device.serial.as_str())?.map(|id| id.value());
        self.expect(holder == Some(id), || format!("{}: serial index", device.id));
        if let Some(mac) = device.mac {
            self.expected.macs += 1;
            let holder = view.macs.get(mac.key())?.map(|id| id.value());
            self.expect(holder == Some(id), || format!("{}: address index", device.id));
        }
        if let Some(site) = &device.site {
            self.expected.sites += 1;
            let indexed = view.by_site.get((site.as_str(), id))?.is_some();
            self.expect(indexed, || format!("{}: site index", device.id));
        }
        for group in &device.groups {
            self.expected.groups += 1;
            let indexed = view.by_group.get((group.as_str(), id))?.is_some();
            let is_there = view.groups.get(group.as_str())?.is_some();
            self.expect(indexed && is_there, || format!("{}: group index", device.id));
        }
        let state = state_key(device.lifecycle.state());
        let verification = verification_key(device.verification.state());
        let grouped = [
            ("model", view.by_model.get((device.model.as_str(), id))?.is_some()),
            ("state", view.by_state.get((state, id))?.is_some()),
            (
                "verification",
                view.by_verification.get((verification, id))?.is_some(),
            ),
            (
                "batch",
                view.by_batch.get((device.origin.batch.as_u128(), id))?.is_some(),
            ),
        ];
        for (name, indexed) in grouped {
            self.expect(indexed, || format!("{}: {name} index", device.id));
        }
        Ok(())
    }

    /// I1, I3, I6: the standing of a device and the records of its certificates tell the same story.
    fn identity(&mut self, device: &Device) -> Result<(), StoreError> {
        let view = self.view;
        for spki in device.lifecycle.keys() {
            self.expected.keys += 1;
            let holder = view.keys.get(&spki.0)?.map(|id| id.value());
            self.expect(holder == Some(device.id.as_u128()), || {
                format!("{}: key index", device.id)
            });
        }
        for held in device.lifecycle.held() {
            self.expected.identities += u64::from(held.is_signed);
            let state = if held.is_signed {
                CertificateState::Current
            } else {
                CertificateState::Intended
            };
            let record = load::<CertificateRecord>(&view.certificates, held.serial.as_u128())?;
            let fits = record.is_some_and(|record| {
                (record.holder.device(), record.spki, record.state) == (Some(device.id), held.spki, state)
            });
            let serial = held.serial;
            self.expect(fits, || {
                format!("{}: no {state:?} certificate {serial} with its key", device.id)
            });
        }
        Ok(())
    }

    fn sizes(&mut self) -> Result<(), StoreError> {
        let (view, devices) = (self.view, self.view.devices.len()?);
        let sizes = [
            ("serial index", view.serials.len()?, devices),
            ("address index", view.macs.len()?, self.expected.macs),
            ("model index", view.by_model.len()?, devices),
            ("site index", view.by_site.len()?, self.expected.sites),
            ("group index", view.by_group.len()?, self.expected.groups),
            ("state index", view.by_state.len()?, devices),
            ("verification index", view.by_verification.len()?, devices),
            ("batch index", view.by_batch.len()?, devices),
            ("key index", view.keys.len()?, self.expected.keys),
        ];
        for (name, found, expected) in sizes {
            self.expect(found == expected, || {
                format!("{name} has {found} entries, not {expected}")
            });
        }
        let mut recounted = Counts::default();
        self.expected.counts.apply(&mut recounted);
        let kept = counts::load(&view.counts)?;
        self.expect(kept == recounted, || {
            format!("counts are {kept:?}, not {recounted:?}")
        });
        Ok(())
    }

    /// Nothing is known of connections of devices that are not there.
    fn presence(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        for entry in view.presence.iter()? {
            let (id, value) = entry?;
            Presence::from_guard(value)?;
            let registered = view.devices.get(id.value())?.is_some();
            self.expect(registered, || {
                format!("{}: presence of no device", DeviceId::from_u128(id.value()))
            });
        }
        Ok(())
    }

    /// I1 and I3 from the other side: every certificate is some device's, and every current one is held.
    fn certificates(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        let (mut current, mut listed, mut owned) = (0, 0, 0);
        for entry in view.certificates.iter()? {
            let (key, value) = entry?;
            let record = CertificateRecord::from_guard(value)?;
            let serial = record.serial;
            self.expect(serial.as_u128() == key.value(), || {
                format!("certificate {serial} stands under another serial")
            });
            // What an undone import issued stays known as revoked.
            let revoked = matches!(record.state, CertificateState::Revoked { .. });
            let held = revoked
                || match &record.holder {
                    CertificateHolder::Device(id) => view.devices.get(id.as_u128())?.is_some(),
                    CertificateHolder::Operator(name) => view.operators.get(name.as_str())?.is_some(),
                };
            self.expect(held, || format!("certificate {serial} is of nobody"));
            if let Some((authority, shard, serial)) = certificates::listed(&record) {
                let indexed = view.revoked.get((&authority, shard, serial))?.is_some();
                listed += u64::from(indexed);
                // What ended before the last list was made need not be there.
                let last = view
                    .lists
                    .get((&authority, shard))?
                    .map_or(0, |list| list.value().1);
                self.expect(indexed || record.not_after.millis() < last, || {
                    format!("certificate {}: revocation index", record.serial)
                });
            }
            if let Some(device) = record.holder.device() {
                owned += 1;
                let place = (device.as_u128(), serial.as_u128());
                let indexed = view.certificates_by_device.get(place)?.is_some();
                self.expect(indexed, || format!("certificate {serial}: device index"));
            }
            let signed = !record.der.is_empty();
            match record.state {
                CertificateState::Intended => {
                    self.expect(!signed, || format!("certificate {serial} is intended and signed"));
                }
                CertificateState::Current => {
                    current += u64::from(record.holder.device().is_some());
                    self.expect(signed, || {
                        format!("certificate {serial} is current and not signed")
                    });
                }
                CertificateState::Revoked { .. } => {}
            }
        }
        let sizes = (view.revoked.len()?, view.certificates_by_device.len()?);
        self.expect(sizes == (listed, owned), || {
            format!(
                "indexes of certificates have {sizes:?} entries, not {:?}",
                (listed, owned)
            )
        });
        let lists = (view.lists.len()?, view.list_bytes.len()?);
        self.expect(lists.0 == lists.1, || {
            format!("revocation lists and their bytes: {lists:?}")
        });
        let held = self.expected.identities;
        self.expect(current == held, || {
            format!("{current} certificates of devices are current, devices hold {held}")
        });
        Ok(())
    }

    fn operators(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        for entry in view.operators.iter()? {
            let operator = Operator::from_guard(entry?.1)?;
            let Some(serial) = operator.certificate else {
                continue;
            };
            let record = load::<CertificateRecord>(&view.certificates, serial.as_u128())?;
            let fits = record.is_some_and(|record| {
                let is_current = record.state == CertificateState::Current;
                let holder = CertificateHolder::Operator(operator.name.clone());
                (record.holder, record.spki, is_current) == (holder, operator.key, operator.enabled)
            });
            self.expect(fits, || {
                format!(
                    "operator {}: certificate {serial} tells another story",
                    operator.name
                )
            });
        }
        for entry in view.operator_keys.iter()? {
            let (key, name) = entry?;
            let operator = load_named::<Operator>(&view.operators, name.value())?;
            let fits = operator.is_some_and(|operator| operator.key.0 == *key.value());
            self.expect(fits, || format!("operator {}: key index", name.value()));
        }
        let sizes = (view.operators.len()?, view.operator_keys.len()?);
        self.expect(sizes.0 == sizes.1, || {
            format!("operators and their keys: {sizes:?}")
        });
        Ok(())
    }

    /// I5: contiguous, and every hash is of its leaf.
    fn audit(&mut self) -> Result<(), StoreError> {
        for (expected, entry) in (0..).zip(self.view.audit.iter()?) {
            let (index, value) = entry?;
            let entry = Entry::from_guard(value)?;
            let placed = index.value() == expected && entry.index == expected;
            self.expect(placed, || format!("audit entry {expected} is missing"));
            self.expect(entry.hash == leaf_hash(&entry.leaf), || {
                format!("audit entry {expected} was changed")
            });
        }
        Ok(())
    }
}
