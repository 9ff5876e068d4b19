//! What the rows of an import may do to the registry.

use super::{DeviceRow, RowClaim};
use crate::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most paths of a mask: a model has at most a few dozen fields.
const MASK_LIMIT: usize = 512;

/// What rows may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writes {
    /// Create devices, and update those that exist.
    #[default]
    CreateOrUpdate,
    /// Only create: a registered serial is refused.
    CreateOnly,
    /// Only update: an unregistered serial is refused.
    UpdateOnly,
}

/// What the rows of an import may do to the registry; by default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Create, update or both.
    pub writes: Writes,
    /// Of devices that exist, only these fields change; `None`: whatever the row has.
    pub mask: Option<UpdateMask>,
}

/// The fields that an update may change. What a row has besides is left alone; an empty cell changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMask {
    mac: bool,
    hardware: bool,
    firmware: bool,
    site: bool,
    position: bool,
    spki_sha256: bool,
    claim_not_before: bool,
    claim_not_after: bool,
    labels: Keys,
    variables: Keys,
}

/// Keys of labels or names of variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Keys {
    All,
    Only(BTreeSet<String>),
}

impl Default for Keys {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Keys {
    fn add(&mut self, key: &str) {
        if let Self::Only(keys) = self {
            keys.insert(key.to_owned());
        }
    }

    fn retain(&self, values: &mut BTreeMap<String, String>) {
        match self {
            Self::All => {}
            Self::Only(keys) => values.retain(|key, _| keys.contains(key)),
        }
    }
}

impl UpdateMask {
    /// From paths such as `site` and `variables.extension`; none at all means no mask.
    ///
    /// # Errors
    /// [`Code::RequestInvalid`] at `update_mask.paths[i]` for each path that names no field a row may change.
    pub fn parse(paths: &[String]) -> Result<Option<Self>, Vec<Refusal>> {
        let wrong = |field: String, why: String| {
            Refusal::new(Code::RequestInvalid, why).at(format!("update_mask{field}"))
        };
        if paths.len() > MASK_LIMIT {
            return Err(vec![wrong(
                String::new(),
                format!("has more than {MASK_LIMIT} paths"),
            )]);
        }
        let mut mask = Self::default();
        let foreign = paths.iter().enumerate().filter(|(_, path)| !mask.add(path));
        let problems: Vec<_> = foreign
            .map(|(place, path)| {
                let why = format!(
                    "{path:?} is not one of mac, hardware, firmware, site, position, spki_sha256, claim_not_before, \
                     claim_not_after, labels, labels.KEY, variables, variables.NAME"
                );
                wrong(format!(".paths[{place}]"), why)
            })
            .collect();
        if problems.is_empty() {
            Ok((!paths.is_empty()).then_some(mask))
        } else {
            Err(problems)
        }
    }

    /// Adds a path; `false` when it is none.
    fn add(&mut self, path: &str) -> bool {
        match path.split_once('.') {
            Some(("labels", key)) if !key.is_empty() => self.labels.add(key),
            Some(("variables", name)) if !name.is_empty() => self.variables.add(name),
            Some(_) => return false,
            None => match path {
                "mac" => self.mac = true,
                "hardware" => self.hardware = true,
                "firmware" => self.firmware = true,
                "site" => self.site = true,
                "position" => self.position = true,
                RowClaim::KEY => self.spki_sha256 = true,
                RowClaim::NOT_BEFORE => self.claim_not_before = true,
                RowClaim::NOT_AFTER => self.claim_not_after = true,
                "labels" => self.labels = Keys::All,
                "variables" => self.variables = Keys::All,
                _ => return false,
            },
        }
        true
    }

    /// What a row may change.
    pub(super) fn masked(&self, row: &DeviceRow) -> DeviceRow {
        let mut row = row.clone();
        row.mac = row.mac.filter(|_| self.mac);
        row.hardware = row.hardware.filter(|_| self.hardware);
        row.firmware = row.firmware.filter(|_| self.firmware);
        row.site = row.site.filter(|_| self.site);
        row.position = row.position.filter(|_| self.position);
        if let Some(claim) = &mut row.claim {
            claim.key = claim.key.filter(|_| self.spki_sha256);
            claim.not_before = claim.not_before.filter(|_| self.claim_not_before);
            claim.not_after = claim.not_after.filter(|_| self.claim_not_after);
        }
        self.labels.retain(&mut row.labels);
        self.variables.retain(&mut row.variables);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_fields_that_a_row_may_change() {
        let check = |paths: &[&str], expected: Result<bool, &[&str]>| {
            let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
            let found = UpdateMask::parse(&paths)
                .map(|mask| mask.is_some())
                .map_err(|found| found.into_iter().map(|refusal| refusal.field).collect::<Vec<_>>());
            let expected = expected.map_err(|fields| fields.iter().map(|&field| field.to_owned()).collect());
            assert_eq!(found, expected, "{paths:?}");
        };
        check(&[], Ok(false));
        check(
            &["site", "labels.env", "variables.a.b", "labels", "labels.other"],
            Ok(true),
        );
        check(
            &["serial", "site", "labels.", "model", "", "kept.x"],
            Err(&[
                "update_mask.paths[0]",
                "update_mask.paths[2]",
                "update_mask.paths[3]",
                "update_mask.paths[4]",
                "update_mask.paths[5]",
            ]),
        );
        check(&vec!["mac"; MASK_LIMIT + 1], Err(&["update_mask"]));
    }
}
