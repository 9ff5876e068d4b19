//! A network that breaks where a test wants it to.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are passed on in one go.
const CHUNK: usize = 4096;

/// A TCP proxy in front of one address. Each connection may carry a number of bytes, both directions together, and is
/// then cut; behind the last such number, connections are left alone.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    carried: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    _serving: AbortOnDropHandle<()>,
}

/// What one connection may still carry.
#[derive(Debug)]
struct Allowance {
    left: AtomicU64,
    carried: Arc<AtomicU64>,
}

impl Allowance {
    /// Takes up to `wanted` bytes.
    fn take(&self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left - left.min(wanted))
            });
        let granted = before.unwrap_or(0).min(wanted);
        self.carried.fetch_add(granted, Ordering::Relaxed);
        usize::try_from(granted).expect("no more than asked for")
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    allowance: &Allowance,
) -> io::Result<()> {
    let mut bytes = [0; CHUNK];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let granted = allowance.take(read);
        to.write_all(&bytes[..granted]).await?;
        if granted < read {
            return Err(io::Error::other("cut"));
        }
    }
}

async fn connection(mut near: TcpStream, target: SocketAddr, allowance: Allowance) -> bool {
    let Ok(mut far) = TcpStream::connect(target).await else {
        return false;
    };
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let carried = tokio::try_join!(
        carry(near_read, far_write, &allowance),
        carry(far_read, near_write, &allowance)
    );
    carried.is_err()
}

impl Proxy {
    /// In front of `target`; the connections carry `allowances` bytes, one after the other.
    pub async fn start(target: SocketAddr, allowances: Vec<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cuts, carried) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log) = (Arc::clone(&cuts), Arc::clone(&carried));
        let serving = tokio::spawn(async move {
            let mut allowances = allowances.into_iter();
            while let Ok((near, _)) = listener.accept().await {
                let bytes = Arc::new(AtomicU64::new(0));
                log.lock().expect("the log").push(Arc::clone(&bytes));
                let allowance = Allowance {
                    left: AtomicU64::new(allowances.next().unwrap_or(u64::MAX)),
                    carried: bytes,
                };
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    if connection(near, target, allowance).await {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self {
            address,
            cuts,
            carried,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that broke.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Bytes that each connection has carried, in order.
    pub fn carried(&self) -> Vec<u64> {
        self.carried
            .lock()
            .expect("the log")
            .iter()
            .map(|bytes| bytes.load(Ordering::Relaxed))
            .collect()
    }
}
