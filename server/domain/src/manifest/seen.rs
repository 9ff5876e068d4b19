//! Which serials and addresses a file had already, in little memory.
//!
//! Of each we keep 74 bits of a keyed hash and the row: ten million rows have a chance of one in three hundred million
//! that any is taken for another, and nobody without the key can raise it. A slot takes 12 bytes and tables are 64
//! to 80 per cent full, so a row with serial and address costs 30 to 38 bytes.

use super::siphash::SipKey;
use core::fmt;

/// Tables that grow one after the other, so that memory does not double at once. A power of two: 10 bits of the hash.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 10;
/// Slots of a shard when it gets its first entry.
const FIRST_SLOTS: usize = 8;

/// An entry: the row, 0 in a free slot, and 64 bits of the hash.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    row: u32,
    key: [u32; 2],
}

/// Open addressing with linear steps.
#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

/// The texts of one kind that a file had.
pub(super) struct Seen {
    key: SipKey,
    shards: Vec<Shard>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Seen {
    /// Nothing yet; `seed` must be random and `kind` another for each table of a seed.
    pub(super) fn new(mut seed: [u8; 16], kind: u8) -> Self {
        seed[0] ^= kind;
        Self {
            key: SipKey::new(seed),
            shards: vec![Shard::default(); SHARDS],
        }
    }

    /// Notes a text at a row; the answer is the row that had it first.
    pub(super) fn note(&mut self, text: &[u8], row: u32) -> Option<u32> {
        let [place, key] = self.key.hash(text);
        let shard = usize::try_from(place % (1 << SHARD_BITS)).unwrap_or(0);
        self.shards.get_mut(shard)?.note(halves(key), row)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn halves(key: u64) -> [u32; 2] {
    [key as u32, (key >> 32) as u32]
}

impl Shard {
    fn note(&mut self, key: [u32; 2], row: u32) -> Option<u32> {
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        let free = match self.find(key) {
            Ok(first) => return Some(first),
            Err(free) => free,
        };
        if let Some(slot) = self.slots.get_mut(free) {
            *slot = Slot { row, key };
            self.used += 1;
        }
        None
    }

    /// The row of an entry, or the slot where it belongs.
    fn find(&self, key: [u32; 2]) -> Result<u32, usize> {
        let size = self.slots.len();
        // The high half spread over the slots: a multiplication instead of a division.
        let home = (u64::from(key[1]) * u64::try_from(size).unwrap_or(0)) >> 32;
        let mut place = usize::try_from(home).unwrap_or(0);
        loop {
            match self.slots.get(place) {
                Some(slot) if slot.row == 0 => return Err(place),
                Some(slot) if slot.key == key => return Ok(slot.row),
                Some(_) => place += 1,
                None => place = 0,
            }
        }
    }

    /// A quarter more slots.
    fn grow(&mut self) {
        let size = (self.slots.len() * 5 / 4).max(FIRST_SLOTS);
        let old = core::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        for slot in old.into_iter().filter(|slot| slot.row != 0) {
            if let Err(free) = self.find(slot.key)
                && let Some(place) = self.slots.get_mut(free)
            {
                *place = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_first_row_of_each_text_is_remembered(texts in vec("[a-c]{0,4}", 0..400), seed: [u8; 16]) {
            let mut seen = Seen::new(seed, 0);
            let mut known = BTreeMap::new();
            for (text, row) in texts.iter().zip(2..) {
                let first = known.get(text).copied();
                known.entry(text).or_insert(row);
                prop_assert_eq!(seen.note(text.as_bytes(), row), first, "{}", text);
            }
        }
    }

    #[test]
    fn many_texts_stay_apart_in_little_memory() {
        const ROWS: u32 = 200_000;
        let mut seen = Seen::new([5; 16], 0);
        for row in 1..=ROWS {
            assert_eq!(seen.note(&row.to_le_bytes(), row), None);
            // Half of the 40 bytes that a row may cost: it has a serial and an address.
            if row.is_power_of_two() && row > ROWS / 8 {
                let slots: usize = seen.shards.iter().map(|shard| shard.slots.capacity()).sum();
                let each = slots * size_of::<Slot>() / usize::try_from(row).unwrap();
                assert!(each <= 20, "{each} bytes each at {row} rows");
            }
        }
        for row in (1..=ROWS).step_by(997) {
            assert_eq!(seen.note(&row.to_le_bytes(), ROWS + 1), Some(row));
        }
    }

    /// Equal in half of the hash is not equal: with 42 bits a large file would have repeated values that it has not.
    #[test]
    fn both_halves_of_a_hash_count() {
        let mut shard = Shard::default();
        for (key, row) in [[1, 1], [1, 2], [2, 1], [2, 2]].into_iter().zip(1..) {
            assert_eq!(shard.note(key, row), None, "{key:?}");
        }
        assert_eq!(shard.note([2, 1], 9), Some(3));
    }

    #[test]
    fn tables_of_one_seed_place_their_texts_apart() {
        let [a, b] = [0, 1].map(|kind| Seen::new([5; 16], kind).key.hash(b"GW2-7000001"));
        assert_ne!(a, b);
    }
}
