//! A registry in a few maps.

use super::super::registry::{
    Admitted, AdmittedOperator, Arrival, ClaimAttempt, Needs, Registry, RenewalAttempt,
};
use crate::fault::{Failure, Fault};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal, Timestamp,
    access::Role,
    audit::{Action, Actor, Entry, Event},
    certificate::SpkiDigest,
    device::{Departure, Presence},
    ids::DeviceId,
};
use muster_proto::{
    payload::{Binary, CertificateIssued, ClaimAccepted, Hello, Report, TrustBundle, Trusted},
    topic::Encoding,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// What the registry has heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Hello(DeviceId, Hello),
    Report(DeviceId, Report),
    Trusted(DeviceId, Trusted),
}

/// A claim that a code opens: the code, the device, its certificate.
type Open = (String, DeviceId, Vec<u8>);

#[derive(Debug, Default)]
struct State {
    /// By certificate.
    devices: Mutex<HashMap<Vec<u8>, DeviceId>>,
    /// By certificate.
    operators: Mutex<HashMap<Vec<u8>, AdmittedOperator>>,
    /// Entries of the audit log, and how many they are.
    audit: Mutex<Vec<Entry>>,
    audit_size: watch::Sender<u64>,
    barred: Mutex<HashSet<DeviceId>>,
    heard: Mutex<Vec<Heard>>,
    /// The newest session of each device, and how it ended.
    stays: Mutex<HashMap<DeviceId, (u64, Option<Departure>)>>,
    ended: Notify,
    desired: Mutex<HashMap<DeviceId, Vec<u8>>>,
    secrets: Mutex<HashMap<DeviceId, Vec<u8>>>,
    /// By serial.
    codes: Mutex<HashMap<String, Open>>,
    claims: AtomicUsize,
    /// Devices that acknowledged their desired state.
    received: Mutex<Vec<DeviceId>>,
    sent: AtomicUsize,
    /// Devices whose certificate is good for less than for ever.
    good_for: Mutex<HashMap<DeviceId, Duration>>,
    /// What there is to trust.
    trust: Mutex<Option<TrustBundle>>,
    /// Devices that should renew.
    due: Mutex<HashSet<DeviceId>>,
    /// Answers every question with a fault.
    broken: AtomicBool,
    /// Devices that are shut out right after they were let in.
    raced: Mutex<HashSet<DeviceId>>,
    /// While this is set, reports are recorded only after a word.
    slow: Mutex<Option<Arc<Notify>>>,
    begun: Notify,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Fake(Arc<State>);

impl Fake {
    pub(super) fn enroll(&self, leaf: &[u8], device: DeviceId) {
        self.0.devices.lock().unwrap().insert(leaf.to_vec(), device);
    }

    pub(super) fn bar(&self, device: DeviceId) {
        self.0.barred.lock().unwrap().insert(device);
    }

    /// Who acknowledged a desired state.
    pub(super) fn received_by(&self) -> Vec<DeviceId> {
        self.0.received.lock().unwrap().clone()
    }

    pub(super) fn issue_code(&self, serial: &str, code: &str, device: DeviceId, leaf: &[u8]) {
        self.0
            .codes
            .lock()
            .unwrap()
            .insert(serial.into(), (code.into(), device, leaf.to_vec()));
    }

    /// Makes hello answer that there is something to send.
    pub(super) fn desire(&self, device: DeviceId, content: &str) {
        self.0.desired.lock().unwrap().insert(device, content.into());
    }

    /// Gives its desired state secrets.
    pub(super) fn seal(&self, device: DeviceId, secrets: &str) {
        self.0.secrets.lock().unwrap().insert(device, secrets.into());
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.0.heard.lock().unwrap().clone()
    }

    /// Is the device online?
    pub(super) fn is_online(&self, device: DeviceId) -> bool {
        matches!(self.0.stays.lock().unwrap().get(&device), Some((_, None)))
    }

    /// Sessions that were noted, of all devices.
    pub(super) fn arrivals(&self) -> u64 {
        let stays = self.0.stays.lock().unwrap();
        stays.values().map(|(number, _)| number).sum()
    }

    /// Waits until the device is away; how it went.
    pub(super) async fn departure(&self, device: DeviceId) -> Departure {
        loop {
            let ended = self.0.ended.notified();
            if let Some((_, Some(departure))) = self.0.stays.lock().unwrap().get(&device) {
                return *departure;
            }
            ended.await;
        }
    }

    /// Claims that were decided here.
    pub(super) fn claims(&self) -> usize {
        self.0.claims.load(Ordering::SeqCst)
    }

    /// Desired states that were asked for.
    pub(super) fn sent(&self) -> usize {
        self.0.sent.load(Ordering::SeqCst)
    }

    /// Reports take until a word from now on.
    pub(super) fn slow(&self) -> Arc<Notify> {
        Arc::clone(self.0.slow.lock().unwrap().insert(Arc::default()))
    }

    /// Waits until a slow report has begun.
    pub(super) async fn begun(&self) {
        self.0.begun.notified().await;
    }

    /// The device's certificate is good for so long from its next admission on.
    pub(super) fn end_in(&self, device: DeviceId, good_for: Duration) {
        self.0.good_for.lock().unwrap().insert(device, good_for);
    }

    /// The device should renew.
    pub(super) fn want_renewal(&self, device: DeviceId) {
        self.0.due.lock().unwrap().insert(device);
    }

    /// Devices are to trust otherwise.
    pub(super) fn trust(&self, bundle: TrustBundle) {
        *self.0.trust.lock().unwrap() = Some(bundle);
    }

    /// From now on everything fails.
    pub(super) fn break_down(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// Shuts the device out as soon as it was let in once.
    pub(super) fn bar_after_admission(&self, device: DeviceId) {
        self.0.raced.lock().unwrap().insert(device);
    }

    /// Whose key this is, as far as this registry knows keys.
    pub(super) fn key(leaf: &[u8]) -> SpkiDigest {
        SpkiDigest(Sha256::digest(leaf).into())
    }

    pub(super) fn employ(&self, leaf: &[u8], name: &str, role: Role) {
        let operator = AdmittedOperator {
            name: name.parse().unwrap(),
            role,
            key: Self::key(leaf),
            good_for: Duration::MAX,
        };
        self.0.operators.lock().unwrap().insert(leaf.into(), operator);
    }

    /// The operator with this certificate is no longer one.
    pub(super) fn dismiss(&self, leaf: &[u8]) {
        self.0.operators.lock().unwrap().remove(leaf);
    }

    /// The operator's certificate ends soon.
    pub(super) fn operator_ends_in(&self, leaf: &[u8], good_for: Duration) {
        let mut operators = self.0.operators.lock().unwrap();
        operators.get_mut(leaf).unwrap().good_for = good_for;
    }

    /// Something happened.
    pub(super) fn happens(&self, action: Action, subject: &str) -> Entry {
        let mut audit = self.0.audit.lock().unwrap();
        let size = u64::try_from(audit.len()).unwrap();
        let at = Timestamp::from_seconds(1);
        let entry = Event::new(at, Actor::System, action, subject).entry(size);
        audit.push(entry.clone());
        self.0.audit_size.send_replace(size + 1);
        entry
    }

    fn works(&self) -> Result<(), Failure> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(Fault::log("ask the registry", &std::io::Error::other("broken on purpose")).into());
        }
        Ok(())
    }

    fn check(&self, device: DeviceId) -> Result<(), Failure> {
        self.works()?;
        if self.0.barred.lock().unwrap().contains(&device) {
            return Err(Refusal::new(Code::DeviceBarred, "the device is suspended").into());
        }
        Ok(())
    }
}

impl Registry for Fake {
    async fn admit(&self, leaf: &[u8], _: IpAddr) -> Result<Admitted, Failure> {
        let unknown = || Refusal::new(Code::DeviceBarred, "the certificate is not current");
        let device = self
            .0
            .devices
            .lock()
            .unwrap()
            .get(leaf)
            .copied()
            .ok_or_else(unknown)?;
        let good_for = self.0.good_for.lock().unwrap().get(&device).copied();
        let admitted = self.check(device).map(|()| Admitted {
            device,
            good_for: good_for.unwrap_or(Duration::MAX),
            issuer: None,
        });
        if self.0.raced.lock().unwrap().remove(&device) {
            self.bar(device);
        }
        admitted
    }

    async fn admit_operator(&self, leaf: &[u8]) -> Result<AdmittedOperator, Failure> {
        self.works()?;
        let unknown = || {
            Refusal::new(
                Code::OperatorDisabled,
                "the certificate belongs to no enabled operator",
            )
        };
        let known = self.0.operators.lock().unwrap().get(leaf).cloned();
        Ok(known.ok_or_else(unknown)?)
    }

    fn audit_size(&self) -> watch::Receiver<u64> {
        self.0.audit_size.subscribe()
    }

    async fn audit(&self, first: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
        self.works()?;
        let audit = self.0.audit.lock().unwrap();
        let first = usize::try_from(first).unwrap();
        Ok(audit.iter().skip(first).take(limit).cloned().collect())
    }

    fn arrived(&self, device: DeviceId, source: IpAddr) -> Arrival {
        let mut stays = self.0.stays.lock().unwrap();
        let session = stays.get(&device).map_or(1, |(number, _)| number + 1);
        stays.insert(device, (session, None));
        let presence = Presence::online(Timestamp::from_seconds(session), source);
        Arrival { session, presence }
    }

    fn departed(&self, device: DeviceId, session: u64, departure: Departure) -> Option<Presence> {
        let mut stays = self.0.stays.lock().unwrap();
        let (number, end) = stays.get_mut(&device).unwrap();
        if *number != session {
            return None;
        }
        assert_eq!(end.replace(departure), None, "a session ends once");
        self.0.ended.notify_waiters();
        let came = Presence::online(Timestamp::from_seconds(session), [127, 0, 0, 1].into());
        Some(came.departed(Timestamp::from_seconds(session + 1), departure))
    }

    fn received(&self, device: DeviceId) {
        self.0.received.lock().unwrap().push(device);
    }

    async fn claim(&self, attempt: ClaimAttempt) -> Result<ClaimAccepted, Failure> {
        self.works()?;
        self.0.claims.fetch_add(1, Ordering::SeqCst);
        let codes = self.0.codes.lock().unwrap();
        match codes.get(&attempt.serial) {
            Some((code, device, leaf)) if **code == **attempt.code => Ok(ClaimAccepted {
                device_id: device.to_string(),
                chain: vec![Binary(leaf.clone())],
                roots: Vec::new(),
            }),
            _ => Err(Refusal::new(Code::ClaimRefused, "serial and code do not open a claim").into()),
        }
    }

    async fn renew(&self, attempt: RenewalAttempt) -> Result<CertificateIssued, Failure> {
        self.check(attempt.device)?;
        if attempt.csr.is_empty() {
            return Err(Refusal::new(Code::CsrMalformed, "is empty").into());
        }
        Ok(CertificateIssued {
            chain: vec![Binary(attempt.csr)],
        })
    }

    async fn hello(&self, device: DeviceId, hello: Hello) -> Result<Needs, Failure> {
        self.check(device)?;
        self.0.heard.lock().unwrap().push(Heard::Hello(device, hello));
        let desired = self.0.desired.lock().unwrap().contains_key(&device);
        let renewal = self.0.due.lock().unwrap().contains(&device);
        let sealed = self.0.secrets.lock().unwrap().contains_key(&device);
        Ok(Needs {
            desired,
            sealed,
            renewal,
        })
    }

    async fn report(&self, device: DeviceId, report: Report) -> Result<(), Failure> {
        self.check(device)?;
        let slow = self.0.slow.lock().unwrap().clone();
        if let Some(slow) = slow {
            self.0.begun.notify_one();
            slow.notified().await;
        }
        if report.generation == 666 {
            return Err(Refusal::new(Code::GenerationUnknown, "generation 666 was never issued").into());
        }
        self.0.heard.lock().unwrap().push(Heard::Report(device, report));
        Ok(())
    }

    async fn trusted(&self, device: DeviceId, trusted: Trusted) -> Result<Option<TrustBundle>, Failure> {
        self.check(device)?;
        self.0.heard.lock().unwrap().push(Heard::Trusted(device, trusted));
        let bundle = self.0.trust.lock().unwrap().clone();
        Ok(bundle.filter(|bundle| bundle.versions.iter().any(|one| one.version > trusted.version)))
    }

    async fn trust(&self, device: DeviceId) -> Result<Option<TrustBundle>, Failure> {
        self.check(device)?;
        Ok(self.0.trust.lock().unwrap().clone())
    }

    async fn sealed(&self, device: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        self.check(device)?;
        let secrets = self.0.secrets.lock().unwrap().get(&device).cloned();
        Ok(secrets.map(|secrets| [format!("{encoding:?}:").into_bytes(), secrets].concat().into()))
    }

    async fn desired(&self, device: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        self.check(device)?;
        self.0.sent.fetch_add(1, Ordering::SeqCst);
        let content = self.0.desired.lock().unwrap().get(&device).cloned();
        Ok(content.map(|content| [format!("{encoding:?}:").into_bytes(), content].concat().into()))
    }
}
