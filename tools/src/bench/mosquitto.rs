//! The peer of the gate: Mosquitto, with TLS settings of its own and the devices' certificates.

use super::{
    authority,
    crowd::{self, Member},
    host::Process,
    mqtt::packet,
};
use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt as _, BufWriter},
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};
use tokio_rustls::client::TlsStream;

/// Where Debian puts it.
const DEBIAN: &str = "/usr/sbin/mosquitto";
/// How long it may take to listen.
const START: u32 = 200;
/// Bytes that a publisher writes at once.
const WRITES: usize = 64 << 10;

/// A broker in a process of its own.
pub(super) struct Mosquitto {
    child: Child,
    pub(super) address: SocketAddr,
    /// Of its certificate.
    pub(super) root: CertificateDer<'static>,
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let named = std::env::split_paths(&path).map(|directory| directory.join("mosquitto"));
    named.chain([DEBIAN.into()]).find(|program| program.exists())
}

impl Mosquitto {
    /// Starts one that takes devices of these authorities (PEM: the issuing one, and what is above it); `None` where it is not
    /// installed.
    pub(super) async fn start(scratch: &Path, authorities: &str) -> anyhow::Result<Option<Self>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let home = scratch.join("mosquitto");
        std::fs::create_dir(&home)?;
        let authority::Server { root, chain, key } = authority::server()?;
        let write = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = home.join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // It steps down from root to a user of its own unless told otherwise, and could not read its key then.
        let settings = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nset_tcp_nodelay true\npersistence false\nlog_type none\n\
             max_queued_messages 0\nmax_connections -1\n",
            write("authorities.pem", authorities)?,
            write("server.pem", &chain)?,
            write("server.key", &key)?,
        );
        let mut child = Command::new(program)
            .arg("-c")
            .arg(write("mosquitto.conf", &settings)?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start mosquitto")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..START {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Some(Self { child, address, root }));
            }
            anyhow::ensure!(child.try_wait()?.is_none(), "mosquitto ended");
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("mosquitto does not listen")
    }

    pub(super) fn process(&self) -> anyhow::Result<Process> {
        let id = self.child.id().context("mosquitto has ended")?;
        Ok(Process::of(id))
    }
}

/// Publishes to the topics of others.
pub(super) struct Publisher {
    stream: BufWriter<TlsStream<TcpStream>>,
    /// A message for each, one after the other.
    round: Vec<u8>,
}

impl Publisher {
    pub(super) async fn connect(
        address: SocketAddr,
        member: &Member,
        topics: &[String],
        payload: &[u8],
    ) -> anyhow::Result<Self> {
        let stream = crowd::publisher(address, member).await?;
        let mut round = Vec::new();
        for topic in topics {
            let mut body = u16::try_from(topic.len())?.to_be_bytes().to_vec();
            body.extend(topic.as_bytes());
            body.extend(payload);
            round.extend(packet(0x30, &body));
        }
        Ok(Self {
            stream: BufWriter::with_capacity(WRITES, stream),
            round,
        })
    }

    pub(super) async fn publish(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.round).await?;
        self.stream.flush().await?;
        Ok(())
    }
}
