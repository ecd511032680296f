//! Counts are exact, whatever the table looks like: compared with a model that knows no SQL.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestRunner};
use wharf::{
    model::Batch,
    targets::{OnNull, WriteWhen},
};

use super::*;

cases![loads_count_and_store_what_the_model_does: ExactCounts];

/// What the columns of [`mixed`] hold: v, kept, once, aside.
type Values = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
type Key = (String, i64);

/// A mapping to a table `t` with a key of two columns, `a` (text) and `b`, and columns of integers of every sort.
fn mixed() -> TableSpec {
    let mut columns: Vec<_> =
        ["b", "v", "kept", "once", "aside"].iter().map(|name| column(name, ValueType::Integer)).collect();
    columns.insert(0, column("a", ValueType::Text));
    columns[3].on_null = OnNull::Keep;
    columns[4].write = WriteWhen::Insert;
    columns[5].compare = false;
    spec(columns, 2)
}

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
    let a = prop_oneof![Just(""), Just("A"), Just("a"), Just("a "), Just("\u{fffd}"), Just("\u{10000}")];
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

fn loads_count_and_store_what_the_model_does(database: &dyn Database) {
    let tables = database.mixed_tables();
    let config = ProptestConfig {
        cases: database.property_cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let deliveries = proptest::collection::vec(delivery(), 1..4);
    let cases = (deliveries, 0..tables.len(), 1..40_usize);
    TestRunner::new(config)
        .run(&cases, |(deliveries, table, batch_rows)| {
            let spec = mixed();
            let database = &*database.another();
            database.run(tables[table]);
            let mut model = BTreeMap::new();
            for rows in deliveries {
                let mut expected = Tally::default();
                let part = |(at, part)| later(batch(&spec, &cells(part)), (at * batch_rows) as u64);
                let batches: Vec<Batch> = rows.chunks(batch_rows).enumerate().map(part).collect();
                let (foretold, differences) = compared(&*database.target(), &spec, &batches);
                let mut load = open(&*database.target(), &spec, fresh());
                prop_assert_eq!(write(&mut *load, &batches).unwrap(), vec![]);
                for (key, values) in &rows {
                    apply(&mut model, key, *values, &mut expected);
                }
                prop_assert_eq!(load.counts(), expected);
                prop_assert_eq!(foretold, expected);
                prop_assert_eq!(differences.len() as u64, expected.inserted + expected.updated);
                finish(load, 0);
            }
            let stored = database.texts(&["a", "b", "v", "kept", "once", "aside"], "FROM t");
            let shown = |value: &Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let wanted = model.iter().map(|((a, b), (v, kept, once, aside))| {
                format!("{a},{b},{},{},{},{}", shown(v), shown(kept), shown(once), shown(aside))
            });
            let sorted = |mut rows: Vec<String>| {
                rows.sort_unstable();
                rows
            };
            prop_assert_eq!(sorted(stored), sorted(wanted.collect()));
            Ok(())
        })
        .unwrap();
}
