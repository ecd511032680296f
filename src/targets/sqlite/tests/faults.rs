//! Loads happen once or not at all, and what ails the database is said about the database.

use super::*;

fn lasting(result: Result<Begun, TargetError>) -> String {
    match result {
        Err(TargetError::Lasting(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it began"),
    }
}

#[test]
fn a_delivery_is_loaded_once() {
    let place = Place::new();
    let (spec, delivery) = (pair(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    let tally = Tally { read: 3, inserted: 1, rejected: 2, ..Tally::default() };
    load.seal(&tally, ContentHash([7; 32])).unwrap();
    load.commit().unwrap();
    let Begun::Already(committed) = begin(&place.target(), &spec, delivery).unwrap() else {
        panic!("it is loaded")
    };
    assert_eq!((committed.tally, committed.rejects), (tally, ContentHash([7; 32])));
    let other_site = place.target().begin(LoadId { site: "other", delivery }, &spec, schema(&spec)).unwrap();
    assert!(matches!(other_site, Begun::Open(_)));
}

#[test]
fn a_load_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let (spec, delivery) = (pair(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.seal(&Tally { read: 1, inserted: 1, ..Tally::default() }, ContentHash([0; 32])).unwrap();
    drop(load);
    assert_eq!(place.rows(&["count(*)"], "FROM sqlite_schema"), ["0"]);
    assert!(matches!(begin(&place.target(), &spec, delivery), Ok(Begun::Open(_))));
}

#[test]
fn others_see_all_of_a_load_or_nothing() {
    let place = Place::with("PRAGMA journal_mode = WAL; CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)");
    let reader = Connection::open(&place.path).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    let spec = pair();
    let mut load = open(&place.target(), &spec, fresh());
    load.write(&batch(&spec, &pairs(&[("a", "1"), ("b", "2")]))).unwrap();
    assert_eq!(count(), 0);
    finish(load, 0);
    assert_eq!(count(), 2);
}

#[test]
fn a_large_log_is_copied_into_the_database_when_the_load_ends() {
    let place = Place::new();
    let (spec, target) = (pair(), place.target());
    let log_bytes = || place.path.with_extension("db-wal").metadata().unwrap().len();
    let mut load = open(&target, &spec, fresh());
    let long = "v".repeat(2_000);
    load.write(&batch(
        &spec,
        &(0..3_000).map(|n| vec![text(&n.to_string()), text(&long)]).collect::<Vec<_>>(),
    ))
    .unwrap();
    finish(load, 0);
    assert_eq!(log_bytes(), 0);
    finish(open(&target, &spec, fresh()), 0);
    assert!(log_bytes() > 0, "a small load leaves its copy to a later one");
}

#[test]
fn a_database_put_in_place_of_another_is_the_one_that_is_loaded() {
    let (place, backup) = (Place::new(), Place::new());
    let (spec, target) = (pair(), place.target());
    finish(open(&target, &spec, fresh()), 0);
    backup.load(&spec, &pairs(&[("from", "backup")]));
    std::fs::rename(&backup.path, &place.path).unwrap();
    // The old file's log is not that of the new one.
    for beside in ["db-wal", "db-shm"] {
        std::fs::remove_file(place.path.with_extension(beside)).unwrap();
    }
    let mut load = open(&target, &spec, fresh());
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    finish(load, 0);
    drop(target);
    assert_eq!(place.rows(&["k"], "FROM t ORDER BY k"), ["'a'", "'from'"]);
}

#[test]
fn a_load_into_a_file_that_was_replaced_meanwhile_does_not_commit() {
    let place = Place::new();
    let spec = pair();
    let mut load = open(&place.target(), &spec, fresh());
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.seal(&Tally { read: 1, inserted: 1, ..Tally::default() }, ContentHash([0; 32])).unwrap();
    std::fs::remove_file(&place.path).unwrap();
    let error = load.commit().unwrap_err();
    assert!(matches!(&error, TargetError::Passing(text) if text.contains("replaced")), "{error}");
}

#[test]
fn many_loads_through_one_target_each_begin_afresh() {
    let place = Place::new();
    let (spec, target) = (pair(), place.target());
    for n in 0..5 {
        let mut load = open(&target, &spec, fresh());
        load.write(&batch(&spec, &pairs(&[("a", "1"), (&n.to_string(), "2")]))).unwrap();
        let tally = finish(load, 0);
        assert_eq!((tally.inserted, tally.unchanged), if n == 0 { (2, 0) } else { (1, 1) });
        drop(open(&target, &spec, fresh()));
        place.run("CREATE TABLE IF NOT EXISTS other (x); CREATE INDEX IF NOT EXISTS i ON t (v)");
    }
    assert_eq!(place.rows(&["count(*)"], "FROM t"), ["6"]);
    assert_eq!(place.rows(&["count(*)"], "FROM _wharf_loads"), ["5"]);
}

#[test]
fn a_table_that_others_changed_between_loads_is_compared_again() {
    let place = Place::new();
    let (spec, target) = (pair(), place.target());
    let load = |key| {
        let mut load = open(&target, &spec, fresh());
        load.write(&batch(&spec, &pairs(&[(key, "1")]))).unwrap();
        finish(load, 0);
    };
    load("a");
    load("b");
    place.run("ALTER TABLE t RENAME COLUMN v TO w");
    assert!(matches!(begin(&target, &spec, fresh()), Err(TargetError::Misfit(_))));
    place.run("ALTER TABLE t RENAME COLUMN w TO v; DROP TABLE _wharf_loads");
    load("c");
    assert_eq!(place.rows(&["k", "v"], "FROM t"), ["'a','1'", "'b','1'", "'c','1'"]);
    assert_eq!(place.rows(&["count(*)"], "FROM _wharf_loads"), ["1"]);
}

#[test]
fn only_a_sealed_load_commits_and_only_a_balanced_tally_seals() {
    let place = Place::new();
    assert!(open(&place.target(), &pair(), fresh()).commit().is_err());
    let mut load = open(&place.target(), &pair(), fresh());
    assert!(load.seal(&Tally { read: 1, ..Tally::default() }, ContentHash([0; 32])).is_err());
    drop(load);
    assert_eq!(place.rows(&["count(*)"], "FROM sqlite_schema"), ["0"]);
}

#[test]
fn a_second_writer_is_told_to_come_back() {
    let place = Place::new();
    let first = open(&place.target(), &pair(), fresh());
    assert!(
        matches!(begin(&place.target(), &pair(), fresh()), Err(TargetError::Passing(text)) if text.contains("locked"))
    );
    finish(first, 0);
    finish(open(&place.target(), &pair(), fresh()), 0);
}

#[test]
fn a_deferred_foreign_key_fails_the_load_and_says_why() {
    let place = Place::with(
        "CREATE TABLE p (id TEXT PRIMARY KEY);
         CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    let spec = pair();
    let mut load = open(&place.target(), &spec, fresh());
    assert!(load.write(&batch(&spec, &pairs(&[("a", "nobody")]))).unwrap().is_empty());
    load.seal(&Tally { read: 1, inserted: 1, ..Tally::default() }, ContentHash([0; 32])).unwrap();
    let error = load.commit().unwrap_err();
    assert!(matches!(&error, TargetError::Lasting(text) if text.contains("DEFERRED")), "{error}");
    assert_eq!(place.rows(&["count(*)"], "FROM t"), ["0"]);
}

#[test]
fn files_that_are_no_databases_are_named() {
    let place = Place::new();
    std::fs::write(&place.path, "order_no;amount\n".repeat(200)).unwrap();
    assert!(lasting(begin(&place.target(), &pair(), fresh())).contains("is not an SQLite database"));
    assert!(matches!(place.target().fit(&pair()), Err(TargetError::Lasting(_))));
}

#[test]
fn paths_that_cannot_be_are_named_with_what_to_do() {
    let place = Place::new();
    let folder = place.path.parent().unwrap();
    let at = |path: PathBuf| SqliteTarget::open(path, SqliteOptions::default()).unwrap();
    let text = lasting(begin(&at(folder.join("none/w.db")), &pair(), fresh()));
    assert!(text.contains("does not exist: create it") && text.contains("none"), "{text}");
    assert!(lasting(begin(&at(folder.to_owned()), &pair(), fresh())).contains("is a folder"));
    assert!(lasting(begin(&at(folder.join("a\0b")), &pair(), fresh())).contains(r"a\u{0}b"));
    assert!(SqliteTarget::open("", SqliteOptions::default()).is_err());
    let loads = |name: &str| SqliteOptions { loads_table: name.to_owned(), ..SqliteOptions::default() };
    assert!(SqliteTarget::open(&place.path, loads("sqlite_loads")).is_err());
    assert!(SqliteTarget::open(&place.path, loads("")).is_err());
}

#[test]
fn a_damaged_database_is_a_lasting_fault_and_no_reject() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)");
    place.load(&pair(), &(0..2000).map(|n| vec![text(&format!("{n:05}")), text("v")]).collect::<Vec<_>>());
    let mut bytes = std::fs::read(&place.path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&place.path, bytes).unwrap();
    assert!(lasting(begin(&place.target(), &pair(), fresh())).contains("is damaged"));
}

#[test]
fn a_loads_row_of_another_hand_is_not_believed() {
    let place = Place::new();
    let (spec, delivery) = (pair(), fresh());
    finish(open(&place.target(), &spec, delivery), 0);
    place.run("UPDATE _wharf_loads SET tally = 'all of it'");
    assert!(lasting(begin(&place.target(), &spec, delivery)).contains("another hand"));
}

#[test]
fn a_loads_table_of_something_else_is_named() {
    let place = Place::with("CREATE TABLE _wharf_loads (truck TEXT)");
    assert!(lasting(begin(&place.target(), &pair(), fresh())).contains("another `loads_table`"));
}

#[test]
fn batches_of_other_columns_are_a_fault() {
    let place = Place::new();
    let mut load = open(&place.target(), &pair(), fresh());
    let other = spec(vec![column("k", ValueType::Text)], 1);
    assert!(load.write(&batch(&other, &[vec![text("a")]])).is_err());
}

#[test]
fn a_load_can_move_between_threads() {
    let place = Place::new();
    let mut load = open(&place.target(), &pair(), fresh());
    let rows = batch(&pair(), &pairs(&[("a", "1")]));
    let load = std::thread::spawn(move || {
        assert!(load.write(&rows).unwrap().is_empty());
        load
    });
    assert_eq!(finish(load.join().unwrap(), 0).inserted, 1);
}
