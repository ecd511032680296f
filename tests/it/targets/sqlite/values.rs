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
    let (tally, refusals) = load(&place, &all_types(), &values());
    assert_eq!((tally.inserted, refusals.len()), (3, 0));
    let all = ["k", "text", "decimal", "float", "boolean", "date", "time", "timestamp", "uuid", "json"];
    let rows = place.stored(&all, "FROM t ORDER BY k");
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
    assert_eq!(load(&place, &spec, &[row]).0.unchanged, 1);
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
    let (tally, refusals) = load(&place, &spec, &[row(f64::NAN), row(2.0), row(1.0)]);
    assert_eq!((tally.unchanged, refusals.len(), refusals[0].column), (2, 1, Some(1)));
}
