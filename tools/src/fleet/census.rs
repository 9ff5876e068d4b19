//! A fleet as the registry has it, read back device by device.

use crate::client::{Client, pages};
use anyhow::Context as _;
use muster_proto::v1::{self, ChangeTarget, verification::State as Verdict};
use std::collections::HashMap;

/// What a device must be, and whether it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) generation: u64,
    /// Of the content.
    pub(super) digest: [u8; 32],
    /// Of the profile; 0 for none.
    pub(super) revision: u32,
    pub(super) verified: bool,
}

/// By device id.
pub(super) type Census = HashMap<String, Stand>;

fn stand(device: &v1::Device) -> anyhow::Result<Stand> {
    let desired = device
        .desired
        .as_ref()
        .context("a device without desired state")?;
    let verdict = device.verification.as_ref().map(|verdict| verdict.state());
    let revision = desired
        .profile
        .rsplit('/')
        .next()
        .and_then(|number| number.parse().ok());
    Ok(Stand {
        generation: desired.generation,
        digest: desired
            .digest
            .as_slice()
            .try_into()
            .context("a digest of another length")?,
        revision: revision.unwrap_or(0),
        verified: verdict == Some(Verdict::Verified),
    })
}

/// Every device.
pub(super) async fn devices(client: &Client, size: u32) -> anyhow::Result<Census> {
    let mut census = HashMap::with_capacity(super::index(size)?);
    let fetch = async |page_size, page_token| {
        let request = v1::ListDevicesRequest {
            page_size,
            page_token,
            ..v1::ListDevicesRequest::default()
        };
        let answer = client.devices.clone().list_devices(request).await?.into_inner();
        Ok((answer.devices, answer.next_page_token))
    };
    pages(None, fetch, |device: v1::Device| {
        let id = device.name.trim_start_matches("devices/").to_owned();
        let twice = census.insert(id, stand(&device)?).is_some();
        if twice {
            return Err(anyhow::anyhow!("{} is listed twice", device.name).into());
        }
        Ok(())
    })
    .await?;
    Ok(census)
}

/// Every target of a change.
pub(super) async fn targets(client: &Client, change: &str) -> anyhow::Result<Vec<ChangeTarget>> {
    in_states(client, change, &[]).await
}

/// Those in one of these states; of no states, all.
pub(super) async fn in_states(
    client: &Client,
    change: &str,
    states: &[v1::change_target::State],
) -> anyhow::Result<Vec<ChangeTarget>> {
    let mut found = Vec::new();
    let fetch = async |page_size, page_token| {
        let request = v1::ListTargetsRequest {
            name: change.to_owned(),
            page_size,
            page_token,
            states: states.iter().map(|state| (*state).into()).collect(),
            stage: 0,
        };
        let answer = client.changes.clone().list_targets(request).await?.into_inner();
        Ok((answer.targets, answer.next_page_token))
    };
    pages(None, fetch, |target| {
        found.push(target);
        Ok(())
    })
    .await?;
    Ok(found)
}
