//! `muster context`.

use crate::{
    cli::Session,
    context::{Collision, ContextFile, Contexts, VARIABLE},
    failure::Failure,
    output::{Column, Listing, Look, Record, print_one},
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep a context under a name; the first one becomes the current one.
    Add(Box<Add>),
    /// List named contexts.
    #[command(visible_alias = "ls")]
    List,
    /// Make a context the one that is used when none is given.
    Use {
        /// Its name.
        name: String,
    },
    /// Show the context that would be used.
    Show,
}

/// Keep a context under a name.
#[derive(Debug, Args)]
#[command(override_usage = "muster context add NAME --from DIR|FILE
       muster context add NAME --server URL [--mqtt HOST:PORT] --roots FILE --certificate FILE --key FILE")]
pub(crate) struct Add {
    /// The name.
    name: String,
    /// A context file, or a directory made by `musterd init` or `muster operator create`.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["server", "mqtt", "roots", "certificate", "key", "server_name"])]
    from: Option<PathBuf>,
    /// Such as https://muster.example:8443.
    #[arg(long, value_name = "URL", required_unless_present = "from")]
    server: Option<String>,
    /// Where the server listens for MQTT, such as muster.example:8883; for `muster mqtt`.
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
    /// Root certificates, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    roots: Option<PathBuf>,
    /// The operator's certificate, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    certificate: Option<PathBuf>,
    /// The operator's private key, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    key: Option<PathBuf>,
    /// The name in the server's certificate, where it differs from that in the address.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Replace a context of that name.
    #[arg(long)]
    replace: bool,
}

/// A context as it is listed.
#[derive(Debug, Serialize)]
struct Shown {
    name: Option<String>,
    current: bool,
    path: PathBuf,
    #[serde(flatten)]
    file: ContextFile,
}

impl Record for Shown {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Plain),
        Column::shown("current", "CURRENT", Look::Plain),
        Column::shown("server", "SERVER", Look::Plain),
        Column::shown("path", "FILE", Look::Plain),
        Column::extra("mqtt", Look::Plain),
        Column::extra("server_name", Look::Plain),
        Column::extra("roots", Look::Plain),
        Column::extra("certificate", Look::Plain),
        Column::extra("key", Look::Plain),
    ];
}

impl Command {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let contexts = Contexts::of_user()?;
        match self {
            Self::Add(add) => {
                let path = add.run(&contexts)?;
                session.note(&format!("wrote {}", path.display()));
                Ok(())
            }
            Self::List => {
                let current = contexts.current();
                let mut broken = Vec::new();
                let mut listing = Listing::of::<Shown>(session.out, session.format, &[])?;
                for name in contexts.names()? {
                    let Some(path) = contexts.find(&name) else {
                        continue;
                    };
                    let current = current.as_deref() == Some(name.as_str());
                    let file = match ContextFile::read(&path) {
                        Ok(file) => file,
                        Err(failure) => {
                            broken.push(failure);
                            continue;
                        }
                    };
                    listing.push(&Shown {
                        file,
                        name: Some(name),
                        current,
                        path,
                    })?;
                }
                listing.finish()?;
                // One that is broken hides none of the others.
                for failure in broken {
                    session.note(&failure.to_string());
                }
                Ok(())
            }
            Self::Use { name } => {
                contexts.choose(&name)?;
                if std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()) {
                    session.note(&format!("note: {VARIABLE} is set and comes first"));
                }
                Ok(())
            }
            Self::Show => {
                let path = crate::context::file_of(&session.context_path()?)?;
                let name = contexts
                    .names()?
                    .into_iter()
                    .find(|name| contexts.find(name).as_ref() == Some(&path));
                let current = name.is_some() && contexts.current() == name;
                print_one(
                    session.out,
                    session.format,
                    &Shown {
                        file: ContextFile::read(&path)?,
                        name,
                        current,
                        path,
                    },
                )
            }
        }
    }
}

impl Add {
    fn run(self, contexts: &Contexts) -> Result<PathBuf, Failure> {
        let here = |path: Option<PathBuf>| absolute(&path.unwrap_or_default());
        let file = match self.from {
            Some(from) => {
                let path = absolute(&crate::context::file_of(&from)?)?;
                ContextFile::read(&path)?.based_at(path.parent().unwrap_or_else(|| Path::new("/")))
            }
            None => ContextFile {
                server: self.server.unwrap_or_default(),
                roots: here(self.roots)?,
                certificate: here(self.certificate)?,
                key: here(self.key)?,
                mqtt: self.mqtt,
                server_name: self.server_name,
            },
        };
        file.check()
            .map_err(|why| Failure::usage(why, "Write --server https://HOST:PORT, and --mqtt HOST:PORT."))?;
        for credential in [&file.roots, &file.certificate, &file.key] {
            std::fs::File::open(credential).map_err(|error| Failure::file("read", credential, &error))?;
        }
        let collision = if self.replace {
            Collision::Replaces
        } else {
            Collision::Fails
        };
        contexts.add(&self.name, &file, collision)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))
}
