use alloc::format;
use alloc::vec;

use super::*;

#[test]
fn the_hash_is_the_published_one() {
    // From the test suite of draft-eastlake-fnv.
    for (input, expected) in [
        ("", 0xcbf2_9ce4_8422_2325),
        ("a", 0xaf63_dc4c_8601_ec8c),
        ("foobar", 0x8594_4171_f739_67e8),
    ] {
        assert_eq!(fnv1a(input.bytes()), expected, "{input:?}");
    }
    assert_eq!(finalise(0), 0);
    assert_eq!(finalise(1), 0xb456_bcfc_34c2_cb2c);
}

/// Vectors for whoever computes buckets elsewhere, worked out independently from the description.
#[test]
fn buckets_never_change() {
    for (salt, device, expected) in VECTORS {
        assert_eq!(Bucket::of(salt, device).number(), expected, "{salt} {device}");
    }
}

const VECTORS: [(&str, &str, u16); 6] = [
    ("", "", 7_227),
    ("gw-200-stable", "0000000000000000000000000a", 2_031),
    ("gw-200-stable", "0000000000000000000000000b", 141),
    ("cam-ir", "0000000000000000000000000a", 2_415),
    ("cam-ir", "01jnb3zv8k6c2q4x7d9ftg5hwm", 5_469),
    ("cam-ir", "gerät", 5_149),
];

/// Consecutive ids, as a factory would have them, must still spread evenly: chi-squared over 100 cells of
/// 100 000 devices, 99 degrees of freedom, 99.9th percentile 148.2.
#[test]
fn devices_spread_evenly() {
    for salt in ["gw-200-stable", "cam-ir", "a"] {
        let mut cells = vec![0_i64; 100];
        for device in 0..100_000 {
            let bucket = Bucket::of(salt, &format!("{device:026}"));
            cells[usize::from(bucket.number() / 100)] += 1;
        }
        let chi_squared: i64 = cells.iter().map(|count| (count - 1_000).pow(2)).sum::<i64>() / 1_000;
        assert!(chi_squared < 148, "{salt}: {chi_squared}");
    }
}

#[test]
fn another_salt_gives_another_order() {
    let device = |n: u32| format!("{n:026}");
    let tenth = Percentage::from_basis_points(1_000).unwrap();
    let both = (0..10_000)
        .filter(|&n| {
            ["one", "two"]
                .iter()
                .all(|salt| tenth.includes(Bucket::of(salt, &device(n))))
        })
        .count();
    // A tenth of a tenth of 10 000, give or take five standard deviations.
    assert!((50..150).contains(&both), "{both}");
}

#[test]
fn a_turn_comes_at_the_smallest_percentage_that_includes_it() {
    for number in [0, 1, 4_999, 9_999] {
        let turn = Bucket(number).turn();
        assert!(turn <= Percentage::ALL && turn.includes(Bucket(number)));
        assert!(!Percentage(turn.0 - 1).includes(Bucket(number)));
    }
}

#[test]
fn percentages_have_one_canonical_text() {
    for (text, points, canonical) in [
        ("0%", 0, "0%"),
        ("25%", 2_500, "25%"),
        ("12.5%", 1_250, "12.5%"),
        (" 0.25 % ", 25, "0.25%"),
        ("1.05%", 105, "1.05%"),
        ("007.10%", 710, "7.1%"),
        ("100.00%", 10_000, "100%"),
    ] {
        let percentage: Percentage = text.parse().unwrap();
        assert_eq!(percentage.basis_points(), points, "{text}");
        assert_eq!(percentage.to_string(), canonical, "{text}");
    }
    for text in [
        "", "%", "25", "-1%", "+1%", "100.01%", "999%", "1000%", "1.%", ".5%", "1.234%", "1,5%", "1e1%",
    ] {
        assert_eq!(text.parse::<Percentage>(), Err(Defect::NotAPercentage), "{text}");
    }
}
