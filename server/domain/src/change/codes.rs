//! The codes that a change gives out: shown as often as they are asked for, until somebody says that they have all of them.

use super::{Change, ChangeState};
use crate::{Code, Refusal, Timestamp, activation::Seed, batch::RESULTS_KEPT};

/// How far the codes of a change are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// How many devices got one.
    pub issued: u32,
    /// What they follow from; none before the first one is made, and once they are erased.
    pub seed: Option<Seed>,
}

impl Change {
    /// When it ended, so that it gives out no more codes; `None` while it may.
    const fn ended(&self) -> Option<Timestamp> {
        match &self.state {
            ChangeState::Done { at, .. }
            | ChangeState::RolledBack { at, .. }
            | ChangeState::Aborted { at } => Some(*at),
            ChangeState::Draft
            | ChangeState::Planned { .. }
            | ChangeState::Running { .. }
            | ChangeState::Halted { .. }
            | ChangeState::RollingBack { .. } => None,
        }
    }

    /// When its codes are erased if nobody acknowledges them, as the results of an import are; `None` before it ended.
    pub fn codes_expire(&self) -> Option<Timestamp> {
        self.ended().map(|at| at.plus(RESULTS_KEPT))
    }

    fn check_codes(&self) -> Result<(), Refusal> {
        if self.action.gives_codes() {
            return Ok(());
        }
        let why = format!(
            "{} gives out no codes: its action is {}",
            self.name(),
            self.action
        );
        Err(Refusal::new(Code::ChangeState, why))
    }
}

impl Codes {
    /// Some were given out, and nobody is shown them any more.
    pub const fn is_erased(&self) -> bool {
        self.seed.is_none() && self.issued > 0
    }

    /// What is to be done about them, as a command; nothing before all are out, and once they are erased.
    pub fn next(&self, change: &Change) -> Option<String> {
        let wait = self.issued > 0 && !self.is_erased() && change.ended().is_some();
        wait.then(|| format!("muster change codes {} --out codes.csv", change.id))
    }

    /// What they are made from, to be shown.
    ///
    /// # Errors
    /// [`Code::ChangeState`] where none were given out, [`Code::CodesErased`].
    pub fn shown(&self, change: &Change) -> Result<&Seed, Refusal> {
        change.check_codes()?;
        let name = change.name();
        match (&self.seed, self.issued) {
            (Some(seed), _) => Ok(seed),
            (None, 0) => {
                let why = format!("{name} is {} and has given out no codes", change.state.as_str());
                Err(Refusal::new(Code::ChangeState, why))
            }
            (None, count) => {
                let why = format!("the {count} codes of {name} are erased");
                Err(Refusal::new(Code::CodesErased, why))
            }
        }
    }

    /// Whoever asked has the first `kept` of them: whether there is something to erase now.
    ///
    /// # Errors
    /// [`Code::PageTokenInvalid`] for more than there are; [`Code::ChangeState`] where that is not all of them, or where more may
    /// come: codes that nobody has seen would be lost.
    pub fn acknowledged(&self, change: &Change, kept: u32) -> Result<bool, Refusal> {
        change.check_codes()?;
        let name = change.name();
        if kept > self.issued {
            let why = format!("is no token of {name}");
            return Err(Refusal::new(Code::PageTokenInvalid, why).at("resume_token"));
        }
        if change.ended().is_none() {
            let why = format!("{name} is {} and may give out more codes", change.state.as_str());
            return Err(Refusal::new(Code::ChangeState, why));
        }
        if self.seed.is_some() && kept < self.issued {
            let why = format!(
                "{name} gave out {} codes, and the token is of the first {kept}: fetch the others first",
                self.issued
            );
            return Err(Refusal::new(Code::ChangeState, why));
        }
        Ok(self.seed.is_some())
    }
}
