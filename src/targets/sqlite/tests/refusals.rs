//! What the database says about single rows, and what triggers may do to the books.

use super::*;
use crate::model::Rule;

const PLAIN: &str = "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT);";

/// A mapping to `t` with its rows: one that is refused between many that are not.
fn one_bad_among(bad: &str) -> Vec<Vec<Cell>> {
    let good = |n: usize| vec![text(&format!("k{n:02}")), text(&format!("v{n:02}"))];
    (0..13).map(good).chain([vec![text("bad"), text(bad)]]).chain((13..30).map(good)).collect()
}

/// Loads into a table made by `sql`; gives the one refusal there has to be.
fn only_refusal(sql: &str, bad: &str) -> (Place, RowRefusal) {
    let place = Place::with(sql);
    let (tally, mut refusals) = place.load(&pair(), &one_bad_among(bad));
    assert_eq!((tally.inserted, refusals.len()), (30, 1), "{refusals:?}");
    assert_eq!(place.rows(&["count(*)"], "FROM t WHERE k GLOB 'k??'"), ["30"]);
    assert_eq!(place.rows(&["count(*)"], "FROM t WHERE k = 'bad'"), ["0"]);
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
fn a_missing_parent_row_refuses_its_row_only() {
    let parents: Vec<String> = (0..30).map(|n| format!("('v{n:02}')")).collect();
    let (_, refusal) = only_refusal(
        &format!(
            "CREATE TABLE p (id TEXT PRIMARY KEY); INSERT INTO p VALUES {};
             CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT REFERENCES p (id))",
            parents.join(", ")
        ),
        "nobody",
    );
    assert!(refusal.message.contains("foreign key"), "{}", refusal.message);
}

#[test]
fn refusals_of_several_kinds_side_by_side_are_told_apart() {
    let place = Place::with(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9);
         CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER UNIQUE REFERENCES p (id) CHECK (v <> 9))",
    );
    let spec = spec(vec![column("k", ValueType::Text), column("v", ValueType::Integer)], 1);
    let values = [1, 2, 77, 3, 2, 9, 4, 5, 6, 7, 88, 1, 8];
    let rows: Vec<_> =
        (0..).zip(values).map(|(n, v): (u32, i64)| vec![text(&format!("k{n}")), Cell::Integer(v)]).collect();
    let (tally, refusals) = place.load(&spec, &rows);
    assert_eq!(tally.inserted, 8);
    let told: Vec<_> =
        refusals.iter().map(|refusal| (refusal.origin.record, &refusal.message[..8])).collect();
    assert_eq!(told, [(3, "refers t"), (5, "stands i"), (6, "does not"), (11, "refers t"), (12, "stands i")]);
    assert_eq!(place.rows(&["group_concat(v)"], "FROM (SELECT v FROM t ORDER BY v)"), ["'1,2,3,4,5,6,7,8'"]);
}

#[test]
fn a_row_that_refers_to_a_later_row_is_refused_however_rows_are_grouped() {
    let place = Place::with("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT REFERENCES t (k))");
    let rows = pairs(&[("a", "a"), ("b", "a"), ("c", "d"), ("d", "b"), ("e", "d")]);
    let (tally, refusals) = place.load(&pair(), &rows);
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
            assert_eq!(place.rows(&["count(*)", "sum(v = 'x')"], "FROM log"), ["30,0"], "{raise} {when}");
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
    assert_eq!(place.rows(&["count(*)"], "FROM log"), ["30"]);
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
    assert_eq!(place.rows(&["sum(v = 'x')"], "FROM log"), ["0"]);
}

#[test]
fn a_trigger_may_refuse_every_row() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'closed'); END"
    ));
    let (tally, refusals) = place.load(&pair(), &one_bad_among("x"));
    assert_eq!((tally.inserted, tally.rejected, refusals.len()), (0, 31, 31));
    assert_eq!(place.rows(&["count(*)"], "FROM t"), ["0"]);
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
    assert_eq!(place.rows(&["count(*)"], "FROM t"), ["0"]);
}

#[test]
fn updates_are_refused_row_by_row_too() {
    let place = Place::with(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT CHECK (v <> 'x'));
         INSERT INTO t VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4');
         CREATE TRIGGER g BEFORE UPDATE ON t WHEN new.v = 'skip' BEGIN SELECT RAISE(IGNORE); END",
    );
    let rows = pairs(&[("a", "x"), ("b", "two"), ("c", "skip"), ("d", "4")]);
    let (tally, refusals) = place.load(&pair(), &rows);
    assert_eq!((tally.updated, tally.unchanged), (1, 1));
    assert_eq!(refusals.iter().map(|refusal| refusal.origin.record).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(place.rows(&["k", "v"], "FROM t"), ["'a','1'", "'b','two'", "'c','3'", "'d','4'"]);
}

#[test]
fn a_key_that_a_trigger_wrote_first_never_ends_the_load() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TRIGGER g AFTER INSERT ON t WHEN new.k = 'a' BEGIN INSERT INTO t VALUES ('b', 'mine'); END"
    ));
    let (tally, refusals) = place.load(&pair(), &pairs(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert_eq!((tally.inserted, refusals.len()), (2, 1));
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Target, Some(0)));
    assert_eq!(place.rows(&["v"], "FROM t ORDER BY k"), ["'1'", "'mine'", "'3'"]);
}

#[test]
fn a_trigger_may_delete_what_is_to_be_updated() {
    let place = Place::with(&format!(
        "{PLAIN} INSERT INTO t VALUES ('a', '1'), ('b', '2');
         CREATE TRIGGER g AFTER UPDATE ON t BEGIN DELETE FROM t WHERE k = 'b'; END"
    ));
    let (tally, refusals) = place.load(&pair(), &pairs(&[("a", "x"), ("b", "y")]));
    assert_eq!((tally.updated, refusals.len()), (1, 1));
}

#[test]
fn in_mode_insert_a_known_key_is_rejected() {
    for table in [
        "",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
        "CREATE TABLE t (v TEXT, k TEXT UNIQUE)",
    ] {
        let place = Place::with(table);
        let mut spec = pair();
        place.load(&spec, &pairs(&[("b", "1")]));
        spec.mode = Mode::Insert;
        let (tally, refusals) = place.load(&spec, &pairs(&[("a", "1"), ("b", "2"), ("c", "3"), ("b", "1")]));
        assert_eq!((tally.inserted, tally.updated, refusals.len()), (2, 0, 2));
        assert!(refusals.iter().all(|refusal| (&refusal.rule, refusal.column) == (&Rule::Key, Some(0))));
        assert_eq!(refusals[0].message, "is in the table already");
        assert_eq!(place.rows(&["v"], "FROM t ORDER BY k"), ["'1'", "'1'", "'3'"]);
    }
}

#[test]
fn in_mode_insert_other_constraints_are_not_taken_for_the_key() {
    let place = Place::with("CREATE TABLE t (a TEXT, b TEXT, v TEXT UNIQUE, PRIMARY KEY (b, a))");
    let mut spec = spec(
        vec![column("a", ValueType::Text), column("b", ValueType::Text), column("v", ValueType::Text)],
        2,
    );
    spec.mode = Mode::Insert;
    let row = |a, b, v| vec![text(a), text(b), text(v)];
    let (_, refusals) = place.load(&spec, &[row("1", "1", "x"), row("1", "1", "y"), row("1", "2", "x")]);
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Key, None));
    assert_eq!((&refusals[1].rule, refusals[1].column), (&Rule::Target, Some(2)));
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
        assert_eq!(place.rows(&["v"], "FROM t WHERE k = 'k05'"), ["'v05'"]);
    }
}

#[test]
fn a_triggers_own_clauses_stay_in_force() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE TABLE last (n INTEGER PRIMARY KEY, v);
         CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT OR REPLACE INTO last VALUES (1, new.v); END"
    ));
    assert_eq!(place.load(&pair(), &pairs(&[("a", "1"), ("b", "2")])).0.inserted, 2);
    assert_eq!(place.rows(&["v"], "FROM last"), ["'2'"]);
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
    let (_, refusals) = place.load(&spec, &[vec![text("a"), Cell::Integer(0)]]);
    assert_eq!((&refusals[0].rule, refusals[0].column), (&Rule::Target, Some(1)));
    assert_eq!(refusals[0].message, "is not of the type that the table asks for");
}
