//! A valid policy and a device that it covers; tests change one thing.

use std::collections::BTreeMap;

use muster_firmware_policy::{
    ArtifactSource, BlockedSource, Evaluation, Facts, FirmwarePolicy, PermitSource, PolicySource, Running,
    SelectorSource, SteppingStoneSource, Timestamp, UpdateSource, UtcOffset, evaluate,
};

/// A Monday, at noon UTC.
pub(crate) const MONDAY_NOON: &str = "2026-03-02T12:00:00Z";

pub(crate) fn artifact(version: &str) -> ArtifactSource {
    ArtifactSource {
        version: version.into(),
        url: format!("https://firmware.example/gw-200/{version}.img"),
        sha256: "5a".repeat(32),
        size: 16 << 20,
        signature: None,
    }
}

/// In the form of a signature; by no key.
pub(crate) const SIGNATURE: &str = "MAYCAQECAQE=";

pub(crate) fn signed(version: &str) -> ArtifactSource {
    ArtifactSource {
        signature: Some(SIGNATURE.into()),
        ..artifact(version)
    }
}

pub(crate) fn stone(below: &str, through: &str) -> SteppingStoneSource {
    SteppingStoneSource {
        below: below.into(),
        through: artifact(through),
    }
}

pub(crate) fn blocked(version: &str) -> BlockedSource {
    BlockedSource {
        version: version.into(),
        because: None,
    }
}

/// Everyone of the model goes to 2.4.1 at once; versions of 1.x and 2.x may run, from 1.0.0.
pub(crate) fn policy() -> PolicySource {
    PolicySource {
        name: "gw-200-stable".into(),
        applies_to: SelectorSource {
            models: vec!["GW-200".into()],
            ..SelectorSource::default()
        },
        permit: PermitSource {
            range: Some(">=1.0.0, <3.0.0".into()),
            ..PermitSource::default()
        },
        update: Some(UpdateSource {
            target: artifact("2.4.1"),
            ..UpdateSource::default()
        }),
    }
}

/// The policy with a change to its update.
pub(crate) fn policy_with(change: impl FnOnce(&mut UpdateSource)) -> PolicySource {
    let mut source = policy();
    change(source.update.as_mut().unwrap());
    source
}

pub(crate) fn checked(source: PolicySource) -> FirmwarePolicy {
    FirmwarePolicy::parse(source).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A gateway of revision B2 in Europe that runs `running`; local time is UTC. Its turn in the rollout of
/// `gw-200-stable` comes at 20.32 %.
pub(crate) fn gateway(running: &str) -> Facts {
    Facts {
        device: "0000000000000000000000000a".into(),
        model: "GW-200".into(),
        hardware_revision: Some("B2".into()),
        labels: BTreeMap::from([("region".into(), "eu".into())]),
        running: Running::from_report(running),
        utc_offset: Some(UtcOffset::UTC),
    }
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn evaluate_at_noon(source: &PolicySource, facts: &Facts) -> Evaluation {
    evaluate(&checked(source.clone()), facts, at(MONDAY_NOON))
}

/// An evaluation in a line: standing, decision, reason codes.
pub(crate) fn summary(evaluation: &Evaluation) -> String {
    use muster_firmware_policy::Decision;
    let decision = match &evaluation.decision {
        Decision::NotApplicable => "not-applicable".into(),
        Decision::Compliant => "compliant".into(),
        Decision::Stuck => "stuck".into(),
        Decision::Wait(wait) => match wait.until {
            Some(until) => format!("wait {} until {until}", wait.version),
            None => format!("wait {}", wait.version),
        },
        Decision::Install(install) => {
            let then: String = install
                .then
                .iter()
                .map(|version| format!(" > {version}"))
                .collect();
            let closes = install
                .window_closes
                .map(|closes| format!(" by {closes}"))
                .unwrap_or_default();
            let urgency = format!("{:?}", install.urgency).to_lowercase();
            format!("install {}{then}{closes} {urgency}", install.artifact.version)
        }
    };
    let reasons: Vec<&str> = evaluation.reasons.iter().map(|reason| reason.code()).collect();
    format!("{:?}: {decision} [{}]", evaluation.standing, reasons.join(" ")).to_lowercase()
}
