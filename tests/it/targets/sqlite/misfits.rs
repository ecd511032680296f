//! Every difference between a table and its mapping is named at once.

use super::*;

fn lines(table: &str, spec: &TableSpec) -> Vec<String> {
    misfit(Place::with(table).target().fit(spec).unwrap())
}

/// The one line there is, which has to hold `part`.
fn only(table: &str, spec: &TableSpec, part: &str) {
    let lines = lines(table, spec);
    assert!(matches!(lines.as_slice(), [line] if line.contains(part)), "{table}: {lines:?}, not {part}");
}

#[test]
fn each_difference_is_named_with_what_to_do() {
    let pair = pair();
    only("CREATE TABLE t (k TEXT PRIMARY KEY, other TEXT)", &pair, "no column `v`: correct its name");
    only("CREATE TABLE t (k TEXT PRIMARY KEY, v2 TEXT)", &pair, "no column `v` (there is `v2`)");
    only("CREATE TABLE x (k TEXT, v TEXT); CREATE VIEW t AS SELECT * FROM x", &pair, "is a view");
    only("CREATE VIRTUAL TABLE t USING fts5 (k, v)", &pair, "is a virtual table");
    only("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT NOT NULL)", &pair, "add `required = true`");
    only("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT NOT NULL DEFAULT '')", &pair, "add `required = true`");
    only("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, own TEXT NOT NULL)", &pair, "does not write it");
    only("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT AS (k))", &pair, "is computed by the database");
    only("CREATE TABLE t (k TEXT, v TEXT)", &pair, "no primary key or unique index on exactly the key (k)");
    only("CREATE TABLE t (k TEXT, v TEXT, PRIMARY KEY (k, v))", &pair, "on exactly the key");
    only(
        "CREATE TABLE t (k TEXT, v TEXT); CREATE UNIQUE INDEX u ON t (k) WHERE v > ''",
        &pair,
        "without a condition",
    );
    only(
        "CREATE TABLE t (k TEXT, v TEXT); CREATE UNIQUE INDEX u ON t (lower(k))",
        &pair,
        "on exactly the key",
    );
    only(
        "CREATE TABLE t (k TEXT, v TEXT); CREATE UNIQUE INDEX u ON t (k COLLATE NOCASE)",
        &pair,
        "COLLATE BINARY",
    );
    only(
        "CREATE TABLE t (k TEXT COLLATE NOCASE, v TEXT); CREATE UNIQUE INDEX u ON t (k COLLATE BINARY)",
        &pair,
        "the collation NOCASE",
    );
    only(
        "CREATE TABLE t (k TEXT PRIMARY KEY ON CONFLICT REPLACE, v TEXT);
         CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
        &pair,
        "ON CONFLICT",
    );
    only(
        "CREATE TABLE other (k TEXT)",
        &TableSpec { create: false, ..pair.clone() },
        "`t` does not exist: correct",
    );
    let orders = TableSpec { create: false, table: "order".to_owned(), ..pair };
    only("CREATE TABLE orders (k TEXT)", &orders, "(there is `orders`)");
}

#[test]
fn a_declared_type_that_would_change_values_is_named() {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    let all = [
        ValueType::Text,
        ValueType::Integer,
        decimal,
        ValueType::Float,
        ValueType::Boolean,
        ValueType::Date,
        ValueType::Time,
        ValueType::Timestamp,
        ValueType::Uuid,
        ValueType::Json,
    ];
    // Which of `all`, in that order, a declared type leaves as they are.
    let table = [
        ("TEXT", "t.d..DTSUJ"),
        ("VARCHAR(10)", "t.d..DTSUJ"),
        ("INTEGER", ".i..bDTSU."),
        ("BOOLEAN", ".i.fbDTSU."),
        ("DATETIME", ".i.fbDTSU."),
        ("DECIMAL(10,2)", ".i.fbDTSU."),
        ("DOUBLE", "...f.DTSU."),
        ("BLOB", "tidfbDTSUJ"),
        ("", "tidfbDTSUJ"),
    ];
    for (declared, fits) in table {
        for (value_type, fit) in all.iter().zip(fits.chars()) {
            let spec = spec(vec![column("k", ValueType::Integer), column("c", *value_type)], 1);
            let place = Place::with(&format!("CREATE TABLE t (k INTEGER PRIMARY KEY, c {declared})"));
            let found = place.target().fit(&spec).unwrap();
            if fit == '.' {
                let lines = misfit(found);
                assert!(lines[0].starts_with("column `c` is declared "), "{lines:?}");
            } else {
                assert_eq!(found, Fit::Fits, "{value_type} in {declared:?}");
            }
        }
    }
}

#[test]
fn a_strict_table_takes_what_its_types_take() {
    let strict = "CREATE TABLE t (k TEXT PRIMARY KEY, i INT, r REAL, b BLOB, a ANY) STRICT";
    let spec_of =
        |name: &str, value_type| spec(vec![column("k", ValueType::Text), column(name, value_type)], 1);
    for (name, value_type) in [
        ("i", ValueType::Boolean),
        ("r", ValueType::Float),
        ("a", ValueType::Text),
        ("a", ValueType::Integer),
    ] {
        assert_eq!(Place::with(strict).target().fit(&spec_of(name, value_type)).unwrap(), Fit::Fits);
    }
    for (name, value_type) in
        [("i", ValueType::Date), ("i", ValueType::Float), ("r", ValueType::Integer), ("b", ValueType::Text)]
    {
        only(strict, &spec_of(name, value_type), "would be refused or changed");
    }
}

#[test]
fn a_table_that_fits_is_fit_whatever_the_case_of_its_names() {
    for table in [
        "CREATE TABLE T (K TEXT PRIMARY KEY, V TEXT)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, k TEXT, v TEXT, UNIQUE (k))",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, g AS (v || 'x') STORED NOT NULL)",
    ] {
        let place = Place::with(table);
        assert_eq!(place.target().fit(&pair()).unwrap(), Fit::Fits, "{table}");
        assert_eq!(load(&place, &pair(), &pairs(&[("a", "1")])).0.inserted, 1);
        assert_eq!(load(&place, &pair(), &pairs(&[("a", "2")])).0.updated, 1);
    }
}

#[test]
fn names_that_cannot_be_are_found_before_anything_is_created() {
    let of = |table: &str, columns: &[&str]| {
        let mut spec = spec(columns.iter().map(|name| column(name, ValueType::Text)).collect(), 1);
        spec.table = table.to_owned();
        misfit(Place::new().target().fit(&spec).unwrap()).join("; ")
    };
    assert!(of("SQLITE_x", &["k"]).contains("`sqlite_`"));
    assert!(of("_Wharf_Loads", &["k"]).contains("loads are remembered"));
    assert!(of("", &["k"]).contains("cannot be a name"));
    assert!(of("a\0b", &["k"]).contains(r"`a\u{0}b`"));
    assert!(of("t", &["k", "K"]).contains("one column to SQLite"));
}

#[test]
fn looking_creates_nothing() {
    let place = Place::new();
    let spec = pair();
    assert_eq!(place.target().fit(&spec).unwrap(), Fit::WouldCreate);
    let fixed = TableSpec { create: false, ..spec };
    assert!(misfit(place.target().fit(&fixed).unwrap())[0].contains("set `create = true`"));
    assert!(matches!(begin(&place.target(), &fixed, fresh()), Err(TargetError::Misfit(_))));
    assert!(!place.path.exists());
}
