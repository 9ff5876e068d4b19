//! A claimant in the fewest bytes: what a benchmark needs of MQTT 3.1.1, over TLS.

use anyhow::Context as _;
use muster_proto::topic::{Encoding, Topic};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Largest packet we expect: a chain of two certificates and a root.
const PACKET_LIMIT: usize = 64 << 10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;

/// The pinned root, as a TLS configuration.
#[derive(Clone)]
pub(super) struct Trust {
    connector: TlsConnector,
}

impl Trust {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each claimant is another device: nothing to resume.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}

/// A connection with serial and code, subscribed to its answer.
pub(super) struct Claimant {
    stream: TlsStream<TcpStream>,
}

fn text(into: &mut Vec<u8>, text: &[u8]) -> anyhow::Result<()> {
    into.extend(u16::try_from(text.len())?.to_be_bytes());
    into.extend(text);
    Ok(())
}

pub(super) fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        packet.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

impl Claimant {
    /// A connection on which nothing was said yet.
    pub(super) async fn shake_hands(address: SocketAddr, trust: &Trust) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = trust.connector.connect(name, tcp).await?;
        Ok(Self { stream })
    }

    /// What is under it.
    pub(super) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    pub(super) async fn connect(
        address: SocketAddr,
        trust: &Trust,
        serial: &str,
        code: &str,
    ) -> anyhow::Result<Self> {
        let mut claimant = Self::shake_hands(address, trust).await?;
        // User name, password, clean session; keep-alive of 30 seconds.
        let mut body = b"\0\x04MQTT\x04\xc2\0\x1e".to_vec();
        for field in ["", serial, code] {
            text(&mut body, field.as_bytes())?;
        }
        let mut packets = packet(0x10, &body);
        let mut body = vec![0, 1];
        text(
            &mut body,
            Topic::ClaimResult(Encoding::Postcard).to_string().as_bytes(),
        )?;
        body.push(1);
        packets.extend(packet(0x82, &body));
        claimant.stream.write_all(&packets).await?;
        let (head, body) = claimant.read().await?;
        anyhow::ensure!(
            head == CONNACK && body.get(1) == Some(&0),
            "CONNECT refused: {body:?}"
        );
        Ok(claimant)
    }

    /// Sends a claim and waits for its answer.
    pub(super) async fn claim(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        text(&mut body, Topic::Claim(Encoding::Postcard).to_string().as_bytes())?;
        body.extend([0, 2]);
        body.extend(request);
        self.stream.write_all(&packet(PUBLISH | 2, &body)).await?;
        loop {
            let (head, body) = self.read().await?;
            if head & 0xf0 == PUBLISH {
                let topic = body
                    .first_chunk()
                    .map(|length| usize::from(u16::from_be_bytes(*length)));
                // Behind the topic stands a packet id, unless the quality of service is 0.
                let skip = topic.context("short packet")? + 2 + if head & 6 == 0 { 0 } else { 2 };
                return Ok(body.get(skip..).context("short packet")?.to_vec());
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        let head = self.stream.read_u8().await?;
        let mut length = 0;
        for place in 0..4 {
            let byte = self.stream.read_u8().await?;
            length |= usize::from(byte & 127) << (7 * place);
            if byte & 128 == 0 {
                break;
            }
        }
        anyhow::ensure!(length <= PACKET_LIMIT, "a packet of {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((head, body))
    }
}
