//! Where a file goes while it is written: under a temporary name, encrypted on the way when it is to be.

use crate::{
    failure::Failure,
    import::recipient::{Encrypted, Recipient},
};
use std::{
    fmt,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// What the name of an encrypted file ends with.
const ENCRYPTED_ENDING: &str = "age";

type Out = BufWriter<NamedTempFile>;

enum Stream {
    Plain(Out),
    /// What is written leaves this process encrypted, a block of 64 KiB at a time.
    Encrypted(Box<Encrypted<Out>>),
}

/// A file that appears under its name whole, or not at all; readable by its owner only.
pub(crate) struct Sink {
    stream: Stream,
    path: PathBuf,
    temporary: PathBuf,
    replace: bool,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// Begins the file beside its later place, so that a full disk or a missing directory is found before anything is
    /// sent. An encrypted file is called `path.age`.
    pub(crate) fn begin(path: &Path, replace: bool, recipient: Option<&Recipient>) -> Result<Self, Failure> {
        let path = match recipient {
            Some(_) if path.extension().is_none_or(|ending| ending != ENCRYPTED_ENDING) => {
                let mut name = path.as_os_str().to_owned();
                name.push(".");
                name.push(ENCRYPTED_ENDING);
                PathBuf::from(name)
            }
            Some(_) | None => path.to_owned(),
        };
        let failed = |error: io::Error| Failure::file("write", &path, &error);
        if !replace && path.exists() {
            return Err(Failure::usage(
                format!("{} is there already", path.display()),
                "It may hold activation codes that exist nowhere else. Choose another name, or give --replace.",
            ));
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        if !parent.is_dir() {
            return Err(Failure::usage(
                format!(
                    "cannot write {}: {} is no directory",
                    path.display(),
                    parent.display()
                ),
                "",
            ));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".muster-results-")
            .tempfile_in(parent)
            .map_err(failed)?;
        let under = temporary.path().to_owned();
        let out = BufWriter::new(temporary);
        let stream = match recipient {
            Some(recipient) => Stream::Encrypted(Box::new(recipient.encrypt(out).map_err(failed)?)),
            None => Stream::Plain(out),
        };
        Ok(Self {
            stream,
            path,
            temporary: under,
            replace,
        })
    }

    /// Where the file will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file is until then.
    pub(in crate::import) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Makes the file durable and gives it its name.
    pub(crate) fn finish(self) -> io::Result<PathBuf> {
        let out = match self.stream {
            Stream::Plain(out) => out,
            Stream::Encrypted(out) => out.finish()?,
        };
        let temporary = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        temporary.as_file().sync_all()?;
        let named = if self.replace {
            temporary.persist(&self.path)
        } else {
            temporary.persist_noclobber(&self.path)
        };
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new(".")).to_owned();
        named.map(drop).or_else(|error| {
            // Better a file with an odd name than codes that nobody has.
            let (cause, temporary) = (error.error, error.file);
            let (_, kept) = temporary.keep().map_err(|error| error.error)?;
            Err(io::Error::new(
                cause.kind(),
                format!("{cause}; the results are in {}", kept.display()),
            ))
        })?;
        // The name must outlive a loss of power, too: what the file holds is forgotten elsewhere. Some network file
        // systems cannot do that.
        drop(std::fs::File::open(parent).and_then(|directory| directory.sync_all()));
        Ok(self.path)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(out) => out.write(bytes),
            Stream::Encrypted(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(out) => out.flush(),
            Stream::Encrypted(out) => out.flush(),
        }
    }
}
