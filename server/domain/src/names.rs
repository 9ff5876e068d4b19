//! Names that people give: models, sites, profiles, policies, operators, serials.

use core::{borrow::Borrow, fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// Longest name of a catalog resource or operator, in characters.
pub const NAME_LIMIT: usize = 63;
/// Longest serial, in characters.
pub const SERIAL_LIMIT: usize = 64;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing there.
    Empty,
    /// Longer than the limit, in characters.
    TooLong(usize),
    /// A character that names may not have.
    Character(char),
    /// The first character must be a letter or digit.
    Start(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong(limit) => write!(f, "is longer than {limit} characters"),
            Self::Character(' ') => f.write_str("contains a blank"),
            Self::Character(c) => write!(f, "contains {c:?}"),
            Self::Start(c) => write!(f, "starts with {c:?}, not with a letter or digit"),
        }
    }
}

fn check(text: &str, limit: usize, extra: &[u8]) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if text.len() > limit {
        return Err(NameError::TooLong(limit));
    }
    let foreign = text
        .chars()
        .find(|&c| !(c.is_ascii_alphanumeric() || u8::try_from(c).is_ok_and(|c| extra.contains(&c))));
    match foreign {
        Some(c) => Err(NameError::Character(c)),
        None if !first.is_ascii_alphanumeric() => Err(NameError::Start(first)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $limit:expr, $extra:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, $limit, $extra).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                check(&text, $limit, $extra).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A hardware kind, such as `GW-200`.
    ModelName, NAME_LIMIT, b"._-"
}
name! {
    /// A place, such as `MUC-01`.
    SiteCode, NAME_LIMIT, b"._-"
}
name! {
    /// A configuration profile.
    ProfileName, NAME_LIMIT, b"._-"
}
name! {
    /// A firmware policy.
    PolicyName, NAME_LIMIT, b"._-"
}
name! {
    /// A channel of a firmware policy, such as `beta`.
    ChannelName, NAME_LIMIT, b"._-"
}
name! {
    /// A mapping: what the columns of a manifest mean.
    MappingName, NAME_LIMIT, b"._-"
}
name! {
    /// A naming rule.
    NamingRuleName, NAME_LIMIT, b"._-"
}
name! {
    /// An approval rule.
    ApprovalRuleName, NAME_LIMIT, b"._-"
}
name! {
    /// A secret.
    SecretName, NAME_LIMIT, b"._-"
}
name! {
    /// A group of devices, such as `canary`.
    GroupName, NAME_LIMIT, b"._-"
}
name! {
    /// A person or machine that operates the registry.
    OperatorName, NAME_LIMIT, b"._@-"
}
name! {
    /// A manufacturer's serial: unique in the registry, since a claim is found by it. No `:` (it travels as the
    /// user name of HTTP Basic, RFC 7617) and no blank; it starts with a letter or digit, so that no
    /// spreadsheet takes it for a formula.
    Serial, SERIAL_LIMIT, b"._+/-"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wrong() {
        let check = |text: &str, expected: Result<(), NameError>| {
            assert_eq!(text.parse::<Serial>().map(|_| ()), expected, "{text:?}");
        };
        check("GW2-7000001", Ok(()));
        check("", Err(NameError::Empty));
        check("GW2 -7", Err(NameError::Character(' ')));
        check("=HYPERLINK", Err(NameError::Character('=')));
        check("-1", Err(NameError::Start('-')));
        check("ｇ1", Err(NameError::Character('ｇ')));
        check(&"x".repeat(65), Err(NameError::TooLong(64)));
    }
}
