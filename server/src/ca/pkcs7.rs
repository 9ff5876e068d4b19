//! Certificates as EST hands them out: a SignedData without a signature ("certs-only", RFC 5272, 3.1).

use super::{
    der::{self, tag},
    oid,
};

/// A certs-only message, DER, of certificates in DER.
pub fn certs_only(certificates: &[Vec<u8>]) -> Vec<u8> {
    // X.690, 11.6: elements of a SET OF are sorted. A reader finds the order of a chain by names.
    let mut sorted: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    let none = der::element(tag::SET, &[]);
    // RFC 5652, 5.1: version 1, since nothing in it needs more; no digests, no content, no signers.
    let signed = der::sequence(&[
        &der::element(tag::INTEGER, &[&[1]]),
        &none,
        &der::sequence(&[&der::oid(oid::PKCS7_DATA)]),
        &der::element(tag::CONTEXT_0, &sorted),
        &none,
    ]);
    der::sequence(&[
        &der::oid(oid::PKCS7_SIGNED_DATA),
        &der::element(tag::CONTEXT_0, &[&signed]),
    ])
}

/// What a certificate request should be made of, DER (CsrAttrs of RFC 7030, 4.5.2): a key on prime256v1 and a signature
/// by ECDSA with SHA-256. Names and extensions are not asked for: they come from the registry.
pub fn wanted_attributes() -> Vec<u8> {
    let curve = der::element(tag::SET, &[&der::oid(oid::PRIME256V1)]);
    der::sequence(&[
        &der::sequence(&[&der::oid(oid::EC_PUBLIC_KEY), &curve]),
        &der::oid(oid::ECDSA_WITH_SHA256),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_written_as_the_standard_shows() {
        // The form of the example in RFC 7030, 4.5.2, encoded by another program (`openssl asn1parse -genconf`).
        let expected = [
            0x30, 0x21, 0x30, 0x15, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x31, 0x0a, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
            0x04, 0x03, 0x02,
        ];
        assert_eq!(wanted_attributes(), expected);
    }

    #[test]
    fn certificates_are_sorted_and_nothing_else_is_in_the_message() {
        let (one, two) = (der::sequence(&[&[1, 1, 0]]), der::sequence(&[&[1, 1, 0xff]]));
        let message = certs_only(&[two.clone(), one.clone()]);
        assert_eq!(message, certs_only(&[one.clone(), two.clone()]));
        assert!(der::well_formed(&message));
        let both = [one, two].concat();
        assert!(message.windows(both.len()).any(|part| part == both));
    }
}
