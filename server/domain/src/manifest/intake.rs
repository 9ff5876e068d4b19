//! Valid row + what the registry has -> created, updated, unchanged or refused.
//!
//! One decision for the dry run and for the real import, taken inside the store's transaction.

use super::ValidRow;
use crate::device::Origin;
use crate::{Refusal, Timestamp, activation::CodeHash, catalog::Catalog, device::Device, ids::DeviceId};
use std::sync::Arc;

/// What a new device gets from outside.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// Its id.
    pub id: DeviceId,
    /// What we keep of its code.
    pub code: CodeHash,
    /// When the code ends.
    pub code_expires: Option<Timestamp>,
    /// File and row.
    pub origin: Origin,
    /// Now.
    pub now: Timestamp,
}

/// How a row ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// A new device.
    Created(Box<Device>),
    /// The device as it is after the update.
    Updated(Box<Device>),
    /// The device says the same already.
    Unchanged(DeviceId),
    /// No.
    Refused(Refusal),
}

/// The catalog as it was when the import started, with its profiles compiled.
#[derive(Debug)]
pub struct Intake {
    catalog: Arc<Catalog>,
}

/// Who holds the serial and the address of a row already.
#[derive(Debug, Clone, Copy)]
pub struct Holders<'a> {
    /// The device with the row's serial.
    pub serial: Option<&'a Device>,
    /// The device with the row's address.
    pub mac: Option<DeviceId>,
}

impl Intake {
    /// With the catalog as it is now.
    pub const fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    /// The catalog it was made with.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}
