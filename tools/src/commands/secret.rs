//! `muster secret`.

use super::{list, resource};
use crate::{
    cli::{ListArgs, Session},
    failure::Failure,
    output::print_one,
    records::Secret,
};
use clap::{Args, Subcommand};
use muster_domain::catalog::SECRET_VALUE_LIMIT;
use muster_proto::v1;
use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(Put),
    /// List secrets, the newest revision of each. Nobody is shown a value.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// List the revisions of a secret, newest first.
    History {
        /// Its name.
        name: String,
        #[command(flatten)]
        list: ListArgs,
    },
    Retire(Retire),
}

/// Keep a value as the next revision of a secret. It comes from a file or from standard input, never from the command line,
/// which others can see.
#[derive(Debug, Args)]
#[command(after_help = "\
A value is text in UTF-8 of 1 to 4096 bytes; one line break at its end is left out. Where it is to stand in JSON, YAML, TOML or
INI, it may hold no quote, backslash or control character.

Devices get it with the next revision of a profile that names it: apply the profile again, also where its text is the same, and
bring it to them with a change.

Examples:
  muster secret put wifi-psk --file psk.txt --message \"new after the audit\"
  pass show plant/wifi | muster secret put wifi-psk")]
pub(crate) struct Put {
    /// Its name, as templates have it: {{ secret(\"NAME\") }}.
    name: String,
    /// The file with the value; without it, standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why, for the history.
    #[arg(short, long, default_value = "")]
    message: String,
}

/// Erase the value of a revision, for good. Its number and history stay.
///
/// Refused while a device has it, or the newest revision of a profile pins it. With --force, devices that must write their files
/// anew fail, and say so.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Its name.
    name: String,
    /// Of its revisions.
    revision: u32,
    /// Even while something has it.
    #[arg(long)]
    force: bool,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Put(put) => put.run(session).await,
            Self::List(arguments) => {
                let mut secrets = session.client().await?.secrets;
                list::<_, Secret>(session, &arguments, async |page_size, page_token| {
                    let request = v1::ListSecretsRequest {
                        page_size,
                        page_token,
                    };
                    let page = secrets.list_secrets(request).await?.into_inner();
                    Ok((page.secrets, page.next_page_token))
                })
                .await
            }
            Self::History {
                name,
                list: arguments,
            } => {
                let mut secrets = session.client().await?.secrets;
                list::<_, Secret>(session, &arguments, async |page_size, page_token| {
                    let request = v1::ListSecretRevisionsRequest {
                        name: resource("secrets", &name),
                        page_size,
                        page_token,
                    };
                    let page = secrets.list_secret_revisions(request).await?.into_inner();
                    Ok((page.secrets, page.next_page_token))
                })
                .await
            }
            Self::Retire(retire) => retire.run(session).await,
        }
    }
}

impl Put {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut value = self.value()?;
        let request = v1::PutSecretRequest {
            name: resource("secrets", &self.name),
            value: std::mem::take(&mut *value),
            message: self.message,
        };
        let put = session.client().await?.secrets.put_secret(request).await?;
        print_one(session.out, session.format, &Secret::from(put.into_inner()))
    }

    fn value(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (path, value) = match &self.file {
            Some(path) => (path.as_path(), File::open(path).and_then(read)),
            None if io::stdin().is_terminal() => {
                return Err(Failure::usage(
                    "no value: it would be shown while it is typed",
                    "Name a file with --file, or send the value to standard input.",
                ));
            }
            None => (Path::new("standard input"), read(io::stdin().lock())),
        };
        value.map_err(|error| Failure::file("read", path, &error))
    }
}

/// The value: what is read without a line break at its end. More than may be is cut, so that the server says what is wrong.
fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = SECRET_VALUE_LIMIT + 3;
    let mut value = Zeroizing::new(Vec::with_capacity(most));
    from.take(most as u64).read_to_end(&mut value)?;
    for line_break in [&b"\r\n"[..], b"\n"] {
        if let Some(line) = value.strip_suffix(line_break) {
            let length = line.len();
            value.truncate(length);
            break;
        }
    }
    Ok(value)
}

impl Retire {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let request = v1::RetireSecretRequest {
            name: resource("secrets", &self.name),
            revision: self.revision,
            force: self.force,
        };
        let retired = session.client().await?.secrets.retire_secret(request).await?;
        print_one(session.out, session.format, &Secret::from(retired.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_left_out() {
        let check = |text: &[u8], expected: &[u8]| assert_eq!(**read(text).unwrap(), *expected);
        check(b"psk", b"psk");
        check(b"psk\n", b"psk");
        check(b"psk\r\n", b"psk");
        check(b"psk\n\n", b"psk\n");
        check(b"", b"");
        assert!(read(&[b'x'; 9000][..]).unwrap().len() > SECRET_VALUE_LIMIT);
    }
}
