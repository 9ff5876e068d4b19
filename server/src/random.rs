//! Random bytes from the cryptographic provider.

use rustls::crypto::SecureRandom;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes")]
pub struct NoRandom;

fn source() -> &'static dyn SecureRandom {
    // A provider is a table of functions: making one costs nothing worth keeping.
    rustls::crypto::aws_lc_rs::default_provider().secure_random
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    source().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// 128 random bits.
pub fn number() -> Result<u128, NoRandom> {
    bytes().map(u128::from_be_bytes)
}
