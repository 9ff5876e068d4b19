//! The sign of a possible clone: a right code, and a second key (A2).

use crate::{Timestamp, certificate::SpkiDigest};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Two came with the code of one device. Which of them is the device, only people can find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneAlarm {
    /// When the last of them came.
    pub at: Timestamp,
    /// How many claims were refused for it.
    pub count: u32,
    /// The key that the last of them came with.
    pub key: SpkiDigest,
    /// Where from.
    pub source: IpAddr,
    /// Where the claim came from that has the identity; `None` if that is not on record.
    pub first_source: Option<IpAddr>,
}

impl CloneAlarm {
    /// The alarm after one more claim with a second key.
    #[must_use]
    pub fn raised(
        before: Option<Self>,
        at: Timestamp,
        key: SpkiDigest,
        source: IpAddr,
        first_source: Option<IpAddr>,
    ) -> Self {
        let count = before.map_or(0, |alarm| alarm.count).saturating_add(1);
        Self {
            at,
            count,
            key,
            source,
            first_source,
        }
    }
}
