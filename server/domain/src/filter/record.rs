//! What is filtered.

use core::fmt::{self, Write as _};

use semver::Version;

use crate::Timestamp;

/// Something a filter can be evaluated on. Answers borrow; evaluation allocates nothing.
pub trait Record {
    /// The fields, as in the [`Schema`](super::Schema) that the filter was checked against.
    type Field: Copy;

    /// The value of a field; `None` if it has none. Empty text is a value: answer `None` for it if
    /// users should see it as absent. Not asked for label maps.
    fn value(&self, field: Self::Field) -> Option<Value<'_>>;

    /// The label `key` of a label map. Asked for fields of [`Kind::Labels`](super::Kind::Labels)
    /// only.
    fn label(&self, field: Self::Field, key: &str) -> Option<&str>;
}

/// A field's value. Its variant fits the field's [`Kind`](super::Kind); where it does not, every
/// comparison but presence is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// For [`Kind::Text`](super::Kind::Text) and [`Kind::Mac`](super::Kind::Mac), and for a label.
    Text(&'a str),
    /// The same, for text that the record does not hold as such, for example an id.
    Short(Short),
    /// For [`Kind::Enum`](super::Kind::Enum): one of its names.
    Enum(&'a str),
    /// For [`Kind::Bool`](super::Kind::Bool).
    Bool(bool),
    /// For [`Kind::Int`](super::Kind::Int).
    Int(i64),
    /// For [`Kind::Timestamp`](super::Kind::Timestamp).
    Timestamp(Timestamp),
    /// For [`Kind::Version`](super::Kind::Version).
    Version(&'a Version),
}

/// Longest [`Short`], in bytes: fits ids, hardware addresses, and SHA-256 in hexadecimal.
const SHORT_LIMIT: usize = 64;

/// A few characters by value, so that a record can answer with something it keeps as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Short {
    bytes: [u8; SHORT_LIMIT],
    length: u8,
}

impl Short {
    /// What `shown` displays; `None` when it is longer than 64 bytes.
    pub fn of(shown: impl fmt::Display) -> Option<Self> {
        let mut short = Self {
            bytes: [0; SHORT_LIMIT],
            length: 0,
        };
        write!(short, "{shown}").ok()?;
        Some(short)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let free = self.bytes.get_mut(start..start + text.len()).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.length = u8::try_from(start + text.len()).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Value<'_> {
    /// The text of a textual value.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Short(short) => Some(short.as_str()),
            Self::Enum(_) | Self::Bool(_) | Self::Int(_) | Self::Timestamp(_) | Self::Version(_) => None,
        }
    }
}
