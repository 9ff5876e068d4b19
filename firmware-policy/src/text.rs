//! Checked text: bounds on what a person or a device may write.

use alloc::string::String;

use crate::problem::Defect;

/// Longest name of a policy, and longest rollout salt, in bytes.
pub(crate) const MAX_NAME: usize = 64;
/// Longest model, hardware revision, label or label value in a selector, in bytes.
pub(crate) const MAX_WORD: usize = 128;
/// Longest sentence of a person, such as why a version is blocked, in bytes.
pub(crate) const MAX_SENTENCE: usize = 512;

/// Accepts text of 1 to `limit` bytes without control characters.
pub(crate) fn bounded(text: &str, limit: usize) -> Result<String, Defect> {
    if text.is_empty() {
        return Err(Defect::Empty);
    }
    check_length(text, limit)?;
    if text.chars().any(char::is_control) {
        return Err(Defect::ControlCharacter);
    }
    Ok(text.into())
}

/// Accepts the name of a policy or a rollout salt.
pub(crate) fn name(text: &str) -> Result<String, Defect> {
    let name = bounded(text, MAX_NAME)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Defect::BadName);
    }
    Ok(name)
}

pub(crate) fn check_length(text: &str, limit: usize) -> Result<(), Defect> {
    if text.len() <= limit {
        Ok(())
    } else {
        Err(Defect::TooLong(limit))
    }
}
