//! Who may use which topic. Exact names only: what is not listed here is forbidden.

use super::audience::Interest;
use muster_domain::{
    Code, Refusal,
    access::{Role, may_hear},
    ids::DeviceId,
};
use muster_proto::topic::{Channel, Direction, Encoding, Topic};

/// A topic of the device's own, in the wanted direction.
pub(super) fn device(topic: &str, device: DeviceId, direction: Direction) -> Option<(Channel, Encoding)> {
    match Topic::parse(topic)? {
        Topic::Device(id, channel, encoding) => {
            // An id has one spelling only, so equal ids are equal topics.
            let own = id.parse::<DeviceId>().is_ok_and(|id| id == device);
            (own && channel.direction() == direction).then_some((channel, encoding))
        }
        Topic::Claim(_) | Topic::ClaimResult(_) | Topic::Event(_) => None,
    }
}

/// What an operator of this role may subscribe.
pub(super) fn interest(filter: &str, role: Role) -> Option<Interest> {
    Interest::parse(filter).filter(|interest| may_hear(role, interest.feed()))
}

/// The topic on which a connection without certificate may publish.
pub(super) fn claim(topic: &str) -> Option<Encoding> {
    match Topic::parse(topic)? {
        Topic::Claim(encoding) => Some(encoding),
        Topic::ClaimResult(_) | Topic::Device(..) | Topic::Event(_) => None,
    }
}

/// The topic that a connection without certificate may subscribe.
pub(super) fn claim_result(topic: &str) -> Option<Encoding> {
    match Topic::parse(topic)? {
        Topic::ClaimResult(encoding) => Some(encoding),
        Topic::Claim(_) | Topic::Device(..) | Topic::Event(_) => None,
    }
}

/// The answer to everything else. Names no topic: a refusal must not echo hostile text into logs.
pub(super) fn forbidden() -> Refusal {
    Refusal::new(
        Code::TopicForbidden,
        "not a topic of this connection in this direction",
    )
}

/// The answer to an integrator's filter that is none of theirs.
pub(super) fn unheard(role: Role) -> Refusal {
    let why = format!("not a filter that an operator of role {role} may subscribe");
    Refusal::new(Code::TopicForbidden, why)
}

/// The answer to an integrator's message.
pub(super) fn silent() -> Refusal {
    Refusal::new(Code::TopicForbidden, "operators publish nothing over MQTT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_own_topics_each_in_one_direction() {
        let own = DeviceId::from_u128(7);
        let other = DeviceId::from_u128(8);
        for id in [own, other] {
            for (channel, up) in [
                (Channel::Hello, true),
                (Channel::Report, true),
                (Channel::Desired, false),
                (Channel::Sealed, false),
                (Channel::Certificate, false),
                (Channel::Trust, false),
            ] {
                for encoding in [Encoding::Postcard, Encoding::Json] {
                    let name = Topic::Device(&id.to_string(), channel, encoding).to_string();
                    let expected = |wanted: bool| (id == own && wanted).then_some((channel, encoding));
                    assert_eq!(device(&name, own, Direction::Up), expected(up), "{name}");
                    assert_eq!(device(&name, own, Direction::Down), expected(!up), "{name}");
                    assert_eq!(claim(&name).or_else(|| claim_result(&name)), None, "{name}");
                }
            }
        }
    }

    #[test]
    fn b1_a_device_hears_nothing_of_who_comes_and_goes_or_of_the_audit_log() {
        let own = DeviceId::from_u128(7);
        let presence = |encoding| Topic::Device(&own.to_string(), Channel::Presence, encoding).to_string();
        for name in [
            presence(Encoding::Postcard),
            presence(Encoding::Json),
            "muster/v1/events/device_suspended".into(),
        ] {
            for direction in [Direction::Up, Direction::Down] {
                assert_eq!(device(&name, own, direction), None, "{name}");
            }
            assert_eq!(claim(&name).or_else(|| claim_result(&name)), None, "{name}");
            assert!(interest(&name, Role::Integrator).is_some(), "{name}");
        }
    }

    #[test]
    fn b1_sealed_secrets_are_heard_by_their_device_alone() {
        let own = DeviceId::from_u128(7);
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let name = Topic::Device(&own.to_string(), Channel::Sealed, encoding).to_string();
            assert_eq!(device(&name, DeviceId::from_u128(8), Direction::Down), None);
            for role in Role::ALL {
                assert!(interest(&name, role).is_none(), "{name} {role}");
            }
        }
        for filter in ["muster/v1/+/sealed", "muster/v1/+/sealed/json"] {
            assert!(
                Role::ALL.into_iter().all(|role| interest(filter, role).is_none()),
                "{filter}"
            );
        }
    }

    #[test]
    fn a_claimant_has_two_topics() {
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let (up, down) = (
                Topic::Claim(encoding).to_string(),
                Topic::ClaimResult(encoding).to_string(),
            );
            assert_eq!((claim(&up), claim_result(&up)), (Some(encoding), None));
            assert_eq!((claim(&down), claim_result(&down)), (None, Some(encoding)));
            assert_eq!(device(&up, DeviceId::from_u128(7), Direction::Up), None);
        }
    }
}
