//! Faults: our own breakages. Their text goes to the log, the caller gets a reference.

use muster_domain::Refusal;
use std::{error::Error, fmt};

/// A breakage that is in the log already. Shows nothing but its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    reference: String,
}

/// What a service function answers when it does not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A public "no".
    Refused(Refusal),
    /// Our breakage.
    Broken(Fault),
}

impl Fault {
    /// Logs an error with its causes under a fresh reference. `doing` says what was attempted.
    pub fn log(doing: &str, error: &(dyn Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        let reference = format!("{:016x}", rand_reference());
        tracing::error!(reference, doing, error = causes, "fault");
        Self { reference }
    }

    /// What the caller is told, and what to look for in the log.
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

/// Unique enough to find a line in a log: each `RandomState` is seeded afresh.
fn rand_reference() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Broken(fault) => write!(
                f,
                "the server failed; its log says why under reference {}",
                fault.reference
            ),
        }
    }
}

impl Error for Failure {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}
