//! What records were: copies of types as they were written once, and what they mean now. Never edited.

mod model;

pub(super) use model::ModelV1;
