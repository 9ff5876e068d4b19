//! Replaced by the crate's own branch.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FirmwarePolicy {}
