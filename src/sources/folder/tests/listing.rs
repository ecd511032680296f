use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::symlink},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::sources::{MOST_ASIDES, MOST_READY};

#[test]
fn a_file_is_ready_once_it_has_been_quiet_with_the_evidence() {
    let mut site = Site::new(After::Delete);
    site.write("orders.csv", "abc", 100);
    let look = site.look(10);
    assert_eq!((settling(&look), look.files), (vec![("orders.csv".to_owned(), Some(12))], 1));
    assert_eq!(look.settling[0].modified_nanos, 100_000_000_000);
    assert!(site.look(11).ready.is_empty());
    let ready = site.look(12).ready;
    assert_eq!(names(&ready), ["orders.csv"]);
    assert_eq!(ready[0].evidence, "unchanged for 2 s");
    assert_eq!((ready[0].length, ready[0].modified_nanos), (3, 100_000_000_000));
    assert_eq!((&ready[0].path, &ready[0].at), (&site.path("orders.csv"), &site.path("orders.csv")));
    assert!(ready[0].stamp.starts_with("length=3 modified=100000000000 inode="), "{}", ready[0].stamp);
}

#[test]
fn a_writer_that_pauses_for_longer_starts_the_quiet_period_again() {
    let mut site = Site::new(After::Delete);
    site.write("orders.csv", "abc", 100);
    assert_eq!(site.ready().len(), 1);
    append(&site.path("orders.csv"), "def");
    assert_eq!(settling(&site.look(3)), [("orders.csv".to_owned(), Some(5))]);
    assert_eq!(site.look(5).ready.len(), 1);
}

#[test]
fn only_files_of_our_names_that_nobody_writes_are_taken() {
    let mut site = Site::with(|_, options| options.takes = any());
    for name in ["a.csv", "b.part", "c.TMP", "d.filepart", "e~", ".f", "sub/g.csv", ".hidden/h.csv"] {
        site.write(name, "x", 1);
    }
    let look = site.look(0);
    assert_eq!((settling(&look).len(), look.files, look.asides.len()), (1, 1, 0));
    let mut site = Site::new(After::Delete);
    site.write("a.txt", "x", 1);
    let look = site.look(0);
    assert_eq!((settling(&look).len(), look.files, look.asides.len()), (0, 1, 0));
}

#[test]
fn files_come_in_the_order_of_their_names_also_from_folders_below() {
    let mut site = Site::with(|_, options| options.recursive = true);
    for name in ["orders_10.csv", "orders_9.csv", "b/orders_9.csv", "a/deep/orders_1.csv", ".x/orders_0.csv"]
    {
        site.write(name, "x", 1);
    }
    let ready = site.ready();
    let paths: Vec<_> = ready.iter().map(|file| file.path.strip_prefix(&site.folder).unwrap()).collect();
    let expected = ["a/deep/orders_1.csv", "b/orders_9.csv", "orders_9.csv", "orders_10.csv"];
    assert_eq!(paths, expected.map(Path::new));
}

#[test]
fn folders_that_are_too_deep_are_told_and_not_entered() {
    let mut site = Site::with(|_, options| options.recursive = true);
    let deep = (1..=16).map(|level| format!("{level}/")).collect::<String>();
    site.write(&format!("{}a.csv", deep.strip_suffix("16/").unwrap()), "x", 1);
    site.write(&format!("{deep}b.csv"), "x", 1);
    assert_eq!(names(&site.ready()), ["a.csv"]);
    assert_eq!(asides(&site.look(3)), ["it is 16 folders down, and deeper ones are not entered"]);
}

#[test]
fn links_and_pipes_are_told_and_not_taken() {
    let mut site = Site::new(After::Delete);
    site.write("real.txt", "x", 1);
    symlink(site.path("real.txt"), site.path("link.csv")).unwrap();
    symlink(site.path("real.txt"), site.path("link.txt")).unwrap();
    symlink("/", site.path("root.csv")).unwrap();
    let look = site.look(0);
    assert!(look.settling.is_empty());
    let paths: Vec<_> = look.asides.iter().map(|aside| aside.path.clone()).collect();
    assert_eq!(paths, [site.path("link.csv"), site.path("root.csv")]);
    assert!(look.asides[0].why.contains("only ordinary files are taken"));
}

#[test]
fn a_name_that_is_no_text_is_taken_as_it_is() {
    let mut site = Site::new(After::Delete);
    let path = site.folder.join(OsStr::from_bytes(b"caf\xe9.csv"));
    fs::write(&path, "x").unwrap();
    let ready = site.ready();
    assert_eq!(ready[0].name.as_bytes(), b"caf\xe9.csv");
    let claimed = site.claim(&ready[0]);
    assert!(!path.exists() && claimed.at.exists());
    site.source.settle(claimed).unwrap();
    assert!(site.look(3).ready.is_empty());
}

#[test]
fn a_folder_that_is_away_or_none_is_told_and_its_files_are_found_when_it_is_back() {
    let mut site = Site::new(After::Delete);
    site.write("a.csv", "x", 1);
    assert!(site.look(0).ready.is_empty());
    let elsewhere = site.folder.with_file_name("elsewhere");
    fs::rename(&site.folder, &elsewhere).unwrap();
    assert!(matches!(site.try_look(1), Err(SourceError::Away(folder)) if folder == site.folder));
    fs::write(&site.folder, "no folder").unwrap();
    let error = site.try_look(1).unwrap_err().to_string();
    assert!(error.starts_with("cannot list") && error.ends_with("not a directory"), "{error}");
    fs::remove_file(&site.folder).unwrap();
    fs::rename(&elsewhere, &site.folder).unwrap();
    // What was seen before is remembered.
    assert_eq!(site.look(2).ready.len(), 1);
}

#[test]
fn a_kept_file_that_is_known_is_asked_about_once_and_never_ready_again() {
    let mut site = Site::new(After::Keep);
    site.write("a.csv", "x", 1);
    let ready = site.ready();
    site.note(&ready[0]);
    site.source.settle(site.claim(&ready[0])).unwrap();
    assert!(site.has("a.csv"));
    assert!(site.look(3).ready.is_empty());
    let asked = site.asked;
    let look = site.look(100);
    assert_eq!((look.ready.len(), look.settling.len(), look.known.len(), look.files), (0, 0, 0, 1));
    assert_eq!(site.asked, asked);
    // Another run asks, and does not wait for it to settle either.
    site.restart();
    let look = site.look(0);
    assert_eq!((look.ready.len(), look.settling.len()), (0, 0));
    assert_eq!(site.asked, asked + 1);
    // Written to, it is another one.
    append(&site.path("a.csv"), "y");
    assert_eq!(settling(&site.look(10)), [("a.csv".to_owned(), Some(12))]);
    assert_eq!(site.look(12).ready.len(), 1);
}

#[test]
fn kept_files_are_not_taken_again_when_the_folder_was_empty_for_a_while() {
    let mut site = Site::new(After::Keep);
    site.write("a.csv", "x", 1);
    let ready = site.ready();
    site.note(&ready[0]);
    assert!(site.look(3).ready.is_empty());
    let elsewhere = site.folder.with_file_name("elsewhere");
    fs::rename(&site.folder, &elsewhere).unwrap();
    fs::create_dir(&site.folder).unwrap();
    assert_eq!(site.look(4).files, 0);
    fs::remove_dir(&site.folder).unwrap();
    fs::rename(&elsewhere, &site.folder).unwrap();
    for second in [5, 10] {
        let look = site.look(second);
        assert_eq!((look.files, look.ready.len(), look.settling.len()), (1, 0, 0));
    }
}

#[test]
fn names_are_matched_once_for_each_state_of_a_file() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut site = Site::with(|_, options| {
        options.takes = Arc::new(move |name: &str| {
            counted.fetch_add(1, Ordering::Relaxed);
            name.ends_with(".csv")
        });
    });
    site.write("a.csv", "x", 1);
    site.write("a.txt", "x", 1);
    for second in 0..5 {
        site.look(second);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn what_one_look_tells_is_bounded() {
    let mut site = Site::with(|_, options| options.settle = Some(Duration::ZERO));
    for number in 0..MOST_READY + 10 {
        fs::write(site.path(&format!("{number}.csv")), "").unwrap();
    }
    for number in 0..MOST_ASIDES + 10 {
        symlink("none", site.path(&format!("link{number}.csv"))).unwrap();
    }
    let look = site.look(0);
    assert_eq!((look.ready.len(), look.asides.len()), (MOST_READY, MOST_ASIDES));
    assert!(look.more);
    assert_eq!(look.files, MOST_READY as u64 + 10);
    assert_eq!(look.ready[MOST_READY - 1].name.to_string(), format!("{}.csv", MOST_READY - 1));
}
