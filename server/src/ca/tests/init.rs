//! Making and opening an authority: what lies on the disk, what a crash leaves, what a wrong passphrase does.

use super::*;
use pkcs8::{LineEnding, SecretDocument};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, time::Duration};

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
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
    let mut expected: BTreeSet<_> = [
        "ca",
        "ca/keys",
        "ca/keys/codes.key",
        "ca/keys/secrets.key",
        "ca/roots",
        "offline",
    ]
    .map(str::to_owned)
    .into();
    for name in ["README.txt", "issued.log", "root.key", "root.pem"] {
        expected.insert(format!("offline/{name}"));
    }
    for one in list(root, NOW).unwrap() {
        let kind = if one.kind == "root" { "roots" } else { one.kind };
        expected.insert(format!("ca/{kind}"));
        expected.insert(format!("ca/{kind}/{}", one.id));
        expected.insert(format!("ca/{kind}/{}/certificate.pem", one.id));
        if kind != "roots" {
            expected.insert(format!("ca/{kind}/{}/private.key", one.id));
        }
    }
    assert_eq!(names, expected);
}

#[test]
fn the_ledger_names_every_certificate_that_the_root_signed() {
    let ledger = fs::read_to_string(FIXTURE.directory.path().join("offline/issued.log")).unwrap();
    let expected: String = list(FIXTURE.directory.path(), NOW)
        .unwrap()
        .iter()
        .map(|one| {
            let ListedCertificate {
                serial,
                subject,
                not_after,
                ..
            } = one.certificate.as_ref().unwrap();
            format!(
                "{} {} {serial} until {} {subject}\n",
                utc(NOW),
                one.kind,
                utc(*not_after)
            )
        })
        .collect();
    assert_eq!(ledger, expected);
    assert!(ledger.starts_with("2026-11-24T00:00:00Z root "), "{ledger}");
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
        (place(root, "keys/devices.key"), place(root, "devices.pem")),
        (place(root, "keys/operators.key"), place(root, "operators.pem")),
        (place(root, "keys/servers.key"), place(root, "servers.pem")),
        (place(root, "keys/config.key"), place(root, "config.pem")),
        (place(root, "keys/checkpoint.key"), place(root, "checkpoint.pem")),
        (root.join("offline/root.key"), place(root, "root.pem")),
    ] {
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
    assert_eq!(opened.device_anchors(), ca().device_anchors());
    assert_eq!(opened.operator_anchors(), ca().operator_anchors());
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
    let empty = tempfile::tempdir().unwrap();
    let made = init(FIXTURE.directory.path(), empty.path(), options(&passphrase()));
    assert!(matches!(made, Err(CaError::Exists(_))), "{made:?}");
    // Nor is a root key overwritten.
    let offline = FIXTURE.directory.path().join("offline");
    let before = fs::read(offline.join("root.key")).unwrap();
    let made = init(empty.path(), &offline, options(&passphrase()));
    assert!(matches!(made, Err(CaError::OfflineExists(_))), "{made:?}");
    assert_eq!(fs::read(offline.join("root.key")).unwrap(), before);
}

#[test]
fn what_a_crash_left_is_cleared_away() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join(".ca-init/devices/.0")).unwrap();
    fs::write(root.join(".ca-init/devices/.0/private.new"), "-----BEGIN").unwrap();
    assert!(matches!(Ca::open(root, &passphrase()), Err(CaError::Missing(_))));
    initialise(root, options(&passphrase())).unwrap();
    Ca::open(root, &passphrase()).unwrap();
    assert!(!root.join(".ca-init").exists());
}

#[test]
fn a_missing_or_foreign_part_is_noticed() {
    let other = tempfile::tempdir().unwrap();
    initialise(other.path(), options(&passphrase())).unwrap();
    let check = |name: &str, spoil: &dyn Fn(&Path), expected: &str| {
        let copied = copy_of_the_fixture();
        let path = place(copied.path(), name);
        spoil(&path);
        let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
        // A certificate that is gone leaves a key that waits for one: what is missing is the whole kind.
        let kind = path.parent().unwrap().parent().unwrap();
        let named =
            error.contains(text(&path)) || error.starts_with(&format!("{} does not exist", text(kind)));
        assert!(error.contains(expected) && named, "{name}: {error}");
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
        "keys/checkpoint.key",
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
    // A certificate from elsewhere, under the name that is here, or under its own.
    for name in &names[1..] {
        check(
            name,
            &|path| copy(&place(other.path(), name), path),
            "is the certificate of another authority",
        );
        let copied = copy_of_the_fixture();
        let kind = name.strip_suffix(".pem").unwrap();
        let foreign = place(other.path(), name);
        let foreign = foreign.parent().unwrap();
        let to = copied
            .path()
            .join("ca")
            .join(kind)
            .join(foreign.file_name().unwrap());
        fs::create_dir(&to).unwrap();
        for part in ["certificate.pem", "private.key"] {
            copy(&foreign.join(part), &to.join(part));
        }
        let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
        assert!(error.contains("is not signed by the root"), "{error}");
    }
    for (key, certificate) in [
        ("keys/devices.key", "devices.pem"),
        ("keys/operators.key", "operators.pem"),
        ("keys/config.key", "config.pem"),
        ("keys/checkpoint.key", "checkpoint.pem"),
    ] {
        let spoil = |path: &Path| copy(&place(other.path(), key), &path.with_file_name("private.key"));
        check(certificate, &spoil, "is not the certificate of its key");
    }
    // One at the place of the other, with its key.
    let copied = copy_of_the_fixture();
    let devices = place(copied.path(), "devices.pem").parent().unwrap().to_owned();
    let to = copied
        .path()
        .join("ca/operators")
        .join(devices.file_name().unwrap());
    fs::rename(&devices, &to).unwrap();
    let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
    assert!(
        error.contains("does not exist") || error.contains("is another certificate of this authority"),
        "{error}"
    );
    fs::create_dir_all(&devices).unwrap();
    for part in ["certificate.pem", "private.key"] {
        copy(&to.join(part), &devices.join(part));
    }
    let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
    assert!(
        error.contains("is another certificate of this authority"),
        "{error}"
    );
    // A key that opens, where the code key should be.
    let devices = place(FIXTURE.directory.path(), "keys/devices.key");
    let spoil = |path: &Path| copy(&devices, path);
    check("keys/codes.key", &spoil, "is not a key of activation codes");
    check("keys/secrets.key", &spoil, "is not a key of secrets");
    // Nor is one for the other.
    let codes = place(FIXTURE.directory.path(), "keys/codes.key");
    let spoil = |path: &Path| copy(&codes, path);
    check("keys/secrets.key", &spoil, "is not a key of secrets");
    // What is no generation.
    let copied = copy_of_the_fixture();
    fs::create_dir(copied.path().join("ca/devices/copy")).unwrap();
    let error = Ca::open(copied.path(), &passphrase()).unwrap_err().to_string();
    assert!(
        error.contains("is not called by the id of an authority"),
        "{error}"
    );
}

#[test]
fn a_damaged_key_is_never_used() {
    for name in ["keys/codes.key", "keys/secrets.key", "keys/devices.key"] {
        let good = fs::read_to_string(place(FIXTURE.directory.path(), name)).unwrap();
        let (_, good) = SecretDocument::from_pem(&good).unwrap();
        // One bit in each block of the ciphertext, which ends the file: CBC spoils that block and turns one bit of
        // the next.
        let end = good.as_bytes().len();
        let content = if name == "keys/devices.key" { 144 } else { 96 };
        for at in (end - content..end).step_by(16) {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] ^= 1;
            let copied = copy_of_the_fixture();
            let damaged = SecretDocument::try_from(bytes).unwrap();
            let pem = damaged.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
            fs::write(place(copied.path(), name), pem).unwrap();
            let opened = Ca::open(copied.path(), &passphrase());
            assert!(
                matches!(opened, Err(CaError::Passphrase(_) | CaError::Damaged { .. })),
                "{name}, byte {at}: {opened:?}"
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
        let offline = tempfile::tempdir().unwrap();
        let error = init(directory.path(), offline.path(), options)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        for directory in [&directory, &offline] {
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
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
        let made = initialise(
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
