//! What is no expression, and what would run away.

use super::{compile, gives, problems, refused, table};

#[test]
fn ill_typed_expressions_name_the_types_and_the_place() {
    for (text, marked, message) in [
        ("upper(quantity)", "quantity", "`quantity` is an integer, but `upper` takes text"),
        ("length(note, 2)", "length(note, 2)", "`length` takes 1 argument, and this has 2"),
        (
            "quantity + (note || 'x')",
            "quantity + (note || 'x')",
            "`quantity` is an integer and `(note || 'x')` is text: `+` takes \
            numbers, or a date or time and an interval or a number of days",
        ),
        (
            "quantity || unit_price",
            "quantity || unit_price",
            "`quantity` is an integer and `unit_price` is a decimal(12,4): one \
            side of `||` is text",
        ),
        ("- note", "note", "`note` is text: `-` takes numbers and intervals"),
        ("quantity LIKE '7%'", "quantity", "`quantity` is an integer, but LIKE takes text"),
        (
            "CASE WHEN paid THEN quantity ELSE note END",
            "note",
            "`quantity` is an integer and `note` is text: CASE gives values of \
            one type",
        ),
        (
            "CASE WHEN quantity THEN 1 END",
            "quantity",
            "`quantity` is an integer, but WHEN takes what is true or false",
        ),
        (
            "order_date + changed_at",
            "order_date + changed_at",
            "`order_date` is a date and `changed_at` is a timestamp: `+` takes \
            numbers, or a date or time and an interval or a number of days",
        ),
        ("quantity IN (1, 'x')", "'x'", "'x' is not an integer: the text is not a whole number like 1234"),
        ("extra = 'x'", "extra", "`extra` is json: it cannot be compared"),
        ("CAST(paid AS date)", "CAST(paid AS date)", "`paid` is a boolean, and that cannot become a date"),
        ("quantity::money", "quantity", "there is no type `money`"),
        (
            "quantity::decimal(40,2)",
            "quantity",
            "a decimal has 1 to 38 digits in all, and no more of them after the point",
        ),
        ("weight % 2", "weight % 2", "`%` takes exact numbers, and one of these is a float"),
        ("EXTRACT(hour FROM order_date)", "order_date", "a date has no part `hour`"),
        ("to_char(order_date, 'YYYY-XX')", "'YYYY-XX'", "there is no part `XX` in patterns"),
        ("date_trunc('mont', order_date)", "'mont'", "there is no unit `mont`"),
        ("changed_at AT TIME ZONE 'Berlin'", "'Berlin'", "there is no time zone `Berlin`"),
        ("regexp_like(note, note)", "note", "`note` is text, but `regexp_like` takes a text in quotes"),
        ("regexp_like(note, '(')", "'('", "this pattern cannot be read: unclosed group"),
        (
            "round(unit_price, quantity)",
            "quantity",
            "`quantity` is an integer, but `round` takes a whole number written out",
        ),
        ("1 < quantity < 5", "1 < quantity < 5", "comparisons do not follow one another"),
        ("note LIKE 'a\\'", "'a\\'", "the LIKE pattern ends with its escape character"),
        ("'a' LIKE 'b' ESCAPE 'xy'", "'xy'", "an ESCAPE is one character in quotes"),
        (
            "unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price",
            "unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price * unit_price",
            "this product has 40 digits after the point, and a decimal has at most 38",
        ),
    ] {
        refused(text, marked, message);
    }
}

#[test]
fn what_is_no_part_of_expressions_is_said_in_words() {
    for (text, marked, message) in [
        ("", "", "there is no expression here"),
        ("  -- nothing\n", "  -- nothing\n", "there is no expression here"),
        ("quantity +", "quantity +", "the expression ends where something is missing"),
        ("quantity + )", ")", "a value is missing before `)`"),
        ("(quantity", "(quantity", "the expression ends where something is missing"),
        ("quantity quantity", "quantity", "the expression could end before `quantity`"),
        ("note = 'x", "'x", "this cannot be read: unterminated string literal"),
        ("sum(quantity)", "sum(quantity)", "`sum` is not a function of expressions"),
        ("uper(note)", "uper(note)", "there is no function `uper`"),
        ("row_number() OVER ()", "row_number()", "`row_number` is not a function of expressions"),
        ("length(note) OVER ()", "length(note)", "`length` is not written like this"),
        ("quantity = $1", "$1", "`$1` stands for nothing here"),
        ("quantity & 1", "quantity & 1", "this operator is not part of expressions: `quantity & 1`"),
        (
            "quantity = ANY(ARRAY[1, 2])",
            "quantity = ANY(ARRAY[1, 2",
            "ANY or ALL is not part of expressions: `quantity = ANY(ARRAY[1, 2`",
        ),
        ("note = \"x\"", "\"x\"", "there is no column `x`"),
        (
            "note COLLATE \"C\" = 'x'",
            "note COLLATE \"C\"",
            "COLLATE is not part of expressions: `note COLLATE \"C\"`",
        ),
    ] {
        refused(text, marked, message);
    }
    assert_eq!(problems("uper(note)")[0].2.as_deref(), Some("did you mean `upper`?"));
    assert_eq!(
        problems("note = \"x\"")[0].2.as_deref(),
        Some("double quotes stand around names; texts stand in single quotes: 'paid'")
    );
}

#[test]
fn places_are_right_behind_letters_of_several_bytes_and_on_later_lines() {
    refused("'grün' || 'ß' = nope", "nope", "there is no column `nope`");
    refused(
        "'日本' = 'x' AND\n  -- a word about it: ü\n  upper(quantity) = 'ü'",
        "quantity",
        "`quantity` is an integer, but `upper` takes text",
    );
}

#[test]
fn ten_thousand_levels_are_refused_before_they_are_followed() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    for text in [
        deep("(", ")"),
        deep("abs(", ")"),
        deep("NOT ", ""),
        deep("- ", ""),
        deep("CASE WHEN ", ""),
        deep("1 + ", ""),
        deep("1 || (", ")"),
        deep("[", "]"),
        deep("CASE ", " END"),
        deep("interval ", ""),
        deep("1 IN (", ")"),
        deep("", "::text"),
        deep("", " IS NULL"),
        deep("", ")"),
        deep("", " COLLATE x"),
        deep("a.", ""),
        deep("", " AT TIME ZONE 'UTC'"),
    ] {
        assert!(compile(&text, &table().scope).is_err(), "{}", &text[..40]);
    }
    let long = format!("quantity = '{}'", "x".repeat(70_000));
    refused(&long, &long, "an expression has at most 65536 bytes, this one has 70013");
    // What people write is far from the limits.
    gives(
        &format!("quantity IN ({})", (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")),
        "true",
    );
    gives(&format!("{}quantity{} = 7", "(".repeat(30), ")".repeat(30)), "true");
    gives(&format!("quantity{}", " + 1".repeat(200)), "207");
}

#[test]
fn a_regular_expression_that_explodes_is_refused_or_runs_in_linear_time() {
    refused(
        "regexp_like(note, '((a{1000}){1000}){1000}')",
        "'((a{1000}){1000}){1000}'",
        "this pattern is too large: its repetitions add up",
    );
    gives(&format!("regexp_like('{}b', '^(a+)+$')", "a".repeat(30_000)), "false");
    gives(&format!("'{}b' LIKE '{}'", "a".repeat(2_000), "%a".repeat(200)), "false");
}

#[test]
fn texts_that_grow_have_a_limit() {
    gives("length(repeat(note, 1000))", "13000");
    gives("repeat(note, 9223372036854775807)", "!the text is longer than a megabyte");
    gives("lpad(note, 9223372036854775807)", "!the text is longer than a megabyte");
    gives("replace(repeat('a', 1000), 'a', repeat(note, 1000))", "!the text is longer than a megabyte");
    gives("substring(note, 9223372036854775807, 9223372036854775807)", "");
    gives("substring(note, -9223372036854775807 - 1, 9223372036854775807)", "");
    gives("left(note, -9223372036854775807 - 1) || right(note, -9223372036854775807 - 1)", "");
}

#[test]
fn what_doubles_with_every_level_is_refused() {
    let nested = |open: &str, close: &str| format!("{}paid{}", open.repeat(18), close.repeat(18));
    for text in [
        nested("(", " BETWEEN false AND true)"),
        nested("(", " BETWEEN SYMMETRIC true AND false)"),
        nested("(CASE ", " WHEN true THEN false WHEN false THEN true END)"),
        nested("(", " IN (paid, NOT paid))"),
        nested("nullif(", ", NOT paid)"),
    ] {
        let message = "this value is used too often in what is compared with it";
        assert_eq!(problems(&text)[0].1, message, "{text}");
    }
    gives("quantity BETWEEN 1 AND 9 AND nullif(nullif(quantity, 1), 2) = 7", "true");
}
