//! Files of `tests/fixtures/proto`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{fs, path::PathBuf};

/// Bytes of a line of a `.hex` file.
const LINE: usize = 32;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/proto")).join(name)
}

/// Whether what is new may be written (`MUSTER_BLESS=1`).
pub(crate) fn is_blessed() -> bool {
    std::env::var_os("MUSTER_BLESS").is_some()
}

/// The text of a file. With the blessing, one that is not there is made; one that is there is never changed, for
/// whoever wrote a client from it relies on it.
pub(crate) fn golden(name: &str, text: &str) -> String {
    let path = path(name);
    if is_blessed() && !path.exists() {
        fs::write(&path, text).unwrap();
    }
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; MUSTER_BLESS=1 makes it", path.display()))
}

/// The DER in a PEM file (RFC 7468) of one block.
pub(crate) fn pem(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(path("pki").join(name)).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(base64).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As it stands in a `.hex` file.
pub(crate) fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(LINE).map(|line| hex(line) + "\n").collect()
}

/// White space is nothing.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
