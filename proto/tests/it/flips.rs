//! C1: no envelope that differs from a true one in one bit is believed.

use crate::{
    fixture::pem,
    messages::{ISSUED_AT, desired, seal},
    trust::by_root,
};
use muster_proto::{
    envelope::Envelope,
    payload::{self, File},
    topic::Encoding,
};
use std::thread;

/// About this many bytes; the rest of a desired state is filled up with a file.
const SIZE: usize = 2048;

/// An envelope of [`SIZE`], but for what base64 rounds up.
fn envelope(encoding: Encoding) -> Vec<u8> {
    let sealed = |filling: usize| {
        let mut desired = desired();
        // The policy alone would take half of it.
        desired.firmware = None;
        desired.files.push(File {
            key: "filling".into(),
            content: "x".repeat(filling),
        });
        payload::encode(&seal(&desired, encoding), encoding).unwrap()
    };
    let missing = SIZE.saturating_sub(sealed(0).len());
    match encoding {
        Encoding::Postcard => sealed(missing.saturating_sub(8)),
        Encoding::Json => sealed(missing * 3 / 4),
    }
}

#[track_caller]
fn check(encoding: Encoding) {
    let good = envelope(encoding);
    assert!(good.len().abs_diff(SIZE) <= 64, "{} bytes", good.len());
    // What the chain says of the true certificate is the same each time.
    let certificate = pem("config-signer.pem");
    let spki = by_root(&certificate, ISSUED_AT).unwrap();
    let trust = |shown: &[u8]| {
        if shown == certificate {
            Ok(spki.clone())
        } else {
            by_root(shown, ISSUED_AT)
        }
    };
    let believed = |bytes: &[u8]| Envelope::open(bytes, encoding, trust).is_ok();
    assert!(believed(&good));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let accepted: Vec<usize> = thread::scope(|scope| {
        let search = |worker: usize| {
            let (good, believed) = (&good, &believed);
            scope.spawn(move || {
                let mut bytes = good.clone();
                let mut flipped_is_believed = |bit: &usize| {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let accepted = believed(&bytes);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    accepted
                };
                (worker..good.len() * 8)
                    .step_by(workers)
                    .filter(|bit| flipped_is_believed(bit))
                    .collect::<Vec<_>>()
            })
        };
        let searches: Vec<_> = (0..workers).map(search).collect();
        searches
            .into_iter()
            .flat_map(|search| search.join().unwrap())
            .collect()
    });
    assert_eq!(accepted, Vec::<usize>::new());
}

#[test]
fn c1_no_flipped_bit_is_believed_in_postcard() {
    check(Encoding::Postcard);
}

#[test]
fn c1_no_flipped_bit_is_believed_in_json() {
    check(Encoding::Json);
}
