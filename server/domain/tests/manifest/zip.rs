//! ZIP archives, written plainly so that each field can be made wrong.

use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write as _;

/// One file of an archive.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    pub(crate) is_deflated: bool,
    /// General purpose flags.
    pub(crate) flags: u16,
    /// Added to the checksum.
    pub(crate) damage: u32,
}

pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> File {
    File {
        name: name.to_owned(),
        content: content.as_ref().to_vec(),
        is_deflated: true,
        flags: 0,
        damage: 0,
    }
}

impl File {
    /// What local header and directory have in common, and the packed bytes.
    fn head(&self) -> (Vec<u8>, Vec<u8>) {
        let mut sum = Crc::new();
        sum.update(&self.content);
        let packed = if self.is_deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&self.content).unwrap();
            encoder.finish().unwrap()
        } else {
            self.content.clone()
        };
        let method: u16 = if self.is_deflated { 8 } else { 0 };
        let mut head = Vec::new();
        for short in [20, self.flags, method, 0, 0] {
            head.extend(short.to_le_bytes());
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        for long in [
            sum.sum().wrapping_add(self.damage),
            length(&packed),
            length(&self.content),
        ] {
            head.extend(long.to_le_bytes());
        }
        head.extend(u16::try_from(self.name.len()).unwrap().to_le_bytes());
        head.extend([0, 0]);
        (head, packed)
    }
}

/// The archive.
pub(crate) fn zip(files: &[File]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let (head, packed) = file.head();
        let place = u32::try_from(body.len()).unwrap();
        for part in [&b"PK\x03\x04"[..], &head, file.name.as_bytes(), &packed] {
            body.extend_from_slice(part);
        }
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&head);
        directory.extend([0; 10]);
        directory.extend(place.to_le_bytes());
        directory.extend_from_slice(file.name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([count, count].concat());
    for long in [directory.len(), body.len()] {
        end.extend(u32::try_from(long).unwrap().to_le_bytes());
    }
    end.extend([0, 0]);
    [body, directory, end].concat()
}
