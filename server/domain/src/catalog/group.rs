//! Groups of devices: static ones, to which operators add devices, and dynamic ones, whose members are the devices that match
//! a filter.

use super::{Catalog, check::Problems};
use crate::{
    Code, Refusal,
    device::{DeviceField, lasting_schema, schema},
    filter::{CheckedFilter, Filter, FilterError, Problem, Set, Sets},
    names::GroupName,
};
use serde::{Deserialize, Serialize};

const DESCRIPTION_LIMIT: usize = 1024;

/// A group as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSource {
    /// Its name, such as `canary`.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Of a device's groups, the values of the one with the highest rank count; of equal ranks, of the last by name.
    #[serde(default)]
    pub rank: i32,
    /// Which devices are in it, as listings are filtered; empty for a group that devices are added to.
    #[serde(default)]
    pub filter: String,
}

/// A checked group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// For people.
    pub description: String,
    /// The highest wins.
    pub rank: i32,
    /// Which devices are in it; `None` for a static group.
    pub rule: Option<GroupRule>,
}

/// The filter of a dynamic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    text: String,
    filter: CheckedFilter<DeviceField>,
}

impl GroupRule {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whatever matches is a member.
    pub const fn filter(&self) -> &CheckedFilter<DeviceField> {
        &self.filter
    }
}

impl GroupSource {
    /// Checks everything and reports every mistake, each at its field.
    ///
    /// # Errors
    /// [`Code::GroupInvalid`] at `name`, `description` or `filter`.
    pub fn check(&self) -> Result<Group, Vec<Refusal>> {
        let mut problems = Problems::new(Code::GroupInvalid);
        let name = problems.take("name", self.name.parse::<GroupName>());
        if self.description.len() > DESCRIPTION_LIMIT {
            let why = format!("is longer than {DESCRIPTION_LIMIT} bytes");
            problems.add("description", why);
        }
        let text = self.filter.trim();
        let rule = (!text.is_empty()).then(|| problems.take("filter", rule(text)));
        let Some(name) = name else {
            return Err(problems.into());
        };
        problems.none_or(Group {
            name,
            description: self.description.clone(),
            rank: self.rank,
            rule: rule.flatten(),
        })
    }
}

fn rule(text: &str) -> Result<GroupRule, String> {
    let parsed = Filter::parse(text).map_err(|error| error.to_string())?;
    let filter = parsed.check(lasting_schema()).map_err(|error| passing(&error))?;
    Ok(GroupRule {
        text: text.to_owned(),
        filter,
    })
}

/// Says of a field that listings have and groups have not why that is so.
fn passing(error: &FilterError) -> String {
    let is_listed = |name: &String| schema().names().any(|known| known == name);
    let Problem::UnknownField(name) = error.problem() else {
        return error.to_string();
    };
    if !is_listed(name) {
        return error.to_string();
    }
    let fields: Vec<_> = lasting_schema().names().collect();
    format!(
        "{name} at byte {} is nothing that a group can go by; there are {}",
        error.offset(),
        fields.join(", ")
    )
}

impl From<&Group> for GroupSource {
    fn from(group: &Group) -> Self {
        let filter = group.rule.as_ref().map(GroupRule::text);
        Self {
            name: group.name.to_string(),
            description: group.description.clone(),
            rank: group.rank,
            filter: filter.unwrap_or_default().to_owned(),
        }
    }
}

impl Sets<DeviceField> for Catalog {
    fn find(&self, _: DeviceField, name: &str) -> Option<Set<'_, DeviceField>> {
        let group = self.groups.get(name)?;
        Some(
            group
                .rule
                .as_ref()
                .map_or(Set::Listed, |rule| Set::Ruled(&rule.filter)),
        )
    }

    fn names(&self, _: DeviceField) -> Vec<&str> {
        self.groups.keys().map(GroupName::as_str).collect()
    }
}

#[cfg(test)]
mod tests;
