//! Generations only grow: the one rule by which desired state is admitted.

use muster_proto::payload::Digest;
use serde::{Deserialize, Serialize};

/// What names a desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// From 1.
    pub(crate) generation: u64,
    /// The registry's name for the content; comes back in reports.
    pub(crate) digest: Digest,
    /// The device's own digest of the content, without what differs from one delivery to the next.
    pub(crate) content: Digest,
}

/// How desired state relates to the newest that the device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Newer.
    Fresh,
    /// The same.
    Repeat,
}

/// Why desired state is refused that its envelope proves genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stale {
    #[error("generation {offered} is older than {held}, which this device holds")]
    Older { held: u64, offered: u64 },
    #[error("generation {generation} came with other content before")]
    Contradiction { generation: u64 },
}

/// Judges an offer by the newest that the device ever held.
pub(crate) fn admit(held: Option<&Mark>, offered: &Mark) -> Result<Admission, Stale> {
    let Some(held) = held else {
        return Ok(Admission::Fresh);
    };
    match offered.generation.cmp(&held.generation) {
        core::cmp::Ordering::Greater => Ok(Admission::Fresh),
        core::cmp::Ordering::Less => Err(Stale::Older {
            held: held.generation,
            offered: offered.generation,
        }),
        core::cmp::Ordering::Equal if offered == held => Ok(Admission::Repeat),
        core::cmp::Ordering::Equal => Err(Stale::Contradiction {
            generation: held.generation,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(generation: u64, digest: u8, content: u8) -> Mark {
        Mark {
            generation,
            digest: Digest([digest; 32]),
            content: Digest([content; 32]),
        }
    }

    #[test]
    fn c2_only_newer_or_the_very_same_is_admitted() {
        let held = mark(7, 1, 1);
        for (offered, expected) in [
            (mark(8, 1, 1), Ok(Admission::Fresh)),
            (mark(u64::MAX, 2, 2), Ok(Admission::Fresh)),
            (mark(7, 1, 1), Ok(Admission::Repeat)),
            (mark(7, 2, 1), Err(Stale::Contradiction { generation: 7 })),
            (mark(7, 1, 2), Err(Stale::Contradiction { generation: 7 })),
            (mark(6, 1, 1), Err(Stale::Older { held: 7, offered: 6 })),
            (mark(0, 1, 1), Err(Stale::Older { held: 7, offered: 0 })),
        ] {
            assert_eq!(admit(Some(&held), &offered), expected, "{offered:?}");
        }
        assert_eq!(admit(None, &mark(1, 1, 1)), Ok(Admission::Fresh));
    }
}
