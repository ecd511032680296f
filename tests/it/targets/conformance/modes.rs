//! Modes, and what columns say of themselves: what is written, and as what it counts.

use wharf::{
    model::Rule,
    targets::{Begun, LoadId, OnNull, TargetError, WriteWhen},
};

use super::*;

cases![
    upsert_inserts_the_new_and_updates_the_changed: ExactCounts,
    in_mode_insert_a_known_key_is_rejected,
    in_mode_insert_a_key_that_stands_twice_in_the_file_is_loaded_once,
    in_mode_insert_other_constraints_are_not_taken_for_the_key,
    a_column_written_on_insert_belongs_to_others_afterwards,
    a_column_that_is_not_compared_changes_no_row_alone_but_is_written_with_others,
    a_missing_value_replaces_the_stored_one_or_keeps_it,
    a_column_the_file_lacks_is_not_touched,
    columns_that_are_not_mapped_keep_their_values,
    a_row_is_written_when_it_is_newer_than_the_stored_one_by_the_columns_type,
    a_row_that_differs_in_nothing_is_unchanged_and_not_superseded,
    anything_is_newer_than_no_value_and_no_value_is_newer_than_nothing_else,
    a_file_without_the_column_that_says_what_is_newer_is_refused,
];

fn upsert_inserts_the_new_and_updates_the_changed(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1"), ("b", "2"), ("c", "3")]));
    let (tally, _) = load(database, &pair(), &pairs(&[("d", "4"), ("b", "2"), ("c", "x")]));
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 1, 1));
    assert_eq!(database.texts(&["k", "v"], "FROM t ORDER BY k"), ["a,1", "b,2", "c,x", "d,4"]);
}

fn in_mode_insert_a_known_key_is_rejected(database: &dyn Database) {
    let mut spec = pair();
    load(database, &spec, &pairs(&[("b", "1")]));
    spec.mode = Mode::Insert;
    let rows = pairs(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut comparison = database.target().compare(&spec, schema(&spec)).unwrap();
    let foretold = comparison.compare(&batch(&spec, &rows), None).unwrap();
    assert_eq!(comparison.finish().unwrap().inserted, 2);
    let (tally, refusals) = load(database, &spec, &rows);
    assert_eq!((tally.inserted, tally.updated, refusals.len()), (2, 0, 1));
    assert_eq!((&refusals[0].rule, refusals[0].origin.record), (&Rule::Key, 2));
    assert_eq!(refusals[0].message, "is in the table already");
    assert_eq!(
        (&foretold[0].rule, &foretold[0].message, foretold.len()),
        (&Rule::Key, &refusals[0].message, 1)
    );
    assert_eq!(database.texts(&["v"], "FROM t ORDER BY k"), ["1", "1", "3"]);
}

fn in_mode_insert_a_key_that_stands_twice_in_the_file_is_loaded_once(database: &dyn Database) {
    let spec = TableSpec { mode: Mode::Insert, ..pair() };
    let mut load = open(&*database.target(), &spec, fresh());
    let one = batch(&spec, &pairs(&[("a", "1"), ("b", "1"), ("a", "2")]));
    let other = later(batch(&spec, &pairs(&[("b", "2"), ("c", "1")])), 3);
    let refused = write(&mut *load, &[one, other]).unwrap();
    assert_eq!(refused.iter().map(|refusal| &refusal.rule).collect::<Vec<_>>(), [&Rule::Key, &Rule::Key]);
    assert_eq!(finish(load, 2).inserted, 3);
    assert_eq!(database.texts(&["v"], "FROM t ORDER BY k"), ["1", "1", "1"]);
}

fn in_mode_insert_other_constraints_are_not_taken_for_the_key(database: &dyn Database) {
    let columns = [("a", ValueType::Text), ("b", ValueType::Text), ("v", ValueType::Text)];
    database.run(&table(database, &columns, ", PRIMARY KEY (b, a), UNIQUE (v)"));
    let columns = columns.map(|(name, of)| column(name, of));
    let spec = TableSpec { mode: Mode::Insert, ..spec(columns.to_vec(), 2) };
    let row = |a, b, v| vec![text(a), text(b), text(v)];
    let (_, refusals) = load(database, &spec, &[row("1", "1", "x"), row("1", "1", "y"), row("1", "2", "x")]);
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Key, None));
    assert_eq!((&refusals[1].rule, refusals[1].column), (&Rule::Target, Some(2)));
}

fn a_column_written_on_insert_belongs_to_others_afterwards(database: &dyn Database) {
    let mut spec = pair();
    spec.columns.push(column("w", ValueType::Text));
    spec.columns[2].write = WriteWhen::Insert;
    let row = |v: &str, w: &str| vec![vec![text("a"), text(v), text(w)]];
    load(database, &spec, &row("1", "first"));
    database.run("UPDATE t SET w = 'theirs'");
    assert_eq!(load(database, &spec, &row("1", "second")).0.unchanged, 1);
    assert_eq!(load(database, &spec, &row("2", "second")).0.updated, 1);
    assert_eq!(database.texts(&["v", "w"], "FROM t"), ["2,theirs"]);
}

fn a_column_that_is_not_compared_changes_no_row_alone_but_is_written_with_others(database: &dyn Database) {
    let mut spec = pair();
    spec.columns.push(column("seen", ValueType::Integer));
    spec.columns[2].compare = false;
    let row = |v: &str, seen| vec![vec![text("a"), text(v), Cell::Integer(seen)]];
    load(database, &spec, &row("1", 1));
    assert_eq!(load(database, &spec, &row("1", 2)).0.unchanged, 1);
    assert_eq!(database.texts(&["seen"], "FROM t"), ["1"]);
    assert_eq!(load(database, &spec, &row("2", 3)).0.updated, 1);
    assert_eq!(database.texts(&["v", "seen"], "FROM t"), ["2,3"]);
}

fn a_missing_value_replaces_the_stored_one_or_keeps_it(database: &dyn Database) {
    let mut spec = pair();
    spec.columns.push(column("kept", ValueType::Decimal { precision: 9, scale: 2 }));
    spec.columns[2].on_null = OnNull::Keep;
    let row = |v: Cell, kept: Cell| vec![vec![text("a"), v, kept]];
    load(database, &spec, &row(text("1"), Cell::Decimal(150)));
    assert_eq!(load(database, &spec, &row(text("1"), Cell::Null)).0.unchanged, 1);
    assert_eq!(load(database, &spec, &row(Cell::Null, Cell::Null)).0.updated, 1);
    let columns = [("v", ValueType::Text), ("kept", ValueType::Text)];
    assert_eq!(database.rows(&columns, "FROM t"), ["-,1.50"]);
    assert_eq!(load(database, &spec, &row(Cell::Null, Cell::Null)).0.unchanged, 1);
    assert_eq!(load(database, &spec, &row(text("2"), Cell::Decimal(175))).0.updated, 1);
    assert_eq!(database.rows(&columns, "FROM t"), ["2,1.75"]);
}

fn a_column_the_file_lacks_is_not_touched(database: &dyn Database) {
    let full = pair();
    load(database, &full, &pairs(&[("a", "1")]));
    let lacking = spec(vec![column("k", ValueType::Text)], 1);
    let target = database.target();
    let begun = target.begin(LoadId { site: "site", delivery: fresh() }, &full, schema(&lacking)).unwrap();
    let Begun::Open(mut load) = begun else { panic!("the delivery is new") };
    assert!(write(&mut *load, &[batch(&lacking, &[vec![text("a")], vec![text("b")]])]).unwrap().is_empty());
    let tally = finish(load, 0);
    assert_eq!((tally.inserted, tally.unchanged), (1, 1));
    assert_eq!(database.texts(&["k", "v"], "FROM t ORDER BY k"), ["a,1", "b,-"]);
}

fn columns_that_are_not_mapped_keep_their_values(database: &dyn Database) {
    let text = database.declares(ValueType::Text);
    database.run(&format!(
        "CREATE TABLE t (own {text} DEFAULT 'x' NOT NULL, v {text}, k {text} NOT NULL UNIQUE, free {text});
         INSERT INTO t VALUES ('mine', '1', 'a', 'f')"
    ));
    let (tally, _) = load(database, &pair(), &pairs(&[("a", "2"), ("b", "3")]));
    assert_eq!((tally.inserted, tally.updated), (1, 1));
    assert_eq!(database.texts(&["k", "v", "own", "free"], "FROM t ORDER BY k"), ["a,2,mine,f", "b,3,x,-"]);
}

fn by(value_type: ValueType) -> TableSpec {
    let columns = vec![column("k", ValueType::Text), column("v", ValueType::Text), column("at", value_type)];
    TableSpec { newer: Some(2), ..spec(columns, 1) }
}

fn a_row_is_written_when_it_is_newer_than_the_stored_one_by_the_columns_type(database: &dyn Database) {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    // (type, an older value, the stored one, a newer one)
    let cases = [
        (ValueType::Integer, Cell::Integer(-8), Cell::Integer(9), Cell::Integer(10)),
        (decimal, Cell::Decimal(949), Cell::Decimal(950), Cell::Decimal(1000)),
        (ValueType::Float, Cell::Float(-9.75), Cell::Float(9.5), Cell::Float(10.0)),
        (ValueType::Date, Cell::Date(-8), Cell::Date(9), Cell::Date(10)),
        (ValueType::Time, Cell::Micros(8_999_999), Cell::Micros(9_000_000), Cell::Micros(9_000_001)),
        (ValueType::Timestamp, Cell::Micros(-1), Cell::Micros(9_000_000), Cell::Micros(9_000_001)),
        (ValueType::Text, text("B"), text("a"), text("a ")),
        (ValueType::Text, text("z"), text("é"), text("\u{10000}")),
    ];
    for (number, (value_type, older, same, newer)) in cases.into_iter().enumerate() {
        let name = format!("t{number}");
        let spec = TableSpec { table: name.clone(), ..by(value_type) };
        load(database, &spec, &[vec![text("a"), text("old"), same.clone()]]);
        for (at, written) in [(&older, false), (&same, false), (&newer, true)] {
            let rows = [vec![text("a"), text("new"), at.clone()]];
            let (foretold, _) = compared(&*database.target(), &spec, &[batch(&spec, &rows)]);
            let (tally, _) = load(database, &spec, &rows);
            let counts = |tally: &Tally| (tally.updated, tally.superseded);
            assert_eq!(counts(&tally), if written { (1, 0) } else { (0, 1) }, "{value_type} {at:?}");
            assert_eq!(counts(&foretold), counts(&tally));
            let value = if written { "new" } else { "old" };
            assert_eq!(database.texts(&["v"], &format!("FROM {name}")), [value]);
        }
    }
}

fn a_row_that_differs_in_nothing_is_unchanged_and_not_superseded(database: &dyn Database) {
    let spec = by(ValueType::Integer);
    let row = vec![text("a"), text("v"), Cell::Integer(3)];
    load(database, &spec, std::slice::from_ref(&row));
    let (tally, _) = load(database, &spec, &[row]);
    assert_eq!((tally.unchanged, tally.superseded), (1, 0));
}

fn anything_is_newer_than_no_value_and_no_value_is_newer_than_nothing_else(database: &dyn Database) {
    let spec = by(ValueType::Integer);
    let row = |v: &str, at: Cell| vec![vec![text("a"), text(v), at]];
    load(database, &spec, &row("1", Cell::Null));
    assert_eq!(load(database, &spec, &row("2", Cell::Null)).0.updated, 1);
    assert_eq!(load(database, &spec, &row("3", Cell::Integer(1))).0.updated, 1);
    assert_eq!(load(database, &spec, &row("4", Cell::Null)).0.superseded, 1);
    assert_eq!(database.texts(&["v", "at"], "FROM t"), ["3,1"]);
}

fn a_file_without_the_column_that_says_what_is_newer_is_refused(database: &dyn Database) {
    let full = by(ValueType::Integer);
    let mut lacking = full.clone();
    lacking.columns.pop();
    let target = database.target();
    let begun = target.begin(LoadId { site: "site", delivery: fresh() }, &full, schema(&lacking));
    let Err(TargetError::Misfit(lines)) = begun else { panic!("the file lacks `at`") };
    assert_eq!(lines, ["the file has no column `at`, which `newer` needs"]);
}
