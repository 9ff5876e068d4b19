//! `muster firmware sign`.

use super::image::{Measured, measure};
use crate::{
    cli::Session,
    context::read_small,
    failure::Failure,
    output::{Format, print_one},
    records::SignedImage,
};
use clap::Args;
use muster_firmware_policy::{ArtifactUrl, FirmwareVersion, Signature};
use p256::{
    SecretKey,
    ecdsa::{self, SigningKey, signature::hazmat::PrehashSigner as _},
    pkcs8::DecodePrivateKey as _,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A P-256 key in PEM has some 240 bytes; OpenSSL may write parameters in front of it.
const KEY_LIMIT: u16 = 16 << 10;
const MAKING_ONE: &str =
    "A key is made by: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out author.key";

/// Sign a firmware image as its author, and print what a policy says of it. Needs no server.
///
/// Devices that have the public key among their `firmware_keys` install only what was signed so, whatever the registry tells
/// them. The key belongs where images are built: not on the registry, and not with those who operate it. `openssl dgst -sha256
/// -sign author.key IMAGE | base64 -w0` makes a signature that is as good.
#[derive(Debug, Args)]
#[command(after_help = HELP, disable_version_flag = true)]
pub(crate) struct Sign {
    /// The image. It is read once and never held in memory as a whole.
    image: PathBuf,
    /// The author's private key, P-256: a PEM file (PKCS#8 or SEC 1), or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where devices will find the image.
    #[arg(long)]
    url: Option<ArtifactUrl>,
    /// The version that devices report once they run it.
    #[arg(long, value_name = "VERSION")]
    version: Option<FirmwareVersion>,
}

const HELP: &str = "\
Prints the lines of an artifact in TOML, below [update.target] say; with -o json the same as an object.

Examples:
  muster firmware sign gw-200.img --key author.key --version 2.4.1 --url https://firmware.example/gw-200/2.4.1.img
  openssl pkey -in encrypted.key | muster firmware sign gw-200.img --key -    # asks for the passphrase
  openssl pkey -in author.key -pubout -out author.pem                         # what devices, and `verify`, need";

impl Sign {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        // First, so that a wrong key is told before a large image is read.
        let key = read_key(&self.key)?;
        let image = measure(&self.image)?;
        let signed = SignedImage {
            version: self.version.map(|version| version.to_string()),
            url: self.url.map(|url| url.to_string()),
            sha256: image.sha256.to_string(),
            size: image.size.get(),
            signature: sign(&key, image)?.to_string(),
        };
        if session.format != Format::Table {
            return print_one(session.out, session.format, &signed);
        }
        let lines = toml::to_string(&signed).map_err(anyhow::Error::new)?;
        Ok(session.out.write_all(lines.as_bytes())?)
    }
}

/// The signature that the same key always makes of the same image (RFC 6979).
fn sign(key: &SigningKey, image: Measured) -> Result<Signature, Failure> {
    let signature: ecdsa::Signature = key
        .sign_prehash(image.sha256.as_bytes())
        .map_err(|error| anyhow::anyhow!("cannot sign: {error}"))?;
    Ok(Signature::from_der(signature.to_der().as_bytes()).map_err(anyhow::Error::new)?)
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let is_input = path == Path::new("-");
    let name = if is_input {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let pem = if is_input {
        read_input()?
    } else {
        Zeroizing::new(read_small(path, KEY_LIMIT.into())?)
    };
    if holds(&pem, b"ENCRYPTED") {
        let help =
            "Let OpenSSL ask for the passphrase: openssl pkey -in KEY | muster firmware sign IMAGE --key -";
        return Err(Failure::usage(
            format!("{name} holds a key that is encrypted"),
            help,
        ));
    }
    let unfit = || Failure::usage(format!("{name} holds no P-256 key"), MAKING_ONE);
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(PrivateKeyDer::Pkcs8(der)) => {
            SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).map_err(|_| unfit())
        }
        Ok(PrivateKeyDer::Sec1(der)) => SecretKey::from_sec1_der(der.secret_sec1_der()).map_err(|_| unfit()),
        Ok(_) => Err(unfit()),
        Err(_) => Err(Failure::usage(
            format!("{name} holds no private key in PEM"),
            MAKING_ONE,
        )),
    }
    .map(SigningKey::from)
}

fn read_input() -> Result<Zeroizing<Vec<u8>>, Failure> {
    // The buffer has its full size at once: growing would leave copies of the key in memory.
    let mut pem = Zeroizing::new(Vec::with_capacity(KEY_LIMIT.into()));
    std::io::stdin()
        .lock()
        .take(KEY_LIMIT.into())
        .read_to_end(&mut pem)
        .map_err(|error| Failure::file("read", Path::new("standard input"), &error))?;
    Ok(pem)
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}
