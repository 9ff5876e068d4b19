//! What must hold after a kill: what each client was told, and what it gets when it asks again.

use super::{
    INTENDED, NOTHING, RECORDED, Trial,
    deeds::{Claim, Cut, Deed, Device, Given, No, Renewal, Revocation, Server},
    shown::Shown,
};
use muster_domain::Code;
use muster_proto::v1::{self, certificate::State};
use muster_tests::Key;

impl Trial {
    /// Everything that must hold after a kill; then every deed without an answer is done.
    pub(super) async fn goes_on(&mut self, server: &Server, left: Vec<Deed>, what: &str) {
        let shown = Shown::by(&server.operator).await;
        shown.holds(what);
        // I5: what was seen is there unchanged.
        let goes_on = shown.log.starts_with(&self.log);
        assert!(goes_on, "{what}: the log is not the one that it was");
        for serial in self.given.keys() {
            assert!(
                shown.state(serial).is_some(),
                "{what}: certificate {serial} was lost"
            );
        }
        for serial in &self.revoked {
            assert_eq!(shown.state(serial), Some(State::Revoked), "{what}: {serial}");
        }
        for deed in left {
            match deed {
                Deed::Claim(claim) => self.claimed(server, &shown, claim, what).await,
                Deed::Renew(renewal) => self.renewed(server, &shown, renewal, what).await,
                Deed::Revoke(revocation) => self.ended(server, &shown, revocation, what).await,
                Deed::Look(look) => {
                    for entry in look.entries {
                        let place = usize::try_from(entry.index).unwrap();
                        assert_eq!(shown.log.get(place), Some(&entry), "{what}: was shown before");
                    }
                }
            }
        }
        self.log = shown.log;
    }

    /// I1, I2: a certificate that a client was given is on record, byte for byte, and no other has its serial. It is the one
    /// that was on record `before` the client asked again, signed or not.
    async fn keep(&mut self, server: &Server, given: &Given, before: Option<v1::Certificate>, what: &str) {
        if let Some(before) = before {
            assert_eq!(before.serial, given.serial, "{what}: another one was on record");
            let is_same = before.der.is_empty() || before.der == given.der;
            assert!(is_same, "{what}: another {} was on record", given.serial);
        }
        let is_same = server.record(&given.serial).await.der == given.der;
        assert!(is_same, "{what}: another {} is on record", given.serial);
        let before = self.given.insert(given.serial.clone(), given.der.clone());
        let is_same = before.is_none_or(|before| before == given.der);
        assert!(is_same, "{what}: two certificates have serial {}", given.serial);
    }

    /// I6: a code is spent if and only if its claim is on record, and then whoever claimed gets that certificate.
    async fn claimed(&mut self, server: &Server, shown: &Shown, mut claim: Claim, what: &str) {
        let what = &format!("{what}: {}", claim.serial);
        let before = match shown.first_of(&claim.serial) {
            Some(certificate) => Some(server.record(&certificate.serial).await),
            None => None,
        };
        let phase = match (&claim.device, phase(before.as_ref())) {
            (Ok(_), phase) => {
                assert_eq!(phase, RECORDED, "{what}: has a certificate");
                "answered"
            }
            (Err(Cut::Before), NOTHING) => "not begun",
            (Err(Cut::InHandshake), NOTHING) => "handshake",
            (Err(Cut::InCall), NOTHING) => "before the intent",
            (Err(_), phase) => phase,
        };
        self.count("claim", phase);
        if before.is_some() {
            refuses_others(server, &claim, what).await;
        } else if self.chance.below(2) == 0 {
            // A code that nobody spent is bound to no key.
            claim.key = Key::new();
        }
        if claim.device.is_err() {
            claim.attempt(server).await;
        }
        let device = claim.device.clone();
        let device = device.unwrap_or_else(|cut| panic!("{what}: no answer: {cut:?}"));
        self.keep(server, &device.own, before, what).await;
        refuses_others(server, &claim, what).await;
        self.enrolled.push_back(device);
    }

    /// A renewal is a claim with a certificate in the place of a code. Both are good until the device comes with the next.
    async fn renewed(&mut self, server: &Server, shown: &Shown, mut renewal: Renewal, what: &str) {
        let what = &format!("{what}: {}", renewal.device.name);
        let own = renewal.device.own.clone();
        let now = &shown.devices[&renewal.device.name];
        // It was seen if it has taken the place of its own.
        let is_seen = now.certificate_serial != own.serial;
        let successor = now.successor.as_ref().map(|next| &next.certificate_serial);
        let before = match successor.or_else(|| is_seen.then_some(&now.certificate_serial)) {
            Some(serial) => Some(server.record(serial).await),
            None => None,
        };
        let phase = match (&renewal.device.next, phase(before.as_ref())) {
            (Some(_), phase) => {
                assert_eq!(phase, RECORDED, "{what}: has its next certificate");
                assert!(is_seen || !renewal.has_come, "{what}: came with it");
                if is_seen { "seen" } else { "answered" }
            }
            (None, phase) => {
                assert!(!is_seen, "{what}: never had its next certificate");
                phase
            }
        };
        self.count("renewal", phase);
        renewal.attempt(server).await;
        let Renewal {
            mut device,
            comes,
            has_come,
            ..
        } = renewal;
        assert_eq!(comes, has_come, "{what}");
        let next = device.next.clone();
        let next = next.unwrap_or_else(|| panic!("{what}: no answer"));
        self.keep(server, &next, before, what).await;
        assert_eq!(
            server.lets_in(&own).await,
            Ok(!comes),
            "{what}: with its former certificate"
        );
        if comes {
            (device.own, device.next) = (next, None);
            self.enrolled.push_back(device);
        } else {
            self.enrolled.push_front(device);
        }
    }

    /// A revocation is there as a whole or not at all; when it was acknowledged it is there.
    async fn ended(&mut self, server: &Server, shown: &Shown, mut revocation: Revocation, what: &str) {
        let Device { name, own, next } = revocation.device.clone();
        let what = &format!("{what}: {name} without {}", own.serial);
        let is_there = shown.state(&own.serial) == Some(State::Revoked);
        let phase = match (revocation.is_done, is_there) {
            (true, _) => "answered",
            (false, true) => "revoked",
            (false, false) => "not revoked",
        };
        self.count("revocation", phase);
        assert!(is_there || !revocation.is_done, "{what}: was acknowledged");
        assert_eq!(server.lets_in(&own).await, Ok(!is_there), "{what}");
        if !revocation.is_done {
            revocation.attempt(server).await;
        }
        assert!(revocation.is_done, "{what}: no answer");
        let record = server.record(&own.serial).await;
        assert_eq!(record.reason, revocation.reason.as_str(), "{what}");
        for given in [Some(own), next].into_iter().flatten() {
            let is_in = server.lets_in(&given).await;
            assert_eq!(is_in, Ok(false), "{what}: with {}", given.serial);
            self.revoked.insert(given.serial);
        }
    }
}

/// How far what should end in this certificate had come.
fn phase(record: Option<&v1::Certificate>) -> &'static str {
    match record.map(v1::Certificate::state) {
        None => NOTHING,
        Some(State::Intended) => INTENDED,
        Some(_) => RECORDED,
    }
}

/// A code that is spent, or bound to a key, opens nothing for another key.
async fn refuses_others(server: &Server, claim: &Claim, what: &str) {
    let other = server
        .claim(claim.door, &claim.serial, &claim.code, &Key::new())
        .await;
    let refused = No::Refused(Code::ClaimRefused.number());
    assert_eq!(other, Err(refused), "{what}: with another key");
}
