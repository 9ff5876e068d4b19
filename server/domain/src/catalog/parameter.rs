//! Values of parameters: the text of a variable, read by its type.

use super::ParameterType;
use core::fmt;
use minijinja::Value;

/// Why a text has not the type of its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType(ParameterType);

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ParameterType::String => "is not text",
            ParameterType::Integer => "is not a whole number of 64 bits",
            ParameterType::Number => "is not a decimal number",
            ParameterType::Boolean => "is neither true nor false",
        })
    }
}

impl ParameterType {
    /// The value of a text. Booleans in any case, because spreadsheets export `TRUE`.
    pub(super) fn read(self, text: &str) -> Result<Value, WrongType> {
        let value = match self {
            Self::String => Some(Value::from(text)),
            Self::Integer => text.parse().ok().map(|number: i64| Value::from(number)),
            Self::Number => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Value::from),
            Self::Boolean if text.eq_ignore_ascii_case("true") => Some(Value::from(true)),
            Self::Boolean if text.eq_ignore_ascii_case("false") => Some(Value::from(false)),
            Self::Boolean => None,
        };
        value.ok_or(WrongType(self))
    }
}
