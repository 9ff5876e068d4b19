//! Renewals: current certificate + key -> the right to the next certificate.
//!
//! The certificate in hand is the proof of who asks, so there is no code. What was asked for once is given again to whoever
//! lost the answer; the certificate in hand stays good until the next one is seen on a connection (I3), so that no step that
//! fails leaves a device without a way in.

use crate::{
    Code, Refusal, Timestamp,
    certificate::{CertificateSerial, SpkiDigest},
    claim::ClaimPermit,
    device::{ClaimIntent, Device, Successor},
};
use core::time::Duration;

/// Most days for which a device whose certificate ended may come back and renew it.
pub const GRACE_DAYS_LIMIT: u32 = 3650;

/// What a certificate is good for at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everything that its device may do.
    Full,
    /// It ended: its device may renew it, and nothing else.
    RenewOnly,
    /// It ended too long ago.
    Over,
}

/// What a certificate that ends at `not_after` is good for at `now`.
pub fn admission(not_after: Timestamp, grace: Duration, now: Timestamp) -> Admission {
    // The last second counts (RFC 5280, 4.1.2.5).
    if now.seconds() <= not_after.seconds() {
        Admission::Full
    } else if now.seconds() <= not_after.plus(grace).seconds() {
        Admission::RenewOnly
    } else {
        Admission::Over
    }
}

/// The decision on a renewal.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Record the intent, sign, record the certificate, answer. Of a renewal that began before, the intent is the one on
    /// record.
    Issue(ClaimPermit),
    /// It was signed before: answer with the certificate on record.
    Repeat(CertificateSerial),
    /// No.
    Refuse(Refusal),
}

/// May this device, which showed that it holds a certificate of its own, have another one for the key `asked`? `fresh` is used
/// if it did not ask for that key before. Another key than the one asked for last takes its place: a device that lost the key
/// of a renewal that it did not finish begins anew.
pub fn decide(device: &Device, asked: SpkiDigest, fresh: ClaimIntent) -> Decision {
    let Some(identity) = device.lifecycle.identity() else {
        let why = "the device is not one that may connect";
        return Decision::Refuse(Refusal::new(Code::DeviceBarred, why));
    };
    let intent = ClaimIntent { spki: asked, ..fresh };
    match identity.successor {
        Some(Successor { intent, issued: true }) if intent.spki == asked => {
            Decision::Repeat(intent.certificate)
        }
        Some(Successor {
            intent,
            issued: false,
        }) if intent.spki == asked => Decision::Issue(ClaimPermit::new(device.id, intent)),
        Some(_) | None => Decision::Issue(ClaimPermit::new(device.id, intent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ended_renews_itself_for_a_while() {
        let day = Duration::from_secs(24 * 3600);
        let end = Timestamp::from_seconds(1000);
        for (grace, seconds, expected) in [
            (day, 0, Admission::Full),
            (day, 1000, Admission::Full),
            (day, 1001, Admission::RenewOnly),
            (day, 87_400, Admission::RenewOnly),
            (day, 87_401, Admission::Over),
            (Duration::ZERO, 1000, Admission::Full),
            (Duration::ZERO, 1001, Admission::Over),
        ] {
            let now = Timestamp::from_seconds(seconds);
            assert_eq!(admission(end, grace, now), expected, "{grace:?} {seconds}");
        }
    }
}
