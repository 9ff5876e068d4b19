//! The little DER (X.690) that the agent needs itself: validity and name of a certificate, and a request to sign.
//!
//! Certificates are verified by webpki; what is read here is only looked up beside it.

/// Tags used here.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// id-at-commonName (RFC 5280, appendix A.1), content of its OBJECT IDENTIFIER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// AlgorithmIdentifier ecdsa-with-SHA256 (RFC 5758, 3.2).
const ECDSA_WITH_SHA256: &[u8] = &[
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
/// AlgorithmIdentifier id-ecPublicKey with prime256v1 (RFC 5480, 2.1.1).
const P256_KEY: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];

/// From when and until when a certificate holds, seconds since 1970, both included (RFC 5280, 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl Validity {
    /// Of a certificate, DER; `None` when it is not one.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(certificate).take(SEQUENCE)?);
        let mut tbs = Reader(certificate.take(SEQUENCE)?);
        if tbs.peek() == Some(CONTEXT_0) {
            tbs.take(CONTEXT_0)?;
        }
        tbs.take(INTEGER)?;
        tbs.take(SEQUENCE)?;
        tbs.take(SEQUENCE)?;
        let mut validity = Reader(tbs.take(SEQUENCE)?);
        Some(Self {
            not_before: validity.time()?,
            not_after: validity.time()?,
        })
    }
}

/// The last common name of a certificate's subject (RFC 5280, 4.1.2.6); `None` when there is none that is UTF-8.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let mut certificate = Reader(Reader(certificate).take(SEQUENCE)?);
    let mut tbs = Reader(certificate.take(SEQUENCE)?);
    if tbs.peek() == Some(CONTEXT_0) {
        tbs.take(CONTEXT_0)?;
    }
    tbs.take(INTEGER)?;
    // Signature algorithm, issuer, validity.
    for _ in 0..3 {
        tbs.take(SEQUENCE)?;
    }
    let mut subject = Reader(tbs.take(SEQUENCE)?);
    let mut found = None;
    while subject.peek().is_some() {
        let mut attribute = Reader(Reader(subject.take(SET)?).take(SEQUENCE)?);
        if attribute.take(OID)? == COMMON_NAME {
            let text = attribute.take(attribute.peek()?)?;
            found = Some(core::str::from_utf8(text).ok()?.to_owned());
        }
    }
    found
}

/// Reads elements one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // No certificate of ours needs more than three bytes of length.
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    fn time(&mut self) -> Option<u64> {
        let (content, year_digits) = match self.peek()? {
            UTC_TIME => (self.take(UTC_TIME)?, 2),
            GENERALIZED_TIME => (self.take(GENERALIZED_TIME)?, 4),
            _ => return None,
        };
        let text = core::str::from_utf8(content).ok()?.strip_suffix('Z')?;
        let digits = text.len() == year_digits + 10 && text.bytes().all(|c| c.is_ascii_digit());
        if !digits {
            return None;
        }
        let (year, rest) = text.split_at(year_digits);
        let year = match (year_digits, year.parse::<u64>().ok()?) {
            // RFC 5280, 4.1.2.5.1.
            (2, year @ 0..50) => 2000 + year,
            (2, year) => 1900 + year,
            (_, year) => year,
        };
        let part = |at: usize| rest.get(at * 2..at * 2 + 2)?.parse::<u64>().ok();
        let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
        let days = days_since_1970(year, month, day)?;
        Some(days * 86_400 + hour * 3600 + minute * 60 + second)
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` before, and for months and days that are none.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day last, so that month lengths follow one line.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    (365 * year + leap_days + day_of_year).checked_sub(719_468)
}

/// One element: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => bytes.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let significant = digits
                .iter()
                .copied()
                .skip_while(|&byte| byte == 0)
                .collect::<Vec<_>>();
            bytes.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
            bytes.extend(significant);
        }
    }
    bytes.extend(content);
    bytes
}

fn bit_string(content: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], content].concat())
}

/// SubjectPublicKeyInfo (RFC 5480) of an uncompressed P-256 point.
pub(crate) fn p256_spki(point: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[P256_KEY, &bit_string(point)].concat())
}

/// CertificationRequestInfo (RFC 2986, 4.1): version 1, no subject, no attributes. A registry names devices itself
/// and uses nothing but the key.
pub(crate) fn request_info(spki: &[u8]) -> Vec<u8> {
    let version = element(INTEGER, &[0]);
    let subject = element(SEQUENCE, &[]);
    let attributes = element(CONTEXT_0, &[]);
    element(SEQUENCE, &[&version[..], &subject, spki, &attributes].concat())
}

/// CertificationRequest (RFC 2986, 4.2) from its info and the DER signature over it.
pub(crate) fn request(info: &[u8], signature: &[u8]) -> Vec<u8> {
    element(
        SEQUENCE,
        &[info, ECDSA_WITH_SHA256, &bit_string(signature)].concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (date, expected) in [
            ((1970, 1, 1), Some(0)),
            ((1970, 3, 1), Some(59)),
            ((2000, 2, 29), Some(11_016)),
            ((2000, 3, 1), Some(11_017)),
            ((2026, 11, 23), Some(20_780)),
            ((2100, 3, 1), Some(47_541)),
            ((9999, 12, 31), Some(2_932_896)),
            ((1969, 12, 31), None),
            ((2026, 0, 1), None),
            ((2026, 13, 1), None),
            ((2026, 1, 0), None),
            ((2026, 1, 32), None),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", None),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "20500101000000", None),
            (GENERALIZED_TIME, "2050010100000Z", None),
            (GENERALIZED_TIME, "2050010100000+Z", None),
            (INTEGER, "20500101000000Z", None),
        ] {
            assert_eq!(Reader(&element(tag, text.as_bytes())).time(), expected, "{text}");
        }
    }

    #[test]
    fn lengths_are_shortest() {
        for (length, head) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (256, vec![4, 0x82, 1, 0]),
            (65_536, vec![4, 0x83, 1, 0, 0]),
        ] {
            let bytes = element(4, &vec![7; length]);
            assert_eq!(bytes[..head.len()], head);
            assert_eq!(Reader(&bytes).take(4).map(<[u8]>::len), Some(length));
        }
    }

    #[test]
    fn the_common_name_is_the_last_of_the_subject() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let nameless = params.clone().self_signed(&key).unwrap();
        assert_eq!(common_name(nameless.der()), None);
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Example");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "01jnb3zv8k");
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(common_name(certificate.der()).as_deref(), Some("01jnb3zv8k"));
        for end in 0..certificate.der().len() {
            assert_eq!(common_name(&certificate.der()[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn validity_is_that_of_the_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 3, 1);
        params.not_after = rcgen::date_time_ymd(2051, 1, 2);
        let certificate = params.self_signed(&key).unwrap();
        let read = Validity::of(certificate.der()).unwrap();
        assert_eq!((read.not_before, read.not_after), (1_772_323_200, 2_556_230_400));
        for end in 0..certificate.der().len() {
            assert_eq!(Validity::of(&certificate.der()[..end]), None, "cut at {end}");
        }
    }
}
