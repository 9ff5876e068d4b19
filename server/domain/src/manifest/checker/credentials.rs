//! The credential that an import asks each row for.

use super::super::{
    RowCredential,
    cells::{Found, Misfit},
    credential::KeyKind,
};
use super::{Checker, Findings};
use crate::{Code, Refusal};

/// What rows must bring. A device that exists has its identity, so its rows need not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CredentialNeed {
    /// Nothing: what a row brings is not looked at.
    #[default]
    Nothing,
    /// A certificate request.
    Request,
    /// A public key, or a certificate that somebody else gave.
    Key,
}

impl Checker {
    /// Asks every row for a credential, with a key that no earlier row has.
    #[must_use]
    pub fn needing(mut self, need: CredentialNeed) -> Self {
        self.need = need;
        self
    }

    /// Finds what is wrong with a row's credential; gives back what is missing. A problem never repeats the text: it may
    /// be a private key, put there by mistake.
    pub(super) fn credential(
        &mut self,
        row: u32,
        cell: &Found<'_>,
        findings: &mut Findings,
    ) -> Option<Misfit> {
        let wanted = match self.need {
            CredentialNeed::Nothing => return None,
            CredentialNeed::Request => "a certificate request",
            CredentialNeed::Key => "a public key or certificate",
        };
        let value = match cell {
            Found::Bad => return None,
            Found::Nothing => {
                let why = format!("the row has no credential; it needs {wanted}");
                return Some(Misfit::new(Code::CredentialMissing, "credential", why).by(wanted));
            }
            Found::Value(value) => value,
        };
        let misfit = |refusal: Refusal| Misfit {
            refusal: refusal.at("credential"),
            column: value.column,
            value: String::new(),
            rule: wanted.to_owned(),
        };
        let fits = |read: RowCredential| self.need.allows(&read).map(|()| read.spki());
        let key = findings.take(RowCredential::parse(&value.text).and_then(fits).map_err(misfit))?;
        if let Some(first) = self.keys.note(&key.0, row) {
            let why = format!("row {first} has the same key");
            findings.refuse(misfit(Refusal::new(Code::CredentialRepeated, why)));
        }
        None
    }
}

impl CredentialNeed {
    fn allows(self, credential: &RowCredential) -> Result<(), Refusal> {
        let (is_request, what) = match credential {
            RowCredential::Request { .. } => (true, "a certificate request"),
            RowCredential::PublicKey { .. } => (false, "a public key"),
            RowCredential::Certificate { .. } => (false, "a certificate"),
        };
        match (self, is_request) {
            (Self::Request, true) if credential.key() != KeyKind::P256 => Err(Refusal::new(
                Code::CsrKey,
                "has another key than one on prime256v1",
            )),
            (Self::Request, false) => Err(Refusal::new(
                Code::CredentialMalformed,
                format!("is {what}, and this import certifies requests"),
            )),
            (Self::Key, true) => Err(Refusal::new(
                Code::CredentialMalformed,
                format!("is {what}, and this import takes keys as they are"),
            )),
            (Self::Nothing, _) | (Self::Request, true) | (Self::Key, false) => Ok(()),
        }
    }
}
