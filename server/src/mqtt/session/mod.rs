//! One connection, from its CONNECT to its end.

mod claim;
mod device;
mod events;
mod feeds;
mod integrator;
mod stay;
mod talk;
mod window;

use super::{
    Limits, access,
    budget::Budget,
    bus::Bus,
    codec::{ConnAck, Connect, DecodeError, Outgoing, Reason, Version},
    places::{Place, Places},
    registry::Registry,
    throttle::Throttle,
    wire::{Wire, WireError},
};
use crate::{fault::Failure, tls::Shown};
use muster_domain::{Code, Refusal, device::Departure};
use muster_proto::payload::{self, PayloadError};
use std::{net::IpAddr, sync::Arc, time::Duration};
use talk::{End, Talk};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// Remaining length of a CONNECT: serial and code are short, and before it nobody is known.
const CONNECT_LIMIT: usize = 4 << 10;
/// Remaining length of a claimant's packets: a CSR of 4 KiB in base64 with its wrapping.
const CLAIM_LIMIT: usize = 8 << 10;
/// Remaining length of an integrator's packets, who sends nothing but subscriptions: 32 of them, the longest.
const INTEGRATOR_LIMIT: usize = 8 << 10;
/// Remaining length of a device's packets: a payload with topic and properties.
const DEVICE_LIMIT: usize = payload::LIMIT + (1 << 10);
/// Messages of QoS 1 and 2 that a client may send ahead, told to 5.0 clients.
const RECEIVE_MAXIMUM: u16 = 16;
/// Longest keep-alive, in seconds: a connection that says nothing for half an hour may as well be gone.
const KEEP_ALIVE_MAX: u16 = 1200;
/// A message that a client does not acknowledge for this long: it hangs, and a new connection is its best chance.
const ACK_DEADLINE: Duration = Duration::from_secs(120);
/// How far ahead an instant is looked at: a session does not last as long.
const HORIZON: Duration = Duration::from_secs(366 * 24 * 3600);
/// Characters of a text that may quote a client.
const TEXT_LIMIT: usize = 160;
/// Claims decided at once; signing is CPU work, and what waits here waits in its own connection.
const CLAIMS_AT_ONCE: usize = 64;
/// Envelopes sealed at once; the same reason.
const SEALS_AT_ONCE: usize = 32;

/// What every session of a gate works with.
#[derive(Debug)]
pub(super) struct Parts<R> {
    pub(super) registry: R,
    pub(super) bus: Bus,
    pub(super) throttle: Arc<Throttle>,
    pub(super) places: Arc<Places>,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
    claims: Semaphore,
    seals: Semaphore,
    inbound: Arc<Budget>,
    outbound: Arc<Budget>,
}

/// Who is at the other end, as far as TLS and TCP can tell.
#[derive(Debug)]
pub(super) struct Peer {
    /// The client certificate, checked by the handshake, or once by the one that it resumes.
    pub(super) shown: Shown,
    /// Its address.
    pub(super) source: IpAddr,
}

impl<R> Parts<R> {
    pub(super) fn new(
        registry: R,
        bus: Bus,
        throttle: Arc<Throttle>,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        let used = bus.meter().buffers();
        let (inbound, outbound) = (
            Budget::new(limits.inbound, used.clone()),
            Budget::new(limits.outbound, used.clone()),
        );
        Self {
            registry,
            bus,
            throttle,
            places: Places::new(limits),
            limits,
            stop,
            claims: Semaphore::new(CLAIMS_AT_ONCE),
            seals: Semaphore::new(SEALS_AT_ONCE),
            inbound,
            outbound,
        }
    }

    /// A connection that nobody knows yet.
    pub(super) fn wire<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Wire<S> {
        Wire::new(stream, CONNECT_LIMIT, Arc::clone(&self.inbound))
    }
}

/// Reads CONNECT. The caller holds the deadline.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
) -> Result<(Wire<S>, Connect), WireError> {
    match wire.frame().await?.connect() {
        Ok(connect) => Ok((wire, connect)),
        Err(error) => {
            if let DecodeError::Level(level) = error {
                wire.close(&unsupported(level)).await;
            }
            Err(error.into())
        }
    }
}

/// The answer to a protocol that is not spoken here `[4: MQTT-3.1.2-2, 5: MQTT-3.1.2-2]`, in the form of what comes
/// nearest.
fn unsupported(level: u8) -> Vec<u8> {
    let version = if level < 5 { Version::V4 } else { Version::V5 };
    Outgoing::ConnAck(ConnAck::refused(Reason::UnsupportedVersion, "")).encode(version)
}

/// Serves a connection whose CONNECT was read, to its end.
pub(super) async fn run<R: Registry, S: AsyncRead + AsyncWrite + Unpin>(
    parts: &Parts<R>,
    wire: Wire<S>,
    peer: Peer,
    connect: Connect,
    place: &mut Place,
) {
    let source = peer.source;
    let mut talk = Talk::new(wire, &connect);
    let end = match acceptable(&connect) {
        Err((reason, text)) => talk.refuse(reason, &text).await,
        // Each kind of session in a box of its own: a task is as large as its largest part, and most sit idle.
        Ok(()) => match peer.shown {
            Shown::Device(leaf) => {
                Box::pin(device::run(parts, &mut talk, (leaf, source), connect, place)).await
            }
            Shown::Operator(leaf) => Box::pin(integrator::run(parts, &mut talk, leaf, connect, place)).await,
            Shown::Nothing => Box::pin(claim::run(parts, &mut talk, source, connect, place)).await,
        },
    };
    tracing::debug!(%source, %end, "connection ends");
    talk.close(&end).await;
}

/// What nobody may have.
fn acceptable(connect: &Connect) -> Result<(), (Reason, String)> {
    if connect.authentication {
        return Err((
            Reason::BadAuthenticationMethod,
            "extended authentication is not available".into(),
        ));
    }
    if connect.will {
        // A will is a message to a topic that nobody checked yet, and every topic here has its own sender.
        return Err((Reason::NotAuthorized, access::forbidden().to_string()));
    }
    // `[4: MQTT-3.1.3-8]`: without an id there is nothing that a session could be kept under.
    if connect.version == Version::V4 && connect.client_id.is_empty() && !connect.clean {
        return Err((
            Reason::ClientIdentifierNotValid,
            "an empty client id needs a clean session".into(),
        ));
    }
    Ok(())
}

/// The terms of a connection that is let in, and how long it may say nothing.
fn terms<'a>(connect: &Connect, assigned_id: Option<&'a str>, limit: usize) -> (ConnAck<'a>, Duration) {
    let asked = connect.keep_alive;
    let keep_alive = if asked == 0 || asked > KEEP_ALIVE_MAX {
        KEEP_ALIVE_MAX
    } else {
        asked
    };
    let connack = ConnAck {
        reason: Reason::Success,
        text: "",
        assigned_id: assigned_id.filter(|_| connect.client_id.is_empty()),
        keep_alive: (keep_alive != asked).then_some(keep_alive),
        session_expiry: connect.session_expiry,
        receive_maximum: RECEIVE_MAXIMUM,
        wildcards: false,
        // The limit is for what follows the fixed header, which is two bytes at least: whatever is within the size
        // that is told is within the limit.
        maximum_packet: u32::try_from(limit + 2).unwrap_or(u32::MAX),
    };
    // One and a half times the keep-alive `[5: MQTT-3.1.2-22]`.
    (connack, Duration::from_secs(u64::from(keep_alive)) * 3 / 2)
}

/// The refusal of a payload that is not its message. A JSON error may quote the device: what it quotes is cut, and cannot
/// break a line of the log or a string of MQTT.
fn malformed(error: PayloadError) -> Refusal {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let text: String = error
        .to_string()
        .chars()
        .take(TEXT_LIMIT)
        .map(printable)
        .collect();
    Refusal::new(Code::PayloadMalformed, text)
}

/// Turns away a client that is not let in.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(talk: &mut Talk<S>, failure: &Failure) -> End {
    let reason = match failure {
        Failure::Broken(_) => Reason::ServerUnavailable,
        Failure::Refused(_) => reason_of(failure),
    };
    talk.refuse(reason, &failure.to_string()).await
}

/// What a 5.0 client is told of a failure.
fn reason_of(failure: &Failure) -> Reason {
    match failure {
        Failure::Broken(_) => Reason::UnspecifiedError,
        Failure::Refused(refusal) => match refusal.code {
            Code::PayloadMalformed => Reason::PayloadFormatInvalid,
            Code::TopicForbidden | Code::DeviceBarred | Code::CertificateEnded | Code::OperatorDisabled => {
                Reason::NotAuthorized
            }
            Code::ClientIdForeign => Reason::ClientIdentifierNotValid,
            Code::ClaimThrottled | Code::Busy | Code::SubscriberSlow | Code::SubscriberCrowd => {
                Reason::QuotaExceeded
            }
            _ => Reason::ImplementationSpecificError,
        },
    }
}

/// What a failure that ends a session says of the device.
fn departure_of(failure: &Failure) -> Departure {
    match failure {
        Failure::Broken(_) => Departure::Failed,
        Failure::Refused(_) if is_barred(failure) => Departure::ShutOut,
        Failure::Refused(_) => Departure::Misbehaved,
    }
}

/// Whether this failure means that the connection's owner is shut out.
fn is_barred(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Refused(Refusal {
            code: Code::DeviceBarred,
            ..
        })
    )
}
