//! One registry, made once and copied: sealing keys is slow on purpose, and its cost is not what these tests are about. Nor
//! is that of opening them, so the copies are sealed at next to none.

use crate::seals;
use muster_server::{
    ca::Passphrase,
    clock::Clock,
    init::{self, Request},
};
use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, DirBuilder, File},
    hash::{Hash as _, Hasher as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The target directory that this test was built into, such as `target/debug`.
pub(crate) fn build_directory() -> PathBuf {
    let executable = std::env::current_exe().expect("a test has an executable");
    let directory = executable.parent().expect("in a directory");
    // Tests are in `deps`, programs above it.
    if directory.ends_with("deps") {
        directory.parent().unwrap_or(directory).to_owned()
    } else {
        directory.to_owned()
    }
}

/// Names the executable, so that a rebuilt server gets a template of its own making.
fn stamp() -> String {
    let metadata = std::env::current_exe()
        .and_then(fs::metadata)
        .expect("a test has an executable");
    let mut hasher = DefaultHasher::new();
    (metadata.len(), metadata.modified().ok()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn make(directory: &Path) {
    let passphrase = directory.join("passphrase");
    init::write_passphrase(&passphrase).expect("a passphrase file");
    let local = "127.0.0.1:0".parse().expect("an address");
    let request = Request {
        directory: directory.join("registry"),
        offline: directory.join("registry-offline"),
        organisation: "Muster tests".to_owned(),
        server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        listen: Some((local, local)),
        operator: "admin".parse().expect("an operator name"),
    };
    init::init(
        &request,
        &Passphrase::read(&passphrase).expect("a passphrase"),
        Clock::System.now(),
    )
    .expect("a registry");
    seals::loosen(directory, &passphrase);
}

/// A directory with `registry` and `passphrase`. Test runners start a process for each test, so the template is kept
/// beside the executables, and a lock lets one process make it while the others wait.
pub(crate) fn template() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let base = build_directory().join("muster-test-registry");
        fs::create_dir_all(&base).expect("a place for the template");
        let lock = File::create(base.join("lock")).expect("a lock");
        lock.lock().expect("the lock");
        let directory = base.join(stamp());
        if !directory.exists() {
            // Of former builds; those who copy hold no lock, but a build has ended every test of the former.
            for old in fs::read_dir(&base)
                .expect("templates")
                .flatten()
                .filter(|old| old.path().is_dir())
            {
                fs::remove_dir_all(old.path()).expect("an old template goes");
            }
            let partial = base.join("partial");
            DirBuilder::new()
                .mode(0o700)
                .create(&partial)
                .expect("a directory");
            // `init` has a runtime of its own for a moment, which a test's runtime does not allow on its threads.
            let making = partial.clone();
            std::thread::spawn(move || make(&making))
                .join()
                .expect("the template is made");
            fs::rename(&partial, &directory).expect("the template is there");
        }
        directory
    })
}

/// Copies a directory with its modes.
pub fn copy_tree(from: &Path, to: &Path) {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(to)
        .expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

/// All files below a directory, sorted.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut open = vec![directory.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    files
}
