//! A delivery is loaded once or not at all.

use wharf::{
    model::ContentHash,
    targets::{Begun, LoadId, Remembered, TargetError},
};

use super::*;

cases![
    a_delivery_is_loaded_once_and_remembered_with_its_tally,
    a_load_that_is_dropped_leaves_nothing: Atomic,
    many_loads_through_one_target_each_begin_afresh,
    what_is_remembered_is_told_in_its_order_and_in_parts,
    only_a_sealed_load_commits_and_only_a_balanced_tally_seals: Atomic,
    a_loads_row_of_another_hand_is_not_believed,
    a_loads_table_of_something_else_is_named,
    a_loads_row_that_is_gone_is_a_delivery_that_is_not_there,
    batches_of_other_columns_are_a_fault,
    a_load_can_move_between_threads,
];

fn a_delivery_is_loaded_once_and_remembered_with_its_tally(database: &dyn Database) {
    let (spec, delivery, target) = (pair(), fresh(), database.target());
    let id = LoadId { site: "site", delivery };
    assert_eq!(target.remembers(id).unwrap(), Remembered::Nothing);
    let mut load = open(&*target, &spec, delivery);
    write(&mut *load, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
    let tally = Tally { read: 3, inserted: 1, rejected: 2, ..Tally::default() };
    load.seal(&tally, ContentHash([7; 32])).unwrap();
    load.commit().unwrap();
    let Begun::Already(committed) = begin(&*target, &spec, delivery).unwrap() else { panic!("it is loaded") };
    assert_eq!((committed.tally, committed.rejects), (tally, ContentHash([7; 32])));
    assert_eq!(target.remembers(id).unwrap(), Remembered::Whole);
    let other = LoadId { site: "other", delivery };
    assert_eq!(target.remembers(other).unwrap(), Remembered::Nothing);
    assert!(matches!(target.begin(other, &spec, schema(&spec)).unwrap(), Begun::Open(_)));
}

fn a_load_that_is_dropped_leaves_nothing(database: &dyn Database) {
    let (spec, delivery) = (pair(), fresh());
    for sealed in [false, true] {
        let mut load = open(&*database.target(), &spec, delivery);
        write(&mut *load, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
        if sealed {
            load.seal(&balanced(&*load, 0), ContentHash([0; 32])).unwrap();
        }
        drop(load);
        // The table it had created is gone too.
        assert_eq!(database.target().fit(&spec).unwrap(), wharf::targets::Fit::WouldCreate);
        let id = LoadId { site: "site", delivery };
        assert_eq!(database.target().remembers(id).unwrap(), Remembered::Nothing);
    }
    assert!(matches!(begin(&*database.target(), &spec, delivery), Ok(Begun::Open(_))));
}

fn many_loads_through_one_target_each_begin_afresh(database: &dyn Database) {
    let (spec, target) = (pair(), database.target());
    for n in 0..5 {
        let mut load = open(&*target, &spec, fresh());
        write(&mut *load, &[batch(&spec, &pairs(&[("a", "1"), (&n.to_string(), "2")]))]).unwrap();
        let tally = finish(load, 0);
        assert_eq!((tally.inserted, tally.unchanged), if n == 0 { (2, 0) } else { (1, 1) });
        drop(open(&*target, &spec, fresh()));
        database.run("CREATE TABLE IF NOT EXISTS other (x integer); CREATE INDEX IF NOT EXISTS i ON t (v)");
    }
    assert_eq!((database.count("FROM t"), database.count("FROM _wharf_loads")), (6, 5));
}

fn what_is_remembered_is_told_in_its_order_and_in_parts(database: &dyn Database) {
    let (spec, target) = (pair(), database.target());
    assert_eq!(target.remembered("site", None, 10).unwrap(), []);
    let loaded: Vec<_> = (0..5).map(|_| fresh()).collect();
    for delivery in loaded.iter().rev() {
        finish(open(&*target, &spec, *delivery), 0);
    }
    drop(open(&*target, &spec, fresh()));
    assert_eq!(target.remembered("site", None, 10).unwrap(), loaded);
    assert_eq!(target.remembered("site", None, 2).unwrap(), loaded[..2]);
    assert_eq!(target.remembered("site", Some(loaded[1]), 2).unwrap(), loaded[2..4]);
    assert_eq!(target.remembered("site", Some(loaded[4]), 2).unwrap(), []);
    assert_eq!(target.remembered("other", None, 10).unwrap(), []);
}

fn only_a_sealed_load_commits_and_only_a_balanced_tally_seals(database: &dyn Database) {
    assert!(open(&*database.target(), &pair(), fresh()).commit().is_err());
    let mut load = open(&*database.target(), &pair(), fresh());
    assert!(load.seal(&Tally { read: 1, ..Tally::default() }, ContentHash([0; 32])).is_err());
    drop(load);
    assert_eq!(database.target().fit(&pair()).unwrap(), wharf::targets::Fit::WouldCreate);
}

fn a_loads_row_of_another_hand_is_not_believed(database: &dyn Database) {
    let (spec, delivery) = (pair(), fresh());
    finish(open(&*database.target(), &spec, delivery), 0);
    database.run("UPDATE _wharf_loads SET tally = 'all of it'");
    assert!(lasting(begin(&*database.target(), &spec, delivery)).contains("another hand"));
}

fn a_loads_table_of_something_else_is_named(database: &dyn Database) {
    database.run("CREATE TABLE _wharf_loads (truck integer)");
    assert!(lasting(begin(&*database.target(), &pair(), fresh())).contains("another `loads_table`"));
}

fn a_loads_row_that_is_gone_is_a_delivery_that_is_not_there(database: &dyn Database) {
    let (spec, delivery) = (pair(), fresh());
    finish(open(&*database.target(), &spec, delivery), 0);
    let id = LoadId { site: "site", delivery };
    for sql in ["DELETE FROM _wharf_loads", "DROP TABLE _wharf_loads"] {
        database.run(sql);
        assert_eq!(database.target().remembers(id).unwrap(), Remembered::Nothing);
    }
    assert!(matches!(begin(&*database.target(), &spec, delivery), Ok(Begun::Open(_))));
}

fn batches_of_other_columns_are_a_fault(database: &dyn Database) {
    let mut load = open(&*database.target(), &pair(), fresh());
    let other = spec(vec![column("k", ValueType::Text)], 1);
    let written = load.write(&batch(&other, &[vec![text("a")]]));
    assert!(matches!(written, Err(TargetError::Lasting(_))));
}

fn a_load_can_move_between_threads(database: &dyn Database) {
    let target = database.target();
    let mut load = open(&*target, &pair(), fresh());
    let rows = batch(&pair(), &pairs(&[("a", "1")]));
    let load = std::thread::spawn(move || {
        assert!(write(&mut *load, &[rows]).unwrap().is_empty());
        load
    });
    assert_eq!(finish(load.join().unwrap(), 0).inserted, 1);
}
