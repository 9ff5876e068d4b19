//! The plan of a batch, by name: a hash of what would become of each row.
//!
//! Two plans have the same hash when applying them would do the same: ids and codes made on the way do not count, nor does time.
//! What a row would find does: an update of a device that changed since is another plan.

use super::{BatchSpec, KeyFormat};
use crate::{Refusal, device::Device, manifest::Problem};
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanHash(pub [u8; 32]);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanHash({self})")
    }
}

/// What would become of one row: the first half of a SHA-256, short enough to keep one for each of ten million rows,
/// and too long to meet by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowDigest([u8; 16]);

/// Fields into a hash, each with its length before it, so that no two lists of fields give the same bytes.
#[derive(Debug)]
pub(crate) struct Fields(Sha256);

impl Fields {
    pub(crate) fn new(what: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.add(what.as_bytes());
        fields
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.add(&number.to_le_bytes())
    }

    pub(crate) fn plan(self) -> PlanHash {
        PlanHash(self.0.finalize().into())
    }

    fn row(self) -> RowDigest {
        let full: [u8; 32] = self.0.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        RowDigest(half)
    }
}

impl RowDigest {
    /// A row that makes this device; its id and its code are not part of the plan.
    pub fn created(row: u32, device: &Device) -> Self {
        let mut fields = Fields::new("created");
        fields.number(row.into()).add(device.serial.as_str().as_bytes());
        fields
            .add(&super::ValuesDigest::of(device).0)
            .add(&device.target.digest);
        fields.row()
    }

    /// A row that makes `after` of `before`.
    pub fn updated(row: u32, before: &Device, after: &Device, changes: &[String]) -> Self {
        let mut fields = Fields::new("updated");
        fields.number(row.into()).add(&before.id.as_u128().to_le_bytes());
        fields
            .number(before.revision)
            .add(&super::ValuesDigest::of(after).0);
        fields.add(&after.target.digest);
        for change in changes {
            fields.add(change.as_bytes());
        }
        fields.row()
    }

    /// A row that says what this device is already.
    pub fn unchanged(row: u32, device: &Device) -> Self {
        let mut fields = Fields::new("unchanged");
        fields.number(row.into()).add(&device.id.as_u128().to_le_bytes());
        fields.number(device.revision);
        fields.row()
    }

    /// A row that is refused, for these reasons.
    pub fn refused(row: u32, problems: &[Problem]) -> Self {
        let mut fields = Fields::new("refused");
        fields.number(row.into());
        for Problem {
            refusal: Refusal { code, field, .. },
            ..
        } in problems
        {
            fields.number(code.number().into()).add(field.as_bytes());
        }
        fields.row()
    }
}

/// Gathers a plan, row by row in the order of the file.
#[derive(Debug, Clone)]
pub struct PlanHasher(Sha256);

impl PlanHasher {
    /// A plan for a file with these options. `mapping` is what is used to read it, in full: its name does not matter.
    pub fn new(spec: &BatchSpec, file_sha256: &[u8; 32], mapping: &[u8]) -> Self {
        let mut fields = Fields::new("muster plan v1");
        fields.add(file_sha256).add(mapping);
        fields.add(spec.sheet.as_bytes()).number(spec.header_row.into());
        fields.add(spec.record_path.as_bytes());
        fields.number(spec.signers.len() as u64);
        for signer in &spec.signers {
            fields.add(signer);
        }
        let model = spec.default_model.as_ref().map_or("", |model| model.as_str());
        fields.add(model.as_bytes()).number(spec.all_or_nothing.into());
        fields.number(match spec.writes {
            crate::manifest::Writes::CreateOrUpdate => 0,
            crate::manifest::Writes::CreateOnly => 1,
            crate::manifest::Writes::UpdateOnly => 2,
        });
        fields.number(spec.update_mask.len() as u64);
        for path in &spec.update_mask {
            fields.add(path.as_bytes());
        }
        fields.number(match spec.credential {
            super::CredentialKind::Code => 0,
            super::CredentialKind::Csr => 1,
            super::CredentialKind::Key => 2,
            super::CredentialKind::Pinned => 3,
        });
        fields.number(spec.code_ttl.as_secs());
        fields.number(match spec.key_format {
            KeyFormat::Pem => 0,
            KeyFormat::Pkcs12 => 1,
        });
        fields.add(spec.key_recipient.as_bytes());
        Self(fields.0)
    }

    /// The next row.
    pub fn row(&mut self, digest: RowDigest) {
        self.0.update(digest.0);
    }

    /// The plan as a whole.
    pub fn finish(self) -> PlanHash {
        PlanHash(self.0.finalize().into())
    }
}
