//! What a registry shows to its operator, and what of it must agree whatever happened.

use muster_proto::v1::{self, certificate::State, device::State as DeviceState};
use muster_tools::{Client, Failure, client::pages, records::AuditEntry};
use std::collections::BTreeMap;
use tonic::Status;

/// Everything that an operator can list.
pub(super) struct Shown {
    /// By resource name.
    pub(super) devices: BTreeMap<String, v1::Device>,
    /// Of devices, by serial.
    pub(super) certificates: BTreeMap<String, v1::Certificate>,
    pub(super) log: Vec<AuditEntry>,
}

impl Shown {
    pub(super) async fn by(client: &Client) -> Self {
        let mut certificates = BTreeMap::new();
        for certificate in self::certificates(client).await {
            if certificate.holder.starts_with("devices/") {
                let twice = certificates.insert(certificate.serial.clone(), certificate);
                // I2.
                assert_eq!(twice, None, "two certificates have one serial");
            }
        }
        let devices = devices(client).await.into_iter();
        Self {
            devices: devices.map(|device| (device.name.clone(), device)).collect(),
            certificates,
            log: log(client).await,
        }
    }

    /// The certificate that the device with this serial has or is about to get by its claim.
    pub(super) fn first_of(&self, device: &str) -> Option<&v1::Certificate> {
        let device = self.devices.values().find(|known| known.serial == device);
        let name = &device.expect("a device").name;
        self.certificates
            .values()
            .find(|certificate| certificate.holder == *name)
    }

    pub(super) fn state(&self, serial: &str) -> Option<State> {
        self.certificates.get(serial).map(v1::Certificate::state)
    }

    /// What must hold at any time: a device and its certificates fit (I3), and the log alone tells what they all are, so
    /// that no change is there by half.
    pub(super) fn holds(&self, what: &str) {
        let story = Story::told_by(&self.log);
        for serial in self.certificates.keys().chain(story.certificates.keys()) {
            let told = story.certificates.get(serial).copied();
            assert_eq!(
                self.state(serial),
                told,
                "{what}: {serial} on record and by the log"
            );
        }
        let mut current: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for certificate in self.certificates.values() {
            if certificate.state() == State::Current {
                current
                    .entry(&certificate.holder)
                    .or_default()
                    .push(&certificate.serial);
            }
        }
        for (name, device) in &self.devices {
            let held = story.held.get(name).map_or(&[][..], Vec::as_slice);
            let current = current.remove(name.as_str()).unwrap_or_default();
            fits(device, held, &current)
                .unwrap_or_else(|why| panic!("{what}: {name} {why}: {device:?}, {held:?}, {current:?}"));
        }
        assert!(current.is_empty(), "{what}: certificates of nobody: {current:?}");
    }
}

async fn devices(client: &Client) -> Vec<v1::Device> {
    let fetch = async |page_size, page_token| {
        let request = v1::ListDevicesRequest {
            page_size,
            page_token,
            filter: String::new(),
        };
        let page = client.devices.clone().list_devices(request).await?.into_inner();
        Ok((page.devices, page.next_page_token))
    };
    whole(fetch, Ok).await
}

async fn certificates(client: &Client) -> Vec<v1::Certificate> {
    let fetch = async |page_size, page_token| {
        let request = v1::ListCertificatesRequest {
            page_size,
            page_token,
            filter: String::new(),
        };
        let page = client.certificates.clone().list_certificates(request).await?;
        let page = page.into_inner();
        Ok((page.certificates, page.next_page_token))
    };
    whole(fetch, Ok).await
}

/// I5: each entry has its place and its right hash, as `muster audit list` checks.
async fn log(client: &Client) -> Vec<AuditEntry> {
    let fetch = async |page_size, page_token| {
        let request = v1::ListEntriesRequest {
            page_size,
            page_token,
            first_index: 0,
        };
        let page = client.audit.clone().list_entries(request).await?.into_inner();
        Ok((page.entries, page.next_page_token))
    };
    let log = whole(fetch, AuditEntry::verified).await;
    for (expected, entry) in (0..).zip(&log) {
        assert_eq!(entry.index, expected, "the log is not contiguous");
    }
    log
}

/// Every item of a listing.
async fn whole<W, T>(
    fetch: impl AsyncFnMut(i32, String) -> Result<(Vec<W>, String), Status>,
    read: impl Fn(W) -> Result<T, Failure>,
) -> Vec<T> {
    let mut items = Vec::new();
    let each = |item| {
        items.push(read(item)?);
        Ok(())
    };
    pages(None, fetch, each).await.unwrap();
    items
}

/// Is a device what the log says, with the current certificates that it may have?
fn fits(device: &v1::Device, held: &[String], current: &[&str]) -> Result<(), &'static str> {
    match device.state() {
        DeviceState::Registered => {
            if !current.is_empty() || !device.certificate_serial.is_empty() {
                return Err("has a certificate and has not claimed");
            }
            // At most one is intended, by a claim under way.
            if held.len() > 1 {
                return Err("has not claimed and renews");
            }
        }
        DeviceState::Claimed => {
            let successor = device.successor.as_ref();
            let issued = successor.filter(|successor| successor.issued);
            let mut expected = vec![device.certificate_serial.as_str()];
            expected.extend(issued.map(|successor| successor.certificate_serial.as_str()));
            if current != expected {
                return Err("has other current certificates than its own and the next");
            }
            let mut expected = vec![device.certificate_serial.as_str()];
            expected.extend(successor.map(|successor| successor.certificate_serial.as_str()));
            if held != expected {
                return Err("is another by the log");
            }
        }
        _ => return Err("is in a state that nothing led to"),
    }
    Ok(())
}

/// What the log alone tells of certificates.
#[derive(Default)]
struct Story {
    certificates: BTreeMap<String, State>,
    /// What each device has or is about to get, its own first.
    held: BTreeMap<String, Vec<String>>,
}

impl Story {
    fn told_by(log: &[AuditEntry]) -> Self {
        let mut story = Self::default();
        log.iter().for_each(|entry| story.goes_on(entry));
        story
    }

    fn goes_on(&mut self, entry: &AuditEntry) {
        let detail = |name: &str| entry.detail[name].as_str().unwrap_or_default().to_owned();
        match entry.action.as_str() {
            "claim_started" | "renewal_started" => {
                let serial = detail("certificate");
                let before = self.certificates.insert(serial.clone(), State::Intended);
                assert_eq!(before, None, "{entry:?}");
                self.held.entry(entry.subject.clone()).or_default().push(serial);
            }
            "claim_finished" | "renewal_finished" => {
                let before = self.certificates.insert(detail("certificate"), State::Current);
                assert_eq!(before, Some(State::Intended), "{entry:?}");
            }
            "renewal_seen" => {
                let held = self
                    .held
                    .insert(entry.subject.clone(), vec![detail("certificate")]);
                assert_eq!(
                    held,
                    Some(vec![detail("former"), detail("certificate")]),
                    "{entry:?}"
                );
                self.certificates.insert(detail("former"), State::Revoked);
            }
            "certificate_revoked" => {
                let serial = entry.subject.trim_start_matches("certificates/");
                let held = self.held.remove(&detail("holder")).unwrap_or_default();
                // Its own: the next one goes with it.
                assert_eq!(held.first().map(String::as_str), Some(serial), "{entry:?}");
                for serial in held {
                    self.certificates.insert(serial, State::Revoked);
                }
            }
            _ => {}
        }
    }
}
