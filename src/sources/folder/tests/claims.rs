use std::os::unix::fs::symlink;

use super::*;

/// One file that is ready.
fn one(after: After) -> (Site, Ready) {
    let mut site = Site::new(after);
    site.write("a.csv", "first", 100);
    let ready = site.ready().remove(0);
    (site, ready)
}

fn is_changed<T>(result: Result<T, SourceError>) -> bool {
    matches!(result, Err(SourceError::Changed(_)))
}

#[test]
fn a_claimed_file_is_out_of_sight_until_it_is_put_back() {
    let (mut site, ready) = one(After::Delete);
    let claimed = site.claim(&ready);
    assert_eq!(claimed.at, site.path(".wharf/a.csv"));
    assert!(!site.has("a.csv") && site.has(".wharf/a.csv"));
    let look = site.look(3);
    assert_eq!((look.ready.len(), look.known.len(), look.settling.len(), look.files), (0, 0, 0, 0));
    assert!(matches!(site.source.claim(&ready), Err(SourceError::Gone(_))));
    site.source.put_back(claimed).unwrap();
    assert!(site.has("a.csv") && !site.has(".wharf/a.csv"));
    assert_eq!(settling(&site.look(4)), [("a.csv".to_owned(), Some(6))]);
    assert!(!site.has(".wharf"), "an empty folder stays behind");
}

#[test]
fn a_claim_that_is_dropped_is_found_by_the_next_look() {
    let (mut site, ready) = one(After::Delete);
    drop(site.claim(&ready));
    assert_eq!(site.look(4).ready, [ready]);
    assert!(site.has("a.csv"));
}

#[test]
fn a_file_that_was_changed_since_it_was_listed_is_not_claimed_and_stays() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("appended to", |path| append(path, "x")),
        ("cut", |path| fs::write(path, "f").unwrap()),
        ("written over", |path| fs::write(path, "FIRST").unwrap()),
        ("replaced, with the same length and time", |path| {
            let other = path.with_extension("new");
            fs::write(&other, "other").unwrap();
            set_modified(&other, 100);
            fs::rename(other, path).unwrap();
        }),
        ("replaced by a link", |path| {
            fs::rename(path, path.with_extension("real")).unwrap();
            symlink(path.with_extension("real"), path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (site, ready) = one(After::Delete);
        change(&ready.path);
        assert!(is_changed(site.source.claim(&ready)), "{what}");
        assert!(site.has("a.csv") && !site.has(".wharf"), "{what}");
    }
}

#[test]
fn a_file_that_is_gone_cannot_be_claimed() {
    let (site, ready) = one(After::Delete);
    fs::remove_file(&ready.path).unwrap();
    assert!(matches!(site.source.claim(&ready), Err(SourceError::Gone(_))));
    fs::remove_dir_all(&site.folder).unwrap();
    assert!(matches!(site.source.claim(&ready), Err(SourceError::Away(_))));
}

#[test]
fn what_is_put_in_the_place_of_the_folder_of_claims_is_not_waited_for_when_claims_are_made_durable() {
    let (site, ready) = one(After::Delete);
    let claimed = site.claim(&ready);
    fs::rename(site.path(".wharf"), site.path("aside")).unwrap();
    // Opening a pipe waits for whoever writes into it.
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, site.path(".wharf"), pipe, rustix::fs::Mode::RWXU, 0).unwrap();
    site.source.secure(&mut [&claimed].into_iter());
    fs::remove_file(site.path(".wharf")).unwrap();
    fs::rename(site.path("aside"), site.path(".wharf")).unwrap();
    site.source.secure(&mut [&claimed].into_iter());
    site.source.settle(claimed).unwrap();
}

#[test]
fn a_settled_file_is_removed() {
    let (mut site, ready) = one(After::Delete);
    site.source.settle(site.claim(&ready)).unwrap();
    assert_eq!(site.look(3).files, 0);
    assert!(!site.has("a.csv") && !site.has(".wharf"));
}

#[test]
fn a_file_that_was_written_to_after_the_claim_is_put_back_and_not_settled() {
    for after in [After::Delete, After::Move(PathBuf::from("/nowhere")), After::Keep] {
        let (site, ready) = one(after);
        let mut writer = File::options().append(true).open(&ready.path).unwrap();
        let claimed = site.claim(&ready);
        writer.write_all(b" and more").unwrap();
        assert!(is_changed(site.source.settle(claimed)));
        assert_eq!(fs::read(&ready.path).unwrap(), b"first and more");
    }
}

#[test]
fn putting_back_never_replaces_a_file_that_came_meanwhile() {
    let (mut site, ready) = one(After::Delete);
    let claimed = site.claim(&ready);
    site.write("a.csv", "second", 200);
    site.source.put_back(claimed).unwrap();
    assert_eq!(fs::read(site.path("a.csv")).unwrap(), b"second");
    assert_eq!(fs::read(site.path(".wharf/a.csv")).unwrap(), b"first");
    // The first one is taken from where it lies, and then the second one.
    let look = site.look(10);
    assert_eq!(settling(&look), [("a.csv".to_owned(), Some(12)), ("a.csv".to_owned(), None)]);
    let ready = site.look(12).ready;
    assert_eq!(ready.len(), 1);
    assert_eq!((&ready[0].path, &ready[0].at), (&site.path("a.csv"), &site.path(".wharf/a.csv")));
    assert_eq!(ready[0].evidence, "unchanged for 2 s");
    site.source.settle(site.claim(&ready[0])).unwrap();
    assert_eq!(fs::read(site.path("a.csv")).unwrap(), b"second");
    let ready = site.look(14).ready;
    assert_eq!(ready[0].at, site.path("a.csv"));
}

#[test]
fn a_claimed_name_that_is_taken_keeps_the_next_file_where_it_is() {
    let (site, ready) = one(After::Delete);
    site.write(".wharf/a.csv", "from before", 1);
    let error = site.source.claim(&ready).unwrap_err();
    assert!(matches!(&error, SourceError::Wire(error) if error.is_taken()), "{error}");
    assert_eq!(fs::read(site.path("a.csv")).unwrap(), b"first");
    assert_eq!(fs::read(site.path(".wharf/a.csv")).unwrap(), b"from before");
}

#[test]
fn a_link_in_place_of_the_folder_of_claimed_files_is_refused_and_told() {
    let (mut site, ready) = one(After::Delete);
    let outside = site.folder.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, site.path(".wharf")).unwrap();
    assert!(matches!(site.source.claim(&ready), Err(SourceError::Wire(_))));
    assert!(site.has("a.csv"));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(asides(&site.look(3)), ["files cannot be claimed here, as this is no folder: remove it"]);
}

#[test]
fn a_folder_below_that_became_a_link_is_not_followed() {
    let mut site = Site::with(|_, options| options.recursive = true);
    site.write("sub/a.csv", "x", 1);
    let ready = site.ready().remove(0);
    let outside = site.folder.with_file_name("outside");
    fs::rename(site.path("sub"), &outside).unwrap();
    symlink(&outside, site.path("sub")).unwrap();
    assert!(site.source.claim(&ready).is_err());
    assert!(outside.join("a.csv").exists() && !outside.join(".wharf").exists());
}

#[test]
fn a_kept_file_is_neither_moved_nor_is_anything_written_beside_it() {
    let (mut site, ready) = one(After::Keep);
    let before = fs::metadata(&site.folder).unwrap().modified().unwrap();
    let claimed = site.claim(&ready);
    assert_eq!((&claimed.at, claimed.stamp.length), (&ready.path, 5));
    assert!(site.look(3).ready.is_empty(), "it is in hand");
    site.source.put_back(claimed).unwrap();
    let again = site.look(4).ready;
    site.note(&again[0]);
    site.source.settle(site.claim(&again[0])).unwrap();
    site.look(5);
    assert_eq!(fs::metadata(&site.folder).unwrap().modified().unwrap(), before);
}

#[test]
fn moving_aside_makes_the_folder_and_replaces_nothing() {
    let mut site = Site::with(|aside, options| {
        options.after = After::Move(aside.to_path_buf());
        options.recursive = true;
    });
    let aside = site.folder.with_file_name("aside");
    for (second, text) in [(0, "one"), (10, "two"), (20, "three")] {
        site.write("sub/a.csv", text, 1);
        site.look(second);
        let ready = site.look(second + 2).ready.remove(0);
        site.source.settle(site.claim(&ready)).unwrap();
    }
    for (name, text) in [("a.csv", "one"), ("a.csv.2", "two"), ("a.csv.3", "three")] {
        assert_eq!(fs::read_to_string(aside.join("sub").join(name)).unwrap(), text);
    }
    assert_eq!(site.look(30).files, 0);
}

#[test]
fn files_that_were_moved_into_a_folder_below_are_not_listed_again() {
    let mut site = Site::with(|_, options| {
        options.after = After::Move(options.folder.join("done"));
        options.recursive = true;
    });
    site.write("a.csv", "x", 1);
    let ready = site.ready();
    site.source.settle(site.claim(&ready[0])).unwrap();
    assert!(site.has("done/a.csv"));
    assert_eq!(site.look(3).files, 0);
}

#[test]
fn a_move_to_another_file_system_copies_and_then_removes() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let other = match tempfile::tempdir_in("/dev/shm") {
        Ok(other) => other,
        Err(cause) => return assert!(!Path::new("/dev/shm").is_dir(), "{cause}"),
    };
    let aside = other.path().to_path_buf();
    let (site, ready) = one(After::Move(aside.clone()));
    if fs::metadata(&aside).unwrap().dev() == fs::metadata(&site.folder).unwrap().dev() {
        return;
    }
    fs::set_permissions(&ready.path, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(aside.join("a.csv"), "precious").unwrap();
    site.source.settle(site.claim(&ready)).unwrap();
    assert_eq!(fs::read(aside.join("a.csv")).unwrap(), b"precious");
    let meta = fs::metadata(aside.join("a.csv.2")).unwrap();
    assert_eq!((meta.len(), meta.mtime(), meta.permissions().mode() & 0o777), (5, 100, 0o640));
    assert!(!site.has("a.csv") && !site.has(".wharf/a.csv"));
}
