//! Expressions compiled and run on a few records.

use std::sync::Arc;

use arrow_array::{
    BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};

use super::*;
use crate::model::value;

/// Two records: one with values, and one in which all is NULL.
struct Table {
    scope: Scope,
    columns: Vec<Option<ArrayRef>>,
    facts: Facts,
}

fn table() -> Table {
    let mut table = Table { scope: Scope::default(), columns: Vec::new(), facts: facts() };
    let mut column = |name: &str, value_type: ValueType, array: Option<ArrayRef>| {
        table.scope.columns.push(ScopeColumn { name: name.into(), value_type });
        table.columns.push(array);
    };
    let decimal = ValueType::Decimal { precision: 12, scale: 4 };
    column("quantity", ValueType::Integer, Some(Arc::new(Int64Array::from(vec![Some(7), None]))));
    let price = Decimal128Array::from(vec![Some(123_450), None]).with_data_type(decimal.arrow());
    column("unit_price", decimal, Some(Arc::new(price)));
    column("weight", ValueType::Float, Some(Arc::new(Float64Array::from(vec![Some(2.5), None]))));
    column("note", ValueType::Text, Some(Arc::new(StringArray::from(vec![Some("Grüße an Anna"), None]))));
    column("paid", ValueType::Boolean, Some(Arc::new(BooleanArray::from(vec![Some(true), None]))));
    column("order_date", ValueType::Date, Some(Arc::new(Date32Array::from(vec![Some(20_453), None]))));
    let time = Time64MicrosecondArray::from(vec![Some(63_930_000_000), None]);
    column("order_time", ValueType::Time, Some(Arc::new(time)));
    let stamp = TimestampMicrosecondArray::from(vec![Some(1_767_203_130_000_000), None]);
    let stamp = stamp.with_data_type(ValueType::Timestamp.arrow());
    column("changed_at", ValueType::Timestamp, Some(Arc::new(stamp)));
    let id = StringArray::from(vec![Some("0190b6c0-0000-7000-8000-000000000001"), None]);
    column("id", ValueType::Uuid, Some(Arc::new(id)));
    column("extra", ValueType::Json, Some(Arc::new(StringArray::from(vec![Some("{\"a\": 1}"), None]))));
    column("absent", ValueType::Integer, None);
    table.scope.captures = vec![
        Capture { name: "date".into(), value_type: ValueType::Date },
        Capture { name: "shop".into(), value_type: ValueType::Text },
    ];
    table
}

fn facts() -> Facts {
    Facts {
        file_name: "orders_20251231.csv".into(),
        file_size: Some(1234),
        file_modified: Some(1_767_203_130_000_000),
        file_source: None,
        file_path: Some("inbox/orders_20251231.csv".into()),
        captures: vec![
            ("date".into(), CaptureValue::Date(20_453)),
            ("shop".into(), CaptureValue::Text("hamburg".into())),
        ],
        delivery_id: "0190b6c0-0000-7000-8000-0000000000ff".into(),
        mapping: "orders".into(),
        now: 1_767_289_530_250_000,
    }
}

/// What an expression gives for the two records: texts as people read them, `NULL`, or the failure behind a `!`.
fn run(text: &str) -> (Type, [String; 2]) {
    let table = table();
    let expression = compile(text, &table.scope).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let inputs = Inputs { columns: &table.columns, len: 2, facts: &table.facts, first_record: 41 };
    let evaluated = expression.evaluate(&inputs, None);
    let shown = |row: usize| {
        if let Some((_, failure)) = evaluated.failures.iter().find(|(failed, _)| *failed as usize == row) {
            assert!(evaluated.values.is_null(row), "{text}");
            return format!("!{failure}");
        }
        value::text::text(&evaluated.values, row).unwrap_or_else(|| "NULL".into())
    };
    (expression.result(), [shown(0), shown(1)])
}

#[track_caller]
fn gives(text: &str, expected: &str) {
    assert_eq!(run(text).1[0], expected, "{text}");
}

#[track_caller]
fn problems(text: &str) -> Vec<(String, String, Option<String>)> {
    let problems = compile(text, &table().scope).expect_err(text);
    problems
        .into_iter()
        .map(|problem| (text[problem.range].to_owned(), problem.message, problem.help))
        .collect()
}

#[track_caller]
fn refused(text: &str, marked: &str, message: &str) {
    let problems = problems(text);
    let (found, said, _) = &problems[0];
    assert_eq!((found.as_str(), said.as_str()), (marked, message), "{text}");
}

#[test]
fn columns_literals_and_comparisons() {
    gives("quantity", "7");
    gives("QUANTITY > 5", "true");
    gives("unit_price = 12.345", "true");
    gives("unit_price <> 12.3450001", "true");
    gives("\"note\" = 'x'", "false");
    gives("order_date >= '2025-12-31'", "true");
    gives("file.date = order_date and file.shop = 'hamburg'", "true");
    gives("record", "41");
    assert_eq!(run("record + 0").1[1], "42");
    gives("absent", "NULL");
    assert_eq!(run("quantity < 8").1[1], "NULL");
}

#[test]
fn a_wrong_expression_says_where_and_names_the_types() {
    refused(
        "quantity + note",
        "quantity + note",
        "`quantity` is an integer and `note` is text: `+` takes numbers, or a date or time and an interval or a number of days",
    );
    refused("quantty + 1", "quantty", "there is no column `quantty`");
    assert_eq!(problems("quantty + 1")[0].2.as_deref(), Some("did you mean `quantity`?"));
    refused(
        "quantity = true",
        "quantity = true",
        "`quantity` is an integer and `true` is a boolean: they cannot be compared",
    );
    refused(
        "note = 'a' and quantity",
        "quantity",
        "`quantity` is an integer, but AND takes what is true or false",
    );
    refused(
        "order_date < 'tomorrow'",
        "'tomorrow'",
        "'tomorrow' is not a date: the text is not a date like 2025-12-31",
    );
    refused("(select 1) = 1", "select 1", "a query is not part of expressions: `select 1`");
    assert_eq!(problems("quantty = 1 and nte = 'x'").len(), 2);
}
