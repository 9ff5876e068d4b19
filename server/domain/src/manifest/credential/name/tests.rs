use super::*;
use crate::der::{element, oid, sequence};

fn name(attributes: &[(&[u8], u8, &[u8])]) -> Result<Name, NotDer> {
    let sets: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(kind, tag, value)| {
            let attribute = sequence(&[&oid(kind), &element(*tag, &[value])]);
            element(tag::SET, &[&attribute])
        })
        .collect();
    Name::read(&sets.concat())
}

fn check(attributes: &[(&[u8], u8, &[u8])], expected: &str) {
    assert_eq!(
        name(attributes).map(|name| name.to_string()),
        Ok(expected.to_owned())
    );
}

#[test]
fn names_are_written_as_rfc_4514_has_them() {
    check(&[], "");
    check(
        &[
            (&[0x55, 4, 10], tag::PRINTABLE_STRING, b"Maker, Inc."),
            (COMMON_NAME, tag::UTF8_STRING, b" #1 "),
        ],
        "CN=\\ #1\\ ,O=Maker\\, Inc.",
    );
    check(&[(COMMON_NAME, tag::BMP_STRING, &[0, b'Z', 0, 0xfc])], "CN=Zü");
    check(&[(COMMON_NAME, tag::TELETEX_STRING, &[b'Z', 0xfc])], "CN=Zü");
    check(&[(COMMON_NAME, tag::UNIVERSAL_STRING, &[0, 0, 0, b'Z'])], "CN=Z");
    check(&[(&[0x55, 4, 46], tag::UTF8_STRING, b"a\nb")], "2.5.4.46=a\\0ab");
    check(
        &[(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d], tag::IA5_STRING, b"x")],
        "1.2.840.113549=x",
    );
}

#[test]
fn values_that_are_no_text_are_refused() {
    for (tag, bytes) in [
        (tag::UTF8_STRING, &[0xff][..]),
        (tag::BMP_STRING, &[0]),
        (tag::BMP_STRING, &[0xd8, 0]),
        (tag::UNIVERSAL_STRING, &[0, 0x11, 0, 0]),
        (tag::INTEGER, &[1]),
    ] {
        assert_eq!(name(&[(COMMON_NAME, tag, bytes)]), Err(NotDer), "{tag}");
    }
}
