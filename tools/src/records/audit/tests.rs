use super::*;
use muster_domain::{
    Timestamp,
    audit::{Action, Actor, Event},
};

fn wire(actor: Actor) -> v1::AuditEntry {
    let event = Event::new(
        Timestamp::from_millis(1_500),
        actor,
        Action::CodeReissued,
        "devices/x",
    );
    let entry = event.with("row", 4).entry(7);
    v1::AuditEntry {
        index: entry.index,
        leaf: entry.leaf,
        leaf_hash: entry.hash.to_vec(),
    }
}

#[test]
fn an_entry_is_read_after_its_hash() {
    let check = |actor, expected: &str| {
        let entry = AuditEntry::verified(wire(actor)).unwrap();
        assert_eq!(
            (entry.actor.as_str(), entry.time.as_deref()),
            (expected, Some("1970-01-01T00:00:01.5Z"))
        );
        assert_eq!(
            (entry.action.as_str(), entry.detail["row"].as_str()),
            ("code_reissued", Some("4"))
        );
    };
    check(Actor::System, "system");
    check(Actor::Operator("alice".parse().unwrap()), "operators/alice");
    check(
        Actor::Device {
            name: "GW2-1".into(),
            source: "10.0.0.1".into(),
        },
        "devices/GW2-1",
    );
}

#[test]
fn an_altered_entry_is_noticed() {
    let entry = wire(Actor::System);
    let alterations: [fn(&mut v1::AuditEntry); 3] = [
        |entry| entry.leaf = entry.leaf.replace("devices/x", "devices/y"),
        |entry| entry.leaf_hash[0] ^= 1,
        |entry| entry.index = 8,
    ];
    for alter in alterations {
        let mut altered = entry.clone();
        alter(&mut altered);
        assert!(
            AuditEntry::verified(altered)
                .unwrap_err()
                .to_string()
                .contains("altered")
        );
    }
}
