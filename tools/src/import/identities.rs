//! Keys and certificates of new devices, a file each: what a line puts onto a device.
//!
//! The results have them too, in a column. A station that flashes one device after the other wants files.

use super::ImportOptions;
use crate::failure::Failure;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_proto::v1::{KeyFormat, RowResult};
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Ending of a certificate and those above it.
const CERTIFICATES_ENDING: &str = "pem";
/// Characters of a line of PEM (RFC 7468).
const PEM_WIDTH: usize = 64;
/// Longest name of a file without its ending, in bytes: file systems allow 255.
const NAME_LIMIT: usize = 200;

/// Where the files go.
#[derive(Debug)]
pub(super) struct IdentityFiles {
    keys: Option<PathBuf>,
    certificates: Option<PathBuf>,
    keys_ending: &'static str,
    /// Files that say something else may be replaced.
    replace: bool,
    /// What stands above certificates that were issued, DER, nearest first.
    issuers: Vec<Vec<u8>>,
}

impl IdentityFiles {
    /// Makes the directories, so that a wrong one is found before anything is sent. `None` when no files are asked for.
    pub(super) fn begin(options: &ImportOptions) -> Result<Option<Self>, Failure> {
        let directories = [&options.keys, &options.certificates];
        for directory in directories.into_iter().flatten() {
            make_directory(directory).map_err(|error| Failure::file("make", directory, &error))?;
        }
        let is_wanted = directories.into_iter().any(Option::is_some) && !options.dry_run;
        Ok(is_wanted.then(|| Self {
            keys: options.keys.clone(),
            certificates: options.certificates.clone(),
            keys_ending: match options.key_format {
                KeyFormat::Unspecified | KeyFormat::Pem => "pem.age",
                KeyFormat::Pkcs12 => "p12.age",
            },
            replace: options.replace,
            issuers: Vec::new(),
        }))
    }

    /// What stands above the certificates that come next.
    pub(super) fn issued_by(&mut self, issuers: &[Vec<u8>]) {
        issuers.clone_into(&mut self.issuers);
    }

    /// Writes what an answer brings, durably: it may be acknowledged then.
    pub(super) fn push(&self, answer: &RowResult) -> Result<(), Failure> {
        let name = match answer.serial.as_str() {
            "" => answer.device.trim_start_matches("devices/"),
            serial => serial,
        };
        if let Some(directory) = &self.keys
            && !answer.key.is_empty()
        {
            self.write(directory, name, self.keys_ending, &answer.key)?;
        }
        if let Some(directory) = &self.certificates
            && !answer.certificate.is_empty()
        {
            let chain = std::iter::once(&answer.certificate).chain(&self.issuers);
            let text: String = chain.map(|der| pem(der)).collect();
            self.write(directory, name, CERTIFICATES_ENDING, text.as_bytes())?;
        }
        Ok(())
    }

    fn write(&self, directory: &Path, name: &str, ending: &str, content: &[u8]) -> Result<(), Failure> {
        let path = directory.join(format!("{}.{ending}", file_name(name)));
        // An import that goes on gets the same answers again.
        if fs::read(&path).is_ok_and(|there| there == content) {
            return Ok(());
        }
        match keep(directory, &path, content, self.replace) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::usage(
                format!("{} is there already and holds something else", path.display()),
                "It may be the only copy of a key. Nothing is lost: the same command with another directory, or with --replace, \
                 gets the answers again.",
            )),
            Err(error) => Err(Failure::file("write", &path, &error)),
        }
    }
}

/// Only the owner may look into it.
fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The file appears whole, or not at all; readable by its owner only.
fn keep(directory: &Path, path: &Path, content: &[u8], replace: bool) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new()
        .prefix(".muster-identity-")
        .tempfile_in(directory)?;
    io::Write::write_all(&mut temporary, content)?;
    temporary.as_file().sync_all()?;
    let named = match replace {
        true => temporary.persist(path),
        false => temporary.persist_noclobber(path),
    };
    named.map(drop).map_err(|error| error.error)
}

/// A serial as the name of a file on any system: letters, digits and `-`, `_`, `+`, `.` stay, other bytes are written as `%2F`.
/// Different serials have different names.
fn file_name(serial: &str) -> String {
    let mut name = String::new();
    for (place, byte) in serial.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || (b"-_+.".contains(&byte) && place > 0);
        if is_plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(name, "%{byte:02X}");
        }
    }
    name.truncate(NAME_LIMIT);
    name
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut block = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(PEM_WIDTH));
        block.push_str(line);
        block.push('\n');
        rest = behind;
    }
    block.push_str("-----END CERTIFICATE-----\n");
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(serial: &str, key: &[u8], certificate: &[u8]) -> RowResult {
        RowResult {
            device: "devices/d1".into(),
            serial: serial.into(),
            key: key.to_vec(),
            certificate: certificate.to_vec(),
            ..RowResult::default()
        }
    }

    fn files(directory: &Path, replace: bool, key_format: KeyFormat) -> IdentityFiles {
        let options = ImportOptions {
            keys: Some(directory.join("keys")),
            certificates: Some(directory.join("certificates")),
            replace,
            key_format,
            ..ImportOptions::default()
        };
        IdentityFiles::begin(&options).unwrap().unwrap()
    }

    #[test]
    fn names_lead_nowhere_else() {
        let check = |serial: &str, expected: &str| assert_eq!(file_name(serial), expected, "{serial:?}");
        check("GW2-7000001", "GW2-7000001");
        check("A.1_2+3", "A.1_2+3");
        check("A/B", "A%2FB");
        check("A%2FB", "A%252FB");
        check("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
        check("..", "%2E.");
        check("-rf", "%2Drf");
        check("C:\\x", "C%3A%5Cx");
        check("é\n", "%C3%A9%0A");
        assert_eq!(file_name(&"/".repeat(100)).len(), NAME_LIMIT);
    }

    #[test]
    fn keys_and_chains_are_files_of_their_owner() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = files(directory.path(), false, KeyFormat::Pkcs12);
        files.issued_by(&[vec![2; 60]]);
        files.push(&answer("GW/1", b"sealed", &[1; 60])).unwrap();
        files.push(&answer("GW-2", b"", b"")).unwrap();
        files.push(&answer("", b"k", b"")).unwrap();
        let names = |name: &str| {
            let entries = fs::read_dir(directory.path().join(name)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names("keys"), ["GW%2F1.p12.age", "d1.p12.age"]);
        assert_eq!(names("certificates"), ["GW%2F1.pem"]);
        let text = fs::read_to_string(directory.path().join("certificates/GW%2F1.pem")).unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(text.lines().all(|line| line.len() <= PEM_WIDTH), "{text}");
        #[cfg(unix)]
        for (name, expected) in [("keys", 0o700), ("keys/GW%2F1.p12.age", 0o600)] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(directory.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, expected, "{name}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let careful = files(directory.path(), false, KeyFormat::Pem);
        careful.push(&answer("A", b"first", b"")).unwrap();
        careful.push(&answer("A", b"first", b"")).unwrap();
        let failure = careful.push(&answer("A", b"second", b"")).unwrap_err();
        assert!(failure.to_string().contains("is there already"), "{failure}");
        let key = directory.path().join("keys/A.pem.age");
        assert_eq!(fs::read(&key).unwrap(), b"first");
        let bold = files(directory.path(), true, KeyFormat::Pem);
        bold.push(&answer("A", b"second", b"")).unwrap();
        assert_eq!(fs::read(&key).unwrap(), b"second");
        let left = fs::read_dir(directory.path().join("keys")).unwrap().count();
        assert_eq!(left, 1, "no temporary files");
    }

    #[test]
    fn a_wrong_directory_is_found_at_once() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "x").unwrap();
        let options = ImportOptions {
            keys: Some(directory.path().join("file/keys")),
            ..ImportOptions::default()
        };
        assert!(IdentityFiles::begin(&options).is_err());
        assert!(IdentityFiles::begin(&ImportOptions::default()).unwrap().is_none());
    }
}
