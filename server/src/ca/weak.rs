//! Keys whose private half anybody can guess: what a generator gives that was never seeded, or a test left in.

use super::key::POINT;
use p256::{ProjectivePoint, elliptic_curve::sec1::ToSec1Point as _};
use std::sync::LazyLock;

/// Private keys that are small numbers: from 1 to this.
const SMALL: usize = 256;

/// The x-coordinates of weak keys, sorted. A key and its negative share one, and are equally weak.
static KNOWN: LazyLock<Vec<[u8; 32]>> = LazyLock::new(|| {
    let small = (0..SMALL).scan(ProjectivePoint::IDENTITY, |point, _| {
        *point += ProjectivePoint::GENERATOR;
        Some(*point)
    });
    // One byte, 32 times. 0xff 32 times is over the order of the curve, and zero is no key.
    let repeated = (1..=u8::MAX).filter_map(|byte| p256::SecretKey::from_slice(&[byte; 32]).ok());
    let mut known: Vec<_> = small
        .map(|point| x(point.to_affine().to_sec1_point(false).as_bytes()))
        .chain(repeated.map(|secret| x(secret.public_key().to_sec1_point(false).as_bytes())))
        .collect();
    known.sort_unstable();
    known
});

fn x(point: &[u8]) -> [u8; 32] {
    let mut x = [0; 32];
    x.copy_from_slice(&point[1..33]);
    x
}

/// Is the private half of this key publicly known?
pub(super) fn is_known(point: &[u8; POINT]) -> bool {
    KNOWN.binary_search(&x(point)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessable_keys_are_known_and_others_are_not() {
        let mut one = [0; 32];
        one[31] = 1;
        let mut many = [0; 32];
        many[30] = 0x10;
        let check = |secret: [u8; 32], expected| {
            let secret = p256::SecretKey::from_slice(&secret).unwrap();
            let point = secret
                .public_key()
                .to_sec1_point(false)
                .as_bytes()
                .try_into()
                .unwrap();
            assert_eq!(is_known(&point), expected);
        };
        check(one, true);
        check([0x11; 32], true);
        check([0xfe; 32], true);
        check(many, false);
        check(crate::random::bytes().unwrap(), false);
    }
}
