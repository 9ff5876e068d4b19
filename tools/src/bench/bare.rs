//! The limit of messages a second: a server that knows nothing of MQTT but two answers and one message, over TLS, to the same
//! client. What it cannot do, no server on this machine can.

use super::{authority, mqtt::packet};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// As many threads write as the machine that the figures are for has cores.
const WRITERS: usize = 2;
/// CONNACK, and SUBACK for QoS 0.
const ANSWERS: [u8; 9] = [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0];
/// Connections that wait to be taken over by a writer.
const WAITING: usize = 1024;

/// What a writer hears.
enum Order {
    Take(Box<TlsStream<TcpStream>>),
    Send,
}

/// A server that ends when it is dropped.
pub(super) struct Bare {
    pub(super) address: SocketAddr,
    /// Of its certificate.
    pub(super) root: CertificateDer<'static>,
    writers: Vec<mpsc::Sender<Order>>,
    _tasks: JoinSet<()>,
}

/// A client says CONNECT and SUBSCRIBE at once, and is told that all is well.
async fn greet(acceptor: TlsAcceptor, tcp: TcpStream, writer: mpsc::Sender<Order>) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let mut stream = acceptor.accept(tcp).await?;
    stream.read_buf(&mut Vec::with_capacity(512)).await?;
    stream.write_all(&ANSWERS).await?;
    stream.flush().await?;
    writer.send(Order::Take(Box::new(stream))).await?;
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, writers: Vec<mpsc::Sender<Order>>) {
    let mut greetings = JoinSet::new();
    for writer in writers.iter().cycle() {
        let Ok((tcp, _)) = listener.accept().await else {
            return;
        };
        greetings.spawn(greet(acceptor.clone(), tcp, writer.clone()));
        while greetings.try_join_next().is_some() {}
    }
}

/// Whole: what a write leaves with TLS, because the task had its turn, goes out with the flush.
async fn say(stream: &mut TlsStream<TcpStream>, message: &[u8]) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await
}

/// One message to each of its clients, again and again.
async fn write(mut orders: mpsc::Receiver<Order>, message: Arc<[u8]>) {
    let mut streams = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Take(stream) => streams.push(stream),
            Order::Send => {
                for stream in &mut streams {
                    // A client that is gone is missed by the client's own count.
                    drop(say(stream, &message).await);
                }
            }
        }
    }
}

impl Bare {
    /// Sends the message to a topic as long as that one.
    pub(super) async fn start(topic: &str, payload: &[u8]) -> anyhow::Result<Self> {
        let authority::Server { root, chain, key } = authority::server()?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain?, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
        let mut body = u16::try_from(topic.len())?.to_be_bytes().to_vec();
        body.extend(topic.as_bytes());
        body.extend(payload);
        let message: Arc<[u8]> = packet(0x30, &body).into();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, mut tasks, mut writers) = (listener.local_addr()?, JoinSet::new(), Vec::new());
        for _ in 0..WRITERS {
            let (writer, orders) = mpsc::channel(WAITING);
            tasks.spawn(write(orders, Arc::clone(&message)));
            writers.push(writer);
        }
        tasks.spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            writers.clone(),
        ));
        Ok(Self {
            address,
            root,
            writers,
            _tasks: tasks,
        })
    }

    /// Sends each client a message.
    pub(super) async fn push(&self) -> anyhow::Result<()> {
        for writer in &self.writers {
            writer.send(Order::Send).await?;
        }
        Ok(())
    }
}
