//! What records were: copies of types as they were written once, and what they mean now. Never edited.

mod device;
mod model;

pub(super) use device::{BatchV1, DeviceV1};
pub(super) use model::ModelV1;
