//! Values and names come out as they went in.

use super::*;

fn all_types() -> TableSpec {
    spec(
        vec![
            column("k", ValueType::Integer),
            column("text", ValueType::Text),
            column("decimal", ValueType::Decimal { precision: 38, scale: 4 }),
            column("float", ValueType::Float),
            column("boolean", ValueType::Boolean),
            column("date", ValueType::Date),
            column("time", ValueType::Time),
            column("timestamp", ValueType::Timestamp),
            column("uuid", ValueType::Uuid),
            column("json", ValueType::Json),
        ],
        1,
    )
}

fn values() -> Vec<Vec<Cell>> {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    vec![
        vec![
            Cell::Integer(i64::MIN),
            text("00123"),
            Cell::Decimal(-5),
            Cell::Float(0.1),
            Cell::Boolean(true),
            Cell::Date(19_723),
            Cell::Micros(3_723_000_000),
            Cell::Micros(1_704_067_200_000_000),
            text(uuid),
            text("{\"a\": 1.0}"),
        ],
        vec![
            Cell::Integer(i64::MAX),
            text(""),
            Cell::Decimal(10_i128.pow(38) - 1),
            Cell::Float(-1e300),
            Cell::Boolean(false),
            Cell::Date(-719_162),
            Cell::Micros(0),
            Cell::Micros(-1),
            text(uuid),
            text("1.0"),
        ],
        [vec![Cell::Integer(0)], vec![Cell::Null; 9]].concat(),
    ]
}

#[test]
fn every_type_is_stored_in_its_form() {
    let place = Place::new();
    let (tally, refusals) = place.load(&all_types(), &values());
    assert_eq!((tally.inserted, refusals.len()), (3, 0));
    let all = ["k", "text", "decimal", "float", "boolean", "date", "time", "timestamp", "uuid", "json"];
    let rows = place.rows(&all, "FROM t ORDER BY k");
    assert_eq!(
        rows[0],
        "-9223372036854775808,'00123','-0.0005',0.1,1,'2024-01-01','01:02:03','2024-01-01T00:00:00Z',\
         '01890a5d-ac96-774b-bcce-b302099a8057','{\"a\": 1.0}'"
    );
    assert_eq!(rows[1], "0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL");
    assert!(rows[2].starts_with(
        "9223372036854775807,'','9999999999999999999999999999999999.9999',-1.0e+300,0,'0001-01-01','00:00:00','1969-12-31T23:59:59.999999Z',"
    ), "{}", rows[2]);
    assert!(rows[2].ends_with(",'1.0'"), "{}", rows[2]);
}

#[test]
fn the_same_values_again_are_unchanged_and_write_nothing() {
    let place = Place::new();
    let spec = all_types();
    place.load(&spec, &values());
    place.run("CREATE TRIGGER never BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'written'); END");
    let (tally, refusals) = place.load(&spec, &values());
    assert_eq!((tally.unchanged, tally.updated, refusals.len()), (3, 0, 0));
}

#[test]
fn each_value_alone_makes_its_row_changed() {
    let others = [
        text("123"),
        Cell::Decimal(-50),
        Cell::Float(0.2),
        Cell::Boolean(false),
        Cell::Date(19_724),
        Cell::Micros(3_723_000_001),
        Cell::Micros(1_704_067_200_000_001),
        text("01890a5d-ac96-774b-bcce-b302099a8058"),
        text("{\"a\":1.0}"),
    ];
    let place = Place::new();
    let spec = all_types();
    let mut row = values().remove(0);
    place.load(&spec, std::slice::from_ref(&row));
    for (at, other) in others.iter().enumerate() {
        for value in [Cell::Null, other.clone()] {
            row[at + 1] = value;
            let (tally, _) = place.load(&spec, std::slice::from_ref(&row));
            assert_eq!(tally.updated, 1, "column {}", at + 1);
        }
    }
}

#[test]
fn numbers_and_instants_that_others_wrote_are_the_same_by_value() {
    let place = Place::with(
        "CREATE TABLE t (k TEXT PRIMARY KEY, price TEXT, at TEXT, n NUMERIC, f REAL);
         INSERT INTO t VALUES ('a', '1.5', '2024-01-01 02:00:00+02:00', 7.0, 3)",
    );
    let spec = spec(
        vec![
            column("k", ValueType::Text),
            column("price", ValueType::Decimal { precision: 10, scale: 2 }),
            column("at", ValueType::Timestamp),
            column("n", ValueType::Integer),
            column("f", ValueType::Float),
        ],
        1,
    );
    let at = Cell::Micros(1_704_067_200_000_000);
    let row = vec![text("a"), Cell::Decimal(150), at, Cell::Integer(7), Cell::Float(3.0)];
    assert_eq!(place.load(&spec, &[row]).0.unchanged, 1);
}

#[test]
fn hostile_names_and_texts_are_only_names_and_texts() {
    let place = Place::new();
    let mut spec = spec(
        vec![
            column("a\"b; drop table t; --", ValueType::Text),
            column("select", ValueType::Text),
            column("ä '`[%", ValueType::Text),
        ],
        2,
    );
    spec.table = "x\"; drop table y; --".to_owned();
    let hostile = "'); DROP TABLE \"t\"; --\0\u{202e}\u{10ffff}";
    let row = vec![text(hostile), text("\""), text("?1 :a @b $c")];
    assert_eq!(place.load(&spec, std::slice::from_ref(&row)).0.inserted, 1);
    assert_eq!(place.load(&spec, std::slice::from_ref(&row)).0.unchanged, 1);
    let changed = vec![row[0].clone(), row[1].clone(), text("other")];
    assert_eq!(place.load(&spec, &[changed]).0.updated, 1);
    let (tally, refusals) = {
        spec.mode = Mode::Insert;
        place.load(&spec, &[row])
    };
    assert_eq!((tally.inserted, refusals.len()), (0, 1));
    assert_eq!(refusals[0].rule, crate::model::Rule::Key);
}

/// A key out of a number.
type MakeCell = fn(i64) -> Cell;

#[test]
fn keys_of_every_type_find_their_rows() {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    let many: [(ValueType, MakeCell); 7] = [
        (ValueType::Text, |n| text(&format!("{n}é"))),
        (ValueType::Integer, |n| Cell::Integer(n * 1_000_003)),
        (decimal, |n| Cell::Decimal(i128::from(n) * 37)),
        (ValueType::Float, |n| Cell::Float(n as f64 / 3.0)),
        (ValueType::Date, |n| Cell::Date(n as i32 * 11)),
        (ValueType::Time, |n| Cell::Micros((n + 200) * 500_000)),
        (ValueType::Timestamp, |n| Cell::Micros(n * 500_000)),
    ];
    for (value_type, cell) in many {
        for second in ["", "WITHOUT ROWID"] {
            let spec = spec(vec![column("k", value_type), column("v", ValueType::Integer)], 1);
            let declared = match value_type {
                ValueType::Integer => "INTEGER",
                ValueType::Float => "REAL",
                _ => "TEXT",
            };
            let place = Place::with(&format!(
                "CREATE TABLE t (k {declared} NOT NULL PRIMARY KEY, v INTEGER) {second}"
            ));
            let row = |n: i64, v: i64| vec![cell(n), Cell::Integer(v)];
            place.load(&spec, &(-150..150).map(|n| row(n, n)).collect::<Vec<_>>());
            // Every seventh row stays, every fifth changes, and some are new.
            let again: Vec<_> = (-200..150)
                .rev()
                .filter(|n| n % 7 == 0 || n % 5 == 0)
                .map(|n| row(n, if n % 5 == 0 { n + 1 } else { n }))
                .collect();
            let (tally, refusals) = place.load(&spec, &again);
            let old = |n: &i64| *n >= -150;
            let updated = (-200..150).filter(old).filter(|n| n % 5 == 0).count() as u64;
            let unchanged = (-200..150).filter(old).filter(|n| n % 7 == 0 && n % 5 != 0).count() as u64;
            assert_eq!((tally.updated, tally.unchanged), (updated, unchanged), "{value_type} {second}");
            assert_eq!(tally.inserted, again.len() as u64 - updated - unchanged);
            assert!(refusals.is_empty());
        }
    }
}

#[test]
fn a_key_without_a_value_hides_no_other_row() {
    let place = Place::with(
        "CREATE TABLE t (a TEXT NOT NULL, b REAL NOT NULL, v TEXT, PRIMARY KEY (a, b));
         INSERT INTO t VALUES ('x', 1, 'v'), ('x', 2, 'v')",
    );
    let spec = spec(
        vec![column("a", ValueType::Text), column("b", ValueType::Float), column("v", ValueType::Text)],
        2,
    );
    let row = |b: f64| vec![text("x"), Cell::Float(b), text("v")];
    let (tally, refusals) = place.load(&spec, &[row(f64::NAN), row(2.0), row(1.0)]);
    assert_eq!((tally.unchanged, refusals.len(), refusals[0].column), (2, 1, Some(1)));
}
