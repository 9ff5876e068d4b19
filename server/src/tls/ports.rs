//! TLS of both ports, as one certificate authority has it: derived in one place, and replaced whole when the authority is.

use super::{Pins, ServerIdentity, TlsError, WebTls, Whose, mqtt_config, tickets::tickets, web::WebConfig};
use crate::{
    ca::{Ca, CaError, ServerNames},
    clock::Clock,
    live::Live,
    mqtt::gate::GateTls,
};
use rustls::server::ProducesTickets;
use std::{fmt, sync::Arc};

/// What both ports speak TLS by. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Ports {
    names: ServerNames,
    clock: Clock,
    pins: Pins,
    /// They outlive an authority: what a ticket is good for is judged anew each time.
    tickets: Arc<dyn ProducesTickets>,
    identity: Live<ServerIdentity>,
    web: Live<WebConfig>,
    mqtt: Live<GateTls>,
}

/// What an authority makes of both ports, not in use yet.
#[derive(Debug)]
pub struct Derived {
    identity: Arc<ServerIdentity>,
    web: WebConfig,
    mqtt: GateTls,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

fn derive(
    ca: &Ca,
    names: &ServerNames,
    clock: &Clock,
    pins: &Pins,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Derived, TlsError> {
    let identity = ServerIdentity::new(ca, names.clone(), clock.now())?;
    Ok(Derived {
        web: WebConfig::new(ca, &identity, clock, Arc::clone(pins))?,
        mqtt: GateTls {
            config: mqtt_config(ca, &identity, clock, Arc::clone(pins), Arc::clone(tickets))?,
            whose: Whose::new(ca, clock)?,
        },
        identity,
    })
}

impl Ports {
    /// With a fresh certificate of the server, and fresh keys of tickets.
    ///
    /// # Errors
    ///
    /// [`TlsError`], when the authority's certificates cannot be used.
    pub fn new(ca: &Ca, names: ServerNames, clock: Clock, pins: Pins) -> Result<Self, TlsError> {
        let tickets = tickets()?;
        let Derived { identity, web, mqtt } = derive(ca, &names, &clock, &pins, &tickets)?;
        Ok(Self {
            names,
            clock,
            pins,
            tickets,
            identity: Live::new(identity),
            web: Live::new(web),
            mqtt: Live::new(mqtt),
        })
    }

    /// What another authority makes of them: all that can fail.
    ///
    /// # Errors
    ///
    /// As [`Ports::new`].
    pub fn derive(&self, ca: &Ca) -> Result<Derived, TlsError> {
        derive(ca, &self.names, &self.clock, &self.pins, &self.tickets)
    }

    /// From now on handshakes begin by this; those under way end as they began.
    pub fn take(&self, derived: Derived) {
        let Derived { identity, web, mqtt } = derived;
        self.identity.replace(identity);
        self.web.replace(web);
        self.mqtt.replace(mqtt);
    }

    /// Renews the server's certificate if it is due; says whether it was.
    ///
    /// # Errors
    ///
    /// As [`Ca::server_certificate`]; the old certificate stays.
    pub fn renew_if_due(&self, ca: &Ca) -> Result<bool, CaError> {
        self.identity.current().renew_if_due(ca, self.clock.now())
    }

    /// TLS of the port of gRPC and EST.
    pub fn web(&self) -> WebTls {
        WebTls::new(self.web.clone())
    }

    /// TLS of the MQTT port.
    pub fn mqtt(&self) -> Live<GateTls> {
        self.mqtt.clone()
    }
}
