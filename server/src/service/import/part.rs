//! Rows of the spool, made ready to commit: each with what a new device would get.

use super::{apply::Sources, check::Entry};
use crate::{ca::Ca, fault::Fault, random, service::OrFault as _, store::PartRow};
use muster_domain::{
    Timestamp,
    activation::{CodeHash, Seed},
    batch::{Slot, SlotOutcome},
    device::Origin,
    ids::{BatchId, DeviceId},
    manifest::{Fresh, FreshCredential},
};
use std::sync::Arc;

/// Rows of one part: one commit. Larger parts cost less a row and more memory (`anchors.md`: commits of tens of
/// thousands of rows).
pub(super) const PART: usize = 1 << 15;
/// Most rows of an all-or-nothing import, which is one part: its rows are in memory together.
pub(super) const WHOLE_LIMIT: usize = 1 << 18;

/// Makes the parts of one batch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) ca: Arc<Ca>,
    pub(super) batch: BatchId,
    /// When activation codes end.
    pub(super) expires: Option<Timestamp>,
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
    fn hash(&self, secrets: &Secrets, row: u32) -> CodeHash {
        let key = self.ca.code_key();
        match secrets {
            Secrets::Seed(seed) => key.code(seed, row).hash(key),
            // Never written, and the same for all: a plan does not depend on codes.
            Secrets::None => key.code(&Seed::from_bytes([0; 16]), 0).hash(key),
        }
    }

    /// The next part of the spool; `None` at its end. Blocks.
    pub(super) fn part(
        &self,
        sources: &mut Sources,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<Option<Made>, Fault> {
        let first = DeviceId::new(now, random::number().or_fault("make an id")?);
        let mut made = Made {
            first,
            rows: Vec::new(),
            settled: Vec::new(),
        };
        let nothing = self.hash(&Secrets::None, 0);
        while made.len() < self.rows {
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
                    made.settled.push((made.len(), slot));
                }
                Ok(valid) => {
                    let hash = match secrets {
                        Secrets::Seed(_) => self.hash(secrets, row),
                        Secrets::None => nothing,
                    };
                    let fresh = self.fresh(first, made.rows.len(), row, hash, now);
                    made.rows.push(PartRow {
                        row: valid,
                        fresh,
                        warnings,
                        expected,
                        certificate: None,
                        key: None,
                    });
                }
            }
        }
        Ok((made.len() > 0).then_some(made))
    }

    fn fresh(&self, first: DeviceId, place: usize, row: u32, hash: CodeHash, now: Timestamp) -> Fresh {
        Fresh {
            id: first.offset(u32::try_from(place).unwrap_or(u32::MAX)),
            credential: FreshCredential::Code {
                hash,
                expires: self.expires,
            },
            origin: Origin {
                batch: self.batch,
                row,
            },
            now,
        }
    }
}
