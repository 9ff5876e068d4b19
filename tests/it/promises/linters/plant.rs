//! A certificate authority in this process, and what it issues.

use super::{forge::Key, judges::Judged};
use muster_domain::{
    Timestamp,
    certificate::{
        AuthorityId, CertificateHolder, CertificateProfile, CertificateRecord, CertificateState,
        RevocationReason,
    },
    claim,
    desired::Target,
    device::{ClaimIntent, Device, Identity, Lifecycle, Origin, Verification},
    ids::{BatchId, DeviceId},
};
use muster_server::{
    ca::{
        self, Ca, CertificationRequest, Defect, InitOptions, Issuance, ListOrder, Passphrase, ProfileChanges,
        Revoked, ServerNames, certificate_serial, certificate_validity, spki_digest,
    },
    clock::Clock,
};

use std::{path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse battery staple";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Keys that take turns.
const KEYS: usize = 64;

/// An authority that names its lists, or does not.
pub(super) struct Plant {
    pub(super) ca: Ca,
    pub(super) now: Timestamp,
    directory: TempDir,
    requests: Vec<CertificationRequest>,
}

/// A certificate and what is recorded of it.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) der: Vec<u8>,
    pub(super) record: CertificateRecord,
}

/// The serial of every device here.
const SERIAL: &str = "GW2-7000001";

fn device(id: DeviceId, now: Timestamp, identity: Identity) -> Device {
    Device {
        id,
        serial: SERIAL.parse().unwrap(),
        mac: None,
        model: "GW-200".parse().unwrap(),
        hardware: None,
        factory_firmware: None,
        site: None,
        position: None,
        labels: Default::default(),
        variables: Default::default(),
        kept: Default::default(),
        origin: Origin {
            batch: BatchId::new(now, 1),
            row: 2,
        },
        created: now,
        updated: now,
        revision: 1,
        lifecycle: Lifecycle::Claimed { identity },
        target: Target {
            generation: 1,
            digest: [0; 32],
            profile: None,
            firmware_policy: None,
        },
        reported: None,
        verification: Verification::Pending,
        alarm: None,
        renew_from: None,
        trust: 0,
        groups: std::collections::BTreeSet::new(),
        presence: None,
    }
}

impl Plant {
    pub(super) fn new(crl_url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new(PASSPHRASE.as_bytes()).unwrap();
        let now = Timestamp::from_seconds(Clock::System.now().seconds());
        let options = InitOptions {
            organisation: "Example GmbH".to_owned(),
            passphrase: &passphrase,
            now,
            operator: "alice@example.com".parse().unwrap(),
        };
        let [registry, offline] = ["registry", "offline"].map(|name| directory.path().join(name));
        for made in [&registry, &offline] {
            std::fs::create_dir(made).unwrap();
        }
        let issuance = Issuance::parse(|_| ProfileChanges::default(), crl_url).unwrap();
        let request = || CertificationRequest::parse(&muster_tests::Key::new().csr()).unwrap();
        Self {
            ca: ca::init(&registry, &offline, options)
                .unwrap()
                .ca
                .issuing(issuance),
            now,
            directory,
            requests: (0..KEYS).map(|_| request()).collect(),
        }
    }

    /// The authority that signs certificates of this profile.
    pub(super) fn issuer(&self, profile: CertificateProfile) -> AuthorityId {
        self.ca.issuer(profile, self.now)
    }

    /// So many certificates of this profile, through the doors that the service uses.
    pub(super) fn issue(&self, profile: CertificateProfile, count: usize) -> Vec<Issued> {
        let requests = self.requests.iter().cycle();
        (0..count)
            .zip(requests)
            .map(|(at, request)| self.one(profile, at, request))
            .collect()
    }

    fn one(&self, profile: CertificateProfile, at: usize, request: &CertificationRequest) -> Issued {
        let (ca, now) = (&self.ca, self.now);
        let operator = ["carol", "carol.r", "line-7.plant.example", "sensor@example.com"][at % 4];
        let id = DeviceId::new(now, u128::try_from(at).unwrap());
        let (der, holder) = match profile {
            CertificateProfile::Device | CertificateProfile::Gateway => {
                let intent = self.intent(profile, request);
                let identity = Identity {
                    certificate: intent.certificate,
                    spki: intent.spki,
                    not_after: intent.not_after,
                    spent: None,
                    successor: None,
                    source: None,
                };
                let device = device(id, now, identity);
                let permit = claim::enroll(&device, intent).unwrap();
                let der = if at.is_multiple_of(2) {
                    ca.issue_device(permit, &device, request)
                } else {
                    ca.issue_device_in_bulk(permit, &device, request)
                };
                (der.unwrap(), CertificateHolder::Device(id))
            }
            CertificateProfile::Operator | CertificateProfile::Line | CertificateProfile::Integrator => {
                let (name, serial) = (operator.parse().unwrap(), ca.fresh_serial(now).unwrap());
                let der = ca.issue_operator(profile, &name, request, now, serial).unwrap();
                (der, CertificateHolder::Operator(name))
            }
            CertificateProfile::Server => {
                let names = ["muster.example", "10.0.0.1", "fd00::1", "a-b.c3.muster.example"];
                let names = ServerNames::parse(&names[..=at % names.len()]).unwrap();
                let made = ca.server_certificate(&names, now).unwrap();
                (
                    made.chain[0].to_vec(),
                    CertificateHolder::Operator("server".parse().unwrap()),
                )
            }
        };
        let (not_before, not_after) = certificate_validity(&der).unwrap();
        let serial = certificate_serial(&der).unwrap();
        let record = CertificateRecord {
            serial: muster_domain::certificate::CertificateSerial::from_bytes(&serial).unwrap(),
            holder,
            profile,
            issuer: Some(ca.issuer(profile, now)),
            spki: spki_digest(&der).unwrap(),
            not_before,
            not_after,
            state: CertificateState::Current,
            der: der.clone(),
        };
        Issued { der, record }
    }

    fn intent(&self, profile: CertificateProfile, request: &CertificationRequest) -> ClaimIntent {
        let (not_before, not_after) = self.ca.validity(profile, self.now);
        ClaimIntent {
            spki: request.digest(),
            certificate: self.ca.fresh_serial(self.now).unwrap(),
            profile,
            issuer: Some(self.issuer(profile)),
            not_before,
            not_after,
            source: None,
        }
    }

    /// What our own lint says of a certificate that should be that of this record.
    pub(super) fn inspect(&self, record: &CertificateRecord, der: &[u8]) -> Result<(), Defect> {
        let serial = SERIAL.parse().unwrap();
        let record = CertificateRecord {
            der: der.to_vec(),
            ..record.clone()
        };
        self.ca.inspect(&record, record.holder.device().map(|_| &serial))
    }

    /// The list of a shard, with those of these certificates on it that belong there.
    pub(super) fn list(&self, authority: AuthorityId, shard: u8, revoked: &[Issued]) -> Vec<u8> {
        let mine = |one: &&Issued| one.record.issuer == Some(authority) && one.record.serial.shard() == shard;
        let entry = |(reason, one): (&RevocationReason, &Issued)| Revoked {
            serial: one.record.serial,
            at: self.now,
            reason: *reason,
        };
        let reasons = RevocationReason::ALL.iter().cycle();
        let order = ListOrder {
            shard,
            number: 7,
            this_update: self.now.minus(Duration::from_secs(60)),
            next_update: self.now.plus(7 * DAY),
            entries: reasons.zip(revoked.iter().filter(mine)).map(entry).collect(),
        };
        self.ca.revocation_list(authority, order).unwrap()
    }

    /// The root and the issuing authorities, DER.
    pub(super) fn authorities(&self) -> Vec<Vec<u8>> {
        let issuing = self.ca.issuers().into_iter();
        let issuing = issuing.map(|id| self.ca.issuer_certificate(id).unwrap());
        self.ca.roots().into_iter().chain(issuing).collect()
    }

    /// A leaf under the authority of this profile, for what that is for.
    pub(super) fn judged(&self, profile: CertificateProfile, leaf: Vec<u8>) -> Judged {
        Judged {
            root: self.ca.roots().remove(0),
            between: vec![self.ca.issuer_certificate(self.issuer(profile)).unwrap()],
            leaf,
            is_server: profile == CertificateProfile::Server,
            lists: Vec::new(),
        }
    }

    /// The private key of the authority of this profile: opened as a thief with its passphrase would, with OpenSSL.
    pub(super) fn stolen(&self, profile: CertificateProfile) -> Key {
        self.stolen_from(&self.ca.issuer_certificate(self.issuer(profile)).unwrap())
    }

    /// The private key of this certificate.
    pub(super) fn stolen_from(&self, certificate: &[u8]) -> Key {
        let mut keys = Vec::new();
        keys_below(self.directory.path(), &mut keys);
        keys.into_iter()
            .filter_map(|pem| Key::from_pem(&pem))
            .find(|key| certificate.windows(65).any(|bytes| bytes == key.point()))
            .expect("the key of the authority")
    }
}

/// All sealed keys below a directory that the passphrase opens, PEM.
fn keys_below(directory: &Path, keys: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            keys_below(&path, keys);
        } else if path.extension().is_some_and(|kind| kind == "key") {
            let mut opened = Command::new("openssl");
            opened
                .arg("pkcs8")
                .arg("-in")
                .arg(&path)
                .args(["-passin", &format!("pass:{PASSPHRASE}")]);
            let output = opened.output().expect("openssl");
            keys.push(String::from_utf8_lossy(&output.stdout).into_owned());
        }
    }
}
