//! A directory of certificates as one file that can be sent.

use crate::failure::Failure;
use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// Endings of certificates, PEM or DER; other files are passed over.
const ENDINGS: [&str; 5] = ["pem", "crt", "cer", "der", "cert"];
/// Most certificates of one archive, as the registry takes it.
const FILE_COUNT_LIMIT: usize = 100_000;
/// Largest certificate; a chain of three with RSA keys has about 8 kB.
const FILE_LIMIT: u64 = 64 << 10;
/// How deep directories may lie in each other.
const DEPTH_LIMIT: usize = 8;

/// Packs the certificates of a directory and those below it into a temporary archive, which goes when it is dropped.
/// The same files give the same bytes: they are sorted by name and have no time.
///
/// # Errors
/// When there are none, too many, or one too large to be a certificate.
pub fn zip_directory(path: &Path) -> Result<NamedTempFile, Failure> {
    let mut files = Vec::new();
    list(path, 0, &mut files)?;
    let mut named: Vec<_> = files.into_iter().map(|file| (name(path, &file), file)).collect();
    named.sort();
    if named.is_empty() {
        return Err(Failure::usage(
            format!("{} holds no certificates", path.display()),
            "Their names end with .pem, .crt, .cer or .der.",
        ));
    }
    pack(&named)
}

/// The name in the archive: with slashes, whatever the system writes.
fn name(root: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// Finds the certificates. Links are not followed: they may lead anywhere, and round in circles.
fn list(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file("read", directory, &error);
    if depth > DEPTH_LIMIT {
        return Err(Failure::usage(
            format!(
                "{} lies more than {DEPTH_LIMIT} directories deep",
                directory.display()
            ),
            "",
        ));
    }
    for entry in directory.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if kind.is_dir() {
            list(&path, depth + 1, files)?;
        } else if kind.is_file() && ENDINGS.iter().any(|known| ending == *known) {
            if files.len() == FILE_COUNT_LIMIT {
                return Err(Failure::usage(
                    format!("there are more than {FILE_COUNT_LIMIT} certificates"),
                    "Import them in parts.",
                ));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn pack(files: &[(String, PathBuf)]) -> Result<NamedTempFile, Failure> {
    let mut builder = tempfile::Builder::new();
    let temporary = builder.prefix("muster-certificates-").suffix(".zip").tempfile();
    let temporary = temporary.map_err(|error| Failure::Fault(error.into()))?;
    let broken = |error: io::Error| Failure::file("write", temporary.path(), &error);
    let mut archive = ZipWriter::new(BufWriter::new(temporary.reopen().map_err(broken)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut content = Vec::new();
    for (name, path) in files {
        content.clear();
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        file.take(FILE_LIMIT + 1)
            .read_to_end(&mut content)
            .map_err(|error| Failure::file("read", path, &error))?;
        if content.len() as u64 > FILE_LIMIT {
            return Err(Failure::usage(
                format!(
                    "{} is over {FILE_LIMIT} bytes: no certificate is that large",
                    path.display()
                ),
                "",
            ));
        }
        archive
            .start_file(name, options)
            .map_err(io::Error::other)
            .and_then(|()| archive.write_all(&content))
            .map_err(broken)?;
    }
    let mut out = archive.finish().map_err(io::Error::other).map_err(broken)?;
    out.flush().and_then(|()| out.rewind()).map_err(broken)?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_packed_in_order_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
        std::fs::create_dir(directory.path().join("b")).unwrap();
        for (name, content) in [
            ("c.PEM", "3"),
            ("b/a.der", "2"),
            ("a.crt", "1"),
            ("key.txt", "no"),
        ] {
            put(name, content);
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("/", directory.path().join("loop")).unwrap();
        let first = zip_directory(directory.path()).unwrap();
        let mut archive = zip::ZipArchive::new(File::open(first.path()).unwrap()).unwrap();
        let mut found = Vec::new();
        for place in 0..archive.len() {
            let mut entry = archive.by_index(place).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push(format!("{} {text}", entry.name().unwrap()));
        }
        assert_eq!(found, ["a.crt 1", "b/a.der 2", "c.PEM 3"]);
        let second = zip_directory(directory.path()).unwrap();
        let bytes = |file: &NamedTempFile| std::fs::read(file.path()).unwrap();
        assert_eq!(bytes(&first), bytes(&second));
    }

    #[test]
    fn what_holds_no_certificates_is_refused() {
        let check = |name: &str, content: &[u8], expected: &str| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(name), content).unwrap();
            let failure = zip_directory(directory.path()).unwrap_err().to_string();
            assert!(failure.contains(expected), "{failure}");
        };
        check("a.txt", b"x", "holds no certificates");
        check("a.pem", &vec![b'x'; 70_000], "is over 65536 bytes");
        let missing = zip_directory(Path::new("/nowhere/x")).unwrap_err();
        assert!(missing.to_string().contains("cannot read"), "{missing}");
    }
}
