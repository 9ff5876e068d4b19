//! SipHash-2-4 with 128 bits of result (Aumasson and Bernstein, 2012): a keyed hash for short texts. Who does not
//! know the key can neither find two texts with one hash nor crowd a table.

/// A key.
#[derive(Clone, Copy)]
pub(super) struct SipKey(u64, u64);

impl SipKey {
    pub(super) const fn new(bytes: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self(key as u64, (key >> 64) as u64)
    }

    /// The hash of a text, as two halves.
    pub(super) fn hash(self, text: &[u8]) -> [u64; 2] {
        let Self(k0, k1) = self;
        // The constants spell "somepseudorandomlygeneratedbytes"; 0xee marks the variant with 128 bits.
        let mut state = State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = text.as_chunks();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the algorithm takes the length modulo 256"
        )]
        let length = text.len() as u8;
        last[7] = length;
        state.absorb(u64::from_le_bytes(last));
        state.0[2] ^= 0xee;
        let first = state.finish();
        state.0[1] ^= 0xdd;
        [first, state.finish()]
    }
}

struct State([u64; 4]);

impl State {
    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }

    const fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    const fn finish(&mut self) -> u64 {
        let mut round = 0;
        while round < 4 {
            self.round();
            round += 1;
        }
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vectors of the reference implementation: key 00..0f, texts of the bytes 0, 1, 2...
    #[test]
    fn the_published_vectors_come_out() {
        let key: [u8; 16] = core::array::from_fn(|place| u8::try_from(place).unwrap());
        let check = |length: usize, expected: u128| {
            let [low, high] = SipKey::new(key).hash(&Vec::from_iter((0..).take(length)));
            let found = [low.to_le_bytes(), high.to_le_bytes()].concat();
            assert_eq!(found, expected.to_be_bytes(), "{length} bytes");
        };
        check(0, 0xa3817f04ba25a8e66df67214c7550293);
        check(1, 0xda87c1d86b99af44347659119b22fc45);
        check(2, 0x8177228da4a45dc7fca38bdef60affe4);
        check(8, 0x3b62a9ba6258f5610f83e264f31497b4);
        check(15, 0x5493e99933b0a8117e08ec0f97cfc3d9);
    }
}
