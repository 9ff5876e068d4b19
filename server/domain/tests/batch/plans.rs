//! Plans by name.

use crate::support::device;
use muster_domain::{
    Code, Refusal, Timestamp,
    batch::{BatchSpec, CredentialKind, KeyFormat, PlanHash, PlanHasher, RowDigest},
    device::Device,
    ids::DeviceId,
    manifest::{Problem, Writes},
};
use std::time::Duration;

fn plan(spec: &BatchSpec, rows: &[RowDigest]) -> PlanHash {
    let mut hasher = PlanHasher::new(spec, &[1; 32], b"mapping");
    rows.iter().for_each(|row| hasher.row(*row));
    hasher.finish()
}

#[test]
fn what_changes_the_outcome_changes_the_plan() {
    let spec = BatchSpec::default();
    let same = plan(&spec, &[]);
    let differs = |what: &str, change: fn(&mut BatchSpec)| {
        let mut changed = spec.clone();
        change(&mut changed);
        assert_ne!(plan(&changed, &[]), same, "{what}");
    };
    differs("sheet", |spec| spec.sheet = "B".to_owned());
    differs("header", |spec| spec.header_row = 2);
    differs("path", |spec| spec.record_path = "x".to_owned());
    differs("signer", |spec| spec.signers = vec![vec![1]]);
    differs("model", |spec| {
        spec.default_model = Some("GW-200".parse().unwrap())
    });
    differs("whole", |spec| spec.all_or_nothing = true);
    differs("writes", |spec| spec.writes = Writes::CreateOnly);
    differs("mask", |spec| spec.update_mask = vec!["site".to_owned()]);
    differs("credential", |spec| spec.credential = CredentialKind::Csr);
    differs("ttl", |spec| spec.code_ttl = Duration::from_secs(1));
    differs("format of keys", |spec| spec.key_format = KeyFormat::Pkcs12);
    differs("recipient", |spec| spec.key_recipient = "age1".to_owned());
    assert_ne!(PlanHasher::new(&spec, &[2; 32], b"mapping").finish(), same);
    assert_ne!(PlanHasher::new(&spec, &[1; 32], b"other").finish(), same);
    // Its name, and whether it is only looked at, change nothing of what it does.
    let looked_at = BatchSpec {
        file_name: "other.csv".to_owned(),
        validate_only: true,
        plan_hash: Some(same),
        save_mapping: Some("line-7".parse().unwrap()),
        ..spec
    };
    assert_eq!(plan(&looked_at, &[]), same);
}

#[test]
fn what_a_row_does_is_told_apart() {
    let device = device();
    let moved = Device {
        site: Some("BER-01".parse().unwrap()),
        ..device.clone()
    };
    let newer = Device {
        revision: 2,
        ..device.clone()
    };
    let changes = ["site".to_owned()];
    let refused = |code| {
        let problem = Problem::new(Refusal::new(code, "why").at("rows[3].mac"));
        RowDigest::refused(3, &[problem])
    };
    let digests = [
        RowDigest::created(3, &device),
        RowDigest::created(4, &device),
        RowDigest::created(3, &moved),
        RowDigest::updated(3, &device, &moved, &changes),
        RowDigest::updated(3, &newer, &moved, &changes),
        RowDigest::updated(3, &device, &moved, &[]),
        RowDigest::unchanged(3, &device),
        RowDigest::unchanged(3, &newer),
        refused(Code::MacTaken),
        refused(Code::MacRepeated),
        RowDigest::refused(3, &[]),
    ];
    for (place, digest) in digests.iter().enumerate() {
        assert!(!digests[..place].contains(digest), "{place}");
    }
    assert_ne!(
        plan(&BatchSpec::default(), &digests[..2]),
        plan(&BatchSpec::default(), &[digests[1], digests[0]])
    );
}

#[test]
fn ids_and_time_are_no_part_of_a_plan() {
    let later = Device {
        id: DeviceId::from_u128(99),
        created: Timestamp::from_seconds(99),
        updated: Timestamp::from_seconds(99),
        ..device()
    };
    assert_eq!(RowDigest::created(3, &device()), RowDigest::created(3, &later));
}
