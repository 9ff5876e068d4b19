//! What goes over MQTT, as operators hear it: the connection, and messages in words.

mod link;
mod message;

pub(crate) use link::Link;
pub(crate) use message::{Content, Message};
