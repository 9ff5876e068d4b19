//! A raw MQTT 5.0 client over TLS: sends and hears packet by packet, with any certificate or none.

use crate::{Pair, tls, wait::within};
use bytes::BytesMut;
use muster_proto::{
    payload::{self, Binary, CertificateUpdate, Claim, ClaimResult, Renew},
    topic::{Channel, Encoding, Topic},
};
pub use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::mqttbytes::{
    Error, QoS,
    v5::{
        ConnAck, Connect, ConnectProperties, Filter, Login, PubAck, PubAckReason, Publish, Subscribe,
        SubscribeReasonCode,
    },
};
use rustls::HandshakeKind;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// Largest packet that is believed.
const PACKET_LIMIT: u32 = 1 << 20;

/// A connection. TLS is up; nothing is said yet.
#[derive(Debug)]
pub struct Mqtt {
    stream: TlsStream<TcpStream>,
    heard: BytesMut,
    next: u16,
}

impl Mqtt {
    /// Connects and shakes hands. `source` is the address to call from.
    pub async fn dial(
        address: SocketAddr,
        roots: &[u8],
        pair: Option<&Pair>,
        source: Option<IpAddr>,
    ) -> io::Result<Self> {
        Ok(Self::over(tls::connect(address, roots, pair, source, &[]).await?))
    }

    pub(crate) fn over(stream: TlsStream<TcpStream>) -> Self {
        Self {
            stream,
            heard: BytesMut::new(),
            next: 1,
        }
    }

    /// The certificate that the server showed, DER.
    pub fn server_certificate(&self) -> Vec<u8> {
        let shown = self.stream.get_ref().1.peer_certificates();
        shown.expect("a certificate")[0].to_vec()
    }

    /// Was its handshake a full one, or did it resume a session?
    pub fn handshake(&self) -> HandshakeKind {
        self.stream.get_ref().1.handshake_kind().expect("a handshake")
    }

    /// Sends bytes, whatever they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Bytes as they come, however long that takes; none when the server closed the connection.
    pub async fn more(&mut self) -> io::Result<Vec<u8>> {
        if self.heard.is_empty() {
            self.stream.read_buf(&mut self.heard).await?;
        }
        Ok(self.heard.split().to_vec())
    }

    /// The next packet as it came: its first byte and what follows the fixed header; `None` when the server closed the
    /// connection. Of either version.
    pub async fn hear_raw(&mut self) -> Option<(u8, BytesMut)> {
        loop {
            if let Some((header, length)) = framed(&self.heard) {
                let mut packet = self.heard.split_to(header + length);
                return Some((packet[0], packet.split_off(header)));
            }
            match within("an answer", self.stream.read_buf(&mut self.heard)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a packet.
    pub async fn say(&mut self, packet: &Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).map_err(io::Error::other)?;
        self.send(&bytes).await
    }

    /// The next packet; `None` when the server closed the connection.
    pub async fn hear(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.heard, Some(PACKET_LIMIT)) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("the server says what is no MQTT: {error}"),
            }
            match within("an answer", self.stream.read_buf(&mut self.heard)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// CONNECT with a client id and, for a claim, serial and code.
    pub async fn connect(&mut self, id: &str, login: Option<(&str, &str)>) -> Option<ConnAck> {
        let login = login.map(|(user, password)| Login::new(user, password));
        self.say_connect(id, None, login).await
    }

    /// CONNECT of a client that takes so many messages unacknowledged.
    pub async fn connect_taking(&mut self, id: &str, messages: u16) -> Option<ConnAck> {
        let mut properties = ConnectProperties::new();
        properties.receive_maximum = Some(messages);
        self.say_connect(id, Some(properties), None).await
    }

    async fn say_connect(
        &mut self,
        id: &str,
        properties: Option<ConnectProperties>,
        login: Option<Login>,
    ) -> Option<ConnAck> {
        let connect = Connect {
            keep_alive: 60,
            client_id: id.to_owned(),
            clean_start: true,
            properties,
        };
        if self.say(&Packet::Connect(connect, None, login)).await.is_err() {
            return None;
        }
        match self.hear().await? {
            Packet::ConnAck(ack) => Some(ack),
            other => panic!("CONNECT was answered with {other:?}"),
        }
    }

    /// Subscribes one filter; the answer's code and text.
    pub async fn subscribe(&mut self, filter: &str) -> Option<(SubscribeReasonCode, String)> {
        let mut subscribe = Subscribe::new(Filter::new(filter, QoS::AtLeastOnce), None);
        subscribe.pkid = self.number();
        self.say(&Packet::Subscribe(subscribe)).await.ok()?;
        loop {
            match self.hear().await? {
                Packet::SubAck(mut ack) => {
                    let text = ack
                        .properties
                        .and_then(|properties| properties.reason_string)
                        .unwrap_or_default();
                    return Some((ack.return_codes.pop().expect("one code"), text));
                }
                Packet::Publish(_) => {}
                other => panic!("SUBSCRIBE was answered with {other:?}"),
            }
        }
    }

    /// Publishes with quality of service 1; the acknowledgement's reason and text. `None`: the server closed.
    pub async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Option<(PubAckReason, String)> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
        publish.pkid = self.number();
        self.say(&Packet::Publish(publish)).await.ok()?;
        loop {
            match self.hear().await? {
                Packet::PubAck(ack) => {
                    let text = ack
                        .properties
                        .and_then(|properties| properties.reason_string)
                        .unwrap_or_default();
                    return Some((ack.reason, text));
                }
                Packet::Publish(_) => {}
                Packet::Disconnect(_) => return None,
                other => panic!("PUBLISH was answered with {other:?}"),
            }
        }
    }

    /// The next message that the server publishes; acknowledged. `None`: the server closed.
    pub async fn message(&mut self) -> Option<Publish> {
        loop {
            match self.hear().await? {
                Packet::Publish(publish) => {
                    if publish.qos != QoS::AtMostOnce {
                        self.say(&Packet::PubAck(PubAck::new(publish.pkid, None)))
                            .await
                            .ok()?;
                    }
                    return Some(publish);
                }
                Packet::Disconnect(_) => return None,
                _ => {}
            }
        }
    }

    /// Why the server ended the connection, in its words; messages that come before are not acknowledged.
    pub async fn ended(&mut self) -> String {
        loop {
            match self.hear().await {
                Some(Packet::Disconnect(disconnect)) => {
                    let properties = disconnect.properties;
                    return properties
                        .and_then(|properties| properties.reason_string)
                        .unwrap_or_default();
                }
                Some(_) => {}
                None => return "it closed the connection".to_owned(),
            }
        }
    }

    /// A whole claim on this connection: CONNECT, SUBSCRIBE, PUBLISH, the answer.
    pub async fn claim(&mut self, serial: &str, code: &str, csr: Vec<u8>) -> Option<ClaimResult> {
        self.connect("", Some((serial, code))).await?;
        self.subscribe(&Topic::ClaimResult(Encoding::Json).to_string())
            .await?;
        let claim = payload::encode(&Claim { csr: Binary(csr) }, Encoding::Json).expect("a payload");
        let answer = self.ask(Topic::Claim(Encoding::Json), claim).await?;
        Some(payload::decode(&answer.payload, Encoding::Json).expect("an answer to a claim"))
    }

    /// A whole renewal on this connection, which shows a certificate of the device with this id: CONNECT, SUBSCRIBE,
    /// PUBLISH, the answer.
    pub async fn renew(&mut self, device: &str, csr: Vec<u8>) -> Option<CertificateUpdate> {
        let topic = |channel| Topic::Device(device, channel, Encoding::Json);
        self.connect("", None).await?;
        self.subscribe(&topic(Channel::Certificate).to_string()).await?;
        let renew = payload::encode(&Renew { csr: Binary(csr) }, Encoding::Json).expect("a payload");
        let answer = self.ask(topic(Channel::Renew), renew).await?;
        Some(payload::decode(&answer.payload, Encoding::Json).expect("an answer to a renewal"))
    }

    /// Publishes, and gives the next message that comes.
    async fn ask(&mut self, topic: Topic<'_>, payload: Vec<u8>) -> Option<Publish> {
        let mut publish = Publish::new(topic.to_string(), QoS::AtLeastOnce, payload, None);
        publish.pkid = self.number();
        self.say(&Packet::Publish(publish)).await.ok()?;
        self.message().await
    }

    const fn number(&mut self) -> u16 {
        self.next += 1;
        self.next
    }
}

/// Bytes of the fixed header and bytes that follow it, when both are there.
fn framed(heard: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (place, byte) in heard.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let header = 2 + place;
            return (heard.len() >= header + length).then_some((header, length));
        }
    }
    None
}
