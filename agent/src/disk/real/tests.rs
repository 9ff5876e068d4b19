use super::*;
use crate::disk::{Name, relink, replace};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn files_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(&directory.path().join("new/state")).unwrap();
    let mode = |place: &Place| fs::metadata(disk.path(place)).unwrap().permissions().mode() & 0o777;
    replace(&disk, &Place::fixed("key"), b"secret").unwrap();
    disk.make_directory(&Place::fixed("slot")).unwrap();
    assert_eq!(mode(&Place::fixed("key")), 0o600);
    assert_eq!(mode(&Place::fixed("slot")), 0o700);
    assert_eq!(mode(&Place::root()), 0o700);
}

#[test]
fn reading_is_bounded_and_follows_no_link() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let place = Place::fixed("file");
    assert_eq!(disk.read(&place, 3).unwrap(), None);
    replace(&disk, &place, b"abc").unwrap();
    assert_eq!(disk.read(&place, 3).unwrap(), Some(b"abc".to_vec()));
    disk.read(&place, 2).unwrap_err();
    relink(&disk, &Place::fixed("link"), "file").unwrap();
    disk.read(&Place::fixed("link"), 3).unwrap_err();
    assert_eq!(
        disk.link_target(&Place::fixed("link")).unwrap().as_deref(),
        Some("file")
    );
    assert_eq!(disk.link_target(&place).unwrap(), None);
    disk.make_directory(&Place::fixed("link")).unwrap_err();
}

#[test]
fn a_link_is_replaced_and_never_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let slot = Place::fixed("slot");
    for planted in [slot.clone(), slot.draft()] {
        symlink(&victim, disk.path(&planted)).unwrap();
    }
    replace(&disk, &slot, b"ours").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(disk.read(&slot, 9).unwrap(), Some(b"ours".to_vec()));
    symlink(outside.path(), disk.path(&Place::fixed("away"))).unwrap();
    disk.remove(&Place::fixed("away")).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    let name = Name::parse("x").unwrap();
    disk.make_directory(&Place::fixed("tree")).unwrap();
    disk.write_new(&Place::fixed("tree").file(&name), b"x").unwrap();
    disk.remove(&Place::fixed("tree")).unwrap();
    disk.remove(&Place::fixed("tree")).unwrap();
}
