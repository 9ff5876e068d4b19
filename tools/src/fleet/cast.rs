//! Who is who in a simulated fleet: chosen by a seed, exactly as many as asked for.

use super::expect::share;
use muster_proto::v1;

/// Of those that are there, one in so many can apply a bad revision.
const GOOD_OF_BAD: u32 = 50;

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What it is told.
    Healthy,
    /// It cannot apply the new revision.
    Failing,
    /// It is not there until all is over.
    Offline,
}

/// The roles of all devices, by their place in the manifest.
#[derive(Debug)]
pub(super) struct Cast {
    roles: Vec<Role>,
}

/// SplitMix64 (Steele, Lea, Flood 2014) of a seed and a number.
const fn mixed(seed: u64, number: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Cast {
    /// So many of each. With a bad revision nearly all of those that are there are failing.
    pub(super) fn new(devices: u32, failing: v1::Share, offline: v1::Share, bad: bool, seed: u64) -> Self {
        let offline = share(offline).of(devices);
        let there = devices - offline;
        let failing = if bad {
            there - there / GOOD_OF_BAD
        } else {
            share(failing).of(devices).min(there)
        };
        let mut order: Vec<u32> = (0..devices).collect();
        order.sort_by_key(|place| mixed(seed, u64::from(*place)));
        let mut roles = vec![Role::Healthy; order.len()];
        let chosen = [(Role::Offline, offline), (Role::Failing, failing)];
        let chosen = chosen
            .into_iter()
            .flat_map(|(role, count)| (0..count).map(move |_| role));
        for (place, role) in order.into_iter().zip(chosen) {
            if let Some(cast) = super::index(place).ok().and_then(|place| roles.get_mut(place)) {
                *cast = role;
            }
        }
        Self { roles }
    }

    pub(super) fn size(&self) -> u32 {
        u32::try_from(self.roles.len()).unwrap_or(u32::MAX)
    }

    /// Of a place; whoever is no device is not there.
    pub(super) fn role(&self, place: u32) -> Role {
        let role = super::index(place).ok().and_then(|place| self.roles.get(place));
        role.copied().unwrap_or(Role::Offline)
    }

    fn of(&self, wanted: impl Fn(Role) -> bool) -> Vec<u32> {
        (0..)
            .zip(&self.roles)
            .filter(|(_, role)| wanted(**role))
            .map(|(place, _)| place)
            .collect()
    }

    /// Those that are there during the change.
    pub(super) fn present(&self) -> Vec<u32> {
        self.of(|role| role != Role::Offline)
    }

    /// Those that come late.
    pub(super) fn absent(&self) -> Vec<u32> {
        self.of(|role| role == Role::Offline)
    }

    /// How many cannot apply the new revision.
    pub(super) fn failing(&self) -> u32 {
        let failing = self.of(|role| role == Role::Failing).len();
        u32::try_from(failing).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::share::Share;

    fn cast(devices: u32, bad: bool, seed: u64) -> Cast {
        let per_mille = |part| v1::Share {
            share: Some(Share::PerMille(part)),
        };
        Cast::new(devices, per_mille(20), per_mille(50), bad, seed)
    }

    #[test]
    fn a_seed_chooses_exactly_as_many_as_asked_for() {
        let check = |cast: &Cast, failing: u32, offline: usize| {
            assert_eq!((cast.failing(), cast.absent().len()), (failing, offline));
            assert_eq!(cast.present().len() + offline, cast.size() as usize);
        };
        check(&cast(1000, false, 1), 20, 50);
        check(&cast(1000, true, 1), 931, 50);
        check(&cast(1, false, 1), 0, 1);
        assert_eq!(cast(500, false, 7).roles, cast(500, false, 7).roles);
        assert_ne!(cast(500, false, 7).roles, cast(500, false, 8).roles);
    }
}
