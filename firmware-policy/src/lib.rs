//! firmware-policy
