use super::*;

#[test]
fn only_the_newest_is_pending() {
    let now = Instant::now();
    let mut feeds = Feeds::default();
    feeds.refresh();
    assert_eq!(feeds.next_due(2), None, "nothing is subscribed");
    assert_eq!(
        feeds.subscribe(Encoding::Json, QoS::ExactlyOnce),
        QoS::AtLeastOnce
    );
    assert_eq!(feeds.next_due(2), Some((Encoding::Json, QoS::AtLeastOnce)));
    feeds.fetch(Encoding::Json);
    let id = feeds.sent(Encoding::Json, now);
    (0..3).for_each(|_| feeds.refresh());
    assert_eq!((feeds.next_due(2), feeds.waiting_since()), (None, Some(now)));
    feeds.acknowledged(id.wrapping_add(1));
    assert_eq!(feeds.next_due(2), None);
    feeds.acknowledged(id);
    assert_eq!(feeds.next_due(2), Some((Encoding::Json, QoS::AtLeastOnce)));
    feeds.fetch(Encoding::Json);
    assert_eq!((feeds.next_due(2), feeds.waiting_since()), (None, None));
}

#[test]
fn the_clients_window_holds() {
    let mut feeds = Feeds::default();
    feeds.subscribe(Encoding::Postcard, QoS::AtLeastOnce);
    feeds.subscribe(Encoding::Json, QoS::AtLeastOnce);
    feeds.refresh();
    feeds.fetch(Encoding::Postcard);
    let id = feeds.sent(Encoding::Postcard, Instant::now());
    assert_eq!(feeds.next_due(1), None);
    assert_eq!(feeds.next_due(2), Some((Encoding::Json, QoS::AtLeastOnce)));
    feeds.acknowledged(id);
    assert_eq!(feeds.next_due(1), Some((Encoding::Json, QoS::AtLeastOnce)));
}

#[test]
fn packet_identifiers_skip_zero_and_what_is_under_way() {
    let now = Instant::now();
    let mut feeds = Feeds {
        last_id: u16::MAX - 1,
        ..Feeds::default()
    };
    assert_eq!(feeds.sent(Encoding::Postcard, now), u16::MAX);
    assert_eq!(feeds.sent(Encoding::Json, now), 1);
    feeds.last_id = u16::MAX - 1;
    assert_eq!(feeds.sent(Encoding::Json, now), 2);
}
