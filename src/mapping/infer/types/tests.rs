//! What types columns get.

use super::*;
use crate::mapping::infer::column::Look;

fn typed_as(name: &str, values: &[&str], habits: Habits) -> Typed {
    let look = Look { forms: Forms::new(), secret: [1, 2], with_sums: false };
    let mut column = Column::new(&look);
    values.iter().for_each(|value| column.add(value, &look));
    column.close(&look);
    decide(&column, name, &look.forms, habits)
}

fn shown(name: &str, values: &[&str]) -> String {
    let typed = typed_as(name, values, Habits::default());
    let keys: Vec<String> = typed.keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    std::iter::once(typed.name).chain(keys).collect::<Vec<_>>().join(" ")
}

#[test]
fn types_are_what_all_values_are() {
    for (name, values, expected) in [
        ("amount", &["1.234,56", "7,50-"][..], "decimal(12,2) group_mark=\".\" negative=\"trailing\""),
        ("amount", &["1,50", "12,25"], "decimal(12,2) decimal_mark=\",\""),
        ("amount", &["1,234.50"], "decimal(12,2) group_mark=\",\""),
        ("price", &["€ 12,50", "€ 3,00"], "decimal(12,2) decimal_mark=\",\" strip=\"€\""),
        ("discount", &["5 %", "10 %"], "decimal(12,2) strip=\"%\""),
        ("price", &["€ 1,50", "$ 2,50"], "text"),
        ("quantity", &["1", "-20"], "integer"),
        ("sku", &["0012", "0013"], "text"),
        ("zip", &["80331", "10115"], "text"),
        ("big", &["1234567890123456789"], "text"),
        ("ratio", &["1.5E+05", "2"], "float"),
        ("day", &["31.12.2025", "01.01.2026"], "date format=\"%d.%m.%Y\""),
        ("day", &["31/12/2025", "3-1-26"], "date format=[\"%d/%m/%Y\", \"%d-%m-%y\"]"),
        ("order_date", &["20251231"], "date format=\"%Y%m%d\""),
        ("number", &["20251231"], "integer"),
        ("created", &["2025-12-31 10:00:00"], "timestamp"),
        ("at", &["9:05", "10:15"], "time"),
        ("active", &["ja", "nein"], "boolean true=\"ja\" false=\"nein\""),
        ("is_open", &["1", "0"], "boolean"),
        ("lines", &["1", "0"], "integer"),
        ("mail", &["a@example.com"], "text is=\"email\""),
        ("country", &["DE", "GB"], "text is=\"country\""),
        ("id", &["0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b"], "uuid"),
    ] {
        assert_eq!(shown(name, values), expected, "{values:?}");
    }
}

#[test]
fn what_the_data_leave_open_is_asked() {
    let typed = typed_as("day", &["03/04/2025", "04/04/2025"], Habits::default());
    assert_eq!(typed.keys, [("format", "\"%d/%m/%Y\"".to_owned())]);
    assert!(typed.ask.is_some_and(|ask| ask.contains("%m/%d/%Y")));
    let typed = typed_as("day", &["04/03/2025", "04/09/2025"], Habits::default());
    assert_eq!(typed.keys, [("format", "\"%m/%d/%Y\"".to_owned())]);
    let habits = Habits { day_first: Some(true), ..Habits::default() };
    let typed = typed_as("day", &["04/03/2025", "04/09/2025"], habits);
    assert_eq!(
        (typed.keys.first().map(|(_, value)| value.as_str()), typed.ask),
        (Some("\"%d/%m/%Y\""), None)
    );
}

#[test]
fn a_mark_before_three_digits_is_read_like_those_of_other_columns() {
    let habits = Habits { decimal: Some(','), ..Habits::default() };
    assert_eq!(typed_as("stock", &["1.234", "12"], habits).name, "integer");
    let open = typed_as("stock", &["1.234", "12"], Habits::default());
    assert_eq!((open.name.as_str(), open.ask.is_some()), ("integer", true));
    let weights = typed_as("weight", &["1.234", "0.250"], Habits::default());
    assert_eq!((weights.name.as_str(), weights.ask), ("decimal(12,3)", None));
}

#[test]
fn few_words_in_many_records_are_an_enumeration() {
    let values: Vec<&str> = std::iter::repeat_n(["new", "paid", "new"], 20).flatten().collect();
    assert_eq!(shown("status", &values), "text one_of=[\"new\", \"paid\"]");
}

#[test]
fn a_column_that_is_almost_something_says_what_it_is_not() {
    let values: Vec<&str> = std::iter::repeat_n("31.12.2025", 30).chain(["TBC"]).collect();
    let typed = typed_as("day", &values, Habits::default());
    assert_eq!(typed.name, "text");
    assert_eq!(typed.evidence, ["30 of 31 are dates like \"%d.%m.%Y\", but not \"TBC\""]);
}
