use super::super::record::PolicyText;
use muster_domain::catalog::{Channels, ChannelsSource, Revision};
use muster_firmware_policy::FirmwarePolicy;
use serde::Deserialize;

/// Without channels; still written where a policy has none.
#[derive(Deserialize)]
pub(in crate::store::embedded) struct PolicyV1(Revision<FirmwarePolicy>);

impl From<PolicyV1> for Revision<PolicyText> {
    fn from(PolicyV1(former): PolicyV1) -> Self {
        let source = ChannelsSource::from(&Channels::from(former.content));
        Self {
            number: former.number,
            author: former.author,
            created: former.created,
            message: former.message,
            content: PolicyText::of(&source),
        }
    }
}
