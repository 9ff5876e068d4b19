//! Every certificate on record, looked at again: is it what its record, its profile and its issuer say?

use crate::{
    ca::{Ca, Defect, certificate_validity, spki_digest},
    store::{KnownCertificate, Store, StoreError},
};
use muster_domain::certificate::{CertificateHolder, CertificateRecord, CertificateSerial, CertificateState};
use std::{sync::Arc, thread};

/// Records read and looked at together: some megabytes.
const STEP: usize = 4096;
/// Most problems reported; a registry with more is not mended by reading on.
const PROBLEM_LIMIT: usize = 1000;

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CheckedCertificates {
    /// Certificates of our authorities that were verified.
    pub ours: u64,
    /// Certificates of other authorities, held against their records.
    pub foreign: u64,
    /// Records whose certificate is not signed yet, or never was.
    pub unsigned: u64,
    /// What is wrong, each with its serial.
    pub problems: Vec<String>,
}

impl CheckedCertificates {
    fn add(&mut self, other: Self) {
        self.ours += other.ours;
        self.foreign += other.foreign;
        self.unsigned += other.unsigned;
        let room = PROBLEM_LIMIT.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
    }

    fn problem(&mut self, serial: CertificateSerial, why: impl std::fmt::Display) {
        self.problems.push(format!("certificate {serial}: {why}"));
    }
}

/// Verifies all of them, on all cores.
///
/// # Errors
///
/// The store cannot be read.
pub async fn certificates(store: &Store, ca: Arc<Ca>) -> Result<CheckedCertificates, StoreError> {
    let mut checked = CheckedCertificates::default();
    let mut after = None;
    loop {
        let some = store.known_certificates(after, STEP).await?;
        let Some(last) = some.last() else {
            return Ok(checked);
        };
        after = Some(last.record.serial);
        let ca = Arc::clone(&ca);
        let found = tokio::task::spawn_blocking(move || on_all_cores(&ca, &some)).await;
        checked.add(found.map_err(|_| StoreError::Panicked)?);
    }
}

fn on_all_cores(ca: &Ca, all: &[KnownCertificate]) -> CheckedCertificates {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = all.len().div_ceil(cores).max(1);
    let mut checked = CheckedCertificates::default();
    thread::scope(|scope| {
        let shares: Vec<_> = all
            .chunks(share)
            .map(|some| scope.spawn(move || share_of(ca, some)))
            .collect();
        for (share, some) in shares.into_iter().zip(all.chunks(share)) {
            match share.join() {
                Ok(found) => checked.add(found),
                Err(_) => checked
                    .problems
                    .push(format!("{} certificates made a check panic", some.len())),
            }
        }
    });
    checked
}

fn share_of(ca: &Ca, some: &[KnownCertificate]) -> CheckedCertificates {
    let mut checked = CheckedCertificates::default();
    some.iter().for_each(|known| checked.add(check(ca, known)));
    checked
}

fn check(ca: &Ca, known: &KnownCertificate) -> CheckedCertificates {
    let mut checked = CheckedCertificates::default();
    let record = &known.record;
    let serial = record.serial;
    if known.key != serial {
        checked.problem(serial, format_args!("it stands under {}", known.key));
    }
    if record.der.is_empty() {
        checked.unsigned += 1;
        if record.state == CertificateState::Current {
            checked.problem(serial, "it is current and not signed");
        }
        return checked;
    }
    match verdict(ca, known) {
        Verdict::Ours(Ok(())) => checked.ours += 1,
        Verdict::Ours(Err(defect)) => {
            checked.ours += 1;
            checked.problem(serial, defect);
        }
        Verdict::Foreign(fits) => {
            checked.foreign += 1;
            if !fits {
                checked.problem(serial, "its key or validity are not those of its record");
            }
        }
    }
    checked
}

enum Verdict {
    Ours(Result<(), Defect>),
    /// Of another authority: whether it is what its record says.
    Foreign(bool),
}

fn verdict(ca: &Ca, known: &KnownCertificate) -> Verdict {
    let record = &known.record;
    let inspected = match (&record.holder, &known.device_serial) {
        // The device is gone with its import, so the name in its certificate cannot be held against anything.
        (CertificateHolder::Device(_), None) => return Verdict::Foreign(fits(record)),
        (_, device) => ca.inspect(record, device.as_ref()),
    };
    match (record.issuer, inspected) {
        // One that its maker signed, or ours from before issuers were recorded.
        (None, Err(_)) => Verdict::Foreign(fits(record)),
        (_, inspected) => Verdict::Ours(inspected),
    }
}

fn fits(record: &CertificateRecord) -> bool {
    let key = spki_digest(&record.der).ok();
    let validity = certificate_validity(&record.der).ok();
    key == Some(record.spki) && validity == Some((record.not_before, record.not_after))
}
