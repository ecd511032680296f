//! The table of functions. An entry says all there is to a function: how it is written, what it takes, what it means, with
//! examples, and how it is made. The checker and docs/expressions.md follow from it.

pub(super) mod choice;
mod extract;
mod moment;
mod number;
mod pattern;
mod text;
pub(super) mod to_char;

use super::{Type, node::Run};

/// A function.
pub(super) struct Function {
    /// Its name, in small letters.
    pub(super) name: &'static str,
    /// Other names for it.
    pub(super) also: &'static [&'static str],
    /// How calls of it are written.
    pub(super) written: &'static [&'static str],
    /// What it takes, the optional ones last.
    pub(super) takes: &'static [Kind],
    /// How many arguments it takes at least.
    pub(super) least: usize,
    /// True when there may be more of the last one.
    pub(super) repeats: bool,
    /// What it gives.
    pub(super) meaning: &'static str,
    /// (expression, its value as people read it)
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// How it is made.
    pub(super) make: Make,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    /// A date or timestamp.
    Moment,
    /// A date, time, timestamp or interval.
    Temporal,
    Any,
    /// A text in quotes, so that it is known when the mapping is checked.
    WrittenText,
    /// A whole number as written.
    WrittenInteger,
}

impl Kind {
    /// "text", for sentences.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Moment => "a date or timestamp",
            Self::Temporal => "a date, time, timestamp or interval",
            Self::Any => "any value",
            Self::WrittenText => "a text in quotes",
            Self::WrittenInteger => "a whole number written out",
        }
    }
}

/// An argument as the maker sees it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) of: Type,
    /// The text of a constant.
    pub(super) text: Option<String>,
    /// The number of a constant.
    pub(super) integer: Option<i64>,
}

/// What is wrong with an argument.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) argument: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The type of a call and what runs, or what is wrong with an argument.
pub(super) type Made = Result<(Type, Run), Wrong>;

/// How a function is made.
#[derive(Clone, Copy)]
pub(super) enum Make {
    /// From its arguments' types and constants: the type of its result, and what runs.
    Plain(fn(&[Given]) -> Made),
    /// COALESCE, which runs an argument only where those before it are NULL.
    Coalesce,
    /// NULLIF.
    NullIf,
    /// GREATEST, or LEAST.
    Extreme { greatest: bool },
    /// `mod(a, b)`, which is `a % b`.
    Modulo,
    /// `now()`
    Now,
    /// `current_date`
    Today,
    /// Days from a day to today.
    AgeInDays,
}

/// All functions, by group.
pub(super) const GROUPS: &[(&str, &[Function])] = &[
    ("Choosing", choice::FUNCTIONS),
    ("Text", text::FUNCTIONS),
    ("Patterns", pattern::FUNCTIONS),
    ("Numbers", number::FUNCTIONS),
    ("Dates and times", moment::FUNCTIONS),
];

/// All functions.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.iter().flat_map(|(_, functions)| *functions)
}

/// The function of a name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    let wanted = name.to_ascii_lowercase();
    all().find(|function| function.name == wanted || function.also.contains(&wanted.as_str()))
}

/// Functions that SQL has and expressions cannot have, with what to do.
pub(super) const KNOWN_ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["sum", "count", "avg", "min", "max", "string_agg", "array_agg", "bool_and", "bool_or"],
        "an expression sees one record at a time; `greatest` and `least` compare values of one",
    ),
    (&["row_number", "rank", "lag", "lead"], "`record` is the number of the record"),
    (&["random", "gen_random_uuid", "clock_timestamp"], "the same file always gives the same rows"),
    (
        &["to_date", "to_timestamp", "to_number"],
        "the `format` of a column reads such texts, and says which are wrong",
    ),
    (&["isnull", "ifnull", "nvl"], "`coalesce(value, instead)` does it"),
    (&["if", "iif", "decode"], "`CASE WHEN condition THEN value ELSE other END` does it"),
    (&["date_part"], "`EXTRACT(year FROM value)` does it"),
    (&["len"], "`length(text)` does it"),
    (&["charindex", "instr"], "`strpos(text, part)` does it"),
    (&["getdate", "sysdate"], "`now()` does it"),
    (&["datediff"], "`later - earlier` is the number of days between two dates"),
    (&["dateadd"], "`date + 5` adds days, `date + interval '1 month'` anything"),
];
