//! What is on record of a change and its devices.

use muster_proto::v1::{self, TargetCounts, change_target::State as TargetState};
use muster_tools::Client;
use std::collections::BTreeMap;

pub(super) async fn targets(client: &Client, change: &str) -> BTreeMap<String, v1::ChangeTarget> {
    let request = v1::ListTargetsRequest {
        name: change.to_owned(),
        page_size: 1000,
        ..v1::ListTargetsRequest::default()
    };
    let page = client
        .changes
        .clone()
        .list_targets(request)
        .await
        .unwrap()
        .into_inner();
    let (listed, named) = (page.targets.len(), page.targets.into_iter());
    let targets: BTreeMap<_, _> = named
        .map(|target| (target.device.trim_start_matches("devices/").to_owned(), target))
        .collect();
    assert_eq!(listed, targets.len(), "a target is listed twice");
    targets
}

pub(super) async fn device(client: &Client, id: &str) -> v1::Device {
    let request = v1::GetDeviceRequest {
        name: format!("devices/{id}"),
    };
    client
        .devices
        .clone()
        .get_device(request)
        .await
        .unwrap()
        .into_inner()
}

/// How often each device was made something else by this change, as the audit log has it; and that no step of it is there twice.
pub(super) async fn audited(client: &Client, change: &str) -> BTreeMap<String, u64> {
    let id = change.trim_start_matches("changes/");
    let (mut devices, mut steps) = (BTreeMap::new(), BTreeMap::<String, u32>::new());
    let mut page_token = String::new();
    loop {
        let request = v1::ListEntriesRequest {
            page_size: 1000,
            page_token,
            first_index: 0,
        };
        let page = client
            .audit
            .clone()
            .list_entries(request)
            .await
            .unwrap()
            .into_inner();
        for entry in &page.entries {
            let leaf: serde_json::Value = serde_json::from_str(&entry.leaf).unwrap();
            let (action, subject) = (
                leaf["action"].as_str().unwrap(),
                leaf["subject"].as_str().unwrap(),
            );
            if action == "device_retargeted" && leaf["detail"]["change"] == id {
                *devices
                    .entry(subject.trim_start_matches("devices/").to_owned())
                    .or_default() += 1;
            } else if subject == change && action != "change_planned" {
                *steps.entry(format!("{action} {}", leaf["detail"])).or_default() += 1;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            assert!(steps.values().all(|count| *count == 1), "{steps:?}");
            return devices;
        }
    }
}

pub(super) fn counted<'t>(targets: impl Iterator<Item = &'t v1::ChangeTarget>) -> TargetCounts {
    let mut counts = TargetCounts::default();
    for target in targets {
        counts.total += 1;
        match target.state() {
            TargetState::Done => counts.done += 1,
            TargetState::Failed => counts.failed += 1,
            TargetState::Reverted => counts.reverted += 1,
            TargetState::Skipped => counts.skipped += 1,
            other => panic!("{other:?} at the end"),
        }
    }
    counts
}
