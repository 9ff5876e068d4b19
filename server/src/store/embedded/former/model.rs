//! Models before they had check digits and could allow local addresses.

use super::super::record::Replaceable;
use muster_domain::catalog::ModelSource;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in crate::store::embedded) struct ModelV1 {
    name: String,
    description: String,
    serial_pattern: String,
    ouis: Vec<String>,
    profile: String,
    firmware_policy: String,
}

impl From<Replaceable<ModelV1>> for Replaceable<ModelSource> {
    fn from(former: Replaceable<ModelV1>) -> Self {
        let model = former.source;
        Self {
            changes: former.changes,
            source: ModelSource {
                name: model.name,
                description: model.description,
                serial_pattern: model.serial_pattern,
                ouis: model.ouis,
                profile: model.profile,
                firmware_policy: model.firmware_policy,
                check_digit: String::new(),
                allow_local_addresses: false,
            },
        }
    }
}
