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
    load(&backup, &spec, &pairs(&[("from", "backup")]));
    std::fs::rename(&backup.path, &place.path).unwrap();
    // The old file's log is not that of the new one.
    for beside in ["db-wal", "db-shm"] {
        std::fs::remove_file(place.path.with_extension(beside)).unwrap();
    }
    let mut load = open(&target, &spec, fresh());
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    finish(load, 0);
    drop(target);
    assert_eq!(place.stored(&["k"], "FROM t ORDER BY k"), ["'a'", "'from'"]);
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
    assert_eq!(place.stored(&["count(*)"], "FROM t"), ["0"]);
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
    load(&place, &pair(), &(0..2000).map(|n| vec![text(&format!("{n:05}")), text("v")]).collect::<Vec<_>>());
    let mut bytes = std::fs::read(&place.path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&place.path, bytes).unwrap();
    assert!(lasting(begin(&place.target(), &pair(), fresh())).contains("is damaged"));
}
