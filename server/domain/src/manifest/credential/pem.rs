//! PEM (RFC 7468) as it comes out of spreadsheets, JSON and databases, and base64 of DER.
//!
//! Line breaks get lost on the way: they become blanks, or the two characters `\n`. So all white space within a block
//! counts for nothing, and neither do those two.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Characters of base64 in a line of PEM.
const WIDTH: usize = 64;
/// Cells drop the `=` at the end as they please; bits that stand for nothing must still be zero.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What it says it is.
    pub(super) label: String,
    /// What is inside.
    pub(super) der: Vec<u8>,
}

/// The first block of a text, or of none.
pub(super) fn first(text: &str) -> Result<Option<Block>, String> {
    let mut rest = text;
    next(&mut rest)
}

/// The certificates in a text, in order; other blocks are passed over, but a private key is an error.
pub(in crate::manifest) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(block) = next(&mut rest)? {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => found.push(block.der),
            label if label.ends_with("PRIVATE KEY") => return Err(super::PRIVATE.into()),
            _ => {}
        }
    }
    Ok(found)
}

/// The next block; `rest` moves behind it.
fn next(rest: &mut &str) -> Result<Option<Block>, String> {
    let Some((_, behind)) = rest.split_once(BEGIN) else {
        return Ok(None);
    };
    let open = || "opens a PEM block that does not end".to_owned();
    let (label, behind) = behind.split_once(DASHES).ok_or_else(open)?;
    let (body, behind) = behind.split_once(END).ok_or_else(open)?;
    let (end, behind) = behind.split_once(DASHES).ok_or_else(open)?;
    if label != end {
        return Err("ends a PEM block by another name than it began".into());
    }
    *rest = behind;
    // What a private key holds is not even decoded.
    let der = if label.ends_with("PRIVATE KEY") {
        Vec::new()
    } else {
        base64(body).ok_or("has a PEM block that is not base64")?
    };
    Ok(Some(Block {
        label: label.to_owned(),
        der,
    }))
}

/// Bytes from base64 in either alphabet; `None` for nothing, and for what is none.
pub(in crate::manifest) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bare = text.replace("\\r", "").replace("\\n", "");
    bare.retain(|c| !c.is_ascii_whitespace());
    let engine = if bare.contains(['-', '_']) { URL } else { PLAIN };
    engine.decode(bare).ok().filter(|bytes| !bytes.is_empty())
}

/// PEM of DER, with line feeds and none at the end: a value of a cell.
pub(in crate::manifest) fn armour(label: &str, der: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in encoded.as_bytes().chunks(WIDTH) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(END);
    text.push_str(label);
    text.push_str(DASHES);
    text
}

#[cfg(test)]
mod tests;
