//! Tests of the authority as a whole. One authority serves them all: making one costs a dozen key derivations.

mod ceremony;
mod crash;
mod former;
mod handover;
mod hostile;
mod init;
mod issue;
mod lint;
mod lists;
mod names;
mod profiles;
mod rate;
mod request;
mod secrets;

use super::*;
use muster_domain::{
    Timestamp,
    activation::ActivationCode,
    certificate::{AuthorityId, CertificateProfile},
    claim::{self, ClaimPermit, Decision, Presented},
    desired::Target,
    device::{ClaimIntent, ClaimWindow, Credential, Device, Lifecycle, Origin, Verification},
    ids::{BatchId, DeviceId},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};
use tempfile::TempDir;

/// 2026-11-24T00:00:00Z.
const NOW: Timestamp = Timestamp::from_seconds(1_795_478_400);
const PASSPHRASE: &[u8] = b"correct horse battery staple";

struct Fixture {
    directory: TempDir,
    made: Initialised,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let made = initialise(directory.path(), options(&passphrase())).unwrap();
    Fixture { directory, made }
});

fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE).unwrap()
}

fn options(passphrase: &Passphrase) -> InitOptions<'_> {
    InitOptions {
        organisation: "Example GmbH".to_owned(),
        passphrase,
        now: NOW,
        operator: "alice@example.com".parse().unwrap(),
    }
}

/// A new authority, with its root key in `offline` of the same directory.
fn initialise(directory: &Path, options: InitOptions<'_>) -> Result<Initialised, CaError> {
    let offline = directory.join("offline");
    make_directory(&offline)?;
    init(directory, &offline, options)
}

/// Removes some weeks after the fixture was made.
fn remove(
    server: &Path,
    name: &str,
    valid: impl FnOnce(AuthorityKind, AuthorityId) -> Result<u64, CaError>,
) -> Result<Removed, CaError> {
    let now = NOW.plus(std::time::Duration::from_secs(21 * 24 * 3600));
    super::remove(server, name, now, valid)
}

/// Where a directory with one generation of each has what programs before called `devices.pem`, `keys/devices.key`, and so on.
fn place(directory: &Path, name: &str) -> PathBuf {
    let authority = directory.join("ca");
    let only = |kind: &str| {
        let mut all = std::fs::read_dir(authority.join(kind)).unwrap();
        all.next().unwrap().unwrap().path()
    };
    match name {
        "keys/codes.key" | "keys/secrets.key" => authority.join(name),
        "root.pem" => only("roots").join("certificate.pem"),
        name => match name.strip_prefix("keys/") {
            Some(key) => only(key.strip_suffix(".key").unwrap()).join("private.key"),
            None => only(name.strip_suffix(".pem").unwrap()).join("certificate.pem"),
        },
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

fn copy_of(from: &Path) -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    for path in files_below(from) {
        let to = copied.path().join(path.strip_prefix(from).unwrap());
        if path.is_file() {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&path, &to).unwrap();
        }
    }
    copied
}

fn copy_of_the_fixture() -> TempDir {
    copy_of(FIXTURE.directory.path())
}

fn server_names() -> ServerNames {
    ServerNames::parse(&["localhost", "muster.example", "127.0.0.1", "::1"]).unwrap()
}

fn ca() -> &'static Ca {
    &FIXTURE.made.ca
}

/// A registered device that waits for its claim.
fn device(number: u32) -> Device {
    let hash = ActivationCode::from_random([7; 15]).hash(ca().code_key());
    Device {
        id: DeviceId::new(NOW, number.into()),
        serial: format!("GW2-{number:07}").parse().unwrap(),
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
            batch: BatchId::new(NOW, 1),
            row: number,
        },
        created: NOW,
        updated: NOW,
        revision: 1,
        lifecycle: Lifecycle::Registered {
            credential: Credential::Code {
                hash,
                window: ClaimWindow::ALWAYS,
                bound: None,
                intent: None,
            },
        },
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

/// What the store would hand out for a right claim at `now`.
fn permit(device: &Device, request: &CertificationRequest, now: Timestamp) -> ClaimPermit {
    let code = ActivationCode::from_random([7; 15]).hash(ca().code_key());
    let (not_before, not_after) = ca().validity(CertificateProfile::Device, now);
    let spki = request.digest();
    let fresh = intent(ca(), request, not_before, not_after, NOW);
    match claim::decide(device, &Presented { code, spki }, fresh, now) {
        Decision::Issue(permit) => permit,
        other => panic!("{other:?}"),
    }
}

/// What is recorded of a certificate before `ca` signs it.
fn intent(
    ca: &Ca,
    request: &CertificationRequest,
    not_before: Timestamp,
    not_after: Timestamp,
    now: Timestamp,
) -> ClaimIntent {
    ClaimIntent {
        spki: request.digest(),
        certificate: ca.fresh_serial(now).unwrap(),
        profile: CertificateProfile::Device,
        issuer: Some(ca.issuer(CertificateProfile::Device, now)),
        not_before,
        not_after,
        source: None,
    }
}

/// The permit of a repeated claim, whose first answer was lost after this intent was recorded.
fn recorded(device: &Device, first: ClaimIntent, request: &CertificationRequest) -> ClaimPermit {
    let mut claimed = device.clone();
    let Lifecycle::Registered {
        credential: Credential::Code { intent, .. } | Credential::Pinned { intent, .. },
    } = &mut claimed.lifecycle
    else {
        panic!("{claimed:?}")
    };
    *intent = Some(first);
    permit(&claimed, request, NOW)
}

/// Runs the independent judge of these tests; gives back success and all output.
fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("these tests need the openssl command: install the package `openssl`");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A small generator (splitmix64), so that a seed gives the same test everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}
