//! Drift: what runs is compared with what was applied.

use super::{
    Applied,
    slot::{FILE_LIMIT, LOCATION, Slot, digest},
};
use crate::disk::{Disk, Name};
use muster_proto::payload::Facet;

/// How what runs differs from what was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) facet: Facet,
    pub(crate) reason: String,
}

/// Reads every applied file again, through the link that programs use. The first difference is told.
pub(crate) fn inspect(disk: &dyn Disk, applied: &Applied) -> Option<Drift> {
    let config = |reason: String| {
        Some(Drift {
            facet: Facet::Config,
            reason,
        })
    };
    let slot = match Slot::current(disk) {
        Ok(Some(slot)) => slot,
        Ok(None) => return config("current does not name a slot".into()),
        Err(error) => return config(format!("current cannot be read: {error}")),
    };
    applied.files.iter().find_map(|(name, expected)| {
        let facet = if name == LOCATION {
            Facet::Location
        } else {
            Facet::Config
        };
        let place = Name::parse(name).map(|name| slot.place().file(&name))?;
        let reason = match disk.read(&place, FILE_LIMIT) {
            Ok(Some(bytes)) if digest(&bytes) == *expected => return None,
            Ok(Some(_)) => format!("{name} was changed"),
            Ok(None) => format!("{name} is missing"),
            Err(error) => format!("{name} cannot be read: {error}"),
        };
        Some(Drift { facet, reason })
    })
}
