//! Making a registry: whole or not at all, with its root key elsewhere.

use super::*;
use crate::{ca::power, clock::Clock};
use std::fs;

fn request(within: &Path) -> Request {
    Request {
        directory: within.join("plant"),
        offline: offline_beside(&within.join("plant")),
        organisation: "Example GmbH".to_owned(),
        server_names: vec!["localhost".to_owned()],
        listen: None,
        operator: "alice".parse().unwrap(),
    }
}

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct horse battery staple").unwrap()
}

fn make(request: &Request) -> Result<(), InitError> {
    init(request, &passphrase(), Clock::System.now())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_registry_appears_whole_or_not_at_all_and_never_without_its_root_key() {
    let whole = tempfile::tempdir().unwrap();
    let (made, left) = power::failing_after(1_000_000, || make(&request(whole.path())));
    made.unwrap();
    let changes = 1_000_000 - left;
    assert_eq!(names(whole.path()), ["plant", "plant-offline"]);
    assert_eq!(
        names(&whole.path().join("plant-offline")),
        ["README.txt", "issued.log", "root.key", "root.pem"]
    );
    assert_eq!(ca::root_key_within(&whole.path().join("plant")).unwrap(), None);
    // Some on the way, and each of the last.
    let points = (0..changes - 6).step_by(29).chain(changes - 6..changes);
    for point in points {
        let scratch = tempfile::tempdir().unwrap();
        let request = request(scratch.path());
        let (made, _) = power::failing_after(point, || make(&request));
        assert!(made.is_err(), "{point}");
        let appeared = request.directory.exists();
        if appeared {
            // Only the sync of its parent was cut short.
            assert!(ca::is_root_of(&request.offline, &request.directory), "{point}");
            let again = make(&request);
            assert!(matches!(again, Err(InitError::Occupied(_))), "{again:?}");
        } else {
            make(&request).unwrap();
        }
        assert_eq!(names(scratch.path()), ["plant", "plant-offline"], "{point}");
        Ca::open(&request.directory, &passphrase()).unwrap();
        assert!(ca::is_root_of(&request.offline, &request.directory), "{point}");
    }
}

#[test]
fn a_root_key_is_never_overwritten_and_never_within() {
    let scratch = tempfile::tempdir().unwrap();
    let wanted = request(scratch.path());
    make(&wanted).unwrap();
    // The registry was moved away, its root key was not.
    fs::rename(&wanted.directory, scratch.path().join("moved")).unwrap();
    let key = fs::read(wanted.offline.join("root.key")).unwrap();
    let made = make(&wanted);
    assert!(
        matches!(made, Err(InitError::Ca(CaError::OfflineExists(_)))),
        "{made:?}"
    );
    assert_eq!(fs::read(wanted.offline.join("root.key")).unwrap(), key);
    assert!(!wanted.directory.exists());
    let within = Request {
        offline: wanted.directory.join("offline"),
        ..wanted
    };
    let made = make(&within);
    assert!(matches!(made, Err(InitError::OfflineWithin(_))), "{made:?}");
}
