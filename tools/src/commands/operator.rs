//! `muster operator`.

use super::{list, resource};
use crate::{
    cli::{ListArgs, Session},
    context::{Context, ContextFile},
    failure::Failure,
    output::print_one,
    records::Operator,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand, ValueEnum};
use muster_proto::v1;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Operators.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register an operator. The key is made here and stays here; the directory is a context for them.
    Create(Create),
    /// List operators.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Shut an operator out for good.
    Disable {
        /// Their name.
        name: String,
    },
    /// Who the server takes you for.
    Whoami,
}

/// Register an operator.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Their name; names are not reused.
    name: String,
    /// What they may do.
    #[arg(long, value_enum)]
    role: Role,
    /// A new directory for their key, certificate and context.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything, operators included.
    Admin,
    /// Runs the fleet: catalog, manifests, devices.
    Operator,
    /// Reads everything and approves changes of others.
    Approver,
    /// Reads.
    Viewer,
    /// A program beside the registry: hears its feeds over MQTT, reads devices and the audit log.
    Integrator,
}

impl From<Role> for v1::operator::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Operator => Self::Operator,
            Role::Approver => Self::Approver,
            Role::Viewer => Self::Viewer,
            Role::Integrator => Self::Integrator,
        }
    }
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let shown = match self {
            Self::Create(create) => create.run(session).await?,
            Self::List(arguments) => {
                let mut access = session.client().await?.access;
                let fetch = async |page_size, page_token| {
                    let page = access
                        .list_operators(v1::ListOperatorsRequest {
                            page_size,
                            page_token,
                        })
                        .await?;
                    let page = page.into_inner();
                    Ok((page.operators, page.next_page_token))
                };
                return list::<_, Operator>(session, &arguments, fetch).await;
            }
            Self::Disable { name } => {
                let request = v1::DisableOperatorRequest {
                    name: resource("operators", &name),
                };
                session
                    .client()
                    .await?
                    .access
                    .disable_operator(request)
                    .await?
                    .into_inner()
            }
            Self::Whoami => session
                .client()
                .await?
                .access
                .who_am_i(v1::WhoAmIRequest {})
                .await?
                .into_inner(),
        };
        print_one(session.out, session.format, &Operator::from(shown))
    }
}

impl Create {
    async fn run(self, session: &mut Session<'_>) -> Result<v1::Operator, Failure> {
        let context = session.context()?;
        let mut access = session.client().await?.access;
        // The key is on disk before its certificate exists: an answer that is lost costs a name, never a key.
        let (key, csr) = certification_request(&self.name)?;
        let directory = OperatorDirectory::create(&self.out, &key)?;
        let request = v1::CreateOperatorRequest {
            name: resource("operators", &self.name),
            role: v1::operator::Role::from(self.role).into(),
            csr,
        };
        let created = match access.create_operator(request).await {
            Ok(created) => created.into_inner(),
            Err(status) => {
                directory.abandon();
                return Err(status.into());
            }
        };
        directory.complete(&context, &created.chain)?;
        session.note(&format!(
            "wrote {}; they use it with --context {}",
            self.out.display(),
            self.out.display()
        ));
        created
            .operator
            .ok_or_else(|| Failure::Fault(anyhow::anyhow!("the server named no operator")))
    }
}

/// A fresh P-256 key and a request that carries nothing but its public half and the name.
fn certification_request(name: &str) -> Result<(KeyPair, Vec<u8>), Failure> {
    let key = KeyPair::generate().map_err(anyhow::Error::new)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let request = parameters.serialize_request(&key).map_err(anyhow::Error::new)?;
    Ok((key, request.der().to_vec()))
}

const KEY_FILE: &str = "operator.key";
const CERTIFICATE_FILE: &str = "operator.pem";
const ROOTS_FILE: &str = "root.pem";
const CONTEXT_FILE: &str = "context.toml";

/// What an operator needs, in a directory of its own that nobody else can read.
struct OperatorDirectory {
    path: PathBuf,
}

impl OperatorDirectory {
    /// Makes the directory; it must be new.
    fn create(path: &Path, key: &KeyPair) -> Result<Self, Failure> {
        let made =
            private_directory(path).and_then(|()| write_private(&path.join(KEY_FILE), &key.serialize_pem()));
        made.map_err(|error| Failure::file("create", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The server said no: the key is worth nothing.
    fn abandon(self) {
        let removed = fs::remove_file(self.path.join(KEY_FILE)).and_then(|()| fs::remove_dir(&self.path));
        if let Err(error) = removed {
            tracing::debug!(%error, "left a key without a certificate");
        }
    }

    fn complete(self, context: &Context, chain: &[Vec<u8>]) -> Result<(), Failure> {
        let file = ContextFile {
            server: context.server.clone(),
            mqtt: context.mqtt.clone(),
            roots: ROOTS_FILE.into(),
            certificate: CERTIFICATE_FILE.into(),
            key: KEY_FILE.into(),
            server_name: context.server_name.clone(),
        };
        let certificates: String = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        let text = file.to_toml()?;
        let write = |name: &str, text: &[u8]| {
            let path = self.path.join(name);
            fs::write(&path, text).map_err(|error| Failure::file("write", &path, &error))
        };
        write(ROOTS_FILE, &context.roots)?;
        write(CERTIFICATE_FILE, certificates.as_bytes())?;
        write(CONTEXT_FILE, text.as_bytes())
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// RFC 7468: 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        lines.push_str(line);
        lines.push('\n');
        rest = behind;
    }
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_written_as_pem() {
        assert_eq!(pem("X", b""), "-----BEGIN X-----\n-----END X-----\n");
        let lines: Vec<_> = pem("X", &[0; 96]).lines().map(str::len).collect();
        assert_eq!(lines, [17, 64, 64, 15]);
        // Somebody else's reader agrees.
        let key = KeyPair::generate().unwrap();
        let text = pem("PRIVATE KEY", &key.serialize_der());
        assert_eq!(
            KeyPair::from_pem(&text).unwrap().serialize_der(),
            key.serialize_der()
        );
    }

    #[test]
    fn a_request_has_no_attributes() {
        let (_, der) = certification_request("alice").unwrap();
        // An empty context-specific [0] (RFC 2986, 4.1) just before the signature algorithm.
        assert!(
            der.windows(4).any(|four| four == [0xa0, 0x00, 0x30, 0x0a]),
            "{der:02x?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_is_private_and_a_context() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alice");
        let context = Context {
            label: "l".into(),
            server: "https://h:1".into(),
            mqtt: Some("h:2".into()),
            server_name: Some("n".into()),
            roots: b"R".to_vec(),
            certificate: vec![],
            key: vec![],
        };
        let (key, _) = certification_request("alice").unwrap();
        OperatorDirectory::create(&path, &key)
            .unwrap()
            .complete(&context, &[vec![1, 2, 3]])
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(KEY_FILE))), (0o700, 0o600));
        let loaded = Context::load(&path).unwrap();
        assert_eq!(
            (loaded.server, loaded.server_name, loaded.roots),
            ("https://h:1".into(), Some("n".into()), b"R".to_vec())
        );
        assert_eq!(loaded.mqtt.as_deref(), Some("h:2"));
        assert_eq!(loaded.key, key.serialize_pem().into_bytes());
        assert!(
            OperatorDirectory::create(&path, &key).is_err(),
            "a directory that is there is left alone"
        );
        let other = directory.path().join("bob");
        OperatorDirectory::create(&other, &key).unwrap().abandon();
        assert!(!other.exists());
    }
}
