//! A crowd of devices, each with a certificate of its own and one topic: what a benchmark needs of MQTT 3.1.1.

use super::mqtt::packet;
use anyhow::Context as _;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a round of messages may take until what did not come counts as lost.
const ROUND: Duration = Duration::from_secs(20);
/// A client that hears nothing within this of a handshake has failed.
const ANSWER: Duration = Duration::from_secs(60);
/// Longest keep-alive of both servers, in seconds: no pings disturb the measurement.
const KEEP_ALIVE: u16 = 1200;
/// Bytes read at once.
const BUFFER: usize = 512;

/// A device before it connects.
pub(super) struct Identity {
    /// The id that the registry gave it.
    pub(super) id: String,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The topic of its own.
    pub(super) fn topic(&self) -> String {
        format!("muster/v1/{}/cert", self.id)
    }

    /// TLS with its certificate, and sessions that last as long as this configuration.
    pub(super) fn tls(&self, roots: &Arc<RootCertStore>) -> anyhow::Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(roots))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.resumption = Resumption::in_memory_sessions(4);
        Ok(Arc::new(config))
    }
}

/// Where to connect, and how.
pub(super) struct Member {
    pub(super) client_id: String,
    pub(super) topic: String,
    /// Subscribes at QoS 1, and acknowledges; otherwise at QoS 0.
    pub(super) acknowledges: bool,
    pub(super) tls: Arc<ClientConfig>,
}

/// Connected and subscribed devices.
pub(super) struct Crowd {
    readers: JoinSet<()>,
    heard: Arc<Heard>,
    /// Whose connection ended, by its place among the members, and when.
    ends: mpsc::UnboundedReceiver<(usize, Instant)>,
    /// How long it took all to connect, seconds.
    pub(super) connected_in: f64,
    /// How many of them resumed a TLS session.
    pub(super) resumed: usize,
    size: u64,
}

#[derive(Default)]
struct Heard {
    messages: AtomicU64,
    lost: AtomicU64,
    wanted: AtomicU64,
    all: Notify,
}

fn text(into: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    into.extend(u16::try_from(text.len())?.to_be_bytes());
    into.extend(text.as_bytes());
    Ok(())
}

/// CONNECT and, for one that listens, SUBSCRIBE, in one write.
fn greeting(member: &Member, listens: bool) -> anyhow::Result<Vec<u8>> {
    let mut body = b"\0\x04MQTT\x04\x02".to_vec();
    body.extend(KEEP_ALIVE.to_be_bytes());
    text(&mut body, &member.client_id)?;
    let mut packets = packet(0x10, &body);
    if listens {
        let mut body = vec![0, 1];
        text(&mut body, &member.topic)?;
        body.push(u8::from(member.acknowledges));
        packets.extend(packet(0x82, &body));
    }
    Ok(packets)
}

async fn connect(
    address: SocketAddr,
    member: &Member,
    listens: bool,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let connector = TlsConnector::from(Arc::clone(&member.tls));
    let mut stream = connector.connect(name, tcp).await?;
    stream.write_all(&greeting(member, listens)?).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    anyhow::ensure!(answer == [0x20, 2, 0, 0], "CONNECT refused: {answer:?}");
    if listens {
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        let granted = [0x90, 3, 0, 1, u8::from(member.acknowledges)];
        anyhow::ensure!(answer == granted, "SUBSCRIBE refused: {answer:?}");
    }
    Ok(stream)
}

/// Is this one let in?
pub(super) async fn is_let_in(address: SocketAddr, member: &Member) -> bool {
    matches!(timeout(ANSWER, connect(address, member, true)).await, Ok(Ok(_)))
}

/// A connection that publishes.
pub(super) async fn publisher(address: SocketAddr, member: &Member) -> anyhow::Result<TlsStream<TcpStream>> {
    timeout(ANSWER, connect(address, member, false)).await?
}

impl Crowd {
    /// Connects every member, `at_once` at a time.
    pub(super) async fn gather(
        address: SocketAddr,
        members: Arc<Vec<Member>>,
        at_once: usize,
    ) -> anyhow::Result<Self> {
        let heard = Arc::new(Heard::default());
        let (next, mut workers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let size = u64::try_from(members.len())?;
        let start = Instant::now();
        for _ in 0..at_once {
            let (members, next) = (Arc::clone(&members), Arc::clone(&next));
            workers.spawn(async move {
                let mut streams = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(member) = members.get(place) else { break };
                    streams.push((place, timeout(ANSWER, connect(address, member, true)).await??));
                }
                Ok::<_, anyhow::Error>(streams)
            });
        }
        let mut streams = Vec::new();
        while let Some(worker) = workers.join_next().await {
            streams.extend(worker??);
        }
        let connected_in = start.elapsed().as_secs_f64();
        let is_resumed = |(_, stream): &&(usize, TlsStream<TcpStream>)| {
            stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
        };
        let resumed = streams.iter().filter(is_resumed).count();
        let (mut readers, (ended, ends)) = (JoinSet::new(), mpsc::unbounded_channel());
        for (place, stream) in streams {
            let (heard, ended) = (Arc::clone(&heard), ended.clone());
            readers.spawn(async move {
                listen(stream, &heard).await;
                heard.lost.fetch_add(1, Ordering::Relaxed);
                // Whether anybody wants to know or not.
                let _nobody_asks = ended.send((place, Instant::now()));
            });
        }
        Ok(Self {
            readers,
            heard,
            ends,
            connected_in,
            resumed,
            size,
        })
    }

    /// Members whose connection ended.
    pub(super) fn lost(&self) -> u64 {
        self.heard.lost.load(Ordering::Relaxed)
    }

    /// One message for each member: `send` sets them going. How long until all were here, seconds; `None` when some did not come.
    pub(super) async fn round(
        &self,
        send: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Option<f64>> {
        let before = self.heard.messages.load(Ordering::Relaxed);
        self.heard.wanted.store(before + self.size, Ordering::Release);
        let start = Instant::now();
        send.await?;
        let all = async {
            while self.heard.messages.load(Ordering::Acquire) < before + self.size {
                self.heard.all.notified().await;
            }
        };
        Ok(timeout(ROUND, all)
            .await
            .is_ok()
            .then(|| start.elapsed().as_secs_f64()))
    }

    /// Messages that the last round waited for in vain.
    pub(super) fn missing(&self) -> u64 {
        let [wanted, heard] =
            [&self.heard.wanted, &self.heard.messages].map(|count| count.load(Ordering::Relaxed));
        wanted.saturating_sub(heard)
    }

    /// Whose connection ends next, and when; `None` when none does in time.
    pub(super) async fn next_end(&mut self) -> Option<(usize, Instant)> {
        timeout(ROUND, self.ends.recv()).await.ok().flatten()
    }

    /// Ends every connection.
    pub(super) async fn leave(mut self) {
        self.readers.shutdown().await;
    }
}

/// Counts messages until the connection ends.
async fn listen(mut stream: TlsStream<TcpStream>, heard: &Heard) {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let (mut at, mut messages, mut acknowledgements) = (0, 0, Vec::new());
        while let Some((head, end)) = frame(&buffer[at..]) {
            messages += u64::from(head >> 4 == 3);
            if head & 0xf6 == 0x32 {
                acknowledgements.extend(acknowledgement(&buffer[at..at + end]));
            }
            at += end;
        }
        buffer.drain(..at);
        if !acknowledgements.is_empty() && stream.write_all(&acknowledgements).await.is_err() {
            return;
        }
        let now = heard.messages.fetch_add(messages, Ordering::AcqRel) + messages;
        if messages > 0 && now >= heard.wanted.load(Ordering::Acquire) {
            heard.all.notify_one();
        }
    }
}

/// PUBACK for a whole PUBLISH of QoS 1.
fn acknowledgement(publish: &[u8]) -> Vec<u8> {
    let header = 1 + publish[1..].iter().take_while(|byte| **byte & 128 != 0).count() + 1;
    let rest = &publish[header..];
    let topic = rest
        .first_chunk()
        .map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    let id = rest.get(2 + topic..4 + topic).unwrap_or_default();
    [&[0x40, 2], id].concat()
}

/// The first byte of a whole packet, and where it ends.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let byte = *bytes.get(1 + place)?;
        length |= usize::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            let end = 2 + place + length;
            return (bytes.len() >= end).then(|| (bytes[0], end));
        }
    }
    None
}

/// Certificates of roots, as what to trust.
pub(super) fn roots(
    ders: impl IntoIterator<Item = CertificateDer<'static>>,
) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for der in ders {
        roots.add(der).context("not a root")?;
    }
    Ok(Arc::new(roots))
}
