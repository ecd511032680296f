use super::*;

/// A file that was claimed when the program was killed.
fn left(after: After) -> (Site, Ready) {
    let mut site = Site::new(after);
    site.write("a.csv", "first", 100);
    let ready = site.ready().remove(0);
    std::mem::forget(site.claim(&ready));
    site.restart();
    (site, ready)
}

#[test]
fn a_claimed_file_that_was_not_taken_is_put_back_and_settles_anew() {
    let (mut site, ready) = left(After::Delete);
    let look = site.look(0);
    assert_eq!((settling(&look), look.files), (vec![("a.csv".to_owned(), Some(2))], 1));
    assert!(site.has("a.csv") && !site.has(".wharf/a.csv"));
    assert_eq!(site.look(2).ready, [ready]);
}

#[test]
fn a_file_that_was_written_to_after_it_was_taken_is_known_by_its_stamp_wherever_it_lies() {
    let (site, ready) = left(After::Delete);
    assert!(!was_written_to(&ready.path, &ready.stamp));
    append(&site.path(".wharf/a.csv"), "more");
    assert!(was_written_to(&ready.path, &ready.stamp));
    fs::rename(site.path(".wharf/a.csv"), &ready.path).unwrap();
    assert!(was_written_to(&ready.path, &ready.stamp), "put back by now");
    fs::remove_file(&ready.path).unwrap();
    site.write("other.csv", "another", 100);
    fs::rename(site.path("other.csv"), &ready.path).unwrap();
    assert!(!was_written_to(&ready.path, &ready.stamp), "another file of its name");
}

#[test]
fn a_claimed_file_that_was_taken_is_only_settled() {
    let (mut site, ready) = left(After::Delete);
    site.note(&ready);
    let look = site.look(0);
    assert_eq!((look.known.len(), look.ready.len(), look.settling.len(), look.files), (1, 0, 0, 1));
    assert_eq!((&look.known[0].path, &look.known[0].at), (&ready.path, &site.path(".wharf/a.csv")));
    site.source.settle(site.claim(&look.known[0])).unwrap();
    assert_eq!(site.look(1).files, 0);
    assert!(!site.has(".wharf"));
}

#[test]
fn a_known_file_that_is_left_does_not_disturb_a_new_one_of_its_name() {
    let (mut site, ready) = left(After::Delete);
    site.note(&ready);
    site.write("a.csv", "second", 200);
    let look = site.look(0);
    assert_eq!((look.known.len(), settling(&look)), (1, vec![("a.csv".to_owned(), None)]));
    assert!(site.look(5).ready.is_empty());
    site.source.settle(site.claim(&look.known[0])).unwrap();
    assert_eq!(fs::read(site.path("a.csv")).unwrap(), b"second");
    assert_eq!(names(&site.look(6).ready), ["a.csv"]);
}

#[test]
fn a_file_with_both_names_is_one_file() {
    let (mut site, _) = left(After::Delete);
    fs::hard_link(site.path(".wharf/a.csv"), site.path("a.csv")).unwrap();
    // It keeps its place among the others: the same look tells of it.
    assert_eq!(site.look(0).settling.len(), 1);
    assert!(site.has("a.csv") && !site.has(".wharf/a.csv"));
    assert_eq!(names(&site.look(2).ready), ["a.csv"]);
}

#[test]
fn what_an_earlier_setting_left_claimed_is_put_back_for_one_that_keeps() {
    let mut site = Site::new(After::Keep);
    site.write(".wharf/a.csv", "x", 1);
    site.look(0);
    assert!(site.has("a.csv") && !site.has(".wharf/a.csv"));
}

#[test]
fn a_file_that_was_moved_aside_and_has_its_claimed_name_too_is_not_moved_aside_twice() {
    let mut site = Site::with(|aside, options| options.after = After::Move(aside.to_path_buf()));
    let aside = site.folder.with_file_name("aside");
    fs::create_dir_all(&aside).unwrap();
    site.write("a.csv", "x", 1);
    let ready = site.ready().remove(0);
    site.note(&ready);
    let claimed = site.claim(&ready);
    fs::hard_link(site.path(".wharf/a.csv"), aside.join("a.csv")).unwrap();
    site.source.settle(claimed).unwrap();
    assert!(!site.has(".wharf/a.csv") && aside.join("a.csv").exists() && !aside.join("a.csv.2").exists());
}

#[test]
fn a_settling_that_could_not_be_done_is_tried_again() {
    let mut site = Site::with(|aside, options| options.after = After::Move(aside.to_path_buf()));
    let aside = site.folder.with_file_name("aside");
    fs::write(&aside, "in the way").unwrap();
    site.write("a.csv", "x", 1);
    let ready = site.ready().remove(0);
    site.note(&ready);
    assert!(site.source.settle(site.claim(&ready)).is_err());
    fs::remove_file(&aside).unwrap();
    let known = site.look(3).known;
    site.source.settle(site.claim(&known[0])).unwrap();
    assert!(aside.join("a.csv").exists() && !site.has(".wharf/a.csv"));
}
