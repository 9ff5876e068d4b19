//! A door past the network: sessions over streams that a program of ours makes itself, with peers that it vouches for.
//!
//! For what embeds the server and brings more devices than there are sockets. What a handshake settles elsewhere, which
//! certificate the peer holds the key of, is the caller's word here; the rest is the gate's: the certificate is looked up, its
//! device let in or not, kicked when it is shut out, and what it says goes the way of all packets. No address leads here, and
//! nothing in `musterd` calls it.

use super::{
    Limits,
    bus::Bus,
    meter::Introduction,
    places::Source,
    registry::Registry,
    session::{self, Parts, Peer},
    throttle::Throttle,
};
use crate::tls::Shown;
use std::{net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A gate without a listener. Clones share its places and its memory.
#[derive(Debug)]
pub struct Door<R>(Arc<Parts<R>>);

impl<R> Clone for Door<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Registry> Door<R> {
    /// Beside the gate of the same registry and bus.
    pub(crate) fn new(
        registry: R,
        bus: Bus,
        throttle: Arc<Throttle>,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Parts::new(registry, bus, throttle, limits, stop)))
    }

    /// Serves one device to the end of its session. `leaf` is its certificate, DER, and the caller knows that the device at the
    /// other end of the stream is its holder.
    pub async fn serve<S>(&self, stream: S, leaf: Arc<[u8]>, source: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let parts = &self.0;
        let meter = parts.bus.meter();
        let _counted = meter.connection();
        let mut place = parts.places.enter(Source::from(source));
        let introduction = Box::pin(session::connect(parts.wire(stream)));
        let introduced = tokio::select! {
            biased;
            () = parts.stop.cancelled() => return,
            () = place.evicted() => return meter.introduces(Introduction::Evicted),
            introduced = timeout(parts.limits.connect_deadline, introduction) => introduced,
        };
        match introduced {
            Ok(Ok((wire, connect))) => {
                meter.introduces(Introduction::Connected);
                let shown = Shown::Device(leaf);
                Box::pin(session::run(
                    parts,
                    wire,
                    Peer { shown, source },
                    connect,
                    &mut place,
                ))
                .await;
            }
            Ok(Err(_)) => meter.introduces(Introduction::Garbled),
            Err(_) => meter.introduces(Introduction::Late),
        }
    }
}
