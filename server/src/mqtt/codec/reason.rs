//! Reason codes of 5.0 that this server says, and what 3.1.1 has in their place.

/// A reason code `[5: 2.4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard's table")]
pub enum Reason {
    Success = 0x00,
    NoSubscriptionExisted = 0x11,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerShuttingDown = 0x8b,
    BadAuthenticationMethod = 0x8c,
    KeepAliveTimeout = 0x8d,
    SessionTakenOver = 0x8e,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9a,
    SubscriptionIdentifiersNotSupported = 0xa1,
}

impl Reason {
    /// The byte on the wire, 5.0.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The return code of a 3.1.1 CONNACK `[4: 3.2.2.3]`.
    pub const fn connack_v4(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::ServerUnavailable
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UnspecifiedError => 3,
            _ => 5,
        }
    }
}
