//! What one integrator has subscribed.

use super::{super::codec::QoS, Interest};
use std::collections::HashMap;

/// Subscriptions of one session: enough to watch some devices one by one. Whoever wants more subscribes all.
pub(super) const SUBSCRIPTIONS: usize = 256;

/// Subscriptions, each with its QoS.
#[derive(Debug, Default)]
pub(super) struct Wants {
    subscribed: HashMap<Interest, QoS>,
}

impl Wants {
    /// `false` when there is no room for one more. What is subscribed again takes the new QoS.
    pub(super) fn add(&mut self, interest: Interest, qos: QoS) -> bool {
        let has_room = self.subscribed.len() < SUBSCRIPTIONS || self.subscribed.contains_key(&interest);
        if has_room {
            self.subscribed.insert(interest, qos);
        }
        has_room
    }

    /// Whether it was subscribed.
    pub(super) fn remove(&mut self, interest: Interest) -> bool {
        self.subscribed.remove(&interest).is_some()
    }

    /// Of two subscriptions that fit one topic, the higher QoS counts `[5: MQTT-3.3.4-2]`; `None` when none fits.
    pub(super) fn highest(&self, interests: [Interest; 2]) -> Option<QoS> {
        let fitting = interests.iter().filter_map(|one| self.subscribed.get(one));
        fitting.max().copied()
    }

    /// Whether anything that devices say is wanted.
    pub(super) fn hears_devices(&self) -> bool {
        self.any(|interest| matches!(interest, Interest::Devices(..)))
    }

    /// Whether anything of the audit log is wanted.
    pub(super) fn hears_events(&self) -> bool {
        self.any(|interest| matches!(interest, Interest::Events(_)))
    }

    fn any(&self, of: impl Fn(&Interest) -> bool) -> bool {
        self.subscribed.keys().any(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::audit::Action;

    fn events(kind: Action) -> [Interest; 2] {
        [Interest::Events(None), Interest::Events(Some(kind))]
    }

    #[test]
    fn the_higher_of_two_subscriptions_counts() {
        let mut wants = Wants::default();
        assert_eq!(wants.highest(events(Action::BatchPlanned)), None);
        assert!(wants.add(Interest::Events(None), QoS::AtMostOnce));
        assert!(wants.add(Interest::Events(Some(Action::BatchPlanned)), QoS::AtLeastOnce));
        let expected = Some(QoS::AtLeastOnce);
        assert_eq!(wants.highest(events(Action::BatchPlanned)), expected);
        assert_eq!(
            wants.highest(events(Action::BatchFinished)),
            Some(QoS::AtMostOnce)
        );
        assert!(wants.hears_events() && !wants.hears_devices());
        assert!(wants.remove(Interest::Events(None)));
        assert!(!wants.remove(Interest::Events(None)));
        assert_eq!(wants.highest(events(Action::BatchUndone)), None);
    }
}
