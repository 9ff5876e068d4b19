//! Archives of certificates: a ZIP with a file for each device, in PEM or DER, as makers of secure elements hand them out.
//!
//! Names within the archive are text for people: nothing is ever opened or written by them.

use super::{
    Fault, ReadError,
    archive::{Archive, Entry},
    carried::{arrive, too_large},
    credential::{self, COMMON_NAME, Certificate, SERIAL_NUMBER},
    record::{Draft, Record},
};
use crate::{Code, Refusal};
use core::ops::Range;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

/// The names of an archive's cells.
pub(super) const COLUMNS: [&str; 5] = ["file", "serial", "not_after", "subject", "certificate"];
/// Most entries of an archive: its directory is held in memory, some 150 bytes each.
pub(super) const ENTRY_LIMIT: u64 = 100_000;
/// Largest file that is taken for a certificate, in bytes: a chain of twenty in PEM.
const FILE_LIMIT: u64 = 64 << 10;
/// Most bytes of all certificates together, unpacked: 5 KiB each.
const TOTAL_LIMIT: u64 = 512 << 20;
/// Endings of files that hold one.
const CERTIFICATES: [&str; 5] = [".pem", ".crt", ".cer", ".der", ".cert"];
/// Endings of files that hold private keys, whatever else.
const PRIVATE: [&str; 3] = [".key", ".p12", ".pfx"];
/// Endings of bundles (PKCS#7, RFC 2315).
const BUNDLES: [&str; 2] = [".p7b", ".p7c"];

/// An archive of certificates that is being read.
#[derive(Debug)]
pub(super) struct Certificates<R> {
    archive: Archive<R>,
    /// The entries not read yet.
    rest: Range<usize>,
    /// Unpacked bytes that may still be read.
    left: u64,
    /// Rows by the digest of their certificate.
    seen: BTreeMap<[u8; 32], u32>,
    draft: Draft,
}

/// What an entry is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    /// It could be meant as a device, and cannot be one; why.
    Unfit(&'static str),
    /// Folders, notes, and what operating systems leave behind.
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let ends = |endings: &[&str]| {
            let file = file.to_ascii_lowercase();
            endings.iter().any(|ending| file.ends_with(ending))
        };
        if file.starts_with('.') || name.starts_with("__MACOSX/") {
            Self::Other
        } else if ends(&CERTIFICATES) {
            Self::Certificate
        } else if ends(&PRIVATE) {
            Self::Unfit("is a file of private keys, which must not leave the device; take them for disclosed")
        } else if ends(&BUNDLES) {
            Self::Unfit("is a PKCS#7 bundle; write the device's certificate as PEM or DER")
        } else {
            Self::Other
        }
    }
}

impl<R: Read + Seek> Certificates<R> {
    /// # Errors
    /// [`Code::ManifestUnreadable`] when the archive holds no certificate.
    pub(super) fn open(archive: Archive<R>) -> Result<Self, ReadError> {
        let is_any = |entry: &Entry| Kind::of(&entry.name) != Kind::Other;
        if !archive.entries().iter().any(is_any) {
            let why = format!(
                "is an archive without certificates: they end in {}",
                CERTIFICATES.join(", ")
            );
            return Err(Refusal::new(Code::ManifestUnreadable, why).into());
        }
        Ok(Self {
            rest: 0..archive.entries().len(),
            archive,
            left: TOTAL_LIMIT,
            seen: BTreeMap::new(),
            draft: Draft::default(),
        })
    }

    /// The next certificate, or `false` at the end. Its row is the place of its entry in the archive.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        for place in self.rest.by_ref() {
            let Some(entry) = self.archive.entries().get(place).cloned() else {
                break;
            };
            let row = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let unfit = match Kind::of(&entry.name) {
                Kind::Other => continue,
                Kind::Unfit(why) => Some(why),
                Kind::Certificate => None,
            };
            self.draft.clear();
            self.draft.add("file", &entry.name);
            let filled = match unfit {
                Some(why) => Err(malformed(why)),
                None => self.fill(row, &entry)?,
            };
            self.draft.fault = filled.err();
            self.draft.finish(row, &[], record);
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the certificate of an entry into the draft. The inner error is the row's own.
    fn fill(&mut self, row: u32, entry: &Entry) -> Result<Result<(), Fault>, ReadError> {
        if entry.size > FILE_LIMIT {
            return Ok(Err(malformed(format!("is longer than {FILE_LIMIT} bytes"))));
        }
        let why = || too_large(format!("unpacks to more than {TOTAL_LIMIT} bytes"));
        self.left = self.left.checked_sub(entry.size).ok_or_else(why)?;
        match self.unpack(entry) {
            Ok(bytes) => Ok(self.describe(row, &bytes)),
            // The other entries can be sound.
            Err(ReadError::Refused(refusal)) if refusal.code == Code::ManifestUnreadable => {
                Ok(Err(malformed(refusal.message)))
            }
            Err(error) => Err(error),
        }
    }

    fn unpack(&mut self, entry: &Entry) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        let mut part = self.archive.part(entry)?;
        part.read_to_end(&mut bytes).map_err(arrive)?;
        Ok(bytes)
    }

    fn describe(&mut self, row: u32, bytes: &[u8]) -> Result<(), Fault> {
        let der = device_certificate(bytes).map_err(malformed)?;
        let certificate = Certificate::read(&der).map_err(malformed)?;
        if certificate.is_authority {
            return Err(malformed("is the certificate of an authority, not of a device"));
        }
        let subject = &certificate.subject;
        let serial = subject
            .value(SERIAL_NUMBER)
            .or_else(|| subject.value(COMMON_NAME));
        self.draft.add("serial", serial.unwrap_or_default());
        self.draft.add("not_after", &certificate.not_after_text);
        self.draft.add("subject", &subject.to_string());
        self.draft
            .add("certificate", &credential::armour("CERTIFICATE", &der));
        match self.seen.insert(Sha256::digest(&der).into(), row) {
            Some(earlier) => Err(Fault::Entry {
                code: Code::CredentialRepeated,
                why: format!("is the certificate of row {earlier} once more"),
            }),
            None => Ok(()),
        }
    }
}

impl<R> Certificates<R> {
    pub(super) const fn archive(&self) -> &Archive<R> {
        &self.archive
    }
}

fn malformed(why: impl Into<String>) -> Fault {
    Fault::Entry {
        code: Code::CredentialMalformed,
        why: why.into(),
    }
}

/// The first certificate of a file: PEM, DER, or DER in base64 without a frame.
fn device_certificate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    /// A SEQUENCE of more than 127 bytes, as every certificate is.
    const DER: [u8; 2] = [0x30, 0x82];
    if bytes.starts_with(&DER) {
        return Ok(bytes.to_vec());
    }
    let text = core::str::from_utf8(bytes).map_err(|_| "is not a certificate in PEM or DER")?;
    let mut found = credential::pem_certificates(text)?;
    if found.is_empty() {
        return credential::base64(text).ok_or_else(|| "holds no certificate".into());
    }
    Ok(found.swap_remove(0))
}
