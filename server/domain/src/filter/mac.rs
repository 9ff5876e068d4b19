//! Hardware addresses as people write them, to the form in which they are compared.

use super::convert::{Argument, exact as exact_text, invalid};
use super::error::FilterError;
use super::pattern::Pattern;
use super::schema::Kind;
use crate::mac::Mac;

/// Hexadecimal digits of a whole EUI-64.
const DIGITS: usize = 16;

/// A whole address, in canonical form.
pub(super) fn exact(argument: &Argument) -> Result<String, FilterError> {
    exact_text(argument)?
        .parse()
        .map(|mac: Mac| mac.to_string())
        .map_err(|why| invalid(argument, Kind::Mac).with_hint(format!("it {why}")))
}

/// A whole address, or the beginning, the end or a part of one.
pub(super) fn pattern(argument: &Argument) -> Result<Pattern, FilterError> {
    let part = |text: &str| {
        octets(text).ok_or_else(|| {
            invalid(argument, Kind::Mac).with_hint("a part of an address has whole octets, as in 00:1B:C5*")
        })
    };
    Ok(match &argument.value {
        Pattern::Exact(_) => Pattern::Exact(exact(argument)?),
        Pattern::Prefix(text) => Pattern::Prefix(part(text)?),
        Pattern::Suffix(text) => Pattern::Suffix(part(text)?),
        Pattern::Infix(text) => Pattern::Infix(part(text)?),
        Pattern::Any => Pattern::Any,
    })
}

/// Some octets, in canonical form.
fn octets(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let whole = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.len() <= DIGITS;
    if !whole || !digits.iter().all(char::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits
        .chunks(2)
        .map(|pair| pair.iter().map(char::to_ascii_uppercase).collect::<String>());
    Some(pairs.collect::<Vec<_>>().join(":"))
}
