//! The devices of a change as somebody listed them: row by row, each with an answer of its own.

use crate::ids::DeviceId;
use serde::{Deserialize, Serialize};

/// Most rows of a list: as many as a change has targets where it is planned by a filter.
pub const LIST_LIMIT: u32 = 1_000_000;
/// Most rows that come at once.
pub const LIST_PART: usize = 10_000;
/// Longest text of a row, in bytes: no serial is longer, nor is the name of a device.
pub const LISTED_LIMIT: usize = 128;

/// How far the list of a change is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceList {
    /// Rows that its author announced: a change is planned when they are all there, so that no half of a list is taken for the whole.
    pub announced: u32,
    /// Rows that are there.
    pub rows: u32,
    /// Of these, as of the plan, rows that name no device.
    pub unknown: u32,
    /// Of these, as of the plan, rows that name a device which a row before them names.
    pub repeated: u32,
}

impl DeviceList {
    /// Of which nothing is there yet.
    pub fn of(announced: u32) -> Self {
        Self {
            announced,
            ..Self::default()
        }
    }

    /// Whether all of it is there.
    pub const fn is_whole(&self) -> bool {
        self.rows >= self.announced
    }
}

/// What a row names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listed {
    /// This device, for the first time.
    Device(DeviceId),
    /// A device that this row, before it, names too.
    Repeated(DeviceId, u32),
    /// No device; the text, to be looked for again when the change is planned.
    Unknown(String),
}

impl Listed {
    /// The device, if there is one.
    pub const fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Device(device) | Self::Repeated(device, _) => Some(*device),
            Self::Unknown(_) => None,
        }
    }
}

/// A device of a list, and the first row that names it.
pub type FirstRow = (DeviceId, u32);

/// The devices of a list, each with the first row that names it, in the order of their ids; and the rows that turned out to be
/// something else than they were taken for.
pub fn settled(rows: &[(u32, Listed)]) -> (Vec<FirstRow>, Vec<(u32, Listed)>) {
    let named = rows
        .iter()
        .filter_map(|(row, listed)| Some((listed.device()?, *row, listed)));
    let mut named: Vec<_> = named.collect();
    named.sort_unstable_by_key(|(device, row, _)| (*device, *row));
    let (mut devices, mut moved) = (Vec::new(), Vec::new());
    for run in named.chunk_by(|(a, ..), (b, ..)| a == b) {
        for (place, (device, row, was)) in run.iter().enumerate() {
            let is = match devices.last() {
                Some((_, first)) if place > 0 => Listed::Repeated(*device, *first),
                Some(_) | None => {
                    devices.push((*device, *row));
                    Listed::Device(*device)
                }
            };
            if is != **was {
                moved.push((*row, is));
            }
        }
    }
    moved.sort_unstable_by_key(|(row, _)| *row);
    (devices, moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    const fn id(number: u128) -> DeviceId {
        DeviceId::from_u128(number)
    }

    #[test]
    fn the_first_row_of_a_device_counts() {
        let rows = [
            (2, Listed::Device(id(9))),
            (3, Listed::Unknown("GW-1".into())),
            (5, Listed::Device(id(4))),
            (6, Listed::Device(id(9))),
            (7, Listed::Repeated(id(4), 5)),
        ];
        let (devices, moved) = settled(&rows);
        assert_eq!(devices, [(id(4), 5), (id(9), 2)]);
        assert_eq!(moved, [(6, Listed::Repeated(id(9), 2))]);
    }

    proptest! {
        /// Every device stands once, under its first row; and what was settled stays.
        #[test]
        fn a_list_is_settled_once(named in prop::collection::vec((0u128..20, any::<bool>()), 0..60)) {
            let rows: Vec<_> = (1..)
                .zip(&named)
                .map(|(row, (device, known))| match known {
                    true => (row, Listed::Device(id(*device))),
                    false => (row, Listed::Unknown(device.to_string())),
                })
                .collect();
            let (devices, moved) = settled(&rows);
            prop_assert!(devices.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for (device, first) in &devices {
                let found = rows.iter().find(|(_, listed)| listed.device() == Some(*device));
                prop_assert_eq!(found.unwrap().0, *first);
            }
            let mut after: BTreeMap<_, _> = rows.iter().cloned().collect();
            after.extend(moved);
            let after: Vec<_> = after.into_iter().collect();
            prop_assert_eq!(settled(&after), (devices, Vec::new()));
        }
    }
}
