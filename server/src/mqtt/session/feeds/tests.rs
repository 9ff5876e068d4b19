use super::*;

const JSON: Key = (Channel::Desired, Encoding::Json);
const POSTCARD: Key = (Channel::Desired, Encoding::Postcard);

#[test]
fn only_the_newest_is_pending() {
    let now = Instant::now();
    let mut feeds = Feeds::default();
    feeds.refresh(Channel::Desired);
    assert_eq!(feeds.next_due(2), None, "nothing is subscribed");
    assert_eq!(feeds.subscribe(JSON, QoS::ExactlyOnce), QoS::AtLeastOnce);
    assert_eq!(feeds.next_due(2), Some((JSON, QoS::AtLeastOnce)));
    feeds.fetch(JSON);
    let id = feeds.sent(JSON, now);
    (0..3).for_each(|_| feeds.refresh(Channel::Desired));
    assert_eq!((feeds.next_due(2), feeds.waiting_since()), (None, Some(now)));
    feeds.acknowledged(id.wrapping_add(1));
    assert_eq!(feeds.next_due(2), None);
    feeds.acknowledged(id);
    assert_eq!(feeds.next_due(2), Some((JSON, QoS::AtLeastOnce)));
    feeds.fetch(JSON);
    assert_eq!((feeds.next_due(2), feeds.waiting_since()), (None, None));
}

#[test]
fn the_clients_window_holds() {
    let mut feeds = Feeds::default();
    feeds.subscribe(POSTCARD, QoS::AtLeastOnce);
    feeds.subscribe(JSON, QoS::AtLeastOnce);
    feeds.refresh(Channel::Desired);
    feeds.fetch(POSTCARD);
    let id = feeds.sent(POSTCARD, Instant::now());
    assert_eq!(feeds.next_due(1), None);
    assert_eq!(feeds.next_due(2), Some((JSON, QoS::AtLeastOnce)));
    feeds.acknowledged(id);
    assert_eq!(feeds.next_due(1), Some((JSON, QoS::AtLeastOnce)));
}

#[test]
fn packet_identifiers_skip_zero_and_what_is_under_way() {
    let now = Instant::now();
    let mut feeds = Feeds {
        last_id: u16::MAX - 1,
        ..Feeds::default()
    };
    assert_eq!(feeds.sent(POSTCARD, now), u16::MAX);
    assert_eq!(feeds.sent(JSON, now), 1);
    feeds.last_id = u16::MAX - 1;
    assert_eq!(feeds.sent(JSON, now), 2);
}

#[test]
fn secrets_are_there_before_what_needs_them() {
    let sealed = (Channel::Sealed, Encoding::Json);
    let mut feeds = Feeds::default();
    for key in [JSON, POSTCARD, sealed] {
        feeds.subscribe(key, QoS::AtLeastOnce);
    }
    let refresh = |feeds: &mut Feeds| {
        feeds.refresh(Channel::Sealed);
        feeds.refresh(Channel::Desired);
    };
    refresh(&mut feeds);
    assert_eq!(feeds.next_due(9), Some((sealed, QoS::AtLeastOnce)));
    feeds.fetch(sealed);
    let id = feeds.sent(sealed, Instant::now());
    // Who asked for no secrets in this encoding does not wait for them.
    assert_eq!(feeds.next_due(9), Some((POSTCARD, QoS::AtLeastOnce)));
    feeds.fetch(POSTCARD);
    assert_eq!(feeds.next_due(9), None, "they are under way");
    // Others by then, which go out before anything else.
    refresh(&mut feeds);
    feeds.fetch(POSTCARD);
    feeds.acknowledged(id);
    assert_eq!(feeds.next_due(9), Some((sealed, QoS::AtLeastOnce)));
    // There were none.
    feeds.fetch(sealed);
    assert_eq!(feeds.next_due(9), Some((JSON, QoS::AtLeastOnce)));
}

#[test]
fn channels_are_sent_each_by_itself() {
    let certificate = (Channel::Certificate, Encoding::Json);
    let mut feeds = Feeds::default();
    feeds.subscribe(certificate, QoS::AtLeastOnce);
    feeds.refresh(Channel::Desired);
    assert_eq!(feeds.next_due(2), None, "another channel");
    feeds.subscribe(JSON, QoS::AtLeastOnce);
    feeds.refresh(Channel::Certificate);
    let id = feeds.sent(JSON, Instant::now());
    feeds.fetch(JSON);
    assert_eq!(feeds.next_due(2), Some((certificate, QoS::AtLeastOnce)));
    assert_ne!(feeds.sent(certificate, Instant::now()), id);
    let up = (Channel::Renew, Encoding::Json);
    feeds.subscribe(up, QoS::AtLeastOnce);
    assert_eq!(feeds.subscribed(up), None, "nobody hears what goes up");
}
