//! Which versions may run.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use semver::VersionReq;

use crate::decision::Reason;
use crate::version::FirmwareVersion;

/// Which versions a device may run: those in the range, not below the minimum, and not blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRules {
    /// Versions that may run or be installed, as Cargo reads ranges (`>=2.0.0, <3.0.0`, `~2.4`, `*`).
    pub range: VersionReq,
    /// Whether pre-releases may run of every release in the range. A pre-release is then judged by the
    /// release that it leads up to, so that `<3.0.0` keeps `3.0.0-rc.1` out. Otherwise only those that
    /// the range itself names, as in `>=2.5.0-rc.1`.
    pub prereleases: bool,
    /// Lowest version that may run. Unlike the range it does not hold for stepping stones, which are
    /// meant for the devices that are still below it.
    pub minimum: Option<FirmwareVersion>,
    /// Versions that must not run, whatever else is said.
    pub blocked: Vec<Blocked>,
}

/// A version that must not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The version; without build metadata all its builds.
    pub version: FirmwareVersion,
    /// Why, in the operator's words.
    pub because: Option<String>,
}

/// How a version stands to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InRange {
    Inside,
    /// Inside but for being a pre-release.
    Prerelease,
    Outside,
}

impl VersionRules {
    /// Whether a device may run this version.
    pub fn permit(&self, version: &FirmwareVersion) -> bool {
        self.offences(version).is_empty()
    }

    /// Every rule that the version breaks; empty if it may run.
    pub fn offences(&self, version: &FirmwareVersion) -> Vec<Reason> {
        let blocked = self
            .blocked
            .iter()
            .find(|blocked| blocked.version.covers(version))
            .map(|blocked| Reason::Blocked {
                version: version.clone(),
                because: blocked.because.clone(),
            });
        let minimum = self
            .minimum
            .as_ref()
            .filter(|minimum| version.is_below(minimum))
            .map(|minimum| Reason::BelowMinimum {
                version: version.clone(),
                minimum: minimum.clone(),
            });
        let range = match self.in_range(version) {
            InRange::Inside => None,
            InRange::Prerelease => Some(Reason::PrereleaseNotPermitted {
                version: version.clone(),
            }),
            InRange::Outside => Some(Reason::OutsideRange {
                version: version.clone(),
                range: self.range.to_string(),
            }),
        };
        [blocked, minimum, range].into_iter().flatten().collect()
    }

    pub(crate) fn in_range(&self, version: &FirmwareVersion) -> InRange {
        if self.range.matches(version.as_semver()) {
            return InRange::Inside;
        }
        let release_inside = version.is_prerelease() && self.range.matches(&version.release());
        match (release_inside, self.prereleases) {
            (true, true) => InRange::Inside,
            (true, false) => InRange::Prerelease,
            (false, _) => InRange::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, prereleases: bool, version: &str, expected: InRange) {
        let rules = VersionRules {
            range: range.parse().unwrap(),
            prereleases,
            minimum: None,
            blocked: Vec::new(),
        };
        assert_eq!(
            rules.in_range(&version.parse().unwrap()),
            expected,
            "{range} {version}"
        );
    }

    #[test]
    fn prereleases_need_leave() {
        check("*", false, "1.0.0", InRange::Inside);
        check("*", false, "1.0.0-rc.1", InRange::Prerelease);
        check("*", true, "1.0.0-rc.1", InRange::Inside);
        check(">=2.0.0, <3.0.0", false, "2.5.0-rc.1", InRange::Prerelease);
        check(">=2.0.0, <3.0.0", true, "2.5.0-rc.1", InRange::Inside);
        // The range names the pre-release itself.
        check(">=2.5.0-rc.1, <3.0.0", false, "2.5.0-rc.2", InRange::Inside);
        check(">=2.5.0-rc.1, <3.0.0", false, "2.5.0-beta", InRange::Prerelease);
    }

    #[test]
    fn an_upper_bound_keeps_its_own_prereleases_out() {
        check(">=2.0.0, <3.0.0", true, "3.0.0-rc.1", InRange::Outside);
        check(">=2.0.0, <3.0.0", false, "3.0.0-rc.1", InRange::Outside);
    }

    #[test]
    fn build_metadata_does_not_move_a_version() {
        check(">=2.0.0, <3.0.0", false, "2.9.9+b7", InRange::Inside);
        check("=2.4.1", false, "2.4.1+b7", InRange::Inside);
    }
}
