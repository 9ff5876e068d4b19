//! A connection that only hears: MQTT 5.0, which says why it ends, over TLS with the certificate of a context.

use crate::{
    context::Context,
    failure::{Answer, Failure},
    unreachable::Unreachable,
};
use bytes::BytesMut;
use rumqttc::v5::mqttbytes::{
    Error as Malformed, QoS,
    v5::{Connect, ConnectReturnCode, Disconnect, Filter, Packet, PingReq, Subscribe, SubscribeReasonCode},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::{error::Error, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::Code;

/// From the first packet of TCP to the answer to SUBSCRIBE.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// The keep-alive told to the server, in seconds.
const KEEP_ALIVE: u16 = 60;
/// A PINGREQ goes out this often.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Nothing heard for this long, pings notwithstanding: the server is gone.
const SILENCE: Duration = Duration::from_secs(75);
/// Largest packet that is believed: the largest payload, with what is around it.
const PACKET_LIMIT: u32 = 1 << 19;

/// A connection that has subscribed.
pub(crate) struct Link {
    stream: TlsStream<TcpStream>,
    inbox: BytesMut,
    heard: Instant,
    pinged: Instant,
}

fn lost(why: impl Into<String>) -> Failure {
    Failure::Unreachable(Box::new(Unreachable::lost(why.into())))
}

/// What the server says when it ends something.
fn refused(code: Code, text: Option<String>, otherwise: String) -> Failure {
    Failure::Refused(Box::new(Answer::over_mqtt(code, text.unwrap_or(otherwise))))
}

impl Link {
    /// Connects to `address`, such as `host:8883`, and subscribes.
    pub(crate) async fn open(context: &Context, address: &str, filters: &[String]) -> Result<Self, Failure> {
        let opened = timeout(OPEN_LIMIT, Self::greet(context, address, filters)).await;
        opened.unwrap_or_else(|_| {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            Err(unreachable(address, &late))
        })
    }

    async fn greet(context: &Context, address: &str, filters: &[String]) -> Result<Self, Failure> {
        let name = server_name(context, address)?;
        let connector = TlsConnector::from(Arc::new(tls(context)?));
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.map_err(|error| unreachable(address, &error))?;
        let stream = connector.connect(name, tcp).await;
        let stream = stream.map_err(|error| unreachable(address, &error))?;
        let now = Instant::now();
        let mut link = Self {
            stream,
            inbox: BytesMut::new(),
            heard: now,
            pinged: now,
        };
        link.log_in(address).await?;
        link.subscribe(filters).await?;
        Ok(link)
    }

    async fn log_in(&mut self, address: &str) -> Result<(), Failure> {
        let connect = Connect {
            keep_alive: KEEP_ALIVE,
            // The server gives us one that nobody has.
            client_id: String::new(),
            clean_start: true,
            properties: None,
        };
        let said = async {
            self.say(&Packet::Connect(connect, None, None)).await?;
            self.packet().await
        };
        // In TLS 1.3 a server refuses a certificate after the client's handshake.
        match said.await.map_err(|error| unreachable(address, &error))? {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Ok(()),
            Packet::ConnAck(ack) => {
                let text = ack.properties.and_then(|properties| properties.reason_string);
                let code = match ack.code {
                    ConnectReturnCode::NotAuthorized | ConnectReturnCode::ClientIdentifierNotValid => {
                        Code::PermissionDenied
                    }
                    _ => Code::Unavailable,
                };
                Err(refused(
                    code,
                    text,
                    format!("the server turned us away: {:?}", ack.code),
                ))
            }
            other => Err(lost(format!("CONNECT was answered with {other:?}"))),
        }
    }

    async fn subscribe(&mut self, filters: &[String]) -> Result<(), Failure> {
        // What is lost on the way is lost with the connection, so acknowledgements would change nothing.
        let filters: Vec<_> = filters
            .iter()
            .map(|filter| Filter::new(filter, QoS::AtMostOnce))
            .collect();
        let mut subscribe = Subscribe::new_many(filters, None);
        subscribe.pkid = 1;
        let said = async {
            self.say(&Packet::Subscribe(subscribe)).await?;
            self.packet().await
        };
        match said.await.map_err(|error| lost(error.to_string()))? {
            Packet::SubAck(ack) => {
                let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if ack.return_codes.iter().all(is_granted) {
                    return Ok(());
                }
                let text = ack.properties.and_then(|properties| properties.reason_string);
                let otherwise = "the server refused the subscription".to_owned();
                Err(refused(Code::PermissionDenied, text, otherwise))
            }
            Packet::Disconnect(disconnect) => Err(ended(disconnect)),
            other => Err(lost(format!("SUBSCRIBE was answered with {other:?}"))),
        }
    }

    /// The next message: topic and payload.
    pub(crate) async fn next(&mut self) -> Result<(String, Vec<u8>), Failure> {
        loop {
            let ping = self.pinged + PING_EVERY;
            let silence = self.heard + SILENCE;
            let packet = tokio::select! {
                packet = self.packet() => packet.map_err(|error| lost(error.to_string()))?,
                () = sleep_until(ping) => {
                    self.pinged = Instant::now();
                    let said = self.say(&Packet::PingReq(PingReq)).await;
                    said.map_err(|error| lost(error.to_string()))?;
                    continue;
                }
                () = sleep_until(silence) => return Err(lost("nothing was heard for too long")),
            };
            match packet {
                Packet::Publish(publish) => {
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    return Ok((topic, publish.payload.to_vec()));
                }
                Packet::Disconnect(disconnect) => return Err(ended(disconnect)),
                _ => {}
            }
        }
    }

    async fn say(&mut self, packet: &Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next packet. Cancel safe: what was read stays.
    async fn packet(&mut self) -> io::Result<Packet> {
        loop {
            match Packet::read(&mut self.inbox, Some(PACKET_LIMIT)) {
                Ok(packet) => return Ok(packet),
                Err(Malformed::InsufficientBytes(_)) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.heard = Instant::now();
        }
    }
}

/// Of a connection that the server ended: some may be opened again at once, some never.
fn ended(disconnect: Disconnect) -> Failure {
    use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode as Reason;
    let code = match disconnect.reason_code {
        Reason::NotAuthorized | Reason::AdministrativeAction => Code::PermissionDenied,
        Reason::SessionTakenOver => Code::Aborted,
        _ => Code::Unavailable,
    };
    let text = disconnect
        .properties
        .and_then(|properties| properties.reason_string);
    let otherwise = format!("the server ended the connection: {:?}", disconnect.reason_code);
    refused(code, text, otherwise)
}

fn unreachable(address: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure::Unreachable(Box::new(Unreachable::over_mqtt(address, error)))
}

fn server_name(context: &Context, address: &str) -> Result<ServerName<'static>, Failure> {
    let host = match &context.server_name {
        Some(name) => name.as_str(),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| {
        let why = format!("{host:?} is neither a name nor an address");
        Failure::usage(why, "Write HOST:PORT, such as muster.example:8883.")
    })
}

fn tls(context: &Context) -> Result<ClientConfig, Failure> {
    let wrong = |why: String| {
        Failure::usage(
            format!("context {} cannot be used: {why}", context.label),
            "Check that roots, certificate and key are PEM files that belong together.",
        )
    };
    let read = |pem: &[u8]| -> Result<Vec<_>, Failure> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
        certificates.map_err(|error| wrong(error.to_string()))
    };
    let mut roots = RootCertStore::empty();
    for root in read(&context.roots)? {
        roots.add(root).map_err(|error| wrong(error.to_string()))?;
    }
    let key = PrivateKeyDer::from_pem_slice(&context.key).map_err(|error| wrong(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(read(&context.certificate)?, key)
        .map_err(|error| wrong(error.to_string()))?;
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::payload;

    #[test]
    fn the_largest_message_fits() {
        let around = 1024;
        assert!(usize::try_from(PACKET_LIMIT).unwrap() >= payload::LIMIT + around);
    }
}
