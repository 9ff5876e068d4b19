//! Who judges certificates: the programs and the library that devices, brokers and people verify with.

use rustls::pki_types::{CertificateDer, UnixTime};
use std::{fs, path::Path, process::Command, time::SystemTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// A leaf, and what is known when it is judged.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) root: Vec<u8>,
    /// Nearest the leaf first.
    pub(super) between: Vec<Vec<u8>>,
    pub(super) leaf: Vec<u8>,
    /// For a server, not for a client.
    pub(super) is_server: bool,
    /// When there are some, the leaf must not stand on them, and one must cover it.
    pub(super) lists: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    OpenSsl,
    GnuTls,
    Webpki,
}

impl Judge {
    pub(super) const ALL: [Self; 3] = [Self::OpenSsl, Self::GnuTls, Self::Webpki];

    /// Why it refuses; `None` when it does not.
    pub(super) fn refuses(self, judged: &Judged) -> Option<String> {
        match self {
            Self::OpenSsl => openssl_all(&[&judged.leaf], judged),
            Self::GnuTls => gnutls(judged),
            Self::Webpki => webpki(judged),
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!(
        "-----BEGIN {label}-----\n{}-----END {label}-----\n",
        lines.collect::<String>()
    )
}

fn write(directory: &Path, name: &str, label: &str, all: &[Vec<u8>]) {
    let text: String = all.iter().map(|der| pem(label, der)).collect();
    fs::write(directory.join(name), text).unwrap();
}

/// `openssl verify -x509_strict` of many leaves under one chain: what it says when it refuses any.
pub(super) fn openssl_all(leaves: &[&[u8]], judged: &Judged) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write(
        directory,
        "root",
        "CERTIFICATE",
        std::slice::from_ref(&judged.root),
    );
    write(directory, "between", "CERTIFICATE", &judged.between);
    write(directory, "lists", "X509 CRL", &judged.lists);
    let names: Vec<_> = (0..leaves.len()).map(|at| at.to_string()).collect();
    for (name, leaf) in names.iter().zip(leaves) {
        fs::write(directory.join(name), pem("CERTIFICATE", leaf)).unwrap();
    }
    let mut verify = Command::new("openssl");
    verify
        .current_dir(directory)
        .args(["verify", "-x509_strict", "-policy_check", "-purpose"]);
    verify.arg(if judged.is_server {
        "sslserver"
    } else {
        "sslclient"
    });
    verify.args(["-CAfile", "root", "-untrusted", "between"]);
    if !judged.lists.is_empty() {
        verify.args(["-crl_check", "-extended_crl", "-CRLfile", "lists"]);
    }
    said(verify.args(names))
}

/// `certtool --verify` of one chain: what it says when it refuses.
pub(super) fn gnutls(judged: &Judged) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut chain = vec![judged.leaf.clone()];
    chain.extend(judged.between.iter().cloned());
    write(
        directory,
        "root",
        "CERTIFICATE",
        std::slice::from_ref(&judged.root),
    );
    write(directory, "chain", "CERTIFICATE", &chain);
    write(directory, "lists", "X509 CRL", &judged.lists);
    let purpose = if judged.is_server { 1 } else { 2 };
    let mut verify = Command::new("certtool");
    verify
        .current_dir(directory)
        .args(["--verify", "--load-ca-certificate", "root", "--infile", "chain"])
        .arg(format!("--verify-purpose=1.3.6.1.5.5.7.3.{purpose}"));
    if !judged.lists.is_empty() {
        verify.args(["--load-crl", "lists"]);
    }
    said(&mut verify)
}

/// What a program said when it did not succeed.
fn said(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .expect("this test needs openssl and certtool (gnutls-bin)");
    let text = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&text).into_owned())
}

/// rustls' verifier: why it refuses.
pub(super) fn webpki(judged: &Judged) -> Option<String> {
    verified(judged).err().map(|error| format!("{error:?}"))
}

fn verified(judged: &Judged) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(judged.root.as_slice());
    let anchor = webpki::anchor_from_trusted_cert(&root)?;
    let between: Vec<_> = judged
        .between
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let leaf = CertificateDer::from(judged.leaf.as_slice());
    let lists: Vec<CertRevocationList<'_>> = judged
        .lists
        .iter()
        .map(|der| OwnedCertRevocationList::from_der(der).map(Into::into))
        .collect::<Result<_, _>>()?;
    let lists: Vec<_> = lists.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::EndEntity)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build()
    });
    let usage = if judged.is_server {
        KeyUsage::server_auth()
    } else {
        KeyUsage::client_auth()
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &between,
            UnixTime::since_unix_epoch(now),
            usage,
            revocation,
            None,
        )
        .map(|_| ())
}
