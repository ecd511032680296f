//! Comparing without writing.

use super::*;
use crate::{
    model::Rule,
    targets::{Change, DifferenceKind},
};

fn change(column: u16, stored: Option<&str>, new: Option<&str>) -> Change {
    Change { column, stored: stored.map(str::to_owned), new: new.map(str::to_owned) }
}

#[test]
fn a_comparison_says_which_values_a_load_would_change_in_canonical_form_and_in_the_order_of_the_file() {
    let mut columns = vec![
        column("shop", ValueType::Text),
        column("no", ValueType::Integer),
        column("price", ValueType::Decimal { precision: 10, scale: 2 }),
        column("paid", ValueType::Boolean),
        column("note", ValueType::Text),
        column("seen", ValueType::Timestamp),
    ];
    columns[5].compare = false;
    let spec = spec(columns, 2);
    let place = Place::with(
        "CREATE TABLE t (seen, note, paid, price TEXT, no INTEGER, shop TEXT, PRIMARY KEY (no, shop));
         INSERT INTO t VALUES (NULL, 'old', 0, '1.5', 7, 'a'), (NULL, NULL, 1, '2', 8, 'a'), (NULL, 'n', 1, '3', 1, 'z')",
    );
    let row = |shop: &str, no, price, paid, note| {
        vec![text(shop), Cell::Integer(no), Cell::Decimal(price), Cell::Boolean(paid), note, Cell::Micros(1)]
    };
    let rows = [
        row("a", 8, 200, true, Cell::Null),
        row("z", 1, 300, true, Cell::Null),
        row("b", 7, 150, true, text("new")),
        row("a", 7, 175, true, text("new")),
    ];
    let (tally, differences) = compared(&place.target(), &spec, &[batch(&spec, &rows)]);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 2, 1));
    let shown: Vec<_> = differences
        .iter()
        .map(|found| (found.origin.unwrap().record, found.kind, found.key.join("/"), found.changes.clone()))
        .collect();
    let expected = [
        (2, DifferenceKind::Update, "z/1".to_owned(), vec![change(4, Some("n"), None)]),
        (3, DifferenceKind::Insert, "b/7".to_owned(), vec![]),
        (
            4,
            DifferenceKind::Update,
            "a/7".to_owned(),
            vec![
                change(2, Some("1.50"), Some("1.75")),
                change(3, Some("false"), Some("true")),
                change(4, Some("old"), Some("new")),
            ],
        ),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn where_there_is_no_table_or_no_database_every_row_would_be_new_and_nothing_is_made() {
    let nothing = Place::new();
    let other = Place::with("CREATE TABLE other (k)");
    for place in [&nothing, &other] {
        let (tally, differences) =
            compared(&place.target(), &pair(), &[batch(&pair(), &pairs(&[("a", "1"), ("b", "2")]))]);
        assert_eq!((tally.inserted, differences.len()), (2, 2));
        assert_eq!(differences[1].key, ["b"]);
    }
    assert!(!nothing.path.exists());
    assert_eq!(other.rows(&["name"], "FROM sqlite_schema"), ["'other'"]);
}

#[test]
fn a_comparison_names_what_does_not_fit_as_a_load_does() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY)");
    let Err(TargetError::Misfit(lines)) = place.target().compare(&pair(), schema(&pair())) else {
        panic!("the table has no column v")
    };
    assert!(lines[0].contains("no column `v`"), "{lines:?}");
    let spec = TableSpec { create: false, ..pair() };
    let compared = Place::new().target().compare(&spec, schema(&spec));
    assert!(matches!(compared, Err(TargetError::Misfit(_))));
}

#[test]
fn in_mode_insert_a_known_key_is_refused_as_a_load_would() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('b', '2')");
    let spec = TableSpec { mode: Mode::Insert, ..pair() };
    let batch = batch(&spec, &pairs(&[("a", "1"), ("b", "2")]));
    let mut comparison = place.target().compare(&spec, schema(&spec)).unwrap();
    let refusals = comparison.compare(&batch, None).unwrap();
    assert_eq!((refusals.len(), &refusals[0].rule, refusals[0].origin.record), (1, &Rule::Key, 2));
    assert_eq!(comparison.finish().unwrap().inserted, 1);
    let (_, refused) = place.load(&spec, &pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!(refused[0].message, refusals[0].message);
}

#[test]
fn a_comparison_neither_waits_for_writers_nor_keeps_them_waiting_and_sees_one_state() {
    let place = Place::new();
    place.load(&pair(), &pairs(&[("a", "1")]));
    let target = place.target();
    let mut load = open(&target, &pair(), fresh());
    load.write(&batch(&pair(), &pairs(&[("a", "2")]))).unwrap();
    let mut comparison = place.target().compare(&pair(), schema(&pair())).unwrap();
    finish(load, 0);
    place.load(&pair(), &pairs(&[("c", "3")]));
    comparison.compare(&batch(&pair(), &pairs(&[("a", "1"), ("c", "3")])), None).unwrap();
    let tally = comparison.finish().unwrap();
    assert_eq!((tally.unchanged, tally.inserted, tally.updated), (1, 1, 0), "as it stood when it began");
}

#[test]
fn a_caller_that_has_seen_enough_is_told_no_more_and_the_counts_go_on() {
    let place = Place::new();
    let mut comparison = place.target().compare(&pair(), schema(&pair())).unwrap();
    let mut seen = 0;
    for (at, key) in ["a", "b", "c"].into_iter().enumerate() {
        let batch = batch(&pair(), &pairs(&[(key, "1")]));
        let mut count = |_| seen += 1;
        comparison.compare(&batch, if at == 0 { Some(&mut count) } else { None }).unwrap();
    }
    assert_eq!((seen, comparison.finish().unwrap().inserted), (1, 3));
}
