//! Rows of the spool, made ready to commit: each with what a new device would get.

use super::{
    apply::Sources,
    check::Entry,
    issue::{Deciding, Issuing, Waiting},
};
use crate::{ca::Ca, fault::Fault, live::Live, random, service::OrFault as _, store::PartRow};
use muster_domain::{
    Timestamp,
    activation::Seed,
    batch::{BatchSpec, CredentialKind, Slot, SlotOutcome},
    device::Origin,
    ids::{BatchId, DeviceId},
    manifest::{Fresh, FreshCredential},
};
use std::sync::Arc;

/// Rows of one part: one commit. Larger parts cost less a row and more memory (`anchors.md`: commits of tens of
/// thousands of rows).
pub(super) const PLAN_PART: usize = PART;
const PART: usize = 1 << 15;
/// Rows after which room for a whole part is made: they are large, and a list that grows copies them again and again.
const FEW: usize = 1 << 10;
/// Most rows of an all-or-nothing import, which is one part: its rows are in memory together.
const WHOLE_LIMIT: usize = 1 << 18;
/// The same where every row has a certificate, of a kilobyte, and perhaps a sealed key of another.
const CERTIFIED_PART: usize = 1 << 13;
const CERTIFIED_WHOLE_LIMIT: usize = 1 << 16;

/// Most rows of a part of a batch: all of them, if it must be applied as a whole.
pub(super) const fn rows_of_part(spec: &BatchSpec) -> usize {
    match (spec.credential, spec.all_or_nothing) {
        (CredentialKind::Code, true) => WHOLE_LIMIT,
        (CredentialKind::Code, false) => PART,
        (CredentialKind::Csr | CredentialKind::Key | CredentialKind::Pinned, true) => CERTIFIED_WHOLE_LIMIT,
        (CredentialKind::Csr | CredentialKind::Key | CredentialKind::Pinned, false) => CERTIFIED_PART,
    }
}

/// Makes the parts of one batch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Maker {
    /// Each part is signed by the authority of its time.
    pub(super) ca: Live<Ca>,
    pub(super) batch: BatchId,
    pub(super) issuing: Issuing,
    pub(super) deciding: Arc<Deciding>,
    /// Most rows of a part.
    pub(super) rows: usize,
}

/// Rows ready to commit.
pub(super) struct Made {
    pub(super) first: DeviceId,
    pub(super) rows: Vec<PartRow>,
    /// Rows whose outcome is known, by their place among all rows of the part.
    pub(super) settled: Vec<(usize, Slot)>,
}

impl Made {
    /// All rows of the part.
    pub(super) const fn len(&self) -> usize {
        self.rows.len() + self.settled.len()
    }
}

/// What new devices get their codes from.
pub(super) enum Secrets {
    /// The seed of the part.
    Seed(Seed),
    /// A plan makes no codes.
    None,
}

impl Maker {
    /// The next part of the spool; `None` at its end. Blocks.
    pub(super) fn part(
        &self,
        sources: &mut Sources,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<Option<Made>, Fault> {
        let ca = self.ca.current();
        let first = DeviceId::new(now, random::number().or_fault("make an id")?);
        let mut made = Made {
            first,
            rows: Vec::new(),
            settled: Vec::new(),
        };
        let mut waiting = Vec::new();
        while made.settled.len() + waiting.len() < self.rows {
            let Some(entry) = sources.spool.next().or_fault("read a spool")? else {
                break;
            };
            let expected = match &mut sources.planned {
                Some(planned) => planned.next().or_fault("read a plan")?.map(|row| row.digest),
                None => None,
            };
            let settled = match &mut sources.refused {
                Some(refused) => refused.settled(&entry)?,
                None => None,
            };
            let Entry {
                row,
                outcome,
                warnings,
                key,
            } = entry;
            let outcome = match (settled, outcome) {
                (Some(settled), _) => Err(settled),
                (None, Err(problems)) => Err(SlotOutcome::Refused(problems)),
                (None, Ok(valid)) => Ok(valid),
            };
            match outcome {
                Err(outcome) => {
                    let slot = Slot {
                        row,
                        outcome,
                        warnings,
                    };
                    made.settled.push((made.settled.len() + waiting.len(), slot));
                }
                Ok(valid) => {
                    let profile = self.deciding.intake.certificate_profile(&valid.row.model);
                    let credential = self
                        .issuing
                        .credential(&ca, secrets, row, key.as_ref(), profile, now);
                    let fresh = self.fresh(first, waiting.len(), row, credential, now);
                    let row = PartRow {
                        row: valid,
                        fresh,
                        warnings,
                        expected,
                        certificate: None,
                        key: None,
                    };
                    if waiting.len() == FEW {
                        waiting.reserve_exact(self.rows.min(PART).saturating_sub(FEW));
                    }
                    waiting.push(Waiting::new(row, key));
                }
            }
        }
        match secrets {
            Secrets::Seed(_) => self.issuing.issue(&ca, &self.deciding, &mut waiting, now)?,
            Secrets::None => {}
        }
        made.rows = waiting.into_iter().map(|waiting| waiting.row).collect();
        Ok((made.len() > 0).then_some(made))
    }

    fn fresh(
        &self,
        first: DeviceId,
        place: usize,
        row: u32,
        credential: FreshCredential,
        now: Timestamp,
    ) -> Fresh {
        Fresh {
            id: first.offset(u32::try_from(place).unwrap_or(u32::MAX)),
            credential,
            origin: Origin {
                batch: self.batch,
                row,
            },
            now,
        }
    }
}
