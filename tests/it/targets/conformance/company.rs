//! Others read and write the same tables while a load runs.

use std::thread;

use wharf::targets::{Begun, LoadId, Remembered, TargetError};

use super::*;

cases![
    a_reader_sees_all_of_a_load_or_nothing: Atomic,
    a_second_attempt_at_a_delivery_waits_for_the_first_and_then_sees_it: Atomic,
    a_second_attempt_goes_on_when_the_first_is_undone: Atomic,
    an_attempt_that_waits_too_long_is_told_to_come_back: Atomic,
    a_writer_of_another_row_is_no_trouble,
    a_writer_of_the_same_row_who_is_done_first_is_seen,
    a_writer_of_the_same_row_who_is_not_done_is_waited_for_or_come_back_to: Atomic,
    a_comparison_neither_waits_for_writers_nor_keeps_them_waiting_and_sees_one_state: Atomic,
    a_reader_keeps_no_load_from_ending,
];

fn a_reader_sees_all_of_a_load_or_nothing(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1"), ("b", "1")]));
    let reader = database.outside();
    let seen = || {
        let rows = reader.rows("SELECT k, v FROM t ORDER BY k");
        rows.into_iter().map(|row| row.into_iter().flatten().collect::<String>()).collect::<Vec<_>>()
    };
    let spec = pair();
    let mut load = open(&*database.target(), &spec, fresh());
    for (at, rows) in [[("a", "2"), ("c", "2")], [("b", "2"), ("d", "2")]].iter().enumerate() {
        load.write(&later(batch(&spec, &pairs(rows)), at as u64 * 2)).unwrap();
        assert_eq!(seen(), ["a1", "b1"]);
    }
    load.finish().unwrap();
    assert_eq!(seen(), ["a1", "b1"]);
    load.seal(&balanced(&*load, 0), wharf::model::ContentHash([0; 32])).unwrap();
    assert_eq!(seen(), ["a1", "b1"]);
    load.commit().unwrap();
    assert_eq!(seen(), ["a2", "b2", "c2", "d2"]);
}

/// Begins the same delivery while another attempt at it is open, which `end` then ends; gives what became of the second.
/// It is begun again where it is told to come back.
fn second_attempt(database: &dyn Database, end: fn(Box<dyn wharf::targets::Load>)) -> &'static str {
    let (spec, delivery) = (pair(), fresh());
    load(database, &spec, &[]);
    let (first, second) = (database.target(), database.target());
    let mut load = open(&*first, &spec, delivery);
    write(&mut *load, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                match begin(&*second, &spec, delivery) {
                    Ok(Begun::Already(committed)) => {
                        return (committed.tally.inserted == 1).then_some("already");
                    }
                    Ok(_) => return Some("open"),
                    Err(TargetError::Passing(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        end(load);
        waiting.join().unwrap().expect("the tally of the first")
    })
}

fn a_second_attempt_at_a_delivery_waits_for_the_first_and_then_sees_it(database: &dyn Database) {
    assert_eq!(
        second_attempt(database, |load| {
            finish(load, 0);
        }),
        "already"
    );
}

fn a_second_attempt_goes_on_when_the_first_is_undone(database: &dyn Database) {
    assert_eq!(second_attempt(database, drop), "open");
}

fn an_attempt_that_waits_too_long_is_told_to_come_back(database: &dyn Database) {
    let (spec, delivery) = (pair(), fresh());
    load(database, &spec, &[]);
    let (first, second) = (database.target(), database.target());
    let load = open(&*first, &spec, delivery);
    let error = begin(&*second, &spec, delivery).err();
    assert!(matches!(&error, Some(TargetError::Passing(text)) if text.contains("lock")), "{error:?}");
    finish(load, 0);
    assert_eq!(second.remembers(LoadId { site: "site", delivery }).unwrap(), Remembered::Whole);
}

/// Writes rows while somebody else has a transaction open in which `theirs` was done, and who commits after the rows were
/// sent, or when the load has been told to come back. Gives the rows and the counts in the end.
fn beside(database: &dyn Database, theirs: &str, rows: &[(&str, &str)]) -> (Vec<String>, Tally) {
    let spec = pair();
    let other = database.outside();
    other.run("BEGIN");
    other.run(theirs);
    let target = database.target();
    let attempt = || {
        let Begun::Open(mut load) = begin(&*target, &spec, fresh())? else { panic!("the delivery is new") };
        let refused = write(&mut *load, &[batch(&spec, &pairs(rows))])?;
        let tally = balanced(&*load, refused.len());
        load.seal(&tally, wharf::model::ContentHash([0; 32]))?;
        load.commit().map(|()| tally)
    };
    let tally = match attempt() {
        Ok(tally) => {
            other.run("COMMIT");
            tally
        }
        Err(TargetError::Passing(_)) => {
            other.run("COMMIT");
            attempt().unwrap()
        }
        Err(error) => panic!("{error:?}"),
    };
    (database.texts(&["k", "v"], "FROM t ORDER BY k"), tally)
}

fn a_writer_of_another_row_is_no_trouble(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1"), ("z", "1")]));
    let (rows, tally) =
        beside(database, "UPDATE t SET v = 'theirs' WHERE k = 'z'", &[("a", "2"), ("b", "2")]);
    assert_eq!(rows, ["a,2", "b,2", "z,theirs"]);
    assert_eq!((tally.inserted, tally.updated), (1, 1));
    let (rows, _) = beside(database, "INSERT INTO t VALUES ('y', 'theirs')", &[("a", "3")]);
    assert_eq!(rows, ["a,3", "b,2", "y,theirs", "z,theirs"]);
}

fn a_writer_of_the_same_row_who_is_done_first_is_seen(database: &dyn Database) {
    let spec = pair();
    load(database, &spec, &pairs(&[("a", "1")]));
    database.run("INSERT INTO t VALUES ('b', '2'); UPDATE t SET v = 'theirs' WHERE k = 'a'");
    let (tally, refusals) = load(database, &spec, &pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!((tally.updated, tally.unchanged, refusals), (1, 1, vec![]));
}

fn a_writer_of_the_same_row_who_is_not_done_is_waited_for_or_come_back_to(database: &dyn Database) {
    load(database, &pair(), &[]);
    // Into a table that looks empty.
    let (rows, tally) = beside(database, "INSERT INTO t VALUES ('a', 'theirs')", &[("a", "ours")]);
    assert_eq!((rows, tally.rejected), (vec!["a,ours".to_owned()], 0));
    // An update of the same row, and an insert of the same key.
    let (rows, _) = beside(database, "UPDATE t SET v = 'theirs'", &[("a", "ours2")]);
    assert_eq!(rows, ["a,ours2"]);
    let (rows, tally) = beside(database, "INSERT INTO t VALUES ('b', 'theirs')", &[("b", "ours")]);
    assert_eq!((rows, tally.rejected), (vec!["a,ours2".to_owned(), "b,ours".to_owned()], 0));
    // A row that goes while it is to be updated is there in the end.
    let (rows, _) = beside(database, "DELETE FROM t WHERE k = 'b'", &[("b", "again")]);
    assert_eq!(rows, ["a,ours2", "b,again"]);
}

fn a_comparison_neither_waits_for_writers_nor_keeps_them_waiting_and_sees_one_state(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1")]));
    let target = database.target();
    let mut load_under_way = open(&*target, &pair(), fresh());
    write(&mut *load_under_way, &[batch(&pair(), &pairs(&[("a", "2")]))]).unwrap();
    let beside = database.target();
    let mut comparison = beside.compare(&pair(), schema(&pair())).unwrap();
    finish(load_under_way, 0);
    load(database, &pair(), &pairs(&[("c", "3")]));
    database.run("INSERT INTO t VALUES ('d', '4')");
    comparison.compare(&batch(&pair(), &pairs(&[("a", "1"), ("c", "3"), ("d", "4")])), None).unwrap();
    let tally = comparison.finish().unwrap();
    assert_eq!((tally.unchanged, tally.inserted, tally.updated), (1, 2, 0), "as it stood when it began");
}

fn a_reader_keeps_no_load_from_ending(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1")]));
    let reader = database.outside();
    reader.run("BEGIN");
    assert_eq!(reader.rows("SELECT count(*) FROM t"), [[Some("1".to_owned())]]);
    assert_eq!(load(database, &pair(), &pairs(&[("a", "2"), ("b", "2")])).0.updated, 1);
    reader.run("COMMIT");
    assert_eq!(reader.rows("SELECT count(*) FROM t"), [[Some("2".to_owned())]]);
}
