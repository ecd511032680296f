//! `newer`: old values do not replace newer ones.

use super::*;

fn spec_by(value_type: ValueType) -> TableSpec {
    let columns = vec![column("k", ValueType::Text), column("v", ValueType::Text), column("at", value_type)];
    TableSpec { newer: Some(2), ..spec(columns, 1) }
}

#[test]
fn a_row_is_written_when_it_is_newer_than_the_stored_one_by_the_columns_type() {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    // (type, what others stored, an older value, the same one, a newer one)
    let cases = [
        (ValueType::Integer, "9", Cell::Integer(8), Cell::Integer(9), Cell::Integer(10)),
        (decimal, "'9.5'", Cell::Decimal(949), Cell::Decimal(950), Cell::Decimal(1000)),
        (ValueType::Float, "9.5", Cell::Float(9.25), Cell::Float(9.5), Cell::Float(10.0)),
        (ValueType::Date, "'1970-01-10'", Cell::Date(8), Cell::Date(9), Cell::Date(10)),
        (
            ValueType::Timestamp,
            "'1970-01-01 01:00:09+01:00'",
            Cell::Micros(8_999_999),
            Cell::Micros(9_000_000),
            Cell::Micros(9_000_001),
        ),
    ];
    for (value_type, stored, older, same, newer) in cases {
        let spec = spec_by(value_type);
        for (at, written) in [(&older, false), (&same, false), (&newer, true)] {
            let place = Place::with(&format!(
                "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, at); INSERT INTO t VALUES ('a', 'old', {stored})"
            ));
            let rows = [vec![text("a"), text("new"), at.clone()], vec![text("b"), text("new"), at.clone()]];
            let (foretold, _) = compared(&place.target(), &spec, &[batch(&spec, &rows)]);
            let (tally, _) = place.load(&spec, &rows);
            assert_eq!((tally.inserted, foretold.inserted), (1, 1));
            let counts = |tally: &Tally| (tally.updated, tally.superseded);
            assert_eq!(counts(&tally), if written { (1, 0) } else { (0, 1) }, "{value_type} {at:?}");
            assert_eq!(counts(&foretold), counts(&tally));
            let value = if written { "'new'" } else { "'old'" };
            assert_eq!(place.rows(&["v"], "FROM t WHERE k = 'a'"), [value]);
        }
    }
}

#[test]
fn a_row_that_differs_in_nothing_is_unchanged_and_not_superseded() {
    let spec = spec_by(ValueType::Integer);
    let place = Place::new();
    let row = vec![text("a"), text("v"), Cell::Integer(3)];
    place.load(&spec, std::slice::from_ref(&row));
    let (tally, _) = place.load(&spec, &[row]);
    assert_eq!((tally.unchanged, tally.superseded), (1, 0));
}

#[test]
fn anything_is_newer_than_no_value_and_no_value_is_newer_than_nothing_else() {
    for (stored, new, written) in [
        ("NULL", Cell::Integer(1), true),
        ("NULL", Cell::Null, true),
        ("'soon'", Cell::Integer(1), true),
        ("'soon'", Cell::Null, true),
        ("1", Cell::Null, false),
    ] {
        let place = Place::with(&format!(
            "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, at BLOB); INSERT INTO t VALUES ('a', 'old', {stored})"
        ));
        let (tally, _) =
            place.load(&spec_by(ValueType::Integer), &[vec![text("a"), text("new"), new.clone()]]);
        assert_eq!((tally.updated == 1, tally.superseded == 1), (written, !written), "{stored} {new:?}");
    }
}

#[test]
fn a_file_without_the_column_is_refused_before_anything_is_written() {
    let place = Place::new();
    let full = spec_by(ValueType::Integer);
    let load =
        place.target().begin(LoadId { site: "site", delivery: fresh() }, &full, schema(&pair_of(&full)));
    let Err(TargetError::Misfit(lines)) = load else { panic!("the file lacks `at`") };
    assert_eq!(lines, ["the file has no column `at`, which `newer` needs"]);
}

/// The same without its last column.
fn pair_of(full: &TableSpec) -> TableSpec {
    let mut lacking = full.clone();
    lacking.columns.pop();
    lacking
}
