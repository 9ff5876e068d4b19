//! Settings files: what is read, and every mistake at once.

use super::*;

const LEAST: &str = r#"
server = "registry.example:8883"
serial = "GW2-000017"
state_directory = "/var/lib/muster-agent"
root = "/etc/muster-agent/root.pem"
"#;

fn problems(text: &str) -> Vec<String> {
    match Settings::parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_least_that_works() {
    let settings = Settings::parse(LEAST).unwrap();
    assert_eq!(settings.server(), "registry.example:8883");
    assert_eq!(settings.server_name().to_str(), "registry.example");
    assert_eq!(settings.serial(), "GW2-000017");
    assert_eq!(
        settings.apply_directory(),
        Path::new("/var/lib/muster-agent/config")
    );
    assert_eq!(
        settings.reconnect(),
        (Duration::from_secs(1), Duration::from_secs(300))
    );
    assert_eq!(settings.inspect_every(), Duration::from_secs(600));
    assert!(settings.hook().is_none());
    assert_eq!(settings.firmware_keys(), None);
}

#[test]
fn everything_that_can_be_set() {
    let text = format!(
        r#"{LEAST}
server_name = "other.example"
activation_code_file = "/etc/muster-agent/code"
firmware_file = "/etc/firmware-version"
firmware_keys = ["/etc/muster-agent/author.pem", "/etc/muster-agent/next-author.pem"]
apply_directory = "/run/config"
inspect_every_minutes = 5
[reconnect]
first_seconds = 2
most_seconds = 60
[hooks]
apply = ["/usr/bin/accept", "--strict"]
time_limit_seconds = 20
"#
    );
    let settings = Settings::parse(&text).unwrap();
    assert_eq!(settings.server_name().to_str(), "other.example");
    assert!(matches!(settings.code(), CodeSource::File(path) if path == Path::new("/etc/muster-agent/code")));
    assert!(matches!(settings.firmware(), FirmwareSource::File(_)));
    let keys = [
        "/etc/muster-agent/author.pem",
        "/etc/muster-agent/next-author.pem",
    ];
    assert_eq!(settings.firmware_keys(), Some(&keys.map(PathBuf::from)[..]));
    assert_eq!(settings.apply_directory(), Path::new("/run/config"));
    assert_eq!(settings.inspect_every(), Duration::from_secs(300));
    assert_eq!(
        settings.reconnect(),
        (Duration::from_secs(2), Duration::from_secs(60))
    );
    let hook = settings.hook().unwrap();
    assert_eq!(
        (
            hook.program.as_str(),
            hook.arguments.len(),
            hook.time_limit.as_secs()
        ),
        ("/usr/bin/accept", 1, 20)
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = r#"
server = "registry.example"
serial = ""
root = 7
firmware = "2.4.0"
firmware_file = "/etc/firmware-version"
inspect_every_minutes = -1
sreial = "typo"
[reconnect]
first_seconds = 60
most_seconds = 30
most = 1
[hooks]
apply = []
"#;
    let told = problems(text);
    for expected in [
        "server: must be host:port",
        "serial: must not be empty",
        "state_directory: must be set",
        "root: must be text",
        "firmware_file: cannot be set beside firmware",
        "inspect_every_minutes: must be a whole number from 1",
        "sreial: is not a setting",
        "reconnect.first_seconds: must not be greater than reconnect.most_seconds",
        "reconnect.most: is not a setting",
        "hooks.apply: must name a command",
    ] {
        assert!(
            told.iter().any(|problem| problem == expected),
            "{expected} in {told:#?}"
        );
    }
    assert_eq!(told.len(), 10, "{told:#?}");
}

#[test]
fn single_mistakes() {
    for (line, expected) in [
        ("hooks = 1", "hooks: must be a table"),
        ("hooks = { apply = [1] }", "hooks.apply: must be a list of texts"),
        (
            "hooks = { apply = \"x\" }",
            "hooks.apply: must be a list of texts",
        ),
        (
            "hooks = { time_limit_seconds = 5 }",
            "hooks.time_limit_seconds: is set without hooks.apply",
        ),
        (
            "hooks = { apply = [\"x\"], time_limit_seconds = 601 }",
            "hooks.time_limit_seconds: must lie between 10ms and 600s",
        ),
        (
            "server_name = \"no name\"",
            "server_name: is neither a host name nor an address",
        ),
        ("firmware_keys = \"/k\"", "firmware_keys: must be a list of texts"),
        (
            "firmware_keys = []",
            "firmware_keys: must name 1 to 4 files, or be left out",
        ),
        (
            "firmware_keys = [\"1\", \"2\", \"3\", \"4\", \"5\"]",
            "firmware_keys: must name 1 to 4 files, or be left out",
        ),
        (
            "inspect_every_minutes = 1441",
            "inspect_every_minutes: must lie between 10ms and 86400s",
        ),
        (
            "activation_code = \"SECRET\"",
            "activation_code: is not a setting",
        ),
    ] {
        assert_eq!(problems(&format!("{LEAST}{line}\n")), [expected], "{line}");
    }
    for server in ["", ":8883", "host:", "host:0", "host:65536", "host:x"] {
        let text = LEAST.replace("registry.example:8883", server);
        assert_eq!(problems(&text).len(), 1, "{server}");
    }
    for server in ["192.0.2.1:8883", "[2001:db8::1]:8883", "localhost:1"] {
        assert_eq!(
            problems(&LEAST.replace("registry.example:8883", server)),
            [""; 0],
            "{server}"
        );
    }
}

#[test]
fn what_is_not_toml_is_told_by_its_line_and_not_by_its_text() {
    let told = problems("server = \"a:1\"\nserial = SECRET\n");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("is not TOML: line 2"), "{told:?}");
    assert!(!told[0].contains("SECRET"), "{told:?}");
}

#[test]
fn codes_are_not_shown() {
    let builder = Settings::builder("a:1", "s", "/x")
        .root_pem("x")
        .code(Zeroizing::new("SECRET".into()));
    assert!(!format!("{builder:?}").contains("SECRET"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("SECRET"));
}
