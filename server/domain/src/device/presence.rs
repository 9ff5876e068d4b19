//! Whether a device is connected, since when, and why not.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Departure {
    /// The device said goodbye.
    Left,
    /// The connection broke, or the device did not read what it was sent.
    Lost,
    /// Nothing was heard within the keep-alive, or a message was never acknowledged.
    Silent,
    /// The registry shut it out: suspended, retired, revoked, a new code.
    ShutOut,
    /// It broke the protocol, went over a limit, or said something that ends a connection.
    Misbehaved,
    /// A fault of the server.
    Failed,
    /// The server stopped.
    Stopped,
}

impl Departure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Left,
        Self::Lost,
        Self::Silent,
        Self::ShutOut,
        Self::Misbehaved,
        Self::Failed,
        Self::Stopped,
    ];

    /// What happened, as a part of a sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "it said goodbye",
            Self::Lost => "the connection broke",
            Self::Silent => "nothing was heard from it within the keep-alive",
            Self::ShutOut => "it was shut out",
            Self::Misbehaved => "it broke the protocol or went over a limit",
            Self::Failed => "a fault of the server ended the connection",
            Self::Stopped => "the server stopped",
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A device that was connected at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// When it came, or went.
    pub since: Timestamp,
    /// Where the last connection came from.
    pub source: IpAddr,
    /// Why it is away; `None` while it is connected.
    pub departure: Option<Departure>,
}

impl Presence {
    /// A device that came at `now`.
    pub const fn online(now: Timestamp, source: IpAddr) -> Self {
        Self {
            since: now,
            source,
            departure: None,
        }
    }

    /// The same device, gone at `now`. A clock that went back does not make it leave before it came.
    #[must_use]
    pub fn departed(self, now: Timestamp, departure: Departure) -> Self {
        Self {
            since: now.max(self.since),
            departure: Some(departure),
            ..self
        }
    }

    /// What is known of it from the record of a server that ran before the one that started at `started`: no connection
    /// outlives its server, and a server that was killed could not note when it ended.
    #[must_use]
    pub fn after_restart(self, started: Timestamp) -> Self {
        match self.departure {
            Some(_) => self,
            None => self.departed(started, Departure::Stopped),
        }
    }

    /// Is it connected?
    pub const fn is_online(&self) -> bool {
        self.departure.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_device_comes_and_goes() {
        let online = Presence::online(at(5), SOURCE);
        assert!(online.is_online());
        for why in Departure::ALL {
            let gone = online.departed(at(9), why);
            assert!(!gone.is_online());
            assert_eq!(
                (gone.since, gone.source, gone.departure),
                (at(9), SOURCE, Some(why))
            );
            assert_eq!(online.departed(at(2), why).since, at(5), "the clock went back");
        }
    }

    #[test]
    fn only_a_connection_ends_with_its_server() {
        let online = Presence::online(at(5), SOURCE);
        assert_eq!(
            online.after_restart(at(7)),
            online.departed(at(7), Departure::Stopped)
        );
        let gone = online.departed(at(6), Departure::Silent);
        assert_eq!(gone.after_restart(at(7)), gone);
    }
}
