//! TLS as a client: any certificate, any protocol, no resumption unless it is asked for.

use crate::{Mqtt, Pair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A client that keeps what it needs to resume its sessions.
#[derive(Debug, Clone)]
pub struct Returning(Arc<ClientConfig>);

impl Returning {
    /// With any certificate or none, on one version of TLS.
    pub fn new(roots: &[u8], pair: Option<&Pair>, version: &'static SupportedProtocolVersion) -> Self {
        let mut config = versioned(roots, pair, &[version]);
        config.resumption = Resumption::in_memory_sessions(1);
        Self(Arc::new(config))
    }

    /// Connects and shakes hands, or resumes: [`Mqtt::handshake`] says which.
    pub async fn dial(&self, address: SocketAddr) -> io::Result<Mqtt> {
        let tcp = TcpStream::connect(address).await?;
        Ok(Mqtt::over(shake(Arc::clone(&self.0), tcp).await?))
    }
}

fn config(roots: &[u8], pair: Option<&Pair>) -> ClientConfig {
    versioned(roots, pair, rustls::DEFAULT_VERSIONS)
}

fn versioned(
    roots: &[u8],
    pair: Option<&Pair>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots) {
        store.add(root.expect("PEM")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(store);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
                .map(|der| der.expect("PEM"))
                .collect();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    config.resumption = Resumption::disabled();
    config
}

/// Connects and shakes hands. `source` is the address to call from, `protocols` what is offered by ALPN.
pub(crate) async fn connect(
    address: SocketAddr,
    roots: &[u8],
    pair: Option<&Pair>,
    source: Option<IpAddr>,
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    let tcp = socket.connect(address).await?;
    let mut config = config(roots, pair);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    shake(Arc::new(config), tcp).await
}

async fn shake(config: Arc<ClientConfig>, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, tcp).await
}
