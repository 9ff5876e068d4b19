//! What `-o` says: a format to print in, or a file to make.

use super::Format;
use clap::{
    Arg, Command, Error, ValueEnum as _,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};
use std::{ffi::OsStr, path::PathBuf};

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Printed.
    Format(Format),
    /// Into a file.
    File(PathBuf),
}

/// Reads it: a format by its name, a file by a name with an ending.
#[derive(Debug, Clone)]
pub(crate) struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Target, Error> {
        let path = PathBuf::from(value);
        if path.extension().is_some() {
            return Ok(Target::File(path));
        }
        if value.is_empty() {
            return Err(Error::new(ErrorKind::InvalidValue).with_cmd(command));
        }
        EnumValueParser::<Format>::new()
            .parse_ref(command, arg, value)
            .map(Target::Format)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let formats = Format::value_variants();
        Some(Box::new(formats.iter().filter_map(Format::to_possible_value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_ending_is_a_file() {
        let check = |value: &str, expected: Option<Target>| {
            let command = Command::new("muster");
            let found = TargetParser.parse_ref(&command, None, OsStr::new(value)).ok();
            assert_eq!(found, expected, "{value}");
        };
        check("jsonl", Some(Target::Format(Format::Jsonl)));
        check("m.xlsx", Some(Target::File("m.xlsx".into())));
        check("a/m.csv", Some(Target::File("a/m.csv".into())));
        check("yaml", None);
        check("", None);
    }
}
