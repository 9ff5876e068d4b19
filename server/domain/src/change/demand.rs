//! What approval rules ask of one change: written into its plan, so that whoever approves it sees why.

use super::Change;
use crate::{Code, Refusal, names::ApprovalRuleName};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What one rule asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Its name.
    pub rule: ApprovalRuleName,
    /// Which changes it is about, in words.
    pub scope: String,
    /// How many others must approve.
    pub approvals: u8,
}

/// What all of them ask, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands(Vec<Demand>);

impl Demands {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Demand> {
        self.0.iter()
    }

    /// The most that one of them asks for.
    fn most(&self) -> u8 {
        self.0.iter().map(|demand| demand.approvals).max().unwrap_or(0)
    }

    /// With what is asked since: of two words of one rule, the stricter one.
    #[must_use]
    pub(super) fn joined(mut self, since: Self) -> Self {
        for demand in since.0 {
            match self.0.iter_mut().find(|known| known.rule == demand.rule) {
                Some(known) if known.approvals < demand.approvals => *known = demand,
                Some(_) => {}
                None => self.0.push(demand),
            }
        }
        self
    }
}

impl FromIterator<Demand> for Demands {
    fn from_iter<I: IntoIterator<Item = Demand>>(demands: I) -> Self {
        Self(demands.into_iter().collect())
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            scope,
            approvals,
        } = self;
        write!(f, "rule {rule} asks for {approvals} ({scope})")
    }
}

impl Change {
    /// How many others must approve its plan: as many as its author asked for, or whoever asks for more.
    pub fn needs(&self) -> u8 {
        self.approvals_needed.max(self.demands.most())
    }

    /// Who asks for more approvals than there are.
    pub fn unmet(&self) -> String {
        let has = self.approvals.len();
        let is_unmet = |asked: u8| usize::from(asked) > has;
        let own =
            is_unmet(self.approvals_needed).then(|| format!("its author asks for {}", self.approvals_needed));
        let rules = self.demands.iter().filter(|demand| is_unmet(demand.approvals));
        let asking: Vec<_> = own.into_iter().chain(rules.map(ToString::to_string)).collect();
        asking.join("; ")
    }

    /// Whether as many stand for its plan as must.
    pub(super) fn check_approvals(&self) -> Result<(), Refusal> {
        let (has, needs) = (self.approvals.len(), self.needs());
        if has >= usize::from(needs) {
            return Ok(());
        }
        let why = format!("{has} of {needs} approvals are there: {}", self.unmet());
        Err(Refusal::new(Code::ApprovalMissing, why))
    }
}
