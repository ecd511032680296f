//! Values and names come out as they went in.

use super::*;

cases![
    every_type_comes_out_as_it_went_in_to_its_edges,
    the_same_values_again_are_unchanged_and_write_nothing,
    each_value_alone_makes_its_row_changed,
    a_value_that_is_missing_equals_one_that_is_missing,
    texts_are_kept_byte_by_byte,
    a_text_with_a_nul_is_kept_or_refused_alone,
    hostile_names_and_texts_are_only_names_and_texts,
    names_too_long_for_the_database_are_named_or_kept_whole,
];

fn all_types() -> TableSpec {
    let mut columns: Vec<_> =
        TYPES.iter().map(|of| column(of.to_string().split('(').next().unwrap(), *of)).collect();
    columns[2].value_type = ValueType::Decimal { precision: 38, scale: 4 };
    columns.insert(0, column("k", ValueType::Integer));
    spec(columns, 1)
}

fn values() -> Vec<Vec<Cell>> {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    vec![
        vec![
            Cell::Integer(i64::MIN),
            text("00123"),
            Cell::Integer(-1),
            Cell::Decimal(-5),
            Cell::Float(0.1),
            Cell::Boolean(true),
            Cell::Date(19_723),
            Cell::Micros(3_723_000_000),
            Cell::Micros(1_704_067_200_000_000),
            text(uuid),
            text("{\"a\": 1.0}"),
        ],
        [vec![Cell::Integer(0)], vec![Cell::Null; 10]].concat(),
        vec![
            Cell::Integer(1),
            text(""),
            Cell::Integer(i64::MAX),
            Cell::Decimal(10_i128.pow(38) - 1),
            Cell::Float(-f64::MAX),
            Cell::Boolean(false),
            Cell::Date(-719_162),
            Cell::Micros(0),
            Cell::Micros(-62_135_596_800_000_000),
            text("00000000-0000-0000-0000-000000000000"),
            text("[]"),
        ],
        vec![
            Cell::Integer(i64::MAX),
            text(&"é".repeat(100_000)),
            Cell::Integer(i64::MIN),
            Cell::Decimal(1 - 10_i128.pow(38)),
            Cell::Float(f64::from_bits(1)),
            Cell::Null,
            Cell::Date(2_932_896),
            Cell::Micros(86_399_999_999),
            Cell::Micros(253_402_300_799_999_999),
            text("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            text("\"\\u00e9\""),
        ],
    ]
}

fn every_type_comes_out_as_it_went_in_to_its_edges(database: &dyn Database) {
    let spec = all_types();
    let (tally, refusals) = load(database, &spec, &values());
    assert_eq!((tally.inserted, refusals), (4, vec![]));
    let columns: Vec<_> =
        spec.columns.iter().map(|column| (column.name.as_str(), column.value_type)).collect();
    let rows = database.rows(&columns, "FROM t ORDER BY k");
    assert_eq!(
        rows[0],
        "-9223372036854775808,00123,-1,-0.0005,0.1,true,2024-01-01,01:02:03,2024-01-01T00:00:00Z,\
         01890a5d-ac96-774b-bcce-b302099a8057,{\"a\":1.0}"
    );
    assert_eq!(rows[1], "0,-,-,-,-,-,-,-,-,-,-");
    let lowest = f64::MAX;
    assert_eq!(
        rows[2],
        format!(
            "1,,9223372036854775807,9999999999999999999999999999999999.9999,-{lowest},false,0001-01-01,00:00:00,\
             0001-01-01T00:00:00Z,00000000-0000-0000-0000-000000000000,[]"
        )
    );
    let smallest = f64::from_bits(1);
    let long = "é".repeat(100_000);
    assert_eq!(
        rows[3],
        format!(
            "9223372036854775807,{long},-9223372036854775808,-9999999999999999999999999999999999.9999,{smallest},-,\
             9999-12-31,23:59:59.999999,9999-12-31T23:59:59.999999Z,ffffffff-ffff-ffff-ffff-ffffffffffff,\"é\""
        )
    );
}

fn the_same_values_again_are_unchanged_and_write_nothing(database: &dyn Database) {
    let spec = all_types();
    load(database, &spec, &values());
    database.refuse(Event::Update, "1 = 1", "written");
    let (tally, refusals) = load(database, &spec, &values());
    assert_eq!((tally.unchanged, tally.updated, refusals), (4, 0, vec![]));
    let (tally, differences) = compared(&*database.target(), &spec, &[batch(&spec, &values())]);
    assert_eq!((tally.unchanged, differences), (4, vec![]));
}

fn each_value_alone_makes_its_row_changed(database: &dyn Database) {
    let others = [
        text("123"),
        Cell::Integer(-2),
        Cell::Decimal(-50),
        Cell::Float(0.2),
        Cell::Boolean(false),
        Cell::Date(19_724),
        Cell::Micros(3_723_000_001),
        Cell::Micros(1_704_067_200_000_001),
        text("01890a5d-ac96-774b-bcce-b302099a8058"),
        text("{\"a\": 2}"),
    ];
    let spec = all_types();
    let mut row = values().remove(0);
    load(database, &spec, std::slice::from_ref(&row));
    for (at, other) in others.iter().enumerate() {
        for value in [Cell::Null, other.clone()] {
            row[at + 1] = value;
            let (foretold, _) =
                compared(&*database.target(), &spec, &[batch(&spec, std::slice::from_ref(&row))]);
            let (tally, _) = load(database, &spec, std::slice::from_ref(&row));
            assert_eq!((tally.updated, foretold.updated), (1, 1), "column {}", at + 1);
        }
    }
}

fn a_value_that_is_missing_equals_one_that_is_missing(database: &dyn Database) {
    let spec = all_types();
    let none = [vec![Cell::Integer(1)], vec![Cell::Null; 10]].concat();
    load(database, &spec, std::slice::from_ref(&none));
    assert_eq!(load(database, &spec, &[none]).0.unchanged, 1);
}

/// Texts that one rule of comparison or another takes for the same.
const ALIKE: [&str; 12] =
    ["a", "A", "á", "a\u{301}", "a ", " a", "a\u{a0}", "a\t", "ａ", "ß", "ss", "a\u{200b}"];

fn texts_are_kept_byte_by_byte(database: &dyn Database) {
    let mut spec = spec(vec![column("k", ValueType::Integer), column("v", ValueType::Text)], 1);
    spec.columns[1].required = true;
    for texts in ALIKE.windows(2) {
        let row = |v: &str| vec![vec![Cell::Integer(1), text(v)]];
        load(database, &spec, &row(texts[0]));
        assert_eq!(load(database, &spec, &row(texts[0])).0.unchanged, 1, "{texts:?}");
        assert_eq!(load(database, &spec, &row(texts[1])).0.updated, 1, "{texts:?}");
        assert_eq!(database.texts(&["v"], "FROM t"), [texts[1]]);
    }
}

fn a_text_with_a_nul_is_kept_or_refused_alone(database: &dyn Database) {
    let rows = pairs(&[("a", "1"), ("b", "x\0y"), ("c", "3")]);
    let (tally, refusals) = load(database, &pair(), &rows);
    match refusals.as_slice() {
        [] => assert_eq!(database.count("FROM t WHERE v <> 'x'"), 3),
        [one] => assert_eq!((one.origin.record, one.column, tally.inserted), (2, Some(1), 2)),
        more => panic!("{more:?}"),
    }
    assert_eq!(database.texts(&["k", "v"], "FROM t WHERE k <> 'b' ORDER BY k"), ["a,1", "c,3"]);
}

fn hostile_names_and_texts_are_only_names_and_texts(database: &dyn Database) {
    let mut spec = spec(
        vec![
            column("a\"b; drop table t; --", ValueType::Text),
            column("select", ValueType::Text),
            column("ä '`[%", ValueType::Text),
            column("$1 ?", ValueType::Text),
        ],
        2,
    );
    spec.table = "x\"; drop table y; --".to_owned();
    database.run("CREATE TABLE y (k integer)");
    let hostile = "'); DROP TABLE \"y\"; --\\.\u{202e}\u{10ffff}";
    let row = vec![text(hostile), text("\""), text("?1 :a @b $c"), text("\\N")];
    assert_eq!(load(database, &spec, std::slice::from_ref(&row)).0.inserted, 1);
    assert_eq!(load(database, &spec, std::slice::from_ref(&row)).0.unchanged, 1);
    let mut changed = row.clone();
    changed[2] = text("other");
    let (foretold, _) = compared(&*database.target(), &spec, &[batch(&spec, std::slice::from_ref(&changed))]);
    assert_eq!((load(database, &spec, &[changed]).0.updated, foretold.updated), (1, 1));
    spec.mode = Mode::Insert;
    let (tally, refusals) = load(database, &spec, &[row]);
    assert_eq!((tally.inserted, refusals.len()), (0, 1));
    assert_eq!(refusals[0].rule, wharf::model::Rule::Key);
    let rows = database.texts(&["select", "ä '`[%", "$1 ?"], &format!("FROM {}", quoted(&spec.table)));
    assert_eq!((rows, database.count("FROM y")), (vec!["\",other,\\N".to_owned()], 0));
}

fn names_too_long_for_the_database_are_named_or_kept_whole(database: &dyn Database) {
    for bytes in [63, 64, 300] {
        let name = "n".repeat(bytes - 2) + "é";
        let spec = spec(vec![column("k", ValueType::Text), column(&name, ValueType::Text)], 1);
        let spec = TableSpec { table: format!("t{bytes}"), ..spec };
        match database.target().fit(&spec).unwrap() {
            wharf::targets::Fit::WouldCreate => {
                load(database, &spec, &pairs(&[("a", "1")]));
                assert_eq!(database.texts(&[&name], &format!("FROM t{bytes}")), ["1"]);
            }
            other => {
                let lines = misfit(other);
                assert!(bytes > 63 && lines[0].contains("nnn"), "{lines:?}");
                assert!(begin(&*database.target(), &spec, fresh()).is_err());
            }
        }
    }
}
