//! Tables as others look things up in them, and what a target knows of its tables.

use std::ops::ControlFlow;

use wharf::targets::{Compares, ReadSpec, RowSink, TargetError};

use super::*;

cases![
    values_come_in_their_plain_texts_and_say_how_they_compare,
    a_reader_that_has_enough_is_given_no_more,
    a_table_is_read_as_it_stands_at_one_moment,
    what_is_not_there_is_named,
    the_tables_that_foreign_keys_refer_to_are_told,
];

/// Keeps what it is given, up to a number of rows.
struct Kept {
    most: usize,
    compares: Vec<Compares>,
    rows: Vec<String>,
}

impl RowSink for Kept {
    fn begin(&mut self, compares: &[Compares]) {
        assert!(self.compares.is_empty() && self.rows.is_empty(), "once, before any row");
        self.compares = compares.to_vec();
    }

    fn row(&mut self, row: &[Option<&str>]) -> ControlFlow<()> {
        let texts: Vec<_> = row.iter().map(|text| text.unwrap_or("-")).collect();
        self.rows.push(texts.join(","));
        if self.rows.len() == self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn read(database: &dyn Database, table: &str, columns: &[&str], most: usize) -> Result<Kept, TargetError> {
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut kept = Kept { most, compares: Vec::new(), rows: Vec::new() };
    database.target().read(ReadSpec { table, columns: &columns }, &mut kept)?;
    kept.rows.sort_unstable();
    Ok(kept)
}

fn values_come_in_their_plain_texts_and_say_how_they_compare(database: &dyn Database) {
    let mut columns: Vec<_> =
        TYPES.iter().enumerate().map(|(at, of)| column(&format!("c{at}"), *of)).collect();
    columns.insert(0, column("k", ValueType::Integer));
    let spec = spec(columns, 1);
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let values = vec![
        Cell::Integer(1),
        text(" é\"\\\t"),
        Cell::Integer(-7),
        Cell::Decimal(-5),
        Cell::Float(0.5),
        Cell::Boolean(true),
        Cell::Date(-719_162),
        Cell::Micros(3_723_000_000),
        Cell::Micros(1_704_067_200_500_000),
        text(uuid),
        text("[1]"),
    ];
    load(database, &spec, &[values, [vec![Cell::Integer(2)], vec![Cell::Null; 10]].concat()]);
    let names = ["c0", "c1", "c2", "c3", "c5", "c6", "c8", "k", "c9"];
    let kept = read(database, "t", &names, usize::MAX).unwrap();
    let row = format!(" é\"\\\t,-7,-0.05,0.5,0001-01-01,01:02:03,{uuid},1,[1]");
    assert_eq!(kept.rows, [&row, "-,-,-,-,-,-,-,2,-"]);
    assert_eq!((kept.compares[0], kept.compares[1]), (Compares::Text, Compares::Number));
    assert_eq!((kept.compares[3], kept.compares.len()), (Compares::Number, 9));
}

fn a_reader_that_has_enough_is_given_no_more(database: &dyn Database) {
    let rows: Vec<_> = (0..5_000).map(|n| vec![text(&n.to_string()), text("v")]).collect();
    load(database, &pair(), &rows);
    assert_eq!(read(database, "t", &["k"], 3).unwrap().rows.len(), 3);
    assert_eq!(read(database, "t", &["k", "v"], usize::MAX).unwrap().rows.len(), 5_000);
    // What is broken off holds nothing: the table can be changed by others.
    database.run("DROP TABLE t");
}

fn a_table_is_read_as_it_stands_at_one_moment(database: &dyn Database) {
    load(database, &pair(), &pairs(&[("a", "1")]));
    let target = database.target();
    let mut under_way = open(&*target, &pair(), fresh());
    write(&mut *under_way, &[batch(&pair(), &pairs(&[("b", "2")]))]).unwrap();
    assert_eq!(read(database, "t", &["k", "v"], usize::MAX).unwrap().rows, ["a,1"]);
    finish(under_way, 0);
    assert_eq!(read(database, "t", &["v", "k"], usize::MAX).unwrap().rows, ["1,a", "2,b"]);
}

fn what_is_not_there_is_named(database: &dyn Database) {
    database.run(&pair_table(database, "PRIMARY KEY", ""));
    let missing = read(database, "nowhere", &["k"], 1).err();
    assert!(
        matches!(&missing, Some(TargetError::NoTable(text)) if text.contains("`nowhere`")),
        "{missing:?}"
    );
    let Some(TargetError::Misfit(lines)) = read(database, "t", &["k", "x", "y"], 1).err() else {
        panic!("there are no such columns")
    };
    assert!(lines.len() == 2 && lines[0].contains("`x`") && lines[1].contains("`y`"), "{lines:?}");
}

fn the_tables_that_foreign_keys_refer_to_are_told(database: &dyn Database) {
    let text = database.declares(ValueType::Text);
    database.run(&format!(
        "CREATE TABLE p (id {text} PRIMARY KEY); CREATE TABLE q (id {text} PRIMARY KEY);
         CREATE TABLE t (k {text} PRIMARY KEY REFERENCES t (k), v {text} REFERENCES p (id), w {text} REFERENCES q (id),
                         x {text} REFERENCES p (id))"
    ));
    let mut parents = database.target().parents("t").unwrap();
    parents.sort_unstable();
    assert_eq!(parents, ["p", "q", "t"]);
    assert!(database.target().parents("p").unwrap().is_empty());
    assert!(database.target().parents("nowhere").unwrap().is_empty());
}
