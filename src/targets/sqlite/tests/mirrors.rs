//! Mode mirror: what the file does not have vanishes, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::targets::{DifferenceKind, MOST_SCOPES, Mirror, Vanished, Vanishing};

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
fn mirror(
    place: &Place,
    spec: &TableSpec,
    file: &[(&str, i64, i64)],
    rejected: &[(&str, i64)],
) -> (Tally, Vanishing) {
    let batch = batch(spec, &rows(file));
    let mut comparison = place.target().compare(spec, schema(spec)).unwrap();
    let mut gone = Vec::new();
    assert!(comparison.compare(&batch, None).unwrap().is_empty());
    comparison.present(&keys(spec, rejected).rows).unwrap();
    let foretold = comparison.vanishing(Some(&mut |found| gone.push(found))).unwrap().unwrap();
    let counts = comparison.finish().unwrap();
    assert!(gone.iter().all(|found| found.kind == DifferenceKind::Delete && found.origin.is_none()));
    assert_eq!((gone.len() as u64, counts.deleted), (foretold.rows, foretold.rows));

    let mut load = open(&place.target(), spec, fresh());
    assert!(load.write(&batch).unwrap().is_empty());
    load.present(&keys(spec, rejected).rows).unwrap();
    let vanishing = load.vanishing().unwrap().unwrap();
    load.vanish().unwrap();
    let tally = finish(load, 0);
    assert_eq!(vanishing, foretold);
    assert_eq!(Tally { read: tally.read, ..counts }, tally);
    (tally, vanishing)
}

#[test]
fn rows_that_the_file_does_not_have_are_deleted() {
    let place = Place::new();
    let spec = articles(Vanished::Delete, &[]);
    let (first, vanishing) = mirror(&place, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5)], &[]);
    assert_eq!((first.inserted, first.deleted, vanishing), (3, 0, Vanishing::default()));
    let (second, vanishing) = mirror(&place, &spec, &[("a", 2, 5), ("b", 1, 6), ("c", 1, 1)], &[]);
    assert_eq!((second.inserted, second.updated, second.unchanged, second.deleted), (1, 1, 1, 1));
    assert_eq!(vanishing, Vanishing { rows: 1, of: 3 });
    assert_eq!(place.rows(&["shop", "no"], "FROM t ORDER BY 1"), ["'a',2", "'b',1", "'c',1"]);
}

#[test]
fn marked_rows_stay_are_not_counted_again_and_lose_the_mark_when_they_come_back() {
    for (vanished, mark, unmarked) in
        [(deleted_at(), "'1970-01-01T00:00:00", "NULL"), (marked("gone", ValueType::Boolean), "1", "0")]
    {
        let Vanished::Mark { column, .. } = &vanished else { unreachable!() };
        let name = column.clone();
        let place = Place::new();
        let spec = articles(vanished, &[]);
        let file = [("a", 1, 5), ("a", 2, 5)];
        mirror(&place, &spec, &file, &[]);
        let (tally, vanishing) = mirror(&place, &spec, &file[..1], &[]);
        assert_eq!((tally.unchanged, tally.deleted, vanishing.of), (1, 1, 2));
        let stored = place.rows(&[&name], "FROM t ORDER BY no");
        assert_eq!(stored[0], unmarked);
        assert!(stored[1].starts_with(mark), "{stored:?}");
        let (tally, vanishing) = mirror(&place, &spec, &file[..1], &[]);
        assert_eq!((tally.deleted, vanishing), (0, Vanishing { rows: 0, of: 1 }));
        assert_eq!(place.rows(&[&name], "FROM t ORDER BY no"), stored, "the first mark stays");
        let (tally, vanishing) = mirror(&place, &spec, &file, &[]);
        assert_eq!((tally.unchanged, tally.updated, vanishing), (1, 1, Vanishing { rows: 0, of: 1 }));
        assert_eq!(place.rows(&[&name], "FROM t ORDER BY no"), [unmarked, unmarked]);
    }
}

#[test]
fn a_marked_row_comes_back_although_it_is_not_newer() {
    let place = Place::new();
    let spec = TableSpec { newer: Some(2), ..articles(deleted_at(), &[]) };
    mirror(&place, &spec, &[("a", 1, 5), ("a", 2, 5)], &[]);
    mirror(&place, &spec, &[("a", 1, 5)], &[]);
    let (tally, _) = mirror(&place, &spec, &[("a", 1, 4), ("a", 2, 5)], &[]);
    assert_eq!((tally.superseded, tally.updated, tally.deleted), (1, 1, 0));
    assert_eq!(place.rows(&["price", "deleted_at"], "FROM t ORDER BY no"), ["5,NULL", "5,NULL"]);
}

#[test]
fn only_rows_of_a_scope_that_is_in_the_file_vanish() {
    let place = Place::new();
    let spec = articles(Vanished::Delete, &[0]);
    mirror(&place, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5), ("c", 1, 5)], &[]);
    let (tally, vanishing) = mirror(&place, &spec, &[("a", 1, 5), ("c", 2, 5)], &[]);
    assert_eq!((tally.deleted, vanishing), (2, Vanishing { rows: 2, of: 3 }));
    assert_eq!(place.rows(&["shop", "no"], "FROM t ORDER BY 1"), ["'a',1", "'b',1", "'c',2"]);
}

#[test]
fn more_scopes_than_can_be_remembered_let_nothing_vanish() {
    let place = Place::new();
    let spec = articles(Vanished::Delete, &[0]);
    place.load(&spec, &rows(&[("old", 1, 5)]));
    let shops: Vec<String> = (0..=MOST_SCOPES).map(|shop| shop.to_string()).collect();
    for (count, can) in [(MOST_SCOPES, true), (MOST_SCOPES + 1, false)] {
        let file: Vec<(&str, i64, i64)> = shops[..count].iter().map(|shop| (shop.as_str(), 1, 1)).collect();
        let mut load = open(&place.target(), &spec, fresh());
        load.write(&batch(&spec, &rows(&file))).unwrap();
        assert_eq!(load.vanishing().unwrap().is_some(), can);
    }
}

#[test]
fn keys_of_rejected_records_count_as_there() {
    let place = Place::new();
    let spec = articles(deleted_at(), &[]);
    mirror(&place, &spec, &[("a", 1, 5), ("a", 2, 5), ("b", 1, 5)], &[]);
    let (tally, vanishing) = mirror(&place, &spec, &[("a", 1, 5)], &[("b", 1), ("new", 9)]);
    assert_eq!((tally.deleted, vanishing), (1, Vanishing { rows: 1, of: 3 }));
    assert_eq!(place.rows(&["shop", "no"], "FROM t WHERE deleted_at IS NOT NULL"), ["'a',2"]);
}

#[test]
fn a_row_that_the_table_does_not_let_go_fails_the_load_and_says_why() {
    let place = Place::with(
        "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, PRIMARY KEY (shop, no));
         CREATE TABLE o (shop TEXT, no INTEGER, FOREIGN KEY (shop, no) REFERENCES t (shop, no));
         INSERT INTO t VALUES ('a', 1, 5), ('a', 2, 5); INSERT INTO o VALUES ('a', 2)",
    );
    let spec = articles(Vanished::Delete, &[]);
    let mut load = open(&place.target(), &spec, fresh());
    load.write(&batch(&spec, &rows(&[("a", 1, 5)]))).unwrap();
    assert_eq!(load.vanishing().unwrap().unwrap().rows, 1);
    let error = load.vanish().unwrap_err();
    assert!(
        matches!(&error, TargetError::Lasting(text) if text.contains("other rows refer to it")),
        "{error}"
    );
}

#[test]
fn a_parent_and_its_child_vanish_together() {
    let place = Place::with(
        "CREATE TABLE t (shop TEXT, no INTEGER PRIMARY KEY, price INTEGER REFERENCES t (no));
         INSERT INTO t VALUES ('a', 1, NULL), ('a', 2, 1), ('a', 3, 2), ('a', 4, NULL)",
    );
    let mut spec = articles(Vanished::Delete, &[]);
    spec.key = vec![1];
    spec.columns[0].required = false;
    let mut load = open(&place.target(), &spec, fresh());
    let file = vec![vec![text("a"), Cell::Integer(4), Cell::Null]];
    load.write(&batch(&spec, &file)).unwrap();
    load.vanishing().unwrap();
    load.vanish().unwrap();
    assert_eq!(finish(load, 0).deleted, 3);
}

#[test]
fn the_mark_must_be_a_column_that_takes_marks() {
    let create = "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, PRIMARY KEY (shop, no)";
    for (table, vanished, part) in [
        (format!("{create})"), deleted_at(), "no column `deleted_at`"),
        (
            create.replace("price", "deleted_at TEXT NOT NULL DEFAULT '', price") + ")",
            deleted_at(),
            "NOT NULL",
        ),
        (
            create.replace("price", "gone TEXT, price") + ")",
            marked("gone", ValueType::Boolean),
            "takes marks",
        ),
        (format!("{create})"), marked("Price", ValueType::Timestamp), "cannot be a column of the mapping"),
    ] {
        let lines = misfit(Place::with(&table).target().fit(&articles(vanished, &[])).unwrap());
        assert!(lines.len() == 1 && lines[0].contains(part), "{lines:?}");
    }
    let fits = create.replace("price", "gone BOOLEAN NOT NULL DEFAULT 0, deleted_at DATETIME, price") + ")";
    for vanished in [deleted_at(), marked("gone", ValueType::Boolean), Vanished::Delete] {
        assert_eq!(Place::with(&fits).target().fit(&articles(vanished, &[])).unwrap(), Fit::Fits);
    }
}

/// Tables that fit `articles` and in which rows are known in different ways.
const TABLES: [&str; 7] = [
    "",
    "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, deleted_at, PRIMARY KEY (no, shop)) WITHOUT ROWID",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no))",
    "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER PRIMARY KEY, deleted_at, UNIQUE (shop, no))",
    "CREATE TABLE t (rowid TEXT, oid TEXT, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no))",
    "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, deleted_at, PRIMARY KEY (shop, no));
     CREATE TABLE log (n); CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO log VALUES (1), (2); END",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no));
     INSERT INTO t VALUES (9223372036854775806, 'a', -1, 0, NULL)",
];

type Prices = BTreeMap<(&'static str, i64), i64>;

fn file() -> impl Strategy<Value = Prices> {
    proptest::collection::btree_map((prop::sample::select(vec!["a", "b", "c"]), 0..12_i64), 0..3_i64, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mirrored_table_is_what_the_model_says_however_its_rows_are_known(
        files in prop::collection::vec((file(), file()), 1..5),
        table in 0..TABLES.len(),
        marks: bool,
        scoped: bool,
    ) {
        let place = Place::with(TABLES[table]);
        let mut spec = articles(if marks { deleted_at() } else { Vanished::Delete }, if scoped { &[0] } else { &[] });
        // There, no price may stand twice: each row has one of its own.
        let priced = |shop: &str, no: i64, price: i64| {
            if table == 3 { i64::from(shop.as_bytes()[0]) * 1_000 + no * 10 + price } else { price }
        };
        spec.columns[2].required = table == 3;
        // The price, and whether it is marked.
        let mut model: BTreeMap<(&str, i64), (i64, bool)> = BTreeMap::new();
        if table == 6 {
            model.insert(("a", -1), (0, false));
        }
        for (good, bad) in files {
            let bad: Vec<(&str, i64)> = bad.into_keys().filter(|key| !good.contains_key(key)).collect();
            let good: Prices = good.into_iter().map(|((shop, no), price)| ((shop, no), priced(shop, no, price))).collect();
            let scopes: BTreeSet<&str> = good.keys().map(|(shop, _)| *shop).collect();
            let was_empty = model.is_empty();
            let stood = |key: &(&str, i64), (_, marked): &(i64, bool)| {
                !marked && (good.contains_key(key) || bad.contains(key) || !scoped || scopes.contains(key.0))
            };
            let of = model.iter().filter(|(key, row)| stood(key, row)).count() as u64;
            let mut expected = Tally::default();
            for (key, row) in &mut model {
                if !row.1 && !good.contains_key(key) && !bad.contains(key) && (!scoped || scopes.contains(key.0)) {
                    row.1 = true;
                    expected.deleted += 1;
                }
            }
            if !marks {
                model.retain(|_, (_, marked)| !*marked);
            }
            for (key, price) in &good {
                match model.insert(*key, (*price, false)) {
                    None => expected.inserted += 1,
                    Some(old) if old == (*price, false) => expected.unchanged += 1,
                    Some(_) => expected.updated += 1,
                }
            }
            let file: Vec<(&str, i64, i64)> = good.iter().map(|((shop, no), price)| (*shop, *no, *price)).collect();
            let (tally, vanishing) = mirror(&place, &spec, &file, &bad);
            expected.read = good.len() as u64;
            prop_assert_eq!(tally, expected);
            prop_assert_eq!(vanishing, Vanishing { rows: expected.deleted, of: if was_empty { 0 } else { of } });
            let stored = place.rows(
                &["shop", "no", "price", if marks { "deleted_at IS NOT NULL" } else { "0" }],
                "FROM t ORDER BY shop, no",
            );
            let wanted: Vec<String> = model
                .iter()
                .map(|((shop, no), (price, marked))| format!("'{shop}',{no},{price},{}", u8::from(*marked)))
                .collect();
            prop_assert_eq!(stored, wanted);
        }
    }
}
