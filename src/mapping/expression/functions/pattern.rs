//! Regular expressions. Patterns are compiled when the mapping is checked, with a limit on their size, and run in linear
//! time, so that neither a pattern nor a text can make them run away.

use std::sync::Arc;

use regex::{Captures, Regex, RegexBuilder};

use super::{Function, Given, Kind, Make, Wrong};
use crate::mapping::expression::{
    Type,
    node::Run,
    rows::{MAX_TEXT_BYTES, TOO_LONG},
    vector::{Bits, Vector},
};

/// The most memory that a compiled pattern may take, in bytes: patterns of real mappings need a few thousand.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

use Kind::{Text, WrittenText};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regexp_like",
        also: &[],
        written: &["regexp_like(text, 'pattern' [, 'i'])"],
        takes: &[Text, WrittenText, WrittenText],
        least: 2,
        repeats: false,
        meaning: "true when the pattern is found anywhere in the text; `^` and `$` stand for its ends, the flag `i` lets \
                  case not matter",
        examples: &[
            ("regexp_like('SO-1042', '^SO-[0-9]+$')", "true"),
            ("regexp_like('so', 'SO', 'i')", "true"),
        ],
        make: Make::Plain(|given| {
            let (pattern, _) = compile(given, 1, 2, false)?;
            Ok((
                Type::BOOLEAN,
                Arc::new(move |rows, arguments| match arguments.first() {
                    Some(Vector::Text(texts)) => Vector::Boolean(
                        rows.decide(arguments, |row| Ok(Some(pattern.is_match(texts.get(row))))),
                    ),
                    _ => Vector::Boolean(Bits::One(None)),
                }),
            ))
        }),
    },
    Function {
        name: "regexp_replace",
        also: &[],
        written: &["regexp_replace(text, 'pattern', 'by' [, 'gi'])"],
        takes: &[Text, WrittenText, WrittenText, WrittenText],
        least: 3,
        repeats: false,
        meaning: "the text with what the pattern finds first replaced, with the flag `g` everything it finds; `\\1` stands \
                  for what the first parentheses took, `\\&` for all of it",
        examples: &[
            ("regexp_replace('+49 (40) 123', '[^0-9]', '', 'g')", "4940123"),
            ("regexp_replace('31.12.2025', '(\\d+)\\.(\\d+)\\.(\\d+)', '\\3-\\2-\\1')", "2025-12-31"),
        ],
        make: Make::Plain(|given| {
            let (pattern, all) = compile(given, 1, 3, true)?;
            let by = template(given.get(2).and_then(|given| given.text.as_deref()).unwrap_or_default());
            Ok((Type::TEXT, replace(pattern, by, all)))
        }),
    },
    Function {
        name: "regexp_substr",
        also: &[],
        written: &["regexp_substr(text, 'pattern')"],
        takes: &[Text, WrittenText],
        least: 2,
        repeats: false,
        meaning: "what the pattern finds first; NULL when it finds nothing",
        examples: &[
            ("regexp_substr('Order 1042, urgent', '[0-9]+')", "1042"),
            ("regexp_substr('none', '[0-9]')", "NULL"),
        ],
        make: Make::Plain(|given| {
            let (pattern, _) = compile(given, 1, usize::MAX, false)?;
            Ok((
                Type::TEXT,
                Arc::new(move |rows, arguments| match arguments.first() {
                    Some(Vector::Text(texts)) => Vector::Text(rows.write(arguments, |row, out| {
                        let found = pattern.find(texts.get(row));
                        out.push_str(found.map_or("", |found| found.as_str()));
                        Ok(found.is_some())
                    })),
                    _ => Vector::null(Type::TEXT),
                }),
            ))
        }),
    },
];

/// Compiles the pattern of an argument with the flags of another; gives it, and whether there is a `g`.
fn compile(given: &[Given], pattern: usize, flags: usize, has_all: bool) -> Result<(Regex, bool), Wrong> {
    let text = |at: usize| given.get(at).and_then(|given| given.text.as_deref()).unwrap_or_default();
    let known = if has_all { "gi" } else { "i" };
    if let Some(flag) = text(flags).chars().find(|flag| !known.contains(*flag)) {
        let message = format!("there is no flag `{flag}` here");
        let help =
            if has_all { "`g` replaces all, `i` lets case not matter" } else { "`i` lets case not matter" };
        return Err(Wrong { argument: flags, message, help: Some(help.into()) });
    }
    let built = RegexBuilder::new(text(pattern))
        .case_insensitive(text(flags).contains('i'))
        .dot_matches_new_line(true)
        .size_limit(MAX_PATTERN_BYTES)
        .build();
    let built = built.map_err(|error| {
        let message = match error {
            regex::Error::CompiledTooBig(_) => "this pattern is too large: its repetitions add up".to_owned(),
            error => {
                // The library shows the pattern with a mark; its last line says what is wrong.
                let text = error.to_string();
                let why =
                    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                format!("this pattern cannot be read: {why}")
            }
        };
        Wrong { argument: pattern, message, help: None }
    })?;
    Ok((built, text(flags).contains('g')))
}

/// A part of what is put in.
#[derive(Clone, Debug)]
enum Piece {
    Plain(String),
    Group(usize),
}

fn template(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let group = match (character, characters.peek()) {
            ('\\', Some('&')) => Some(0),
            ('\\', Some(digit @ '1'..='9')) => digit.to_digit(10).map(|digit| digit as usize),
            ('\\', Some('\\')) => {
                characters.next();
                None
            }
            _ => None,
        };
        match group {
            Some(group) => {
                characters.next();
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                pieces.push(Piece::Group(group));
            }
            None => plain.push(character),
        }
    }
    pieces.push(Piece::Plain(plain));
    pieces
}

fn replace(pattern: Regex, by: Vec<Piece>, all: bool) -> Run {
    let put = move |captures: &Captures<'_>, out: &mut String| {
        for piece in &by {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Group(group) => out.push_str(captures.get(*group).map_or("", |found| found.as_str())),
            }
        }
    };
    Arc::new(move |rows, arguments| {
        let Some(Vector::Text(texts)) = arguments.first() else { return Vector::null(Type::TEXT) };
        Vector::Text(rows.write(arguments, |row, out| {
            let text = texts.get(row);
            let (start, mut from) = (out.len(), 0);
            for captures in pattern.captures_iter(text).take(if all { usize::MAX } else { 1 }) {
                let Some(found) = captures.get(0) else { continue };
                out.push_str(text.get(from..found.start()).unwrap_or_default());
                put(&captures, out);
                from = found.end();
                if out.len() - start > MAX_TEXT_BYTES {
                    return Err(TOO_LONG);
                }
            }
            out.push_str(text.get(from..).unwrap_or_default());
            Ok(true)
        }))
    })
}
