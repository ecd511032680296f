//! What the database says about single rows, and what triggers may do to the books.

use super::*;
use wharf::model::Rule;

const PLAIN: &str = "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT);";

/// A mapping to `t` with its rows: one that is refused between many that are not.
fn one_bad_among(bad: &str) -> Vec<Vec<Cell>> {
    let good = |n: usize| vec![text(&format!("k{n:02}")), text(&format!("v{n:02}"))];
    (0..13).map(good).chain([vec![text("bad"), text(bad)]]).chain((13..30).map(good)).collect()
}

/// Loads into a table made by `sql`; gives the one refusal there has to be.
fn only_refusal(sql: &str, bad: &str) -> (Place, RowRefusal) {
    let place = Place::with(sql);
    let (tally, mut refusals) = load(&place, &pair(), &one_bad_among(bad));
    assert_eq!((tally.inserted, refusals.len()), (30, 1), "{refusals:?}");
    assert_eq!(place.stored(&["count(*)"], "FROM t WHERE k GLOB 'k??'"), ["30"]);
    assert_eq!(place.stored(&["count(*)"], "FROM t WHERE k = 'bad'"), ["0"]);
    let refusal = refusals.remove(0);
    assert_eq!((refusal.origin.record, &refusal.rule), (14, &Rule::Target));
    (place, refusal)
}

#[test]
fn constraints_refuse_their_row_only() {
    let (_, check) =
        only_refusal("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT CONSTRAINT good CHECK (v <> 'x'))", "x");
    assert_eq!((check.column, check.message.as_str()), (None, "does not pass the table's check `good`"));
    let (_, unique) = only_refusal("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT UNIQUE)", "v05");
    assert_eq!(unique.column, Some(1));
    assert_eq!(unique.message, "stands in another row of the table, where it must be unique");
    let (_, both) =
        only_refusal("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, c TEXT DEFAULT 1, UNIQUE (v, c))", "v05");
    assert_eq!(both.column, None);
    assert!(both.message.contains("`t.v, t.c`"), "{}", both.message);
    let (_, hidden) = only_refusal(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); CREATE UNIQUE INDEX u ON t (upper(v))",
        "V05",
    );
    assert!(hidden.message.contains("index 'u'"), "{}", hidden.message);
}

#[test]
fn a_row_that_refers_to_a_later_row_is_refused_however_rows_are_grouped() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT REFERENCES t (k))");
    let rows = pairs(&[("a", "a"), ("b", "a"), ("c", "d"), ("d", "b"), ("e", "d")]);
    let (tally, refusals) = load(&place, &pair(), &rows);
    assert_eq!((tally.inserted, refusals.len(), refusals[0].origin.record), (4, 1, 3));
}

#[test]
fn a_trigger_refuses_its_row_only_and_leaves_no_trace_of_it() {
    for raise in ["ABORT", "FAIL"] {
        for when in ["BEFORE", "AFTER"] {
            let (place, refusal) = only_refusal(
                &format!(
                    "{PLAIN} CREATE TABLE log (v);
                     CREATE TRIGGER g {when} INSERT ON t BEGIN
                         INSERT INTO log VALUES (new.v);
                         SELECT RAISE({raise}, 'no\u{1b}[31m x') WHERE new.v = 'x';
                     END"
                ),
                "x",
            );
            assert_eq!(refusal.message, "was refused by a trigger of the table");
            assert_eq!(refusal.said.as_deref(), Some(r"no\u{1b}[31m x"));
            assert_eq!(place.stored(&["count(*)", "sum(v = 'x')"], "FROM log"), ["30,0"], "{raise} {when}");
        }
    }
}

#[test]
fn a_refusal_in_a_table_behind_a_trigger_leaves_no_trace_either() {
    let (place, refusal) = only_refusal(
        &format!(
            "{PLAIN} CREATE TABLE log (v); CREATE TABLE seen (v CHECK (v <> 'x'), n UNIQUE ON CONFLICT FAIL);
             CREATE TRIGGER g AFTER INSERT ON t BEGIN
                 INSERT INTO log VALUES (new.v);
                 INSERT INTO seen VALUES (new.v, new.v);
             END;
             INSERT INTO seen VALUES ('y', 'y')"
        ),
        "y",
    );
    assert!(refusal.message.contains("`seen.n`"), "{}", refusal.message);
    assert_eq!(place.stored(&["count(*)"], "FROM log"), ["30"]);
}

#[test]
fn a_row_that_a_trigger_passes_over_is_refused_so_that_the_books_balance() {
    let (place, refusal) = only_refusal(
        &format!(
            "{PLAIN} CREATE TABLE log (v);
             CREATE TRIGGER g BEFORE INSERT ON t BEGIN
                 INSERT INTO log VALUES (new.v);
                 SELECT RAISE(IGNORE) WHERE new.v = 'x';
             END"
        ),
        "x",
    );
    assert!(refusal.message.contains("RAISE(IGNORE)"));
    assert_eq!(place.stored(&["sum(v = 'x')"], "FROM log"), ["0"]);
}

#[test]
fn a_trigger_may_refuse_every_row() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'closed'); END"
    ));
    let (tally, refusals) = load(&place, &pair(), &one_bad_among("x"));
    assert_eq!((tally.inserted, tally.rejected, refusals.len()), (0, 31, 31));
    assert_eq!(place.stored(&["count(*)"], "FROM t"), ["0"]);
}

#[test]
fn a_trigger_that_rolls_back_ends_the_load_and_says_so() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TRIGGER g BEFORE INSERT ON t WHEN new.v = 'x' BEGIN SELECT RAISE(ROLLBACK, 'all gone'); END"
    ));
    let spec = pair();
    let mut load = open(&place.target(), &spec, fresh());
    let error = load.write(&batch(&spec, &one_bad_among("x"))).unwrap_err();
    assert!(matches!(&error, TargetError::Lasting(text) if text.contains("RAISE(ROLLBACK)")), "{error}");
    // Nothing may be written outside the transaction that is gone.
    assert!(load.write(&batch(&spec, &pairs(&[("later", "1")]))).is_err());
    assert!(load.seal(&Tally::default(), ContentHash([0; 32])).is_err());
    assert!(load.commit().is_err());
    assert_eq!(place.stored(&["count(*)"], "FROM t"), ["0"]);
}

#[test]
fn a_key_that_a_trigger_wrote_first_never_ends_the_load() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TRIGGER g AFTER INSERT ON t WHEN new.k = 'a' BEGIN INSERT INTO t VALUES ('b', 'mine'); END"
    ));
    let (tally, refusals) = load(&place, &pair(), &pairs(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert_eq!((tally.inserted, refusals.len()), (2, 1));
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Target, Some(0)));
    assert_eq!(place.stored(&["v"], "FROM t ORDER BY k"), ["'1'", "'mine'", "'3'"]);
}

#[test]
fn a_trigger_may_delete_what_is_to_be_updated() {
    let place = Place::with(&format!(
        "{PLAIN} INSERT INTO t VALUES ('a', '1'), ('b', '2');
         CREATE TRIGGER g AFTER UPDATE ON t BEGIN DELETE FROM t WHERE k = 'b'; END"
    ));
    let (tally, refusals) = load(&place, &pair(), &pairs(&[("a", "x"), ("b", "y")]));
    assert_eq!((tally.updated, refusals.len()), (1, 1));
}

#[test]
fn clauses_of_the_table_replace_and_drop_nothing() {
    for clause in ["REPLACE", "IGNORE", "FAIL", "ROLLBACK"] {
        let (place, refusal) = only_refusal(
            &format!(
                "CREATE TABLE t (k TEXT PRIMARY KEY ON CONFLICT {clause}, v TEXT UNIQUE ON CONFLICT {clause})"
            ),
            "v05",
        );
        assert_eq!(refusal.column, Some(1), "{clause}");
        assert_eq!(place.stored(&["v"], "FROM t WHERE k = 'k05'"), ["'v05'"]);
    }
}

#[test]
fn a_triggers_own_clauses_stay_in_force() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TABLE last (n INTEGER PRIMARY KEY, v);
         CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT OR REPLACE INTO last VALUES (1, new.v); END"
    ));
    assert_eq!(load(&place, &pair(), &pairs(&[("a", "1"), ("b", "2")])).0.inserted, 2);
    assert_eq!(place.stored(&["v"], "FROM last"), ["'2'"]);
}

#[test]
fn what_an_expression_cannot_compute_is_the_rows_fault() {
    let (_, refusal) = only_refusal(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, j AS (json_extract(iif(v = 'x', v, '1'), '$.a')) STORED)",
        "x",
    );
    assert!(refusal.message.contains("cannot be computed"), "{}", refusal.message);
}

#[test]
fn refusals_name_columns_and_never_hold_values() {
    let place = Place::with(
        "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER) STRICT;
         CREATE TRIGGER g BEFORE INSERT ON t WHEN new.n = 0 BEGIN INSERT INTO t (k, n) VALUES (NULL, 'secret'); END",
    );
    let spec = spec(vec![column("k", ValueType::Text), column("n", ValueType::Integer)], 1);
    let (_, refusals) = load(&place, &spec, &[vec![text("a"), Cell::Integer(0)]]);
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Target, Some(1)));
    assert_eq!(refusals[0].message, "is not of the type that the table asks for");
}
