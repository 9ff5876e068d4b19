//! Directories of programs before this layout: one certificate of each kind, no checkpoint key, the root's in one place.

use super::*;
use std::fs;

const FORMER: [&str; 10] = [
    "root.pem",
    "devices.pem",
    "operators.pem",
    "servers.pem",
    "config.pem",
    "keys/devices.key",
    "keys/operators.key",
    "keys/servers.key",
    "keys/config.key",
    "keys/codes.key",
];

/// The fixture as a program before would have made it.
pub(super) fn former() -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    fs::create_dir_all(copied.path().join("ca/keys")).unwrap();
    fs::create_dir(copied.path().join("offline")).unwrap();
    for name in FORMER {
        let to = copied.path().join("ca").join(name);
        fs::copy(place(FIXTURE.directory.path(), name), to).unwrap();
    }
    for name in ["root.key", "README.txt"] {
        let name = Path::new("offline").join(name);
        fs::copy(FIXTURE.directory.path().join(&name), copied.path().join(&name)).unwrap();
    }
    copied
}

#[test]
fn a_former_directory_opens_and_is_the_same_authority() {
    let directory = former();
    let opened = Ca::open(directory.path(), &passphrase()).unwrap();
    assert_eq!(opened.roots(), ca().roots());
    assert_eq!(opened.device_anchors(), ca().device_anchors());
    assert_eq!(opened.operator_anchors(), ca().operator_anchors());
    let sealed = opened.seal_desired(vec![1], NOW).unwrap();
    assert_eq!(
        sealed.certificate,
        ca().seal_desired(vec![1], NOW).unwrap().certificate
    );
    let error = opened.sign_checkpoint(&[1], NOW).unwrap_err().to_string();
    assert!(error.contains("musterd authority rotate checkpoint"), "{error}");
    let kinds: Vec<_> = list(directory.path(), NOW)
        .unwrap()
        .iter()
        .map(|one| one.kind)
        .collect();
    assert_eq!(kinds, ["root", "devices", "operators", "servers", "config"]);
}

#[test]
fn its_parts_are_checked_as_ever() {
    let other = tempfile::tempdir().unwrap();
    initialise(other.path(), options(&passphrase())).unwrap();
    let check = |spoil: &dyn Fn(&Path), expected: &str| {
        let directory = former();
        spoil(&directory.path().join("ca"));
        let error = Ca::open(directory.path(), &passphrase()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    for name in FORMER {
        let gone = |ca: &Path| fs::remove_file(ca.join(name)).unwrap();
        check(&gone, "does not exist");
    }
    let foreign = |ca: &Path| {
        fs::copy(place(other.path(), "devices.pem"), ca.join("devices.pem")).unwrap();
    };
    check(&foreign, "is not signed by the root");
    let swapped = |ca: &Path| {
        for (one, two) in [
            ("devices.pem", "operators.pem"),
            ("keys/devices.key", "keys/operators.key"),
        ] {
            let [one, two, aside] = [one, two, "aside"].map(|name| ca.join(name));
            fs::rename(&one, &aside).unwrap();
            fs::rename(&two, &one).unwrap();
            fs::rename(&aside, &two).unwrap();
        }
    };
    check(&swapped, "is another certificate of this authority");
    let key = |ca: &Path| {
        fs::copy(ca.join("keys/config.key"), ca.join("keys/devices.key")).unwrap();
    };
    check(&key, "is not the certificate of its key");
}

#[test]
fn it_is_told_where_its_root_key_lies_and_what_the_ceremony_needs() {
    let directory = former();
    let server = directory.path();
    let warned = warnings(server, NOW).unwrap();
    assert!(
        warned.len() == 1 && warned[0].contains(text(&server.join("offline/root.key"))),
        "{warned:?}"
    );
    let offline = server.join("offline");
    let error = Offline::open(&offline, &passphrase()).unwrap_err().to_string();
    assert!(error.contains("copy ca/root.pem"), "{error}");
    fs::copy(server.join("ca/root.pem"), offline.join("root.pem")).unwrap();
    // A checkpoint key is made by the same steps as every other.
    let offline = Offline::open(&offline, &passphrase()).unwrap();
    let wanted = request(server, AuthorityKind::Checkpoint, &passphrase()).unwrap();
    let signed = offline.sign(&wanted, AuthorityKind::Checkpoint, NOW).unwrap();
    install(server, &signed, &passphrase(), NOW).unwrap();
    let opened = Ca::open(server, &passphrase()).unwrap();
    opened.sign_checkpoint(&[1], NOW).unwrap();
    // And the first ceremony has put the rest into today's layout.
    for name in &FORMER[..9] {
        assert!(!server.join("ca").join(name).exists(), "{name}");
    }
    assert_eq!(opened.device_anchors(), ca().device_anchors());
}
