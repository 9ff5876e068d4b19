//! What an operator is told.

use muster_firmware_policy::{BlockedSource, Reason};

use crate::builder::{blocked, evaluate_at_noon, gateway, policy, policy_with};

#[test]
fn an_evaluation_reads_as_a_paragraph() {
    let mut source = policy_with(|update| {
        update.rollout = Some("5%".into());
        update.windows = vec!["22:00-05:00".into()];
    });
    source.permit.blocked = vec![BlockedSource {
        because: Some("it loses the modem".into()),
        ..blocked("2.2.0")
    }];
    assert_eq!(
        evaluate_at_noon(&source, &gateway("2.2.0")).explain(),
        "Wait with the installation of 2.4.1. Version 2.2.0 is blocked: \"it loses the modem\". The device runs \
         2.2.0, and the target is 2.4.1. The rollout is at 5%, and the device's turn comes at 20.32%. The next \
         install window opens at 2026-03-02T22:00:00Z."
    );
    assert_eq!(
        evaluate_at_noon(&source, &gateway("2.4.1")).explain(),
        "Nothing to do. The device runs the target, 2.4.1."
    );
}

#[test]
fn what_a_device_says_of_itself_cannot_reach_the_terminal() {
    let hostile = format!("\u{1b}[2J\r\n\u{202e}{}", "x".repeat(10_000));
    let told = evaluate_at_noon(&policy(), &gateway(&hostile)).explain();
    assert!(
        told.starts_with("The device cannot meet the policy by itself. The device runs \"\\u{1b}[2J\\r\\n")
    );
    assert!(
        told.chars().all(|c| c == '…' || (' '..='~').contains(&c)),
        "{told}"
    );

    // An evaluation may also have come from a device.
    let forged = Reason::OutsideRange {
        version: "1.0.0".parse().unwrap(),
        range: hostile,
    };
    let told = forged.to_string();
    assert!(
        told.chars().all(|c| c == '…' || (' '..='~').contains(&c)) && told.len() < 1_000,
        "{told}"
    );
}
