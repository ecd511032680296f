//! Comparing without writing.

use wharf::targets::DifferenceKind;

use super::*;

cases![
    a_comparison_says_which_values_a_load_would_change_in_canonical_form_and_in_the_order_of_the_file,
    where_there_is_no_table_every_row_would_be_new_and_nothing_is_made,
    a_caller_that_has_seen_enough_is_told_no_more_and_the_counts_go_on,
    values_of_every_type_are_told_in_canonical_form,
    many_rows_in_many_batches_are_told_each_once,
];

fn a_comparison_says_which_values_a_load_would_change_in_canonical_form_and_in_the_order_of_the_file(
    database: &dyn Database,
) {
    let decimal = ValueType::Decimal { precision: 10, scale: 2 };
    let columns = [
        ("seen", ValueType::Timestamp),
        ("note", ValueType::Text),
        ("paid", ValueType::Boolean),
        ("price", decimal),
        ("no", ValueType::Integer),
        ("shop", ValueType::Text),
    ];
    database.run(&table(database, &columns, ", PRIMARY KEY (no, shop)"));
    let mut spec = spec(columns.iter().rev().map(|(name, of)| column(name, *of)).collect(), 2);
    spec.columns[5].compare = false;
    let row = |shop: &str, no, price, paid, note, seen| {
        vec![
            text(shop),
            Cell::Integer(no),
            Cell::Decimal(price),
            Cell::Boolean(paid),
            note,
            Cell::Micros(seen),
        ]
    };
    load(
        database,
        &spec,
        &[
            row("a", 7, 150, false, text("old"), 0),
            row("a", 8, 200, true, Cell::Null, 0),
            row("z", 1, 300, true, text("n"), 0),
        ],
    );
    let rows = [
        row("a", 8, 200, true, Cell::Null, 1),
        row("z", 1, 300, true, Cell::Null, 1),
        row("b", 7, 150, true, text("new"), 1),
        row("a", 7, 175, true, text("new"), 1),
    ];
    let (tally, differences) = compared(&*database.target(), &spec, &[batch(&spec, &rows)]);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1, 2, 1));
    let shown: Vec<_> = differences
        .iter()
        .map(|found| (found.origin.unwrap().record, found.kind, found.key.join("/"), found.changes.clone()))
        .collect();
    let expected = [
        (2, DifferenceKind::Update, "z/1".to_owned(), vec![change(4, Some("n"), None)]),
        (3, DifferenceKind::Insert, "b/7".to_owned(), vec![]),
        (
            4,
            DifferenceKind::Update,
            "a/7".to_owned(),
            vec![
                change(2, Some("1.50"), Some("1.75")),
                change(3, Some("false"), Some("true")),
                change(4, Some("old"), Some("new")),
            ],
        ),
    ];
    assert_eq!(shown, expected);
    assert_eq!(database.count("FROM t WHERE note = 'new'"), 0, "nothing is written");
}

fn where_there_is_no_table_every_row_would_be_new_and_nothing_is_made(database: &dyn Database) {
    database.run("CREATE TABLE other (k integer)");
    let (tally, differences) =
        compared(&*database.target(), &pair(), &[batch(&pair(), &pairs(&[("a", "1"), ("b", "2")]))]);
    assert_eq!((tally.inserted, differences.len()), (2, 2));
    assert_eq!(differences[1].key, ["b"]);
    assert_eq!(database.target().fit(&pair()).unwrap(), wharf::targets::Fit::WouldCreate);
}

fn a_caller_that_has_seen_enough_is_told_no_more_and_the_counts_go_on(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("b", "1")]));
    let target = database.target();
    let mut comparison = target.compare(&pair(), schema(&pair())).unwrap();
    let mut seen = 0;
    for (at, key) in ["a", "b", "c"].into_iter().enumerate() {
        let batch = batch(&pair(), &pairs(&[(key, "2")]));
        let mut count = |_| seen += 1;
        comparison.compare(&batch, if at == 0 { Some(&mut count) } else { None }).unwrap();
    }
    let tally = comparison.finish().unwrap();
    assert_eq!((seen, tally.inserted, tally.updated), (1, 2, 1));
}

fn values_of_every_type_are_told_in_canonical_form(database: &dyn Database) {
    let mut columns: Vec<_> =
        TYPES.iter().enumerate().map(|(at, of)| column(&format!("c{at}"), *of)).collect();
    columns.insert(0, column("k", ValueType::Integer));
    let spec = spec(columns, 1);
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let stored = vec![
        Cell::Integer(1),
        text(" x "),
        Cell::Integer(-7),
        Cell::Decimal(-5),
        Cell::Float(0.1),
        Cell::Boolean(true),
        Cell::Date(-719_162),
        Cell::Micros(3_723_500_000),
        Cell::Micros(1_704_067_200_500_000),
        text(uuid),
        text("{\"a\": 1}"),
    ];
    load(database, &spec, std::slice::from_ref(&stored));
    let none = [vec![Cell::Integer(1)], vec![Cell::Null; 10]].concat();
    let (_, differences) = compared(&*database.target(), &spec, &[batch(&spec, std::slice::from_ref(&none))]);
    let told: Vec<_> =
        differences[0].changes.iter().map(|change| change.stored.as_deref().unwrap()).collect();
    assert_eq!(
        told,
        [
            " x ",
            "-7",
            "-0.05",
            "0.1",
            "true",
            "0001-01-01",
            "01:02:03.500000",
            "2024-01-01T00:00:00.500000Z",
            uuid,
            "{\"a\": 1}"
        ]
    );
    load(database, &spec, &[none]);
    let (_, differences) = compared(&*database.target(), &spec, &[batch(&spec, &[stored])]);
    let new: Vec<_> = differences[0].changes.iter().map(|change| change.new.as_deref().unwrap()).collect();
    assert_eq!(new, told);
}

fn many_rows_in_many_batches_are_told_each_once(database: &dyn Database) {
    let spec = pair();
    let rows = |range: std::ops::Range<usize>, v: &dyn Fn(usize) -> &'static str| {
        range.map(|n| vec![text(&format!("{:05}", n * 7_919 % 10_000)), text(v(n))]).collect::<Vec<_>>()
    };
    load(database, &spec, &rows(0..2_000, &|_| "1"));
    let batches: Vec<_> = (0..6)
        .map(|part| {
            batch(&spec, &rows(part * 500..part * 500 + 500, &|n| if n % 10 == 0 { "2" } else { "1" }))
        })
        .collect();
    let (tally, differences) = compared(&*database.target(), &spec, &batches);
    assert_eq!((tally.inserted, tally.updated, tally.unchanged), (1_000, 200, 1_800));
    let kinds = |kind| differences.iter().filter(|found| found.kind == kind).count();
    assert_eq!((kinds(DifferenceKind::Insert), kinds(DifferenceKind::Update)), (1_000, 200));
    let keys: std::collections::BTreeSet<_> = differences.iter().map(|found| &found.key).collect();
    assert_eq!(keys.len(), 1_200);
}
