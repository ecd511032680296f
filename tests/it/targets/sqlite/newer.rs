//! `newer` held against what others stored.

use super::*;

fn spec_by(value_type: ValueType) -> TableSpec {
    let columns = vec![column("k", ValueType::Text), column("v", ValueType::Text), column("at", value_type)];
    TableSpec { newer: Some(2), ..spec(columns, 1) }
}

#[test]
fn a_row_is_newer_than_what_others_stored_by_its_value() {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    for (value_type, stored, new, written) in [
        (decimal, "'9.5'", Cell::Decimal(949), false),
        (decimal, "'9.5'", Cell::Decimal(950), false),
        (decimal, "'9.5'", Cell::Decimal(1000), true),
        (ValueType::Timestamp, "'1970-01-01 01:00:09+01:00'", Cell::Micros(9_000_000), false),
        (ValueType::Timestamp, "'1970-01-01 01:00:09+01:00'", Cell::Micros(9_000_001), true),
        (ValueType::Integer, "'soon'", Cell::Integer(1), true),
        (ValueType::Integer, "'soon'", Cell::Null, true),
    ] {
        let place = Place::with(&format!(
            "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT, at BLOB); INSERT INTO t VALUES ('a', 'old', {stored})"
        ));
        let (tally, _) = load(&place, &spec_by(value_type), &[vec![text("a"), text("new"), new.clone()]]);
        assert_eq!((tally.updated == 1, tally.superseded == 1), (written, !written), "{stored} {new:?}");
    }
}
