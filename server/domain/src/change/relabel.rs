//! Labels that a change gives and takes away.

use super::Former;
use crate::{Code, Refusal, catalog::check::Problems};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most labels of one change: more are many changes, or an import.
const LABEL_LIMIT: usize = 32;
/// Longest key of a label, in bytes: as in imports.
const KEY_LIMIT: usize = 63;
/// Longest value of a label, and longest position, in bytes.
const VALUE_LIMIT: usize = 255;

/// Labels that every target gets, and those that it loses. What it has besides stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relabel {
    /// With these values, whatever they were.
    pub set: BTreeMap<String, String>,
    /// Whatever their values were.
    pub remove: BTreeSet<String>,
}

/// Whether a label can have this key.
pub(crate) fn is_label_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_LIMIT && key.trim() == key && !key.chars().any(char::is_control)
}

impl Relabel {
    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// [`Code::ChangeInvalid`] at `action.labels`.
    pub fn check(&self) -> Result<(), Vec<Refusal>> {
        let mut problems = Problems::new(Code::ChangeInvalid);
        let count = self.set.len() + self.remove.len();
        if count == 0 || count > LABEL_LIMIT {
            problems.add(
                "action.labels",
                format!("names {count} labels, not 1 to {LABEL_LIMIT}"),
            );
        }
        for key in self.set.keys().chain(&self.remove) {
            if !is_label_key(key) {
                let why = format!(
                    "{key:?} is no key of a label: 1 to {KEY_LIMIT} bytes, no blank at its ends, no control characters"
                );
                problems.add("action.labels", why);
            }
        }
        for (key, value) in &self.set {
            if let Err(why) = plain(value) {
                problems.add("action.labels", format!("{key}: {why}"));
            }
            if self.remove.contains(key) {
                problems.add("action.labels", format!("{key} is set and removed"));
            }
        }
        problems.none_or(())
    }

    /// Whether these labels are so already.
    pub fn is_done(&self, labels: &BTreeMap<String, String>) -> bool {
        let is_set = |(key, value)| labels.get(key) == Some(value);
        self.set.iter().all(is_set) && self.remove.iter().all(|key| !labels.contains_key(key))
    }

    /// Makes them so.
    pub fn apply(&self, labels: &mut BTreeMap<String, String>) {
        labels.retain(|key, _| !self.remove.contains(key));
        labels.extend(self.set.clone());
    }

    /// What it replaces: those labels alone that it touches, so that a rollback leaves others as they became meanwhile.
    pub fn former(&self, labels: &BTreeMap<String, String>) -> Former {
        let touched = self.set.keys().chain(&self.remove);
        Former::Labels(
            touched
                .map(|key| (key.clone(), labels.get(key).cloned()))
                .collect(),
        )
    }
}

/// A value that people read.
///
/// # Errors
/// What is wrong with it.
pub fn plain(value: &str) -> Result<(), String> {
    if value.is_empty()
        || value.len() > VALUE_LIMIT
        || value.trim() != value
        || value.chars().any(char::is_control)
    {
        return Err(format!(
            "{value:?} does not have 1 to {VALUE_LIMIT} bytes, or has a blank at its ends, or control characters"
        ));
    }
    Ok(())
}

impl fmt::Display for Relabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.set.iter().map(|(key, value)| format!("{key}={value}"));
        let all: Vec<_> = set
            .chain(self.remove.iter().map(|key| format!("no {key}")))
            .collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    fn relabel(set: &[(&str, &str)], remove: &[&str]) -> Relabel {
        let owned = |text: &&str| (*text).to_owned();
        Relabel {
            set: set
                .iter()
                .map(|(key, value)| (owned(key), owned(value)))
                .collect(),
            remove: remove.iter().map(owned).collect(),
        }
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let check = |relabel: Relabel, problems: usize| {
            let found = relabel.check().err().map_or(0, |found| found.len());
            assert_eq!(found, problems, "{relabel}");
        };
        check(relabel(&[("ring", "canary")], &["old"]), 0);
        check(relabel(&[], &[]), 1);
        check(relabel(&[("ring", "canary")], &["ring"]), 1);
        check(relabel(&[(" ring", "a\nb")], &[""]), 3);
        check(relabel(&[("ring", "")], &[&"x".repeat(64)]), 2);
        let many: Vec<_> = (0..33).map(|number| number.to_string()).collect();
        check(
            relabel(&[], &many.iter().map(String::as_str).collect::<Vec<_>>()),
            1,
        );
    }

    proptest! {
        /// Once applied it is done, and what it replaced brings it back, with whatever others changed meanwhile.
        #[test]
        fn labels_come_and_go(
            before in prop::collection::btree_map("[a-e]", "[xyz]", 0..5),
            set in prop::collection::btree_map("[a-e]", "[xyz]", 0..4),
            remove in prop::collection::btree_set("[a-e]", 0..4),
            other in "[f-h]",
        ) {
            let remove = remove.into_iter().filter(|key| !set.contains_key(key)).collect();
            let relabel = Relabel { set, remove };
            let former = relabel.former(&before);
            let mut labels = before.clone();
            relabel.apply(&mut labels);
            prop_assert!(relabel.is_done(&labels));
            prop_assert_eq!(relabel.is_done(&before), labels == before);
            labels.insert(other.clone(), "1".into());
            former.give_labels_back(&mut labels);
            let mut expected = before;
            expected.insert(other, "1".into());
            prop_assert_eq!(labels, expected);
        }
    }
}
