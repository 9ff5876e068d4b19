//! Why a command did not do what was asked, for people and for the shell.

use crate::{exit::Exit, output::text::clean, unreachable::Unreachable};
use std::{fmt, io, time::Duration};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line, a context or an input file is wrong.
    Usage(Usage),
    /// The server answered "no".
    Refused(Box<Answer>),
    /// The server did not answer.
    Unreachable(Box<Unreachable>),
    /// An import ended, with this many refused rows; they are in its report.
    RowsRefused(u64),
    /// Whoever read our output went away. Not an error of ours, and not worth a word.
    OutputClosed,
    /// A breakage on this side.
    Fault(anyhow::Error),
}

/// A mistake in what was given to the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What is wrong; may have several lines.
    pub message: String,
    /// What to do; empty when the message says it.
    pub help: String,
}

/// A refusal or fault that the server answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The gRPC code.
    pub status: Code,
    /// The number of the refusal, such as 2111; `None` for faults.
    pub number: Option<u16>,
    /// The stable name, such as `MAC_MALFORMED`.
    pub reason: String,
    /// Why, in this case.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Field paths and what is wrong with each.
    pub fields: Vec<(String, String)>,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The reference of a fault, for whoever reads the server's log.
    pub reference: Option<String>,
}

impl Answer {
    fn read(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let metadata = |key: &str| info.and_then(|info| info.metadata.get(key)).cloned();
        let number = metadata("code").and_then(|code| code.parse().ok());
        let prefix = number
            .map(|number: u16| format!("M{number}: "))
            .unwrap_or_default();
        let message = status.message();
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default();
        Self {
            status: status.code(),
            number,
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: message.strip_prefix(&prefix).unwrap_or(message).to_owned(),
            help: metadata("help").unwrap_or_default(),
            fields: violations
                .iter()
                .map(|one| (one.field.clone(), one.description.clone()))
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            reference: metadata("reference"),
        }
    }

    /// A refusal that the domain's own rules gave on this side.
    pub(crate) fn local(refusal: &muster_domain::Refusal) -> Self {
        Self {
            status: Code::InvalidArgument,
            number: Some(refusal.code.number()),
            reason: refusal.code.reason().to_owned(),
            message: match refusal.field.as_str() {
                "" => refusal.message.clone(),
                field => format!("{field}: {}", refusal.message),
            },
            help: refusal.code.help().to_owned(),
            fields: Vec::new(),
            retry_after: None,
            reference: None,
        }
    }

    /// What the server said over MQTT, where a text begins with the number of the refusal.
    pub(crate) fn over_mqtt(status: Code, text: String) -> Self {
        let (number, message) = match text.strip_prefix('M').and_then(|rest| rest.split_once(": ")) {
            Some((number, message)) if number.parse::<u16>().is_ok() => {
                (number.parse().ok(), message.to_owned())
            }
            _ => (None, text),
        };
        let known = number.and_then(|number| muster_domain::Code::try_from(number).ok());
        Self {
            status,
            number,
            reason: known.map(|code| code.reason().to_owned()).unwrap_or_default(),
            message,
            help: known.map(|code| code.help().to_owned()).unwrap_or_default(),
            fields: Vec::new(),
            retry_after: None,
            reference: None,
        }
    }

    /// What was named is not there, as found on this side.
    pub(crate) fn missing(message: String, help: &str) -> Self {
        Self {
            status: Code::NotFound,
            number: None,
            reason: "NOT_FOUND".to_owned(),
            message,
            help: help.to_owned(),
            fields: Vec::new(),
            retry_after: None,
            reference: None,
        }
    }

    const fn exit(&self) -> Exit {
        match self.status {
            Code::NotFound => Exit::NotFound,
            Code::Unauthenticated | Code::PermissionDenied => Exit::NotPermitted,
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Exit::Unavailable,
            Code::InvalidArgument
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange => Exit::Refused,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Exit::Fault,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "error[M{number}]: {}", clean(&self.message))?,
            None if self.reason.is_empty() => {
                write!(f, "error: {} ({:?})", clean(&self.message), self.status)?
            }
            None => write!(f, "error: {}", clean(&self.message))?,
        }
        // A single field is in the message already.
        if self.fields.len() > 1 {
            for (field, why) in &self.fields {
                write!(f, "\n  {}: {}", clean(field), clean(why).replace('\n', "\n    "))?;
            }
        }
        if let Some(reference) = &self.reference
            && !self.message.contains(reference)
        {
            write!(f, "\n  reference: {}", clean(reference))?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "\n  retry after: {} s", wait.as_secs().max(1))?;
        }
        match self.help.as_str() {
            "" => Ok(()),
            help => write!(f, "\n  help: {}", clean(help)),
        }
    }
}

impl Failure {
    /// A mistake in what was given.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(Usage {
            message: message.into(),
            help: help.into(),
        })
    }

    /// A file that could not be read or written: the path is the user's.
    pub fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::usage(format!("cannot {doing} {}: {error}", path.display()), "")
    }

    /// How the process ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused(answer) => answer.exit(),
            Self::Unreachable(_) => Exit::Unavailable,
            Self::RowsRefused(_) => Exit::RowsRefused,
            Self::OutputClosed => Exit::Done,
            Self::Fault(_) => Exit::Fault,
        }
    }

    /// The answer of the server, if it gave one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Refused(answer) => Some(answer),
            Self::Usage(_)
            | Self::Unreachable(_)
            | Self::RowsRefused(_)
            | Self::OutputClosed
            | Self::Fault(_) => None,
        }
    }

    /// Is it this refusal?
    pub fn is(&self, code: muster_domain::Code) -> bool {
        self.answer().and_then(|answer| answer.number) == Some(code.number())
    }

    /// Can the same succeed a while later, without anybody mending anything?
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(answer) => answer.exit() == Exit::Unavailable,
            Self::Usage(_) | Self::RowsRefused(_) | Self::OutputClosed | Self::Fault(_) => false,
        }
    }

    /// Is there anything to tell the user?
    pub const fn is_silent(&self) -> bool {
        matches!(self, Self::OutputClosed | Self::RowsRefused(_))
    }
}

/// What the user reads; several lines, without a final line feed.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(usage) => {
                write!(f, "error: {}", clean(&usage.message))?;
                match usage.help.as_str() {
                    "" => Ok(()),
                    help => write!(f, "\n  help: {}", clean(help)),
                }
            }
            Self::Refused(answer) => answer.write(f),
            Self::Unreachable(unreachable) => write!(f, "error: {unreachable}"),
            Self::RowsRefused(rows) => write!(f, "error: {rows} rows were refused"),
            Self::OutputClosed => f.write_str("the reader of the output went away"),
            Self::Fault(error) => write!(f, "error: {}", clean(&format!("{error:#}"))),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // A status that the server sent has no source; one that the transport made has the reason there.
        match std::error::Error::source(&status) {
            Some(source) => Self::Unreachable(Box::new(Unreachable::during_call(source))),
            None => Self::Refused(Box::new(Answer::read(&status))),
        }
    }
}

/// For output only: files name their path with [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Fault(anyhow::Error::new(error).context("cannot write the output")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic_types::ErrorDetails;

    fn refused(code: Code, number: &str, message: &str, fields: &[(&str, &str)]) -> Failure {
        let metadata = HashMap::from([("code".into(), number.into()), ("help".into(), "Mend it.".into())]);
        let mut details = ErrorDetails::with_error_info("SOME_REASON", "muster", metadata);
        for (field, why) in fields {
            details.add_bad_request_violation(*field, *why);
        }
        Status::with_error_details(code, message, details).into()
    }

    fn check(failure: &Failure, text: &str, exit: Exit) {
        assert_eq!((failure.to_string().as_str(), failure.exit()), (text, exit));
    }

    #[test]
    fn a_refusal_shows_number_fields_and_help() {
        check(
            &refused(
                Code::InvalidArgument,
                "2111",
                "M2111: rows[5].mac: contains 'G'",
                &[("rows[5].mac", "contains 'G'")],
            ),
            "error[M2111]: rows[5].mac: contains 'G'\n  help: Mend it.",
            Exit::Refused,
        );
        check(
            &refused(
                Code::InvalidArgument,
                "3001",
                "M3001: name: is empty (and 1 more)",
                &[("name", "is empty"), ("ouis[0]", "contains 'x'")],
            ),
            "error[M3001]: name: is empty (and 1 more)\n  name: is empty\n  ouis[0]: contains 'x'\n  help: Mend it.",
            Exit::Refused,
        );
    }

    #[test]
    fn the_code_of_the_status_decides_how_it_ends() {
        for (code, exit) in [
            (Code::NotFound, Exit::NotFound),
            (Code::Unauthenticated, Exit::NotPermitted),
            (Code::PermissionDenied, Exit::NotPermitted),
            (Code::Unavailable, Exit::Unavailable),
            (Code::ResourceExhausted, Exit::Unavailable),
            (Code::DeadlineExceeded, Exit::Unavailable),
            (Code::AlreadyExists, Exit::Refused),
            (Code::FailedPrecondition, Exit::Refused),
            (Code::Aborted, Exit::Refused),
            (Code::Internal, Exit::Fault),
            (Code::Unimplemented, Exit::Fault),
        ] {
            assert_eq!(refused(code, "1001", "M1001: x", &[]).exit(), exit, "{code:?}");
        }
    }

    #[test]
    fn a_fault_shows_its_reference_once() {
        let metadata = HashMap::from([("reference".into(), "f-17".into())]);
        let details = ErrorDetails::with_error_info("FAULT", "muster", metadata);
        let failure: Failure =
            Status::with_error_details(Code::Internal, "the server failed", details.clone()).into();
        check(
            &failure,
            "error: the server failed\n  reference: f-17",
            Exit::Fault,
        );
        let failure: Failure =
            Status::with_error_details(Code::Internal, "the server failed (f-17)", details).into();
        check(&failure, "error: the server failed (f-17)", Exit::Fault);
    }

    #[test]
    fn what_is_said_over_mqtt_has_its_number_and_help() {
        let said =
            |text: &str| Failure::Refused(Box::new(Answer::over_mqtt(Code::PermissionDenied, text.into())));
        let failure = said("M6003: operator x is disabled");
        assert!(failure.is(muster_domain::Code::OperatorDisabled));
        let text = failure.to_string();
        assert!(
            text.starts_with("error[M6003]: operator x is disabled\n  help: "),
            "{text}"
        );
        for other in ["the server is stopping", "Mx: y", "M1: y"] {
            assert!(
                said(other).to_string().contains(other.trim_start_matches("M1: ")),
                "{other}"
            );
        }
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        let failure = refused(Code::InvalidArgument, "1001", "M1001: \u{1b}[2Jx", &[]);
        assert!(!failure.to_string().contains('\u{1b}'));
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit(), Exit::Done);
    }
}
