//! What a row says of the claim of its device: with which key, and when. Whether another device has the key, and whether
//! the time has passed, is for whoever knows the registry and the time.

use super::super::{
    CellKind, RowClaim,
    cells::{Cells, Found, Misfit, Value},
    damage::Damage,
    lookalike,
};
use super::{Checker, Findings};
use crate::{Code, Timestamp, batch::CredentialKind, certificate::SpkiDigest, filter::timestamp};

/// A day as RFC 3339 writes it.
const DAY: usize = "2027-01-31".len();

impl Checker {
    /// What a row says of the claim. Only a code is claimed with, so rows that bring another credential can say nothing.
    pub(super) fn claim(
        &mut self,
        row: u32,
        cells: &Cells<'_>,
        findings: &mut Findings,
    ) -> Option<Box<RowClaim>> {
        let [key, not_before, not_after] = RowClaim::FIELDS;
        let given = [
            (key, &cells.spki_sha256),
            (not_before, &cells.claim_not_before),
            (not_after, &cells.claim_not_after),
        ];
        let mut given = given
            .into_iter()
            .filter_map(|(field, cell)| Some((field, cell.value()?)))
            .peekable();
        given.peek()?;
        let why = match self.expects {
            CredentialKind::Code => {
                let claim = RowClaim {
                    key: self.claim_key(row, &cells.spki_sha256, findings),
                    not_before: moment(not_before, &cells.claim_not_before, findings),
                    not_after: moment(not_after, &cells.claim_not_after, findings),
                };
                in_order(&claim, &cells.claim_not_after, findings);
                return Some(Box::new(claim));
            }
            CredentialKind::Csr => "the device gets a certificate for its request, and makes no claim",
            CredentialKind::Key => "the device gets a key and a certificate, and makes no claim",
            CredentialKind::Pinned => "the device is let in with the key that it has, not with a code",
        };
        for (field, value) in given {
            findings.refuse(Misfit::new(Code::ClaimForeign, field, why).of(value));
        }
        None
    }

    /// The key that the code is bound to, noted as one of the file.
    fn claim_key(&mut self, row: u32, cell: &Found<'_>, findings: &mut Findings) -> Option<SpkiDigest> {
        const FIELD: &str = RowClaim::KEY;
        let value = cell.value()?;
        if let Some(damage) = Damage::of_kind(value.kind) {
            findings.refuse(damaged(FIELD, value, damage));
            return None;
        }
        let key = value.text.parse::<SpkiDigest>().map_err(|why| {
            let why = lookalike::explain(&value.text).unwrap_or_else(|| why.to_string());
            Misfit::new(Code::KeyDigestMalformed, FIELD, why)
                .of(value)
                .by("SHA-256 of the SubjectPublicKeyInfo")
        });
        let key = findings.take(key)?;
        if let Some(first) = self.keys.note(&key.0, row) {
            let why = format!("the key stands in row {first} already");
            findings.refuse(Misfit::new(Code::CredentialRepeated, FIELD, why).of(value));
        }
        Some(key)
    }
}

fn damaged(field: &str, value: &Value<'_>, damage: Damage) -> Misfit {
    Misfit::new(Code::CellDamaged, field, format!("{:?} {damage}", value.text)).of(value)
}

/// A moment: RFC 3339, or a day, which begins at midnight UTC. The date of a spreadsheet is a day; its times are in no zone
/// that anybody knows.
fn moment(field: &str, cell: &Found<'_>, findings: &mut Findings) -> Option<Timestamp> {
    let value = cell.value()?;
    let damage = match value.kind {
        CellKind::Text | CellKind::Formula | CellKind::Date => None,
        CellKind::Number | CellKind::Boolean | CellKind::Error => Damage::of_kind(value.kind),
    };
    if let Some(damage) = damage {
        findings.refuse(damaged(field, value, damage));
        return None;
    }
    let text = value.text.as_ref();
    let read = if text.len() == DAY {
        timestamp::parse(&format!("{text}T00:00:00Z"))
    } else {
        timestamp::parse(text)
    };
    findings.take(read.ok_or_else(|| {
        let why = if timestamp::parse(&format!("{text}Z")).is_some() {
            format!("{text} may be in any time zone; write {text}Z for UTC")
        } else {
            let why = "is no time such as 2027-01-31 or 2027-01-31T08:00:00Z";
            lookalike::explain(text).unwrap_or_else(|| format!("{text:?} {why}"))
        };
        Misfit::new(Code::ClaimWindowInvalid, field, why)
            .of(value)
            .by("RFC 3339")
    }))
}

/// A window ends after it opens.
fn in_order(claim: &RowClaim, closes: &Found<'_>, findings: &mut Findings) {
    if let (false, Some(not_before), Some(value)) =
        (claim.window().is_real(), claim.not_before, closes.value())
    {
        let why = format!("no claim can begin: not before {not_before}, and not from then on");
        findings.refuse(Misfit::new(Code::ClaimWindowInvalid, RowClaim::NOT_AFTER, why).of(value));
    }
}
