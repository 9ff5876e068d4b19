//! What a device that has not claimed is waiting for.

use crate::support::{after, at, registered};
use muster_domain::{
    certificate::SpkiDigest,
    device::{ClaimWindow, CloneAlarm, Device, KeyChoice, StepState, Transition, explain},
};

fn armed(opens: Option<u64>, closes: Option<u64>, key: KeyChoice) -> Device {
    let window = ClaimWindow {
        opens: opens.map(at),
        closes: closes.map(at),
    };
    let window = Some(window);
    after([Transition::Arm { window, key }])
}

#[test]
fn it_says_when_and_with_which_key() {
    let check = |device: &Device, state: StepState, summary: &str, next: &[&str]| {
        let explained = explain(device, None, at(86_400));
        assert_eq!(explained.steps[1].state, state, "{explained:?}");
        assert_eq!(explained.summary, summary);
        let told = explained.next.join("\n");
        assert!(next.iter().all(|words| told.contains(words)), "{told}");
    };
    let key = SpkiDigest([0xab; 32]);
    check(
        &armed(None, None, KeyChoice::Kept),
        StepState::Current,
        "waiting for its first claim",
        &["power the device on", "reissue-code"],
    );
    check(
        &armed(Some(5), Some(172_800), KeyChoice::Only(key)),
        StepState::Current,
        &format!("waiting for its first claim, with the key {key} alone, until 1970-01-03T00:00:00Z"),
        &["--key-sha256 HEX", "--any-key"],
    );
    check(
        &armed(Some(172_800), None, KeyChoice::Only(key)),
        StepState::Blocked,
        "its claim window is not open yet: no claim before 1970-01-03T00:00:00Z",
        &["muster device arm"],
    );
    check(
        &armed(None, Some(86_400), KeyChoice::Kept),
        StepState::Blocked,
        "its activation code has expired: no claim can begin since 1970-01-02T00:00:00Z",
        &["reissue-code", "--until TIME"],
    );
}

#[test]
fn another_key_before_the_right_one_was_nobodys_claim() {
    let key = SpkiDigest([5; 32]);
    let source = [192, 0, 2, 1].into();
    let alarmed = |device: Device| Device {
        alarm: Some(CloneAlarm::raised(None, at(50), key, source, None)),
        ..device
    };
    let warning = |device: &Device| explain(device, None, at(60)).warnings.remove(0);
    let bound = armed(None, None, KeyChoice::Only(SpkiDigest([1; 32])));
    let told = warning(&alarmed(bound));
    assert!(
        told.contains("the key that it must have has not come yet"),
        "{told}"
    );
    let claimed = Device {
        lifecycle: crate::support::claimed().lifecycle,
        ..registered()
    };
    let told = warning(&alarmed(claimed));
    assert!(told.contains("was claimed from an unknown address"), "{told}");
}
