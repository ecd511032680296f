use super::*;

fn site(after: After) -> Site {
    Site::with(|_, options| {
        options.manifest = Some(ending(".manifest"));
        options.after = after;
    })
}

fn waits(name: &str) -> (String, Option<u64>) {
    (name.to_owned(), None)
}

#[test]
fn files_are_ready_together_once_all_that_the_manifest_names_are_there() {
    let mut site = site(After::Delete);
    site.write("a.csv", "1234567890", 100);
    site.write("b.csv", "12345", 100);
    site.write("x.csv", "named by none", 100);
    site.write("batch.manifest", "a.csv;10\nb.csv;5\nc.csv\n", 100);
    site.look(0);
    let look = site.look(2);
    assert_eq!(settling(&look), [waits("a.csv"), waits("b.csv"), waits("x.csv")]);
    assert_eq!(asides(&look), ["batch.manifest names c.csv, which is not there"]);
    site.write("c.csv", "", 100);
    // It came after the manifest, so it is given time.
    assert_eq!(settling(&site.look(3))[0], ("a.csv".to_owned(), Some(5)));
    let look = site.look(5);
    assert_eq!(names(&look.ready), ["a.csv", "b.csv", "c.csv"]);
    assert_eq!(look.ready[0].evidence, "named by batch.manifest");
    assert_eq!(look.ready[2].evidence, "named by batch.manifest, and unchanged for 2 s");
    assert_eq!((settling(&look), asides(&look).len()), (vec![waits("x.csv")], 0));
}

#[test]
fn a_file_of_another_size_holds_the_batch_back() {
    let mut site = site(After::Delete);
    site.write("a.csv", "1234567890", 100);
    site.write("batch.manifest", "a.csv\t20\nb.csv\nc.csv\n", 100);
    site.look(0);
    let expected = "batch.manifest names a.csv, which has 10 bytes instead of 20, and 2 more of its files are not there \
                    or have another size";
    assert_eq!(asides(&site.look(2)), [expected]);
}

#[test]
fn a_manifest_that_names_itself_or_another_one_is_finished_with_its_files() {
    let mut site = site(After::Delete);
    site.write("a.csv", "x", 100);
    for name in ["batch.manifest", "other.manifest"] {
        site.write(name, "a.csv\nbatch.manifest\nother.manifest\n", 100);
    }
    site.look(0);
    let ready = site.look(2).ready.remove(0);
    site.source.settle(site.claim(&ready)).unwrap();
    site.look(3);
    site.look(4);
    assert!(!site.has(".wharf") && !site.has("batch.manifest") && !site.has("other.manifest"));
}

#[test]
fn a_manifest_is_not_read_while_it_is_written() {
    let mut site = site(After::Delete);
    site.write("a.csv", "x", 100);
    site.write("batch.manifest", "a.csv\n", 100);
    site.look(0);
    append(&site.path("batch.manifest"), "b.csv\n");
    let look = site.look(2);
    assert_eq!((settling(&look), asides(&look).len()), (vec![waits("a.csv")], 0));
    assert_eq!(look.due, Some(Duration::from_secs(4)), "nothing else tells when it can be read");
    assert_eq!(asides(&site.look(4)), ["batch.manifest names b.csv, which is not there"]);
}

#[test]
fn a_released_batch_stays_ready_when_its_first_files_are_gone_and_after_a_crash() {
    let mut site = site(After::Delete);
    site.write("a.csv", "x", 100);
    site.write("b.csv", "x", 100);
    site.write("batch.manifest", "a.csv\nb.csv\n", 100);
    let ready = site.ready();
    assert!(!site.has("batch.manifest") && site.has(".wharf/batch.manifest"));
    site.source.settle(site.claim(&ready[0])).unwrap();
    assert_eq!(names(&site.look(3).ready), ["b.csv"]);
    site.restart();
    assert_eq!(names(&site.look(0).ready), ["b.csv"]);
    let second = site.claim(&ready[1]);
    site.look(1);
    assert!(site.has(".wharf/batch.manifest"), "one of its files is in hand");
    site.source.settle(second).unwrap();
    assert_eq!(site.look(2).files, 1);
    assert!(!site.has(".wharf/batch.manifest"));
    assert_eq!(site.look(3).files, 0);
    assert!(!site.has(".wharf"));
}

#[test]
fn a_file_of_a_released_batch_that_was_claimed_when_the_program_was_killed_is_ready_again() {
    let mut site = site(After::Delete);
    site.write("a.csv", "x", 100);
    site.write("batch.manifest", "a.csv\n", 100);
    let ready = site.ready();
    std::mem::forget(site.claim(&ready[0]));
    site.restart();
    assert_eq!(site.look(0).ready, ready);
}

#[test]
fn a_manifest_is_moved_aside_with_its_files() {
    let mut site = Site::with(|aside, options| {
        options.manifest = Some(ending(".manifest"));
        options.after = After::Move(aside.to_path_buf());
    });
    site.write("a.csv", "x", 100);
    site.write("batch.manifest", "a.csv\n", 100);
    let ready = site.ready();
    site.source.settle(site.claim(&ready[0])).unwrap();
    site.look(3);
    let aside = site.folder.with_file_name("aside");
    assert!(aside.join("a.csv").exists() && aside.join("batch.manifest").exists());
}

#[test]
fn a_new_manifest_waits_until_the_earlier_one_of_its_name_is_finished() {
    let mut site = site(After::Delete);
    site.write("a.csv", "x", 100);
    site.write("batch.manifest", "a.csv\n", 100);
    let ready = site.ready();
    site.write("b.csv", "x", 101);
    site.write("batch.manifest", "b.csv\n", 101);
    site.look(3);
    let look = site.look(5);
    assert_eq!((names(&look.ready), settling(&look)), (vec!["a.csv".to_owned()], vec![waits("b.csv")]));
    assert!(asides(&look)[0].starts_with("an earlier manifest of this name"));
    site.source.settle(site.claim(&ready[0])).unwrap();
    site.look(6);
    assert_eq!(names(&site.look(7).ready), ["b.csv"]);
}

#[test]
fn a_kept_batch_is_not_touched_and_stays_complete() {
    let mut site = site(After::Keep);
    site.write("a.csv", "x", 100);
    site.write("b.csv", "x", 100);
    site.write("batch.manifest", "a.csv\nb.csv\n", 100);
    let ready = site.ready();
    assert_eq!(names(&ready), ["a.csv", "b.csv"]);
    site.note(&ready[0]);
    assert_eq!(names(&site.look(3).ready), ["b.csv"]);
    // The partner tidies up.
    fs::remove_file(site.path("a.csv")).unwrap();
    let look = site.look(4);
    assert_eq!((names(&look.ready), asides(&look).len()), (vec!["b.csv".to_owned()], 0));
    assert!(site.has("batch.manifest") && !site.has(".wharf"));
}

#[test]
fn a_manifest_that_cannot_be_followed_is_told() {
    let mut site = site(After::Delete);
    site.write("batch.manifest", "../a.csv\n", 100);
    site.write("empty.manifest", "", 100);
    site.look(0);
    let why = asides(&site.look(2));
    assert!(why[0].starts_with("line 1 names ../a.csv, which is not a plain file name"), "{why:?}");
    assert_eq!(why[1], "it names no file; list one file name a line");
    assert!(site.has("batch.manifest"));
}

#[test]
fn a_batch_that_needs_markers_too_waits_for_those() {
    let mut site = Site::with(|_, options| {
        options.manifest = Some(ending(".manifest"));
        options.marker = Some(Marker::parse("{name}.done").unwrap());
    });
    site.write("a.csv", "x", 100);
    site.write("batch.manifest", "a.csv\n", 100);
    assert!(site.ready().is_empty());
    site.write("a.csv.done", "", 101);
    assert_eq!(site.look(3).ready[0].evidence, "named by batch.manifest, and a.csv.done is there");
}
