//! What holds of every policy, device and moment.

use muster_firmware_policy::{
    ArtifactSource, Decision, Evaluation, Facts, FirmwarePolicy, FirmwareVersion, PermitSource, PolicySource,
    Running, SelectorSource, Standing, SteppingStone, SteppingStoneSource, Timestamp, UnreadableVersion,
    UpdateSource, UtcOffset, WhenForbidden, evaluate,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::builder::{artifact, blocked, gateway, policy, signed};

/// Versions from a small grid, so that equal, blocked and neighbouring ones meet often.
fn version() -> impl Strategy<Value = String> {
    let pre = prop_oneof![6 => Just(""), 1 => Just("-rc.1")];
    let build = prop_oneof![6 => Just(""), 1 => Just("+b1"), 1 => Just("+b2")];
    (0..4_u8, 0..4_u8, pre, build)
        .prop_map(|(major, minor, pre, build)| format!("{major}.{minor}.0{pre}{build}"))
}

fn plain_version() -> impl Strategy<Value = String> {
    (0..4_u8, 0..4_u8).prop_map(|(major, minor)| format!("{major}.{minor}.0"))
}

fn range() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        1 => plain_version().prop_map(|low| Some(format!(">={low}"))),
        1 => (plain_version(), plain_version()).prop_map(|(low, high)| Some(format!(">={low}, <{high}"))),
        1 => version().prop_map(|exact| Some(format!("^{exact}"))),
    ]
}

fn window() -> impl Strategy<Value = String> {
    let days = prop_oneof![Just(""), Just("Mon-Fri "), Just("Sat,Sun "), Just("Fri-Mon ")];
    (days, 0..24_u8, 0..24_u8).prop_map(|(days, start, end)| format!("{days}{start:02}:00-{end:02}:30"))
}

fn stone() -> impl Strategy<Value = SteppingStoneSource> {
    (plain_version(), version()).prop_map(|(below, through)| SteppingStoneSource {
        below,
        through: artifact(&through),
    })
}

/// Half of the targets are signed; never one whose version a stepping stone has too.
fn image(version: &str, is_signed: bool, stones: &[SteppingStoneSource]) -> ArtifactSource {
    if is_signed && stones.iter().all(|stone| stone.through.version != version) {
        signed(version)
    } else {
        artifact(version)
    }
}

fn update() -> impl Strategy<Value = UpdateSource> {
    let timing = (
        vec(window(), 0..3),
        option::of(0..=10_000_u16),
        option::of(2020..2030_u16),
    );
    (
        version(),
        vec(stone(), 0..4),
        any::<(bool, bool, bool, bool)>(),
        timing,
    )
        .prop_map(
            |(target, stepping_stones, (down, oldest, at_once, is_signed), (windows, rollout, year))| {
                UpdateSource {
                    allow_downgrade: down,
                    unreadable_version: if oldest {
                        UnreadableVersion::TreatAsOldest
                    } else {
                        UnreadableVersion::Hold
                    },
                    when_forbidden: if at_once {
                        WhenForbidden::AtOnce
                    } else {
                        WhenForbidden::Wait
                    },
                    windows,
                    rollout: rollout.map(percent),
                    rollout_salt: None,
                    deadline: year.map(|year| format!("{year}-06-01T00:00:00Z")),
                    target: image(&target, is_signed, &stepping_stones),
                    stepping_stones,
                }
            },
        )
}

fn percent(points: u16) -> String {
    format!("{}.{:02}%", points / 100, points % 100)
}

fn source() -> impl Strategy<Value = PolicySource> {
    let permit = (
        range(),
        any::<bool>(),
        option::weighted(0.3, plain_version()),
        vec(version(), 0..3),
    );
    (permit, option::weighted(0.9, update())).prop_map(|((range, prereleases, minimum, block), update)| {
        let permit = PermitSource {
            range,
            prereleases,
            minimum,
            blocked: block.iter().map(|version| blocked(version)).collect(),
        };
        PolicySource {
            permit,
            update,
            ..policy()
        }
    })
}

/// Consistent policies. About a third of the written ones are.
fn checked() -> impl Strategy<Value = FirmwarePolicy> {
    source().prop_filter_map("inconsistent", |source| FirmwarePolicy::parse(source).ok())
}

fn running() -> impl Strategy<Value = Running> {
    prop_oneof![
        10 => version().prop_map(|version| Running::from_report(&version)),
        1 => Just(Running::Unreported),
        1 => Just(Running::Unreadable("build 7".into())),
    ]
}

fn facts() -> impl Strategy<Value = Facts> {
    let model = prop_oneof![9 => Just("GW-200"), 1 => Just("CAM-IR")];
    let offset = option::weighted(0.9, -86_399..86_400_i32);
    ("[0-9a-z]{26}", model, running(), offset).prop_map(|(device, model, running, offset)| Facts {
        device,
        model: model.into(),
        running,
        utc_offset: offset.map(|seconds| UtcOffset::from_seconds(seconds).unwrap()),
        ..gateway("")
    })
}

fn now() -> impl Strategy<Value = Timestamp> {
    // Mostly within the years of the deadlines, sometimes a clock that shows nonsense.
    prop_oneof![9 => 1_577_836_800..1_893_456_000_i64, 1 => any::<i64>()]
        .prop_map(Timestamp::from_unix_seconds)
}

/// Many cases, the same on every run and machine.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        max_local_rejects: 1_000_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6d75_7374_6572),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_input_has_the_same_answer(policy in checked(), facts in facts(), now in now()) {
        let evaluation = evaluate(&policy, &facts, now);
        prop_assert_eq!(&evaluation, &evaluate(&policy.clone(), &facts.clone(), now));
        prop_assert!(!evaluation.reasons.is_empty());
        prop_assert!(evaluation.explain().ends_with('.'));
    }

    #[test]
    fn nothing_is_proposed_that_must_not_run(policy in checked(), facts in facts(), now in now()) {
        let evaluation = evaluate(&policy, &facts, now);
        if let Some(version) = version_to_install(&evaluation) {
            let offences = policy.permit().offences(version);
            let is_target = *version == policy.update().unwrap().target.version;
            let only_minimum = offences.iter().all(|reason| reason.code() == "below_minimum");
            prop_assert!(offences.is_empty() || (!is_target && only_minimum), "{version}: {offences:?}");
        }
    }

    #[test]
    fn decisions_agree_with_standings(policy in checked(), facts in facts(), now in now()) {
        let evaluation = evaluate(&policy, &facts, now);
        let standing = evaluation.standing;
        match &evaluation.decision {
            Decision::NotApplicable => prop_assert_eq!(standing, Standing::NotCovered),
            Decision::Compliant => prop_assert_eq!(standing, Standing::Permitted),
            Decision::Stuck => prop_assert!(matches!(standing, Standing::Unknown | Standing::Forbidden)),
            Decision::Install(_) | Decision::Wait(_) => prop_assert_ne!(standing, Standing::NotCovered),
        }
        if let Running::Version(version) = &facts.running {
            let may_run = standing == Standing::NotCovered || policy.permit().permit(version);
            prop_assert_eq!(evaluation.may_run(), may_run);
        }
    }

    /// A device that does as it is told passes every stone that was on its way, and arrives.
    #[test]
    fn the_way_leads_over_all_stones_to_the_target(policy in checked(), facts in facts(), now in now()) {
        let policy = unhindered(&policy);
        let Some(update) = policy.update() else { return Ok(()) };
        let target = &update.target.version;
        let visited = follow(&policy, facts.clone(), now)?;
        prop_assert!(visited.windows(2).all(|pair| pair[0].is_below(&pair[1])), "{visited:?}");
        prop_assert!(visited.last().is_none_or(|last| last == target), "{visited:?}");
        let Running::Version(start) = &facts.running else { return Ok(()) };
        for SteppingStone { below, through } in &update.stepping_stones {
            let crosses = start.is_below(below) && !target.is_below(below);
            let is_between = start.is_below(&through.version) && through.version.is_below(target);
            let passed = visited.iter().any(|version| version.precedence(&through.version).is_eq());
            let required = crosses && is_between && !visited.is_empty();
            prop_assert!(passed || !required, "{} is not among {visited:?}", through.version);
        }
    }

    #[test]
    fn raising_the_rollout_removes_nobody(
        policy in checked(), facts in facts(), now in now(), a in 0..=10_000_u16, b in 0..=10_000_u16,
    ) {
        let at = |points| changed(&policy, |update| update.rollout = Some(percent(points)));
        let before = evaluate(&at(a.min(b)), &facts, now).decision;
        if let Decision::Install(_) = before {
            prop_assert_eq!(evaluate(&at(a.max(b)), &facts, now).decision, before);
        }
    }

    /// "Until" is kept: nothing changes before, and the installation begins then. Without it time changes nothing.
    #[test]
    fn a_wait_ends_when_it_says(policy in checked(), facts in facts(), now in 1_577_836_800..1_893_456_000_i64) {
        let decide = |seconds| evaluate(&policy, &facts, Timestamp::from_unix_seconds(seconds)).decision;
        let decision = decide(now);
        let Decision::Wait(wait) = &decision else { return Ok(()) };
        let Some(until) = wait.until.map(Timestamp::unix_seconds) else {
            prop_assert!(matches!(decide(i64::MAX), Decision::Wait(_)));
            return Ok(());
        };
        prop_assert!(until > now);
        prop_assert_eq!(&decide(until - 1), &decision);
        prop_assert!(matches!(decide(until), Decision::Install(_)), "{:?}", decide(until));
    }

    /// An announced closing is kept, too: open until then, closed from then on unless the deadline came.
    #[test]
    fn a_window_closes_when_it_says(policy in checked(), facts in facts(), now in now()) {
        let Decision::Install(install) = evaluate(&policy, &facts, now).decision else { return Ok(()) };
        let Some(closes) = install.window_closes else { return Ok(()) };
        let just_before = Timestamp::from_unix_seconds(closes.unix_seconds().saturating_sub(1));
        let before = evaluate(&policy, &facts, just_before).decision;
        prop_assert!(matches!(before, Decision::Install(_)), "{before:?}");
        let after = evaluate(&policy, &facts, closes);
        let overdue = after.reasons.iter().any(|reason| reason.code() == "deadline_passed");
        prop_assert!(overdue || matches!(after.decision, Decision::Wait(_)), "{after:?}");
    }

    #[test]
    fn a_policy_survives_its_written_form(policy in checked()) {
        prop_assert_eq!(FirmwarePolicy::parse(policy.to_source()), Ok(policy.clone()));
        let bytes = postcard::to_allocvec(&policy).unwrap();
        prop_assert_eq!(postcard::from_bytes::<FirmwarePolicy>(&bytes).unwrap(), policy);
    }

    /// Trust takes an installation back or leaves all as it was, and it holds back no device that has nothing to install.
    #[test]
    fn trust_only_takes_back(policy in checked(), facts in facts(), now in now(), is_genuine in any::<bool>()) {
        let before = evaluate(&policy, &facts, now);
        let after = before.clone().trusting(&policy, |_| is_genuine);
        let all_genuine = policy.images().all(|(_, image)| image.signature.is_some() && is_genuine);
        let sets_out = version_to_install(&before).is_some();
        if sets_out && !all_genuine {
            prop_assert_eq!(&after.decision, &Decision::Stuck);
            prop_assert_eq!(after.standing, before.standing);
            prop_assert!(after.reasons.len() > before.reasons.len() && after.reasons.starts_with(&before.reasons));
        } else {
            prop_assert_eq!(after, before);
        }
    }

    /// Whatever is written is either a policy or a list of problems, each with a place.
    #[test]
    fn any_text_is_read_or_refused(source in any_source(), facts in facts(), now in now()) {
        match FirmwarePolicy::parse(source) {
            Ok(policy) => prop_assert!(!evaluate(&policy, &facts, now).reasons.is_empty()),
            Err(problems) => {
                prop_assert!(problems.iter().len() > 0);
                prop_assert!(problems.iter().all(|problem| !problem.path.is_empty()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..512)) {
        if let Ok(policy) = postcard::from_bytes::<FirmwarePolicy>(&bytes) {
            prop_assert_eq!(FirmwarePolicy::parse(policy.to_source()), Ok(policy));
        }
        if let Ok(evaluation) = postcard::from_bytes::<Evaluation>(&bytes) {
            prop_assert!(!evaluation.explain().is_empty());
        }
    }

    /// Single wrong bytes get further into a reader than noise does.
    #[test]
    fn damaged_bytes_are_read_or_refused(policy in checked(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = postcard::to_allocvec(&policy).unwrap();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(damaged) = postcard::from_bytes::<FirmwarePolicy>(&bytes) {
            prop_assert_eq!(FirmwarePolicy::parse(damaged.to_source()), Ok(damaged));
        }
    }
}

fn version_to_install(evaluation: &Evaluation) -> Option<&FirmwareVersion> {
    match &evaluation.decision {
        Decision::Install(install) => Some(&install.artifact.version),
        Decision::Wait(wait) => Some(&wait.version),
        Decision::NotApplicable | Decision::Compliant | Decision::Stuck => None,
    }
}

/// The policy with another update; one that changes no versions leaves it consistent.
fn changed(policy: &FirmwarePolicy, change: impl FnOnce(&mut UpdateSource)) -> FirmwarePolicy {
    let mut source = policy.to_source();
    if let Some(update) = &mut source.update {
        change(update);
    }
    FirmwarePolicy::parse(source).unwrap()
}

/// The policy without anything that makes a device wait.
fn unhindered(policy: &FirmwarePolicy) -> FirmwarePolicy {
    changed(policy, |update| {
        update.windows.clear();
        update.rollout = None;
    })
}

/// The versions that a device installs that does as it is told, each as the evaluation before announced it.
fn follow(
    policy: &FirmwarePolicy,
    mut facts: Facts,
    now: Timestamp,
) -> Result<Vec<FirmwareVersion>, TestCaseError> {
    let most = policy
        .update()
        .map_or(0, |update| update.stepping_stones.len() + 1);
    let mut visited = Vec::new();
    let mut announced: Option<Vec<FirmwareVersion>> = None;
    while let Decision::Install(install) = evaluate(policy, &facts, now).decision {
        prop_assert!(visited.len() < most, "no end after {visited:?}");
        let version = install.artifact.version;
        if let Some(announced) = announced {
            let way: Vec<_> = [&version].into_iter().chain(&install.then).cloned().collect();
            prop_assert_eq!(way, announced);
        }
        facts.running = Running::Version(version.clone());
        visited.push(version);
        announced = Some(install.then);
    }
    prop_assert!(
        announced.is_none_or(|rest| rest.is_empty()),
        "stopped after {visited:?}"
    );
    Ok(visited)
}

fn any_source() -> impl Strategy<Value = PolicySource> {
    (vec(any_text(), 8), any::<u64>()).prop_map(|(texts, size)| {
        let text = |index: usize| texts[index].clone();
        let artifact = ArtifactSource {
            version: text(0),
            url: text(1),
            sha256: text(2),
            size,
            signature: Some(text(5)),
        };
        PolicySource {
            name: text(3),
            applies_to: SelectorSource {
                models: vec![text(4)],
                ..SelectorSource::default()
            },
            permit: PermitSource {
                range: Some(text(2)),
                minimum: Some(text(0)),
                ..PermitSource::default()
            },
            update: Some(UpdateSource {
                windows: vec![text(5)],
                rollout: Some(text(6)),
                deadline: Some(text(7)),
                target: artifact.clone(),
                stepping_stones: vec![SteppingStoneSource {
                    below: text(0),
                    through: artifact,
                }],
                ..UpdateSource::default()
            }),
        }
    })
}

/// Anything at all, and things that are nearly right.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9.,:<>=~^*+%TZa-zA-Z -]{0,24}",
        "[0-9]{1,20}\\.[0-9]{1,20}\\.[0-9]{1,3}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[Z+é-][0-9:]{0,5}",
        "(Mon|Sun|daily)?[ -]?[0-2][0-9]:[0-6][0-9]-[0-2][0-9]:[0-6][0-9]",
    ]
}
