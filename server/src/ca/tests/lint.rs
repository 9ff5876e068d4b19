//! The lint sees every defect: certificates are spoiled in all the ways a mistake of ours could spoil them.

use super::{request::Draft, *};
use crate::ca::{
    authority,
    der::{Reader, element, sequence, tag},
    key::{PrivateKey, PublicKey},
    lint::{self, Signer},
    lint_bytes, lint_defect,
    profile::{self, Alternative, Excluded, Kind, Locations, Purpose, Template},
    profiles,
};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints,
    SanType,
};
use std::time::Duration;

struct Bench {
    issuer: PrivateKey,
    holder: PrivateKey,
    template: Template,
}

const ISSUER: (&str, &str) = ("Example GmbH", "Muster device CA");

impl Bench {
    fn new(kind: Kind) -> Self {
        let [issuer, holder] = [(); 2].map(|()| PrivateKey::generate().unwrap().0);
        let template = Template {
            kind,
            serial: authority::serial(NOW).unwrap(),
            not_before: NOW,
            not_after: NOW.plus(Duration::from_secs(365 * 86_400)),
            organisation: "Example GmbH".to_owned(),
            unit: None,
            common_name: device(1).id.to_string(),
            locations: None,
        };
        Self {
            issuer,
            holder,
            template,
        }
    }

    fn device() -> Self {
        Self::new(Kind::Leaf(
            Purpose::Client,
            Alternative::Hardware("GW2-7000001".to_owned()),
        ))
    }

    /// A gateway's, which says all that a certificate of ours can say.
    fn gateway() -> Self {
        let mut bench = Self::device();
        bench.template.unit = Some("gateway".to_owned());
        bench.template.locations = Some(Locations {
            list: "http://crl.example/a/7.crl".to_owned(),
            issuer: "http://crl.example/a.cer".to_owned(),
        });
        bench
    }

    /// A certificate from the spoiled order.
    fn build(&self, spoil: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = self.template.params(self.holder.public()).unwrap();
        spoil(&mut params);
        params
            .signed_by(self.holder.public(), &self.issuer(ISSUER))
            .unwrap()
            .der()
            .to_vec()
    }

    /// A good certificate whose fields are changed, signed again.
    fn alter(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
        let good = self.build(|_| {});
        let mut parts = Reader::new(Reader::new(&good).expect(tag::SEQUENCE).unwrap().content);
        let mut inner = Reader::new(parts.expect(tag::SEQUENCE).unwrap().content);
        let algorithm = parts.expect(tag::SEQUENCE).unwrap().whole;
        let mut fields = Vec::new();
        while !inner.is_empty() {
            fields.push(inner.next().unwrap().whole.to_vec());
        }
        change(&mut fields);
        let signed = sequence(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let signature = self.issuer.sign(&signed).unwrap();
        sequence(&[&signed, algorithm, &element(tag::BIT_STRING, &[&[0], &signature])])
    }

    fn issuer(&self, name: (&str, &str)) -> Issuer<'static, PrivateKey> {
        let mut params = CertificateParams::default();
        params.distinguished_name = profile::distinguished_name(name.0, name.1);
        params.key_identifier_method = KeyIdMethod::PreSpecified(self.issuer.public().identifier());
        Issuer::new(params, self.issuer.clone())
    }

    fn check(&self, bytes: &[u8]) -> Result<(), Defect> {
        let name = lint_bytes::name(ISSUER.0, None, ISSUER.1);
        lint::check(
            bytes,
            &self.template,
            self.holder.public(),
            Signer {
                name: &name,
                key: self.issuer.public(),
            },
        )
    }
}

#[test]
fn good_certificates_of_every_kind_pass() {
    let server = ["muster.example", "10.0.0.1", "fd00::1"]
        .map(|name| name.try_into().unwrap())
        .to_vec();
    for kind in [
        Kind::Issuing(Purpose::Client, Excluded::Hosts),
        Kind::Issuing(Purpose::Client, Excluded::Addresses),
        Kind::Issuing(Purpose::Server, Excluded::Nothing),
        Kind::Leaf(Purpose::Client, Alternative::Hardware("GW2-7000001".to_owned())),
        Kind::Leaf(Purpose::Client, Alternative::Nothing),
        Kind::Leaf(Purpose::Server, Alternative::Server(server)),
        Kind::Leaf(Purpose::ConfigSigning, Alternative::Nothing),
    ] {
        let bench = Bench::new(kind.clone());
        assert_eq!(bench.check(&bench.build(|_| {})), Ok(()), "{kind:?}");
        // Over the year 2050, where the form of dates changes.
        let mut late = Bench::new(kind.clone());
        late.template.not_after = NOW.plus(Duration::from_secs(30 * 365 * 86_400));
        assert_eq!(late.check(&late.build(|_| {})), Ok(()), "{kind:?}");
        let mut endless = Bench::new(kind.clone());
        endless.template.not_after = profiles::NO_EXPIRY;
        assert_eq!(endless.check(&endless.build(|_| {})), Ok(()), "{kind:?}");
        let mut located = Bench::new(kind.clone());
        located.template.unit = Some("gateway".to_owned());
        if matches!(kind, Kind::Leaf(..)) {
            located.template.locations = Some(Locations {
                list: "http://crl.example/a/7.crl".to_owned(),
                issuer: "http://crl.example/a.cer".to_owned(),
            });
        }
        assert_eq!(located.check(&located.build(|_| {})), Ok(()), "{kind:?}");
    }
}

#[test]
fn every_seeded_defect_is_found() {
    let bench = Bench::device();
    let check = |what: &str, expected: Defect, spoil: &dyn Fn(&mut CertificateParams)| {
        assert_eq!(bench.check(&bench.build(spoil)), Err(expected), "{what}");
    };
    let second = Duration::from_secs(1);
    check("another serial", Defect::Serial, &|p| {
        p.serial_number = Some(vec![1; 16].into())
    });
    check("a short serial", Defect::Serial, &|p| {
        p.serial_number = Some(vec![1; 8].into())
    });
    check("rcgen's own serial", Defect::Serial, &|p| p.serial_number = None);
    check("an earlier start", Defect::Validity, &|p| p.not_before -= second);
    check("a later end", Defect::Validity, &|p| p.not_after += second);
    check("rcgen's own dates", Defect::Validity, &|p| {
        p.not_after = CertificateParams::default().not_after
    });
    check("another name", Defect::Subject, &|p| {
        p.distinguished_name.push(DnType::CommonName, "another")
    });
    check("one more name", Defect::Subject, &|p| {
        p.distinguished_name.push(DnType::CountryName, "DE")
    });
    check("no name", Defect::Subject, &|p| {
        p.distinguished_name = Default::default()
    });
    check("rcgen's own name", Defect::Subject, &|p| {
        p.distinguished_name = CertificateParams::default().distinguished_name;
    });
    let extension =
        |what: &str, spoil: &dyn Fn(&mut CertificateParams)| check(what, Defect::Extensions, spoil);
    extension("an authority", &|p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))
    });
    extension("an unconstrained authority", &|p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    extension("no basic constraints", &|p| p.is_ca = IsCa::NoCa);
    extension("one more usage", &|p| {
        p.key_usages.push(KeyUsagePurpose::KeyAgreement)
    });
    extension("usage of an authority", &|p| {
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign]
    });
    extension("no usage", &|p| p.key_usages.clear());
    extension("server as well", &|p| {
        p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)
    });
    extension("any purpose", &|p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]
    });
    extension("no purpose", &|p| p.extended_key_usages.clear());
    extension("no hardware name", &|p| p.custom_extensions.clear());
    extension("another hardware name", &|p| {
        let other = profile::hardware_module_name("GW2-7000002");
        p.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], other)];
    });
    extension("a critical hardware name", &|p| {
        p.custom_extensions[0].set_criticality(true)
    });
    extension("a DNS name beside it", &|p| {
        p.subject_alt_names = vec![SanType::DnsName("muster.example".try_into().unwrap())];
    });
    extension("the hardware name twice", &|p| {
        p.custom_extensions.push(p.custom_extensions[0].clone())
    });
    extension("an unknown extension", &|p| {
        p.custom_extensions
            .push(CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]));
    });
    extension("no authority key identifier", &|p| {
        p.use_authority_key_identifier_extension = false
    });
    extension("rcgen's own key identifier", &|p| {
        p.key_identifier_method = KeyIdMethod::Sha256;
    });
    extension("name constraints", &|p| {
        let example = vec![GeneralSubtree::DnsName("example".to_owned())];
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: example,
            excluded_subtrees: Vec::new(),
        });
    });
    extension("a distribution point", &|p| {
        p.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec!["http://crl.example/".to_owned()],
        }];
    });
}

#[test]
fn defects_of_units_and_locations_are_found() {
    let bench = Bench::gateway();
    let check = |what: &str, expected: Defect, spoil: &dyn Fn(&mut CertificateParams)| {
        assert_eq!(bench.check(&bench.build(spoil)), Err(expected), "{what}");
    };
    assert_eq!(bench.check(&bench.build(|_| {})), Ok(()));
    check("no unit", Defect::Subject, &|p| {
        p.distinguished_name.remove(DnType::OrganizationalUnitName);
    });
    check("another unit", Defect::Subject, &|p| {
        p.distinguished_name.push(DnType::OrganizationalUnitName, "line");
    });
    check("no distribution point", Defect::Extensions, &|p| {
        p.crl_distribution_points.clear()
    });
    check("another list", Defect::Extensions, &|p| {
        p.crl_distribution_points[0].uris = vec!["http://crl.example/a/8.crl".to_owned()];
    });
    check("two lists", Defect::Extensions, &|p| {
        p.crl_distribution_points[0]
            .uris
            .push("http://crl.example/a/8.crl".to_owned());
    });
    check("two distribution points", Defect::Extensions, &|p| {
        p.crl_distribution_points
            .push(p.crl_distribution_points[0].clone());
    });
    check("no issuer's certificate", Defect::Extensions, &|p| {
        drop(p.custom_extensions.pop())
    });
    check("another issuer's certificate", Defect::Extensions, &|p| {
        let other = profile::authority_information("http://crl.example/b.cer");
        p.custom_extensions[1] = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], other);
    });
    check("a critical one", Defect::Extensions, &|p| {
        p.custom_extensions[1].set_criticality(true)
    });
}

#[test]
fn defects_of_constraints_are_found() {
    let bench = Bench::new(Kind::Issuing(Purpose::Client, Excluded::Hosts));
    let check = |what: &str, spoil: &dyn Fn(&mut CertificateParams)| {
        assert_eq!(
            bench.check(&bench.build(spoil)),
            Err(Defect::Extensions),
            "{what}"
        );
    };
    check("no constraints", &|p| p.name_constraints = None);
    check("one subtree less", &|p| {
        drop(p.name_constraints.as_mut().unwrap().excluded_subtrees.pop());
    });
    check("permitted, not excluded", &|p| {
        let constraints = p.name_constraints.as_mut().unwrap();
        std::mem::swap(
            &mut constraints.permitted_subtrees,
            &mut constraints.excluded_subtrees,
        );
    });
    check("one domain only", &|p| {
        p.name_constraints.as_mut().unwrap().excluded_subtrees[0] =
            GeneralSubtree::DnsName("example".to_owned());
    });
    check("authorities below it", &|p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))
    });
    check("for servers", &|p| {
        p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    });
}

/// What comes of it when rcgen is given a spoiled order, and the key the true one.
fn signed(
    bench: &Bench,
    verify: Option<&PublicKey>,
    spoil: impl FnOnce(&mut CertificateParams),
) -> Result<(), Defect> {
    let name = lint_bytes::name(ISSUER.0, None, ISSUER.1);
    let signer = Signer {
        name: &name,
        key: bench.issuer.public(),
    };
    let holder = bench.holder.public();
    let expected = lint_bytes::to_be_signed(&bench.template, holder, signer);
    let mut params = bench.template.params(holder).unwrap();
    spoil(&mut params);
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = profile::distinguished_name(ISSUER.0, ISSUER.1);
    issuer.key_identifier_method = KeyIdMethod::PreSpecified(bench.issuer.public().identifier());
    let made = lint::signed(
        &bench.issuer,
        &expected,
        verify,
        |bound| {
            Ok(params
                .signed_by(holder, &Issuer::from_params(&issuer, bound))?
                .der()
                .to_vec())
        },
        |other| lint_defect::of(other, &bench.template, holder, signer),
    );
    match made {
        Ok(made) => bench.check(&made),
        Err(CaError::Lint(defect)) => Err(defect),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn nothing_is_signed_that_two_encoders_write_differently() {
    let bench = Bench::gateway();
    assert_eq!(signed(&bench, None, |_| {}), Ok(()));
    assert_eq!(signed(&bench, Some(bench.issuer.public()), |_| {}), Ok(()));
    let serial = |p: &mut CertificateParams| p.serial_number = Some(vec![1; 16].into());
    assert_eq!(signed(&bench, None, serial), Err(Defect::Serial));
    let authority = |p: &mut CertificateParams| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert_eq!(signed(&bench, None, authority), Err(Defect::Extensions));
    let stranger = PrivateKey::generate().unwrap().0;
    assert_eq!(
        signed(&bench, Some(stranger.public()), |_| {}),
        Err(Defect::Signature)
    );
}

#[test]
fn of_many_signatures_the_first_and_then_some_are_verified() {
    let sampling = lint::Sampling::default();
    let verified = |proof| (0..1000).filter(|_| sampling.is_due(proof)).count();
    assert!(sampling.is_due(lint::Proof::Sampled), "the first");
    assert_eq!(verified(lint::Proof::Always), 1000);
    assert!((7..=8).contains(&verified(lint::Proof::Sampled)));
}

#[test]
fn a_wrong_key_or_issuer_is_found() {
    let bench = Bench::device();
    let params = bench.template.params(bench.holder.public()).unwrap();
    let stranger = PrivateKey::generate().unwrap().0;
    let foreign = params
        .signed_by(stranger.public(), &bench.issuer(ISSUER))
        .unwrap();
    assert_eq!(bench.check(foreign.der()), Err(Defect::Key));
    let renamed = params
        .signed_by(
            bench.holder.public(),
            &bench.issuer(("Example GmbH", "Muster operator CA")),
        )
        .unwrap();
    assert_eq!(bench.check(renamed.der()), Err(Defect::Issuer));
    // The right name and key identifier, signed by another key.
    let mut pretender = CertificateParams::default();
    pretender.distinguished_name = profile::distinguished_name(ISSUER.0, ISSUER.1);
    pretender.key_identifier_method = KeyIdMethod::PreSpecified(bench.issuer.public().identifier());
    let forged = params
        .signed_by(bench.holder.public(), &Issuer::new(pretender, stranger))
        .unwrap();
    assert_eq!(bench.check(forged.der()), Err(Defect::Signature));
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = params
        .signed_by(
            bench.holder.public(),
            &Issuer::from_params(&CertificateParams::default(), other),
        )
        .unwrap();
    assert_eq!(bench.check(p384.der()), Err(Defect::Algorithm));
}

#[test]
fn what_rcgen_would_never_write_is_found() {
    let bench = Bench::device();
    let check = |what: &str, expected: Result<(), Defect>, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        assert_eq!(bench.check(&bench.alter(change)), expected, "{what}");
    };
    // Version, serial, algorithm, issuer, validity, subject, key, extensions.
    check("nothing", Ok(()), &|_| {});
    check("version 2", Err(Defect::Version), &|fields| fields[0][4] = 1);
    check("version 1, written out", Err(Defect::Version), &|fields| {
        fields[0][4] = 0
    });
    check("version 1", Err(Defect::Form), &|fields| drop(fields.remove(0)));
    check("another algorithm inside", Err(Defect::Algorithm), &|fields| {
        let last = fields[2].len() - 1;
        fields[2][last] = 3;
    });
    check("an identifier of the issuer", Err(Defect::Form), &|fields| {
        fields.insert(7, vec![0x81, 2, 0, 1]);
    });
    check("an identifier of the subject", Err(Defect::Form), &|fields| {
        fields.insert(7, vec![0x82, 2, 0, 1]);
    });
    check("no extensions", Err(Defect::Form), &|fields| drop(fields.pop()));
    check("a field more", Err(Defect::Form), &|fields| {
        fields.push(vec![tag::NULL, 0])
    });
    check("a default written out", Err(Defect::Extensions), &|fields| {
        // FALSE goes between the OID of the purpose and its value.
        let purpose = [tag::OID, 3, 0x55, 0x1d, 37];
        let mut list = Reader::new(Reader::new(&fields[7]).expect(tag::CONTEXT_3).unwrap().content);
        let mut all = Reader::new(list.expect(tag::SEQUENCE).unwrap().content);
        let mut extensions = Vec::new();
        while !all.is_empty() {
            let extension = all.expect(tag::SEQUENCE).unwrap();
            extensions.extend(match extension.content.strip_prefix(&purpose) {
                Some(value) => sequence(&[&purpose, &[tag::BOOLEAN, 1, 0], value]),
                None => extension.whole.to_vec(),
            });
        }
        fields[7] = element(tag::CONTEXT_3, &[&sequence(&[&extensions])]);
    });
}

#[test]
fn every_flipped_bit_is_found() {
    let bench = Bench::device();
    let good = bench.build(|_| {});
    for bit in 0..8 * good.len() {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(bench.check(&flipped).is_err(), "bit {bit}");
    }
    assert_eq!(bench.check(&[&good[..], &[0]].concat()), Err(Defect::Form));
    assert_eq!(bench.check(&good[..good.len() - 1]), Err(Defect::Form));
    assert_eq!(bench.check(&[]), Err(Defect::Form));
    assert_eq!(
        bench.check(&Draft::good().build()),
        Err(Defect::Form),
        "a request"
    );
}
