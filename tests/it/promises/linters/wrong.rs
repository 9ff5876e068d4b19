//! What must be refused for what is around it or how it is signed: wrong keys, wrong chains, wrong bytes, revocation.

use super::{
    forge::{Draft, Extension, Key, name, oid, validity},
    judges::{
        Judge::{GnuTls, OpenSsl, Webpki},
        Judged,
    },
    plant::{Issued, Plant},
    refused::{ALL, By, Case},
};
use muster_domain::{
    certificate::CertificateProfile,
    der::{self, element, sequence, tag},
};

const BER: By = (&[GnuTls, Webpki], "OpenSSL takes BER");
const UNUSED: By = (&[OpenSsl, GnuTls], "webpki does not look at key usages");
const UNMISSED: By = (
    &[OpenSsl, Webpki],
    "certtool asks of no certificate that a list covers it",
);

/// A certificate of an authority made like this leaf, by the authority that signed the leaf.
fn below(good: &[u8], key: &Key, authority: &Key) -> Vec<u8> {
    let mut draft = Draft::of(good);
    draft.extension(oid::BASIC).value = sequence(&[&[tag::BOOLEAN, 1, 0xff]]);
    draft.extension(oid::KEY_USAGE).value = element(tag::BIT_STRING, &[&[1, 0b0000_0110]]);
    draft.without(oid::NAMES);
    draft.spki = key.spki();
    draft.signed(authority)
}

/// A leaf like this one, signed by the holder of `issuer`.
fn under(good: &[u8], issuer: &[u8], key: &Key) -> Vec<u8> {
    let (mut draft, issuer) = (Draft::of(good), Draft::of(issuer));
    draft.issuer = issuer.subject;
    draft.without(oid::AUTHORITY_KEY);
    let identifier = issuer
        .extensions
        .iter()
        .find(|one| one.kind == oid::SUBJECT_KEY)
        .unwrap();
    // [0] in place of OCTET STRING.
    let mut identifier = identifier.value.clone();
    identifier[0] = 0x80;
    draft.extensions.push(Extension::new(
        oid::AUTHORITY_KEY,
        false,
        &sequence(&[&identifier]),
    ));
    draft.signed(key)
}

/// The last element of a certificate's three, changed.
fn signature(good: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let draft = Draft::of(good);
    let tail = draft.with_signature(&[]).len() - 3;
    // SEQUENCE and its two bytes of length are as long for both.
    let mut bits = good[tail..].to_vec();
    let mut signature = bits.split_off(3);
    change(&mut signature);
    draft.with_signature(&signature)
}

/// These cases, of a good certificate and the stolen key of its authority.
pub(super) fn cases(plant: &Plant, key: &Key, good: &Issued) -> Vec<Case> {
    let profile = CertificateProfile::Device;
    let stranger = Key::new();
    let draft = Draft::of(&good.der);
    let plain = |leaf: Vec<u8>| plant.judged(profile, leaf);
    let operators = |leaf: Vec<u8>| plant.judged(CertificateProfile::Operator, leaf);
    let between = |leaf: Vec<u8>, more: Vec<u8>| {
        let mut judged = plain(leaf);
        judged.between.insert(0, more);
        judged
    };
    let other = Plant::new("http://crl.example:8080/crl");
    let middle = below(&good.der, &stranger, key);
    let leaf_key = Key::new();
    let mut leaf = draft.clone();
    leaf.spki = leaf_key.spki();
    let leaf = leaf.signed(key);
    let mut swapped = draft.clone();
    let last = swapped.subject.len() - 1;
    swapped.subject[last] ^= 1;
    let mut address = Draft::of(&plant.issue(CertificateProfile::Operator, 1)[0].der);
    let ip = sequence(&[&element(0x87, &[&[10, 0, 0, 1]])]);
    address.extensions.push(Extension::new(oid::NAMES, false, &ip));
    let original = signature(&good.der, |_| {});
    assert_eq!(original, good.der, "taken apart and put together");
    let mut cases = vec![
        (
            "a stranger's signature",
            ALL,
            plain(draft.signed(&stranger)),
            true,
        ),
        (
            "a flipped bit of the signature",
            ALL,
            plain(signature(&good.der, |s| *s.last_mut().unwrap() ^= 1)),
            true,
        ),
        ("no signature", ALL, plain(signature(&good.der, Vec::clear)), true),
        (
            "a cut signature",
            ALL,
            plain(signature(&good.der, |s| s.truncate(s.len() - 1))),
            true,
        ),
        (
            "a signature of zeros",
            ALL,
            plain(signature(&good.der, |s| {
                *s = sequence(&[&[tag::INTEGER, 1, 0], &[tag::INTEGER, 1, 0]])
            })),
            true,
        ),
        (
            "the signature of other bytes",
            ALL,
            plain(swapped.with_signature(&signature_of(&good.der))),
            true,
        ),
        (
            "a byte behind it",
            (&[GnuTls, Webpki], "OpenSSL reads the first of what a PEM holds"),
            plain([&good.der[..], &[0]].concat()),
            true,
        ),
        (
            "a byte cut off",
            ALL,
            plain(good.der[..good.der.len() - 1].to_vec()),
            true,
        ),
        ("an indefinite length", BER, plain(indefinite(&good.der)), true),
        (
            "a length in too many bytes",
            (&[Webpki], "the others take BER there"),
            plain(padded(&good.der)),
            true,
        ),
        (
            "below an authority that may have none below",
            ALL,
            between(under(&good.der, &middle, &stranger), middle.clone()),
            true,
        ),
        (
            "below a leaf",
            ALL,
            between(under(&good.der, &leaf, &leaf_key), leaf.clone()),
            true,
        ),
        ("signed by itself", ALL, plain(itself(&draft, &stranger)), true),
        (
            "of another registry",
            ALL,
            Judged {
                root: other.ca.roots().remove(0),
                ..plain(good.der.clone())
            },
            false,
        ),
        (
            "without its issuer",
            ALL,
            Judged {
                between: Vec::new(),
                ..plain(good.der.clone())
            },
            false,
        ),
        ("with another issuer", ALL, operators(good.der.clone()), false),
        (
            "as a server",
            ALL,
            Judged {
                is_server: true,
                ..plain(good.der.clone())
            },
            false,
        ),
        (
            "a server as a client",
            ALL,
            Judged {
                is_server: false,
                ..plant.judged(
                    CertificateProfile::Server,
                    plant.issue(CertificateProfile::Server, 1)[0].der.clone(),
                )
            },
            true,
        ),
        (
            "an operator's with an address",
            ALL,
            operators(address.signed(&plant.stolen(CertificateProfile::Operator))),
            true,
        ),
    ];
    cases.extend(
        lists(plant, key, good, &other)
            .into_iter()
            .map(|(name, by, lists)| {
                let judged = Judged {
                    lists,
                    ..plain(good.der.clone())
                };
                (name, by, judged, false)
            }),
    );
    cases.extend(authorities(plant).into_iter().map(|(name, by, authority)| {
        let between = vec![authority];
        (
            name,
            by,
            Judged {
                between,
                ..plain(good.der.clone())
            },
            false,
        )
    }));
    cases
        .into_iter()
        .map(|(name, (refused_by, why), judged, is_linted)| Case {
            name,
            judged,
            refused_by,
            why,
            record: good.record.clone(),
            is_linted,
        })
        .collect()
}

/// Authorities under which a good certificate is refused, signed with the stolen key of the root.
fn authorities(plant: &Plant) -> Vec<(&'static str, By, Vec<u8>)> {
    type Change = fn(&mut Draft);
    const CHANGES: [(&str, By, Change); 10] = [
        ("under an authority that ended", ALL, |d| {
            d.validity = validity("200101000000Z", "210101000000Z")
        }),
        ("under an authority to come", ALL, |d| {
            d.validity = validity("480101000000Z", "490101000000Z")
        }),
        ("under what is no authority", ALL, |d| {
            d.extension(oid::BASIC).value = sequence(&[])
        }),
        ("under an authority without basic constraints", ALL, |d| {
            d.without(oid::BASIC)
        }),
        ("under an authority that may not sign certificates", UNUSED, |d| {
            d.extension(oid::KEY_USAGE).value = element(tag::BIT_STRING, &[&[7, 0b1000_0000]]);
        }),
        ("under an authority for servers", ALL, |d| {
            let server = der::oid(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
            d.extension(oid::PURPOSE).value = sequence(&[&server]);
        }),
        (
            "under an authority with an unknown critical extension",
            ALL,
            |d| {
                d.extensions
                    .push(Extension::new(oid::UNKNOWN, true, &[tag::NULL, 0]));
            },
        ),
        ("under an authority of another name", ALL, |d| {
            d.subject = name("Muster device CA")
        }),
        ("under an authority with another key", ALL, |d| {
            d.spki = Key::new().spki()
        }),
        ("under an authority of version 1", ALL, |d| {
            d.version.clear();
            d.extensions.clear();
        }),
    ];
    let root = plant.stolen_from(&plant.ca.roots()[0]);
    let issuing = plant
        .ca
        .issuer_certificate(plant.issuer(CertificateProfile::Device));
    let draft = Draft::of(&issuing.unwrap());
    let mut all: Vec<_> = CHANGES
        .iter()
        .map(|(name, by, change)| {
            let mut draft = draft.clone();
            change(&mut draft);
            (*name, *by, draft.signed(&root))
        })
        .collect();
    all.push((
        "under an authority that a stranger signed",
        ALL,
        draft.signed(&Key::new()),
    ));
    all
}

/// Lists for which a good certificate is refused.
fn lists(plant: &Plant, key: &Key, good: &Issued, other: &Plant) -> Vec<(&'static str, By, Vec<Vec<u8>>)> {
    let (authority, shard) = (good.record.issuer.unwrap(), good.record.serial.shard());
    let clean = plant.list(authority, shard, &[]);
    let revoked = plant.list(authority, shard, std::slice::from_ref(good));
    let beside = plant.list(authority, (shard + 1) % 16, &[]);
    let operators = plant.list(plant.issuer(CertificateProfile::Operator), shard, &[]);
    let mut flipped = clean.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let ended = ended(&clean, key);
    vec![
        ("revoked", ALL, vec![revoked]),
        (
            "a list that ended",
            (&[OpenSsl, Webpki], "certtool believes the lists that it is given"),
            vec![ended],
        ),
        (
            "a list whose signature is wrong",
            (&[OpenSsl, Webpki], "certtool believes the lists that it is given"),
            vec![flipped],
        ),
        ("the list of another shard", UNMISSED, vec![beside]),
        ("the list of another authority", UNMISSED, vec![operators]),
        (
            "the list of another registry",
            UNMISSED,
            vec![other.list(other.issuer(CertificateProfile::Device), shard, &[])],
        ),
    ]
}

/// The same list, with dates long ago.
fn ended(list: &[u8], key: &Key) -> Vec<u8> {
    use muster_domain::der::Reader;
    let mut parts = Reader::new(Reader::new(list).expect(tag::SEQUENCE).unwrap().content);
    let mut inner = Reader::new(parts.expect(tag::SEQUENCE).unwrap().content);
    let algorithm = parts.expect(tag::SEQUENCE).unwrap().whole;
    let mut fields = Vec::new();
    while !inner.is_empty() {
        fields.push(inner.next().unwrap().whole.to_vec());
    }
    for (field, date) in [(3, b"200101000000Z"), (4, b"200108000000Z")] {
        fields[field] = element(tag::UTC_TIME, &[date]);
    }
    let signed = sequence(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let bits = element(tag::BIT_STRING, &[&[0], &key.sign(&signed)]);
    sequence(&[&signed, algorithm, &bits])
}

/// The signature of a certificate.
fn signature_of(certificate: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    signature(certificate, |signature| found.clone_from(signature));
    found
}

/// One that names itself as its issuer, and is signed by its own key.
fn itself(draft: &Draft, key: &Key) -> Vec<u8> {
    let mut draft = draft.clone();
    draft.issuer = draft.subject.clone();
    draft.spki = key.spki();
    draft.without(oid::AUTHORITY_KEY);
    draft.signed(key)
}

/// The outermost length left open, as BER may and DER may not.
fn indefinite(certificate: &[u8]) -> Vec<u8> {
    [&[tag::SEQUENCE, 0x80], &certificate[4..], &[0, 0]].concat()
}

/// The outermost length in one byte more than it needs.
fn padded(certificate: &[u8]) -> Vec<u8> {
    [&[tag::SEQUENCE, 0x83, 0], &certificate[2..4], &certificate[4..]].concat()
}
