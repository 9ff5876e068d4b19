//! Tickets of the MQTT port: with one a device comes back without the two signatures of a handshake (RFC 8446, 2.2; RFC 5077).
//!
//! The server keeps no sessions: all that it needs lies in the ticket, sealed with keys that live in this process alone, take
//! turns every six hours and are forgotten after twelve. A ticket opens no more than the certificate in it does: the registry
//! judges that at every CONNECT (B4).

use super::TlsError;
use rustls::{crypto::aws_lc_rs::Ticketer, server::ProducesTickets};
use std::sync::Arc;

/// Most bytes that go into a ticket: a device's chain is one of a kilobyte or two. A client that shows more is not made a
/// present of as much to send, and comes back by a full handshake.
const LIMIT: usize = 4 << 10;

#[derive(Debug)]
struct Tickets(Arc<dyn ProducesTickets>);

/// Fresh keys: no ticket of another process is taken.
pub(super) fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    let inner = Ticketer::new().map_err(TlsError::Tickets)?;
    Ok(Arc::new(Tickets(inner)))
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        (plain.len() <= LIMIT).then(|| self.0.encrypt(plain))?
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_here_alone_and_is_of_moderate_size() {
        let (ours, others) = (tickets().unwrap(), tickets().unwrap());
        let ticket = ours.encrypt(&[7; LIMIT]).unwrap();
        assert_eq!(ours.decrypt(&ticket), Some(vec![7; LIMIT]));
        assert_eq!(others.decrypt(&ticket), None);
        assert_eq!(ours.encrypt(&[7; LIMIT + 1]), None);
        for place in 0..ticket.len() {
            let mut other = ticket.clone();
            other[place] ^= 1;
            assert_eq!(ours.decrypt(&other), None, "{place}");
        }
    }
}
