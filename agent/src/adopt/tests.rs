use super::*;
use crate::{
    disk::RealDisk,
    testing::{DEVICE, OTHER_DEVICE, Pki, client},
};
use rcgen::{KeyPair, PublicKeyData as _};
use std::path::Path;
use tempfile::TempDir;

/// A device's directory, and a registry's certificates.
struct Station {
    directory: TempDir,
    pki: Pki,
}

impl Station {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            pki: Pki::new(),
        }
    }

    fn state(&self) -> &Path {
        self.directory.path()
    }

    fn settings(&self) -> Settings {
        Settings::builder("registry.example:8883", "GW2-000001", self.state())
            .root_pem(self.pki.root.certificate.pem())
            .pinned_key()
            .clock(std::sync::Arc::new(|| 1_800_000_000))
            .build()
            .unwrap()
    }

    /// The chain of a device for this key, PEM.
    fn chain(&self, device: &str, key: &impl rcgen::PublicKeyData) -> String {
        let issuing = &self.pki.issuing;
        let leaf = client(device).signed_by(key, &issuing.issuer()).unwrap();
        leaf.pem() + &issuing.certificate.pem()
    }

    fn adopt(&self, text: &str) -> Result<Option<String>, String> {
        adopt(&self.settings(), text.as_bytes())
            .map(|device| device.map(String::from))
            .map_err(|error| error.to_string())
    }

    /// What the directory holds of key and identity.
    fn held(&self) -> (bool, bool) {
        let disk = RealDisk::open(self.state()).unwrap();
        (
            DeviceKey::load(&disk).unwrap().is_some(),
            Identity::load(&disk).unwrap().is_some(),
        )
    }
}

#[test]
fn key_and_chain_make_an_identity() {
    let station = Station::new();
    let key = KeyPair::generate().unwrap();
    let whole = key.serialize_pem() + &station.chain(DEVICE, &key);
    assert_eq!(station.adopt(&whole), Ok(Some(DEVICE.to_owned())));
    assert_eq!(station.held(), (true, true));
    assert_eq!(
        station.adopt(&whole),
        Err(format!("this device is {DEVICE} already"))
    );
    assert!(crate::Agent::new(station.settings()).is_ok());
}

#[test]
fn a_chain_finds_the_key_that_made_its_request() {
    let station = Station::new();
    let asked = request(&station.settings()).unwrap();
    let request = rcgen::CertificateSigningRequestParams::from_pem(&asked).unwrap();
    let chain = station.chain(DEVICE, &request.public_key);
    assert_eq!(station.adopt(&chain), Ok(Some(DEVICE.to_owned())));
}

#[test]
fn a_key_alone_waits_for_its_claim() {
    let station = Station::new();
    assert!(matches!(
        crate::Agent::new(station.settings()),
        Err(AgentError::Key)
    ));
    let key = KeyPair::generate().unwrap();
    assert_eq!(station.adopt(&key.serialize_pem()), Ok(None));
    assert_eq!(station.held(), (true, false));
    let agent = crate::Agent::new(station.settings()).unwrap();
    assert_eq!(agent.device_id(), None);
    drop(agent);
    // The certificate may come later.
    assert_eq!(
        station.adopt(&station.chain(DEVICE, &key)),
        Ok(Some(DEVICE.to_owned()))
    );
}

#[test]
fn what_is_not_this_devices_changes_nothing() {
    let station = Station::new();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let stranger = Station::new();
    for (text, why) in [
        (String::new(), "the file is not PEM"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
            "the file is not PEM",
        ),
        ("-----BEGIN CERTIFICATE-----\n".into(), "the file is not PEM"),
        (station.chain(DEVICE, &key), "the file has no key"),
        (
            key.serialize_pem() + &station.chain(DEVICE, &other),
            "the certificate is not trusted",
        ),
        (
            key.serialize_pem() + &stranger.chain(DEVICE, &key),
            "the certificate is not trusted",
        ),
        (
            key.serialize_pem() + &station.chain("not an id", &key),
            "the certificate is not trusted",
        ),
    ] {
        let refused = station.adopt(&text).unwrap_err();
        assert!(refused.starts_with(why), "{text}: {refused}");
        assert_eq!(station.held(), (false, false), "{text}");
    }
    assert!(!key.der_bytes().is_empty());
}

#[test]
fn a_key_that_is_there_stays() {
    let station = Station::new();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    station.adopt(&key.serialize_pem()).unwrap();
    let foreign = other.serialize_pem() + &station.chain(OTHER_DEVICE, &other);
    assert_eq!(
        station.adopt(&foreign).unwrap_err(),
        "this device has another key already"
    );
    assert_eq!(station.held(), (true, false));
    let own = key.serialize_pem() + &station.chain(DEVICE, &key);
    assert_eq!(station.adopt(&own), Ok(Some(DEVICE.to_owned())));
}
