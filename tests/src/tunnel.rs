//! TLS for a client that has none.

use crate::{Pair, tls};
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

/// A way to a server that speaks TLS, for a client that speaks plain TCP: this machine's alone, and each connection shows
/// one pair. Gone when dropped.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Tunnel {
    /// To a server, with the roots to believe it by, and what to show it.
    pub async fn new(server: SocketAddr, roots: Vec<u8>, pair: Option<Pair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = async move {
            while let Ok((plain, _)) = listener.accept().await {
                tokio::spawn(carry(plain, server, roots.clone(), pair.clone()));
            }
        };
        Self {
            address,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// Where the client connects.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Carries one connection; either side notices its end, whatever it was.
async fn carry(mut plain: TcpStream, server: SocketAddr, roots: Vec<u8>, pair: Option<Pair>) {
    if let Ok(mut sealed) = tls::connect(server, &roots, pair.as_ref(), None, &[]).await {
        drop(copy_bidirectional(&mut plain, &mut sealed).await);
    }
}
