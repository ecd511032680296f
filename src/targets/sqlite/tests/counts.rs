//! Counts are exact, whatever the table looks like: compared with a model that knows no SQL.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the columns of `mixed` hold: v, kept, once, aside.
type Values = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
type Key = (String, i64);

fn mixed() -> TableSpec {
    let mut columns: Vec<TargetColumn> =
        ["b", "v", "kept", "once", "aside"].iter().map(|name| column(name, ValueType::Integer)).collect();
    columns.insert(0, column("a", ValueType::Text));
    columns[3].on_null = OnNull::Keep;
    columns[4].write = WriteWhen::Insert;
    columns[5].compare = false;
    spec(columns, 2)
}

/// Tables that fit `mixed` and make it look up rows in different ways.
const TABLES: [&str; 6] = [
    "",
    "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (b, a)) WITHOUT ROWID",
    "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside); CREATE UNIQUE INDEX u ON t (a DESC, b DESC)",
    "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside); CREATE UNIQUE INDEX u ON t (a, b DESC)",
    "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (a, b))",
    "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (a, b));
     CREATE TABLE log (n); CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (1), (2); END",
];

/// What a load does, said the long way round.
fn apply(table: &mut BTreeMap<Key, Values>, key: &Key, new: Values, tally: &mut Tally) {
    let Some(old) = table.get_mut(key) else {
        table.insert(key.clone(), new);
        tally.inserted += 1;
        return;
    };
    let wanted = (new.0, new.1.or(old.1), old.2, new.3);
    if (wanted.0, wanted.1) == (old.0, old.1) {
        tally.unchanged += 1;
    } else {
        *old = wanted;
        tally.updated += 1;
    }
}

fn cell(value: Option<i64>) -> Cell {
    value.map_or(Cell::Null, Cell::Integer)
}

fn cells(rows: &[(Key, Values)]) -> Vec<Vec<Cell>> {
    let row = |((a, b), (v, kept, once, aside)): &(Key, Values)| {
        vec![text(a), Cell::Integer(*b), cell(*v), cell(*kept), cell(*once), cell(*aside)]
    };
    rows.iter().map(row).collect()
}

fn values() -> impl Strategy<Value = Values> {
    let small = || proptest::option::of(0..3_i64);
    (small(), small(), small(), small())
}

fn key() -> impl Strategy<Value = Key> {
    // Lone surrogates aside, UTF-16 sorts U+FFFD after U+10000, UTF-8 before it.
    let a = prop_oneof![Just(""), Just("A"), Just("a"), Just("a\0"), Just("\u{fffd}"), Just("\u{10000}")];
    (a.prop_map(str::to_owned), -30..30_i64)
}

fn delivery() -> impl Strategy<Value = Vec<(Key, Values)>> {
    // Unique keys in an order of their own; dense ones and sparse ones.
    let rows = prop_oneof![
        proptest::collection::btree_map(key(), values(), 0..12),
        proptest::collection::btree_map(key(), values(), 0..300)
    ];
    rows.prop_map(|rows| rows.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loads_count_and_store_what_the_model_does(
        deliveries in proptest::collection::vec(delivery(), 1..4),
        table in 0..TABLES.len(),
        batch_rows in 1..40_usize,
    ) {
        let spec = mixed();
        let place = Place::with(TABLES[table]);
        let mut model = BTreeMap::new();
        for rows in deliveries {
            let mut expected = Tally::default();
            let batches: Vec<Batch> = rows.chunks(batch_rows).map(|part| batch(&spec, &cells(part))).collect();
            let (foretold, differences) = compared(&place.target(), &spec, &batches);
            let mut load = open(&place.target(), &spec, fresh());
            for batch in &batches {
                prop_assert_eq!(load.write(batch).unwrap(), vec![]);
            }
            for (key, values) in &rows {
                apply(&mut model, key, *values, &mut expected);
            }
            prop_assert_eq!(load.counts(), expected);
            prop_assert_eq!(foretold, expected);
            prop_assert_eq!(differences.len() as u64, expected.inserted + expected.updated);
            finish(load, 0);
        }
        let connection = Connection::open(&place.path).unwrap();
        let mut statement = connection.prepare("SELECT a, b, v, kept, once, aside FROM t").unwrap();
        let stored: BTreeMap<Key, Values> = statement
            .query_map([], |row| {
                Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        prop_assert_eq!(stored, model);
    }
}

#[test]
fn a_column_the_file_lacks_is_not_touched() {
    let place = Place::new();
    let full = pair();
    place.load(&full, &pairs(&[("a", "1")]));
    let mut lacking = spec(vec![column("k", ValueType::Text)], 1);
    lacking.columns[0].required = true;
    let load =
        place.target().begin(LoadId { site: "site", delivery: fresh() }, &full, schema(&lacking)).unwrap();
    let Begun::Open(mut load) = load else { panic!("the delivery is new") };
    assert!(load.write(&batch(&lacking, &[vec![text("a")], vec![text("b")]])).unwrap().is_empty());
    let tally = finish(load, 0);
    assert_eq!((tally.inserted, tally.unchanged), (1, 1));
    assert_eq!(place.rows(&["k", "v"], "FROM t ORDER BY k"), ["'a','1'", "'b',NULL"]);
}

#[test]
fn columns_that_are_not_mapped_keep_their_values() {
    let place = Place::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v TEXT, own TEXT DEFAULT 'x' NOT NULL);
         INSERT INTO t VALUES (7, 'a', '1', 'mine')",
    );
    let (tally, _) = place.load(&pair(), &pairs(&[("a", "2"), ("b", "3")]));
    assert_eq!((tally.inserted, tally.updated), (1, 1));
    assert_eq!(place.rows(&["id", "k", "v", "own"], "FROM t"), ["7,'a','2','mine'", "8,'b','3','x'"]);
}

#[test]
fn the_walk_uses_the_index_of_the_key_whatever_the_statistics_say() {
    let tables = [
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
        "CREATE TABLE t (k TEXT, v TEXT); CREATE UNIQUE INDEX \"a\"\"b\" ON t (k DESC)",
    ];
    for table in tables {
        let place = Place::with(&format!(
            "{table}; INSERT INTO t VALUES ('a', '1'); CREATE INDEX other ON t (v, k); ANALYZE;
             UPDATE sqlite_stat1 SET stat = '1 1'"
        ));
        let connection = Connection::open(&place.path).unwrap();
        let shape = crate::targets::sqlite::shape::read(&connection, "t").unwrap().unwrap();
        let index = shape.unique_on(&[0]).unwrap();
        let sql = crate::targets::sqlite::sql::walk("t", "k, v", &["k"], index.index.as_deref());
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> =
            statement.query_map(["a"], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(matches!(plan.as_slice(), [one] if one.starts_with("SEARCH t USING")), "{table}: {plan:?}");
    }
}
