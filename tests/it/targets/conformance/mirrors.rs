//! Mode mirror: what the file does not have vanishes, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::TestRunner};
use wharf::{
    model::Batch,
    targets::{DifferenceKind, Fit, MOST_SCOPES, Vanishing},
};

use super::*;

cases![
    rows_that_the_file_does_not_have_are_deleted: Delete,
    marked_rows_stay_are_not_counted_again_and_lose_the_mark_when_they_come_back,
    a_marked_row_comes_back_although_it_is_not_newer,
    only_rows_of_a_scope_that_is_in_the_file_vanish: Delete,
    more_scopes_than_can_be_remembered_let_nothing_vanish: Delete,
    scopes_of_every_type_and_without_a_value_are_told_apart,
    keys_of_rejected_records_count_as_there,
    rows_that_the_database_refuses_count_as_there: Delete,
    a_row_that_the_table_does_not_let_go_fails_the_load_and_says_why: Delete,
    a_parent_and_its_child_vanish_together: Delete,
    the_mark_must_be_a_column_that_takes_marks,
    a_mirrored_table_is_what_the_model_says_however_its_rows_are_known: Delete,
];

/// Table `t` of a shop's articles: the key are shop and number, then a price.
fn articles(vanished: Vanished, scope: &[usize]) -> TableSpec {
    let columns = vec![
        column("shop", ValueType::Text),
        column("no", ValueType::Integer),
        column("price", ValueType::Integer),
    ];
    let mirror = Mirror { vanished, scope: scope.to_vec() };
    TableSpec { mode: Mode::Mirror, mirror: Some(mirror), ..spec(columns, 2) }
}

fn marked(name: &str, value_type: ValueType) -> Vanished {
    Vanished::Mark { column: name.to_owned(), value_type }
}

fn deleted_at() -> Vanished {
    marked("deleted_at", ValueType::Timestamp)
}

fn rows(articles: &[(&str, i64, i64)]) -> Vec<Vec<Cell>> {
    let row =
        |(shop, no, price): &(&str, i64, i64)| vec![text(shop), Cell::Integer(*no), Cell::Integer(*price)];
    articles.iter().map(row).collect()
}

/// A batch of keys.
fn keys(spec: &TableSpec, keys: &[(&str, i64)]) -> Batch {
    let mut of_key = spec.clone();
    of_key.columns.truncate(2);
    batch(&of_key, &keys.iter().map(|(shop, no)| vec![text(shop), Cell::Integer(*no)]).collect::<Vec<_>>())
}

/// Loads a file whose rejected records have these keys, and lets vanish what vanishes. What a comparison says before is
/// the same.
#[track_caller]
fn mirror(
    database: &dyn Database,
    spec: &TableSpec,
    file: &[(&str, i64, i64)],
    rejected: &[(&str, i64)],
) -> (Tally, Vanishing) {
    let (batch, target) = (batch(spec, &rows(file)), database.target());
    let mut comparison = target.compare(spec, schema(spec)).unwrap();
    let mut gone = Vec::new();
    assert!(comparison.compare(&batch, None).unwrap().is_empty());
    comparison.present(&keys(spec, rejected).rows).unwrap();
    let foretold = comparison.vanishing(Some(&mut |found| gone.push(found))).unwrap().unwrap();
    let counts = comparison.finish().unwrap();
    assert!(gone.iter().all(|found| found.kind == DifferenceKind::Delete && found.origin.is_none()));
    assert!(gone.iter().all(|found| found.key.len() == 2 && found.changes.is_empty()));
    assert_eq!((gone.len() as u64, counts.deleted), (foretold.rows, foretold.rows));

    let mut load = open(&*target, spec, fresh());
    assert!(write(&mut *load, std::slice::from_ref(&batch)).unwrap().is_empty());
    load.present(&keys(spec, rejected).rows).unwrap();
    let vanishing = load.vanishing().unwrap().unwrap();
    load.vanish().unwrap();
    let tally = finish(load, 0);
    assert_eq!(vanishing, foretold);
    assert_eq!(Tally { read: tally.read, ..counts }, tally);
    (tally, vanishing)
}

fn rows_that_the_file_does_not_have_are_deleted(database: &dyn Database) {
    let spec = articles(Vanished::Delete, &[]);
    let (first, vanishing) = mirror(database, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5)], &[]);
    assert_eq!((first.inserted, first.deleted, vanishing), (3, 0, Vanishing::default()));
    let (second, vanishing) = mirror(database, &spec, &[("a", 2, 5), ("b", 1, 6), ("c", 1, 1)], &[]);
    assert_eq!((second.inserted, second.updated, second.unchanged, second.deleted), (1, 1, 1, 1));
    assert_eq!(vanishing, Vanishing { rows: 1, of: 3 });
    assert_eq!(database.texts(&["shop", "no"], "FROM t ORDER BY shop"), ["a,2", "b,1", "c,1"]);
}

fn marked_rows_stay_are_not_counted_again_and_lose_the_mark_when_they_come_back(database: &dyn Database) {
    for (value_type, mark, unmarked) in
        [(ValueType::Timestamp, "1970-01-01T00:00:00", "-"), (ValueType::Boolean, "true", "false")]
    {
        let spec = articles(marked("gone", value_type), &[]);
        let marks = || database.rows(&[("gone", value_type)], "FROM t ORDER BY no");
        let file = [("a", 1, 5), ("a", 2, 5)];
        mirror(database, &spec, &file, &[]);
        let (tally, vanishing) = mirror(database, &spec, &file[..1], &[]);
        assert_eq!((tally.unchanged, tally.deleted, vanishing.of), (1, 1, 2));
        let stored = marks();
        // A new row may have no mark at all.
        assert!([unmarked, "-"].contains(&stored[0].as_str()), "{stored:?}");
        assert!(stored[1].starts_with(mark), "{stored:?}");
        let (tally, vanishing) = mirror(database, &spec, &file[..1], &[]);
        assert_eq!((tally.deleted, vanishing), (0, Vanishing { rows: 0, of: 1 }));
        assert_eq!(marks(), stored, "the first mark stays");
        let (tally, vanishing) = mirror(database, &spec, &file, &[]);
        assert_eq!((tally.unchanged, tally.updated, vanishing), (1, 1, Vanishing { rows: 0, of: 1 }));
        assert_eq!(marks()[1], unmarked);
        database.run("DROP TABLE t");
    }
}

fn a_marked_row_comes_back_although_it_is_not_newer(database: &dyn Database) {
    let spec = TableSpec { newer: Some(2), ..articles(deleted_at(), &[]) };
    mirror(database, &spec, &[("a", 1, 5), ("a", 2, 5)], &[]);
    mirror(database, &spec, &[("a", 1, 5)], &[]);
    let (tally, _) = mirror(database, &spec, &[("a", 1, 4), ("a", 2, 5)], &[]);
    assert_eq!((tally.superseded, tally.updated, tally.deleted), (1, 1, 0));
    assert_eq!(database.texts(&["price", "deleted_at"], "FROM t ORDER BY no"), ["5,-", "5,-"]);
}

fn only_rows_of_a_scope_that_is_in_the_file_vanish(database: &dyn Database) {
    let spec = articles(Vanished::Delete, &[0]);
    mirror(database, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5), ("c", 1, 5)], &[]);
    let (tally, vanishing) = mirror(database, &spec, &[("a", 1, 5), ("c", 2, 5)], &[]);
    assert_eq!((tally.deleted, vanishing), (2, Vanishing { rows: 2, of: 3 }));
    assert_eq!(database.texts(&["shop", "no"], "FROM t ORDER BY shop"), ["a,1", "b,1", "c,2"]);
}

fn more_scopes_than_can_be_remembered_let_nothing_vanish(database: &dyn Database) {
    let spec = articles(Vanished::Delete, &[0]);
    load(database, &spec, &rows(&[("old", 1, 5)]));
    let shops: Vec<String> = (0..=MOST_SCOPES).map(|shop| shop.to_string()).collect();
    for (count, can) in [(MOST_SCOPES, true), (MOST_SCOPES + 1, false)] {
        let file: Vec<(&str, i64, i64)> = shops[..count].iter().map(|shop| (shop.as_str(), 1, 1)).collect();
        let mut load = open(&*database.target(), &spec, fresh());
        write(&mut *load, &[batch(&spec, &rows(&file))]).unwrap();
        assert_eq!(load.vanishing().unwrap().is_some(), can);
    }
}

fn scopes_of_every_type_and_without_a_value_are_told_apart(database: &dyn Database) {
    let decimal = ValueType::Decimal { precision: 9, scale: 2 };
    let mut columns = vec![
        column("k", ValueType::Integer),
        column("a", ValueType::Text),
        column("b", decimal),
        column("c", ValueType::Timestamp),
    ];
    columns[0].required = true;
    let mirror = Mirror { vanished: deleted_at(), scope: vec![1, 2, 3] };
    let spec = TableSpec { mode: Mode::Mirror, mirror: Some(mirror), ..spec(columns, 1) };
    let row = |k, a: &str, b, c| vec![Cell::Integer(k), text(a), b, c];
    let none = |k| vec![Cell::Integer(k), Cell::Null, Cell::Null, Cell::Null];
    let (two, at) = (Cell::Decimal(200), Cell::Micros(1_000_001));
    let stored = [
        row(1, "x", two.clone(), at.clone()),
        row(2, "x", Cell::Decimal(201), at.clone()),
        row(3, "x", two.clone(), Cell::Micros(1_000_002)),
        row(4, "x", two.clone(), Cell::Null),
        row(5, "", two.clone(), at.clone()),
        none(6),
        row(7, "X", two.clone(), at.clone()),
    ];
    load(database, &spec, &stored);
    for (file, gone) in [
        (row(9, "x", two.clone(), at), vec!["1"]),
        (none(8), vec!["1", "6"]),
        (row(10, "x", two, Cell::Null), vec!["1", "4", "6"]),
    ] {
        let mut load = open(&*database.target(), &spec, fresh());
        write(&mut *load, &[batch(&spec, &[file])]).unwrap();
        assert_eq!(load.vanishing().unwrap().unwrap().rows, 1);
        load.vanish().unwrap();
        finish(load, 0);
        assert_eq!(database.texts(&["k"], "FROM t WHERE deleted_at IS NOT NULL ORDER BY k"), gone);
    }
}

fn keys_of_rejected_records_count_as_there(database: &dyn Database) {
    let spec = articles(deleted_at(), &[]);
    mirror(database, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5)], &[]);
    let (tally, vanishing) = mirror(database, &spec, &[("a", 1, 5)], &[("b", 1), ("new", 9)]);
    assert_eq!((tally.deleted, vanishing), (1, Vanishing { rows: 1, of: 3 }));
    assert_eq!(database.texts(&["shop", "no"], "FROM t WHERE deleted_at IS NOT NULL"), ["a,2"]);
}

fn rows_that_the_database_refuses_count_as_there(database: &dyn Database) {
    let columns = [("shop", ValueType::Text), ("no", ValueType::Integer), ("price", ValueType::Integer)];
    database.run(&table(database, &columns, ", PRIMARY KEY (shop, no), CHECK (price < 100)"));
    let spec = articles(Vanished::Delete, &[]);
    mirror(database, &spec, &[("a", 1, 5), ("a", 2, 5), ("a", 3, 5)], &[]);
    let mut load = open(&*database.target(), &spec, fresh());
    let refused =
        write(&mut *load, &[batch(&spec, &rows(&[("a", 1, 5), ("a", 2, 100), ("a", 9, 100)]))]).unwrap();
    assert_eq!(refused.len(), 2);
    assert_eq!(load.vanishing().unwrap(), Some(Vanishing { rows: 1, of: 3 }));
    load.vanish().unwrap();
    assert_eq!(finish(load, 2).deleted, 1);
    assert_eq!(database.texts(&["no", "price"], "FROM t ORDER BY no"), ["1,5", "2,5"]);
}

fn a_row_that_the_table_does_not_let_go_fails_the_load_and_says_why(database: &dyn Database) {
    let (shop, no) = (database.declares(ValueType::Text), database.declares(ValueType::Integer));
    database.run(&format!(
        "CREATE TABLE t (shop {shop}, no {no}, price {no}, PRIMARY KEY (shop, no));
         CREATE TABLE o (shop {shop}, no {no}, FOREIGN KEY (shop, no) REFERENCES t (shop, no));
         INSERT INTO t VALUES ('a', 1, 5), ('a', 2, 5); INSERT INTO o VALUES ('a', 2)"
    ));
    let spec = articles(Vanished::Delete, &[]);
    let kept = || {
        let mut load = open(&*database.target(), &spec, fresh());
        write(&mut *load, &[batch(&spec, &rows(&[("a", 1, 5)]))]).unwrap();
        assert_eq!(load.vanishing().unwrap().unwrap().rows, 1);
        lasting(load.vanish())
    };
    let words = kept();
    assert!(words.contains("other rows refer to it"), "{words}");
    database.run("DROP TABLE o");
    database.refuse(Event::Delete, "1 = 1", "not this one");
    let words = kept();
    assert!(words.contains("a trigger of the table refuses it"), "{words}");
    assert_eq!(database.count("FROM t"), 2);
}

fn a_parent_and_its_child_vanish_together(database: &dyn Database) {
    let (shop, no) = (database.declares(ValueType::Text), database.declares(ValueType::Integer));
    database.run(&format!(
        "CREATE TABLE t (shop {shop}, no {no} PRIMARY KEY, price {no} REFERENCES t (no));
         INSERT INTO t VALUES ('a', 1, NULL), ('a', 2, 1), ('a', 3, 2), ('a', 4, NULL)"
    ));
    let mut spec = articles(Vanished::Delete, &[]);
    spec.key = vec![1];
    spec.columns[0].required = false;
    let mut load = open(&*database.target(), &spec, fresh());
    let file = vec![vec![text("a"), Cell::Integer(4), Cell::Null]];
    write(&mut *load, &[batch(&spec, &file)]).unwrap();
    load.vanishing().unwrap();
    load.vanish().unwrap();
    assert_eq!(finish(load, 0).deleted, 3);
}

fn the_mark_must_be_a_column_that_takes_marks(database: &dyn Database) {
    let columns = [("shop", ValueType::Text), ("no", ValueType::Integer), ("price", ValueType::Integer)];
    let (text, truth, instant) = (
        database.declares(ValueType::Text),
        database.declares(ValueType::Boolean),
        database.declares(ValueType::Timestamp),
    );
    let lines = |more: &str, vanished| {
        database.run("DROP TABLE IF EXISTS t");
        database.run(&table(database, &columns, &format!("{more}, PRIMARY KEY (shop, no)")));
        database.target().fit(&articles(vanished, &[])).unwrap()
    };
    for (more, vanished, part) in [
        (String::new(), deleted_at(), "no column `deleted_at`"),
        (format!(", deleted_at {instant} DEFAULT '2020-01-01T00:00:00Z' NOT NULL"), deleted_at(), "NOT NULL"),
        (format!(", gone {text}"), marked("gone", ValueType::Boolean), "takes marks"),
    ] {
        let lines = misfit(lines(&more, vanished));
        assert!(lines.len() == 1 && lines[0].contains(part), "{lines:?}");
    }
    let more = format!(", gone {truth} NOT NULL DEFAULT {}, deleted_at {instant}", "(1 = 0)");
    for vanished in [deleted_at(), marked("gone", ValueType::Boolean), Vanished::Delete] {
        assert_eq!(lines(&more, vanished), Fit::Fits);
    }
}

type Prices = BTreeMap<(&'static str, i64), i64>;

fn file() -> impl Strategy<Value = Prices> {
    proptest::collection::btree_map((prop::sample::select(vec!["a", "b", "c"]), 0..12_i64), 0..3_i64, 0..25)
}

/// No price stands twice: in some tables, each row has one of its own.
fn priced(shop: &str, no: i64, price: i64) -> i64 {
    i64::from(shop.as_bytes()[0]) * 1_000 + no * 10 + price
}

/// The price of each row, and whether it is marked.
type Model = BTreeMap<(&'static str, i64), (i64, bool)>;

/// What a mirror with these rows, and with rejected records of these keys, makes of a table: the long way round.
fn apply(model: &mut Model, good: &Prices, bad: &[(&str, i64)], marks: bool, scoped: bool) -> (Tally, u64) {
    let scopes: BTreeSet<&str> = good.keys().map(|(shop, _)| *shop).collect();
    let is_in_file = |key: &(&'static str, i64)| good.contains_key(key) || bad.contains(key);
    let in_scope = |key: &(&str, i64)| !scoped || scopes.contains(key.0);
    let stood = model.iter().filter(|(key, row)| !row.1 && (is_in_file(key) || in_scope(key))).count() as u64;
    let mut tally = Tally { read: good.len() as u64, ..Tally::default() };
    for (key, row) in &mut *model {
        if !row.1 && !is_in_file(key) && in_scope(key) {
            row.1 = true;
            tally.deleted += 1;
        }
    }
    if !marks {
        model.retain(|_, (_, marked)| !*marked);
    }
    for (key, price) in good {
        match model.insert(*key, (*price, false)) {
            None => tally.inserted += 1,
            Some(old) if old == (*price, false) => tally.unchanged += 1,
            Some(_) => tally.updated += 1,
        }
    }
    (tally, stood)
}

fn a_mirrored_table_is_what_the_model_says_however_its_rows_are_known(database: &dyn Database) {
    let tables = database.article_tables();
    let config = ProptestConfig {
        cases: database.property_cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let files = prop::collection::vec((file(), file()), 1..5);
    let cases = (files, 0..tables.len(), any::<bool>(), any::<bool>());
    let run = |(files, table, marks, scoped): (Vec<(Prices, Prices)>, usize, bool, bool)| {
        let database = &*database.another();
        database.run(tables[table]);
        let vanished = if marks { deleted_at() } else { Vanished::Delete };
        let mut spec = articles(vanished, if scoped { &[0] } else { &[] });
        spec.columns[2].required = true;
        let mut model = Model::new();
        if tables[table].contains("INSERT INTO t") {
            model.insert(("a", -1), (0, false));
        }
        for (good, bad) in files {
            let bad: Vec<_> = bad.into_keys().filter(|key| !good.contains_key(key)).collect();
            let price = |((shop, no), price)| ((shop, no), priced(shop, no, price));
            let good: Prices = good.into_iter().map(price).collect();
            let (expected, stood) = apply(&mut model, &good, &bad, marks, scoped);
            let file: Vec<_> = good.iter().map(|((shop, no), price)| (*shop, *no, *price)).collect();
            let (tally, vanishing) = mirror(database, &spec, &file, &bad);
            prop_assert_eq!(tally, expected);
            prop_assert_eq!(vanishing, Vanishing { rows: expected.deleted, of: stood });
            let live = if marks { "WHERE deleted_at IS NULL" } else { "" };
            let stored =
                database.texts(&["shop", "no", "price"], &format!("FROM t {live} ORDER BY shop, no"));
            let wanted = model.iter().filter(|(_, (_, marked))| !marked);
            let wanted: Vec<_> =
                wanted.map(|((shop, no), (price, _))| format!("{shop},{no},{price}")).collect();
            prop_assert_eq!(stored, wanted);
            prop_assert_eq!(database.count("FROM t"), model.len() as u64);
        }
        Ok(())
    };
    TestRunner::new(config).run(&cases, run).unwrap();
}
