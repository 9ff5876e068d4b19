//! What records were: copies of types as they were written once, and what they mean now. Never edited.

mod change;
mod model;
mod policy;
mod profile;
mod records;
mod site;

pub(super) use change::{ChangeV1, TargetV1};
pub(super) use model::{ModelV1, ModelV2};
pub(super) use policy::PolicyV1;
pub(super) use profile::ProfileV1;
pub(super) use records::{BatchV1, CertificateV1, DeviceV1, DeviceV2, DeviceV3, DeviceV4, OperatorV1};
pub(super) use site::SiteV1;
