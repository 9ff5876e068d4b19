//! What the machine and its driver say to each other.

use super::{Mark, Outcome, Status, Term};
use crate::{desired::Proven, event::AgentEvent, identity::DeviceId, sealed::ProvenSealed};
use std::time::Duration;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The agent started.
    Started,
    /// A deadline passed.
    Woke,
    /// The connection that is being made is with this certificate.
    Term(Term),
    /// The next certificate came; it is durable.
    Reissued,
    /// There is no next certificate.
    NotReissued {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// The registry wants the certificate renewed.
    RenewalWanted,
    /// Other roots are trusted from now on; they are durable.
    Trusting(u64),
    /// The connection is up, and subscribed.
    Opened,
    /// The connection is gone, or none came about.
    Lost(String),
    /// A claim was granted; the identity is durable.
    Granted(DeviceId),
    /// A claim was refused.
    Refused {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// Desired state came, and its envelope holds.
    Offered(Box<Proven>),
    /// Secrets came, and their envelope holds.
    Sealed(Box<ProvenSealed>),
    /// Something came that is not believed.
    Disbelieved(String),
    /// The registry has a message, durably.
    Acknowledged(Sent),
    /// The work under way is done.
    Done(Outcome),
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Connect.
    Open(Role),
    /// Ask for an identity.
    SendClaim,
    /// Ask for the next certificate.
    SendRenewal,
    /// Say by which roots the device trusts.
    SendTrusted,
    /// Say what the device has.
    SendHello(Option<Mark>),
    /// Say how it stands.
    SendReport(Status),
    /// Close the connection.
    Close,
    /// Start a piece of work.
    Work(Work),
    /// Tell whoever listens.
    Tell(AgentEvent),
}

/// As what the agent connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// With serial and code.
    Claimant,
    /// With its certificate.
    Device,
}

/// A message that wants an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Claim,
    Hello,
    Trusted,
    Renewal,
    Report,
}

/// A piece of work on the disk.
#[derive(Debug)]
pub(crate) enum Work {
    /// Make desired state durable.
    Keep(Box<Proven>),
    /// Make sealed secrets durable.
    KeepSealed(Box<ProvenSealed>),
    /// Apply what is held.
    Apply,
    /// Compare what runs with what was applied, and ask the firmware policy again.
    Inspect,
}

/// What the device brings from earlier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) claimed: bool,
    pub(crate) held: Option<Mark>,
    pub(crate) applied: Option<Mark>,
}

/// Settings of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// First and greatest delay before a connection is tried again.
    pub(crate) reconnect: (Duration, Duration),
    /// How often what runs is inspected.
    pub(crate) inspect_every: Duration,
    /// For jitter.
    pub(crate) seed: u64,
}
