//! What a bare agent says, packet by packet.

use super::*;
use crate::testing::{self, DEVICE, OTHER_DEVICE, Pki};

const NOW: Duration = Duration::from_secs(5);

/// A device, and the registry's end of its wire.
struct Talk {
    pki: Pki,
    agent: BareAgent,
    next: u16,
}

impl Talk {
    fn new(judge: impl Fn(&Desired) -> Result<(), String> + Send + Sync + 'static) -> Self {
        let pki = Pki::new();
        let time: TimeSource = Arc::new(|| 1_800_000_000);
        let trust = BareTrust::from_pem(pki.root.certificate.pem().as_bytes(), time).unwrap();
        let device = DeviceId::parse(DEVICE).unwrap();
        Self {
            pki,
            agent: BareAgent::new(device, trust, Arc::new(judge)),
            next: 0,
        }
    }

    /// Up to where the registry has acknowledged its hello.
    fn up(judge: impl Fn(&Desired) -> Result<(), String> + Send + Sync + 'static) -> Self {
        let mut talk = Self::new(judge);
        let mut said = Vec::new();
        assert!(talk.agent.connect(NOW, &mut said).unwrap());
        assert_eq!((said[0], &said[4..8]), (0x10, &b"MQTT"[..]));
        let (said, _) = talk.hear(&[0x20, 2, 0, 0]);
        assert_eq!(said[0], 0x82);
        // Which roots it trusts, and what it has.
        let (mut said, told) = talk.hear(&[0x90, 4, 0, 1, 1, 1]);
        for channel in ["trusted", "hello"] {
            let Some(Incoming::Publish { topic, .. }) = codec::decode(&mut said).unwrap() else {
                panic!("no {channel}: {said:x?}")
            };
            assert!(topic.ends_with(channel), "{topic}");
        }
        assert_eq!(told, [AgentEvent::Connected]);
        talk.hear(&[0x40, 2, 0, 2, 0x40, 2, 0, 3]);
        talk
    }

    fn hear(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<AgentEvent>) {
        let mut said = Vec::new();
        // As a network may cut them.
        let (one, two) = bytes.split_at(bytes.len() / 2);
        let mut told = self.agent.hear(NOW, one, &mut said).unwrap();
        told.extend(self.agent.hear(NOW, two, &mut said).unwrap());
        (said, told)
    }

    /// A desired state; what the agent reports of it, if it does, and tells.
    fn desired(&mut self, device: &str, generation: u64) -> (Option<Report>, Vec<AgentEvent>) {
        let sealed = self.pki.seal(&testing::desired(device, generation));
        self.next += 1;
        let mut bytes = Vec::new();
        let topic = Topic::Device(DEVICE, Channel::Desired, ENCODING).to_string();
        codec::publish_once(&mut bytes, self.next, &topic, &sealed);
        let (mut said, told) = self.hear(&bytes);
        let Some(Incoming::PubAck { id }) = codec::decode(&mut said).unwrap() else {
            panic!("no acknowledgement: {said:x?}")
        };
        assert_eq!(id, self.next);
        let report = match codec::decode(&mut said).unwrap() {
            None => None,
            Some(Incoming::Publish { topic, id, payload }) => {
                assert!(topic.ends_with("/report"), "{topic}");
                self.reported(id.unwrap());
                Some(payload::decode(&payload, ENCODING).unwrap())
            }
            Some(other) => panic!("{other:?}"),
        };
        (report, told)
    }

    fn reported(&mut self, id: u16) {
        let mut ack = Vec::new();
        codec::acknowledge(&mut ack, id);
        let (_, told) = self.hear(&ack);
        assert!(matches!(told[..], [AgentEvent::Reported { .. }]), "{told:?}");
    }
}

#[test]
fn it_proves_applies_and_reports_what_it_is_sent() {
    let mut talk = Talk::up(|_| Ok(()));
    let (report, told) = talk.desired(DEVICE, 3);
    let report = report.unwrap();
    assert_eq!((report.device_id.as_str(), report.generation), (DEVICE, 3));
    assert!(
        report
            .facets
            .iter()
            .all(|facet| facet.state == FacetState::Applied)
    );
    let expected = [
        AgentEvent::DesiredReceived { generation: 3 },
        AgentEvent::Applied { generation: 3 },
    ];
    assert_eq!((told.as_slice(), talk.agent.generation()), (&expected[..], 3));
    // The same again wants the same word again, and an older one none.
    assert_eq!(talk.desired(DEVICE, 3).0, Some(report));
    let (report, told) = talk.desired(DEVICE, 2);
    assert_eq!((report, talk.agent.generation()), (None, 3));
    assert!(matches!(&told[..], [AgentEvent::Failed { reason }] if reason.contains("older")));
}

#[test]
fn what_it_cannot_apply_it_says() {
    let mut talk = Talk::up(|desired| match desired.generation {
        4 => Err("no room".into()),
        _ => Ok(()),
    });
    talk.desired(DEVICE, 3);
    let (report, _) = talk.desired(DEVICE, 4);
    let report = report.unwrap();
    let reason = |facet: &payload::FacetStatus| match &facet.state {
        FacetState::Failed { reason } => Some(reason.clone()),
        _ => None,
    };
    assert_eq!(report.generation, 4);
    let reasons: Vec<_> = report.facets.iter().filter_map(reason).collect();
    assert_eq!(reasons, ["no room", "no room"]);
    assert_eq!(talk.agent.generation(), 3, "what ran still runs");
    // Back again, under a higher generation.
    let (report, _) = talk.desired(DEVICE, 5);
    assert_eq!((report.unwrap().generation, talk.agent.generation()), (5, 5));
}

#[test]
fn what_is_not_proven_is_not_applied() {
    let mut talk = Talk::up(|_| panic!("nothing is to be applied"));
    let (report, told) = talk.desired(OTHER_DEVICE, 3);
    assert_eq!((report, talk.agent.generation()), (None, 0));
    assert!(matches!(&told[..], [AgentEvent::Failed { reason }] if reason.contains("another device")));
    talk.pki = Pki::new();
    let (report, told) = talk.desired(DEVICE, 3);
    assert_eq!((report, talk.agent.generation()), (None, 0));
    assert!(matches!(&told[..], [AgentEvent::Failed { reason }] if reason.contains("not believed")));
}

#[test]
fn a_server_that_speaks_out_of_turn_is_left() {
    let mut talk = Talk::new(|_| Ok(()));
    let mut said = Vec::new();
    talk.agent.connect(NOW, &mut said).unwrap();
    let refused = talk.agent.hear(NOW, &[0x20, 2, 0, 5], &mut said);
    assert!(matches!(refused, Err(BareError::Refused(5))));
    let mut talk = Talk::up(|_| Ok(()));
    let unasked = talk.agent.hear(NOW, &[0x40, 2, 0, 9], &mut said);
    assert!(matches!(unasked, Err(BareError::OutOfTurn)));
    // It comes back, and not at once.
    talk.agent.lost(NOW, "out of turn");
    said.clear();
    assert!(!talk.agent.connect(NOW, &mut said).unwrap() && said.is_empty());
    assert!(talk.agent.connect(NOW * 100, &mut said).unwrap());
}
