//! A new registry, whole or not at all: everything is made in a directory beside the final one, which is then renamed. The root
//! key is made in a directory of its own, which is renamed before: a registry never appears without it.

use crate::{
    ca::{self, Ca, CaError, InitOptions, Passphrase, Place, certificate_pem, operator_record},
    checked::{self, CheckedCertificates},
    config::{self, Settings, SettingsError},
    random,
    store::{self, NewOperator, RegistryInfo, Store, StoreError},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_domain::{
    Refusal, Timestamp,
    access::{Operator, Role},
    audit::{Action, Actor, Event},
    certificate::CertificateProfile,
    names::OperatorName,
};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where; must not exist, or be empty.
    pub directory: PathBuf,
    /// Where the root key goes: must not exist, or be empty, and lies outside of `directory`.
    pub offline: PathBuf,
    /// Stands in every certificate.
    pub organisation: String,
    /// Names and addresses of the server.
    pub server_names: Vec<String>,
    /// Where gRPC and MQTT listen; `None`: where the settings template says.
    pub listen: Option<(SocketAddr, SocketAddr)>,
    /// The first operator, an admin.
    pub operator: OperatorName,
}

/// Why there is no new registry.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there.
    #[error("{0} is not empty; a registry is made in a directory of its own")]
    Occupied(PathBuf),
    /// The root key would lie where the server can be robbed of it.
    #[error("{0} lies in the registry's directory; the root key must be kept elsewhere")]
    OfflineWithin(PathBuf),
    /// A file or directory cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The names or organisation are no good.
    #[error("{}", .0.join("; "))]
    Settings(Vec<String>),
    /// The keys or certificates cannot be made.
    #[error("cannot make the certificate authority")]
    Ca(#[from] CaError),
    /// The store cannot be made.
    #[error("cannot make the store")]
    Store(#[from] StoreError),
    /// The store said no.
    #[error("cannot make the store: {0}")]
    Refused(Refusal),
    /// The settings of an existing registry are wrong.
    #[error(transparent)]
    Check(#[from] SettingsError),
}

/// Owner only.
const PRIVATE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

fn at(path: &Path) -> impl FnOnce(io::Error) -> InitError {
    let path = path.to_owned();
    move |source| InitError::Write { path, source }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

fn private_directory(path: &Path) -> Result<(), InitError> {
    DirBuilder::new()
        .mode(PRIVATE_DIRECTORY)
        .create(path)
        .map_err(at(path))
}

/// A new passphrase of 192 random bits, in a file of its own that only the owner reads.
pub fn write_passphrase(path: &Path) -> Result<(), InitError> {
    let bytes = random::bytes::<24>()
        .map_err(|_| io::Error::other("no random bytes"))
        .map_err(at(path))?;
    let bytes = Zeroizing::new(bytes);
    let line = Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(*bytes)));
    write(path, line.as_bytes())
}

/// The settings file with what was asked for.
fn settings_text(request: &Request) -> String {
    let mut text = config::TEMPLATE.to_owned();
    if let Some((grpc, mqtt)) = request.listen {
        text = text
            .replace(r#"grpc = "127.0.0.1:8443""#, &format!("grpc = \"{grpc}\""))
            .replace(r#"mqtt = "127.0.0.1:8883""#, &format!("mqtt = \"{mqtt}\""));
    }
    let names = toml::Value::from(request.server_names.clone());
    text.replace(
        r#"names = ["localhost", "127.0.0.1"]"#,
        &format!("names = {names}"),
    )
    .replace(
        r#"organisation = "Muster""#,
        &format!(
            "organisation = {}",
            toml::Value::from(request.organisation.clone())
        ),
    )
}

/// How operators' tools reach this server, in the form that `muster --context` reads.
fn context_text(settings: &Settings) -> String {
    let names = settings.server_names().as_slice();
    let name = names
        .first()
        .map_or_else(|| "localhost".into(), |name| name.to_str());
    let [grpc, mqtt] = [settings.grpc(), settings.mqtt()].map(|mut reachable| {
        if reachable.ip().is_unspecified() {
            reachable.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        reachable
    });
    format!(
        "server = \"https://{grpc}\"\nmqtt = \"{mqtt}\"\nserver_name = {}\nroots = \"root.pem\"\ncertificate = \"operator.pem\"\nkey = \"operator.key\"\n",
        toml::Value::from(name.as_ref())
    )
}

fn fill(
    directory: &Path,
    offline: &Path,
    request: &Request,
    passphrase: &Passphrase,
    now: Timestamp,
) -> Result<(), InitError> {
    let text = settings_text(request);
    let settings = Settings::parse(&text, directory).map_err(InitError::Settings)?;
    write(&directory.join(config::FILE_NAME), text.as_bytes())?;
    let options = InitOptions {
        organisation: settings.organisation().to_owned(),
        passphrase,
        operator: request.operator.clone(),
        now,
    };
    let made = ca::init(directory, offline, options)?;
    let pem = |certificates: &[Vec<u8>]| {
        certificates
            .iter()
            .map(|one| certificate_pem(one))
            .collect::<String>()
    };
    let operator = directory.join("operator");
    private_directory(&operator)?;
    write(&operator.join("operator.key"), made.operator.key_pem.as_bytes())?;
    write(
        &operator.join("operator.pem"),
        pem(&made.operator.chain).as_bytes(),
    )?;
    write(&operator.join("root.pem"), pem(&made.ca.roots()).as_bytes())?;
    write(&operator.join("context.toml"), context_text(&settings).as_bytes())?;
    let certificate = made.operator.chain.first().cloned().unwrap_or_default();
    let issuer = made.ca.issuer(CertificateProfile::Operator, now);
    let certificate = operator_record(request.operator.clone(), issuer, certificate)?;
    let admin = Operator {
        name: request.operator.clone(),
        role: Role::Admin,
        key: made.operator.key,
        enabled: true,
        certificate: Some(certificate.serial),
    };
    let event = Event::new(now, Actor::System, Action::RegistryCreated, "registry")
        .with("organisation", settings.organisation())
        .with("admin", &admin.name);
    let info = RegistryInfo {
        name: settings.organisation().to_owned(),
        created: now,
        format: store::FORMAT,
    };
    let admin = NewOperator {
        operator: admin,
        certificate,
    };
    create_store(&settings.database(), info, admin, event)
}

fn create_store(path: &Path, info: RegistryInfo, admin: NewOperator, event: Event) -> Result<(), InitError> {
    let store = Store::open(path)?;
    let create = async {
        let created = store.create_registry(info, admin, event).await?;
        store.close().await?;
        Ok::<_, StoreError>(created)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(at(path))?;
    runtime.block_on(create)?.map_err(InitError::Refused)
}

/// Where the root key goes unless somebody says otherwise: beside the registry.
pub fn offline_beside(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push("-offline");
    directory.with_file_name(name)
}

/// Makes a registry. Blocks for about a second (sealing keys is slow on purpose): never call it on an async thread.
pub fn init(request: &Request, passphrase: &Passphrase, now: Timestamp) -> Result<(), InitError> {
    let Request {
        directory, offline, ..
    } = request;
    // 1. Nobody's place is taken.
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(InitError::Occupied(directory.clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(directory)(error)),
    }
    if offline.starts_with(directory) {
        return Err(InitError::OfflineWithin(offline.clone()));
    }
    let parent = ca::parent(directory);
    fs::create_dir_all(parent).map_err(at(parent))?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let partial = parent.join(format!(".{name}.musterd-init"));
    // 2. What a crash left. Between the renames below there is a root key whose registry lies in the partial directory still:
    // nobody has anything that it signed.
    if ca::is_root_of(offline, &partial) {
        Place::withdraw(offline)?;
    }
    ca::remove_directory(&partial)?;
    let place = Place::prepare(offline)?;
    // 3. Everything is made aside.
    let filled = ca::make_directory(&partial)
        .map_err(InitError::Ca)
        .and_then(|()| fill(&partial, &place.staging, request, passphrase, now));
    if let Err(error) = filled {
        // The first error counts; what cannot be removed now is removed at the next attempt.
        let _cleared = ca::remove_directory(&partial).and_then(|()| place.give_up());
        return Err(error);
    }
    // 4. And made real, the root key first; rename(2) replaces an empty directory.
    ca::sync_directory(&partial)?;
    place.settle()?;
    ca::rename(&partial, directory)?;
    Ok(ca::sync_directory(parent)?)
}

/// Everything that is wrong with a registry that is not being served: keys, certificates, store.
pub async fn check(settings: &Settings, passphrase: &Passphrase) -> Result<Vec<String>, InitError> {
    let ca = Ca::open(settings.directory(), passphrase)?;
    drop(ca);
    let store = Store::open(&settings.database())?;
    let broken = store.check().await?;
    store.close().await?;
    Ok(broken)
}

/// The same for every certificate on record.
pub async fn check_certificates(
    settings: &Settings,
    passphrase: &Passphrase,
) -> Result<CheckedCertificates, InitError> {
    let ca = Ca::open(settings.directory(), passphrase)?.issuing(settings.issuance().clone());
    let store = Store::open(&settings.database())?;
    let checked = checked::certificates(&store, Arc::new(ca)).await?;
    store.close().await?;
    Ok(checked)
}

#[cfg(test)]
mod tests;
