//! What a watcher of devices is told of one that changed.

use crate::ids::DeviceId;
use std::collections::HashSet;

/// What became of a device, as a watcher sees it through its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new, or another than before, and matches.
    Matches,
    /// It does not match any more.
    Left,
    /// It is on no record any more.
    Gone,
}

/// What the registry has now of a device that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// One that the filter lets through.
    Matching,
    /// One that it does not.
    Other,
    /// None.
    Nothing,
}

/// The devices that a watcher has been told of, as far as they are remembered.
///
/// Who is told everything from the beginning never hears of what it does not know. Of any other watcher nobody knows what it
/// knows: it is told of every device that changes and does not match.
#[derive(Debug)]
pub struct Known {
    matching: HashSet<DeviceId>,
    /// What is not here, the watcher does not know.
    is_complete: bool,
    limit: usize,
}

impl Known {
    /// Of a watcher that knows nothing; remembered are `limit` devices at most.
    pub fn nothing(limit: usize) -> Self {
        Self {
            matching: HashSet::new(),
            is_complete: true,
            limit,
        }
    }

    /// Of a watcher that knows who knows what.
    pub fn anything() -> Self {
        Self {
            matching: HashSet::new(),
            is_complete: false,
            limit: 0,
        }
    }

    /// A device changed: what is there to tell?
    pub fn step(&mut self, device: DeviceId, sight: Sight) -> Option<Change> {
        let change = match sight {
            Sight::Matching => {
                self.remember(device);
                return Some(Change::Matches);
            }
            Sight::Other => Change::Left,
            Sight::Nothing => Change::Gone,
        };
        let was_known = self.matching.remove(&device);
        (was_known || !self.is_complete).then_some(change)
    }

    fn remember(&mut self, device: DeviceId) {
        if !self.is_complete {
            return;
        }
        self.matching.insert(device);
        if self.matching.len() > self.limit {
            *self = Self::anything();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGHTS: [Sight; 3] = [Sight::Matching, Sight::Other, Sight::Nothing];

    /// What a watcher has that does as it is told.
    fn follow(view: &mut HashSet<u128>, device: u128, told: Option<Change>) {
        match told {
            Some(Change::Matches) => drop(view.insert(device)),
            Some(Change::Left | Change::Gone) => drop(view.remove(&device)),
            None => {}
        }
    }

    proptest! {
        /// Whatever is remembered, who does as told has what matches; and who is remembered hears nothing in vain.
        #[test]
        fn who_follows_has_what_matches(
            steps in prop::collection::vec((0..8_u128, 0..3_usize), 0..60),
            limit in 0..8_usize,
            begins_with_nothing: bool,
        ) {
            let mut known = if begins_with_nothing { Known::nothing(limit) } else { Known::anything() };
            let (mut view, mut matching) = (HashSet::new(), HashSet::new());
            for (device, sight) in steps {
                let sight = SIGHTS[sight];
                let told = known.step(DeviceId::from_u128(device), sight);
                let in_vain = matches!(told, Some(Change::Left | Change::Gone)) && !view.contains(&device);
                prop_assert!(!in_vain || !known.is_complete);
                follow(&mut view, device, told);
                match sight {
                    Sight::Matching => drop(matching.insert(device)),
                    Sight::Other | Sight::Nothing => drop(matching.remove(&device)),
                }
                prop_assert_eq!(&view, &matching);
                prop_assert!(known.matching.len() <= limit);
            }
        }
    }
}
