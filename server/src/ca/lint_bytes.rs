//! The bytes that a template means, put together without anything that rcgen uses: two encoders that share no code must
//! agree on each byte before a key signs.

use super::{
    der::tag,
    key::PublicKey,
    lint::Signer,
    oid,
    profile::{Alternative, Excluded, Kind, Locations, Purpose, Template},
};
use muster_domain::Timestamp;
use rustls::pki_types::ServerName;
use std::net::IpAddr;

/// Years from 2050 on are written as GeneralizedTime (RFC 5280, 4.1.2.5): the first such second.
pub(super) const GENERALIZED_FROM: u64 = 2_524_608_000;

/// Tags of the choices of GeneralName, and of key identifiers.
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;
const KEY_IDENTIFIER: u8 = 0x80;
const EXCLUDED_SUBTREES: u8 = 0xa1;

/// What one certificate takes, so that the buffer never moves.
const USUAL_SIZE: usize = 768;

/// Writes DER into one buffer.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(USUAL_SIZE))
    }

    /// An element with what `content` writes in it.
    pub(super) fn put(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.0.push(tag);
        let start = self.0.len();
        content(self);
        let length = self.0.len() - start;
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        match length {
            0..=0x7f => self.0.insert(start, bytes[bytes.len() - 1]),
            _ => {
                let first = u8::try_from(0x80 + bytes.len() - skip).unwrap_or(u8::MAX);
                let written = std::iter::once(first).chain(bytes.into_iter().skip(skip));
                drop(self.0.splice(start..start, written));
            }
        }
    }

    /// An element with this content.
    pub(super) fn value(&mut self, tag: u8, content: &[u8]) {
        self.put(tag, |w| w.raw(content));
    }

    /// Elements that are written already.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn sequence(&mut self, content: impl FnOnce(&mut Self)) {
        self.put(tag::SEQUENCE, content);
    }

    pub(super) fn oid(&mut self, content: &[u8]) {
        self.value(tag::OID, content);
    }

    /// A positive INTEGER from its big-endian bytes, without those that say nothing.
    pub(super) fn number(&mut self, bytes: &[u8]) {
        let skip = bytes
            .iter()
            .take_while(|byte| **byte == 0)
            .count()
            .min(bytes.len() - 1);
        self.put(tag::INTEGER, |w| {
            if bytes[skip] >= 0x80 {
                w.raw(&[0]);
            }
            w.raw(&bytes[skip..]);
        });
    }

    /// ecdsa-with-SHA256, without parameters (RFC 5758, 3.2).
    pub(super) fn algorithm(&mut self) {
        self.sequence(|w| w.oid(oid::ECDSA_WITH_SHA256));
    }

    /// A Time: in two digits of the year as long as they will do (RFC 5280, 4.1.2.5).
    pub(super) fn time(&mut self, at: Timestamp) {
        let seconds = at.seconds();
        let (year, month, day) = date(seconds / 86_400);
        let rest = seconds % 86_400;
        let mut digits = [b'0'; 15];
        for (place, width, mut number) in [
            (0, 4, year),
            (4, 2, month),
            (6, 2, day),
            (8, 2, rest / 3600),
            (10, 2, rest / 60 % 60),
            (12, 2, rest % 60),
        ] {
            for digit in digits[place..place + width].iter_mut().rev() {
                *digit += u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        }
        digits[14] = b'Z';
        if seconds < GENERALIZED_FROM {
            self.value(tag::UTC_TIME, &digits[2..]);
        } else {
            self.value(tag::GENERALIZED_TIME, &digits);
        }
    }

    pub(super) fn extension(&mut self, kind: &[u8], critical: bool, value: impl FnOnce(&mut Self)) {
        self.sequence(|w| {
            w.oid(kind);
            // FALSE is the default, and defaults are not written (X.690, 11.5).
            if critical {
                w.value(tag::BOOLEAN, &[0xff]);
            }
            w.put(tag::OCTET_STRING, value);
        });
    }

    /// AuthorityKeyIdentifier with nothing but the key's.
    pub(super) fn authority_key(&mut self, signer: Signer<'_>) {
        self.extension(oid::AUTHORITY_KEY_IDENTIFIER, false, |w| {
            w.sequence(|w| w.value(KEY_IDENTIFIER, &signer.key.identifier()));
        });
    }

    /// `[0]` DistributionPointName: `[0]` fullName with one address.
    pub(super) fn distribution_point(&mut self, url: &str) {
        self.put(tag::CONTEXT_0, |w| {
            w.put(tag::CONTEXT_0, |w| w.value(URI, url.as_bytes()));
        });
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: years begin in March, so that leap days end them.
fn date(day: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // 1970-01-01 is so many days after 0000-03-01.
    let day = day + 719_468;
    let (era, of_era) = (day / ERA, day % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}

/// A subject of ours, DER.
pub(super) fn name(organisation: &str, unit: Option<&str>, common_name: &str) -> Vec<u8> {
    let mut w = Writer::default();
    subject(&mut w, organisation, unit, common_name);
    w.finish()
}

fn subject(w: &mut Writer, organisation: &str, unit: Option<&str>, common_name: &str) {
    let part = |w: &mut Writer, kind, text: &str| {
        w.put(tag::SET, |w| {
            w.sequence(|w| {
                w.oid(kind);
                w.value(tag::UTF8_STRING, text.as_bytes());
            });
        });
    };
    w.sequence(|w| {
        part(w, oid::ORGANISATION, organisation);
        if let Some(unit) = unit {
            part(w, oid::UNIT, unit);
        }
        part(w, oid::COMMON_NAME, common_name);
    });
}

fn server_names(w: &mut Writer, names: &[ServerName<'_>]) {
    w.extension(oid::SUBJECT_ALT_NAME, false, |w| {
        w.sequence(|w| {
            for name in names {
                match name {
                    ServerName::IpAddress(address) => match IpAddr::from(*address) {
                        IpAddr::V4(address) => w.value(IP_ADDRESS, &address.octets()),
                        IpAddr::V6(address) => w.value(IP_ADDRESS, &address.octets()),
                    },
                    name => w.value(DNS_NAME, name.to_str().as_bytes()),
                }
            }
        });
    });
}

/// hardwareModuleName (RFC 4108, 5) as the one other name.
fn hardware_name(w: &mut Writer, serial: &str) {
    w.extension(oid::SUBJECT_ALT_NAME, false, |w| {
        w.sequence(|w| {
            w.put(tag::CONTEXT_0, |w| {
                w.oid(oid::HARDWARE_MODULE_NAME);
                w.put(tag::CONTEXT_0, |w| {
                    w.sequence(|w| {
                        w.oid(oid::HARDWARE_TYPE);
                        w.value(tag::OCTET_STRING, serial.as_bytes());
                    });
                });
            });
        });
    });
}

fn key_usage(w: &mut Writer, bits: [u8; 2]) {
    w.extension(oid::KEY_USAGE, true, |w| w.value(tag::BIT_STRING, &bits));
}

fn extended_key_usage(w: &mut Writer, purpose: Purpose) {
    let purpose = match purpose {
        Purpose::Client => oid::CLIENT_AUTH,
        Purpose::Server => oid::SERVER_AUTH,
        Purpose::ConfigSigning => oid::CONFIG_SIGNING,
        Purpose::CheckpointSigning => oid::CHECKPOINT_SIGNING,
    };
    w.extension(oid::EXTENDED_KEY_USAGE, false, |w| w.sequence(|w| w.oid(purpose)));
}

fn name_constraints(w: &mut Writer, excluded: Excluded) {
    // A prefix of no bits of each family: every address.
    const EVERY_ADDRESS: [&[u8]; 2] = [&[0; 8], &[0; 32]];
    let (kind, subtrees): (u8, &[&[u8]]) = match excluded {
        Excluded::Nothing => return,
        Excluded::Addresses => (IP_ADDRESS, &EVERY_ADDRESS),
        Excluded::Hosts => (DNS_NAME, &[&[]]),
    };
    w.extension(oid::NAME_CONSTRAINTS, true, |w| {
        w.sequence(|w| {
            w.put(EXCLUDED_SUBTREES, |w| {
                for every in subtrees {
                    w.sequence(|w| w.value(kind, every));
                }
            });
        });
    });
}

fn subject_key(w: &mut Writer, key: &PublicKey) {
    w.extension(oid::SUBJECT_KEY_IDENTIFIER, false, |w| {
        w.value(tag::OCTET_STRING, &key.identifier());
    });
}

fn basic_constraints(w: &mut Writer, content: &[u8]) {
    w.extension(oid::BASIC_CONSTRAINTS, true, |w| w.value(tag::SEQUENCE, content));
}

/// The extensions of this template's certificate, in the order in which rcgen writes them.
fn extensions(w: &mut Writer, template: &Template, key: &PublicKey, signer: Signer<'_>) {
    // Named bits (RFC 5280, 4.2.1.3): keyCertSign and cRLSign are 5 and 6, digitalSignature is 0.
    const SIGN_CERTIFICATES: [u8; 2] = [1, 0b0000_0110];
    const SIGN: [u8; 2] = [7, 0b1000_0000];
    const AUTHORITY: &[u8] = &[tag::BOOLEAN, 1, 0xff];
    const AUTHORITY_OF_LEAVES: &[u8] = &[tag::BOOLEAN, 1, 0xff, tag::INTEGER, 1, 0];
    match &template.kind {
        Kind::Root => {
            key_usage(w, SIGN_CERTIFICATES);
            subject_key(w, key);
            basic_constraints(w, AUTHORITY);
        }
        Kind::Link => {
            w.authority_key(signer);
            key_usage(w, SIGN_CERTIFICATES);
            subject_key(w, key);
            basic_constraints(w, AUTHORITY);
        }
        Kind::Issuing(purpose, excluded) => {
            w.authority_key(signer);
            key_usage(w, SIGN_CERTIFICATES);
            extended_key_usage(w, *purpose);
            name_constraints(w, *excluded);
            subject_key(w, key);
            basic_constraints(w, AUTHORITY_OF_LEAVES);
        }
        Kind::Leaf(purpose, alternative) => {
            w.authority_key(signer);
            if let Alternative::Server(names) = alternative {
                server_names(w, names);
            }
            key_usage(w, SIGN);
            extended_key_usage(w, *purpose);
            if let Some(Locations { list, .. }) = &template.locations {
                w.extension(oid::CRL_DISTRIBUTION_POINTS, false, |w| {
                    w.sequence(|w| w.sequence(|w| w.distribution_point(list)));
                });
            }
            subject_key(w, key);
            basic_constraints(w, &[]);
            if let Alternative::Hardware(serial) = alternative {
                hardware_name(w, serial);
            }
            if let Some(Locations { issuer, .. }) = &template.locations {
                w.extension(oid::AUTHORITY_INFORMATION, false, |w| {
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.oid(oid::CA_ISSUERS);
                            w.value(URI, issuer.as_bytes());
                        });
                    });
                });
            }
        }
    }
}

/// A list of extensions of this template, DER.
pub(super) fn extension_list(template: &Template, key: &PublicKey, signer: Signer<'_>) -> Vec<u8> {
    let mut w = Writer::new();
    w.sequence(|w| extensions(w, template, key, signer));
    w.finish()
}

/// What is to be signed for this template, DER.
pub(super) fn to_be_signed(template: &Template, key: &PublicKey, signer: Signer<'_>) -> Vec<u8> {
    let mut w = Writer::new();
    w.sequence(|w| {
        w.put(tag::CONTEXT_0, |w| w.value(tag::INTEGER, &[2]));
        w.value(tag::INTEGER, &template.serial.to_bytes());
        w.algorithm();
        w.raw(signer.name);
        w.sequence(|w| {
            w.time(template.not_before);
            w.time(template.not_after);
        });
        subject(
            w,
            &template.organisation,
            template.unit.as_deref(),
            &template.common_name,
        );
        w.raw(&key.spki());
        w.put(tag::CONTEXT_3, |w| {
            w.sequence(|w| extensions(w, template, key, signer));
        });
    });
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use x509_parser::{prelude::FromDer as _, time::ASN1Time};

    proptest! {
        #[test]
        fn dates_are_those_of_another_calendar(seconds in 0_u64..=253_402_300_799) {
            let mut w = Writer::default();
            w.time(Timestamp::from_seconds(seconds));
            let (rest, time) = ASN1Time::from_der(&w.0).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(u64::try_from(time.timestamp()), Ok(seconds));
            prop_assert_eq!(time.is_generalizedtime(), seconds >= GENERALIZED_FROM);
        }
    }

    #[test]
    fn lengths_are_in_their_shortest_form() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            let mut w = Writer::default();
            w.value(tag::OCTET_STRING, &vec![7; length]);
            assert_eq!(&w.0[..head.len()], head);
            assert_eq!(w.0.len(), head.len() + length);
        }
    }

    #[test]
    fn numbers_are_positive_and_say_nothing_twice() {
        for (bytes, expected) in [
            (&[0][..], &[2, 1, 0][..]),
            (&[0, 0, 0], &[2, 1, 0]),
            (&[0, 127], &[2, 1, 127]),
            (&[128], &[2, 2, 0, 128]),
            (&[0, 1, 0], &[2, 2, 1, 0]),
        ] {
            let mut w = Writer::default();
            w.number(bytes);
            assert_eq!(w.0, expected);
        }
    }
}
