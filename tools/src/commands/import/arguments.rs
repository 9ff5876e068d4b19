//! Values of options, and the command line as it was typed.

use muster_proto::v1::{CredentialKind, KeyFormat, ManifestFormat};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::failure::Failure;
use clap::ValueEnum;

/// Largest file of signers: a bundle of a maker's log signers is a few KiB.
const SIGNERS_LIMIT: u64 = 1 << 20;
/// Most signers of one import.
const SIGNER_COUNT: usize = 64;

/// What a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// Cells between commas, semicolons, tabs or bars.
    #[value(alias = "tsv")]
    Csv,
    /// One JSON object a line.
    #[value(alias = "jsonl")]
    Ndjson,
    /// A JSON list of objects, or an object that has one.
    Json,
    /// One XML element a record.
    Xml,
    /// Excel workbooks.
    Xlsx,
    /// Excel workbooks before 2007.
    Xls,
    /// OpenDocument spreadsheets.
    Ods,
    /// A Microchip Trust Platform manifest.
    Microchip,
    /// A directory or ZIP archive of certificates, one device each.
    #[value(alias = "zip")]
    Certificates,
}

impl From<FileFormat> for ManifestFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Csv => Self::Csv,
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Json => Self::Json,
            FileFormat::Xml => Self::Xml,
            FileFormat::Xlsx => Self::Xlsx,
            FileFormat::Xls => Self::Xls,
            FileFormat::Ods => Self::Ods,
            FileFormat::Microchip => Self::Microchip,
            FileFormat::Certificates => Self::Certificates,
        }
    }
}

/// How new devices come to their identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Credential {
    /// An activation code for the label.
    Code,
    /// A certificate request in the row; the certificate comes back.
    Csr,
    /// The server makes a key; key and certificate come back encrypted.
    Key,
    /// The row has a public key or certificate; the device proves that it holds the key.
    Pinned,
}

impl From<Credential> for CredentialKind {
    fn from(kind: Credential) -> Self {
        match kind {
            Credential::Code => Self::Code,
            Credential::Csr => Self::Csr,
            Credential::Key => Self::Key,
            Credential::Pinned => Self::Pinned,
        }
    }
}

/// What the server makes of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyForm {
    /// PKCS#8 key and certificate chain.
    Pem,
    /// One PKCS#12 file.
    Pkcs12,
}

impl From<KeyForm> for KeyFormat {
    fn from(form: KeyForm) -> Self {
        match form {
            KeyForm::Pem => Self::Pem,
            KeyForm::Pkcs12 => Self::Pkcs12,
        }
    }
}

/// A length of time such as `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ttl(pub(crate) Duration);

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time such as 90m, 12h, 30d or 2w");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let count: u64 = text[..text.len() - unit.len_utf8()]
            .parse()
            .map_err(|_| wrong())?;
        let seconds = count
            .checked_mul(seconds)
            .filter(|&seconds| seconds > 0)
            .ok_or_else(wrong)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// The hash of a plan, as a dry run prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanHash(pub(crate) Vec<u8>);

impl FromStr for PlanHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks_exact(2).map(pair).collect();
        match bytes {
            Some(bytes) if bytes.len() * 2 == text.len() && bytes.len() == 32 => Ok(Self(bytes)),
            Some(_) | None => {
                Err("a plan is named by 64 hexadecimal digits, which were printed with it".to_owned())
            }
        }
    }
}

/// `NAME` or `NAME@REV` as the resource it means.
pub(super) fn mapping(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("mappings/").unwrap_or(text);
    match name.split_once('@') {
        None if name.is_empty() => Err("the mapping has no name".to_owned()),
        None => Ok(format!("mappings/{name}")),
        Some((name, revision)) => match revision.parse::<u32>() {
            Ok(number) if number > 0 && !name.is_empty() => Ok(format!("mappings/{name}/revisions/{number}")),
            Ok(_) | Err(_) => Err(format!("{text:?} is not NAME or NAME@REVISION, such as line-2@3")),
        },
    }
}

/// The certificates of a PEM or DER file, or of every file of a directory.
pub(super) fn signers(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        for file in files(path)? {
            all.extend(certificates(&file)?);
            if all.len() > SIGNER_COUNT {
                return Err(Failure::usage(
                    format!("there are more than {SIGNER_COUNT} signers"),
                    "Give those that signed this manifest.",
                ));
            }
        }
    }
    Ok(all)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| Failure::file("read", path, &error);
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let files: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = files.map_err(failed)?;
    files.retain(|file| file.is_file());
    // The same request in every run.
    files.sort_unstable();
    Ok(files)
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    let none = || {
        Failure::usage(
            format!("{} holds no certificate", path.display()),
            "Signers are certificates in PEM or DER.",
        )
    };
    if size > SIGNERS_LIMIT {
        return Err(none());
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    // DER begins with a sequence; text never with its tag.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|one| one.to_vec()).collect()),
        Ok(_) | Err(_) => Err(none()),
    }
}

/// The command line as typed, without some words and with others behind it, fit to be pasted into a shell.
pub(super) fn retyped(typed: &[OsString], without: &[&str], with: &[&str]) -> String {
    let kept = typed.iter().enumerate().filter_map(|(place, word)| {
        let word = word.to_string_lossy();
        match place {
            0 => Some("muster".to_owned()),
            _ if without.contains(&&*word) => None,
            _ => Some(quoted(&word)),
        }
    });
    let added = with.iter().map(|word| quoted(word));
    kept.chain(added).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(
                text.parse::<Ttl>().ok(),
                seconds.map(|seconds| Ttl(Duration::from_secs(seconds))),
                "{text:?}"
            );
        };
        check("90m", Some(5400));
        check("30d", Some(2_592_000));
        check("2w", Some(1_209_600));
        for wrong in [
            "",
            "d",
            "30",
            "-1d",
            "1.5h",
            "0d",
            "30é",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn mappings_and_plans_are_read_as_they_are_printed() {
        for (text, expected) in [
            ("line-2", Some("mappings/line-2")),
            ("mappings/line-2", Some("mappings/line-2")),
            ("line-2@3", Some("mappings/line-2/revisions/3")),
            ("line-2@0", None),
            ("line-2@x", None),
            ("@3", None),
            ("", None),
        ] {
            assert_eq!(mapping(text).ok().as_deref(), expected, "{text:?}");
        }
        let hash = "aB".repeat(32);
        assert_eq!(hash.parse(), Ok(PlanHash(vec![0xab; 32])));
        for wrong in ["", "ab", &hash[1..], &"xx".repeat(32), &"é".repeat(32)] {
            assert!(wrong.parse::<PlanHash>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_can_be_pasted() {
        let typed = [
            "/usr/bin/muster",
            "import",
            "my file.csv",
            "--dry-run",
            "--sheet",
            "it's",
            "",
        ];
        assert_eq!(
            retyped(&typed.map(OsString::from), &["--dry-run"], &["--plan", "ab"]),
            "muster import 'my file.csv' --sheet 'it'\\''s' '' --plan ab"
        );
    }

    #[test]
    fn signers_come_from_files_and_directories() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        write("a.pem", format!("{0}{0}", made.pem()).as_bytes());
        write("b.der", made.der());
        let found = signers(&[directory.path().to_owned()]).unwrap();
        assert_eq!(found, vec![made.der().to_vec(); 3]);
        write("c.txt", b"no certificate");
        assert!(signers(&[directory.path().to_owned()]).is_err());
        assert!(signers(&[directory.path().join("d.pem")]).is_err());
    }
}
