//! A byte stream as packets, with its deadlines.

use super::{
    budget::{Budget, Lease, UNIT},
    codec::{DecodeError, Frame, frame},
};
use bytes::BytesMut;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// A peer that takes nothing for this long is cut: it does not read, or its network is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A packet that has begun to come must be whole by then; at the largest that is 4 kB a second.
const PACKET_DEADLINE: Duration = Duration::from_secs(60);
/// After our last word the peer gets this long to read it: closing with unread input would reset the connection
/// and take the word back.
const LINGER: Duration = Duration::from_secs(1);
/// What an idle connection holds ready; most packets of a device are shorter.
const IDLE_BUFFER: usize = 256;
/// Room made for a packet under way, again and again: memory follows what has come, not what was announced.
const CHUNK: usize = UNIT;

/// Why no more packets come.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The peer closed.
    #[error("the peer closed the connection")]
    Closed,
    /// The transport failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer sent what is no packet.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A stream of packets.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    buffer: BytesMut,
    limit: usize,
    budget: Arc<Budget>,
    /// For what is in the buffer, and for the packet that was last taken from it.
    lease: Option<Lease>,
    /// Since when we wait for the rest of a packet.
    began: Option<Instant>,
    /// No packet of ours is cut in the middle, so another may follow.
    intact: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// `limit` is for the remaining length of a packet from the peer, `budget` for what all peers send.
    pub(super) fn new(stream: S, limit: usize, budget: Arc<Budget>) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            limit,
            budget,
            lease: None,
            began: None,
            intact: true,
        }
    }

    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    fn make_room(&mut self) {
        if self.buffer.is_empty() {
            if self.buffer.capacity() > CHUNK {
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(IDLE_BUFFER);
        } else {
            self.buffer.reserve(CHUNK);
        }
    }

    /// The next packet; the one before it is done with. Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Frame, WireError> {
        if let Some(lease) = self.lease.take() {
            self.lease = lease.shrink(self.buffer.len());
        }
        loop {
            if let Some(frame) = frame(&mut self.buffer, self.limit)? {
                self.began = None;
                return Ok(frame);
            }
            if self.read().await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.make_room();
            return self.stream.read_buf(&mut self.buffer).await;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let read = async {
            let held = self.lease.take();
            // For what has come; the chunk that comes next is the connection's own.
            self.lease = self.budget.extend(held, self.buffer.len()).await;
            self.make_room();
            self.stream.read_buf(&mut self.buffer).await
        };
        timeout_at(began + PACKET_DEADLINE, read)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Sends a packet, whole or not at all as far as the peer can tell: when this fails or is cancelled, nothing
    /// more is sent.
    pub(super) async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.intact = false;
        let write = async {
            self.stream.write_all(packet).await?;
            self.stream.flush().await
        };
        timeout(WRITE_DEADLINE, write)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.intact = true;
        Ok(())
    }

    /// Says a last word and closes.
    pub(super) async fn close(mut self, last_word: &[u8]) {
        let goodbye = async {
            if self.intact && !last_word.is_empty() {
                self.stream.write_all(last_word).await?;
            }
            self.stream.shutdown().await?;
            let mut sink = [0; 256];
            while self.stream.read(&mut sink).await? > 0 {}
            io::Result::Ok(())
        };
        // The connection ends here, however that went.
        drop(timeout(LINGER, goodbye).await);
    }
}
