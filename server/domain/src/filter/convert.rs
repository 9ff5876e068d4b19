//! A value as written, to the type of its field.

use semver::Version;

use super::error::{FilterError, Problem};
use super::pattern::Pattern;
use super::schema::Kind;
use super::span::Spanned;
use super::suggest::closest;
use super::timestamp;
use crate::Timestamp;

pub(super) type Argument = Spanned<Pattern>;

/// A value without wildcards.
pub(super) fn exact(argument: &Argument) -> Result<&str, FilterError> {
    argument.value.exact().ok_or_else(|| {
        FilterError::new(Problem::WildcardNotApplicable, argument.span)
            .with_hint("wildcards are for equality of text; FIELD:* asks whether there is a value")
    })
}

/// One of an enum's names. Case matters (AIP-160), but is the first thing suggested.
pub(super) fn name(argument: &Argument, names: &'static [&'static str]) -> Result<&'static str, FilterError> {
    let written = exact(argument)?;
    if let Some(name) = names.iter().find(|name| **name == written) {
        return Ok(name);
    }
    let listed = format!("there are {}", names.join(", "));
    let hint = match closest(written, names.iter().copied()) {
        Some(closest) => format!("did you mean {closest}? {listed}"),
        None => listed,
    };
    Err(invalid(argument, Kind::Enum(names)).with_hint(hint))
}

pub(super) fn bool(argument: &Argument) -> Result<bool, FilterError> {
    exact(argument)?
        .parse()
        .map_err(|_| invalid(argument, Kind::Bool))
}

pub(super) fn int(argument: &Argument) -> Result<i64, FilterError> {
    exact(argument)?.parse().map_err(|_| {
        let range = format!("it lies between {} and {}", i64::MIN, i64::MAX);
        invalid(argument, Kind::Int).with_hint(range)
    })
}

pub(super) fn timestamp(argument: &Argument) -> Result<Timestamp, FilterError> {
    timestamp::parse(exact(argument)?).ok_or_else(|| {
        invalid(argument, Kind::Timestamp)
            .with_hint("write RFC 3339, from 1970 on, as in 2026-01-31T08:00:00Z")
    })
}

pub(super) fn version(argument: &Argument) -> Result<Version, FilterError> {
    Version::parse(exact(argument)?)
        .map_err(|_| invalid(argument, Kind::Version).with_hint("a version has three numbers, as in 1.4.2"))
}

pub(super) fn invalid(argument: &Argument, kind: Kind) -> FilterError {
    let problem = Problem::InvalidValue {
        value: argument.value.exact().unwrap_or_default().to_owned(),
        kind: kind.noun(),
    };
    FilterError::new(problem, argument.span)
}
