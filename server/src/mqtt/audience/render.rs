//! One uplink as the messages that integrators are sent: made once for all of them, in each encoding that somebody wants.

use super::{
    super::bus::{Spoken, Uplink},
    Interest, Message,
};
use muster_proto::{
    payload::{self, Hello, PayloadError, Presence, Report},
    topic::{Encoding, Topic},
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// An uplink, and what was made of it.
pub(super) struct Rendered<'a> {
    uplink: &'a Uplink,
    /// Postcard and JSON; what cannot be made is not tried again.
    made: [Option<Option<Arc<Message>>>; 2],
}

impl<'a> Rendered<'a> {
    pub(super) const fn new(uplink: &'a Uplink) -> Self {
        Self {
            uplink,
            made: [None, None],
        }
    }

    /// What has to be subscribed for it in this encoding: every device, or this one.
    pub(super) const fn interests(&self, encoding: Encoding) -> [Interest; 2] {
        let Uplink { spoken, device, .. } = *self.uplink;
        [
            Interest::Devices(spoken, encoding, None),
            Interest::Devices(spoken, encoding, Some(device)),
        ]
    }

    /// The message in this encoding; `None` when it cannot be written so.
    pub(super) fn message(&mut self, encoding: Encoding) -> Option<Arc<Message>> {
        let place = match encoding {
            Encoding::Postcard => &mut self.made[0],
            Encoding::Json => &mut self.made[1],
        };
        place
            .get_or_insert_with(|| message(self.uplink, encoding))
            .clone()
    }
}

fn message(uplink: &Uplink, encoding: Encoding) -> Option<Arc<Message>> {
    match transcode(uplink, encoding) {
        Ok(payload) => {
            let (id, channel) = (uplink.device.to_string(), uplink.spoken.channel());
            let topic = Topic::Device(&id, channel, encoding).to_string();
            Some(Arc::new(Message { topic, payload }))
        }
        // Its twin may be longer than a message may be.
        Err(error) => {
            tracing::info!(device = %uplink.device, %error, "an uplink cannot be written in the other encoding");
            None
        }
    }
}

/// The payload in the wanted encoding. The gate has read it before, so it is what its topic carries.
fn transcode(uplink: &Uplink, wanted: Encoding) -> Result<Vec<u8>, PayloadError> {
    let written = if uplink.json {
        Encoding::Json
    } else {
        Encoding::Postcard
    };
    if written == wanted {
        return Ok(uplink.payload.to_vec());
    }
    match uplink.spoken {
        Spoken::Hello => again::<Hello>(&uplink.payload, written, wanted),
        Spoken::Report => again::<Report>(&uplink.payload, written, wanted),
        Spoken::Presence => again::<Presence>(&uplink.payload, written, wanted),
    }
}

fn again<T: DeserializeOwned + Serialize>(
    payload: &[u8],
    written: Encoding,
    wanted: Encoding,
) -> Result<Vec<u8>, PayloadError> {
    payload::encode(&payload::decode::<T>(payload, written)?, wanted)
}
