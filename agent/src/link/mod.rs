//! One connection: TLS, MQTT, keep-alive and acknowledgements.

pub(crate) mod codec;

use crate::machine::Sent;
use codec::{Connect, Incoming, Malformed};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use zeroize::{Zeroize as _, Zeroizing};

/// From the first packet of TCP to the answer to SUBSCRIBE.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// The keep-alive told to the server.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// A PINGREQ goes out after this long without one; well before the server's patience ends.
const PING_EVERY: Duration = Duration::from_secs(40);
/// Nothing heard for this long: the server is gone, for it answers pings.
const SILENCE: Duration = Duration::from_secs(90);
/// A registry acknowledges what it has committed; it has this long.
const ACKNOWLEDGED_BY: Duration = Duration::from_secs(30);
/// Most messages without acknowledgement. The agent has a hello and a report under way at most.
const IN_FLIGHT: usize = 8;
/// Most bytes that wait to be written: acknowledgements for a server that sends and does not read.
const OUTBOX_LIMIT: usize = 64 << 10;
/// Room for reading.
const READ_AHEAD: usize = 2048;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, #[source] io::Error),
    #[error("TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server took too long to {0}")]
    Slow(&'static str),
    #[error("the server refused the connection (MQTT code {0}, {reason})", reason = refusal(*.0))]
    Refused(u8),
    #[error("the server refused the subscription")]
    Subscription,
    #[error("the server does not speak MQTT 3.1.1: {0}")]
    Malformed(#[from] Malformed),
    #[error("the server answered out of turn")]
    OutOfTurn,
    #[error("too much waits to be sent")]
    Congested,
}

/// Table 3.1 of the standard.
const fn refusal(code: u8) -> &'static str {
    match code {
        1 => "protocol version",
        2 => "client id",
        3 => "server unavailable",
        4 => "user name or password",
        5 => "not authorised",
        _ => "unknown",
    }
}

/// Where to connect, and as whom.
#[derive(Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<ClientConfig>,
    /// Empty for a claim.
    pub(crate) client_id: String,
    pub(crate) login: Option<(String, Zeroizing<String>)>,
    /// The topics to hear.
    pub(crate) filters: Vec<String>,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Heard {
    Message { topic: String, payload: Vec<u8> },
    Acknowledged(Sent),
}

/// An open connection, subscribed.
#[derive(Debug)]
pub(crate) struct Link {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Whether written bytes may still wait inside TLS.
    unflushed: bool,
    in_flight: VecDeque<(u16, Sent, Instant)>,
    last_id: u16,
    heard_at: Instant,
    pinged_at: Instant,
}

impl Link {
    /// Connects, logs in and subscribes, all within [`OPEN_LIMIT`].
    pub(crate) async fn open(target: Target) -> Result<Self, LinkError> {
        timeout(OPEN_LIMIT, Self::greet(target))
            .await
            .unwrap_or(Err(LinkError::Slow("open a connection")))
    }

    async fn greet(target: Target) -> Result<Self, LinkError> {
        let tcp = TcpStream::connect(&target.address)
            .await
            .map_err(|error| LinkError::Connect(target.address.clone(), error))?;
        // Packets are few and small; each is wanted at once.
        tcp.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&target.tls));
        let stream = connector
            .connect(target.name.clone(), tcp)
            .await
            .map_err(LinkError::Handshake)?;
        let (reader, writer) = tokio::io::split(stream);
        let now = Instant::now();
        let mut link = Self {
            reader,
            writer,
            inbox: Vec::new(),
            // Reserved once, so that a password is not left behind in a buffer that grew.
            outbox: Vec::with_capacity(1024),
            unflushed: false,
            in_flight: VecDeque::new(),
            last_id: 0,
            heard_at: now,
            pinged_at: now,
        };
        let login = target
            .login
            .as_ref()
            .map(|(name, password)| (name.as_str(), password.as_str()));
        let keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
        codec::connect(
            &mut link.outbox,
            Connect {
                client_id: &target.client_id,
                keep_alive,
                login,
            },
        );
        link.flush().await?;
        match link.packet().await? {
            Incoming::ConnAck { code: 0 } => {}
            Incoming::ConnAck { code } => return Err(LinkError::Refused(code)),
            _ => return Err(LinkError::OutOfTurn),
        }
        let id = link.fresh_id();
        codec::subscribe(&mut link.outbox, id, &target.filters);
        link.flush().await?;
        match link.packet().await? {
            Incoming::SubAck { id: answered, codes }
                if answered == id
                    && codes.len() == target.filters.len()
                    && codes.iter().all(|code| *code <= 1) =>
            {
                Ok(link)
            }
            Incoming::SubAck { .. } => Err(LinkError::Subscription),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// Queues a message with QoS 1; [`Link::next`] sends it.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], sent: Sent) -> Result<(), LinkError> {
        if self.in_flight.len() >= IN_FLIGHT {
            return Err(LinkError::Congested);
        }
        let id = self.fresh_id();
        codec::publish_once(&mut self.outbox, id, topic, payload);
        self.in_flight
            .push_back((id, sent, Instant::now() + ACKNOWLEDGED_BY));
        Ok(())
    }

    /// The next thing that the server says. Sends what is queued, and pings. May be dropped at any time and called
    /// again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Heard, LinkError> {
        loop {
            while let Some(packet) = codec::decode(&mut self.inbox)? {
                if let Some(heard) = self.receive(packet)? {
                    return Ok(heard);
                }
            }
            self.move_bytes().await?;
        }
    }

    fn receive(&mut self, packet: Incoming) -> Result<Option<Heard>, LinkError> {
        match packet {
            Incoming::Publish { topic, id, payload } => {
                if let Some(id) = id {
                    if self.outbox.len() > OUTBOX_LIMIT {
                        return Err(LinkError::Congested);
                    }
                    codec::acknowledge(&mut self.outbox, id);
                }
                Ok(Some(Heard::Message { topic, payload }))
            }
            Incoming::PubAck { id } => {
                let at = self.in_flight.iter().position(|(waiting, ..)| *waiting == id);
                let (_, sent, _) = at
                    .and_then(|at| self.in_flight.remove(at))
                    .ok_or(LinkError::OutOfTurn)?;
                Ok(Some(Heard::Acknowledged(sent)))
            }
            Incoming::PingResp => Ok(None),
            Incoming::ConnAck { .. } | Incoming::SubAck { .. } => Err(LinkError::OutOfTurn),
        }
    }

    /// Reads some, or writes some, or lets a deadline pass. Each branch is safe to drop half way: a read or write
    /// that did not finish moved nothing.
    async fn move_bytes(&mut self) -> Result<(), LinkError> {
        if self.inbox.is_empty() {
            // A device keeps no room for the largest packet that it ever saw.
            self.inbox.shrink_to(READ_AHEAD);
        }
        self.inbox.reserve(READ_AHEAD);
        let silence = self.heard_at + SILENCE;
        let overdue = self.in_flight.front().map_or(silence, |(_, _, by)| *by);
        let ping = self.pinged_at + PING_EVERY;
        let writes = !self.outbox.is_empty() || self.unflushed;
        tokio::select! {
            read = self.reader.read_buf(&mut self.inbox) => {
                if read? == 0 {
                    return Err(LinkError::Closed);
                }
                self.heard_at = Instant::now();
            }
            written = write_some(&mut self.writer, &self.outbox), if writes => {
                let count = written?;
                self.unflushed = count > 0;
                self.outbox.drain(..count);
            }
            () = sleep_until(ping) => {
                codec::ping(&mut self.outbox);
                self.pinged_at = Instant::now();
            }
            () = sleep_until(overdue) => return Err(LinkError::Slow("acknowledge a message")),
            () = sleep_until(silence) => return Err(LinkError::Slow("say anything")),
        }
        Ok(())
    }

    /// One packet, while the connection is being opened.
    async fn packet(&mut self) -> Result<Incoming, LinkError> {
        loop {
            if let Some(packet) = codec::decode(&mut self.inbox)? {
                return Ok(packet);
            }
            if self.reader.read_buf(&mut self.inbox).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }

    /// Writes all that is queued, while the connection is being opened or closed.
    async fn flush(&mut self) -> Result<(), LinkError> {
        self.writer.write_all(&self.outbox).await?;
        self.writer.flush().await?;
        self.outbox.zeroize();
        Ok(())
    }

    /// 1 to 65 535, none twice among those in flight, of which there are few.
    fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    /// Says farewell, so that the server does not take the device for lost; for at most [`FAREWELL`].
    pub(crate) async fn close(mut self) {
        let farewell = async {
            codec::disconnect(&mut self.outbox);
            self.flush().await?;
            self.writer.shutdown().await?;
            Ok::<_, LinkError>(())
        };
        match timeout(FAREWELL, farewell).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "no farewell"),
            Err(_elapsed) => tracing::debug!("farewell took too long"),
        }
    }
}

/// Writes from the queue, or flushes when it is empty.
async fn write_some(writer: &mut WriteHalf<TlsStream<TcpStream>>, outbox: &[u8]) -> io::Result<usize> {
    if outbox.is_empty() {
        writer.flush().await?;
        Ok(0)
    } else {
        match writer.write(outbox).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}
