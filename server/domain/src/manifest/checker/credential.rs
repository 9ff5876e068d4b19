//! What a row brings for the identity of its device. That a request is signed by its key is for the authority to check.

use super::super::{
    KeyKind, RowCredential,
    cells::{Found, Misfit, Value},
};
use super::{Checker, Findings};
use crate::{Code, batch::CredentialKind};

const FIELD: &str = "credential";

/// Where a credential stands; never its text, which may be a private key by mistake.
fn at(value: &Value<'_>, code: Code, why: impl Into<String>) -> Misfit {
    Misfit {
        column: value.column,
        ..Misfit::new(code, FIELD, why)
    }
}

/// Is it what this kind of import asks for?
fn fits(kind: CredentialKind, credential: &RowCredential) -> Result<(), (Code, &'static str)> {
    let malformed = |why| Err((Code::CredentialMalformed, why));
    match (kind, credential) {
        (
            CredentialKind::Csr,
            RowCredential::Request {
                key: KeyKind::P256, ..
            },
        ) => Ok(()),
        (CredentialKind::Csr, RowCredential::Request { .. }) => {
            Err((Code::CsrKey, "has a key that is not on prime256v1"))
        }
        (CredentialKind::Csr, RowCredential::PublicKey { .. } | RowCredential::Certificate { .. }) => {
            malformed("is no certificate request, which this import signs")
        }
        (CredentialKind::Pinned, RowCredential::Certificate { .. }) => Ok(()),
        (
            CredentialKind::Pinned,
            RowCredential::PublicKey {
                key: KeyKind::P256, ..
            },
        ) => Ok(()),
        (CredentialKind::Pinned, RowCredential::PublicKey { .. }) => malformed(
            "is a public key that is not on prime256v1: no certificate can be made for it; send the one that the device has",
        ),
        (CredentialKind::Pinned, RowCredential::Request { .. }) => {
            malformed("is a certificate request; to have it signed, import with the credential kind csr")
        }
        (CredentialKind::Code | CredentialKind::Key, _) => Ok(()),
    }
}

impl Checker {
    /// The credential of a row, where this import expects one. A device that exists has its identity, so a row without one
    /// lacks only what a new device needs.
    pub(super) fn credential(
        &mut self,
        row: u32,
        cell: &Found<'_>,
        findings: &mut Findings,
        lacking: &mut Vec<Misfit>,
    ) -> Option<RowCredential> {
        match self.expects {
            CredentialKind::Code | CredentialKind::Key => return None,
            CredentialKind::Csr | CredentialKind::Pinned => {}
        }
        if matches!(cell, Found::Nothing) {
            let why = "the row has no certificate request, public key or certificate";
            lacking.push(Misfit::new(Code::CredentialMissing, FIELD, why));
        }
        let value = cell.value()?;
        let read = RowCredential::parse(&value.text);
        let credential = findings.take(read.map_err(|refusal| at(value, refusal.code, refusal.message)))?;
        let fit = fits(self.expects, &credential).map_err(|(code, why)| at(value, code, why));
        findings.take(fit)?;
        if let Some(first) = self.keys.note(&credential.spki().0, row) {
            let why = format!("its key stands in row {first} already");
            findings.refuse(at(value, Code::CredentialRepeated, why));
        }
        Some(credential)
    }
}
