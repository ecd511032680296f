//! Loads that are committed batch by batch.

use wharf::{
    model::{ContentHash, DeliveryId},
    targets::{Begun, Commit, Load, LoadId, Mark, Progress, Remembered},
};

use super::*;

cases![
    what_stands_before_a_mark_stays_and_what_stands_after_it_is_undone: Resumable,
    a_resumed_load_ends_with_the_counts_of_the_whole_delivery: Resumable,
    a_load_that_starts_over_counts_what_it_finds: Resumable,
    a_load_whose_rows_are_gone_is_lost: Resumable,
    others_may_write_between_two_marks: Resumable,
    refused_rows_before_a_mark_stay_out_when_the_load_is_resumed: Resumable,
];

fn by_batch() -> TableSpec {
    TableSpec { commit: Commit::Batch, ..pair() }
}

fn mark(record: u64) -> Mark {
    Mark { record, rejects: ContentHash([0; 32]), work: ContentHash([1; 32]) }
}

/// Begins a delivery, writes these rows and marks them, and is cut off.
fn begun_and_cut_off(database: &dyn Database, delivery: DeliveryId, rows: &[(&str, &str)]) {
    let mut load = open(&*database.target(), &by_batch(), delivery);
    write(&mut *load, &[batch(&by_batch(), &pairs(rows))]).unwrap();
    load.mark(&mark(rows.len() as u64)).unwrap();
}

#[track_caller]
fn resumed(database: &dyn Database, delivery: DeliveryId) -> (Box<dyn Load>, Progress) {
    match begin(&*database.target(), &by_batch(), delivery).unwrap() {
        Begun::Resumed(load, progress) => (load, progress),
        Begun::Lost(..) => panic!("its rows are gone"),
        Begun::Open(_) => panic!("it begins anew"),
        Begun::Already(_) => panic!("it is loaded"),
    }
}

fn what_stands_before_a_mark_stays_and_what_stands_after_it_is_undone(database: &dyn Database) {
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&*database.target(), &spec, delivery);
    write(&mut *load, &[batch(&spec, &pairs(&[("a", "1"), ("b", "1")]))]).unwrap();
    load.mark(&mark(2)).unwrap();
    write(&mut *load, &[later(batch(&spec, &pairs(&[("c", "1")])), 2)]).unwrap();
    assert_eq!(load.counts().inserted, 3);
    drop(load);
    assert_eq!(database.texts(&["k"], "FROM t ORDER BY k"), ["a", "b"]);
    let (load, progress) = resumed(database, delivery);
    assert_eq!((progress.mark, progress.counts.inserted), (mark(2), 2));
    drop(load);
    let id = LoadId { site: "site", delivery };
    assert_eq!(database.target().remembers(id).unwrap(), Remembered::Part(progress));
}

fn a_resumed_load_ends_with_the_counts_of_the_whole_delivery(database: &dyn Database) {
    let (spec, delivery) = (by_batch(), fresh());
    load(database, &pair(), &pairs(&[("a", "0")]));
    begun_and_cut_off(database, delivery, &[("a", "1"), ("b", "1")]);
    let (mut load, _) = resumed(database, delivery);
    write(&mut *load, &[later(batch(&spec, &pairs(&[("c", "1")])), 2)]).unwrap();
    load.mark(&Mark { rejects: ContentHash([9; 32]), ..mark(3) }).unwrap();
    drop(load);
    let (mut load, progress) = resumed(database, delivery);
    assert_eq!((progress.mark.record, progress.mark.rejects), (3, ContentHash([9; 32])));
    write(&mut *load, &[later(batch(&spec, &pairs(&[("d", "1")])), 3)]).unwrap();
    let tally = finish(load, 0);
    assert_eq!((tally.read, tally.inserted, tally.updated), (4, 3, 1));
    let Begun::Already(committed) = begin(&*database.target(), &spec, delivery).unwrap() else {
        panic!("it is loaded")
    };
    assert_eq!(committed.tally, tally);
    let id = LoadId { site: "site", delivery };
    assert_eq!(database.target().remembers(id).unwrap(), Remembered::Whole);
    assert_eq!(database.count("FROM _wharf_loads WHERE state = 'loaded' AND progress IS NULL"), 2);
}

fn a_load_that_starts_over_counts_what_it_finds(database: &dyn Database) {
    let delivery = fresh();
    begun_and_cut_off(database, delivery, &[("a", "1"), ("b", "1")]);
    let (mut load, _) = resumed(database, delivery);
    load.start_over().unwrap();
    write(&mut *load, &[batch(&by_batch(), &pairs(&[("a", "1"), ("b", "2"), ("c", "1")]))]).unwrap();
    let tally = finish(load, 0);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 1, 1));
}

fn a_load_whose_rows_are_gone_is_lost(database: &dyn Database) {
    for gone in ["DROP TABLE t", "DELETE FROM t"] {
        let (spec, delivery) = (by_batch(), fresh());
        begun_and_cut_off(database, delivery, &[("a", "1"), ("b", "1")]);
        database.run(gone);
        let Begun::Lost(mut load, progress) = begin(&*database.target(), &spec, delivery).unwrap() else {
            panic!("{gone}: it does not go on after rows that are not there")
        };
        assert_eq!(progress.mark, mark(2), "{gone}");
        load.start_over().unwrap();
        write(&mut *load, &[batch(&spec, &pairs(&[("a", "1"), ("b", "1"), ("c", "1")]))]).unwrap();
        assert_eq!(finish(load, 0).inserted, 3, "{gone}");
        database.run("DROP TABLE t");
    }
}

fn others_may_write_between_two_marks(database: &dyn Database) {
    let spec = by_batch();
    let mut load = open(&*database.target(), &spec, fresh());
    write(&mut *load, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
    load.mark(&mark(1)).unwrap();
    assert_eq!(database.count("FROM t"), 1);
    write(&mut *load, &[later(batch(&spec, &pairs(&[("b", "1")])), 1)]).unwrap();
    assert_eq!(database.count("FROM t"), 1);
    assert_eq!(finish(load, 0).inserted, 2);
}

fn refused_rows_before_a_mark_stay_out_when_the_load_is_resumed(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "CHECK (v <> 'x')"));
    let delivery = fresh();
    begun_and_cut_off(database, delivery, &[("a", "1"), ("b", "x"), ("c", "1")]);
    let (mut load, progress) = resumed(database, delivery);
    assert_eq!(progress.counts.inserted, 2);
    let refused =
        write(&mut *load, &[later(batch(&by_batch(), &pairs(&[("d", "x"), ("e", "1")])), 3)]).unwrap();
    assert_eq!((refused.len(), finish(load, 2).inserted), (1, 3));
    assert_eq!(database.texts(&["k"], "FROM t ORDER BY k"), ["a", "c", "e"]);
}
