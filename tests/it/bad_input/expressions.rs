//! Expressions that make no sense, and values that an expression cannot take.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
use wharf::{
    mapping::expression::{self, Evaluated, Facts, Inputs, Scope, ScopeColumn},
    model::value::ValueType,
};

const PRICE: ValueType = ValueType::Decimal { precision: 38, scale: 2 };

fn scope() -> Scope {
    let column = |name: &str, value_type| ScopeColumn { name: name.into(), value_type };
    let columns = [
        ("quantity", ValueType::Integer),
        ("price", PRICE),
        ("note", ValueType::Text),
        ("due", ValueType::Date),
        ("paid", ValueType::Boolean),
        ("changed", ValueType::Timestamp),
    ];
    Scope { columns: columns.into_iter().map(|(name, of)| column(name, of)).collect(), captures: Vec::new() }
}

/// The first problem of an expression: what it marks, what it says, and what to do.
#[track_caller]
fn problem(text: &str) -> (String, String, String) {
    let problems = expression::compile(text, &scope()).expect_err("a problem");
    let problem = problems.into_iter().next().expect("a problem");
    (text[problem.range].to_owned(), problem.message, problem.help.unwrap_or_default())
}

/// Runs an expression on three records: good values, the largest ones, and NULL everywhere.
fn run(text: &str) -> Evaluated {
    let largest = 10_i128.pow(38) - 1;
    let price = Decimal128Array::from(vec![Some(1250), Some(largest), None]).with_data_type(PRICE.arrow());
    let columns: Vec<Option<ArrayRef>> = vec![
        Some(Arc::new(Int64Array::from(vec![Some(5), Some(i64::MAX), None]))),
        Some(Arc::new(price)),
        Some(Arc::new(StringArray::from(vec![Some("soon"), Some(""), None]))),
        None,
        None,
        None,
    ];
    let facts = Facts::default();
    let inputs = Inputs { columns: &columns, len: 3, facts: &facts, first_record: 1, numbers: &[] };
    expression::compile(text, &scope()).expect("an expression").evaluate(&inputs, None)
}

#[test]
fn an_ill_typed_expression_names_both_types() {
    let (marked, message, help) = problem("paid AND quantity - note > 3");
    assert_eq!(marked, "quantity - note");
    assert!(message.contains("`quantity` is an integer and `note` is text: `-` takes numbers"), "{message}");
    assert!(help.contains("CAST"), "{help}");
    let (marked, message, _) = problem("due > note");
    assert_eq!(
        (marked.as_str(), message.as_str()),
        ("due > note", "`due` is a date and `note` is text: they cannot be compared")
    );
}

#[test]
fn unknown_names_suggest_the_nearest() {
    assert_eq!(problem("quantitty > 1").2, "did you mean `quantity`?");
    assert_eq!(problem("lenght(note) > 1").2, "did you mean `length`?");
    assert_eq!(problem("file.nam = 'x'").2, "did you mean `file.name`?");
    assert_eq!(problem("EXTRACT(yeer FROM due) = 1").2, "did you mean `year`?");
    let several = expression::compile("quantitty > 1 OR nota = 'x' OR upper(duee) = ''", &scope())
        .expect_err("problems");
    assert_eq!(several.len(), 3);
}

#[test]
fn a_division_by_zero_and_an_overflow_fail_their_record_only() {
    for (text, row, failure) in [
        ("100 / (quantity - 5)", 0, "division by zero"),
        ("price % (quantity - 5)", 0, "division by zero"),
        ("quantity + 1", 1, "the result does not fit an integer"),
        ("quantity * quantity", 1, "the result does not fit an integer"),
        ("price * 10", 1, "the result has more digits than a decimal can have"),
        ("CAST(price AS integer)", 1, "the result does not fit an integer"),
        ("CAST(price AS decimal(6,2))", 1, "the result does not fit decimal(6,2)"),
        ("date '9999-12-30' + quantity", 0, "the result is not a day of the years 1 to 9999"),
        ("now() + quantity * interval '2000000 years'", 1, "the result does not fit an interval"),
        ("CAST(note AS integer)", 0, "the text is not a whole number like 1234"),
    ] {
        let evaluated = run(text);
        let found = evaluated.failures.iter().find(|(failed, _)| *failed == row);
        assert_eq!(found.map(|(_, failure)| &**failure), Some(failure), "{text}");
        assert!(evaluated.values.is_null(row as usize), "{text}");
        // NULL is no failure.
        assert!(evaluated.failures.iter().all(|(row, _)| *row != 2), "{text}: {:?}", evaluated.failures);
    }
}

#[test]
fn null_everywhere_gives_null() {
    for text in [
        "quantity + price * 2 - quantity / 3",
        "upper(note) || left(note, 2)",
        "due + 1",
        "changed - interval '1 day'",
        "EXTRACT(year FROM due)",
        "to_char(changed, 'YYYY')",
        "paid AND quantity > 1",
        "quantity IN (1, 2) OR note LIKE 'a%'",
        "quantity BETWEEN 1 AND 2",
        "CASE WHEN quantity > 1 THEN note END",
        "coalesce(note, NULL)",
        "greatest(quantity, NULL)",
        "nullif(price, 1)",
        "round(price, 1)",
        "NOT paid",
        "regexp_replace(note, 'a', 'b')",
        "changed AT TIME ZONE 'Europe/Berlin'",
    ] {
        let evaluated = run(text);
        assert!(evaluated.values.is_null(2), "{text}");
        assert!(evaluated.failures.iter().all(|(row, _)| *row != 2), "{text}");
    }
}

#[test]
fn an_expression_of_ten_thousand_levels_is_refused_in_words() {
    let parentheses = format!("{}quantity{} > 1", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(problem(&parentheses).1, "an expression goes at most 40 levels deep");
    let cases = format!("{}1{}", "CASE WHEN paid THEN ".repeat(2_000), " END".repeat(2_000));
    assert_eq!(problem(&cases).1, "an expression goes at most 40 levels deep");
    let sum = format!("quantity{}", " + 1".repeat(10_000));
    assert_eq!(problem(&sum).1, "more than 250 operations stand on one another here");
}

#[test]
fn a_regular_expression_that_explodes_is_refused() {
    let (marked, message, _) = problem("regexp_like(note, '((((a{100}){100}){100}){100})')");
    assert_eq!(marked, "'((((a{100}){100}){100}){100})'");
    assert_eq!(message, "this pattern is too large: its repetitions add up");
}
