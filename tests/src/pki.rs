//! Keys and certificates of every kind that a server may meet.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};
use std::fmt;

/// A client's certificate chain and key, PEM.
#[derive(Clone)]
pub struct Pair {
    /// Leaf first.
    pub chain: String,
    /// PKCS#8.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// A device's or operator's key.
#[derive(Debug)]
pub struct Key(KeyPair);

impl Key {
    /// A fresh key on prime256v1.
    pub fn new() -> Self {
        Self(KeyPair::generate().expect("a key"))
    }

    /// A fresh key of another kind.
    pub fn of_kind(kind: &'static SignatureAlgorithm) -> Self {
        Self(KeyPair::generate_for(kind).expect("a key"))
    }

    /// The key of a pair.
    pub fn of_pair(pair: &Pair) -> Self {
        Self(KeyPair::from_pem(&pair.key).expect("a key"))
    }

    /// The public half: PEM of its SubjectPublicKeyInfo in one line, as a cell has it.
    pub fn public(&self) -> String {
        self.0.public_key_pem().replace(['\r', '\n'], "\\n")
    }

    /// A request for its certification, DER, without any name.
    pub fn csr(&self) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .serialize_request(&self.0)
            .expect("a request")
            .der()
            .to_vec()
    }

    /// A request that also asks for a name: what the registry never grants.
    pub fn csr_with_name(&self, name: &str) -> Vec<u8> {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        params
            .serialize_request(&self.0)
            .expect("a request")
            .der()
            .to_vec()
    }

    /// With a chain that was issued for it, DER.
    pub fn pair(&self, chain: &[impl AsRef<[u8]>]) -> Pair {
        Pair {
            chain: chain.iter().map(|der| pem(der.as_ref())).collect(),
            key: self.0.serialize_pem(),
        }
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// A certificate in PEM (RFC 7468).
fn pem(der: &[u8]) -> String {
    muster_server::ca::certificate_pem(der)
}

/// An authority that the registry knows nothing of.
#[derive(Debug)]
pub struct ForeignCa(CertifiedIssuer<'static, KeyPair>);

impl ForeignCa {
    /// A fresh one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    /// A client certificate under any common name.
    pub fn client(&self, name: &str) -> Pair {
        self.client_with(name, &KeyPair::generate().expect("a key"), 4096)
    }

    /// The same for a key of any kind, with an end at the beginning of this year.
    pub fn client_with(&self, name: &str, key: &KeyPair, end: i32) -> Pair {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        let certificate = params.signed_by(key, &self.0).expect("a certificate");
        Pair {
            chain: certificate.pem() + &self.0.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for ForeignCa {
    fn default() -> Self {
        Self::new()
    }
}
