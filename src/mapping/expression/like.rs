//! LIKE: `%` for any characters, `_` for one.

use std::{borrow::Cow, sync::Arc};

use super::{
    node::Run,
    rows::Failure,
    vector::{Bits, Vector},
};

/// A pattern, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    folds: bool,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Many,
    One,
    Character(char),
}

/// The patterns that need no search step by step.
#[derive(Clone, Debug)]
enum Shape {
    /// No `%`, no `_`.
    Whole(String),
    /// Plain texts with `%` between them: what it begins with, what follows anywhere, what it ends with.
    Pieces(String, Vec<String>, String),
    Other,
}

impl Pattern {
    /// Takes a pattern apart. `folds`: case does not matter. `escape` makes a plain character of the one behind it.
    pub(super) fn new(text: &str, folds: bool, escape: Option<char>) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                _ if Some(character) == escape => match characters.next() {
                    Some(plain) => Part::Character(fold(plain, folds)),
                    None => return Err("the LIKE pattern ends with its escape character".into()),
                },
                '%' => Part::Many,
                '_' => Part::One,
                plain => Part::Character(fold(plain, folds)),
            };
            if part != Part::Many || parts.last() != Some(&Part::Many) {
                parts.push(part);
            }
        }
        let shape = if folds { Shape::Other } else { Shape::of(&parts) };
        Ok(Self { parts, folds, shape })
    }

    /// True when the whole text is like the pattern.
    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Whole(whole) => text == whole,
            Shape::Pieces(begin, within, end) => {
                let rest = text.strip_prefix(begin.as_str()).and_then(|rest| rest.strip_suffix(end.as_str()));
                let mut rest = rest.map(str::as_bytes);
                // Each piece is taken where it is found first, which leaves most to those behind it.
                for piece in within {
                    let found = rest.and_then(|rest| {
                        rest.get(memchr::memmem::find(rest, piece.as_bytes())? + piece.len()..)
                    });
                    rest = found;
                }
                rest.is_some()
            }
            Shape::Other => self.search(text),
        }
    }

    /// Goes along text and pattern; when they part, the last `%` takes one character more. At most characters times
    /// parts steps.
    fn search(&self, text: &str) -> bool {
        let (mut at, mut part) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let next = text.get(at..).and_then(|rest| rest.chars().next());
            let fits = match (self.parts.get(part), next) {
                (Some(Part::Many), _) => {
                    part += 1;
                    retry = Some((at, part));
                    continue;
                }
                (None, None) => return true,
                (Some(Part::One), Some(_)) => true,
                (Some(Part::Character(wanted)), Some(found)) => *wanted == fold(found, self.folds),
                (_, None) => return false,
                (None, Some(_)) => false,
            };
            if fits {
                at += next.map_or(0, char::len_utf8);
                part += 1;
            } else if let Some((from, behind)) = retry {
                let Some(skipped) = text.get(from..).and_then(|rest| rest.chars().next()) else {
                    return false;
                };
                let from = from + skipped.len_utf8();
                retry = Some((from, behind));
                (at, part) = (from, behind);
            } else {
                return false;
            }
        }
    }
}

impl Shape {
    fn of(parts: &[Part]) -> Self {
        let plain = |parts: &[Part]| -> Option<String> {
            let character = |part: &Part| if let Part::Character(c) = part { Some(*c) } else { None };
            parts.iter().map(character).collect()
        };
        let pieces: Option<Vec<String>> = parts.split(|part| *part == Part::Many).map(plain).collect();
        match pieces.as_deref() {
            Some([whole]) => Self::Whole(whole.clone()),
            Some([begin, within @ .., end]) => Self::Pieces(begin.clone(), within.to_vec(), end.clone()),
            _ => Self::Other,
        }
    }
}

fn fold(character: char, folds: bool) -> char {
    if folds { lower(character) } else { character }
}

/// The small letter of a letter; a letter whose small form is several letters stays.
pub(super) fn lower(character: char) -> char {
    let mut letters = character.to_lowercase();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => letter,
        _ => character,
    }
}

/// The capital of a letter; a letter whose capital is several letters stays.
pub(super) fn upper(character: char) -> char {
    let mut letters = character.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => letter,
        _ => character,
    }
}

/// LIKE with a pattern that is known, or, without one, that stands in the second argument.
pub(super) fn run(pattern: Option<Pattern>, folds: bool, escape: Option<char>, wanted: bool) -> Run {
    Arc::new(move |rows, arguments| {
        let Some(Vector::Text(texts)) = arguments.first() else { return Vector::Boolean(Bits::One(None)) };
        let bits = match (&pattern, arguments.get(1)) {
            (Some(pattern), _) => {
                rows.decide(arguments, |row| Ok(Some(pattern.matches(texts.get(row)) == wanted)))
            }
            (None, Some(Vector::Text(patterns))) => rows.decide(arguments, |row| {
                let pattern = Pattern::new(patterns.get(row), folds, escape)?;
                Ok(Some(pattern.matches(texts.get(row)) == wanted))
            }),
            _ => Bits::One(None),
        };
        Vector::Boolean(bits)
    })
}

/// The one character of an ESCAPE; none for the empty text.
pub(super) fn escape(text: &str) -> Result<Option<char>, Cow<'static, str>> {
    let mut characters = text.chars();
    let first = characters.next();
    match characters.next() {
        None => Ok(first),
        Some(_) => Err("an escape is one character".into()),
    }
}
