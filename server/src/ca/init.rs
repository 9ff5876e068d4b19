//! Making a certificate authority. It appears whole or not at all: everything is written aside, and one rename of
//! the `ca` directory makes it real.

use super::{
    Ca, CaError, OperatorCredential, Passphrase,
    authority::{self, CONFIG_SIGNER, DEVICE_CA, Issuing, OPERATOR_CA, ROOT_CA, SERVER_CA, authority_name},
    files::{self, Stored, certificate_pem},
    key::PrivateKey,
    lint::{self, Proof},
    lint_bytes::name,
    profile::{Alternative, Excluded, Kind, Purpose, Template},
    sealed,
};
use crate::random;
use muster_domain::{Timestamp, names::OperatorName};
use pkcs8::SecretDocument;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of the root: longer than that of a device, which pins it.
const ROOT_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Life of the issuing authorities: half that of the root, so that they can be renewed under it.
const ISSUING_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of the config-signing certificate.
const CONFIG_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// How far certificates of the authority are back-dated, so that every leaf lies inside.
const BACK_DATED: Duration = DAY;
/// 2020-01-01: no clock is right that says less.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_577_836_800);
/// Longest organisation, in characters (RFC 5280, ub-organization-name).
const ORGANISATION_LIMIT: usize = 64;

const ROOT_README: &str = "\
This directory holds the private key of the root of trust, root.key.

The server does not need it. Move this directory to storage that is not connected to a network, in two copies,
and delete it here. Whoever has the key and its passphrase can make certificates that every device believes.

The key is needed again to renew the issuing authorities (every ten years), the config-signing certificate (every
two years), or after a theft. It is sealed with the passphrase that was given when it was made; to read it:

    openssl pkcs8 -in root.key -passin file:PASSPHRASE-FILE
";

/// What a new authority is made from.
#[derive(Debug)]
pub struct InitOptions<'a> {
    /// Whose it is: O of every subject. 1 to 64 characters, no control characters.
    pub organisation: String,
    /// Seals all keys.
    pub passphrase: &'a Passphrase,
    /// The time.
    pub now: Timestamp,
    /// The first operator.
    pub operator: OperatorName,
}

/// A new authority.
#[derive(Debug)]
pub struct Initialised {
    /// Opened already.
    pub ca: Ca,
    /// The first operator's key and certificate: the caller must store them, nothing keeps a copy.
    pub operator: OperatorCredential,
    /// The sealed root key, to be moved away.
    pub root_key: PathBuf,
}

fn option(option: &'static str, why: impl Into<String>) -> CaError {
    CaError::Option {
        option,
        why: why.into(),
    }
}

fn check_organisation(name: &str) -> Result<(), CaError> {
    let why = if name.trim().is_empty() {
        "is empty"
    } else if name.chars().count() > ORGANISATION_LIMIT {
        "is longer than 64 characters"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(());
    };
    Err(option("organisation", why))
}

/// Makes a certificate authority in `directory`: root, issuing authorities, config-signing certificate, code key, and
/// the first operator.
///
/// What an earlier attempt left half-finished is removed first.
///
/// # Errors
///
/// [`CaError::Exists`] when there is one, [`CaError::OfflineExists`] when there was one, [`CaError::Option`], or a fault.
pub fn init(directory: &Path, options: InitOptions<'_>) -> Result<Initialised, CaError> {
    // 1. Nothing is touched before the options are known to be good.
    let InitOptions {
        organisation,
        passphrase,
        now,
        operator,
    } = options;
    check_organisation(&organisation)?;
    if now < EARLIEST {
        return Err(CaError::Clock(now));
    }
    // 2. One authority a directory.
    let staging = prepare(directory)?;
    // 3. Everything is written aside.
    let maker = Maker {
        staging: staging.clone(),
        organisation,
        now,
        passphrase,
    };
    maker.make()?;
    // 4. And made real. Between the two renames there is a root key without an authority: `prepare` knows it.
    let offline = directory.join(files::OFFLINE);
    files::rename(&staging.join(files::OFFLINE), &offline)?;
    // The order holds on the disk too: an authority never appears before its root key.
    files::sync_directory(directory)?;
    files::rename(&staging.join(files::AUTHORITY), &directory.join(files::AUTHORITY))?;
    files::sync_directory(directory)?;
    files::remove_directory(&staging)?;
    // 5. Opening it again proves that what is on the disk can be used.
    let ca = Ca::open(directory, passphrase)?;
    let operator = ca.new_operator(&operator, now)?;
    Ok(Initialised {
        ca,
        operator,
        root_key: offline.join(files::ROOT_KEY),
    })
}

/// Checks that there is none yet, removes what a crash left, and makes the directory to work in.
fn prepare(directory: &Path) -> Result<PathBuf, CaError> {
    let [authority, offline, staging] =
        [files::AUTHORITY, files::OFFLINE, files::STAGING].map(|name| directory.join(name));
    if authority.exists() {
        return Err(CaError::Exists(authority));
    }
    if offline.exists() {
        // After a crash between the renames, the authority of this root key still lies in the staging directory, and
        // has signed nothing.
        if !staging.join(files::AUTHORITY).exists() {
            return Err(CaError::OfflineExists(offline));
        }
        files::remove_directory(&offline)?;
    }
    files::remove_directory(&staging)?;
    files::make_directory(&staging.join(files::AUTHORITY).join(files::KEYS))?;
    files::make_directory(&staging.join(files::OFFLINE))?;
    Ok(staging)
}

/// Makes certificates and keys, and writes them into the staging directory.
struct Maker<'a> {
    staging: PathBuf,
    organisation: String,
    now: Timestamp,
    passphrase: &'a Passphrase,
}

impl Maker<'_> {
    fn make(&self) -> Result<(), CaError> {
        let mark: String = random::bytes::<4>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let root = self.root(&authority_name(ROOT_CA, &mark))?;
        for (kind, file, key_file, name) in [
            (
                Kind::Issuing(Purpose::Client, Excluded::Hosts),
                files::DEVICES,
                files::DEVICES_KEY,
                DEVICE_CA,
            ),
            (
                Kind::Issuing(Purpose::Client, Excluded::Addresses),
                files::OPERATORS,
                files::OPERATORS_KEY,
                OPERATOR_CA,
            ),
            (
                Kind::Issuing(Purpose::Server, Excluded::Nothing),
                files::SERVERS,
                files::SERVERS_KEY,
                SERVER_CA,
            ),
        ] {
            let common_name = authority_name(name, &mark);
            self.certify(&root, kind, common_name, ISSUING_LIFE, file, key_file)?;
        }
        let kind = Kind::Leaf(Purpose::ConfigSigning, Alternative::Nothing);
        let common_name = authority_name(CONFIG_SIGNER, &mark);
        self.certify(
            &root,
            kind,
            common_name,
            CONFIG_LIFE,
            files::CONFIG,
            files::CONFIG_KEY,
        )?;
        self.write(
            files::CODES_KEY,
            sealed::generate_code_key(self.passphrase)?.as_bytes(),
        )?;
        let authority = self.staging.join(files::AUTHORITY);
        for directory in [
            &authority.join(files::KEYS),
            &authority,
            &self.staging.join(files::OFFLINE),
            &self.staging,
        ] {
            files::sync_directory(directory)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), CaError> {
        files::write_new(&self.staging.join(files::AUTHORITY).join(name), content)
    }

    fn template(&self, kind: Kind, common_name: String, life: Duration) -> Result<Template, CaError> {
        Ok(Template {
            kind,
            serial: authority::serial(self.now)?,
            not_before: self.now.minus(BACK_DATED),
            not_after: self.now.plus(life),
            organisation: self.organisation.clone(),
            unit: None,
            common_name,
            locations: None,
        })
    }

    fn root(&self, common_name: &str) -> Result<Issuing, CaError> {
        let (key, document) = PrivateKey::generate()?;
        let template = self.template(Kind::Root, common_name.to_owned(), ROOT_LIFE)?;
        let built = template.params(key.public())?.self_signed(&key)?;
        let name = name(&self.organisation, None, common_name);
        lint::check(
            built.der(),
            &template,
            key.public(),
            lint::Signer {
                name: &name,
                key: key.public(),
            },
        )?;
        self.write(files::ROOT, certificate_pem(built.der()).as_bytes())?;
        let offline = self.staging.join(files::OFFLINE);
        files::write_new(
            &offline.join(files::ROOT_KEY),
            sealed::seal(&document, self.passphrase)?.as_bytes(),
        )?;
        files::write_new(&offline.join(files::ROOT_README), ROOT_README.as_bytes())?;
        let certificate = Stored::from_bytes(PathBuf::from(files::ROOT), built.der().to_vec())?;
        Ok(Issuing::new(certificate, key, ROOT_CA))
    }

    fn certify(
        &self,
        root: &Issuing,
        kind: Kind,
        common_name: String,
        life: Duration,
        file: &str,
        key_file: &str,
    ) -> Result<(), CaError> {
        let (key, document): (PrivateKey, SecretDocument) = PrivateKey::generate()?;
        let certificate = root.issue(
            &self.template(kind, common_name, life)?,
            key.public(),
            Proof::Always,
        )?;
        self.write(file, certificate_pem(&certificate).as_bytes())?;
        self.write(key_file, sealed::seal(&document, self.passphrase)?.as_bytes())
    }
}
