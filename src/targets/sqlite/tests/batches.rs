//! Loads that are committed batch by batch.

use super::*;
use crate::targets::sqlite::{errors::Faults, idle, load};
use crate::targets::{Mark, Progress, Remembered};

const NONE: ContentHash = ContentHash([0; 32]);
const WORK: ContentHash = ContentHash([1; 32]);

fn by_batch() -> TableSpec {
    TableSpec { commit: Commit::Batch, ..pair() }
}

fn mark(record: u64) -> Mark {
    Mark { record, rejects: NONE, work: WORK }
}

fn id(delivery: DeliveryId) -> LoadId<'static> {
    LoadId { site: "site", delivery }
}

fn resumed(place: &Place, spec: &TableSpec, delivery: DeliveryId) -> (Box<dyn Load>, Progress) {
    match begin(&place.target(), spec, delivery).unwrap() {
        Begun::Resumed(load, progress) => (load, progress),
        Begun::Open(_) => panic!("it begins anew"),
        Begun::Already(_) => panic!("it is loaded"),
    }
}

#[test]
fn what_stands_before_a_mark_stays_and_what_stands_after_it_is_undone() {
    let place = Place::new();
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1"), ("b", "1")]))).unwrap();
    load.mark(&mark(2)).unwrap();
    load.write(&batch(&spec, &pairs(&[("c", "1")]))).unwrap();
    assert_eq!(load.counts().inserted, 3);
    drop(load);
    assert_eq!(place.rows(&["k"], "FROM t ORDER BY k"), ["'a'", "'b'"]);
    let (_, progress) = resumed(&place, &spec, delivery);
    assert_eq!((progress.mark, progress.counts.inserted), (mark(2), 2));
    assert_eq!(place.target().remembers(id(delivery)).unwrap(), Remembered::Part(progress));
}

#[test]
fn a_resumed_load_ends_with_the_counts_of_the_whole_delivery() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('a', '0')");
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1"), ("b", "1")]))).unwrap();
    load.mark(&mark(2)).unwrap();
    drop(load);
    let (mut load, _) = resumed(&place, &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("c", "1")]))).unwrap();
    load.mark(&Mark { rejects: ContentHash([9; 32]), ..mark(3) }).unwrap();
    drop(load);
    let (mut load, progress) = resumed(&place, &spec, delivery);
    assert_eq!((progress.mark.record, progress.mark.rejects), (3, ContentHash([9; 32])));
    load.write(&batch(&spec, &pairs(&[("d", "1")]))).unwrap();
    let tally = finish(load, 0);
    assert_eq!((tally.read, tally.inserted, tally.updated), (4, 3, 1));
    let Begun::Already(committed) = begin(&place.target(), &spec, delivery).unwrap() else {
        panic!("it is loaded")
    };
    assert_eq!(committed.tally, tally);
    assert_eq!(place.target().remembers(id(delivery)).unwrap(), Remembered::Whole);
    assert_eq!(place.rows(&["state", "progress"], "FROM _wharf_loads"), ["'loaded',NULL"]);
}

#[test]
fn a_load_that_starts_over_counts_what_it_finds() {
    let place = Place::new();
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1"), ("b", "1")]))).unwrap();
    load.mark(&mark(2)).unwrap();
    drop(load);
    let (mut load, _) = resumed(&place, &spec, delivery);
    load.start_over().unwrap();
    load.write(&batch(&spec, &pairs(&[("a", "1"), ("b", "2"), ("c", "1")]))).unwrap();
    let tally = finish(load, 0);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 1, 1));
}

#[test]
fn others_may_write_between_two_marks() {
    let place = Place::new();
    let spec = by_batch();
    let mut load = open(&place.target(), &spec, fresh());
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.mark(&mark(1)).unwrap();
    let other = Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    assert_eq!(other.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    other.execute_batch("COMMIT").unwrap();
    load.write(&batch(&spec, &pairs(&[("b", "1")]))).unwrap();
    assert_eq!(finish(load, 0).inserted, 2);
}

#[test]
fn a_table_that_changes_between_two_marks_ends_the_load_for_another_attempt() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)");
    let faults = Faults::new(place.path.clone());
    let connection = Connection::open(&place.path).unwrap();
    let version = idle::schema_version(&connection).unwrap();
    load::go_on(&connection, &faults, version).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    place.run("ALTER TABLE t ADD COLUMN other");
    let error = load::go_on(&connection, &faults, version).unwrap_err();
    assert!(matches!(error, TargetError::Passing(_)), "{error:?}");
}

#[test]
fn a_loads_table_of_before_gets_its_column_for_progress() {
    let place = Place::with(
        "CREATE TABLE _wharf_loads (site TEXT NOT NULL, delivery TEXT NOT NULL, part INTEGER NOT NULL DEFAULT 0,
         state TEXT NOT NULL, tally TEXT, rejects TEXT, PRIMARY KEY (site, delivery, part))",
    );
    let (spec, delivery) = (by_batch(), fresh());
    assert_eq!(place.target().remembers(id(delivery)).unwrap(), Remembered::Nothing);
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.mark(&mark(1)).unwrap();
    drop(load);
    assert_eq!(place.rows(&["state"], "FROM _wharf_loads WHERE progress IS NOT NULL"), ["'part'"]);
}

#[test]
fn progress_that_another_hand_changed_is_a_fault_that_says_so() {
    let place = Place::new();
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.mark(&mark(1)).unwrap();
    drop(load);
    place.run("UPDATE _wharf_loads SET progress = 'soon'");
    let Err(TargetError::Lasting(text)) = begin(&place.target(), &spec, delivery) else { panic!("it began") };
    assert!(text.contains("was changed by another hand"), "{text}");
}
