//! How `muster` ends: one number for each kind of answer, the same for every command.

use std::process::ExitCode;

/// What the process says to the shell. Scripts depend on the numbers: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Done,
    /// A breakage, here or in the server.
    Fault,
    /// The command line, a context or an input file cannot be read.
    Usage,
    /// The import worked, but some rows were refused.
    RowsRefused,
    /// The server refused the request.
    Refused,
    /// What was named is not there.
    NotFound,
    /// Nobody known was asking, or their role does not allow it.
    NotPermitted,
    /// The server cannot be reached, or asks to come back later.
    Unavailable,
    /// The change that was watched did not come to its end.
    Stopped,
    /// A comparison, verification, lint or test worked, and found something.
    Found,
}

impl Exit {
    /// All of them, in order of number.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Fault,
        Self::Usage,
        Self::RowsRefused,
        Self::Refused,
        Self::NotFound,
        Self::NotPermitted,
        Self::Unavailable,
        Self::Stopped,
        Self::Found,
    ];

    /// The number that the shell sees.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::RowsRefused => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
            Self::NotPermitted => 6,
            Self::Unavailable => 7,
            Self::Stopped => 8,
            Self::Found => 9,
        }
    }

    /// What it means, for `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Fault => "a breakage, here or in the server",
            Self::Usage => "the command line, a context or an input file cannot be read",
            Self::RowsRefused => "imported, but some rows were refused",
            Self::Refused => "the server refused the request",
            Self::NotFound => "what was named is not there",
            Self::NotPermitted => "no operator certificate, or its role does not allow this",
            Self::Unavailable => "the server cannot be reached, or asks to come back later",
            Self::Stopped => "the change was halted, rolled back or aborted",
            Self::Found => "a comparison, verification, lint or test found something",
        }
    }

    /// The table of all numbers, for `--help`.
    pub fn table() -> String {
        let lines = Self::ALL.map(|exit| format!("  {}  {}", exit.number(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_documented_ones() {
        let numbers: Vec<_> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let table = Exit::table();
        for exit in Exit::ALL {
            assert!(
                table.contains(&format!("{}  {}", exit.number(), exit.meaning())),
                "{exit:?}"
            );
        }
    }
}
