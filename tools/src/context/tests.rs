use super::*;

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const FILE: &str =
    "server = \"https://h:1\"\nroots = \"root.pem\"\ncertificate = \"o.pem\"\nkey = \"../o.key\"\n";

#[test]
fn credentials_are_found_beside_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    write(base, "operator/context.toml", FILE);
    for (name, text) in [
        ("operator/root.pem", "R"),
        ("operator/o.pem", "C"),
        ("o.key", "K"),
    ] {
        write(base, name, text);
    }
    for path in [
        base.to_owned(),
        base.join("operator"),
        base.join("operator/context.toml"),
    ] {
        let context = Context::load(&path).unwrap();
        assert_eq!(
            (context.server.as_str(), context.server_name.as_deref()),
            ("https://h:1", None)
        );
        assert_eq!(
            [context.roots, context.certificate, context.key],
            [b"R", b"C", b"K"]
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |path: &Path, expected: &str| {
        let failure = Context::load(path).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(failure.exit(), crate::exit::Exit::Usage);
    };
    check(
        directory.path(),
        "has neither operator/context.toml nor context.toml",
    );
    check(&directory.path().join("x.toml"), "cannot read");
    write(directory.path(), "context.toml", FILE);
    check(directory.path(), "root.pem");
    write(directory.path(), "context.toml", &FILE.replace("roots", "rots"));
    check(directory.path(), "rots");
    let huge = "#".repeat(usize::try_from(FILE_LIMIT).unwrap() + 1);
    write(directory.path(), "context.toml", &huge);
    check(directory.path(), "over 1048576 bytes");
}

#[test]
fn debug_does_not_show_the_key() {
    let context = Context {
        label: "l".into(),
        server: "s".into(),
        mqtt: None,
        server_name: None,
        roots: vec![],
        certificate: vec![],
        key: b"SECRET".to_vec(),
    };
    let shown = format!("{context:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("83, 69"), "{shown}");
}
