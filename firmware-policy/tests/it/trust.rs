//! Devices that install only what its author signed.

use muster_firmware_policy::{Artifact, ArtifactSource, Evaluation, SteppingStoneSource, UpdateSource};

use crate::builder::{artifact, checked, evaluate_at_noon, gateway, policy_with, signed, summary};

/// The evaluation of a device that takes images of these versions to be genuine.
fn trusting(change: impl FnOnce(&mut UpdateSource), running: &str, genuine: &[&str]) -> Evaluation {
    let source = policy_with(change);
    let is_genuine = |image: &Artifact| genuine.contains(&image.version.to_string().as_str());
    evaluate_at_noon(&source, &gateway(running)).trusting(&checked(source), is_genuine)
}

fn through(below: &str, through: ArtifactSource) -> SteppingStoneSource {
    SteppingStoneSource {
        below: below.into(),
        through,
    }
}

#[test]
fn every_image_has_to_be_genuine_before_the_first_is_installed() {
    let check = |target: ArtifactSource, stones: &[SteppingStoneSource], running: &str, expected: &str| {
        let set = |update: &mut UpdateSource| {
            update.target = target;
            update.stepping_stones = stones.to_vec();
        };
        let evaluation = trusting(set, running, &["2.4.1", "1.9.7"]);
        assert_eq!(summary(&evaluation), expected);
    };
    let (genuine, unsigned) = (|| signed("2.4.1"), || artifact("2.4.1"));
    let stone = through("2.0.0", signed("1.9.7"));
    let forged = through("1.5.0", signed("1.5.0"));
    let bare = through("2.0.0", artifact("1.9.7"));
    check(
        genuine(),
        &[],
        "2.3.0",
        "permitted: install 2.4.1 routine [behind_target]",
    );
    check(
        genuine(),
        std::slice::from_ref(&stone),
        "1.6.0",
        "permitted: install 1.9.7 > 2.4.1 routine [behind_target stepping_stone]",
    );
    check(
        unsigned(),
        &[],
        "2.3.0",
        "permitted: stuck [behind_target image_unsigned]",
    );
    check(
        unsigned(),
        std::slice::from_ref(&stone),
        "1.6.0",
        "permitted: stuck [behind_target stepping_stone image_unsigned]",
    );
    check(
        genuine(),
        &[forged.clone(), stone.clone()],
        "2.3.0",
        "permitted: stuck [behind_target signature_wrong]",
    );
    // One image that several lead through is told once.
    let again = through("1.8.0", artifact("1.9.7"));
    check(
        unsigned(),
        &[bare, forged, again],
        "2.3.0",
        "permitted: stuck [behind_target image_unsigned image_unsigned signature_wrong]",
    );
    check(unsigned(), &[], "2.4.1", "permitted: compliant [on_target]");
    check(
        unsigned(),
        &[],
        "3.0.0",
        "forbidden: stuck [outside_range downgrade_not_allowed]",
    );
}

#[test]
fn what_is_not_trusted_is_told_before_its_time_comes_and_in_words() {
    let evaluation = trusting(|update| update.windows = vec!["22:00-05:00".into()], "2.3.0", &[]);
    assert_eq!(
        evaluation.explain(),
        "The device cannot meet the policy by itself. The device runs 2.3.0, and the target is 2.4.1. The next install \
         window opens at 2026-03-02T22:00:00Z. The image of 2.4.1 is not signed, and the device installs signed images only."
    );
    let evaluation = trusting(|update| update.target = signed("2.4.1"), "2.3.0", &[]);
    assert!(
        evaluation
            .explain()
            .ends_with("The signature of 2.4.1 is not over this image by a key that the device has."),
        "{evaluation}"
    );
}
