//! Who may use which topic. Exact names only: what is not listed here is forbidden.

use muster_domain::{Code, Refusal, ids::DeviceId};
use muster_proto::topic::{Channel, Direction, Encoding, Topic};

/// A topic of the device's own, in the wanted direction.
pub(super) fn device(topic: &str, device: DeviceId, direction: Direction) -> Option<(Channel, Encoding)> {
    match Topic::parse(topic)? {
        Topic::Device(id, channel, encoding) => {
            // An id has one spelling only, so equal ids are equal topics.
            let own = id.parse::<DeviceId>().is_ok_and(|id| id == device);
            (own && channel.direction() == direction).then_some((channel, encoding))
        }
        Topic::Claim(_) | Topic::ClaimResult(_) => None,
    }
}

/// The topic on which a connection without certificate may publish.
pub(super) fn claim(topic: &str) -> Option<Encoding> {
    match Topic::parse(topic)? {
        Topic::Claim(encoding) => Some(encoding),
        Topic::ClaimResult(_) | Topic::Device(..) => None,
    }
}

/// The topic that a connection without certificate may subscribe.
pub(super) fn claim_result(topic: &str) -> Option<Encoding> {
    match Topic::parse(topic)? {
        Topic::ClaimResult(encoding) => Some(encoding),
        Topic::Claim(_) | Topic::Device(..) => None,
    }
}

/// The answer to everything else. Names no topic: a refusal must not echo hostile text into logs.
pub(super) fn forbidden() -> Refusal {
    Refusal::new(
        Code::TopicForbidden,
        "not a topic of this connection in this direction",
    )
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
