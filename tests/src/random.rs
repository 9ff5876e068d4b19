//! Chance that repeats itself.

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same numbers, everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed; the environment variable `MUSTER_TEST_SEED` adds to it, to look at other chances.
    pub fn seeded(seed: u64) -> Self {
        let more = std::env::var("MUSTER_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0u64);
        Self(seed.wrapping_add(more.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; the bias of the remainder does not matter here.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
