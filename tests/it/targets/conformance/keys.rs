//! Keys find their rows, and no others.

use super::*;

cases![
    keys_of_every_type_find_their_rows,
    keys_of_several_columns_find_their_rows_whatever_their_order_in_the_table,
    keys_that_look_alike_are_different_keys,
    keys_to_the_edges_of_their_types_are_found,
    a_batch_may_be_empty_and_a_delivery_without_rows_is_loaded,
];

/// A key out of a number.
type MakeCell = fn(i64) -> Cell;

fn keys_of_every_type_find_their_rows(database: &dyn Database) {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    let many: [(ValueType, MakeCell); 8] = [
        (ValueType::Text, |n| text(&format!("{n}é"))),
        (ValueType::Integer, |n| Cell::Integer(n * 1_000_003)),
        (decimal, |n| Cell::Decimal(i128::from(n) * 37)),
        (ValueType::Float, |n| Cell::Float(n as f64 / 3.0)),
        (ValueType::Date, |n| Cell::Date(n as i32 * 11)),
        (ValueType::Time, |n| Cell::Micros((n + 200) * 500_000)),
        (ValueType::Timestamp, |n| Cell::Micros(n * 500_000)),
        (ValueType::Uuid, |n| text(&format!("01890a5d-ac96-774b-bcce-{:012x}", n + 200))),
    ];
    for (at, (value_type, cell)) in many.into_iter().enumerate() {
        let spec = spec(vec![column("k", value_type), column("v", ValueType::Integer)], 1);
        let spec = TableSpec { table: format!("t{at}"), ..spec };
        let row = |n: i64, v: i64| vec![cell(n), Cell::Integer(v)];
        load(database, &spec, &(-150..150).map(|n| row(n, n)).collect::<Vec<_>>());
        // Every seventh row stays, every fifth changes, and some are new.
        let again: Vec<_> = (-200..150)
            .rev()
            .filter(|n| n % 7 == 0 || n % 5 == 0)
            .map(|n| row(n, if n % 5 == 0 { n + 1 } else { n }))
            .collect();
        let (foretold, _) = compared(&*database.target(), &spec, &[batch(&spec, &again)]);
        let (tally, refusals) = load(database, &spec, &again);
        let old = |n: &i64| *n >= -150;
        let updated = (-200..150).filter(old).filter(|n| n % 5 == 0).count() as u64;
        let unchanged = (-200..150).filter(old).filter(|n| n % 7 == 0 && n % 5 != 0).count() as u64;
        assert_eq!((tally.updated, tally.unchanged), (updated, unchanged), "{value_type}");
        assert_eq!(tally.inserted, again.len() as u64 - updated - unchanged);
        assert_eq!((refusals, foretold), (vec![], Tally { read: 0, ..tally }));
        assert_eq!(database.count(&format!("FROM t{at}")), 300 + tally.inserted);
    }
}

fn keys_of_several_columns_find_their_rows_whatever_their_order_in_the_table(database: &dyn Database) {
    let columns =
        [("v", ValueType::Text), ("c", ValueType::Date), ("a", ValueType::Text), ("b", ValueType::Integer)];
    let not_null = ", PRIMARY KEY (b, c, a)";
    database.run(&table(database, &columns, not_null));
    let spec = spec(
        vec![
            column("a", ValueType::Text),
            column("b", ValueType::Integer),
            column("c", ValueType::Date),
            column("v", ValueType::Text),
        ],
        3,
    );
    let row = |a: &str, b: i64, c: i32, v: &str| vec![text(a), Cell::Integer(b), Cell::Date(c), text(v)];
    // What differs in one part only, and what runs together when parts are only strung together.
    let rows = [
        row("a", 1, 0, "x"),
        row("a", 1, 1, "x"),
        row("a", 2, 0, "x"),
        row("b", 1, 0, "x"),
        row("a1", 1, 0, "x"),
        row("a", 11, 0, "x"),
        row("", 0, 0, "x"),
    ];
    assert_eq!(load(database, &spec, &rows).0.inserted, 7);
    assert_eq!(load(database, &spec, &rows).0.unchanged, 7);
    let (tally, _) = load(database, &spec, &[row("a", 1, 1, "y"), row("a", 1, 2, "y"), row("", 0, 0, "x")]);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 1, 1));
    assert_eq!(database.texts(&["a"], "FROM t WHERE v = 'y' ORDER BY c"), ["a", "a"]);
}

fn keys_that_look_alike_are_different_keys(database: &dyn Database) {
    let alike = [
        "", " ", "a", "A", "a ", " a", "á", "a\u{301}", "ａ", "ß", "ss", "SS", "ı", "i", "İ", "I", "0", "00",
        "-0",
    ];
    let rows = |v: &str| alike.iter().map(|k| vec![text(k), text(v)]).collect::<Vec<_>>();
    let (tally, refusals) = load(database, &pair(), &rows("1"));
    assert_eq!((tally.inserted, refusals), (alike.len() as u64, vec![]));
    let (tally, _) = load(database, &pair(), &rows("1"));
    assert_eq!(tally.unchanged, alike.len() as u64);
    let (tally, _) = load(database, &pair(), &pairs(&[("a", "2"), ("A ", "2")]));
    assert_eq!((tally.inserted, tally.updated), (1, 1));
    assert_eq!(database.count("FROM t WHERE v = '2'"), 2);
}

fn keys_to_the_edges_of_their_types_are_found(database: &dyn Database) {
    let decimal = ValueType::Decimal { precision: 38, scale: 0 };
    let most = 10_i128.pow(38) - 1;
    let edges: [(ValueType, [Cell; 3]); 5] = [
        (ValueType::Integer, [Cell::Integer(i64::MIN), Cell::Integer(0), Cell::Integer(i64::MAX)]),
        (decimal, [Cell::Decimal(-most), Cell::Decimal(0), Cell::Decimal(most)]),
        (ValueType::Date, [Cell::Date(-719_162), Cell::Date(0), Cell::Date(2_932_896)]),
        (ValueType::Time, [Cell::Micros(0), Cell::Micros(1), Cell::Micros(86_399_999_999)]),
        (
            ValueType::Timestamp,
            [Cell::Micros(-62_135_596_800_000_000), Cell::Micros(-1), Cell::Micros(253_402_300_799_999_999)],
        ),
    ];
    for (at, (of, keys)) in edges.into_iter().enumerate() {
        let spec = spec(vec![column("k", of), column("v", ValueType::Text)], 1);
        let spec = TableSpec { table: format!("t{at}"), ..spec };
        let rows = |v: &str| keys.iter().map(|k| vec![k.clone(), text(v)]).collect::<Vec<_>>();
        assert_eq!(load(database, &spec, &rows("1")).0.inserted, 3, "{of}");
        assert_eq!(load(database, &spec, &rows("1")).0.unchanged, 3, "{of}");
        assert_eq!(load(database, &spec, &rows("2")).0.updated, 3, "{of}");
    }
}

fn a_batch_may_be_empty_and_a_delivery_without_rows_is_loaded(database: &dyn Database) {
    let (spec, delivery) = (pair(), fresh());
    let mut load = open(&*database.target(), &spec, delivery);
    assert!(write(&mut *load, &[batch(&spec, &[])]).unwrap().is_empty());
    finish(load, 0);
    let again = begin(&*database.target(), &spec, delivery).unwrap();
    assert!(matches!(again, wharf::targets::Begun::Already(_)));
    assert_eq!(database.count("FROM t"), 0);
}
