//! Making and opening an authority: what lies on the disk, what a crash leaves, what a wrong passphrase does.

use super::*;
use pkcs8::{LineEnding, SecretDocument};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

fn copy_of_the_fixture() -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    let from = FIXTURE.directory.path();
    for path in files_below(from) {
        let to = copied.path().join(path.strip_prefix(from).unwrap());
        if path.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&path, &to).unwrap();
        }
    }
    copied
}

#[test]
fn only_the_owner_may_look_and_all_is_there() {
    let root = FIXTURE.directory.path();
    let mut names = BTreeSet::new();
    for path in files_below(root) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
        names.insert(text(path.strip_prefix(root).unwrap()).to_owned());
    }
    let expected = [
        "ca",
        "ca/config.pem",
        "ca/devices.pem",
        "ca/keys",
        "ca/keys/codes.key",
        "ca/keys/config.key",
        "ca/keys/devices.key",
        "ca/keys/operators.key",
        "ca/keys/servers.key",
        "ca/operators.pem",
        "ca/root.pem",
        "ca/servers.pem",
        "offline",
        "offline/README.txt",
        "offline/root.key",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert_eq!(FIXTURE.made.root_key, root.join("offline/root.key"));
}

#[test]
fn openssl_opens_the_keys_with_the_passphrase_only() {
    let directory = tempfile::tempdir().unwrap();
    let secret = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        format!("file:{}", text(&path))
    };
    let (right, wrong) = (
        secret("right", PASSPHRASE),
        secret("wrong", b"another passphrase"),
    );
    let root = FIXTURE.directory.path();
    for (key, certificate) in [
        ("ca/keys/devices.key", "ca/devices.pem"),
        ("ca/keys/operators.key", "ca/operators.pem"),
        ("ca/keys/servers.key", "ca/servers.pem"),
        ("ca/keys/config.key", "ca/config.pem"),
        ("offline/root.key", "ca/root.pem"),
    ] {
        let (key, certificate) = (root.join(key), root.join(certificate));
        let (opened, public) = openssl(&["pkey", "-in", text(&key), "-passin", &right, "-pubout"]);
        assert!(opened, "{public}");
        let (read, expected) = openssl(&["x509", "-in", text(&certificate), "-noout", "-pubkey"]);
        assert!(
            read && public == expected,
            "{key:?} is the key of {certificate:?}"
        );
        let (decrypted, pem) = openssl(&["pkcs8", "-in", text(&key), "-passin", &right]);
        assert!(
            decrypted && pem.starts_with("-----BEGIN PRIVATE KEY-----"),
            "{pem}"
        );
        assert!(!openssl(&["pkcs8", "-in", text(&key), "-passin", &wrong]).0);
    }
    let (read, structure) = openssl(&["asn1parse", "-in", text(&root.join("ca/keys/codes.key"))]);
    assert!(read, "{structure}");
    for part in ["PBES2", ":scrypt", "aes-256-cbc"] {
        assert!(structure.contains(part), "{part} in {structure}");
    }
}

#[test]
fn no_key_lies_open() {
    let operator = FIXTURE.made.operator.key_pem.lines().nth(1).unwrap().to_owned();
    for path in files_below(FIXTURE.directory.path())
        .iter()
        .filter(|path| path.is_file())
    {
        let content = fs::read_to_string(path).unwrap();
        assert!(
            !content.contains("BEGIN PRIVATE KEY") && !content.contains("BEGIN EC PRIVATE KEY"),
            "{path:?}"
        );
        assert!(!content.contains(&operator), "{path:?}");
    }
}

#[test]
fn opened_again_it_is_the_same_authority() {
    let opened = Ca::open(FIXTURE.directory.path(), &passphrase()).unwrap();
    let code = ActivationCode::from_random([3; 15]);
    assert!(code.hash(opened.code_key()) == code.hash(ca().code_key()));
    assert_eq!(opened.roots(), ca().roots());
    assert_eq!(opened.device_chain(), ca().device_chain());
    assert_eq!(opened.authorities(), ca().authorities());
    let shown = format!("{opened:?}");
    assert!(
        shown.contains("CodeKey(..)") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}

#[test]
fn a_wrong_passphrase_is_named_as_such() {
    // A wrong key passes the padding of CBC once in 256 times: several, so that this shows now and then.
    for attempt in 0..8 {
        let wrong = Passphrase::new(format!("wrong passphrase {attempt}").as_bytes()).unwrap();
        let opened = Ca::open(FIXTURE.directory.path(), &wrong);
        assert!(matches!(opened, Err(CaError::Passphrase(_))), "{opened:?}");
    }
}

#[test]
fn one_directory_has_one_authority() {
    let made = init(FIXTURE.directory.path(), options(&passphrase()));
    assert!(matches!(made, Err(CaError::Exists(_))), "{made:?}");
    // The authority was moved away, its root key was not.
    let copied = copy_of_the_fixture();
    fs::remove_dir_all(copied.path().join("ca")).unwrap();
    let made = init(copied.path(), options(&passphrase()));
    assert!(matches!(made, Err(CaError::OfflineExists(_))), "{made:?}");
    assert!(copied.path().join("offline/root.key").exists());
}

#[test]
fn what_a_crash_left_is_cleared_away() {
    let check = |leave: fn(&Path)| {
        let copied = copy_of_the_fixture();
        let root = copied.path();
        fs::create_dir(root.join(".ca-init")).unwrap();
        leave(root);
        assert!(matches!(Ca::open(root, &passphrase()), Err(CaError::Missing(_))));
        init(root, options(&passphrase())).unwrap();
        assert_ne!(
            Ca::open(root, &passphrase()).unwrap().roots(),
            ca().roots(),
            "a fresh one"
        );
        assert!(!root.join(".ca-init").exists());
    };
    // Before any rename.
    check(|root| {
        fs::rename(root.join("ca"), root.join(".ca-init/ca")).unwrap();
        fs::rename(root.join("offline"), root.join(".ca-init/offline")).unwrap();
    });
    // In the middle of a file.
    check(|root| {
        fs::remove_dir_all(root.join("offline")).unwrap();
        fs::remove_dir_all(root.join("ca")).unwrap();
        fs::create_dir(root.join(".ca-init/ca")).unwrap();
        fs::write(root.join(".ca-init/ca/root.new"), "-----BEGIN").unwrap();
    });
    // Between the renames.
    check(|root| fs::rename(root.join("ca"), root.join(".ca-init/ca")).unwrap());
}

#[test]
fn a_missing_or_foreign_part_is_noticed() {
    let other = tempfile::tempdir().unwrap();
    init(other.path(), options(&passphrase())).unwrap();
    let check = |name: &str, spoil: &dyn Fn(&Path), expected: &str| {
        let copied = copy_of_the_fixture();
        spoil(&copied.path().join("ca").join(name));
        let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains(name),
            "{name}: {error}"
        );
    };
    let names = [
        "root.pem",
        "devices.pem",
        "operators.pem",
        "servers.pem",
        "config.pem",
    ];
    let keys = [
        "keys/devices.key",
        "keys/operators.key",
        "keys/servers.key",
        "keys/config.key",
        "keys/codes.key",
    ];
    for name in names.into_iter().chain(keys) {
        check(name, &|path| fs::remove_file(path).unwrap(), "does not exist");
    }
    for name in names {
        check(
            name,
            &|path| fs::write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap(),
            "is not a certificate",
        );
    }
    for name in keys {
        check(
            name,
            &|path| fs::write(path, "no key").unwrap(),
            "is not a sealed private key",
        );
    }
    for name in &names[1..] {
        check(
            name,
            &|path| copy(&other.path().join("ca").join(name), path),
            "is not signed by the root",
        );
    }
    for (key, certificate) in [
        ("devices", "devices.pem"),
        ("operators", "operators.pem"),
        ("config", "config.pem"),
    ] {
        let foreign = other.path().join(format!("ca/keys/{key}.key"));
        let spoil = |path: &Path| copy(&foreign, &path.with_file_name(format!("keys/{key}.key")));
        check(certificate, &spoil, "is not the certificate of its key");
    }
    // Two that changed places, with their keys.
    let swap = |path: &Path| {
        for (one, other) in [
            ("devices.pem", "operators.pem"),
            ("keys/devices.key", "keys/operators.key"),
        ] {
            let [one, other, aside] = [one, other, "aside"].map(|name| path.with_file_name(name));
            fs::rename(&one, &aside).unwrap();
            fs::rename(&other, &one).unwrap();
            fs::rename(&aside, &other).unwrap();
        }
    };
    check("devices.pem", &swap, "is another certificate of this authority");
    // A key that opens, where the code key should be.
    let spoil = |path: &Path| copy(&path.with_file_name("devices.key"), path);
    check("keys/codes.key", &spoil, "is not a key of activation codes");
}

#[test]
fn a_damaged_key_is_never_used() {
    for name in ["keys/codes.key", "keys/devices.key"] {
        let good = fs::read_to_string(FIXTURE.directory.path().join("ca").join(name)).unwrap();
        let (_, good) = SecretDocument::from_pem(&good).unwrap();
        // One bit in each block of the ciphertext, which ends the file: CBC spoils that block and turns one bit of
        // the next.
        let end = good.as_bytes().len();
        let content = if name == "keys/codes.key" { 96 } else { 144 };
        for place in (end - content..end).step_by(16) {
            let mut bytes = good.as_bytes().to_vec();
            bytes[place] ^= 1;
            let copied = copy_of_the_fixture();
            let damaged = SecretDocument::try_from(bytes).unwrap();
            let pem = damaged.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
            fs::write(copied.path().join("ca").join(name), pem).unwrap();
            let opened = Ca::open(copied.path(), &passphrase());
            assert!(
                matches!(opened, Err(CaError::Passphrase(_) | CaError::Damaged { .. })),
                "{name}, byte {place}: {opened:?}"
            );
        }
    }
}

#[test]
fn bad_options_are_refused_before_anything_is_written() {
    let check = |change: &dyn Fn(&mut InitOptions<'_>), expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = passphrase();
        let mut options = options(&passphrase);
        change(&mut options);
        let error = init(directory.path(), options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    };
    check(
        &|options| options.organisation = String::new(),
        "organisation is empty",
    );
    check(&|options| options.organisation = "x".repeat(65), "longer than 64");
    check(
        &|options| options.organisation = "Example\0GmbH".to_owned(),
        "control character",
    );
    check(&|options| options.now = Timestamp::from_millis(0), "clock");
}

#[test]
fn long_and_foreign_organisations_make_good_certificates() {
    for organisation in [
        "ä".repeat(64),
        "株式会社テスト".to_owned(),
        "a, b = \"c\" + <d>; # \\".to_owned(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = passphrase();
        let made = init(
            directory.path(),
            InitOptions {
                organisation,
                ..options(&passphrase)
            },
        )
        .unwrap();
        made.ca
            .new_operator(&"bob".parse().unwrap(), NOW.plus(Duration::from_secs(1)))
            .unwrap();
    }
}
