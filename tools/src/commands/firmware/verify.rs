//! `muster firmware verify`.

use super::{
    image::{Measured, measure},
    of_file,
};
use crate::{
    cli::Session,
    commands::catalog::{self, FirmwarePolicies, Noun as _},
    context::read_small,
    exit::Exit,
    failure::Failure,
    output::{Format, Listing},
    records::CheckedImage,
    render::refused,
};
use clap::Args;
use muster_domain::{
    Code, Refusal,
    catalog::{Channels, ChannelsSource},
};
use muster_firmware_policy::Artifact;
use muster_proto::{
    firmware::{AuthorKey, AuthorKeyError},
    v1,
};
use std::path::{Path, PathBuf};

/// As much as an agent reads of it.
const KEY_LIMIT: u64 = 8 << 10;
/// What is said of an image that may be installed.
const SIGNED: &str = "signed";

/// Check that the author signed every image of a firmware policy. With -f, no server is needed.
///
/// It is what devices do that have the same keys among their `firmware_keys`: they install nothing of a policy of which one image
/// is not signed.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Verify {
    /// The policy: NAME for the newest revision, NAME@N for another. With a file: the one of that name in it; without, all of it.
    #[arg(required_unless_present = "file", value_name = "NAME[@N]")]
    policy: Option<String>,
    /// Take the policy from this file, as `muster apply` would read it.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The author's public key, P-256 in PEM; again for each that devices have.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// An image that is to be one of the policy's, by size and digest; again for each.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
}

const HELP: &str = "\
Exits with 0 when every image is signed by one of the keys, and each file is one of the images; with 9 otherwise.

Examples:
  muster firmware verify -f gw-200-stable.toml --key author.pem --image gw-200.img
  muster firmware verify gw-200-stable@3 --key author.pem -o json";

impl Verify {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let check = Check::read(&self.key, &self.image)?;
        let mut images = Vec::new();
        for policy in self.policies(session).await? {
            let place = |(path, image)| check.image(policy.name(), path, image);
            images.extend(policy.images().map(place));
        }
        print(session, &images)?;
        let mut exit = Exit::Done;
        if images.iter().any(|image| image.signature != SIGNED) {
            exit = Exit::Found;
        }
        for stranger in check.strangers(&images) {
            session.note(&stranger);
            exit = Exit::Found;
        }
        Ok(exit)
    }

    async fn policies(&self, session: &Session<'_>) -> Result<Vec<Channels>, Failure> {
        let name = self.policy.as_deref();
        let wires = match &self.file {
            Some(file) => of_file(file, name)?,
            None => {
                let name = catalog::revision(FirmwarePolicies::COLLECTION, name.unwrap_or_default());
                vec![FirmwarePolicies::get(&mut session.client().await?, name).await?]
            }
        };
        wires.iter().map(channels).collect()
    }
}

/// As the registry checks it.
fn channels(wire: &v1::FirmwarePolicy) -> Result<Channels, Failure> {
    serde_json::from_str::<ChannelsSource>(&wire.source_json)
        .map_err(|error| vec![Refusal::new(Code::PolicyInvalid, error.to_string())])
        .and_then(|source| source.check())
        .map_err(refused)
}

/// What images are held to.
struct Check<'a> {
    keys: Vec<AuthorKey>,
    files: Vec<(&'a Path, Measured)>,
}

impl<'a> Check<'a> {
    fn read(keys: &[PathBuf], files: &'a [PathBuf]) -> Result<Self, Failure> {
        let measured = |path: &'a PathBuf| Ok((path.as_path(), measure(path)?));
        Ok(Self {
            keys: keys.iter().map(|path| read_key(path)).collect::<Result<_, _>>()?,
            files: files.iter().map(measured).collect::<Result<_, Failure>>()?,
        })
    }

    fn image(&self, policy: &str, path: String, image: &Artifact) -> CheckedImage {
        let is_image = |file: &Measured| file.sha256 == image.sha256 && file.size == image.size;
        let files = self.files.iter().filter(|(_, file)| is_image(file));
        let signature = match image.signature {
            None => "unsigned",
            Some(_) if self.keys.iter().any(|key| key.has_signed(image)) => SIGNED,
            Some(_) => "wrong",
        };
        CheckedImage {
            policy: policy.to_owned(),
            path,
            version: image.version.to_string(),
            signature: signature.to_owned(),
            files: files.map(|(path, _)| path.display().to_string()).collect(),
        }
    }

    /// A line for each file that is none of the images.
    fn strangers(&self, images: &[CheckedImage]) -> impl Iterator<Item = String> {
        let known = |path: &str| {
            images
                .iter()
                .any(|image| image.files.iter().any(|file| file == path))
        };
        self.files
            .iter()
            .map(|(path, file)| (path.display().to_string(), file))
            .filter(move |(path, _)| !known(path))
            .map(|(path, file)| {
                let Measured { sha256, size } = file;
                format!("{path} is none of these images: {size} bytes, SHA-256 {sha256}")
            })
    }
}

fn read_key(path: &Path) -> Result<AuthorKey, Failure> {
    let pem = String::from_utf8(read_small(path, KEY_LIMIT)?).map_err(|_| AuthorKeyError::NotPem);
    pem.and_then(|pem| AuthorKey::from_pem(&pem))
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display()), ""))
}

fn print(session: &mut Session<'_>, images: &[CheckedImage]) -> Result<(), Failure> {
    let mut listing = Listing::of::<CheckedImage>(session.out, session.format, &[])?;
    for image in images {
        listing.push(image)?;
    }
    listing.finish()?;
    if session.format == Format::Table {
        let signed = images.iter().filter(|image| image.signature == SIGNED).count();
        writeln!(session.out, "{} images, {signed} of them signed", images.len())?;
    }
    Ok(())
}
