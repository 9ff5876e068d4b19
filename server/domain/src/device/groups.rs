//! Static groups: operators add devices to them and remove them.

use super::{Device, Lifecycle};
use crate::{Code, Refusal, Timestamp, names::GroupName};

/// Most static groups of a device.
pub const GROUPS_LIMIT: usize = 16;

/// What becomes of a device in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is in it from now on.
    Joined,
    /// It is not any more.
    Left,
}

impl Membership {
    /// The device after it; `None` when it is so already.
    ///
    /// # Errors
    /// [`Code::TransitionForbidden`] for a retired device that joins; [`Code::GroupsFull`].
    pub fn of(self, device: &Device, group: &GroupName, now: Timestamp) -> Result<Option<Device>, Refusal> {
        let joins = self == Self::Joined;
        if device.groups.contains(group) == joins {
            return Ok(None);
        }
        let mut after = device.clone();
        if joins {
            may_join(device)?;
            after.groups.insert(group.clone());
        } else {
            after.groups.remove(group);
        }
        Ok(Some(after.touched(now)))
    }
}

fn may_join(device: &Device) -> Result<(), Refusal> {
    if let Lifecycle::Retired { .. } = device.lifecycle {
        return Err(Refusal::new(Code::TransitionForbidden, "the device is retired"));
    }
    if device.groups.len() < GROUPS_LIMIT {
        return Ok(());
    }
    let why = format!("the device is in {GROUPS_LIMIT} groups already");
    Err(Refusal::new(Code::GroupsFull, why))
}
