//! How much the gate holds.

use std::time::Duration;

/// Bounds of the gate. [`Limits::default`] suits a machine with 1 GiB to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Device sessions at once; setting `connections`.
    pub connections: usize,
    /// Device sessions at once from one source (an IPv4 address, an IPv6 /64). Whole factories and sites sit behind one
    /// address, and a session needs a certificate, so this has no bound of its own unless set.
    pub connections_per_source: usize,
    /// Connections that have not shown who they are, claims included. The oldest gives way to a newcomer: whoever
    /// stalls is old, whoever means it is done in a second.
    pub strangers: usize,
    /// The same, from one source.
    pub strangers_per_source: usize,
    /// Memory for packets under way that are too large for what their connection has of its own, in bytes. Reports and
    /// requests are not; when it is spent, large ones wait for each other.
    pub inbound: usize,
    /// The same for messages to devices, while they are sent.
    pub outbound: usize,
    /// From accept to CONNECT.
    pub connect_deadline: Duration,
    /// How long sessions may take to end on stop; what is left then is cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // 14 kB each, TLS and all, when idle (measured): 280 MB.
            connections: 20_000,
            connections_per_source: usize::MAX,
            // Measured: 3 kB for a silent socket, 12 kB for half a handshake or half a CONNECT. At most 100 MB.
            strangers: 8_192,
            strangers_per_source: 4_096,
            // 256 of the largest packets; the buffers behind them may take twice as much.
            inbound: 64 << 20,
            outbound: 64 << 20,
            connect_deadline: Duration::from_secs(10),
            drain: Duration::from_secs(8),
        }
    }
}
