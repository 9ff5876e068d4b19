//! What must be refused: certificates that say what ours never say, each signed by the stolen key of the device authority.

use super::{
    forge::{Draft, Extension, Key, algorithm, name, oid, validity},
    judges::{
        Judge::{self, GnuTls, OpenSsl, Webpki},
        Judged,
    },
    plant::Plant,
    wrong,
};
use muster_domain::{
    certificate::{CertificateProfile, CertificateRecord},
    der::{self, element, sequence, tag},
};

/// One certificate, alone or in its company, that somebody must refuse.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) judged: Judged,
    /// Those who do.
    pub(super) refused_by: &'static [Judge],
    /// Why the others do not.
    pub(super) why: &'static str,
    /// Of the certificate that it pretends to be.
    pub(super) record: CertificateRecord,
    /// Our own lint must refuse it, too. It does not look at what is around a certificate.
    pub(super) is_linted: bool,
}

/// Of those, what pkilint must have a finding in: it judges certificates alone, and by RFC 5280 alone.
pub(super) const PKILINT_SEES: [&str; 9] = [
    "an end before the start",
    "an authority without pathlen and key usage",
    "a repeated extension",
    "no key usage, and no authority key identifier",
    "serial zero",
    "a negative serial",
    "a serial of 21 bytes",
    "version 1 with extensions",
    "a path length for no authority",
];

/// Who refuses it; why the others do not.
pub(super) type By = (&'static [Judge], &'static str);

/// Refused by all three.
pub(super) const ALL: By = (&Judge::ALL, "");
const NOBODY: By = (&[], "it breaks our profile, and no rule for who verifies");
const UNCONSTRAINED: By = (
    &[],
    "the authority of devices constrains DNS names alone, for the sake of clients that cannot read more; its usage makes no \
     leaf a server",
);
const STRICT: By = (
    &[OpenSsl],
    "RFC 5280 asks it of who issues, and only -x509_strict looks",
);
const USAGE: By = (&[OpenSsl], "only OpenSSL holds the key usage against the purpose");
const REGISTRY: By = (&[], "only the registry knows that it should say something else");
const AT_THE_END: By = (
    &[OpenSsl, Webpki],
    "an authority at the end of a chain is none between (RFC 5280, 4.2.1.9), says GnuTLS",
);
const SUBSET: By = (
    &[GnuTls],
    "only GnuTLS wants each purpose of a leaf in its authority's",
);

/// What is done to a good certificate.
type Change = fn(&mut Draft);

/// subjectAltName with one name.
fn names(kind: u8, value: &[u8]) -> Extension {
    Extension::new(oid::NAMES, false, &sequence(&[&element(kind, &[value])]))
}

fn purposes(draft: &mut Draft, purposes: &[&[u8]]) {
    let all: Vec<_> = purposes.iter().map(|one| der::oid(one)).collect();
    draft.extension(oid::PURPOSE).value = sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

fn usage(draft: &mut Draft, bits: &[u8]) {
    draft.extension(oid::KEY_USAGE).value = element(tag::BIT_STRING, &[bits]);
}

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

const CHANGES: &[(&str, By, Change)] = &[
    ("an end in the past", ALL, |d| {
        d.validity = validity("200101000000Z", "210101000000Z")
    }),
    ("a start in the future", ALL, |d| {
        d.validity = validity("480101000000Z", "490101000000Z")
    }),
    ("an end before the start", ALL, |d| {
        d.validity = validity("490101000000Z", "200101000000Z")
    }),
    (
        "a date without seconds",
        (&[OpenSsl, Webpki], "GnuTLS reads older forms of dates"),
        |d| d.validity = validity("2001010000Z", "490101000000Z"),
    ),
    ("a date in the form of later years", NOBODY, |d| {
        d.validity = validity("20200101000000Z", "20490101000000Z");
    }),
    ("the purpose of servers", ALL, |d| purposes(d, &[SERVER_AUTH])),
    ("the purpose of code", ALL, |d| purposes(d, &[CODE_SIGNING])),
    ("any purpose", ALL, |d| purposes(d, &[ANY_PURPOSE])),
    ("one purpose more", SUBSET, |d| {
        purposes(d, &[&[0x2b, 6, 1, 5, 5, 7, 3, 2], SERVER_AUTH])
    }),
    ("no purpose", SUBSET, |d| d.without(oid::PURPOSE)),
    ("an empty list of purposes", ALL, |d| purposes(d, &[])),
    ("an authority below the last", AT_THE_END, |d| {
        d.extension(oid::BASIC).value = sequence(&[&[tag::BOOLEAN, 1, 0xff]]);
        usage(d, &[1, 0b0000_0110]);
    }),
    ("an authority without pathlen and key usage", AT_THE_END, |d| {
        d.extension(oid::BASIC).value = sequence(&[&[tag::BOOLEAN, 1, 0xff]]);
        d.extension(oid::BASIC).critical = false;
        d.without(oid::KEY_USAGE);
    }),
    ("a path length for no authority", STRICT, |d| {
        d.extension(oid::BASIC).value = sequence(&[&[tag::INTEGER, 1, 0]]);
    }),
    (
        "TRUE in BER",
        (&[Webpki], "only webpki holds extensions to DER"),
        |d| d.extension(oid::BASIC).value = sequence(&[&[tag::BOOLEAN, 1, 1]]),
    ),
    ("no basic constraints", NOBODY, |d| d.without(oid::BASIC)),
    ("no key usage, and no authority key identifier", STRICT, |d| {
        d.without(oid::KEY_USAGE);
        d.without(oid::AUTHORITY_KEY);
    }),
    ("no key usage", NOBODY, |d| d.without(oid::KEY_USAGE)),
    ("no usage for signatures", USAGE, |d| usage(d, &[5, 0b0010_0000])),
    ("the usage of authorities", STRICT, |d| {
        usage(d, &[2, 0b1000_0100])
    }),
    ("a usage of no bits", USAGE, |d| usage(d, &[0])),
    ("no authority key identifier", STRICT, |d| {
        d.without(oid::AUTHORITY_KEY)
    }),
    (
        "another authority's key identifier",
        (
            &[OpenSsl, GnuTls],
            "webpki tries every authority of the issuer's name",
        ),
        |d| {
            d.extension(oid::AUTHORITY_KEY).value = sequence(&[&element(0x80, &[&[7; 20]])]);
        },
    ),
    ("no subject key identifier", NOBODY, |d| {
        d.without(oid::SUBJECT_KEY)
    }),
    ("another subject key identifier", NOBODY, |d| {
        d.extension(oid::SUBJECT_KEY).value = element(tag::OCTET_STRING, &[&[7; 20]]);
    }),
    ("an unknown critical extension", ALL, |d| {
        d.extensions
            .push(Extension::new(oid::UNKNOWN, true, &[tag::NULL, 0]));
    }),
    ("an unknown extension", NOBODY, |d| {
        d.extensions
            .push(Extension::new(oid::UNKNOWN, false, &[tag::NULL, 0]));
    }),
    ("a repeated extension", ALL, |d| {
        let purpose = d.extension(oid::PURPOSE).clone();
        d.extensions.push(purpose);
    }),
    ("garbage for purposes", ALL, |d| {
        d.extension(oid::PURPOSE).value = vec![tag::NULL, 0]
    }),
    ("garbage for names", ALL, |d| {
        d.extension(oid::NAMES).value = vec![tag::SEQUENCE, 9, 0x82]
    }),
    ("a DNS name", ALL, |d| {
        *d.extension(oid::NAMES) = names(0x82, b"muster.example")
    }),
    ("an IPv4 address", UNCONSTRAINED, |d| {
        *d.extension(oid::NAMES) = names(0x87, &[10, 0, 0, 1])
    }),
    ("an IPv6 address", UNCONSTRAINED, |d| {
        *d.extension(oid::NAMES) = names(0x87, &[0xfd; 16])
    }),
    (
        "a common name that is a DNS name",
        (
            &[OpenSsl],
            "only OpenSSL takes a common name with a dot for a DNS name",
        ),
        |d| {
            d.subject = name("muster.example");
            d.without(oid::NAMES);
        },
    ),
    ("another device's name", REGISTRY, |d| d.subject = name("another")),
    ("no name", STRICT, |d| d.subject = sequence(&[])),
    ("a mail address", NOBODY, |d| {
        *d.extension(oid::NAMES) = names(0x81, b"a@b.example")
    }),
    ("version 1 with extensions", ALL, |d| d.version.clear()),
    ("version 2 with extensions", ALL, |d| {
        d.version = vec![0xa0, 3, tag::INTEGER, 1, 1]
    }),
    (
        "version 4",
        (&[Webpki], "the others look whether there may be extensions"),
        |d| d.version = vec![0xa0, 3, tag::INTEGER, 1, 3],
    ),
    (
        "version 1",
        (&[GnuTls, Webpki], "OpenSSL takes it at the end of a chain"),
        |d| {
            d.version.clear();
            d.extensions.clear();
        },
    ),
    (
        "version 3 without extensions",
        (
            &[OpenSsl, GnuTls],
            "to webpki, what names no purpose is good for any",
        ),
        |d| d.extensions.clear(),
    ),
    ("serial zero", NOBODY, |d| d.serial = vec![tag::INTEGER, 1, 0]),
    ("a negative serial", NOBODY, |d| d.serial[2] |= 0x80),
    ("a serial of 21 bytes", NOBODY, |d| {
        d.serial = element(tag::INTEGER, &[&[1; 21]])
    }),
    (
        "a serial with a leading zero",
        (&[OpenSsl], "only OpenSSL holds numbers to DER"),
        |d| d.serial = element(tag::INTEGER, &[&[0, 1]]),
    ),
    ("another serial", REGISTRY, |d| d.serial[17] ^= 1),
    (
        "a unique identifier",
        (&[Webpki], "nobody uses the field, and only webpki refuses it"),
        |d| d.unique = vec![0x81, 2, 0, 1],
    ),
    ("another algorithm inside", ALL, |d| {
        d.algorithm = algorithm(ECDSA_SHA384)
    }),
    ("another algorithm outside", ALL, |d| {
        d.outer = algorithm(ECDSA_SHA384)
    }),
    ("another algorithm inside and outside", ALL, |d| {
        d.algorithm = algorithm(ECDSA_SHA384);
        d.outer = algorithm(ECDSA_SHA384);
    }),
    (
        "parameters of the algorithm",
        (&[Webpki], "the others read past the NULL that RFC 5758 forbids"),
        |d| {
            let kind = der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
            d.algorithm = sequence(&[&kind, &[tag::NULL, 0]]);
            d.outer = d.algorithm.clone();
        },
    ),
    ("another issuer's name", ALL, |d| {
        d.issuer = name("Muster device CA")
    }),
    ("no issuer's name", ALL, |d| d.issuer = sequence(&[])),
    ("a key on another curve", NOBODY, |d| {
        d.spki = Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).spki()
    }),
    ("a key of another kind", NOBODY, |d| {
        d.spki = Key::of_kind(&rcgen::PKCS_ED25519).spki()
    }),
    (
        "a point off the curve",
        (
            &[OpenSsl],
            "a path is verified without the key at its end, which only OpenSSL reads",
        ),
        |d| {
            let last = d.spki.len() - 1;
            d.spki[last] ^= 1;
        },
    ),
    ("another key", REGISTRY, |d| d.spki = Key::new().spki()),
];

/// All that must be refused.
pub(super) fn cases(plant: &Plant) -> Vec<Case> {
    let profile = CertificateProfile::Device;
    let (key, good) = (plant.stolen(profile), plant.issue(profile, 1).remove(0));
    let mut cases: Vec<_> = CHANGES
        .iter()
        .map(|(name, refused_by, change)| {
            let mut draft = Draft::of(&good.der);
            change(&mut draft);
            Case {
                name,
                judged: plant.judged(profile, draft.signed(&key)),
                refused_by: refused_by.0,
                why: refused_by.1,
                record: good.record.clone(),
                is_linted: true,
            }
        })
        .collect();
    cases.extend(wrong::cases(plant, &key, &good));
    cases
}

/// The certificates with nothing changed are good: what is refused is the change.
pub(super) fn control(plant: &Plant) -> Judged {
    let profile = CertificateProfile::Device;
    let good = plant.issue(profile, 1).remove(0);
    plant.judged(profile, Draft::of(&good.der).signed(&plant.stolen(profile)))
}
