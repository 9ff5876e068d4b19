//! The thread that hears uplinks and hands them to the integrators' sessions.

use super::{super::audience::Audience, BusError, UP, Uplink};
use rumqttd::{
    Notification,
    local::{LinkError, LinkRx, LinkTx},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often it is looked whether the bus was dropped.
const LOOK: Duration = Duration::from_millis(500);

/// A link that has subscribed the uplinks.
pub(super) struct Ear {
    /// The router ends a link whose sender is dropped.
    _sender: LinkTx,
    receiver: LinkRx,
    audience: Arc<Audience>,
}

impl Ear {
    pub(super) fn new(
        mut sender: LinkTx,
        receiver: LinkRx,
        audience: Arc<Audience>,
    ) -> Result<Self, BusError> {
        sender.subscribe(UP)?;
        Ok(Self {
            _sender: sender,
            receiver,
            audience,
        })
    }

    /// Runs until the bus is dropped, or its router is dead, which is another thread's to tell.
    pub(super) fn run(mut self, closed: &AtomicBool) {
        while !closed.load(Ordering::Acquire) {
            let deadline = Instant::now() + LOOK;
            match self.receiver.recv_deadline(deadline) {
                Ok(Some(notification)) => self.take(notification),
                Ok(None) => {}
                // Before its time this error means that the router dropped its end.
                Err(LinkError::RecvTimeout(_)) if Instant::now() >= deadline => {}
                Err(error) => {
                    tracing::error!(%error, "integrators hear no more of devices");
                    return;
                }
            }
        }
    }

    fn take(&self, notification: Notification) {
        match notification {
            Notification::Forward(forward) => self.hand_out(&forward.publish.payload),
            // As for the gate's own link: the router waits for a word before it goes on.
            Notification::Unschedule => {
                if let Err(error) = self.receiver.ready() {
                    tracing::error!(%error, "cannot ask the bus to go on");
                }
            }
            _ => {}
        }
    }

    fn hand_out(&self, batch: &[u8]) {
        match postcard::from_bytes::<Vec<Uplink>>(batch) {
            Ok(batch) => self.audience.hear(&batch),
            Err(error) => tracing::error!(%error, "a batch on the bus cannot be read"),
        }
    }
}
