use super::*;
use alloc::{format, vec};

/// By OpenSSL 3, over the four bytes `test`.
const SIGNED: &str =
    "MEUCID1vruBRyxiBH1ShzVsSB4dRz/sHkwOo94DRQ6CAp26gAiEAoS8QXKQueHRs65Ox4Tr8raFtK0YIwpCbQcrMcwu2rm4=";

fn integer(number: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    push_element(&mut der, INTEGER, number);
    der
}

fn signature(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut der = Vec::new();
    push_element(&mut der, SEQUENCE, &parts.concat());
    der
}

#[test]
fn what_openssl_makes_is_read_and_written_as_it_was() {
    let signature: Signature = SIGNED.parse().unwrap();
    assert_eq!(signature.to_string(), SIGNED);
    assert_eq!(Signature::from_der(&signature.to_der()), Ok(signature));
}

#[test]
fn texts_are_canonical_base64() {
    for (text, expected) in [
        (String::new(), Defect::Empty),
        (format!("{SIGNED}\n"), Defect::NotBase64),
        (format!(" {SIGNED}"), Defect::NotBase64),
        (SIGNED.replace('=', ""), Defect::NotBase64),
        (format!("{}\n{}", &SIGNED[..76], &SIGNED[76..]), Defect::NotBase64),
        (SIGNED.replace('/', "_"), Defect::NotBase64),
        (SIGNED.to_lowercase(), Defect::NotASignature),
        (SIGNED[..92].to_string(), Defect::NotASignature),
        ("A".repeat(344), Defect::NotASignature),
        // Another text for the same bytes, with bits where none may be.
        ("MAYCAQECAQF=".to_string(), Defect::NotBase64),
    ] {
        assert_eq!(text.parse::<Signature>(), Err(expected), "{text}");
    }
    let least: Signature = "MAYCAQECAQE=".parse().unwrap();
    assert_eq!(least.to_der(), [0x30, 6, 2, 1, 1, 2, 1, 1]);
}

#[test]
fn numbers_lie_between_0_and_the_order_of_the_group() {
    let one = || integer(&[1]);
    let with_sign = |number: &[u8]| integer(&[&[0], number].concat());
    let mut greatest = ORDER;
    greatest[31] -= 1;
    for (parts, expected) in [
        (vec![one(), one()], true),
        (vec![one(), with_sign(&greatest)], true),
        (vec![with_sign(&greatest), one()], true),
        (vec![one(), with_sign(&ORDER)], false),
        (vec![with_sign(&ORDER), one()], false),
        (vec![one(), with_sign(&[0xff; 32])], false),
        (vec![one(), integer(&[0x7f; 33])], false),
        (vec![one(), integer(&[0])], false),
        (vec![integer(&[]), one()], false),
        // Negative, and a zero too many.
        (vec![one(), integer(&[0x80])], false),
        (vec![one(), integer(&[0, 1])], false),
        (vec![one(), integer(&[0, 0x80])], true),
        (vec![one()], false),
        (vec![one(), one(), one()], false),
        (vec![one(), vec![0x04, 1, 1]], false),
        (vec![], false),
    ] {
        assert_eq!(
            Signature::from_der(&signature(&parts)).is_ok(),
            expected,
            "{parts:?}"
        );
    }
}

#[test]
fn other_encodings_are_refused() {
    let good = signature(&[integer(&[1]), integer(&[1])]);
    assert!(Signature::from_der(&good).is_ok());
    for end in 0..good.len() {
        assert!(Signature::from_der(&good[..end]).is_err(), "cut at {end}");
    }
    let long_form = [&[0x30, 0x81, 6], &good[2..]].concat();
    let indefinite = [&[0x30, 0x80], &good[2..], &[0, 0]].concat();
    let longer = [&good[..], &[0]].concat();
    let set = [&[0x31], &good[1..]].concat();
    for other in [long_form, indefinite, longer, set, vec![1; 64]] {
        assert_eq!(
            Signature::from_der(&other),
            Err(Defect::NotASignature),
            "{other:?}"
        );
    }
}
