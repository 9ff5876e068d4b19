//! Changes that give out codes: whom they leave alone, what codes may be shown, and when they may be forgotten.

use crate::{
    devices::{after, claimed, intent, registered},
    support::{PLAN, at, draft},
};
use core::time::Duration;
use muster_domain::{
    Code,
    activation::{ActivationCode, CodeHash, CodeKey, Seed},
    batch::RESULTS_KEPT,
    catalog::Catalog,
    certificate::RevocationReason,
    change::{
        Action, Change, ChangeRecord, ChangeState, Codes, Exclusion, Former, Halt, Planner, Zones, explain,
    },
    desired::Digests,
    device::{ClaimWindow, Credential, Device, KeyChoice, Lifecycle, Transition},
};

const fn reissue(claimed: bool) -> Action {
    Action::ReissueCodes { claimed, ttl: None }
}

fn judge(action: Action, device: &Device) -> Result<Former, Exclusion> {
    let (change, catalog) = (Change { action, ..draft() }, Catalog::default());
    let mut planner = Planner::new(&change, Digests::new(&catalog), at(1000));
    let planned = planner.judge(device, None)?;
    assert!(
        planned.can_prove,
        "stages are dealt out: nothing has to be proved"
    );
    assert_eq!(planned.before, planned.after);
    Ok(planned.former)
}

#[test]
fn whoever_has_claimed_is_left_alone_unless_that_is_wanted() {
    let begun = after([Transition::Intend(intent(1, 11))]);
    let revoked = after([
        Transition::Intend(intent(1, 11)),
        Transition::Certify,
        Transition::Revoke {
            certificate: intent(1, 11).certificate,
            reason: RevocationReason::KeyCompromise,
        },
    ]);
    let suspended = after([Transition::Suspend("theft".into())]);
    let retired = after([Transition::Retire("old".into())]);
    for (device, spared, wanted) in [
        (registered(), None, None),
        (begun, Some("it has claimed, or begun to"), None),
        (revoked, Some("after that was revoked"), None),
        (claimed(), Some("it has claimed, or begun to"), None),
        (
            suspended,
            Some("SUSPENDED cannot be given"),
            Some("SUSPENDED cannot be given"),
        ),
        (retired, Some("it is retired"), Some("it is retired")),
    ] {
        for (claimed, expected) in [(false, spared), (true, wanted)] {
            let judged = judge(reissue(claimed), &device);
            match expected {
                None => assert_eq!(judged, Ok(Former::Gone)),
                Some(why) => {
                    let said = judged.unwrap_err().to_string();
                    assert!(said.contains(why), "{said}");
                }
            }
        }
    }
}

#[test]
fn a_code_is_what_a_single_one_would_be() {
    let hash = ActivationCode::from_random([7; 15]).hash(&CodeKey::from_bytes([1; 32]));
    let check = |ttl: Option<u64>, window: ClaimWindow| {
        let action = Action::ReissueCodes {
            claimed: false,
            ttl: ttl.map(Duration::from_secs),
        };
        let transition = action.transition(hash, at(50)).unwrap();
        let stepped = registered().lifecycle.step(transition, at(50)).unwrap();
        let Lifecycle::Registered {
            credential:
                Credential::Code {
                    hash: kept,
                    window: open,
                    bound: None,
                    intent: None,
                },
        } = stepped
        else {
            panic!("{stepped:?}")
        };
        assert_eq!((kept, open), (hash, window));
    };
    check(None, ClaimWindow::ALWAYS);
    check(Some(100), ClaimWindow::until(Some(at(150))));
    // Whoever lost a label has the key yet.
    let bound = after([Transition::Arm {
        window: None,
        key: KeyChoice::Only(intent(4, 1).spki),
    }]);
    let stepped = bound
        .lifecycle
        .step(reissue(false).transition(hash, at(50)).unwrap(), at(50));
    assert_eq!(
        stepped.unwrap().claim_terms().unwrap().key,
        Some(intent(4, 1).spki)
    );
    assert!(Action::Resume.transition(CodeHash::NOTHING, at(50)).is_some());
    let action = reissue(true);
    assert!(
        !action.wants_proof() && !action.is_reversible() && !action.has_content() && action.gives_codes()
    );
    assert!(!Action::RotateCertificate.gives_codes());
}

fn states() -> [(ChangeState, bool); 8] {
    let (plan, at) = (PLAN, at(9));
    let why = Halt::Failures {
        stage: 0,
        count: 1,
        allowed: 0,
    };
    [
        (ChangeState::Draft, false),
        (ChangeState::Planned { plan }, false),
        (
            ChangeState::Running {
                plan,
                stage: 0,
                paused: None,
            },
            false,
        ),
        (
            ChangeState::Halted {
                plan,
                stage: 0,
                at,
                why,
            },
            false,
        ),
        (ChangeState::RollingBack { since: at, why: None }, false),
        (ChangeState::Done { plan, at }, true),
        (ChangeState::RolledBack { at, why: None }, true),
        (ChangeState::Aborted { at }, true),
    ]
}

#[test]
fn codes_are_forgotten_when_all_of_them_are_out_and_kept() {
    let seed = Some(Seed::from_bytes([3; 16]));
    let codes = |issued, seed: &Option<Seed>| Codes {
        issued,
        seed: seed.clone(),
    };
    for (state, has_ended) in states() {
        let change = Change {
            action: reissue(false),
            state,
            ..draft()
        };
        let expires = has_ended.then(|| at(9).plus(RESULTS_KEPT));
        assert_eq!(change.codes_expire(), expires);
        let number = |codes: Codes, kept| codes.acknowledged(&change, kept).map_err(|why| why.code);
        let early = Err(Code::ChangeState);
        let expected = if has_ended { Ok(true) } else { early };
        assert_eq!(number(codes(5, &seed), 5), expected);
        assert_eq!(number(codes(0, &seed), 0), expected);
        assert_eq!(number(codes(5, &seed), 4), early, "the fifth would be lost");
        assert_eq!(number(codes(5, &seed), 6), Err(Code::PageTokenInvalid));
        let again = if has_ended { Ok(false) } else { early };
        assert_eq!(number(codes(5, &None), 5), again);
        assert_eq!(number(codes(5, &None), 3), again);
        let shown = |codes: Codes| codes.shown(&change).cloned().map_err(|why| why.code);
        assert_eq!(shown(codes(5, &seed)), Ok(seed.clone().unwrap()));
        assert_eq!(shown(codes(0, &seed)), Ok(seed.clone().unwrap()));
        assert_eq!(shown(codes(0, &None)), Err(Code::ChangeState));
        assert_eq!(shown(codes(5, &None)), Err(Code::CodesErased));
    }
    // Others have none, whatever is on record.
    let refused = codes(5, &seed).shown(&draft()).unwrap_err();
    assert_eq!(refused.code, Code::ChangeState);
    assert!(
        refused
            .message
            .contains("its action is profile gateway revision 2"),
        "{refused}"
    );
    let refused = codes(5, &seed).acknowledged(&draft(), 5).unwrap_err();
    assert_eq!(refused.code, Code::ChangeState);
}

#[test]
fn a_plan_warns_of_what_devices_lose() {
    let explained = |action: Action| {
        let change = Change {
            action,
            state: ChangeState::Planned { plan: PLAN },
            ..draft()
        };
        explain(&ChangeRecord::new(change), &Zones::All, at(9)).summary
    };
    assert!(!explained(reissue(false)).contains("lose"));
    let summary = explained(reissue(true));
    assert!(
        summary.contains("those that have claimed lose their certificates"),
        "{summary}"
    );
}

#[test]
fn codes_are_to_be_fetched_from_the_end_until_they_are_erased() {
    let fetch = format!("muster change codes {} --out codes.csv", draft().id);
    let seed = Some(Seed::from_bytes([3; 16]));
    for (state, has_ended) in states() {
        let change = Change { state, ..draft() };
        let next = |issued, seed: Option<Seed>| Codes { issued, seed }.next(&change);
        assert_eq!(next(5, seed.clone()), has_ended.then(|| fetch.clone()));
        assert_eq!(next(0, seed.clone()), None);
        assert_eq!(next(5, None), None);
    }
    let is_erased = |issued, seed| Codes { issued, seed }.is_erased();
    assert_eq!(
        (is_erased(5, None), is_erased(5, seed), is_erased(0, None)),
        (true, false, false)
    );
}
