//! Tables that do not fit are named with everything that does not; those that fit are used as they are.

use wharf::targets::{Fit, TargetError};

use super::*;

cases![
    each_difference_is_named,
    all_differences_are_named_together,
    a_table_that_is_missing_is_named_or_made,
    a_created_table_fits_its_mapping_and_asks_for_what_is_required,
    a_table_that_no_longer_fits_is_refused_before_anything_is_written,
    looking_creates_nothing,
    a_table_of_others_with_more_than_the_mapping_knows_fits,
    a_table_changed_between_two_loads_is_looked_at_again,
];

/// The one line there is about a table, which has to hold `part`.
#[track_caller]
fn only(database: &dyn Database, sql: &str, part: &str) {
    database.run(sql);
    let lines = misfit(database.target().fit(&pair()).unwrap());
    assert!(matches!(lines.as_slice(), [line] if line.contains(part)), "{sql}: {lines:?}, not {part}");
    let compared = database.target().compare(&pair(), schema(&pair()));
    assert!(matches!(compared, Err(TargetError::Misfit(same)) if same == lines), "{sql}");
    database.run("DROP TABLE t");
}

fn each_difference_is_named(database: &dyn Database) {
    let text = database.declares(ValueType::Text);
    let pair = |k: &str, v: &str| pair_table(database, k, v);
    only(database, &format!("CREATE TABLE t (k {text} PRIMARY KEY, other {text})"), "no column `v`");
    only(
        database,
        &format!("CREATE TABLE t (k {text} PRIMARY KEY, v2 {text})"),
        "no column `v` (there is `v2`)",
    );
    only(database, &pair("PRIMARY KEY", "NOT NULL"), "add `required = true`");
    only(database, &pair("PRIMARY KEY", "NOT NULL DEFAULT ''"), "add `required = true`");
    let own = format!("CREATE TABLE t (k {text} PRIMARY KEY, v {text}, own {text} NOT NULL)");
    only(database, &own, "`own`");
    only(database, &pair("PRIMARY KEY", "GENERATED ALWAYS AS ('x') STORED"), "computed by the database");
    only(database, &pair("", ""), "on exactly the key (k)");
    only(database, &format!("CREATE TABLE t (k {text}, v {text}, UNIQUE (k, v))"), "on exactly the key");
    only(database, &format!("{}; CREATE UNIQUE INDEX u ON t (k) WHERE v > ''", pair("", "")), "the key (k)");
    only(database, &format!("{}; CREATE UNIQUE INDEX u ON t (lower(k))", pair("", "")), "on exactly the key");
}

fn all_differences_are_named_together(database: &dyn Database) {
    let text = database.declares(ValueType::Text);
    database.run(&format!("CREATE TABLE t (k {text}, own {text} NOT NULL)"));
    let lines = misfit(database.target().fit(&pair()).unwrap());
    assert_eq!(lines.len(), 3, "{lines:?}");
}

fn a_table_that_is_missing_is_named_or_made(database: &dyn Database) {
    database.run("CREATE TABLE orders (k integer)");
    let orders = TableSpec { create: false, table: "order".to_owned(), ..pair() };
    let lines = misfit(database.target().fit(&orders).unwrap());
    assert!(lines.len() == 1 && lines[0].contains("`order` does not exist"), "{lines:?}");
    assert!(lines[0].contains("(there is `orders`)"), "{lines:?}");
    assert_eq!(database.target().fit(&TableSpec { create: true, ..orders }).unwrap(), Fit::WouldCreate);
}

fn a_created_table_fits_its_mapping_and_asks_for_what_is_required(database: &dyn Database) {
    let columns = TYPES.iter().enumerate().map(|(at, of)| column(&format!("c{at}"), *of)).collect();
    let mut spec = spec(columns, 2);
    spec.columns[3].required = true;
    assert_eq!(database.target().fit(&spec).unwrap(), Fit::WouldCreate);
    finish(open(&*database.target(), &spec, fresh()), 0);
    assert_eq!(database.target().fit(&spec).unwrap(), Fit::Fits);
    // What it asks for is seen by a mapping that does not promise it.
    spec.columns[3].required = false;
    let lines = misfit(database.target().fit(&spec).unwrap());
    assert!(lines.len() == 1 && lines[0].contains("`c3`"), "{lines:?}");
}

fn a_table_that_no_longer_fits_is_refused_before_anything_is_written(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", "NOT NULL"));
    let begun = begin(&*database.target(), &pair(), fresh());
    assert!(matches!(begun, Err(TargetError::Misfit(lines)) if lines.len() == 1));
    assert_eq!(database.count("FROM t"), 0);
}

fn looking_creates_nothing(database: &dyn Database) {
    let spec = pair();
    for _ in 0..2 {
        assert_eq!(database.target().fit(&spec).unwrap(), Fit::WouldCreate);
        assert_eq!(
            compared(&*database.target(), &spec, &[batch(&spec, &pairs(&[("a", "1")]))]).0.inserted,
            1
        );
        assert!(database.target().parents("t").unwrap().is_empty());
    }
    let fixed = TableSpec { create: false, ..spec };
    assert!(misfit(database.target().fit(&fixed).unwrap())[0].contains("set `create = true`"));
    assert!(matches!(begin(&*database.target(), &fixed, fresh()), Err(TargetError::Misfit(_))));
    let compared = database.target().compare(&fixed, schema(&fixed));
    assert!(matches!(compared, Err(TargetError::Misfit(_))));
}

fn a_table_of_others_with_more_than_the_mapping_knows_fits(database: &dyn Database) {
    let (text, number) = (database.declares(ValueType::Text), database.declares(ValueType::Integer));
    for table in [
        format!("CREATE TABLE t (id {number} DEFAULT 7 NOT NULL, v {text}, k {text} NOT NULL, UNIQUE (k))"),
        format!(
            "CREATE TABLE t (k {text} PRIMARY KEY, v {text}, g {text} GENERATED ALWAYS AS (v || 'x') STORED)"
        ),
        format!("{}; CREATE INDEX i ON t (v, k)", pair_table(database, "PRIMARY KEY", "DEFAULT 'd'")),
    ] {
        database.run(&table);
        assert_eq!(database.target().fit(&pair()).unwrap(), Fit::Fits, "{table}");
        assert_eq!(load(database, &pair(), &pairs(&[("a", "1")])).0.inserted, 1);
        assert_eq!(load(database, &pair(), &pairs(&[("a", "2")])).0.updated, 1);
        assert_eq!(database.texts(&["k", "v"], "FROM t"), ["a,2"]);
        database.run("DROP TABLE t");
    }
}

fn a_table_changed_between_two_loads_is_looked_at_again(database: &dyn Database) {
    let (spec, target) = (pair(), database.target());
    let load = |key| {
        let mut load = open(&*target, &spec, fresh());
        write(&mut *load, &[batch(&spec, &pairs(&[(key, "1")]))]).unwrap();
        finish(load, 0);
    };
    load("a");
    load("b");
    database.run("ALTER TABLE t RENAME COLUMN v TO w");
    assert!(matches!(begin(&*target, &spec, fresh()), Err(TargetError::Misfit(_))));
    database.run("ALTER TABLE t RENAME COLUMN w TO v; DROP TABLE _wharf_loads");
    load("c");
    assert_eq!(database.texts(&["k", "v"], "FROM t ORDER BY k"), ["a,1", "b,1", "c,1"]);
    assert_eq!(database.count("FROM _wharf_loads"), 1);
}
