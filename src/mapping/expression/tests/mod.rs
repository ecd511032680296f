//! Expressions compiled and run on a few records.

mod refused;

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
    let inputs =
        Inputs { columns: &table.columns, len: 2, facts: &table.facts, first_record: 41, numbers: &[] };
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

#[test]
fn the_examples_of_the_reference_give_what_it_says() {
    let of_functions = functions::all().flat_map(|function| function.examples);
    let of_forms = reference::FORMS.iter().flat_map(|(_, _, examples)| *examples);
    let mut count = 0;
    for (text, value) in of_functions.chain(of_forms) {
        gives(text, value);
        count += 1;
    }
    assert!(count > 80);
    for function in functions::all() {
        assert!(!function.examples.is_empty() && !function.written.is_empty(), "{}", function.name);
        assert!(function.least <= function.takes.len(), "{}", function.name);
    }
}

#[test]
fn what_is_known_of_the_file_and_the_delivery() {
    gives("file.name || ' ' || file.size", "orders_20251231.csv 1234");
    gives("file.source IS NULL AND file.path LIKE 'inbox/%'", "true");
    gives("file.modified", "2025-12-31T17:45:30Z");
    gives("file.date + 1", "2026-01-01");
    gives(
        "delivery.id::text = '0190b6c0-0000-7000-8000-0000000000ff' AND delivery.mapping = 'orders'",
        "true",
    );
    gives("now()", "2026-01-01T17:45:30.250000Z");
    gives("current_timestamp = now()", "true");
    gives("age_in_days(order_date)", "1");
    refused("file.dat", "file.dat", "there is no `file.dat`");
    assert_eq!(problems("file.dat")[0].2.as_deref(), Some("did you mean `file.date`?"));
    refused("shop.name", "shop.name", "there is nothing called `shop` that has parts");
}

#[test]
fn an_expression_tells_what_it_reads() {
    let scope = table().scope;
    let expression =
        compile("CASE WHEN quantity > 1 AND note IN ('a', note) THEN unit_price * quantity END", &scope)
            .unwrap();
    assert_eq!(expression.columns(), [0, 1, 3]);
    assert!(!expression.uses_record());
    assert!(compile("coalesce(NULL, record + 1)", &scope).unwrap().uses_record());
    assert_eq!(compile("unit_price * quantity", &scope).unwrap().result().to_string(), "decimal(31,4)");
    assert_eq!(compile("NULL", &scope).unwrap().result(), Type::Unknown);
    assert_eq!(compile("changed_at - now()", &scope).unwrap().result(), Type::Interval);
}

/// The value of the first record as that of a column of a type.
fn assigned(text: &str, of: &str) -> Result<String, String> {
    let table = table();
    let expression = compile(text, &table.scope).unwrap().into_type(of.parse().unwrap());
    let expression = expression.map_err(|problem| format!("{} {:?}", problem.message, problem.help))?;
    let inputs =
        Inputs { columns: &table.columns, len: 2, facts: &table.facts, first_record: 1, numbers: &[] };
    let evaluated = expression.evaluate(&inputs, None);
    assert_eq!(evaluated.values.data_type(), &of.parse::<ValueType>().unwrap().arrow());
    match evaluated.failures.first() {
        Some((_, failure)) => Ok(format!("!{failure}")),
        None => Ok(value::text::text(&evaluated.values, 0).unwrap_or_else(|| "NULL".into())),
    }
}

#[test]
fn a_value_column_takes_what_fits_its_type_and_nothing_is_rounded() {
    for (text, of, expected) in [
        ("quantity", "decimal(12,2)", "7.00"),
        ("quantity", "float", "7"),
        ("unit_price", "decimal(12,4)", "12.3450"),
        ("unit_price", "decimal(6,3)", "12.345"),
        (
            "unit_price",
            "decimal(6,2)",
            "!the result has more than 2 digits after the point; `round(..., 2)` rounds it",
        ),
        ("unit_price", "decimal(4,3)", "!the result does not fit decimal(4,3)"),
        ("round(unit_price, 2)", "decimal(6,2)", "12.35"),
        ("round(unit_price)", "integer", "12"),
        ("EXTRACT(year FROM order_date)", "integer", "2025"),
        ("NULL", "date", "NULL"),
        ("'2025-02-01'", "date", "2025-02-01"),
        ("'new'", "text", "new"),
        ("order_date", "timestamp", "2025-12-31T00:00:00Z"),
        ("(order_date + order_time) AT TIME ZONE 'Europe/Berlin'", "timestamp", "2025-12-31T16:45:30Z"),
        ("delivery.id", "uuid", "0190b6c0-0000-7000-8000-0000000000ff"),
        ("extra", "json", "{\"a\": 1}"),
    ] {
        assert_eq!(assigned(text, of).as_deref(), Ok(expected), "{text} as {of}");
    }
    for (text, of, message) in [
        (
            "quantity",
            "text",
            "this is an integer, but the column is text Some(\"declare it with `type = \\\"integer\\\"`, or write `CAST(... AS text)`\")",
        ),
        ("unit_price", "integer", "this is a decimal(12,4), but the column is an integer"),
        (
            "weight",
            "decimal(12,2)",
            "this is a float, but the column is a decimal(12,2) Some(\"`CAST(... AS decimal(12,2))` rounds it\")",
        ),
        ("note", "integer", "this is text, but the column is an integer"),
        ("changed_at - now()", "integer", "this is an interval, but the column is an integer"),
        ("changed_at", "date", "this is a timestamp, but the column is a date"),
        ("'soon'", "date", "this text is not a date: the text is not a date like 2025-12-31"),
    ] {
        let found = assigned(text, of).unwrap_err();
        assert!(found.starts_with(message), "{text} as {of}: {found}");
    }
}

#[test]
fn a_condition_is_true_or_false() {
    let scope = table().scope;
    assert!(compile("quantity > 1", &scope).unwrap().into_condition().is_ok());
    let unknown = compile("NULL", &scope).unwrap().into_condition().unwrap();
    assert_eq!(unknown.result().to_string(), "boolean");
    let problem = compile("quantity * 2", &scope).unwrap().into_condition().unwrap_err();
    assert_eq!(
        (problem.range, problem.message.as_str()),
        (0..12, "this is an integer, but a condition is true or false")
    );
}

#[test]
fn only_selected_records_run_and_fail() {
    let scope = Scope {
        columns: vec![ScopeColumn { name: "n".into(), value_type: ValueType::Integer }],
        captures: Vec::new(),
    };
    let columns = [Some(Arc::new(Int64Array::from(vec![0, 2, 0, 5])) as ArrayRef)];
    let facts = Facts::default();
    let inputs = Inputs { columns: &columns, len: 4, facts: &facts, first_record: 1, numbers: &[] };
    let expression = compile("10 / n", &scope).unwrap();
    let all = expression.evaluate(&inputs, None);
    assert_eq!(all.failures, [(0, "division by zero".into()), (2, "division by zero".into())]);
    assert_eq!((all.values.is_null(0), value::text::text(&all.values, 1).as_deref()), (true, Some("5")));
    let selection = BooleanBuffer::from(vec![false, true, true, true]);
    assert_eq!(expression.evaluate(&inputs, Some(&selection)).failures, [(2, "division by zero".into())]);
    let none = BooleanBuffer::new_unset(4);
    assert_eq!(expression.evaluate(&inputs, Some(&none)).failures, []);
    // What is the same for all records fails for all of them, and for each once.
    let constant = compile("n + 1 / 0 + 1 / 0", &scope).unwrap();
    assert_eq!(constant.evaluate(&inputs, None).failures.len(), 4);
    // A column of another length than the chunk is no column.
    let short = [Some(Arc::new(Int64Array::from(vec![1])) as ArrayRef)];
    let inputs = Inputs { columns: &short, ..inputs };
    assert_eq!(compile("n IS NULL", &scope).unwrap().evaluate(&inputs, None).values.len(), 4);
    let empty = Inputs { columns: &[None], len: 0, facts: &facts, first_record: 1, numbers: &[] };
    assert_eq!(expression.evaluate(&empty, None).values.len(), 0);
}

#[test]
fn what_is_too_much_text_for_many_records_is_not_for_few() {
    let scope = Scope {
        columns: vec![ScopeColumn { name: "t".into(), value_type: ValueType::Text }],
        captures: Vec::new(),
    };
    let facts = Facts::default();
    let run = |text: &str, len: usize| {
        let columns = [Some(Arc::new(StringArray::from(vec!["ab"; len])) as ArrayRef)];
        let inputs = Inputs { columns: &columns, len, facts: &facts, first_record: 1, numbers: &[] };
        compile(text, &scope).unwrap().evaluate(&inputs, None)
    };
    for text in ["repeat(t, 30000)", "repeat('ab', 30000)", "CASE WHEN t = 'ab' THEN repeat('ab', 30000) END"]
    {
        let (few, many) = (run(text, 100), run(text, 1_000));
        assert!(!few.is_too_much && few.failures.is_empty(), "{text}");
        assert_eq!(value::text::text(&few.values, 99).unwrap().len(), 60_000, "{text}");
        assert!(many.is_too_much && many.values.len() == 1_000, "{text}");
    }
    // What is on the way to a value counts, and one record alone fails.
    let nine = format!("length(concat({}))", ["repeat(t, 500000)"; 9].join(", "));
    let alone = run(&nine, 1);
    assert!(!alone.is_too_much && alone.values.is_null(0), "{alone:?}");
    assert_eq!(
        alone.failures,
        [(0, "the texts on the way to the value are longer than 8 megabytes together".into())]
    );
}

#[test]
fn long_sets_of_characters_are_taken_off_as_short_ones_are() {
    for (text, gives) in [
        ("btrim('xyzabcxyz', 'zyxzyxzyxzyx')", "abc"),
        ("ltrim('äöüßéabcä', 'éßüöäéßüöä')", "abcä"),
        ("rtrim(rpad('abc', 100000, '0123456789'), '9876543210')", "abc"),
    ] {
        self::gives(text, gives);
    }
}
