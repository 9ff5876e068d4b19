//! Models before they had check digits and could allow local addresses; then before they knew certificates.

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
                ..ModelSource::default()
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store::embedded) struct ModelV2 {
    name: String,
    description: String,
    serial_pattern: String,
    ouis: Vec<String>,
    profile: String,
    firmware_policy: String,
    check_digit: String,
    allow_local_addresses: bool,
}

impl From<Replaceable<ModelV2>> for Replaceable<ModelSource> {
    fn from(former: Replaceable<ModelV2>) -> Self {
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
                check_digit: model.check_digit,
                allow_local_addresses: model.allow_local_addresses,
                ..ModelSource::default()
            },
        }
    }
}
