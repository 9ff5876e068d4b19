//! Which devices a policy is for.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::decision::Reason;
use crate::facts::Facts;
use crate::problem::Defect;
use crate::text::{MAX_WORD, bounded};

/// Which devices a policy is for: those that match in every respect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Models, at least one: a policy that forgot to say which hardware it is for must not reach all of it.
    pub models: Vec<Pattern>,
    /// Hardware revisions; empty for any, also for devices of which none is known.
    pub hardware_revisions: Vec<Pattern>,
    /// For each label that a device must carry, the values that are good.
    pub labels: BTreeMap<String, Vec<Pattern>>,
}

impl Selector {
    /// Every respect in which the device does not match; empty if the policy is for it.
    pub fn mismatches(&self, facts: &Facts) -> Vec<Reason> {
        let model = (!any_matches(&self.models, &facts.model)).then(|| Reason::ModelNotSelected {
            model: facts.model.clone(),
        });
        let labels = self.labels.iter().filter_map(|(label, values)| {
            let value = facts.labels.get(label);
            let matches = value.is_some_and(|value| any_matches(values, value));
            (!matches).then(|| Reason::LabelNotSelected {
                label: label.clone(),
                value: value.cloned(),
            })
        });
        model
            .into_iter()
            .chain(self.revision_mismatch(facts))
            .chain(labels)
            .collect()
    }

    fn revision_mismatch(&self, facts: &Facts) -> Option<Reason> {
        if self.hardware_revisions.is_empty() {
            return None;
        }
        match &facts.hardware_revision {
            // Firmware for other hardware can destroy a device, so not knowing is not matching.
            None => Some(Reason::HardwareRevisionUnknown),
            Some(revision) if any_matches(&self.hardware_revisions, revision) => None,
            Some(revision) => Some(Reason::HardwareRevisionNotSelected {
                revision: revision.clone(),
            }),
        }
    }
}

fn any_matches(patterns: &[Pattern], value: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}

/// A value, or with a `*` at its end all values that begin like it. Case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This value only.
    Exact(String),
    /// All values with this beginning; every value if it is empty.
    Prefix(String),
}

impl Pattern {
    /// Whether the pattern means this value.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == value,
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
        }
    }
}

impl FromStr for Pattern {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        let text = bounded(text, MAX_WORD)?;
        let (stem, prefix) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text.as_str(), false),
        };
        match (stem.contains('*'), prefix) {
            (true, _) => Err(Defect::BadPattern),
            (false, true) => Ok(Self::Prefix(stem.into())),
            (false, false) => Ok(Self::Exact(text)),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_ends_a_prefix() {
        for (pattern, value, expected) in [
            ("B", "B", true),
            ("B", "B1", false),
            ("B", "b", false),
            ("B*", "B", true),
            ("B*", "B1", true),
            ("B*", "AB", false),
            ("*", "", true),
            ("*", "anything", true),
        ] {
            assert_eq!(
                pattern.parse::<Pattern>().unwrap().matches(value),
                expected,
                "{pattern} {value}"
            );
        }
        for (text, defect) in [
            ("", Defect::Empty),
            ("*B", Defect::BadPattern),
            ("B**", Defect::BadPattern),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(defect), "{text}");
        }
    }
}
