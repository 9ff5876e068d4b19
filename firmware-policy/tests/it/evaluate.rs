//! The rules of evaluation, one table each.

use muster_firmware_policy::{Facts, PolicySource, UnreadableVersion, WhenForbidden, evaluate};

use crate::builder::{
    MONDAY_NOON, at, blocked, checked, evaluate_at_noon, gateway, policy, policy_with, stone, summary,
};

fn check(source: &PolicySource, facts: &Facts, expected: &str) {
    assert_eq!(
        summary(&evaluate_at_noon(source, facts)),
        expected,
        "{:?}",
        facts.running
    );
}

fn check_at(source: &PolicySource, facts: &Facts, now: &str, expected: &str) {
    let evaluation = evaluate(&checked(source.clone()), facts, at(now));
    assert_eq!(summary(&evaluation), expected, "{:?} at {now}", facts.running);
}

#[test]
fn a_device_goes_up_to_the_target_and_stays_there() {
    for (running, expected) in [
        ("2.4.0", "permitted: install 2.4.1 routine [behind_target]"),
        (
            "2.4.1-rc.1",
            "forbidden: install 2.4.1 forbidden [prerelease_not_permitted behind_target]",
        ),
        ("2.4.1", "permitted: compliant [on_target]"),
        ("2.4.1+b7", "permitted: compliant [on_target]"),
        ("2.5.0", "permitted: compliant [ahead_of_target]"),
        (
            "0.9.0",
            "forbidden: install 2.4.1 forbidden [outside_range behind_target]",
        ),
    ] {
        check(&policy(), &gateway(running), expected);
    }
}

#[test]
fn selection_takes_every_respect_together() {
    let mut source = policy();
    source.applies_to.hardware_revisions = vec!["A".into(), "B*".into()];
    source
        .applies_to
        .labels
        .insert("region".into(), vec!["eu".into(), "uk".into()]);
    check(&source, &gateway("2.4.1"), "permitted: compliant [on_target]");

    let mut camera = gateway("2.4.1");
    camera.model = "CAM-IR".into();
    check(
        &source,
        &camera,
        "notcovered: not-applicable [model_not_selected]",
    );

    let mut late = gateway("2.4.1");
    late.hardware_revision = Some("C".into());
    check(
        &source,
        &late,
        "notcovered: not-applicable [hardware_revision_not_selected]",
    );

    let mut unknown = gateway("2.4.1");
    unknown.hardware_revision = None;
    check(
        &source,
        &unknown,
        "notcovered: not-applicable [hardware_revision_unknown]",
    );

    let mut elsewhere = gateway("2.4.1");
    elsewhere.model = "gw-200".into();
    elsewhere.hardware_revision = None;
    elsewhere.labels.clear();
    check(
        &source,
        &elsewhere,
        "notcovered: not-applicable [model_not_selected hardware_revision_unknown label_not_selected]",
    );
}

#[test]
fn an_unknown_revision_is_fine_where_revisions_do_not_matter() {
    let mut unknown = gateway("2.4.1");
    unknown.hardware_revision = None;
    check(&policy(), &unknown, "permitted: compliant [on_target]");
}

#[test]
fn forbidden_versions_must_be_left() {
    let mut source = policy();
    source.permit.minimum = Some("2.0.0".into());
    source.permit.blocked = vec![blocked("2.2.0"), blocked("2.3.0+bad"), blocked("2.5.0")];
    for (running, expected) in [
        ("2.0.0", "permitted: install 2.4.1 routine [behind_target]"),
        (
            "1.9.9",
            "forbidden: install 2.4.1 forbidden [below_minimum behind_target]",
        ),
        (
            "0.9.0",
            "forbidden: install 2.4.1 forbidden [below_minimum outside_range behind_target]",
        ),
        (
            "2.2.0",
            "forbidden: install 2.4.1 forbidden [blocked behind_target]",
        ),
        (
            "2.2.0+any",
            "forbidden: install 2.4.1 forbidden [blocked behind_target]",
        ),
        (
            "2.3.0+bad",
            "forbidden: install 2.4.1 forbidden [blocked behind_target]",
        ),
        ("2.3.0+good", "permitted: install 2.4.1 routine [behind_target]"),
        // Blocking a version does not by itself allow going back.
        ("2.5.0", "forbidden: stuck [blocked downgrade_not_allowed]"),
        ("3.1.0", "forbidden: stuck [outside_range downgrade_not_allowed]"),
    ] {
        check(&source, &gateway(running), expected);
    }
}

#[test]
fn the_way_back_is_direct_and_must_be_allowed() {
    let source = policy_with(|update| {
        update.allow_downgrade = true;
        update.stepping_stones = vec![stone("2.0.0", "2.0.0")];
    });
    for (running, expected) in [
        ("2.5.0", "permitted: install 2.4.1 routine [downgrade]"),
        (
            "3.1.0",
            "forbidden: install 2.4.1 forbidden [outside_range downgrade]",
        ),
    ] {
        check(&source, &gateway(running), expected);
    }
}

#[test]
fn a_target_that_names_a_build_wants_that_build() {
    let source = policy_with(|update| update.target.version = "2.4.1+b7".into());
    for (running, expected) in [
        ("2.4.1+b7", "permitted: compliant [on_target]"),
        ("2.4.1", "permitted: install 2.4.1+b7 routine [other_build]"),
        ("2.4.1+b8", "permitted: install 2.4.1+b7 routine [other_build]"),
    ] {
        check(&source, &gateway(running), expected);
    }
}

#[test]
fn stepping_stones_are_not_jumped_over() {
    let source = policy_with(|update| {
        // The last version that reads the old partition table, and the one that moves the boot loader.
        update.stepping_stones = vec![
            stone("2.0.0", "1.9.7"),
            stone("1.2.0", "1.2.0"),
            stone("2.1.0", "2.2.0"),
        ];
    });
    for (running, expected) in [
        (
            "1.1.0",
            "install 1.2.0 > 1.9.7 > 2.2.0 > 2.4.1 routine [behind_target stepping_stone]",
        ),
        (
            "1.2.0",
            "install 1.9.7 > 2.2.0 > 2.4.1 routine [behind_target stepping_stone]",
        ),
        (
            "1.9.6",
            "install 1.9.7 > 2.2.0 > 2.4.1 routine [behind_target stepping_stone]",
        ),
        (
            "1.9.7",
            "install 2.2.0 > 2.4.1 routine [behind_target stepping_stone]",
        ),
        // Newer than the stone, and still below the boundary: it has passed.
        (
            "1.9.8",
            "install 2.2.0 > 2.4.1 routine [behind_target stepping_stone]",
        ),
        // Not below 2.1.0, so 2.2.0 is not required.
        ("2.1.0", "install 2.4.1 routine [behind_target]"),
    ] {
        check(&source, &gateway(running), &format!("permitted: {expected}"));
    }
}

#[test]
fn stepping_stones_count_only_for_boundaries_below_the_target() {
    let source = policy_with(|update| {
        update.target.version = "1.9.9".into();
        update.stepping_stones = vec![stone("2.0.0", "1.9.7")];
    });
    check(
        &source,
        &gateway("1.5.0"),
        "permitted: install 1.9.9 routine [behind_target]",
    );
}

#[test]
fn stepping_stones_may_be_below_the_minimum() {
    let mut source = policy_with(|update| update.stepping_stones = vec![stone("2.0.0", "1.9.7")]);
    source.permit.minimum = Some("2.1.0".into());
    let expected = "forbidden: install 1.9.7 > 2.4.1 forbidden [below_minimum behind_target stepping_stone]";
    check(&source, &gateway("1.5.0"), expected);
    check(
        &source,
        &gateway("1.9.7"),
        "forbidden: install 2.4.1 forbidden [below_minimum behind_target]",
    );
}

#[test]
fn what_cannot_be_judged_is_left_alone_unless_the_policy_says_otherwise() {
    let hold = policy();
    let oldest = policy_with(|update| {
        update.unreadable_version = UnreadableVersion::TreatAsOldest;
        update.stepping_stones = vec![stone("1.0.0", "1.0.0")];
    });
    check(&hold, &gateway("build 7"), "unknown: stuck [version_unreadable]");
    check(&hold, &gateway(""), "unknown: stuck [version_not_reported]");
    let expected =
        "unknown: install 1.0.0 > 2.4.1 routine [version_unreadable taken_as_oldest stepping_stone]";
    check(&oldest, &gateway("build 7"), expected);
    check(&oldest, &gateway(""), "unknown: stuck [version_not_reported]");
}

#[test]
fn a_policy_without_update_only_judges() {
    let mut source = policy();
    source.update = None;
    check(&source, &gateway("2.0.0"), "permitted: compliant [no_target]");
    check(
        &source,
        &gateway("3.0.0"),
        "forbidden: stuck [outside_range no_target]",
    );
    check(
        &source,
        &gateway(""),
        "unknown: stuck [version_not_reported no_target]",
    );
}

#[test]
fn windows_hold_back_until_they_open_or_the_deadline_comes() {
    let source = policy_with(|update| {
        update.windows = vec!["Mon-Fri 22:00-05:00".into()];
        update.deadline = Some("2026-03-04T00:00:00Z".into());
    });
    let device = gateway("2.0.0");
    for (now, expected) in [
        (
            MONDAY_NOON,
            "wait 2.4.1 until 2026-03-02t22:00:00z [behind_target outside_window]",
        ),
        (
            "2026-03-02T22:00:00Z",
            "install 2.4.1 by 2026-03-03t05:00:00z routine [behind_target]",
        ),
        (
            "2026-03-03T23:59:59Z",
            "install 2.4.1 by 2026-03-04t05:00:00z routine [behind_target]",
        ),
        (
            "2026-03-04T12:00:00Z",
            "install 2.4.1 overdue [behind_target deadline_passed]",
        ),
    ] {
        check_at(&source, &device, now, &format!("permitted: {expected}"));
    }

    let weekend = policy_with(|update| {
        update.windows = vec!["Sat 00:00-24:00".into()];
        update.deadline = Some("2026-03-04T00:00:00Z".into());
    });
    let expected = "permitted: wait 2.4.1 until 2026-03-04t00:00:00z [behind_target outside_window]";
    check(&weekend, &device, expected);
}

#[test]
fn windows_need_the_local_time() {
    let mut lost = gateway("2.0.0");
    lost.utc_offset = None;
    check(
        &policy(),
        &lost,
        "permitted: install 2.4.1 routine [behind_target]",
    );

    let mut source = policy_with(|update| update.windows = vec!["00:00-24:00".into()]);
    check(
        &source,
        &gateway("2.0.0"),
        "permitted: install 2.4.1 routine [behind_target]",
    );
    check(
        &source,
        &lost,
        "permitted: wait 2.4.1 [behind_target local_time_unknown]",
    );

    source.update.as_mut().unwrap().deadline = Some("2026-03-04T00:00:00Z".into());
    let expected = "permitted: wait 2.4.1 until 2026-03-04t00:00:00z [behind_target local_time_unknown]";
    check(&source, &lost, expected);
}

#[test]
fn the_rollout_takes_devices_in_turn() {
    // The device's turn comes at 20.32 %.
    for (rollout, expected) in [
        ("20.31%", "wait 2.4.1 [behind_target not_in_rollout]"),
        ("20.32%", "install 2.4.1 routine [behind_target]"),
        ("100%", "install 2.4.1 routine [behind_target]"),
        ("0%", "wait 2.4.1 [behind_target rollout_stopped]"),
    ] {
        let source = policy_with(|update| update.rollout = Some(rollout.into()));
        check(&source, &gateway("2.0.0"), &format!("permitted: {expected}"));
    }
    let salted = policy_with(|update| {
        update.rollout = Some("20.32%".into());
        update.rollout_salt = Some("cam-ir".into());
    });
    check(
        &salted,
        &gateway("2.0.0"),
        "permitted: wait 2.4.1 [behind_target not_in_rollout]",
    );
}

#[test]
fn a_device_out_of_turn_is_not_woken_for_a_window() {
    let mut source = policy_with(|update| {
        update.rollout = Some("1%".into());
        update.windows = vec!["22:00-05:00".into()];
    });
    let expected = "permitted: wait 2.4.1 [behind_target not_in_rollout outside_window]";
    check(&source, &gateway("2.0.0"), expected);

    source.update.as_mut().unwrap().deadline = Some("2026-04-01T00:00:00Z".into());
    let expected =
        "permitted: wait 2.4.1 until 2026-04-01t00:00:00z [behind_target not_in_rollout outside_window]";
    check(&source, &gateway("2.0.0"), expected);
}

#[test]
fn the_deadline_overrides_the_schedule_but_not_a_stop() {
    let mut source = policy_with(|update| {
        update.rollout = Some("1%".into());
        update.windows = vec!["22:00-05:00".into()];
        update.deadline = Some(MONDAY_NOON.into());
    });
    let device = gateway("2.0.0");
    check(
        &source,
        &device,
        "permitted: install 2.4.1 overdue [behind_target deadline_passed]",
    );
    check_at(
        &source,
        &device,
        "2026-03-02T11:59:59Z",
        "permitted: wait 2.4.1 until 2026-03-02t12:00:00z [behind_target not_in_rollout outside_window]",
    );
    source.update.as_mut().unwrap().rollout = Some("0%".into());
    check(
        &source,
        &device,
        "permitted: wait 2.4.1 [behind_target rollout_stopped]",
    );
}

#[test]
fn forbidden_versions_wait_for_their_turn_unless_the_policy_says_at_once() {
    let mut source = policy_with(|update| {
        update.rollout = Some("1%".into());
        update.windows = vec!["22:00-05:00".into()];
    });
    source.permit.blocked = vec![blocked("2.2.0")];
    let device = gateway("2.2.0");
    let expected = "forbidden: wait 2.4.1 [blocked behind_target not_in_rollout outside_window]";
    check(&source, &device, expected);

    source.update.as_mut().unwrap().when_forbidden = WhenForbidden::AtOnce;
    check(
        &source,
        &device,
        "forbidden: install 2.4.1 forbidden [blocked behind_target leaves_at_once]",
    );
    let expected = "permitted: wait 2.4.1 [behind_target not_in_rollout outside_window]";
    check(&source, &gateway("2.1.0"), expected);

    source.update.as_mut().unwrap().rollout = Some("0%".into());
    check(
        &source,
        &device,
        "forbidden: wait 2.4.1 [blocked behind_target rollout_stopped]",
    );
}

#[test]
fn a_forbidden_device_past_the_deadline_is_first_of_all_forbidden() {
    let mut source = policy_with(|update| update.deadline = Some(MONDAY_NOON.into()));
    source.permit.minimum = Some("2.1.0".into());
    let expected = "forbidden: install 2.4.1 forbidden [below_minimum behind_target deadline_passed]";
    check(&source, &gateway("2.0.0"), expected);
}
