//! A stream that breaks after so many bytes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Both directions draw on one budget.
pub(crate) struct Cut {
    inner: TcpStream,
    left: Arc<AtomicI64>,
}

impl Cut {
    pub(crate) fn after(bytes: i64, inner: TcpStream) -> Self {
        Self {
            inner,
            left: Arc::new(AtomicI64::new(bytes)),
        }
    }

    fn allowance(&self) -> io::Result<usize> {
        match usize::try_from(self.left.load(Ordering::Relaxed)) {
            Ok(left @ 1..) => Ok(left),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn spend(&self, bytes: usize) {
        self.left
            .fetch_sub(i64::try_from(bytes).unwrap(), Ordering::Relaxed);
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = self.allowance()?.min(buf.remaining());
        let mut part = vec![0; room];
        let mut part = ReadBuf::new(&mut part);
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut part);
        if let Poll::Ready(Ok(())) = polled {
            buf.put_slice(part.filled());
            self.spend(part.filled().len());
        }
        polled
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = self.allowance()?.min(bytes.len());
        let polled = Pin::new(&mut self.inner).poll_write(cx, &bytes[..room]);
        if let Poll::Ready(Ok(count)) = polled {
            self.spend(count);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
