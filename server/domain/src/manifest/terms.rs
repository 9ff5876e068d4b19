//! What a row makes of the terms on which its device may be claimed.

use super::{Problem, RowClaim};
use crate::{
    Code, Refusal, Timestamp,
    certificate::SpkiDigest,
    device::{ClaimTerms, ClaimWindow},
};

/// Terms that a row asks for, and the fields that it changes.
pub(super) type Agreed = (ClaimTerms, Vec<&'static str>);

/// The terms after a row; what the row does not say stays as it is `before`. Only a change is judged: the same file again
/// changes nothing, however late.
///
/// # Errors
/// [`Code::ClaimWindowInvalid`] where no claim could begin in the new window any more.
pub(super) fn agree(row: &RowClaim, before: ClaimTerms, now: Timestamp) -> Result<Agreed, Vec<Problem>> {
    let terms = ClaimTerms {
        window: ClaimWindow {
            opens: row.not_before.or(before.window.opens),
            closes: row.not_after.or(before.window.closes),
        },
        key: row.key.or(before.key),
    };
    let changes = [
        (RowClaim::KEY, terms.key != before.key),
        (RowClaim::NOT_BEFORE, terms.window.opens != before.window.opens),
        (RowClaim::NOT_AFTER, terms.window.closes != before.window.closes),
    ];
    let changes = changes.into_iter().filter(|(_, differs)| *differs);
    let changes: Vec<_> = changes.map(|(field, _)| field).collect();
    if terms.window != before.window {
        open(terms.window, &changes, now)?;
    }
    Ok((terms, changes))
}

/// Can a claim begin in this window?
fn open(window: ClaimWindow, changes: &[&'static str], now: Timestamp) -> Result<(), Vec<Problem>> {
    let closes = window.closes.map(|at| at.to_string()).unwrap_or_default();
    let opens = window.opens.map(|at| at.to_string()).unwrap_or_default();
    let (why, field) = if !window.is_real() {
        // The row has one of the two; the other is the device's, or of the code that it gets.
        let field = changes.last().copied().unwrap_or(RowClaim::NOT_AFTER);
        let why = format!("no claim can begin: not before {opens}, and not from {closes} on");
        (why, field)
    } else if window.is_over(now) {
        (format!("the window closed at {closes}"), RowClaim::NOT_AFTER)
    } else {
        return Ok(());
    };
    let value = match field {
        RowClaim::NOT_BEFORE => opens,
        _ => closes,
    };
    let refusal = Refusal::new(Code::ClaimWindowInvalid, why).at(field);
    Err(vec![Problem::new(refusal).with_value(&value)])
}

/// The key that only the device of a row may use, if the row names it.
pub(super) fn key(claim: Option<&RowClaim>) -> Option<SpkiDigest> {
    claim.and_then(|claim| claim.key)
}
