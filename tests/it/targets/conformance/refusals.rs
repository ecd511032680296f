//! What the database says about single rows: each costs one row, and is said in words made from the rule it broke.

use wharf::{
    model::Rule,
    targets::{MISSING_PARENT, RowRefusal},
};

use super::*;

cases![
    constraints_refuse_their_row_only,
    a_missing_parent_refuses_its_row_only,
    refusals_of_several_kinds_side_by_side_are_told_apart,
    rows_may_refer_to_earlier_ones_of_the_file_and_to_none_that_are_nowhere,
    the_first_the_last_and_all_rows_of_a_batch_can_be_refused,
    refused_rows_in_many_batches_leave_the_others_in,
    a_trigger_refuses_its_row_only_in_its_own_words,
    updates_are_refused_row_by_row_too,
    a_value_that_the_table_does_not_take_missing_is_refused_alone,
    a_foreign_key_checked_at_the_end_lets_no_row_in_that_breaks_it,
    refusals_hold_no_values,
];

/// Rows for [`pair`]: one that is refused between many that are not.
fn one_bad_among(bad: &str) -> Vec<Vec<Cell>> {
    let good = |n: usize| vec![text(&format!("k{n:02}")), text(&format!("v{n:02}"))];
    (0..13).map(good).chain([vec![text("bad"), text(bad)]]).chain((13..30).map(good)).collect()
}

/// Loads into table `t`, once empty and once with rows in it; gives the one refusal that there has to be each time.
fn only_refusal(database: &dyn Database, bad: &str) -> RowRefusal {
    let mut found = Vec::new();
    for inserted in [30, 0] {
        let (tally, mut refusals) = load(database, &pair(), &one_bad_among(bad));
        assert_eq!(
            (tally.inserted, tally.unchanged, refusals.len()),
            (inserted, 30 - inserted, 1),
            "{refusals:?}"
        );
        assert_eq!(database.count("FROM t WHERE k LIKE 'k%'"), 30);
        assert_eq!(database.count("FROM t WHERE k = 'bad'"), 0);
        let refusal = refusals.remove(0);
        assert_eq!((refusal.origin.record, &refusal.rule), (14, &Rule::Target));
        found.push(refusal);
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

fn constraints_refuse_their_row_only(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "CONSTRAINT good CHECK (v <> 'x')"));
    let check = only_refusal(database, "x");
    assert_eq!((check.column, check.message.as_str()), (None, "does not pass the table's check `good`"));
    database.run("DROP TABLE t");
    database.run(&pair_table(database, "PRIMARY KEY", "UNIQUE"));
    let unique = only_refusal(database, "v05");
    assert_eq!(unique.column, Some(1));
    assert_eq!(unique.message, "stands in another row of the table, where it must be unique");
    database.run("DROP TABLE t");
    database.run(&pair_table(database, "PRIMARY KEY", ""));
    database.run("CREATE UNIQUE INDEX folded ON t (upper(v))");
    let hidden = only_refusal(database, "V05");
    assert!(hidden.message.contains("folded"), "{}", hidden.message);
}

/// A table of parents with these keys, to which `v` of table `t` refers.
fn parents(database: &dyn Database, keys: impl Iterator<Item = String>, when: &str) {
    let text = database.declares(ValueType::Text);
    let keys: Vec<String> = keys.map(|key| format!("('{key}')")).collect();
    database
        .run(&format!("CREATE TABLE p (id {text} PRIMARY KEY); INSERT INTO p VALUES {}", keys.join(", ")));
    database.run(&pair_table(database, "PRIMARY KEY", &format!("REFERENCES p (id) {when}")));
}

fn a_missing_parent_refuses_its_row_only(database: &dyn Database) {
    parents(database, (0..30).map(|n| format!("v{n:02}")), "");
    assert_eq!(only_refusal(database, "nobody").message, MISSING_PARENT);
}

fn refusals_of_several_kinds_side_by_side_are_told_apart(database: &dyn Database) {
    let (k, v) = (database.declares(ValueType::Text), database.declares(ValueType::Integer));
    database.run(&format!(
        "CREATE TABLE p (id {v} PRIMARY KEY);
         INSERT INTO p VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9);
         CREATE TABLE t (k {k} PRIMARY KEY, v {v} UNIQUE REFERENCES p (id) CHECK (v <> 9))"
    ));
    let spec = spec(vec![column("k", ValueType::Text), column("v", ValueType::Integer)], 1);
    let values = [1, 2, 77, 3, 2, 9, 4, 5, 6, 7, 88, 1, 8];
    let rows: Vec<_> =
        (0..).zip(values).map(|(n, v): (u32, i64)| vec![text(&format!("k{n}")), Cell::Integer(v)]).collect();
    let (tally, mut refusals) = load(database, &spec, &rows);
    assert_eq!(tally.inserted, 8);
    refusals.sort_by_key(|refusal| refusal.origin.record);
    let told: Vec<_> =
        refusals.iter().map(|refusal| (refusal.origin.record, &refusal.message[..8])).collect();
    assert_eq!(told, [(3, "refers t"), (5, "stands i"), (6, "does not"), (11, "refers t"), (12, "stands i")]);
    assert_eq!(database.texts(&["v"], "FROM t ORDER BY v"), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

fn rows_may_refer_to_earlier_ones_of_the_file_and_to_none_that_are_nowhere(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "REFERENCES t (k)"));
    let rows = pairs(&[("a", "a"), ("b", "a"), ("c", "nobody"), ("d", "b"), ("e", "d")]);
    for _ in 0..2 {
        let (tally, refusals) = load(database, &pair(), &rows);
        assert_eq!((tally.loaded(), refusals.len(), refusals[0].origin.record), (4, 1, 3));
        assert_eq!(refusals[0].message, MISSING_PARENT);
    }
}

fn the_first_the_last_and_all_rows_of_a_batch_can_be_refused(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "CHECK (v <> 'x')"));
    for (values, refused) in [
        (["x", "1", "2", "3"], vec![1]),
        (["1", "2", "3", "x"], vec![4]),
        (["x", "1", "2", "x"], vec![1, 4]),
        (["x", "x", "x", "x"], vec![1, 2, 3, 4]),
        (["1", "x", "x", "2"], vec![2, 3]),
    ] {
        database.run("DELETE FROM t");
        let rows: Vec<_> =
            (0..).zip(values).map(|(n, v): (u32, _)| vec![text(&n.to_string()), text(v)]).collect();
        // Into an empty table, then among what is there.
        for _ in 0..2 {
            let (_, refusals) = load(database, &pair(), &rows);
            let mut records: Vec<_> = refusals.iter().map(|refusal| refusal.origin.record).collect();
            records.sort_unstable();
            assert_eq!(records, refused, "{values:?}");
            assert_eq!(database.count("FROM t"), 4 - refused.len() as u64);
        }
    }
}

fn refused_rows_in_many_batches_leave_the_others_in(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "CHECK (v <> 'x')"));
    let spec = pair();
    let mut load = open(&*database.target(), &spec, fresh());
    let batches = (0..5).map(|part| {
        let value = |n: usize| if n % 7 == part { "x" } else { "1" };
        let rows: Vec<_> = (0..20).map(|n| vec![text(&format!("{part}/{n}")), text(value(n))]).collect();
        later(batch(&spec, &rows), part as u64 * 20)
    });
    let refusals = write(&mut *load, &batches.collect::<Vec<_>>()).unwrap();
    let is_bad = |record: usize| (record - 1) % 20 % 7 == (record - 1) / 20;
    assert!(refusals.iter().all(|refusal| is_bad(refusal.origin.record as usize)), "{refusals:?}");
    let refused = (1..=100).filter(|record| is_bad(*record)).count();
    assert_eq!(refusals.len(), refused);
    assert_eq!(load.counts().inserted + refused as u64, 100);
    finish(load, refused);
    assert_eq!(database.count("FROM t"), 100 - refused as u64);
    assert_eq!(database.count("FROM t WHERE v = 'x'"), 0);
}

fn a_trigger_refuses_its_row_only_in_its_own_words(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", ""));
    database.refuse(Event::Insert, "new.v = 'x'", "no\u{1b}[31m x");
    let refusal = only_refusal(database, "x");
    assert_eq!(refusal.message, "was refused by a trigger of the table");
    assert_eq!(refusal.said.as_deref(), Some(r"no\u{1b}[31m x"));
    let (tally, refusals) = load(database, &pair(), &pairs(&[("y", "x"), ("z", "x")]));
    assert_eq!((tally.inserted, refusals.len()), (0, 2));
}

fn updates_are_refused_row_by_row_too(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "CHECK (v <> 'x')"));
    database.run("INSERT INTO t VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4')");
    database.refuse(Event::Update, "new.v = 'no'", "not so");
    let rows = pairs(&[("a", "x"), ("b", "two"), ("c", "no"), ("d", "4"), ("e", "x"), ("f", "new")]);
    let (tally, refusals) = load(database, &pair(), &rows);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 1, 1));
    let mut records: Vec<_> = refusals.iter().map(|refusal| refusal.origin.record).collect();
    records.sort_unstable();
    assert_eq!(records, [1, 3, 5]);
    assert_eq!(database.texts(&["k", "v"], "FROM t ORDER BY k"), ["a,1", "b,two", "c,3", "d,4", "f,new"]);
}

fn a_value_that_the_table_does_not_take_missing_is_refused_alone(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", ""));
    database.refuse(Event::Insert, "new.v is null", "empty");
    let rows = vec![vec![text("a"), Cell::Null], vec![text("b"), text("1")]];
    let (tally, refusals) = load(database, &pair(), &rows);
    assert_eq!((tally.inserted, refusals[0].origin.record), (1, 1));
}

fn a_foreign_key_checked_at_the_end_lets_no_row_in_that_breaks_it(database: &dyn Database) {
    parents(database, ["there".to_owned()].into_iter(), "DEFERRABLE INITIALLY DEFERRED");
    let spec = pair();
    let mut load = open(&*database.target(), &spec, fresh());
    let ended =
        write(&mut *load, &[batch(&spec, &pairs(&[("a", "there"), ("b", "nobody")]))]).and_then(|refused| {
            let tally = balanced(&*load, refused.len());
            load.seal(&tally, wharf::model::ContentHash([0; 32]))?;
            load.commit().map(|()| refused)
        });
    // Either the database says which row it is, or it says why nothing was loaded.
    let rows = database.texts(&["k"], "FROM t");
    match ended {
        Ok(refused) => {
            assert_eq!((refused.len(), refused[0].origin.record, rows), (1, 2, vec!["a".to_owned()]))
        }
        Err(error) => {
            assert!(error.to_string().contains("foreign key") && rows.is_empty(), "{error} {rows:?}")
        }
    }
}

fn refusals_hold_no_values(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "UNIQUE CONSTRAINT c CHECK (v <> 'secret1')"));
    let rows = pairs(&[("a", "secret1"), ("b", "secret2"), ("c", "secret2")]);
    let (_, refusals) = load(database, &pair(), &rows);
    assert_eq!(refusals.len(), 2);
    assert!(refusals.iter().all(|refusal| !refusal.message.contains("secret") && refusal.said.is_none()));
}
