use super::*;

#[test]
fn a_file_waits_for_its_marker_and_not_for_time() {
    let mut site = Site::with_marker("{name}.done");
    site.write("orders.csv", "x", 100);
    assert_eq!(settling(&site.look(0)), [("orders.csv".to_owned(), None)]);
    assert!(site.look(100).ready.is_empty());
    site.write("orders.csv.done", "", 101);
    let ready = site.look(101).ready;
    assert_eq!(names(&ready), ["orders.csv"]);
    assert_eq!(ready[0].evidence, "orders.csv.done is there");
    assert_eq!(ready[0].marker, Some(site.path("orders.csv.done")));
}

#[test]
fn the_marker_goes_with_its_file() {
    let mut site = Site::with_marker("{stem}.ok");
    site.write("orders.csv", "x", 100);
    site.write("orders.ok", "", 100);
    let ready = site.look(0).ready;
    let claimed = site.claim(&ready[0]);
    let look = site.look(10);
    assert_eq!((look.ready.len(), asides(&look).len()), (0, 0), "its file is in hand");
    site.source.settle(claimed).unwrap();
    assert!(!site.has("orders.csv") && !site.has("orders.ok"));

    let mut site = Site::with(|aside, options| {
        options.marker = Some(Marker::parse("{name}.done").unwrap());
        options.after = After::Move(aside.to_path_buf());
    });
    site.write("a.csv", "x", 100);
    site.write("a.csv.done", "", 100);
    let ready = site.look(0).ready;
    site.source.settle(site.claim(&ready[0])).unwrap();
    let aside = site.folder.with_file_name("aside");
    assert!(aside.join("a.csv").exists() && aside.join("a.csv.done").exists());
    assert!(!site.has("a.csv.done"));
}

#[test]
fn a_marker_that_was_written_anew_stays_for_the_next_file() {
    let mut site = Site::with_marker("{name}.done");
    site.write("a.csv", "first", 100);
    site.write("a.csv.done", "", 100);
    let ready = site.look(0).ready;
    let claimed = site.claim(&ready[0]);
    site.write("a.csv", "second", 200);
    site.write("a.csv.done", "", 200);
    site.source.settle(claimed).unwrap();
    assert!(site.has("a.csv.done") && !site.has(".wharf/a.csv"));
    assert_eq!(fs::read(site.path("a.csv")).unwrap(), b"second");
}

#[test]
fn a_marker_older_than_the_file_is_not_believed_alone() {
    let mut site = Site::with_marker("{name}.done");
    site.write("orders.csv", "x", 100);
    site.write("orders.csv.done", "", 99);
    assert_eq!(settling(&site.look(0)), [("orders.csv".to_owned(), Some(2))]);
    assert_eq!(site.look(2).ready[0].evidence, "orders.csv.done is there, and unchanged for 2 s");
}

#[test]
fn a_marker_that_was_there_before_the_file_is_not_believed_alone() {
    let mut site = Site::with_marker("{name}.done");
    site.write("orders.csv.done", "", 100);
    assert!(site.look(0).settling.is_empty());
    // The file keeps an old time of change.
    site.write("orders.csv", "x", 1);
    assert_eq!(settling(&site.look(1)), [("orders.csv".to_owned(), Some(3))]);
    append(&site.path("orders.csv"), "y");
    set_modified(&site.path("orders.csv"), 1);
    assert_eq!(settling(&site.look(3)), [("orders.csv".to_owned(), Some(5))]);
    assert_eq!(site.look(5).ready[0].evidence, "orders.csv.done is there, and unchanged for 2 s");
}

#[test]
fn markers_are_never_data_and_only_of_files_that_are_taken() {
    let mut site = Site::with(|_, options| {
        options.takes = any();
        options.marker = Some(Marker::parse("{name}.done").unwrap());
    });
    site.write("a", "x", 100);
    site.write("a.done", "", 100);
    assert_eq!(names(&site.look(0).ready), ["a"]);

    // a.txt is not taken, so a.txt.done is a file like any other.
    let mut site = Site::with(|_, options| {
        options.takes = Arc::new(|name: &str| name.ends_with(".done") || name.ends_with(".csv"));
        options.marker = Some(Marker::parse("{name}.done").unwrap());
    });
    site.write("a.txt.done", "", 100);
    let look = site.look(0);
    assert_eq!((settling(&look), asides(&look).len()), (vec![("a.txt.done".to_owned(), None)], 0));
}

#[test]
fn a_marker_whose_file_never_came_is_told_after_the_quiet_period() {
    for (template, name, why) in [
        ("{name}.done", "orders.csv.done", "orders.csv.done is there, but no orders.csv"),
        ("{stem}.ok", "orders.ok", "orders.ok is there, but no orders.*"),
    ] {
        let mut site = Site::with_marker(template);
        site.write(name, "", 100);
        assert!(asides(&site.look(0)).is_empty());
        assert_eq!(asides(&site.look(2)), [why]);
        site.write("orders.csv", "x", 101);
        assert!(asides(&site.look(3)).is_empty());
    }
}

#[test]
fn a_file_that_shares_the_stem_of_one_that_is_not_ours_is_no_lonely_marker() {
    let mut site = Site::with_marker("{stem}.ok");
    site.write("readme.txt", "x", 100);
    site.write("readme.ok", "", 100);
    site.look(0);
    assert!(asides(&site.look(5)).is_empty());
}

#[test]
fn kept_files_that_are_known_keep_their_markers_in_peace() {
    let mut site = Site::with(|_, options| {
        options.marker = Some(Marker::parse("{name}.done").unwrap());
        options.after = After::Keep;
    });
    site.write("a.csv", "x", 100);
    site.write("a.csv.done", "", 100);
    let ready = site.look(0).ready;
    site.note(&ready[0]);
    site.source.settle(site.claim(&ready[0])).unwrap();
    for second in [1, 10] {
        let look = site.look(second);
        assert_eq!((look.ready.len(), look.settling.len(), look.asides.len()), (0, 0, 0));
    }
    assert!(site.has("a.csv.done"));
}
