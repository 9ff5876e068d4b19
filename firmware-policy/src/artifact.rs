//! Where a firmware is, and how to know that it is the right one.

use alloc::string::{String, ToString};
use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Defect;
use crate::signature::Signature;
use crate::text::bounded;
use crate::version::FirmwareVersion;

/// Longest address in bytes; what proxies and servers commonly accept.
const MAX_URL: usize = 2_048;

/// A firmware image that a device can fetch and verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The version that a device reports once it runs this image.
    pub version: FirmwareVersion,
    /// Where the image is.
    pub url: ArtifactUrl,
    /// Digest of the whole image. It, not the transport, is what the device trusts.
    pub sha256: Sha256Digest,
    /// Size of the image in bytes.
    pub size: NonZeroU64,
    /// Its author's word for the image, with a key that no registry has; `None` if there is none.
    pub signature: Option<Signature>,
}

/// An absolute `http` or `https` address in printable ASCII, without credentials.
///
/// Plain `http` is good enough for caches on a factory floor, because the digest travels in a signed policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactUrl(String);

impl ArtifactUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactUrl {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        let url = bounded(text, MAX_URL)?;
        let (scheme, rest) = url.split_once("://").ok_or(Defect::NotAUrl)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Defect::UrlWithCredentials);
        }
        let has_host = !authority.is_empty() && !authority.starts_with(':');
        let printable = rest
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\'));
        if !matches!(scheme, "http" | "https") || !has_host || !printable {
            return Err(Defect::NotAUrl);
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for ArtifactUrl {
    type Error = Defect;

    fn try_from(text: String) -> Result<Self, Defect> {
        text.parse()
    }
}

impl From<ArtifactUrl> for String {
    fn from(url: ArtifactUrl) -> Self {
        url.0
    }
}

impl fmt::Display for ArtifactUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// From the digest's bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Sha256Digest {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        parse_hex(text).map(Self).ok_or(Defect::NotASha256)
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

impl TryFrom<String> for Sha256Digest {
    type Error = Defect;

    fn try_from(text: String) -> Result<Self, Defect> {
        text.parse()
    }
}

impl From<Sha256Digest> for String {
    fn from(digest: Sha256Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_carry_no_secrets() {
        for (text, expected) in [
            ("https://fw.example/gw/2.4.1.img?sig=a%20b#x", Ok(())),
            ("http://10.0.0.1:8080/i", Ok(())),
            ("https://[2001:db8::1]/i", Ok(())),
            ("https://fw.example/users/@me", Ok(())),
            ("", Err(Defect::Empty)),
            ("ftp://fw.example/i", Err(Defect::NotAUrl)),
            ("file:///etc/passwd", Err(Defect::NotAUrl)),
            ("https:/fw.example", Err(Defect::NotAUrl)),
            ("https://", Err(Defect::NotAUrl)),
            ("https:///i", Err(Defect::NotAUrl)),
            ("https://:443/i", Err(Defect::NotAUrl)),
            ("https://fw.example/a b", Err(Defect::NotAUrl)),
            ("https://fw.example/ü", Err(Defect::NotAUrl)),
            ("https://fw.example/\u{7f}", Err(Defect::ControlCharacter)),
            ("https://user:pw@fw.example/i", Err(Defect::UrlWithCredentials)),
        ] {
            assert_eq!(text.parse::<ArtifactUrl>().map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn digests_are_64_hexadecimal_digits() {
        let upper = "A5".repeat(32);
        let digest: Sha256Digest = upper.parse().unwrap();
        assert_eq!(digest.as_bytes(), &[0xa5; 32]);
        assert_eq!(digest.to_string(), "a5".repeat(32));
        for text in [
            "",
            &"a".repeat(63),
            &"a".repeat(65),
            &"+1".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(text.parse::<Sha256Digest>(), Err(Defect::NotASha256), "{text}");
        }
    }
}
