//! How much the gate holds.

use std::time::Duration;

/// Bounds of the gate. [`Limits::default`] suits a machine with 1 GiB to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Device sessions at once; setting `connections`.
    pub connections: usize,
    /// Device sessions at once from one source (an IPv4 address, an IPv6 /64). Whole factories and sites sit behind one
    /// address, and a session needs a certificate, so this is no tighter than `connections` unless set.
    pub connections_per_source: usize,
    /// Connections that have not shown who they are, claims included. The oldest gives way to a newcomer: whoever
    /// stalls is old, whoever means it is done in a second.
    pub strangers: usize,
    /// The same, from one source.
    pub strangers_per_source: usize,
    /// From accept to CONNECT.
    pub connect_deadline: Duration,
    /// How long sessions may take to end on stop; what is left then is cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // 17 kB each (measured): 340 MB.
            connections: 20_000,
            connections_per_source: 20_000,
            // Half a TLS handshake is about 20 kB: at most 160 MB.
            strangers: 8_192,
            strangers_per_source: 4_096,
            connect_deadline: Duration::from_secs(10),
            drain: Duration::from_secs(8),
        }
    }
}
