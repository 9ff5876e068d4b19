//! Who comes in which stage: a small stage is a small picture of the whole.
//!
//! Devices are taken in an order that mixes sites and models: each kind of device (a site and a model) is dealt out evenly over the
//! whole order, so that any beginning of it holds of each kind what it holds of the fleet. Where in a kind a device stands comes
//! from a hash of its id and the change, never from its age: the oldest devices are not always the first to try something.

use super::Stage;
use crate::ids::{ChangeId, DeviceId};
use sha2::{Digest as _, Sha256};

/// A device to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub device: DeviceId,
    /// Its site and model, as a number that both have in common with others of their kind.
    pub kind: u32,
}

/// The same for a device and a change at any time, and another for another change.
fn shuffle(change: ChangeId, device: DeviceId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(change.as_u128().to_le_bytes());
    hash.update(device.as_u128().to_le_bytes());
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The candidates in the order in which they are taken.
fn order(change: ChangeId, candidates: &[Candidate]) -> Vec<u32> {
    let keys: Vec<u64> = candidates.iter().map(|one| shuffle(change, one.device)).collect();
    let places = 0..u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
    let kind = |place: u32| candidates.get(at(place)).map_or(0, |one| one.kind);
    let key = |place: u32| keys.get(at(place)).copied().unwrap_or(0);
    let mut by_kind: Vec<u32> = places.collect();
    by_kind.sort_unstable_by_key(|&place| (kind(place), key(place)));
    // Within its kind of `size`, the `rank`-th stands at (rank + offset) / size of the way, the offset being the kind's own.
    let mut stands: Vec<(u64, u32)> = Vec::with_capacity(by_kind.len());
    for run in by_kind.chunk_by(|&a, &b| kind(a) == kind(b)) {
        let size = run.len() as u128;
        let offset = u128::from(run.first().map_or(0, |&first| key(first).rotate_left(32)));
        for (rank, &place) in run.iter().enumerate() {
            let way = ((rank as u128) << 64 | offset) / size;
            stands.push((u64::try_from(way).unwrap_or(u64::MAX), place));
        }
    }
    stands.sort_unstable_by_key(|&(way, place)| (way, key(place)));
    stands.into_iter().map(|(_, place)| place).collect()
}

/// How many targets each stage takes of `whole`; the last one takes what is left, and stages that come to nothing stay empty.
pub fn sizes(stages: &[Stage], whole: u32) -> Vec<u32> {
    let mut left = whole;
    let take = |stage: &Stage| {
        let size = stage.size.map_or(left, |share| share.of(whole)).min(left);
        left -= size;
        size
    };
    stages.iter().map(take).collect()
}

/// The stage of each candidate, in their order.
pub fn spread(change: ChangeId, candidates: &[Candidate], stages: &[Stage]) -> Vec<u16> {
    let whole = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    let mut placed = vec![0; candidates.len()];
    let mut order = order(change, candidates).into_iter();
    for (stage, size) in (0..).zip(sizes(stages, whole)) {
        for place in order.by_ref().take(usize::try_from(size).unwrap_or(0)) {
            if let Some(slot) = usize::try_from(place)
                .ok()
                .and_then(|place| placed.get_mut(place))
            {
                *slot = stage;
            }
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Share, Strategy};
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    const CHANGE: ChangeId = ChangeId::from_u128(9);

    fn stages(sizes: &[Option<Share>]) -> Vec<Stage> {
        let like = Strategy::default().stages.remove(0);
        sizes
            .iter()
            .map(|size| Stage {
                size: *size,
                ..like.clone()
            })
            .collect()
    }

    fn fleet(kinds: &[u32]) -> Vec<Candidate> {
        (1..)
            .zip(kinds)
            .map(|(id, &kind)| Candidate {
                device: DeviceId::from_u128(id),
                kind,
            })
            .collect()
    }

    #[test]
    fn a_stage_is_a_picture_of_the_fleet() {
        // 70 % of one kind, 20 % and 9 % of others, and a handful of a last one.
        let kind = |place: u32| match place % 1000 {
            0..700 => 0,
            700..900 => 1,
            900..990 => 2,
            _ => 3,
        };
        let fleet = fleet(&(0..100_000).map(kind).collect::<Vec<_>>());
        let stages = stages(&[Some(Share::Count(1000)), Some(Share::PerMille(100)), None]);
        let placed = spread(CHANGE, &fleet, &stages);
        for (stage, size) in [(0, 1000u32), (1, 10_000), (2, 89_000)] {
            let mut kinds = BTreeMap::new();
            for (one, _) in fleet.iter().zip(&placed).filter(|(_, placed)| **placed == stage) {
                *kinds.entry(one.kind).or_insert(0u32) += 1;
            }
            for (kind, share) in [(0, 700), (1, 200), (2, 90), (3, 10)] {
                let expected = size * share / 1000;
                assert!(kinds[&kind].abs_diff(expected) <= 2, "stage {stage}: {kinds:?}");
            }
            assert_eq!(kinds.values().sum::<u32>(), size);
        }
    }

    #[test]
    fn another_change_begins_with_others() {
        let fleet = fleet(&[0; 10_000]);
        let stages = stages(&[Some(Share::Count(100)), None]);
        let first = |change| -> Vec<usize> {
            let placed = spread(ChangeId::from_u128(change), &fleet, &stages);
            (0..fleet.len()).filter(|&place| placed[place] == 0).collect()
        };
        let (one, other) = (first(1), first(2));
        assert_eq!(one, first(1));
        let both = one.iter().filter(|place| other.contains(place)).count();
        assert!(both < 10, "{both} of 100 are first in both");
        // Not the oldest: of the first tenth of all ids there are about as many as of any other.
        let old = one.iter().filter(|place| **place < 1000).count();
        assert!((2..=25).contains(&old), "{old} of 100 are of the oldest tenth");
    }

    #[test]
    fn stages_of_few_are_filled_in_order() {
        let sizes_of = |shares: &[Option<Share>], whole| sizes(&stages(shares), whole);
        let usual = [
            Some(Share::PerMille(1)),
            Some(Share::PerMille(10)),
            Some(Share::PerMille(100)),
            None,
        ];
        assert_eq!(sizes_of(&usual, 100_000), [100, 1000, 10_000, 88_900]);
        assert_eq!(sizes_of(&usual, 5), [1, 1, 1, 2]);
        assert_eq!(sizes_of(&usual, 2), [1, 1, 0, 0]);
        assert_eq!(sizes_of(&[Some(Share::Count(9)), None], 4), [4, 0]);
        assert_eq!(sizes_of(&[None], 0), [0]);
    }

    proptest! {
        /// Whatever the fleet: every target has one stage, and stages have the sizes that they should.
        #[test]
        fn every_target_has_its_stage(kinds in prop::collection::vec(0u32..5, 0..300), count in 0u32..400, part in 1u16..=1000) {
            let stages = stages(&[Some(Share::Count(count)), Some(Share::PerMille(part)), None]);
            let fleet = fleet(&kinds);
            let placed = spread(CHANGE, &fleet, &stages);
            let whole = u32::try_from(fleet.len()).unwrap();
            for (stage, size) in (0..).zip(sizes(&stages, whole)) {
                prop_assert_eq!(u32::try_from(placed.iter().filter(|placed| **placed == stage).count()).unwrap(), size);
            }
            // And it does not depend on the order in which devices are found.
            let mut reversed = fleet.clone();
            reversed.reverse();
            let mut again = spread(CHANGE, &reversed, &stages);
            again.reverse();
            prop_assert_eq!(again, placed);
        }
    }
}
