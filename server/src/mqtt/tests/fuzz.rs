//! What the fuzzer found is replayed, and bent further: the same each time, and as much each time.

use super::Seeded;
use crate::mqtt::fuzz::TARGETS;
use std::{fs, path::Path};

/// Mutants of a target, beside the corpus itself. A session starts a runtime each time.
const MUTANTS: usize = 20_000;
const SESSIONS: usize = 4_000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let inputs: Vec<_> = files.into_iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(inputs.len() >= 20, "{target} has a corpus of {}", inputs.len());
    inputs
}

/// Bends one input, or puts the front of one before the end of another.
fn mutant(seeded: &mut Seeded, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[seeded.below(corpus.len())].clone();
    if seeded.below(4) == 0 {
        let other = &corpus[seeded.below(corpus.len())];
        bytes.truncate(seeded.below(bytes.len() + 1));
        bytes.extend(&other[seeded.below(other.len() + 1)..]);
    }
    for _ in 0..1 + seeded.below(4) {
        if bytes.is_empty() {
            bytes.push(seeded.byte());
        }
        let place = seeded.below(bytes.len());
        match seeded.below(5) {
            0 => bytes[place] = seeded.byte(),
            1 => bytes[place] ^= 1 << seeded.below(8),
            2 => bytes.insert(place, seeded.byte()),
            3 => drop(bytes.remove(place)),
            _ => bytes[place] = [0, 0x7f, 0x80, 0xff][seeded.below(4)],
        }
    }
    bytes
}

/// Runs a target on its corpus and on mutants of it.
fn check(name: &str, mutants: usize) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    corpus.iter().for_each(|input| target(input));
    let mut seeded = Seeded(0x6675_7a7a);
    for _ in 0..mutants {
        target(&mutant(&mut seeded, &corpus));
    }
}

#[test]
fn b6_a_client_of_311_may_send_anything() {
    check("read_v4", MUTANTS);
}

#[test]
fn b6_a_client_of_5_may_send_anything() {
    check("read_v5", MUTANTS);
}

#[test]
fn whatever_is_written_is_311() {
    check("write_v4", MUTANTS);
}

#[test]
fn whatever_is_written_is_5() {
    check("write_v5", MUTANTS);
}

#[test]
fn b6_a_session_ends_whatever_it_hears() {
    check("session", SESSIONS);
}

#[test]
fn every_target_is_replayed() {
    let source = include_str!("fuzz.rs");
    for (name, _) in TARGETS {
        assert!(source.contains(&format!("check(\"{name}\"")), "{name}");
        let harness = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fuzz/targets")
            .join(format!("{name}.rs"));
        assert!(harness.exists(), "{name} is not fuzzed");
    }
}
