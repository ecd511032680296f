//! docs/expressions.md, written from the tables that the checker works with, so that it cannot say anything else.

use std::fmt::Write;

use super::{
    facts::{DELIVERY, FILE},
    functions::{GROUPS, to_char},
};

/// A form of the syntax: how it is written, what it means, and examples with their values.
type Form = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const INTRODUCTION: &str = "\
# Expressions

A mapping says in the language of SQL what a column's `value` is, which records `[filter]` keeps and what `[checks]` ask. \
Syntax and meaning are PostgreSQL's; the last section lists what is different. An expression sees the columns of its own \
record, as they are after their types and rules, and what is known of the file and its delivery.

An expression is checked together with its mapping: `wharf check` marks what is wrong and names the types. What can only \
be known of a value (a division by zero, a number that becomes too large) makes that one record a reject, and no other.

This page is written by the program itself.";

const NAMES: &str = "\
Columns go by their names; a name that has capitals, spaces or signs in it, or is a word of SQL, stands in double quotes. Texts \
stand in single quotes.";

const NULLS: &str = "\
## No value

NULL stands for no value, and every operation on NULL gives NULL, but for AND, OR, the questions with IS, and the functions \
that choose. `NULL = NULL` is NULL: ask with `IS NULL` or `IS NOT DISTINCT FROM`. A check whose result is NULL is passed; a \
filter whose result is NULL drops the record. A column that the file does not have is NULL in all records.

An operand runs only for the records that need it: `CASE WHEN quantity <> 0 THEN total / quantity END` and `quantity <> 0 AND \
total / quantity < 100` never divide by zero. AND, OR, CASE and coalesce go from left to right.";

const DECIMALS: &str = "\
## Digits of decimals

Sums, differences, products and remainders are exact: the result has all its digits, and one of more than 38 digits is a \
failure of its record. Only division, `round` and CAST round, halves away from zero. An integer counts as `decimal(19,0)`. \
Nothing goes through a float unless one of the operands is a float.

| Operation on decimal(p,s) and decimal(q,t) | Digits after the point | Digits before the point |
|---|---|---|
| `a + b`, `a - b` | the larger of s and t | one more than the larger of p-s and q-t |
| `a * b` | s + t; more than 38 are refused when the mapping is checked | (p-s) + (q-t) |
| `a / b` | 16, or s or t if one is larger | (p-s) + t |
| `a % b` | the larger of s and t | the smaller of p-s and q-t |
| CASE, `coalesce`, `greatest`, `least` | the larger of s and t | the larger of p-s and q-t |

A `value` column takes the result only as it is: a value with more digits after the point than the column has is a failure, \
never a rounding. Write `round(unit_price * 1.19, 2)`.";

const CASTS: &str = "\
## From type to type

By themselves, integers become decimals, both become floats, dates become timestamps, and a text in quotes becomes what it \
stands beside: `order_date >= '2025-01-01'`. Everything else is asked for with CAST or `::`, to `text`, `integer` (also \
`bigint`), `decimal(p,s)` (also `numeric(p,s)`), `float`, `boolean`, `date`, `time`, `timestamp`, `timestamp without time \
zone`, `interval`, `uuid` or `json`. What cannot be cast is a failure of its record.

A timestamp is an instant, and shows itself in UTC. `AT TIME ZONE` gives the local date and time of it, without a zone, for \
CAST, EXTRACT or to_char; and it gives the instant of such a local time, as in `(order_date + order_time) AT TIME ZONE \
'Europe/Berlin'`. Beside a timestamp, a local time counts as UTC.";

const DIFFERENCES: &str = "\
## What is different from PostgreSQL

| Here | In PostgreSQL |
|---|---|
| whole numbers have 64 bits | they have 32 unless they are `bigint` |
| a timestamp is `timestamptz`, in a session in UTC | `timestamp` has no time zone |
| dates go from 0001-01-01 to 9999-12-31; what is beyond is a failure | they go from 4713 BC to 5874897 |
| decimals have at most 38 digits, and each type its digits after the point | they have up to 147,455, and each value its own |
| a quotient has 16 digits after the point or more | it has 16 significant digits or more |
| `round`, `trunc`, `floor`, `ceil` and `sign` of an integer are integers | they are floats |
| texts are compared by the code points of their characters | by the collation of the database |
| a letter whose other case is several letters keeps its case | depends on the collation |
| regular expressions are those of `pattern`, without back references and looking around | they are POSIX with extensions |
| `[[:alpha:]]` and its kin are of ASCII; `\\p{L}` is any letter | they are of the collation |
| patterns of regular expressions, digits of `round` and time zones are written out | they may be computed |
| a LIKE pattern that ends with its escape character is always a failure | only when the match comes to it |
| texts are read as numbers, dates and times in their plain and ISO forms | in many more |
| of the shortest texts of a float, which one is written may differ | |
| `age_in_days` | does not exist |";

const LIMITS: &str = "\
## Limits

An expression has at most 65,536 bytes, goes 40 levels deep, and has 250 operations on one another; `x IN (...)` takes any \
number of values. A compiled regular expression takes at most a megabyte, and runs in a time that grows with the text only. A \
text that an operation makes has at most a megabyte. All texts on the way to one value of a record have at most 8 megabytes \
together, and so have all computed and looked-up texts of one record. A record that needs more is rejected, whatever stands \
beside it.";

/// What is written and what it means, in the order in which it binds: what comes first binds closest.
pub(super) const FORMS: &[Form] = &[
    (
        "`'text'`, `12`, `12.50`, `true`, `NULL`",
        "values as written; a quote in a text is doubled",
        &[("'O''Neil'", "O'Neil")],
    ),
    (
        "`date '...'`, `time '...'`, `timestamp '...'`, `interval '...'`",
        "days, times of day, instants, lengths of time",
        &[("date '2025-12-31' + interval '1 month' = timestamp '2026-01-31 00:00Z'", "true")],
    ),
    (
        "`x::type`, `CAST(x AS type)`",
        "the value as one of another type",
        &[("'12.5'::decimal(6,2)", "12.50"), ("CAST(2.5 AS integer)", "3")],
    ),
    ("`-x`", "the number or interval with the other sign", &[("- 5", "-5")]),
    (
        "`x AT TIME ZONE 'zone'`",
        "the local time of an instant, or the instant of a local time",
        &[("CAST(timestamp '2025-12-31 23:30Z' AT TIME ZONE 'Europe/Berlin' AS date)", "2026-01-01")],
    ),
    (
        "`x * y`, `x / y`, `x % y`",
        "product, quotient, remainder; the quotient of integers is cut off",
        &[("7 / 2", "3"), ("7.0 / 2", "3.5000000000000000"), ("-7 % 3", "-1"), ("2 * 1.25", "2.50")],
    ),
    (
        "`x + y`, `x - y`",
        "sum and difference; of a date and a number of days, of two dates in days, of a date and a time of day, of a date, \
         time or timestamp and an interval",
        &[
            ("date '2025-12-31' + 1", "2026-01-01"),
            ("date '2025-12-31' - date '2025-12-01'", "30"),
            ("time '23:30' + interval '1 hour'", "00:30:00"),
        ],
    ),
    (
        "`x || y`",
        "the texts one behind the other; one of them may be of any type",
        &[("'no. ' || 7", "no. 7")],
    ),
    (
        "`x IN (a, b, ...)`, `x NOT IN (...)`",
        "true when x is equal to one of them",
        &[("'DE' IN ('DE', 'AT')", "true"), ("5 NOT IN (1, NULL)", "NULL")],
    ),
    (
        "`x BETWEEN a AND b`, `x BETWEEN SYMMETRIC a AND b`",
        "true from a to b, both counted; with SYMMETRIC in either order; also NOT BETWEEN",
        &[("5 BETWEEN 1 AND 5", "true"), ("5 BETWEEN SYMMETRIC 9 AND 1", "true")],
    ),
    (
        "`x LIKE 'pattern'`, `x ILIKE 'pattern'`",
        "true when the whole text is like it: `%` stands for any characters, `_` for one, `\\` (or the character of an ESCAPE) \
         lets the next one be itself; with ILIKE case does not matter; also NOT LIKE",
        &[
            ("'SO-1042' LIKE 'SO-%'", "true"),
            ("'50%' LIKE '50!%' ESCAPE '!'", "true"),
            ("'Anna' ILIKE 'a___'", "true"),
        ],
    ),
    ("`x = y`, `<>`, `<`, `<=`, `>`, `>=`", "comparisons", &[("2.50 = 2.5", "true"), ("'a' < 'B'", "false")]),
    (
        "`x IS NULL`, `IS TRUE`, `IS FALSE`, `IS UNKNOWN`, `IS [NOT] DISTINCT FROM y`",
        "questions that NULL answers too; all of them with NOT",
        &[("NULL IS NOT TRUE", "true"), ("NULL IS DISTINCT FROM 1", "true")],
    ),
    ("`NOT x`", "the opposite", &[("NOT 1 > 2", "true")]),
    ("`x AND y`", "true when both are; runs y only where x is not false", &[("NULL AND false", "false")]),
    ("`x OR y`", "true when one is; runs y only where x is not true", &[("NULL OR true", "true")]),
    (
        "`CASE WHEN condition THEN x ... ELSE y END`, `CASE v WHEN value THEN x ... END`",
        "the value of the first condition that is true",
        &[
            ("CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END", "b"),
            ("CASE 'P' WHEN 'N' THEN 'new' WHEN 'P' THEN 'paid' END", "paid"),
        ],
    ),
];

/// The page, as Markdown.
pub(super) fn page() -> String {
    let mut page = String::new();
    paragraph(&mut page, INTRODUCTION);
    paragraph(&mut page, "## Names");
    paragraph(&mut page, NAMES);
    let mut names = vec![
        ["`column`".to_owned(), "the value of the column".to_owned()],
        ["`record`".to_owned(), "the number of the record, from 1 after the header".to_owned()],
        [
            "`file.CAPTURE`".to_owned(),
            "what a capture of `match` took from the file's name; a date or timestamp if its format \
            has all of one, else text. It comes before the names below"
                .to_owned(),
        ],
    ];
    names.extend(FILE.iter().map(|(name, _, meaning)| [format!("`file.{name}`"), (*meaning).to_owned()]));
    names.extend(
        DELIVERY.iter().map(|(name, _, meaning)| [format!("`delivery.{name}`"), (*meaning).to_owned()]),
    );
    table(&mut page, ["Name", "Stands for"], names.into_iter());
    paragraph(&mut page, "## Operators\n\nWhat comes first binds closest; parentheses bind closest of all.");
    let forms = FORMS
        .iter()
        .map(|(written, meaning, examples)| [(*written).to_owned(), (*meaning).to_owned(), shown(examples)]);
    table(&mut page, ["Written", "Means", "For example"], forms);
    paragraph(&mut page, NULLS);
    paragraph(&mut page, "## Functions\n\nWhere nothing else is said, NULL for an argument gives NULL.");
    for (group, functions) in GROUPS {
        paragraph(&mut page, &format!("### {group}"));
        let rows = functions.iter().map(|function| {
            let also = function.also.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let also = if also.is_empty() { also } else { format!("; also called {also}") };
            let written = function.written.iter().map(|written| format!("`{written}`")).collect::<Vec<_>>();
            [written.join(", "), format!("{}{also}", function.meaning), shown(function.examples)]
        });
        table(&mut page, ["Written", "Gives", "For example"], rows);
    }
    paragraph(&mut page, "### Parts of `to_char` patterns");
    let parts = to_char::PARTS.iter().map(|(part, meaning)| [format!("`{part}`"), (*meaning).to_owned()]);
    table(&mut page, ["Part", "Stands for"], parts);
    for text in [DECIMALS, CASTS, DIFFERENCES, LIMITS] {
        paragraph(&mut page, text);
    }
    page
}

fn shown(examples: &[(&str, &str)]) -> String {
    let one = |(written, value): &(&str, &str)| format!("`{written}` is `{value}`");
    examples.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn paragraph(page: &mut String, text: &str) {
    let gap = if page.is_empty() { "" } else { "\n" };
    let _ = writeln!(page, "{gap}{text}"); // a String takes everything
}

fn table<const N: usize>(page: &mut String, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let _ = writeln!(page, "\n| {} |\n|{}", head.join(" | "), "---|".repeat(N));
    for row in rows {
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}
