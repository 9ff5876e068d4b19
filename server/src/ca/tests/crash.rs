//! The power fails before each change of the disk in turn: the server starts at every such moment, and the step done again ends
//! as if nothing had been.

use super::{former::former, *};
use crate::ca::{
    files::{self, power},
    hierarchy::Hierarchy,
};
use std::{collections::BTreeSet, time::Duration};

/// Every generation: kind and id.
fn generations(server: &Path) -> BTreeSet<String> {
    let hierarchy = Hierarchy::read(server).unwrap();
    for (_, one) in hierarchy.generations() {
        assert!(
            files::read(&one.key).unwrap().starts_with("-----BEGIN ENCRYPTED"),
            "{one:?}"
        );
    }
    let all = hierarchy.generations();
    all.map(|(kind, one)| format!("{kind} {}", one.certificate.id()))
        .collect()
}

/// Cuts `step` short at every change in turn, on a copy each; then does it again.
fn at_every_change(before: &Path, step: &dyn Fn(&Path) -> Result<(), CaError>) {
    let whole = copy_of(before);
    step(whole.path()).unwrap();
    let (old, new) = (generations(before), generations(whole.path()));
    let (mut changes, mut cut_short) = (0, true);
    while cut_short {
        let copied = copy_of(before);
        let (done, _) = power::failing_after(changes, || step(copied.path()));
        cut_short = done.is_err();
        // Before or after: never a third thing.
        let left = generations(copied.path());
        assert!(left == old || left == new, "{changes}: {left:?}");
        step(copied.path()).unwrap();
        assert_eq!(generations(copied.path()), new, "{changes}");
        let settled = files_below(&copied.path().join("ca"));
        assert!(
            settled
                .iter()
                .all(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')),
            "{changes}: {settled:?}"
        );
        // Opening takes a second of key derivations.
        if changes % 10 == 0 || !cut_short {
            Ca::open(copied.path(), &passphrase()).unwrap();
        }
        changes += 1;
    }
    assert!(changes > 3, "{changes}: nothing was cut short");
}

#[test]
fn of_a_request() {
    at_every_change(FIXTURE.directory.path(), &|server| {
        let text = request(server, AuthorityKind::Devices, &passphrase())?;
        assert!(text.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        Ok(())
    });
}

#[test]
fn of_an_installation() {
    let copied = copy_of_the_fixture();
    let wanted = request(copied.path(), AuthorityKind::Devices, &passphrase()).unwrap();
    let offline = Offline::open(&copied.path().join("offline"), &passphrase()).unwrap();
    let signed = offline.sign(&wanted, AuthorityKind::Devices, NOW).unwrap();
    at_every_change(copied.path(), &|server| {
        install(server, &signed, &passphrase(), NOW).map(drop)
    });
}

#[test]
fn of_the_installation_of_a_root() {
    let offline = Offline::open(&FIXTURE.directory.path().join("offline"), &passphrase()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = offline
        .succeed(&scratch.path().join("new"), &passphrase(), NOW)
        .unwrap();
    let both = files::read(&file).unwrap();
    at_every_change(FIXTURE.directory.path(), &|server| {
        install(server, &both, &passphrase(), NOW).map(drop)
    });
}

#[test]
fn of_a_removal() {
    let copied = copy_of_the_fixture();
    let old = list(copied.path(), NOW).unwrap()[1].id.to_string();
    let wanted = request(copied.path(), AuthorityKind::Devices, &passphrase()).unwrap();
    let offline = Offline::open(&copied.path().join("offline"), &passphrase()).unwrap();
    let at = NOW.plus(Duration::from_secs(1));
    let signed = offline.sign(&wanted, AuthorityKind::Devices, at).unwrap();
    install(copied.path(), &signed, &passphrase(), at).unwrap();
    at_every_change(
        copied.path(),
        &|server| match remove(server, &old, |_, _| Ok(0)) {
            // Gone already, when it is done again.
            Err(CaError::Ceremony(why)) if why.contains("names nothing here") => Ok(()),
            removed => removed.map(drop),
        },
    );
}

#[test]
fn of_the_move_to_this_layout() {
    // Every ceremony begins with it. This one does nothing else.
    at_every_change(
        former().path(),
        &|server| match remove(server, "nothing", |_, _| Ok(0)) {
            Err(CaError::Ceremony(why)) if why.contains("names nothing here") => Ok(()),
            removed => removed.map(drop),
        },
    );
}

#[test]
fn of_a_new_root() {
    let copied = copy_of_the_fixture();
    let offline = Offline::open(&copied.path().join("offline"), &passphrase()).unwrap();
    let new = copied.path().join("new");
    let (mut changes, mut cut_short) = (0, true);
    while cut_short {
        let (made, _) = power::failing_after(changes, || offline.succeed(&new, &passphrase(), NOW));
        cut_short = made.is_err();
        if new.exists() {
            // Whole, as soon as it is there.
            Offline::open(&new, &passphrase()).unwrap();
            assert!(new.join("root-and-link.pem").exists(), "{changes}");
            std::fs::remove_dir_all(&new).unwrap();
        }
        changes += 1;
    }
    assert!(changes > 8, "{changes}");
}
