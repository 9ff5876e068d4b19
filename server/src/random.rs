//! Random bytes from the cryptographic provider.

use rustls::crypto::{GetRandomFailed, SecureRandom};

fn source() -> &'static dyn SecureRandom {
    // A provider is a table of functions: making one costs nothing worth keeping.
    rustls::crypto::aws_lc_rs::default_provider().secure_random
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], GetRandomFailed> {
    let mut bytes = [0; N];
    source().fill(&mut bytes)?;
    Ok(bytes)
}

/// 128 random bits.
pub fn number() -> Result<u128, GetRandomFailed> {
    bytes().map(u128::from_be_bytes)
}
